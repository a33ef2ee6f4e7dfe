"""Comparisons of two runs: against SciPy on plain columns, textbook numbers, and what must hold of any comparison."""

from __future__ import annotations

import csv
import io
import json
import math
import re
import sys
import xml.dom.minidom
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import stats

from fastseg import cli, count_labels, metrics as registry
from fastseg.counts import LabelCounts
from fastseg.runs.comparison.compare import compare_runs
from fastseg.runs.comparison.plot import plot, write_comparison
from fastseg.runs.comparison.statistics import holm
from fastseg.runs.outputs.folder import write_outputs
from fastseg.runs.run import Run
from fastseg.runs.scoring.records import CaseRecord
from fastseg.runs.scoring.settings import Settings

RESAMPLES = 200


def record(case: str, true: Any, pred: Any, **values: Any) -> CaseRecord:
    """The record of two label maps; labels are those that occur."""
    counts = count_labels(true, pred, unknown=values.pop("unknown", "raise"), labels=values.pop("labels", None))
    given = {"id": case, "status": "scored", "reference": "t", "prediction": "p", "shape": np.shape(true)}
    return CaseRecord.with_counts(counts, **{**given, **values})


def runs(
    cases: int = 20, classes: int = 4, seed: int = 0, worse: float = 0.1, voxels: int = 120, **settings: Any
) -> Any:
    """Two runs over the same random truths: B is wrong more often by `worse`."""
    rng = np.random.default_rng(seed)
    found: tuple[list[CaseRecord], list[CaseRecord]] = ([], [])
    for n in range(cases):
        true = rng.integers(0, classes, voxels)
        hard = 0.1 + 0.2 * rng.random()
        for records, rate in zip(found, (hard, hard + worse), strict=True):
            pred = np.where(rng.random(voxels) < rate, rng.integers(0, classes, voxels), true)
            records.append(record(f"case{n:03}", true, pred))
    chosen = Settings(**{"labels": tuple(range(classes)), **settings})
    return tuple(Run(chosen, tuple(records)) for records in found)


def with_records(run: Run, *records: CaseRecord, **settings: Any) -> Run:
    return Run(replace(run.settings, **settings), records)


def numbers(row: Any) -> list[float]:
    return [value for value in row if isinstance(value, float)]


# ---- Comparisons against plain columns


def test_a_row_is_what_plain_calls_say() -> None:
    a, b = runs(worse=0.03)
    comparison = compare_runs(a, b, metrics=["iou", "false_positive_rate"], confidence=0.9, resamples=RESAMPLES, seed=3)
    assert [(row.metric, row.name) for row in comparison.rows] == [
        (metric, name) for metric in ("iou", "false_positive_rate") for name in ("0", "1", "2", "3", "mean")
    ]
    for metric, rows in comparison.metrics.items():
        for k, row in enumerate(rows):
            one, other = (run.values(metric) for run in (a, b))
            one, other = (values[:, k] if k < 4 else values[:, 1:].mean(1) for values in (one, other))
            difference = other - one
            assert (row.n, row.unpaired) == (20, 0)
            assert [row.mean_a, row.mean_b] == pytest.approx([one.mean(), other.mean()])
            assert row.difference == pytest.approx(difference.mean())
            assert row.median == pytest.approx(np.median(difference))
            assert (row.wins, row.losses) == tuple(
                int((sign * difference > 1e-12).sum()) for sign in ((1, -1) if metric == "iou" else (-1, 1))
            )
            assert row.wins + row.ties + row.losses == 20
            if (np.abs(difference) > 1e-12).all() and np.unique(np.round(np.abs(difference), 12)).size == 20:
                assert row.p == pytest.approx(stats.wilcoxon(difference, method="exact").pvalue)
            expected = stats.bootstrap(
                (difference,), np.mean, n_resamples=RESAMPLES, confidence_level=0.9, method="percentile",
                random_state=np.random.default_rng(3),
            )  # fmt: skip
            assert [row.low, row.high] == pytest.approx(list(expected.confidence_interval), abs=1e-12)
        assert [row.p_holm for row in rows] == holm([row.p for row in rows])
        for row in rows:
            assert (row.verdict != "") == (row.p_holm < 0.1)


