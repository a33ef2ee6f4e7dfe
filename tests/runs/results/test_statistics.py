"""Summaries of runs: examples worked out by hand, and intervals against a plain call of scipy.stats.bootstrap."""

from __future__ import annotations

import inspect
import math
import os
import statistics
import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import stats

from fastseg import metrics as registry
from fastseg.metrics.conventions import CONVENTIONS
from fastseg.runs.results.statistics import Summary, at_once, summarise
from fastseg.runs.run import Run
from fastseg.runs.scoring.records import CaseRecord
from fastseg.runs.scoring.settings import Settings

NAN = float("nan")


def record(number: int, pairs: list[tuple[int, int, int]]) -> CaseRecord:
    voxels = (sum(pair[2] for pair in pairs), 0, 0, 0)
    table = np.array(pairs, np.int64).reshape(-1, 3)
    return CaseRecord(f"case {number:04}", "scored", "reference", "prediction", pairs=table, voxels=voxels)


def run_of(*cases: list[tuple[int, int, int]], **settings: Any) -> Run:
    settings = {"labels": (0, 1, 2), "metrics": ("dice",), "resamples": 200, **settings}
    return Run(Settings(**settings), tuple(record(n, pairs) for n, pairs in enumerate(cases)))


def random_run(cases: int, seed: int = 0, **settings: Any) -> Run:
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(cases):
        labels = [k for k in range(3) if k == 0 or rng.random() < 0.7]
        made.append([(t, p, int(rng.integers(1, 100))) for t in labels for p in labels])
    return run_of(*made, **settings)


def same(a: Any, b: Any) -> bool:
    """Tell whether rows are equal bit for bit, NaN to NaN."""
    return repr(a) == repr(b)


# Dice of label 1: 1, 0.5, 0, -; of label 2: 0.8, -, -, -. Background: 1 (of 10), 18/20, 2*7/(14+3), 1.
CASES = (
    [(0, 0, 10), (1, 1, 5), (2, 2, 2), (2, 1, 0), (2, 0, 1)],
    [(0, 0, 9), (0, 1, 1), (1, 1, 1), (1, 0, 1)],
    [(0, 0, 7), (1, 0, 3)],
    [(0, 0, 10)],
)


def test_by_hand() -> None:
    background, one, two, mean = summarise(run_of(*CASES, names={1: "liver"}))
    assert [(row.metric, row.key, row.name) for row in (background, one, two, mean)] == [
        ("dice", 0, "0"), ("dice", 1, "liver"), ("dice", 2, "2"), ("dice", None, "mean"),
    ]  # fmt: skip
    assert {row.cases for row in (background, one, two, mean)} == {4}
    assert background[3:4] + background[-2:] == (pytest.approx((20 / 21 + 0.9 + 14 / 17 + 1) / 4), 4, 4)
    assert (one.mean, one.median, one.std) == (0.5, 0.5, 0.5)
    assert (one.q1, one.q3, one.min, one.max, one.defined) == (0.25, 0.75, 0, 1, 3)
    assert 0 <= one.low < 0.5 < one.high <= 1
    assert (two.mean, two.median, two.q1, two.q3, two.min, two.max) == (0.8,) * 6
    assert (two.defined, str(two.std), str(two.low), str(two.high)) == (1, "nan", "nan", "nan")
    # each case's mean over the foreground: (1 + 0.8) / 2, 0.5, 0, -
    assert (mean.mean, mean.defined) == (pytest.approx((0.5 + 0.8) / 2), 2)
    assert (mean.median, mean.min, mean.max) == (0.5, 0, 0.9)
    assert mean.std == pytest.approx(statistics.stdev([0.9, 0.5, 0]))
    assert mean.low < mean.mean < mean.high


def test_of_pooled_counts() -> None:
    run = run_of(*CASES, convention="sklearn")
    background, one, two, mean = summarise(run)
    # TP, FP, FN: 36, 5, 1; 6, 1, 4; 2, 0, 1
    assert [row.mean for row in (background, one, two)] == pytest.approx([72 / 78, 12 / 17, 4 / 5])
    assert [row.defined for row in (background, one, two, mean)] == [4, 3, 1, 3]
    assert mean.mean == pytest.approx((72 / 78 + 12 / 17 + 4 / 5) / 3)
    assert one.low < one.mean < one.high
    assert math.isnan(two.low)
    assert one.median == 0.5


