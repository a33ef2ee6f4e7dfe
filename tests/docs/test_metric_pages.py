"""Every metric and loss has its page, and what the page says is so: formulas, names of other packages, tables."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
from ext import empty_classes, example, metric_pages, partition_pages, surface_pages
from ext.explanation import PACKAGES, Explanation, typeset, with_numbers
from ext.metric_pages import EXPLAINED

ENTRIES = metric_pages.entries()
NUMBERS = {name: entry for name, entry in ENTRIES.items() if name != "threshold_curve"}


def test_every_metric_and_loss_is_explained_and_nothing_else() -> None:
    assert set(EXPLAINED) == set(ENTRIES)


def value_of(latex: str) -> float:
    """Return the value of a formula that holds numbers only."""
    while True:  # the innermost fractions and roots first, in whose braces are no others
        found = re.sub(r"\\frac\{([^{}]*)\}\{([^{}]*)\}", r"((\1)/(\2))", latex)
        found = re.sub(r"\\sqrt\{([^{}]*)\}", r"((\1)**0.5)", found)
        found = re.sub(r"\^\{([^{}]*)\}", r"**(\1)", found)
        if found == latex:
            break
        latex = found
    latex = re.sub(r"\|([^|]*)\|", r"abs(\1)", latex)
    latex = latex.replace(r"\cdot", "*").replace("^", "**").replace(r"\ln \cosh", "ln_cosh").replace(r"\max", "max")
    return float(eval(latex, {"abs": abs, "ln_cosh": lambda x: math.log(math.cosh(x))}))


@pytest.mark.parametrize("name", NUMBERS)
def test_the_formula_of_the_example_is_what_fastseg_returns(name: str) -> None:
    entry, explanation = ENTRIES[name], EXPLAINED[name]
    if partition_pages.is_one(entry):
        numbers, value = partition_pages.numbers(), partition_pages.value(entry)
    else:
        source = surface_pages if surface_pages.is_one(entry) else example
        numbers, value = source.numbers(entry, explanation), source.value(entry, explanation)
    formula = with_numbers(explanation.worked or explanation.formula, numbers)
    assert value_of(formula) == pytest.approx(value, abs=2e-4)


@pytest.mark.parametrize("name", NUMBERS)
def test_the_call_of_the_example_runs_and_returns_what_stands_beside_it(name: str) -> None:
    page = metric_pages.page(ENTRIES[name])
    block = re.search(r"```python\n(.*?)```", page, re.DOTALL)
    assert block
    *arrays, call = block[1].rstrip().splitlines()
    space: dict[str, object] = {}
    exec("\n".join(arrays), space)
    expression, _, said = call.partition("  # ")
    assert f"{float(eval(expression, space)):.4f}" == said


@pytest.mark.parametrize("name", ENTRIES)
def test_a_page_has_all_its_parts(name: str) -> None:
    entry, page = ENTRIES[name], metric_pages.page(ENTRIES[name])
    for heading in ("How to read it", "Example", "Where a class is empty", "What others call it", "Source"):
        assert f"\n## {heading}\n" in page
    assert entry.formula in page
    assert entry.reference.rstrip(".") in page
    for alias in entry.aliases:
        assert f"`fastseg.{alias}`" in page
    for title in PACKAGES.values():
        assert f"\n| {title} | " in page


def test_a_number_of_years_stands_in_every_source() -> None:
    for name, entry in ENTRIES.items():
        assert re.search(r"\((?:1[89]|20)\d\d\)", entry.reference), name


def test_rows_of_conventions_are_computed() -> None:
    head, rows = empty_classes.of_metric(ENTRIES["dice"])
    assert head[1:4] == ["neither map has the class", "only the prediction has it", "only the truth has it"]
    by_name = {row[0]: row[1:4] for row in rows}
    assert by_name["`fastseg`"] == ["undefined", "0", "0"]
    assert by_name["`monai`"] == ["undefined", "undefined", "0"]
    assert by_name["any call with `zero_division=1`"] == ["1", "0", "0"]
    head, rows = surface_pages.empty(ENTRIES["hd95"])
    assert head[1:4] == ["neither map has the class", "only the prediction has it", "only the truth has it"]
    by_name = {row[0]: row[1:] for row in rows}
    assert by_name["`fastseg`"] == ["undefined", "∞", "∞", ""]
    assert by_name["`brats`"] == ["undefined", "373", "373", "with the package"]
    assert by_name["`simpleitk`"][-1] == "by analogy"
    assert surface_pages.empty(ENTRIES["boundary_iou"])[1][2] == ["any call with `zero_division=1`", "1", "0", "0"]


def test_rows_of_partitions_are_computed() -> None:
    head, rows = partition_pages.empty(ENTRIES["adjusted_rand_error"])
    assert head[1:3] == ["no voxel is counted", "both maps are one segment"]
    by_name = {row[0]: row[1:] for row in rows}
    assert by_name["`fastseg`"] == ["undefined", "0", "undefined", "1", ""]
    assert by_name["`funlib`"][3:] == ["0.8824", "with the package"]
    assert partition_pages.empty(ENTRIES["rand_index"])[1][2][:2] == ["`sklearn`", "1"]


def test_words_that_the_example_has_no_number_for_are_errors() -> None:
    assert typeset("TP_c + SUM_PT") == r"\mathrm{TP}_c + \sum p \, t"
    with pytest.raises(KeyError, match="GAMMA"):
        with_numbers("TP ^ GAMMA", {"TP": "5"})


def test_what_would_not_change_is_not_written_again(tmp_path: Path) -> None:
    metric_pages.write_pages(tmp_path)
    first = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.*")}
    assert len(first) > 2 * len(EXPLAINED) - len(NUMBERS)
    metric_pages.write_pages(tmp_path)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.*")} == first


def test_every_peer_is_of_a_package_that_pages_have() -> None:
    for name, explanation in EXPLAINED.items():
        assert isinstance(explanation, Explanation)
        assert set(explanation.peers) <= set(PACKAGES), name