@pytest.mark.parametrize("metric", ["dice", "relative_volume_difference", "cohen_kappa", "balanced_accuracy"])
def test_pooled_values_are_of_summed_counts_and_their_interval_is_over_cases(metric: str) -> None:
    a, b = runs(cases=12)
    rows = compare_runs(a, b, metrics=metric, resamples=RESAMPLES, seed=5).rows
    entry = registry.get(metric)

    def pooled(run: Run, places: Any) -> Any:
        values = entry(run.counts(places).pooled())
        return values if entry.overall is not None else np.append(values, values[:, 1:].mean())

    generator, found = np.random.default_rng(5), []
    for _ in range(RESAMPLES):
        places = generator.integers(0, 12, 12)
        found.append(pooled(b, places) - pooled(a, places))
    ends = np.quantile(np.reshape(found, (RESAMPLES, -1)), [0.025, 0.975], axis=0)
    everything = np.arange(12)
    one, other = (np.reshape(pooled(run, everything), -1) for run in (a, b))
    assert len(rows) == one.size
    assert [row.pooled_a for row in rows] == pytest.approx(one)
    assert [row.pooled_difference for row in rows] == pytest.approx(other - one)
    assert [row.pooled_low for row in rows] == pytest.approx(ends[0])
    assert [row.pooled_high for row in rows] == pytest.approx(ends[1])


@pytest.mark.parametrize("convention", ["fastseg", "monai", "sklearn", "nnunet"])
def test_exchanging_the_runs_negates_the_differences(convention: str) -> None:
    a, b = runs(cases=15, classes=5, voxels=25, worse=0.5, convention=convention)
    metrics = ["dice", "recall", "relative_volume_difference", "false_positive_rate", "accuracy", "support"]
    there, back = (compare_runs(*pair, metrics=metrics, resamples=RESAMPLES) for pair in ((a, b), (b, a)))
    assert {"A", "B"} & {row.verdict for row in there.rows}
    for row, other in zip(there.rows, back.rows, strict=True):
        assert (row.metric, row.key, row.name, row.n, row.ties) == (
            other.metric, other.key, other.name, other.n, other.ties,
        )  # fmt: skip
        assert (row.only_a, row.only_b, row.wins, row.losses) == (other.only_b, other.only_a, other.losses, other.wins)
        np.testing.assert_array_equal([row.p, row.p_holm], [other.p, other.p_holm])
        np.testing.assert_array_equal(
            [row.effect, row.mean_a, row.pooled_a], [-other.effect, other.mean_b, other.pooled_b]
        )
        np.testing.assert_allclose(
            [row.difference, row.median, row.low, row.high, row.pooled_difference, row.pooled_low, row.pooled_high],
            [-x for x in (
                other.difference, other.median, other.high, other.low,
                other.pooled_difference, other.pooled_high, other.pooled_low,
            )],
            atol=1e-12,
        )  # fmt: skip
        assert other.verdict == {"A": "B", "B": "A"}.get(row.verdict, row.verdict)


def test_a_run_does_not_differ_from_itself() -> None:
    a, _ = runs()
    comparison = compare_runs(a, a, metrics=["dice", "specificity", "matthews_corrcoef"], resamples=RESAMPLES)
    for row in comparison.rows:
        assert (row.difference, row.low, row.high, row.median, row.pooled_difference, row.pooled_low) == (0,) * 6
        assert (row.p, row.p_holm, row.effect, row.ties, row.verdict) == (1.0, 1.0, 0.0, row.n, "")
    assert "nan" not in str(comparison)
    assert "+0" not in str(comparison)


