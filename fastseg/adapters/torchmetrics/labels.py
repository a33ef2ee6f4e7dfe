"""Counts of label arrays: the confusion matrix of all, or what each label amounts to in each sample."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import numpy.typing as npt

from fastseg.adapters.calls import NotCovered, counted
from fastseg.adapters.torchmetrics.tensors import ignored_label
from fastseg.api.labels import count_labels
from fastseg.arrays.classes import Classes, label_classes
from fastseg.arrays.labels import LabelInputs
from fastseg.counting.labels import count_classes, count_label_inputs
from fastseg.counts import IGNORED, BinaryCounts

__all__ = ["confusion", "confusion_on_gpu", "per_sample"]

Array = npt.NDArray[Any]
Ints = npt.NDArray[np.int64]

#: Up to so many labels, in all or in a sample, NumPy is quicker: a call of the kernels takes some 20 µs, a sample 10 µs.
_FEW = 4096
_FEW_IN_A_SAMPLE = 1024


def confusion(true: Array, pred: Array, num_classes: int, ignore_index: Any = None) -> Ints:
    """Return the confusion matrix, rows true, (K, K); all labels but true ones that are ignored must be 0..K-1.

    Predictions are classes where the true label is ignored, too: the host refuses some that are not.
    """
    ignored = ignored_label(ignore_index, true)
    _some(true, num_classes)
    if true.size <= _FEW and num_classes**2 <= _FEW:
        rows, columns = _in_a_row(true), _in_a_row(pred)
        if ignored is None:
            _check_classes(np.maximum(rows.view(np.uint64), columns.view(np.uint64)), num_classes)
        else:
            kept = rows != ignored
            _check_classes(columns.view(np.uint64), num_classes)
            rows, columns = rows[kept], columns[kept]
            _check_classes(rows.view(np.uint64), num_classes)
        cells = rows * num_classes + columns
        return np.bincount(cells, minlength=num_classes**2).reshape(num_classes, num_classes)
    inputs = LabelInputs(true, pred, None, None, _classes(num_classes, ignored), None)
    counts = counted(count_label_inputs, inputs)
    if ignored is not None and counts.voxels[0, IGNORED]:
        _check(pred, num_classes)
    matrix: Ints = counts.matrix
    matrix.flags.writeable = True  # nobody else has these counts
    first: Ints = matrix[0]
    return first


def confusion_on_gpu(true: Any, pred: Any, num_classes: int, ignore_index: Any = None) -> Ints:
    """Return what `confusion` does of two tensors of labels on a GPU."""
    if type(num_classes) is not int or num_classes < 1 or not true.numel():
        raise NotCovered("no labels at all, or a number of classes that is none")
    ignored = ignored_label(ignore_index, true)

    def found() -> tuple[Ints, bool]:
        counts = count_labels(true, pred, num_classes=num_classes, ignore_index=ignored)
        return counts.matrix[0], bool(counts.voxels[0, IGNORED])

    matrix, some_ignored = counted(found)
    if some_ignored:
        _check(pred, num_classes)
    return matrix


def per_sample(true: Array, pred: Array, num_classes: int, ignore_index: Any = None) -> tuple[Ints, Ints, Ints, Ints]:
    """Return tp, fp, tn and fn of each class in each of N samples, (N, K): of labels (N, V), as `confusion` takes them."""
    ignored = ignored_label(ignore_index, true)
    _some(true, num_classes)
    if true.shape[1] <= _FEW_IN_A_SAMPLE:
        return _per_small_sample(true, pred, num_classes, ignored)
    mask = None
    if ignored is not None:
        _check(pred, num_classes)
        mask = true != ignored
    inputs = LabelInputs(true, pred, mask, None, _classes(num_classes, None), 0)
    found = counted(count_classes, inputs)
    assert isinstance(found, BinaryCounts)
    return found.tp, found.fp, found.tn, found.fn


def _per_small_sample(true: Array, pred: Array, classes: int, ignored: int | None) -> tuple[Ints, Ints, Ints, Ints]:
    """Return what `per_sample` does, by counting each label of each sample as a label of its own."""
    samples, voxels = true.shape
    first = np.repeat(np.arange(0, samples * classes, classes), voxels)
    rows, columns = _in_a_row(true), _in_a_row(pred)
    _check_classes(columns.view(np.uint64), classes)
    if ignored is not None:
        kept = rows != ignored
        first, rows, columns = first[kept], rows[kept], columns[kept]
    _check_classes(rows.view(np.uint64), classes)
    size = samples * classes

    def number(labels: Array) -> Ints:
        return np.bincount(labels, minlength=size).reshape(samples, classes)

    hit = rows == columns
    hits, trues, preds = number((first + rows)[hit]), number(first + rows), number(first + columns)
    return hits, preds - hits, trues.sum(1, keepdims=True) - trues - preds + hits, trues - hits


def _some(true: Array, num_classes: Any) -> None:
    if type(num_classes) is not int or num_classes < 1:
        raise NotCovered("a number of classes that is none")
    if not true.size:
        raise NotCovered("no labels at all")


def _in_a_row(labels: Array) -> Ints:
    return labels.reshape(-1).astype(np.int64, copy=False)


def _check_classes(labels: npt.NDArray[np.uint64], num_classes: int) -> None:
    """Refuse labels that are no classes; negative ones are large as unsigned ones."""
    if np.maximum.reduce(labels, initial=0) >= num_classes:
        raise NotCovered("labels outside the classes")


def _check(labels: Any, num_classes: int) -> None:
    if labels.max() >= num_classes or labels.min() < 0:
        raise NotCovered("labels outside the classes")


@functools.lru_cache(maxsize=64)
def _classes(num_classes: int, ignored: int | None) -> Classes:
    return counted(label_classes, num_classes, None, ignored)
