"""What names a version names the same; the oldest versions that are tested are those that the package says it works with."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import fastseg

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def minima(*extras: str) -> Iterator[tuple[str, str]]:
    """Yield the packages that the package and some of its extras need, with the least version of each."""
    extra = PROJECT["optional-dependencies"]
    for line in (*PROJECT["dependencies"], *(line for name in extras for line in extra[name])):
        nested = re.fullmatch(r"fastseg-metrics\[(.*)\]", line)
        if nested is not None:
            yield from minima(*nested[1].split(","))
        else:
            name, version = re.split(">=|==", line)
            yield name.partition("[")[0].lower(), version


def test_the_oldest_versions_are_those_that_are_declared() -> None:
    lines = (ROOT / ".ci/oldest.txt").read_text("utf-8").splitlines()
    pinned = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    declared = dict(minima("test"))
    assert len(declared) > 20
    for name, version in declared.items():
        assert re.fullmatch(rf"{re.escape(version)}(\.0)*", pinned[name]), f"{name} {version}"


def test_all_that_names_a_version_names_the_same() -> None:
    version = re.escape(fastseg.__version__)
    assert re.search(rf"^version: {version}$", (ROOT / "CITATION.cff").read_text("utf-8"), re.MULTILINE)
    assert re.search(rf"\A# Changelog\n\n## {version}\b", (ROOT / "CHANGELOG.md").read_text("utf-8"))
