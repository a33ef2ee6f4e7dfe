"""Prints the tables of ratios at the end of a run, and writes them where asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matrix
import pytest
from harness import RESULTS, markdown, recall, write_json
from race import BUDGET, CELLS
from tables import ROOT, excerpt, page_of, write_table

#: The folder of pytest-benchmark's own files.
OUTPUT = Path(".benchmarks")


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Measure in one process: the tests' option to run in several is set in pyproject.toml."""
    config.option.numprocesses, config.option.dist = 0, "no"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--table",
        metavar="FILE",
        help="write the tables to FILE, between their markers if it has them; of a folder, to the site's pages in it",
    )
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
    if given := config.getoption("--table"):
        where = Path(given)
        if where.is_dir() and RESULTS:
            recall(where / "run.json")
            write_json(where / "run.json")
            tables["benchmarks"] = markdown()
        for name, table in tables.items():
            write_table(page_of(where, name), name, table)
        if where.is_dir() and RESULTS:
            readme = ROOT / "README.md"
            figures = page_of(where, "benchmarks").read_text(encoding="utf-8")
            readme.write_text(excerpt(readme.read_text(encoding="utf-8"), figures), encoding="utf-8")
