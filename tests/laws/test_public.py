"""Every public name is documented, and known to whoever reads the package without running it."""

from __future__ import annotations

import ast
import doctest
import inspect
import re
from pathlib import Path

import pytest
from support.stubs import PACKAGE, stubs

import fastseg

NAMES = dir(fastseg)
FUNCTIONS = [name for name in NAMES if inspect.isfunction(getattr(fastseg, name))]
CLASSES = [name for name in NAMES if inspect.isclass(getattr(fastseg, name))]
#: Sections that make no sense for a function.
WITHOUT = {"get_num_threads": {"Parameters"}, "set_num_threads": {"Returns"}}


def statements(text: str) -> list[str]:
    """Return what a stub says, however it is laid out."""
    return sorted(ast.dump(node) for node in ast.parse(text).body)


@pytest.mark.parametrize("path", stubs(), ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_stubs_are_current(path: Path) -> None:
    assert statements(path.read_text()) == statements(stubs()[path]), "run tests/support/stubs.py"


def test_the_stub_has_all_names_and_no_others() -> None:
    tree = ast.parse((PACKAGE / "__init__.pyi").read_text())
    found = {alias.asname for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert found == set(NAMES)
    assert set(fastseg.__all__) == found - {"__version__"}
    assert set(NAMES) == {*FUNCTIONS, *CLASSES, "__version__", "adapters", "losses", "metrics", "patch"}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_say_what_goes_in_what_comes_out_and_what_is_refused(name: str) -> None:
    text = inspect.getdoc(getattr(fastseg, name)) or ""
    sections = set(re.findall(r"^(\w+)\n-+$", text, re.MULTILINE))
    assert {"Parameters", "Returns", "Raises", "Examples"} - WITHOUT.get(name, set()) <= sections
    said = re.search(r"^Parameters\n-+\n(.*?)(^\w+\n-+$|\Z)", text, re.MULTILINE | re.DOTALL)
    words = set(re.findall(r"\w+", said[1])) if said else set()
    own = {p.name for p in inspect.signature(getattr(fastseg, name)).parameters.values()}
    options = own if "**options" in (said[1] if said else "") else set()
    assert own - options <= words
    entries = re.findall(r"^(\S.*?)(?: :.*)?$", said[1], re.MULTILINE) if said else []
    assert {part.strip(" *") for entry in entries for part in entry.split(",")} - {""} <= {*own, "options"}


@pytest.mark.parametrize("name", CLASSES)
def test_classes_say_what_they_hold(name: str) -> None:
    text = inspect.getdoc(getattr(fastseg, name)) or ""
    sections = set(re.findall(r"^(\w+)\n-+$", text, re.MULTILINE))
    assert "Examples" in sections
    assert sections & {"Parameters", "Attributes"}


@pytest.mark.parametrize("name", [*FUNCTIONS, *CLASSES])
def test_examples(name: str) -> None:
    names = dict(vars(inspect.getmodule(getattr(fastseg, name))))  # as pytest --doctest-modules runs them
    test = doctest.DocTestParser().get_doctest(getattr(fastseg, name).__doc__, names, name, None, None)
    assert test.examples
    assert not doctest.DocTestRunner(verbose=False).run(test).failed
