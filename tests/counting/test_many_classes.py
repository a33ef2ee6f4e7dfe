"""More classes than a byte can name: pairs go straight into the table of all classes, and the counts are the reference's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastseg
from fastseg import metrics
from fastseg.kernels import counter_of
from fastseg.kernels.protocols.labels import Declared, Span

#: The last is more than a table of its own is made for.
CLASSES = (257, 1000, 2500)
TYPES = [("uint16", "uint16"), ("int16", "int64"), ("int64", "int64"), ("uint8", "int32")]


def maps(classes: int, types: tuple[str, str], shape: tuple[int, ...] = (3, 120, 130)) -> tuple[Any, Any]:
    """Return runs and noise side by side: a kernel looks at 64 voxels at a time, and these have few changes or many."""
    rng = np.random.default_rng(classes)
    most = min(classes, 256) if types[0] == "uint8" else classes
    true = np.repeat(rng.integers(0, most, (*shape[:-1], shape[-1] // 10)), 10, axis=-1)
    pred = np.where(rng.random(shape) < 0.02, rng.integers(0, classes, shape), true)
    pred[:, : shape[1] // 3] = rng.integers(0, classes, (shape[0], shape[1] // 3, shape[2]))
    return true.astype(types[0]), pred.astype(types[1])


def same(one: fastseg.LabelCounts, other: fastseg.LabelCounts) -> None:
    for name in ("matrix", "voxels", "unknown", "labels"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


@pytest.mark.parametrize("types", TYPES, ids="-".join)
def test_counts_are_the_references(types: tuple[str, str]) -> None:
    true, pred = maps(1000, types)
    options: dict[str, Any]
    for options in ({}, {"ignore_index": [7, 999]}, {"sample_axis": 0}, {"mask": pred % 3 == 0}):
        ours = fastseg.count_labels(true, pred, num_classes=1000, **options)
        theirs = fastseg.count_labels(true, pred, num_classes=1000, backend="numpy", **options)
        same(ours, theirs)
        np.testing.assert_array_equal(metrics.iou(ours), metrics.iou(theirs))


@pytest.mark.parametrize("classes", CLASSES)
def test_any_number_of_classes_and_any_order_of_memory(classes: int) -> None:
    true, pred = maps(classes, ("int32", "int32"))
    expected = np.bincount(true.ravel() * np.int64(classes) + pred.ravel(), minlength=classes**2)
    for turn in (lambda a: a, np.asfortranarray, lambda a: np.repeat(a, 2, axis=1)[:, ::2], lambda a: a[::-1, :, ::-1]):
        found = fastseg.confusion_matrix(turn(true), turn(pred), num_classes=classes)
        np.testing.assert_array_equal(found.ravel(), expected)
        assert found.flags.writeable
        hits, sizes = np.diagonal(found), found.sum(axis=0) + found.sum(axis=1)
        with np.errstate(invalid="ignore"):
            expected_dice = 2 * hits / sizes
        np.testing.assert_array_equal(fastseg.dice(turn(true), turn(pred), num_classes=classes), expected_dice)


@pytest.mark.parametrize("ignored", [-1, 40_000, 300])
def test_ignored_labels_need_not_be_classes(ignored: int) -> None:
    true, pred = maps(1000, ("int32", "int32"))
    true[0, :, 5:9] = ignored
    pred[true == ignored] = 5000  # and what is predicted there is nobody's concern
    ours, theirs = (
        fastseg.count_labels(true, pred, num_classes=1000, ignore_index=ignored, backend=backend)
        for backend in ("auto", "numpy")
    )
    same(ours, theirs)
    assert ours.voxels[0, 1] > 0


def test_a_label_that_is_not_declared_is_told_as_ever_or_counted() -> None:
    true, pred = maps(1000, ("int64", "int64"))
    pred[2, 3, 4] = 1000
    with pytest.raises(ValueError, match=r"y_pred.*1000.*\(2, 3, 4\)"):
        fastseg.count_labels(true, pred, num_classes=1000)
    same(
        fastseg.count_labels(true, pred, num_classes=1000, unknown="count"),
        fastseg.count_labels(true, pred, num_classes=1000, unknown="count", backend="numpy"),
    )
    true[1, 0, 0] = -3
    with pytest.raises(ValueError, match=r"y_true.*-3.*\(1, 0, 0\)"):
        fastseg.iou(true, pred, num_classes=1000)


def test_threads_have_tables_of_their_own() -> None:
    true, pred = maps(300, ("int64", "int64"), (20, 300, 300))
    expected = np.bincount(true.ravel() * 300 + pred.ravel(), minlength=300**2).reshape(300, 300)
    before = fastseg.get_num_threads()
    try:
        for threads in (1, 2, 5):
            fastseg.set_num_threads(threads)
            np.testing.assert_array_equal(fastseg.confusion_matrix(true, pred, num_classes=300), expected)
    finally:
        fastseg.set_num_threads(before)


def test_a_counter_gives_its_table_away_and_nothing_if_a_label_is_not_declared() -> None:
    labels = np.arange(300, dtype=np.int64)
    declared, none = Declared(300, np.empty(0, np.uint64), True), np.empty(0, np.int64)
    with counter_of("numba").DeclaredCounter(labels.dtype, labels.dtype, declared, none) as counter:
        for pred, right in ((labels, True), (labels + 1, False), (labels, True)):
            assert counter.update(Span((labels, pred, None, None), 1, 300, (0, 0, 0, 0)))
            found = counter.take()
            assert (found is not None) == right
            if found is not None:
                np.testing.assert_array_equal(found.counts, np.eye(300))
                np.testing.assert_array_equal(found.sums, np.outer([1, 1, 1, 0, 0, 299], np.ones(300)))
        assert counter.take().voxels == 0
