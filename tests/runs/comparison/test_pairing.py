"""Which cases and classes of two runs are compared: those that both have, of the same references and settings."""

from __future__ import annotations

import math
from typing import Any

import pytest
from support.compared_runs import RESAMPLES, numbers, record, runs, with_records

from fastseg.runs.comparison.compare import compare_runs
from fastseg.runs.comparison.plot import plot
from fastseg.runs.run import Run
from fastseg.runs.scoring.records import CaseRecord
from fastseg.runs.scoring.settings import Settings


def test_a_case_that_only_one_run_defines_is_unpaired() -> None:
    none, some = [0, 0, 0, 0], [0, 0, 1, 1]
    a = Run(Settings(), (record("x", none, [0, 0, 0, 1]), record("y", some, some), record("z", none, none)))
    b = Run(Settings(), (record("x", none, none), record("y", some, [0, 0, 0, 1]), record("z", none, none)))
    row = compare_runs(a, b, metrics="dice").rows[1]
    assert (row.name, row.n, row.only_a, row.only_b, row.unpaired) == ("1", 1, 1, 0, 1)
    assert (row.mean_a, row.mean_b) == (1.0, pytest.approx(2 / 3))
    assert row.pooled_a == pytest.approx(4 / 5)  # the invented voxel counts where cases are pooled
    assert math.isnan(row.low)


def test_a_mean_over_classes_is_over_those_that_both_runs_define() -> None:
    x, y = [0, 0, 1, 1, 2, 2], [0, 1, 1, 2, 2, 3]
    a = Run(Settings(), (record("x", x, x), record("y", y, [0, 1, 1, 2, 2, 0])))
    b = Run(Settings(), (record("x", x, [0, 3, 1, 1, 2, 0]), record("y", y, y)))
    comparison = compare_runs(a, b, metrics="dice", resamples=RESAMPLES)
    three, mean = comparison.rows[3:]
    assert (three.name, three.n, three.unpaired, three.only_b) == ("3", 1, 1, 1)  # B invents it in x: 0 there
    # x: A (1 + 1) / 2, B (1 + 2/3) / 2, without the class that only B defines; y: A (1 + 1 + 0) / 3, B 1
    assert (mean.mean_a, mean.mean_b) == (pytest.approx(5 / 6), pytest.approx(11 / 12))
    assert mean.difference == pytest.approx(1 / 12) == pytest.approx((-1 / 6 + 1 / 3) / 2)
    assert (mean.n, mean.unpaired, mean.only_a, mean.only_b) == (2, 0, 0, 0)
    # Pooled, each class is a class of both: A 1, 1, 0 and B 1, 6/7, 2/3
    assert (mean.pooled_a, mean.pooled_b) == (pytest.approx(2 / 3), pytest.approx((1 + 6 / 7 + 2 / 3) / 3))
    assert ">mean difference over 1 to 2 paired cases," in plot(comparison).decode()


def test_a_case_without_a_class_that_both_runs_define_is_one_unpaired_case() -> None:
    none = [0, 0, 0]
    a, b = (Run(Settings(), (record("x", none, [0, 0, label]), record("y", none, none))) for label in (1, 2))
    mean = compare_runs(a, b, metrics="dice").rows[-1]
    assert (mean.name, mean.n, mean.unpaired, mean.only_a, mean.only_b) == ("mean", 0, 1, 1, 1)
    assert math.isnan(mean.difference)


def test_a_label_that_only_one_run_predicts_is_a_class_of_both() -> None:
    true = [0, 0, 1, 1]
    a = Run(Settings(), (record("x", true, true),))
    b = Run(Settings(), (record("x", true, [0, 7, 1, 1]),))
    for pair, only in (((a, b), (0, 1)), ((b, a), (1, 0))):
        comparison = compare_runs(*pair, metrics=["dice", "cohen_kappa", "support"])
        row = comparison.metrics["dice"][2]
        assert (row.name, row.n, (row.only_a, row.only_b)) == ("7", 0, only)
        assert comparison.metrics["support"][2].n == 1


