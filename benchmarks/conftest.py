"""Prints the tables of ratios at the end of a run, and writes them where asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matrix
import pytest
from harness import RESULTS, markdown
from race import BUDGET, CELLS

#: The folder of pytest-benchmark's own files.
OUTPUT = Path(".benchmarks")


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Measure in one process: the tests' option to run in several is set in pyproject.toml."""
    config.option.numprocesses, config.option.dist = 0, "no"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--table", metavar="FILE", help="write the tables to FILE, between their markers if it has them")
    parser.addoption("--quick", action="store_true", help="of the matrix of shapes only some, each timed for less long")


@pytest.fixture(scope="session")
def quick(request: pytest.FixtureRequest) -> bool:
    if chosen := bool(request.config.getoption("--quick")):
        BUDGET.least, BUDGET.most = 0.05, 0.5
    return chosen


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    tables = {}
    if RESULTS:
        tables["benchmarks"] = markdown()
        terminalreporter.section("ratios, each taken in this run")
        terminalreporter.write_line(tables["benchmarks"])
    if CELLS:
        tables["shapes"] = matrix.matrix_markdown()
        terminalreporter.section("shapes: the fastest other / ours")
        terminalreporter.write_line(f"{tables['shapes']}\n{matrix.worst_cells()}")
        matrix.write_json(OUTPUT / "shapes.json")
        matrix.write_picture(OUTPUT / "shapes.png")
    if path := config.getoption("--table"):
        for name, table in tables.items():
            write_table(Path(path), name, table)


def write_table(file: Path, name: str, table: str) -> None:
    """Write a table between its markers in a file, or at the end of a file without them."""
    start, end = f"<!-- {name}:start -->", f"<!-- {name}:end -->"
    text = file.read_text() if file.exists() else ""
    if start not in text:
        text = f"{text}{start}\n{end}\n"
    head, rest = text.split(start, 1)
    file.write_text(f"{head}{start}\n{table}\n{end}{rest.split(end, 1)[1]}")
