"""The table of a run: what its rows and notes say."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fastseg.api.text_table import table_in_blocks
from fastseg.metrics import REGISTRY
from fastseg.runs import CaseRecord, Run, Settings
from fastseg.runs.results.statistics import summarise

FIRST = [(0, 0, 6), (0, 1, 2), (1, 1, 2)]
SECOND = [(0, 0, 5), (1, 1, 3), (2, 2, 1), (2, 0, 1)]


def record(name: str, pairs: list[tuple[int, int, int]], **more: Any) -> CaseRecord:
    voxels = (sum(pair[2] for pair in pairs), 0, 0, 0)
    return CaseRecord(
        name, "scored", name, name, pairs=np.array(pairs, np.int64), voxels=voxels, **{"geometry": "equal", **more}
    )


A, B = record("a", FIRST), record("b", SECOND)


def run_of(*records: CaseRecord, **settings: Any) -> Run:
    return Run(Settings(**{"labels": (0, 1, 2), "metrics": ("dice", "iou"), **settings}), records)


def lines(run: Run) -> list[str]:
    return str(run).splitlines()


def row(run: Run, start: str) -> str:
    (found,) = (line for line in lines(run) if line.startswith(start))
    return found


def test_the_mean_is_called_what_it_is() -> None:
    assert row(run_of(A, B), "foreground mean").split()[2] == f"{run_of(A, B).mean('dice'):.4f}"
    everything = run_of(A, B, background=True)
    assert row(everything, "mean  ").split()[1] == f"{everything.mean('dice'):.4f}"
    assert "mean  " in str(run_of(A, B, regions={"one": (1,), "two": (2,)}))
    assert "foreground mean" in str(run_of(A, B, regions={"one": (1,), "back": (0,)}))


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, "means over classes (background left out) of means over cases"),
        ({"background": True}, "means over classes of means over cases"),
        ({"convention": "monai"}, "means over cases of means over classes"),
        (
            {"convention": "sklearn", "background": False},
            "means over classes (background left out) of all cases together",
        ),
        ({"regions": {"one": (1,)}}, "means over regions of means over cases"),
    ],
)
def test_over_what_the_means_are(settings: dict[str, Any], expected: str) -> None:
    assert lines(run_of(A, B, **settings))[-2] == expected


def test_over_what_the_means_are_where_metrics_differ() -> None:
    assert lines(run_of(A, B, convention="torchmetrics"))[-3:-1] == [
        "dice: means over cases of means over classes", "iou: means over the values of all classes and cases",
    ]  # fmt: skip


def test_one_case_has_no_interval() -> None:
    assert "interval" not in str(run_of(A))
    assert lines(run_of(A))[-2:] == [
        "means over classes (background left out)", "1 of 1 cases scored; convention: fastseg",
    ]  # fmt: skip
    assert "interval" in str(run_of(A, B))


@pytest.mark.parametrize(("confidence", "text"), [(0.95, "95%"), (0.975, "97.5%"), (0.999, "99.9%"), (0.07, "7%")])
def test_the_confidence_is_not_rounded(confidence: float, text: str) -> None:
    assert row(run_of(A, B, confidence=confidence), f"  {text}  ")


def test_cases_are_a_range_where_metrics_are_not_defined_alike() -> None:
    """Label 2 is predicted in one case, and in the truth of another too."""
    run = run_of(B, record("c", [(0, 0, 3), (2, 0, 1)]), metrics=("recall", "precision"))
    assert [line.split()[-1] for line in lines(run)[2:5]] == ["2", "1", "1-2"]


def test_how_many_cases_are_scored() -> None:
    missing, failed = CaseRecord("c", "missing", "c", None), CaseRecord("d", "failed", "d", "d", reason="x")
    worst = replace(missing, unknown=np.array([[0, 9], [1, 3]]), voxels=(0, 0, 0, 12))
    for records, settings, expected in (
        ((A, B), {}, "2 of 2 cases scored;"),
        ((A, worst), {"missing": "worst"}, "1 of 2 cases scored; 1 without a prediction (taken as the worst);"),
        ((A, missing), {"missing": "skip"}, "1 of 2 cases scored; 1 without a prediction (left out);"),
        ((A, missing, failed), {}, "1 of 3 cases scored, 1 failed; 1 without a prediction (left out);"),
    ):
        assert lines(run_of(*records, **settings))[-1] == f"{expected} convention: fastseg"
    pooled = run_of(A, worst, missing="worst", convention="sklearn")
    assert "1 without a prediction (every voxel missed); convention: sklearn" in str(pooled)
    assert "1 of them scored" in repr(run_of(A, worst, missing="worst"))


def test_geometry_that_was_not_compared() -> None:
    apart = replace(B, geometry="not compared: no spacing in the prediction")
    assert "geometry" not in str(run_of(A, B))
    assert "geometry" not in str(run_of(A, apart, geometry="ignore"))
    assert lines(run_of(A, apart))[-2] == "geometry not compared: 1 case"
    assert lines(run_of(replace(apart, id="a"), apart))[-2] == "geometry not compared: 2 cases"


def test_scores_of_files_of_probabilities() -> None:
    scores = {"soft_dice": 0.5, "cross_entropy": 0.25, "brier_score": None}
    run = run_of(replace(A, scores=scores), replace(B, scores={**scores, "soft_dice": 0.75, "brier_score": 0.125}))
    assert row(run, "soft Dice: 0.6250 [0.5000, 0.7500]")
    assert row(run, "cross-entropy: 0.2500 [0.2500, 0.2500]")
    assert row(run, "Brier score: 0.1250") == "Brier score: 0.1250 (over 1 of 2 cases)"
    soft, entropy, brier = summarise(run)[-3:]
    assert [each.metric for each in (soft, entropy, brier)] == list(scores)
    assert (soft.key, soft.name, soft.mean, soft.median, soft.defined) == (None, "all", 0.625, 0.625, 2)
    assert (brier.mean, brier.defined, brier.cases, math.isnan(brier.low)) == (0.125, 1, 2, True)
    assert [each.metric for each in summarise(run, ["dice"])] == ["dice"] * 4
    pooled = Run(replace(run.settings, convention="sklearn"), run.records)
    assert repr(summarise(pooled)[-3:]) == repr(summarise(run)[-3:])


def test_a_wide_table_is_cut_into_blocks() -> None:
    names = tuple(dict.fromkeys(metric.name for metric in REGISTRY.values()))
    text = str(run_of(A, B, metrics=names))
    assert max(map(len, text.splitlines())) <= 160
    heads = [line.split() for line in text.splitlines() if line.startswith("class ")]
    assert len(heads) > 1
    assert [name for head in heads for name in head[2:]] == [
        *(name for name in names if REGISTRY[name].overall is None), "cases",
    ]  # fmt: skip
    assert text.count("foreground mean ") == len(heads)


def test_blocks() -> None:
    header, rows = ["k", "one", "two", "three"], [["a", "1", "2", "3"]]
    assert (
        table_in_blocks(header, rows, left=1, widest=18) == "k  one  two  three\n-  ---  ---  -----\na    1    2      3"
    )
    assert table_in_blocks(header, rows, left=1, widest=17).splitlines() == [
        "k  one  two", "-  ---  ---", "a    1    2", "", "k  three", "-  -----", "a      3",
    ]  # fmt: skip
    assert len(table_in_blocks(header, rows, left=1, widest=1).split("\n\n")) == 3  # a column is never cut
