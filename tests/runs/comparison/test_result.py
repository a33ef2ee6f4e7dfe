"""What a comparison says: its table, dict and CSV, its names and notes."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
from support.compared_runs import RESAMPLES, runs, with_records

from fastseg.runs.comparison.compare import compare_runs
from fastseg.runs.comparison.plot import plot
from fastseg.runs.outputs.folder import write_outputs


def test_folders_are_read_and_named(tmp_path: Any) -> None:
    pair = runs(cases=4)
    paths = [tmp_path / name / "out" for name in ("one", "two")]
    for run, path in zip(pair, paths, strict=True):
        write_outputs(run, path)
    comparison = compare_runs(*paths, resamples=RESAMPLES)
    assert comparison.names == (str(paths[0]), str(paths[1]))  # "out" would not tell them apart
    assert comparison.rows == compare_runs(*pair, resamples=RESAMPLES).rows
    paths[1].rename(tmp_path / "new")
    assert compare_runs(str(paths[0]), tmp_path / "new", resamples=RESAMPLES).names == ("out", "new")
    assert compare_runs(pair[0], tmp_path / "new", resamples=RESAMPLES).names == ("A", "new")


def test_table_dict_and_csv() -> None:
    a, b = runs(names={1: "=cmd()", 2: "a,\x1b[31mb\n"})
    comparison = compare_runs(a, b, metrics=["dice", "support"], resamples=RESAMPLES, names=("+old", "new"))
    text = str(comparison)
    assert text.splitlines()[:3] == ["A: +old", "B: new", "cases: 20"]
    assert "\x1b" not in text
    assert "95% interval" in text
    plain = json.loads(json.dumps(comparison.to_dict(), allow_nan=False))
    assert (plain["a"], plain["b"], plain["cases"], plain["left_out"]) == ("+old", "new", 20, [])
    assert [row["difference"] for row in plain["rows"]] == [row.difference for row in comparison.rows]
    assert plain["rows"][-1]["wins"] is None
    rows = list(csv.DictReader(io.StringIO(comparison.to_csv(), newline="")))
    assert rows[0]["a"] == "'+old"
    assert [row["class"] for row in rows[:3]] == ["0", "'=cmd()", "a,\x1b[31mb\n"]
    assert [float(row["low"]) for row in rows] == [row.low for row in comparison.rows]
    assert rows[-1]["wins"] == ""
    assert repr(comparison) == "<Comparison of '+old' and 'new': 20 case(s), dice, support>"


def test_rows_are_called_what_they_are() -> None:
    a, b = runs(cases=3, names={1: "2", 3: "x"})
    titles = [line.split("  ")[0] for line in str(compare_runs(a, b, metrics="dice", resamples=RESAMPLES)).splitlines()]
    assert titles[7:12] == ["0", "2 (1)", "2 (2)", "x", "foreground mean"]
    for settings, over in (
        ({}, "; foreground mean: of each case's mean over the classes that are defined in both (background left out)"),
        ({"background": True}, "; mean: of each case's mean over the classes that are defined in both"),
        (
            {"regions": {"one": (1,), "two": (2, 3)}},
            "; mean: of each case's mean over the regions that are defined in both",
        ),
    ):
        pair = (with_records(run, *run.records, **settings) for run in (a, b))
        assert f"\nA, B: means over cases{over}\n" in str(compare_runs(*pair, metrics=["dice", "iou"], resamples=2))
    assert "\nA, B: means over cases\n" in str(compare_runs(a, b, metrics="accuracy", resamples=2))


@pytest.mark.parametrize(("cases", "confidence", "noted"), [(5, 0.95, True), (6, 0.95, False), (6, 0.99, True)])
def test_too_few_pairs_for_the_test_are_noted(cases: int, confidence: float, noted: bool) -> None:
    a, b = runs(cases=cases, worse=0.5)
    comparison = compare_runs(a, b, metrics="dice", resamples=RESAMPLES, confidence=confidence)
    assert ("never finds p below" in str(comparison)) == noted
    assert (min(row.p for row in comparison.rows) < 1 - confidence) != noted
    assert "with fewer than 6 pairs this test never finds p below 0.05" in str(
        compare_runs(*runs(cases=2), resamples=2)
    )


def test_the_confidence_is_not_rounded() -> None:
    comparison = compare_runs(*runs(cases=3), metrics="dice", resamples=RESAMPLES, confidence=0.975)
    assert "97.5% interval" in str(comparison)
    assert "97.5% bootstrap interval" in plot(comparison).decode()
