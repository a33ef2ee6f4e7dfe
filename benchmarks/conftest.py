"""Prints the table of ratios at the end of a run, and writes it where asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from harness import RESULTS, markdown

START, END = "<!-- benchmarks:start -->", "<!-- benchmarks:end -->"


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Measure in one process: the tests' option to run in several is set in pyproject.toml."""
    config.option.numprocesses, config.option.dist = 0, "no"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--table", metavar="FILE", help="write the table to FILE, between its markers if it has them")


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    if not RESULTS:
        return
    terminalreporter.section("ratios, each taken in this run")
    terminalreporter.write_line(markdown())
    if path := config.getoption("--table"):
        file = Path(path)
        text = file.read_text() if file.exists() else ""
        table = markdown()
        if START in text:
            head, rest = text.split(START, 1)
            table = f"{head}{START}\n{table}\n{END}{rest.split(END, 1)[1]}"
        file.write_text(table)