def test_regions_and_one_number_for_all_classes() -> None:
    run = run_of(*CASES, regions={"all": (1, 2), "one": (1,)}, metrics=("f1", "accuracy"))
    union, one, mean, accuracy = summarise(run)
    assert (union.key, union.name, one.key) == ((1, 2), "all", (1,))
    assert (mean.metric, mean.mean) == ("f1", pytest.approx((union.mean + one.mean) / 2))
    assert (accuracy.metric, accuracy.key, accuracy.name, accuracy.defined) == ("accuracy", None, "all", 4)
    assert accuracy.mean == pytest.approx((17 / 18 + 10 / 12 + 0.7 + 1) / 4)
    assert accuracy.low < accuracy.mean < accuracy.high
    assert [row.name for row in summarise(run, ["cohen_kappa"])] == ["all"]
    assert summarise(run, []) == []


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_no_case_and_one_case(convention: str) -> None:
    metrics = ("dice", "precision", "accuracy")
    for row in summarise(run_of(convention=convention, metrics=metrics)):
        assert (row.defined, row.cases) == (0, 0)
        assert np.isnan(row[3:-2]).all()
    single = run_of(CASES[0], convention=convention, metrics=metrics)
    for row in summarise(single):
        assert row.cases == 1
        assert np.isnan([row.std, row.low, row.high]).all()
        assert row.defined == (1 if row.name != "mean" else row.defined)
        assert row.mean == pytest.approx(row.median)
    assert summarise(run_of(convention=convention, labels=None))[-1].defined == 0


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_means_are_the_runs_and_rows_are_in_order(convention: str) -> None:
    names = tuple(sorted(set(registry.REGISTRY)))
    run = random_run(9, convention=convention, metrics=names)
    rows = summarise(run)
    expected: list[tuple[str, str, float]] = []
    for name in names:
        if registry.get(name).overall is not None:
            expected.append((name, "all", run.mean(name)))
        else:
            expected += [(name, str(k), value) for k, value in enumerate(run.class_values(name).tolist())]
            expected.append((name, "mean", run.mean(name)))
    assert [(row.metric, row.name) for row in rows] == [(metric, name) for metric, name, _ in expected]
    np.testing.assert_array_equal([row.mean for row in rows], [mean for *_, mean in expected])
    for row in rows:
        assert not row.low > row.mean + 1e-12, row
        assert not row.high < row.mean - 1e-12, row


def plain(data: Any, statistic: Any, settings: Settings) -> tuple[float, float]:
    named = "rng" if "rng" in inspect.signature(stats.bootstrap).parameters else "random_state"
    options: Any = {named: np.random.default_rng(settings.seed), "n_resamples": settings.resamples, "paired": True}
    options |= {"confidence_level": settings.confidence, "method": "percentile", "vectorized": True, "axis": -1}
    found = stats.bootstrap(data, statistic, **options)
    return tuple(float(end) for end in found.confidence_interval)


@pytest.mark.parametrize("confidence", [0.95, 0.5])
@pytest.mark.parametrize("cases", [2, 7, 60])
def test_intervals_are_those_of_scipy_of_one_column(cases: int, confidence: float) -> None:
    run = random_run(cases, confidence=confidence, seed=3, metrics=("iou", "dice"))
    background = summarise(run)[4]  # defined in all cases
    expected = plain((run.values("dice")[:, 0],), lambda values, axis: values.mean(axis), run.settings)
    assert (background.low, background.high) == pytest.approx(expected, abs=1e-11)


def test_intervals_of_ratios_are_those_of_scipy() -> None:
    """Of pooled counts, of means over cases that are defined, and of the mean over classes."""
    run = random_run(40, convention="sklearn", metrics=("iou", "recall"))
    tp, fp, fn = (array[:, 1] for array in (run.binary.tp, run.binary.fp, run.binary.fn))
    expected = plain((tp, fp, fn), lambda a, b, c, axis: a.sum(axis) / (a + b + c).sum(axis), run.settings)
    one = summarise(run)[1]
    assert (one.low, one.high) == pytest.approx(expected, abs=1e-11)
    run = random_run(40)
    values = run.values("dice")[:, 1:]
    assert np.isnan(values).any(0).all()
    data = values.T[0], values.T[1]
    one, two, mean = summarise(run)[1:]
    for row, column in ((one, data[0]), (two, data[1])):
        expected = plain((column,), np.nanmean, run.settings)
        assert (row.low, row.high) == pytest.approx(expected, abs=1e-11)
    expected = plain(data, lambda a, b, axis: (np.nanmean(a, axis) + np.nanmean(b, axis)) / 2, run.settings)
    assert (mean.low, mean.high) == pytest.approx(expected, abs=1e-11)


@pytest.mark.parametrize("convention", ["monai", "torchmetrics"])
def test_intervals_of_means_over_cases_are_those_of_scipy(convention: str) -> None:
    run = random_run(40, convention=convention, metrics=("iou",))
    values = run.values("iou")
    if convention == "monai":
        expected = plain((np.nanmean(values, 1),), lambda means, axis: means.mean(axis), run.settings)
    else:
        expected = plain(tuple(values.T), lambda *columns, axis: np.nanmean(columns, (0, -1)), run.settings)
    mean = summarise(run)[-1]
    assert (mean.low, mean.high) == pytest.approx(expected, abs=1e-11)


