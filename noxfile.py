"""What is run while working on fastseg: `nox -l` lists it, `nox -s lint` runs one, `nox -s oldest -- -k dice` says how.

Each session has an environment of its own, of the newest versions that fit; `oldest` has the oldest that pyproject.toml
allows. The gate, which has the last word, is .ci/run.
"""

from __future__ import annotations

import nox

PYTHONS = ["3.11", "3.12", "3.13", "3.14"]  # those that are not there are skipped
QUICK = ("-m", "not slow")
CALLER = """
from typing import assert_type
import fastseg
import numpy as np
from numpy.typing import NDArray
assert_type(fastseg.dice([0, 1], [0, 1]), NDArray[np.float64] | float)
assert_type(fastseg.Evaluator(num_classes=3).compute(), fastseg.Scores)
"""

nox.needs_version = ">=2024.4.15"
nox.options.default_venv_backend = "venv"
nox.options.error_on_missing_interpreters = False
nox.options.sessions = ["lint", "typing", "tests-3.11"]


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the tests that are quick; after `--`, what pytest is to be told instead."""
    session.install("--upgrade", "--upgrade-strategy", "eager", "-e", ".[test]")
    session.run("python", "-m", "pytest", *(session.posargs or QUICK))


@nox.session(python="3.11")
def oldest(session: nox.Session) -> None:
    """Run them with the oldest versions of everything that the package says it works with."""
    session.install("-e", ".[test]", "-c", ".ci/oldest.txt")
    session.run("python", "-m", "pytest", *(session.posargs or QUICK))


@nox.session
def lint(session: nox.Session) -> None:
    """Look at the code as the gate does: format, style, types, imports, stubs."""
    session.install(".[dev]")
    session.run(".ci/lint", external=True)


@nox.session
def typing(session: nox.Session) -> None:
    """Check the types of the package, and then those that a caller of the installed one sees."""
    session.install(".[dev]")
    session.run("mypy")
    session.chdir(session.create_tmp())
    session.run("mypy", "--config-file=", "--strict", "-c", CALLER)


@nox.session
def docs(session: nox.Session) -> None:
    """Build the site into build/docs; a warning is an error."""
    session.install("-e", ".[docs]")
    session.run("sphinx-build", "-W", "-b", "html", "docs", "build/docs", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Run the benchmarks, about twenty minutes; after `--`, which of them."""
    session.install(".[bench]")
    session.run("python", "-m", "pytest", *(session.posargs or ["benchmarks"]))


@nox.session
def release(session: nox.Session) -> None:
    """Build what would be published, and test the wheel (.ci/release)."""
    session.run(".ci/release", *session.posargs, external=True)
