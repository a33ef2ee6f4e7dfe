"""The functions of label maps and of masks, one for each metric: they agree with the metric of the counts."""

from __future__ import annotations

import re
import tracemalloc
from typing import Any

import numpy as np
import pytest

import fastseg
from fastseg import metrics
from fastseg.api.calls import function_of

RANDOM = np.random.default_rng(5)
TRUE = RANDOM.integers(0, 5, (3, 8, 9)).astype(np.uint8)
PRED = np.where(RANDOM.random(TRUE.shape) < 0.3, RANDOM.integers(0, 5, TRUE.shape), TRUE).astype(np.uint8)
METRICS = sorted({metric.name for metric in metrics.REGISTRY.values()})
OPTIONS: list[dict[str, Any]] = [
    {},
    {"num_classes": 7},
    {"num_classes": 6, "sample_axis": 0},
    {"labels": [4, 3, 2, 1, 0]},
    {"labels": [0, 1, 2, 3, 4], "sample_axis": 2},
    {"ignore_index": 9, "num_classes": 5},
    {"ignore_index": [1, 9], "num_classes": 5, "sample_axis": 0},
    {"ignore_index": 1},
    {"mask": RANDOM.random(TRUE.shape) < 0.5, "num_classes": 5},
    {"sample_weight": RANDOM.random(TRUE.shape), "num_classes": 5, "sample_axis": 0},
    {"ignore_index": [3, 4], "labels": [0, 1, 2], "unknown": "count", "sample_axis": 0},
    {"backend": "numpy", "num_classes": 5},
]


def same(found: Any, expected: Any) -> None:
    np.testing.assert_array_equal(found, expected)
    assert np.shape(found) == np.shape(expected)


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: ",".join(options))
@pytest.mark.parametrize("name", METRICS)
def test_a_function_is_the_metric_of_the_counts(name: str, options: dict[str, Any]) -> None:
    counts, samples = fastseg.count_labels(TRUE, PRED, **options), options.get("sample_axis") is not None
    metric = metrics.get(name)
    for average in (None,) if metric.overall else (None, "macro", "micro", "weighted"):
        values = metric(counts, average=average)
        same(function_of(name)(TRUE, PRED, average=average, **options), values if samples else values[0])


@pytest.mark.parametrize("include_background", [True, False])
def test_of_some_labels_without_background(include_background: bool) -> None:
    values = metrics.dice(fastseg.count_labels(TRUE, PRED), average="macro", include_background=include_background)
    assert fastseg.dice(TRUE, PRED, average="macro", include_background=include_background) == values[0]


@pytest.mark.parametrize("name", METRICS)
def test_of_masks(name: str) -> None:
    true, pred = (np.stack([labels == k for k in range(5)], 1) for labels in (TRUE, PRED))
    counts = fastseg.count_masks(true, pred, channel_axis=1, sample_axis=0)
    function, metric = function_of(name), metrics.get(name)
    same(function(true, pred, channel_axis=1, sample_axis=0), metric(counts))
    same(function(true, pred, channel_axis=1), metric(counts.pooled())[0])
    assert function(true, pred, channel_axis=1, average="macro") == metric(counts.pooled(), average="macro")[0]


def test_masks_have_as_many_classes_as_channels() -> None:
    masks = np.ones((2, 3), bool)
    with pytest.raises(TypeError, match="unexpected keyword argument 'num_classes' .*as many classes as channels"):
        fastseg.iou(masks, masks, channel_axis=0, num_classes=2)


@pytest.mark.parametrize("shape", [(4, 5), (0, 5)])
def test_the_errors_are_those_of_the_counts(shape: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="y_pred: expected the shape of y_true"):
        fastseg.dice(np.zeros(shape, int), np.zeros((3, 5), int), num_classes=2)


def test_there_is_no_matrix_for_each_sample() -> None:
    true = RANDOM.integers(0, 2000, (16, 200))
    fastseg.dice(true, true, num_classes=2000, sample_axis=0)
    tracemalloc.start()
    try:
        assert (fastseg.dice(true, true[:, ::-1], num_classes=2000, sample_axis=0) == 0).any()
        assert tracemalloc.get_traced_memory()[1] < 16 * 2000**2  # an eighth of the matrices
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", METRICS)
def test_of_counts_that_somebody_has(name: str) -> None:
    function, metric = function_of(name), metrics.get(name)
    counts = fastseg.count_labels(TRUE, PRED, sample_axis=0)
    for each in (counts, counts.one_vs_rest()):
        same(function(each), metric(each))
    if metric.overall is None:
        options: dict[str, Any] = {"average": "macro", "include_background": False, "zero_division": 0.5}
        same(function(counts, **options), metric(counts, **options))


def test_counts_take_nothing_that_is_for_arrays() -> None:
    counts = fastseg.count_labels(TRUE, PRED)
    with pytest.raises(TypeError, match=r"^dice\(\) of LabelCounts takes no y_pred, which it has seen"):
        fastseg.dice(counts, PRED)
    for option in ("num_classes", "channel_axis", "mask"):
        with pytest.raises(TypeError, match=rf"of LabelCounts got an unexpected keyword argument '{option}'"):
            fastseg.dice(counts, **{option: 1})
    with pytest.raises(TypeError, match=r"^fbeta\(\) got an unexpected keyword argument 'alpha' \(fastseg.tversky"):
        fastseg.fbeta(counts, alpha=1)  # type: ignore[call-overload]
    with pytest.raises(
        TypeError, match=r"^dice\(\) missing a required argument: 'y_pred' .y_pred: expected an array, found"
    ):
        fastseg.dice(TRUE)
    pairs = fastseg.count_pairs(TRUE, PRED)
    same(fastseg.rand_index(pairs), metrics.rand_index(pairs))
    with pytest.raises(TypeError, match=r"^rand_index\(\) of PairCounts takes no y_pred"):
        fastseg.rand_index(pairs, PRED)


def test_counts_of_another_kind_are_refused_by_name() -> None:
    counts, pairs = fastseg.count_labels(TRUE, PRED), fastseg.count_pairs(TRUE, PRED)
    calls: list[tuple[Any, Any, str]] = [
        (fastseg.dice, pairs, "dice() takes two arrays, or LabelCounts or BinaryCounts; found PairCounts"),
        (fastseg.rand_index, counts, "rand_index() takes two arrays, or PairCounts; found LabelCounts"),
        (fastseg.hd95, counts, "hd95() takes two arrays, or SurfaceDistances; found LabelCounts"),
        (fastseg.cross_entropy, counts, "cross_entropy() takes two arrays, or ScoreSums; found LabelCounts"),
    ]
    for function, given, text in calls:
        with pytest.raises(TypeError, match=f"^{re.escape(f'y_true: {text}')}$"):
            function(given)


@pytest.mark.parametrize(("name", "others"), [("dice", "`f1`"), ("f1", "`dice`"), ("hd", "`hausdorff_distance`")])
def test_help_has_the_other_names(name: str, others: str) -> None:
    assert f"Also called {others}." in " ".join(str(getattr(fastseg, name).__doc__).split())
