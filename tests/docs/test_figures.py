"""The figures of the last run: tables and pictures hold the same, and the harness writes what they are read from."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest
from ext.figures import Figure, Run, read_run, table

DOCS = Path(__file__).parents[2] / "docs"
RUN = read_run()


def figure(**changed: object) -> Figure:
    values = {"group": "g", "name": "n", "ratio": 12.34, "low": 9.87, "high": 123.4, "seconds": 0.00123}
    goals = {"floor": 10.0, "aim": None, "unit": "×", "at_most": False}
    return Figure(**{**values, **goals, **changed})  # type: ignore[arg-type]


def test_every_line_of_the_page_of_figures_is_in_the_run_and_no_other() -> None:
    page = (DOCS / "benchmarks" / "figures.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (.*?) \| (-?[\d.]+[^|]*?) \| (.*?) \|", page, re.MULTILINE)
    assert rows == [(each.name, each.ratio_text, each.time_text) for each in RUN.figures]
    assert f"Machine: {RUN.machine}." in page


def test_a_run_says_where_and_when_it_was_taken() -> None:
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", RUN.date)
    assert RUN.taken == f"Taken on {RUN.date}: {RUN.machine}."


def test_numbers_have_as_many_digits_as_they_deserve() -> None:
    assert figure().ratio_text == "12.3× (9.9×–123.4×)"
    assert figure(ratio=123.4).ratio_text == "123× (10×–123×)"
    assert figure(ratio=1.234, unit=" s").ratio_text == "1.23 s (9.87 s–123.40 s)"
    assert figure().time_text == "1.23 ms"
    assert table([figure(seconds=0)]).splitlines()[-1] == "| n | 12.3× (9.9×–123.4×) |  |"


def test_figures_are_chosen_by_patterns() -> None:
    run = Run("m", "2026-01-01", (figure(), figure(group="h"), figure(name="o")))
    assert [(each.group, each.name) for each in run.select("g")] == [("g", "n"), ("g", "o")]
    assert [(each.group, each.name) for each in run.select("g", "^n")] == [("g", "n")]
    assert len(run.select()) == 3


def test_the_harness_keeps_what_a_figure_is_made_of() -> None:
    source = (DOCS.parent / "benchmarks" / "harness.py").read_text(encoding="utf-8")
    fields = re.findall(
        r"^    (\w+): ", source[source.index("class Result") : source.index("def verdict")], re.MULTILINE
    )
    assert fields == [field.name for field in dataclasses.fields(Figure)]


def test_a_group_is_drawn_with_what_is_below_its_floor() -> None:
    pytest.importorskip("sphinx", reason='needs the site: pip install ".[docs]"')
    from ext import benchmark_plots

    found = benchmark_plots.groups(Run("m", "2026-01-01", (figure(), figure(ratio=2.0), figure(group="alone"))))
    assert list(found) == ["g"]
    picture = benchmark_plots.plot(found["g"])
    assert benchmark_plots._BELOW in picture
    assert benchmark_plots._BELOW not in benchmark_plots.plot([figure(), figure()])


def test_the_matrix_of_shapes_is_read_whole() -> None:
    from ext.shapes_plot import plot, read_matrix

    page = (DOCS / "benchmarks" / "shapes.md").read_text(encoding="utf-8")
    matrix = read_matrix(page)
    assert matrix.calls == ["confusion matrix", "mean IoU", "Dice a sample", "evaluate"]
    assert len(matrix.rows) == len(set(matrix.rows)) == 30
    assert {len(row) for row in matrix.ratios} == {12}
    assert matrix.rows[0] == "1×256², K=2"
    assert plot(matrix).startswith("<?xml")