def test_a_run_compared_with_itself_is_noted() -> None:
    true = [0, 0, 1, 1]
    a = Run(Settings(labels=(0, 1)), (record("x", true, true), record("y", true, [0, 0, 0, 1])))
    same = with_records(a, *(replace(each, prediction="copy") for each in reversed(a.records)))
    for other, alike in ((a, True), (same, True), (with_records(a, a.records[0], record("y", true, true)), False)):
        comparison = compare_runs(a, other, metrics="dice", resamples=RESAMPLES)
        assert (
            "A and B have the same counts in every case, as a run has that is compared with itself\n" in str(comparison)
        ) == alike
        assert comparison.to_dict()["alike"] == alike
    missed = CaseRecord("x", "missing", "t", None, unknown=np.array([[0, 2], [1, 2]]), voxels=(4, 0, 0, 4))
    worst, scored = (
        Run(Settings(labels=(0, 1), unknown="count", missing="worst"), (replace(missed, status=status),))
        for status in ("missing", "scored")
    )
    assert not compare_runs(worst, scored, resamples=2).alike  # the worst values are no function of counts


def test_the_same_seed_gives_the_same_bytes_and_another_does_not() -> None:
    a, b = runs()
    first, again = (compare_runs(a, b, resamples=RESAMPLES, seed=1).to_csv() for _ in range(2))
    assert first == again
    assert compare_runs(a, b, resamples=RESAMPLES, seed=2).to_csv() != first


@pytest.mark.parametrize("cases", [0, 1, 2])
def test_few_cases(cases: int) -> None:
    a, b = runs(cases=cases, metrics=("dice", "accuracy"))
    comparison = compare_runs(a, b, resamples=RESAMPLES)
    for row in comparison.rows:
        assert row.n == cases
        assert math.isnan(row.low) == math.isnan(row.pooled_high) == (cases < 2)
        assert math.isnan(row.p) == math.isnan(row.difference) == (cases == 0)
        assert row.verdict == ""
    json.dumps(comparison.to_dict(), allow_nan=False)
    assert str(comparison)
    assert plot(comparison)


def test_every_metric() -> None:
    a, b = runs(cases=6, worse=0.3)
    metrics = list(dict.fromkeys(metric.name for metric in registry.REGISTRY.values()))
    comparison = compare_runs(a, b, metrics=metrics, resamples=RESAMPLES)
    assert list(comparison.metrics) == metrics
    assert all(math.isfinite(value) for row in comparison.rows for value in numbers(row))
    assert len(plot(comparison)) > 100_000


def test_no_classes_at_all() -> None:
    empty = Run(Settings(), ())
    comparison = compare_runs(empty, empty, metrics=["dice", "cohen_kappa"])
    assert [(row.name, row.n) for row in comparison.rows] == [("mean", 0), ("all", 0)]
    assert plot(comparison)


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


def test_a_mean_over_one_class_is_no_further_test() -> None:
    a, b = runs(classes=2, worse=0.05)
    background, only, mean = compare_runs(a, b, metrics="dice", resamples=RESAMPLES).rows
    assert [background.p_holm, only.p_holm] == holm([background.p, only.p])
    assert (mean.p, mean.p_holm) == (only.p, only.p_holm)


def test_regions_and_unknown_predictions() -> None:
    rng = np.random.default_rng(0)
    settings = Settings(labels=(0, 1, 2), unknown="count", regions={"both": (1, 2), "one": (1,)})
    pair = []
    truths = rng.integers(0, 3, (8, 60))
    for wrong in (0.1, 0.4):
        records = []
        for n, true in enumerate(truths):
            pred = np.where(rng.random(60) < wrong, rng.integers(0, 6, 60), true)
            records.append(record(f"{n}", true, pred, labels=[0, 1, 2], unknown="count"))
        pair.append(Run(settings, tuple(records)))
    comparison = compare_runs(*pair, metrics=["recall", "accuracy"], resamples=RESAMPLES)
    assert [(row.name, row.key) for row in comparison.rows] == [
        ("both", (1, 2)), ("one", (1,)), ("mean", None), ("all", None),
    ]  # fmt: skip
    pooled = pair[1].counts().pooled()
    assert comparison.rows[0].pooled_b == registry.get("recall")(pooled.regions({"both": [1, 2]})).item()
    assert comparison.rows[3].pooled_b == registry.get("accuracy")(pooled).item()