def test_draws_without_a_value_are_left_out() -> None:
    """Label 2 is in two cases of many: a draw often has neither, and MONAI's 0 for that is not a Dice."""
    cases = [[(0, 0, 9)] for _ in range(10)] + [[(0, 0, 5), (2, 2, 6), (2, 0, k)] for k in (1, 3)]
    worst, best = 12 / 15, 12 / 13
    for convention in ("fastseg", "monai", "nnunet", "sklearn"):
        for row in summarise(run_of(*cases, convention=convention)):
            if row.key == 2:
                assert (row.low, row.high) == pytest.approx((worst, best))
            if row.key == 1:
                assert (row.defined, str(row.low), row.mean if convention == "monai" else 0) == (0, "nan", 0)


def test_ends_are_quantiles_of_the_draws_that_have_a_value() -> None:
    cases = [[(0, 0, 5)]] * 6 + [[(0, 0, 5), (2, 2, 5), (2, 0, k)] for k in range(4)]
    run = run_of(*cases, confidence=0.5, metrics=("dice", "cohen_kappa"))
    rows = summarise(run)
    rng = np.random.default_rng(run.settings.seed)
    drawn = rng.integers(0, len(cases), (run.settings.resamples, len(cases)))
    for row, column in ((rows[2], run.values("dice")[:, 2]), (rows[4], run.values("cohen_kappa")[:, 0])):
        means = [np.nanmean(values) for values in column[drawn] if not np.isnan(values).all()]
        assert len(means) < len(drawn)
        assert (row.low, row.high) == pytest.approx(tuple(np.quantile(means, [0.25, 0.75])), abs=1e-11)


def test_equal_cases_and_no_resamples() -> None:
    one = summarise(run_of(*[CASES[0]] * 5))[1]
    assert one[3:-2] == (1, 1, 0, 1, 1, 1, 1, 1, 1)
    for resamples in (0, 1):
        one = summarise(run_of(*CASES, resamples=resamples))[1]
        assert np.isnan([one.low, one.high]).all()
    background = summarise(run_of(*CASES, resamples=2))[0]
    assert 0 < background.low <= background.high <= 1


def test_seed_and_order_decide_and_nothing_else() -> None:
    run = random_run(30, metrics=("dice", "iou"))
    rows = summarise(run)
    assert same(rows, summarise(Run(run.settings, run.records)))
    assert same(rows[:4], summarise(run, ["dice"]))  # the same draws, whatever else is asked
    other = summarise(Run(replace(run.settings, seed=1), run.records))
    assert other[1].low != rows[1].low
    assert [row[:9] for row in other] == [row[:9] for row in rows]


@pytest.mark.parametrize("convention", ["fastseg", "sklearn"])
def test_how_much_is_in_memory_makes_no_difference(convention: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run = random_run(20, metrics=("dice", "iou", "accuracy", "recall"), convention=convention)
    rows = summarise(run)
    monkeypatch.setattr("fastseg.runs.results.statistics._MEANS_AT_ONCE", 1000)
    monkeypatch.setattr("fastseg.runs.results.bootstrap._AT_ONCE", 100)
    assert same(rows, summarise(run))


def test_as_many_metrics_at_once_as_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastseg.runs.results.statistics._MEANS_AT_ONCE", 60)
    assert list(at_once([3, 3, 3, 3, 1], 10)) == [slice(0, 2), slice(2, 4), slice(4, 5)]
    assert list(at_once([9, 1], 10)) == [slice(0, 1), slice(1, 2)]


CHILD = """
import sys
sys.path.insert(0, {tests!r})
from test_statistics import random_run, summarise
for convention in ("fastseg", "sklearn"):
    print(summarise(random_run(700, convention=convention, metrics=("dice", "recall", "relative_volume_difference"))))
"""


def test_numbers_are_the_same_for_any_number_of_threads() -> None:
    found = set()
    for threads in ("1", "2", "3"):
        env = {**os.environ, "OPENBLAS_NUM_THREADS": threads, "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
        code = CHILD.format(tests=os.path.dirname(__file__))
        child = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, env=env)
        assert child.returncode == 0, child.stderr
        found.add(child.stdout)
    assert len(found) == 1


def test_a_summary_has_the_fields_that_reports_name() -> None:
    assert Summary._fields == (
        "metric", "key", "name", "mean", "median", "std", "q1", "q3", "min", "max", "low", "high", "defined", "cases",
    )  # fmt: skip