def test_other_cases_are_an_error_or_left_out() -> None:
    a, b = runs(cases=6)
    failed = CaseRecord("case004", "failed", "t", None, reason="no such file")
    one, other = with_records(a, *a.records[:4], failed), with_records(b, *b.records[1:4], failed)
    with pytest.raises(ValueError, match=r"only in A case000; only in B none"):
        compare_runs(one, other)
    comparison = compare_runs(one, other, cases="common", metrics="dice")
    assert comparison.cases == ("case001", "case002", "case003")
    assert comparison.left_out == ("case000", "case004")  # also what neither could score
    assert "left out: 2" in str(comparison)
    assert "2 left out" in plot(comparison).decode()
    same = with_records(a, *reversed(a.records))  # the order of records does not matter
    assert (
        compare_runs(same, b, metrics="dice", resamples=RESAMPLES).rows
        == compare_runs(a, b, metrics="dice", resamples=RESAMPLES).rows
    )


def test_many_other_cases_are_not_all_listed() -> None:
    a, b = runs(cases=30, voxels=10)
    with pytest.raises(ValueError, match=r"case009, … \(30 in all\)"):
        compare_runs(a, with_records(b))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"inputs": {"reference": {"size": 1, "sha256": "b"}}}, "'x' .another reference file"),
        ({"shape": (2, 2)}, r"'x' .shape \(4,\) and \(2, 2\)"),
    ],
)
def test_another_reference_of_the_same_case(values: dict[str, Any], message: str) -> None:
    true = [0, 0, 1, 1]
    known = {"reference": {"size": 1, "sha256": "a"}}
    a = Run(Settings(), (record("x", true, true, inputs=known),))
    with pytest.raises(ValueError, match=message):
        compare_runs(a, Run(Settings(), (record("x", true, true, **{"inputs": known, **values}),)))
    unhashed = {"reference": {"size": 1, "sha256": None}}
    compare_runs(a, Run(Settings(), (record("x", true, true, inputs=unhashed),)))


def test_a_truth_of_other_volume_is_another_reference() -> None:
    a = Run(Settings(), (record("x", [0, 0, 1, 1], [0, 0, 1, 1]),))
    b = Run(Settings(), (record("x", [0, 1, 1, 1], [0, 0, 1, 1]),))
    with pytest.raises(ValueError, match="'x' .true voxels of label 0: 2 and 1"):
        compare_runs(a, b)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"labels": (0, 1)}, r"labels: \[0, 1, 2, 3\] and \[0, 1\]"),
        ({"ignore": (9,)}, r"ignore: \[\] and \[9\]"),
        ({"regions": {"r": (1, 2)}}, "regions: "),
        ({"convention": "monai"}, "convention: 'fastseg' and 'monai'; background: False and True"),
        ({"background": True}, "background: False and True"),
        ({"unknown": "count"}, "unknown: 'raise' and 'count'"),
        ({"names": {1: "spleen"}}, "the name of label 1: 'liver' and 'spleen'"),
    ],
)
def test_settings_under_which_scores_mean_something_else(settings: dict[str, Any], message: str) -> None:
    a, b = runs(cases=2, names={1: "liver"})
    with pytest.raises(ValueError, match=message):
        compare_runs(a, with_records(b, *b.records, **settings))


def test_what_a_missing_prediction_does_may_differ_where_one_run_has_none() -> None:
    a, b = runs(cases=3)
    expected = compare_runs(a, b, resamples=RESAMPLES).rows
    for missing in ("worst", "skip"):
        assert compare_runs(a, with_records(b, *b.records, missing=missing), resamples=RESAMPLES).rows == expected
    lost = CaseRecord("z", "missing", "z", None)
    with_lost = with_records(b, *b.records, lost, missing="worst")
    found = compare_runs(a, with_lost, resamples=RESAMPLES)
    assert (found.rows, found.settings["missing"]) == (expected, "worst")
    with pytest.raises(ValueError, match="the runs differ in what they score: missing: 'skip' and 'worst'"):
        compare_runs(with_records(a, *a.records, lost, missing="skip"), with_lost)


def test_settings_that_mean_the_same_may_differ() -> None:
    a, b = runs(cases=5, names={1: "liver"}, metrics=("f1", "iou"))
    other = with_records(
        b, *b.records, labels=(3, 2, 1, 0), background=False, names={2: "spleen"}, map_prediction={9: 1},
        metrics=("jaccard", "recall"), seed=4,
    )  # fmt: skip
    comparison = compare_runs(a, other, resamples=RESAMPLES)
    assert list(comparison.metrics) == ["dice", "iou", "recall"]
    assert [row.name for row in comparison.metrics["iou"]] == ["0", "liver", "spleen", "3", "mean"]
    assert numbers(comparison.rows[1]) == numbers(compare_runs(a, b, resamples=RESAMPLES).rows[1])