@pytest.mark.parametrize(("metric", "verdicts"), [
    ("dice", ("A", "B")), ("false_negative_rate", ("A", "B")), ("relative_volume_difference", ("differs", "differs")),
])  # fmt: skip
def test_which_run_is_better(metric: str, verdicts: tuple[str, str]) -> None:
    true = np.repeat([0, 1], 40)
    records: tuple[list[CaseRecord], list[CaseRecord]] = ([], [])
    for n in range(8):
        for k, missed in enumerate((n + 1, n + 12)):  # B misses more, and so has the volume further from the truth
            pred = true.copy()
            pred[40 : 40 + missed] = 0
            records[k].append(record(f"{n}", true, pred))
    a, b = (Run(Settings(labels=(0, 1)), tuple(each)) for each in records)
    for pair, verdict, wins in (((a, b), verdicts[0], 0), ((b, a), verdicts[1], 8)):
        row = compare_runs(*pair, metrics=metric, resamples=RESAMPLES).rows[1]
        assert (row.p, row.verdict, row.wins, row.losses) == (2 / 2**8, verdict, wins, 8 - wins)


def test_means_and_ranks_that_disagree_are_no_verdict() -> None:
    true = np.repeat([0, 1], 400)
    records: tuple[list[CaseRecord], list[CaseRecord]] = ([], [])
    for n in range(20):
        for k, missed in enumerate((2 * n + 20, 390 if n == 0 else 2 * n + 1)):  # B is a little better but for one case
            pred = true.copy()
            pred[400 : 400 + missed] = 0
            records[k].append(record(f"{n}", true, pred))
    a, b = (Run(Settings(labels=(0, 1)), tuple(each)) for each in records)
    row = compare_runs(a, b, metrics="recall", resamples=RESAMPLES).rows[1]
    assert row.p_holm < 0.05
    assert row.effect > 0 > row.difference
    assert row.verdict == "differs"


# ---- The same cases


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


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"confidence": 1.0}, "confidence"), ({"confidence": math.nan}, "confidence"), ({"resamples": 0}, "resamples"),
        ({"seed": -1}, "seed"), ({"metrics": ["dicee"]}, "dicee"), ({"metrics": []}, "at least one"),
        ({"cases": "all"}, "cases"),
    ],
)  # fmt: skip
def test_wrong_arguments(wrong: dict[str, Any], message: str) -> None:
    a, b = runs(cases=2)
    with pytest.raises(ValueError, match=message):
        compare_runs(a, b, **wrong)


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


# ---- What people see


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


@pytest.mark.parametrize("name", ["x", "structure with a very long name"])
@pytest.mark.parametrize("metrics", [["dice"], ["dice", "iou", "recall", "precision", "specificity"]])
def test_the_picture_is_a_page_wide_at_most(name: str, metrics: list[str]) -> None:
    pair = runs(cases=3, names={k: f"{name} {k}" for k in range(1, 4)})
    image = xml.dom.minidom.parseString(plot(compare_runs(*pair, metrics=metrics, resamples=2))).documentElement
    width, height = (float(image.getAttribute(side).strip("pt")) / 72 for side in ("width", "height"))
    assert width <= 12.01
    assert (height > 5) == (len(metrics) > 1)


def test_the_picture_is_the_same_each_time_and_holds_any_name() -> None:
    names = {0: "$x^2$ \x1b[31m", 1: "左肾 <b> --> ]]> &amp;", 2: "\ud800", 3: "long " * 50}
    a, b = runs(names=names)
    metrics = ["dice", "false_positive_rate", "relative_volume_difference", "support", "iou", "cohen_kappa"]
    comparison = compare_runs(a, b, metrics=metrics, resamples=RESAMPLES, names=("\x00", "$\\frac$"))
    first = plot(comparison)
    assert first == plot(comparison)
    xml.dom.minidom.parseString(first)
    assert "左肾 &lt;b&gt;" in first.decode()
    assert plot(comparison, "png").startswith(b"\x89PNG")


def test_the_picture_leaves_matplotlib_as_it_was() -> None:
    import matplotlib

    before = dict(matplotlib.rcParams)
    with matplotlib.rc_context({"font.size": 30.0, "axes.grid": True}):
        a, b = runs(cases=3)
        comparison = compare_runs(a, b, metrics="dice", resamples=RESAMPLES)
        changed = plot(comparison)
        assert matplotlib.rcParams["font.size"] == 30
    assert changed == plot(comparison)
    assert dict(matplotlib.rcParams) == before


