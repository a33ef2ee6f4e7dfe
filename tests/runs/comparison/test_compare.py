"""Comparisons of two runs: against SciPy on plain columns, textbook numbers, and what must hold of any comparison."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import stats
from support.compared_runs import RESAMPLES, numbers, record, runs, with_records

from fastseg import metrics as registry
from fastseg.counts import LabelCounts
from fastseg.runs.comparison.compare import compare_runs
from fastseg.runs.comparison.plot import plot
from fastseg.runs.comparison.statistics import holm
from fastseg.runs.run import Run
from fastseg.runs.scoring.records import CaseRecord
from fastseg.runs.scoring.settings import Settings

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