def test_the_picture_grows_with_the_classes() -> None:
    a, b = runs(cases=4, classes=110, voxels=300)
    heights = []
    for labels in (110, 150):
        pair = (with_records(run, *run.records, labels=tuple(range(labels))) for run in (a, b))
        image = plot(compare_runs(*pair, metrics="dice", resamples=50))
        heights.append(float(xml.dom.minidom.parseString(image).documentElement.getAttribute("height").strip("pt")))
    assert heights[0] > 110 * 12
    assert heights[1] - heights[0] == pytest.approx(40 * 0.21 * 72, rel=1e-3)


def test_files(tmp_path: Any) -> None:
    a, b = runs(cases=3)
    comparison = compare_runs(a, b, metrics="dice", resamples=RESAMPLES)
    write_comparison(comparison, tmp_path / "new" / "folder")
    written = {path.name: path.read_bytes() for path in (tmp_path / "new" / "folder").iterdir()}
    assert sorted(written) == ["comparison.csv", "comparison.json", "comparison.svg"]
    assert json.loads(written["comparison.json"]) == json.loads(json.dumps(comparison.to_dict()))
    assert written["comparison.csv"].decode() == comparison.to_csv()
    assert written["comparison.svg"] == plot(comparison)


def test_without_matplotlib_all_but_the_picture_is_written(tmp_path: Any, monkeypatch: Any, capsys: Any) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)  # which cannot be imported then
    paths = [tmp_path / name for name in ("old", "new")]
    for run, path in zip(runs(cases=3), paths, strict=True):
        write_outputs(run, path)
    comparison = compare_runs(*paths, resamples=RESAMPLES)
    message = re.escape('comparison.svg: drawing needs Matplotlib: pip install "fastseg-metrics[report]"')
    (tmp_path / "comparison.svg").write_text("of an earlier comparison")
    with pytest.raises(ImportError, match=message):
        write_comparison(comparison, tmp_path)
    assert sorted(path.name for path in tmp_path.glob("c*")) == ["comparison.csv", "comparison.json"]
    assert (tmp_path / "comparison.csv").read_text() == comparison.to_csv()

    monkeypatch.setattr(sys, "argv", ["fastseg", "compare", *map(str, paths), "-o", str(tmp_path / "out")])
    with pytest.raises(SystemExit) as done:
        cli.main()
    out, err = capsys.readouterr()
    assert done.value.code == 0
    assert "wins/ties/losses" in out
    assert re.fullmatch(f"fastseg: {message}\n", err)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["comparison.csv", "comparison.json"]


# ---- Size and chance


def test_thousands_of_cases() -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(14)
    pair = []
    support = rng.integers(1, 5000, (2000, 14))
    for _ in range(2):
        records = []
        for n, true in enumerate(support):
            matrix = np.diag(true - true // 4)
            matrix[np.arange(14), rng.permutation(14)] += true // 4
            voxels = np.array([[true.sum(), 0, 0, 0]])
            counts = LabelCounts(labels, True, matrix[None], np.zeros((1, 14), np.int64), voxels)
            records.append(CaseRecord.with_counts(counts, id=f"{n:04}", status="scored", reference="t", prediction="p"))
        pair.append(Run(Settings(labels=tuple(range(14))), tuple(records)))
    comparison = compare_runs(*pair)
    assert len(comparison.rows) == 4 * 15
    assert all(row.n == 2000 and row.low < row.difference < row.high for row in comparison.rows)


def test_comparisons_under_the_null_reject_seldom_and_with_a_difference_often() -> None:
    found: dict[float, list[bool]] = {0.0: [], 0.15: []}
    for seed in range(40):
        for worse, verdicts in found.items():
            a, b = runs(cases=15, voxels=60, seed=seed, worse=worse)
            verdicts.append(any(row.verdict for row in compare_runs(a, b, metrics="dice", resamples=10).rows))
    assert np.mean(found[0.0]) < 0.12  # any of five rows
    assert np.mean(found[0.15]) > 0.8
