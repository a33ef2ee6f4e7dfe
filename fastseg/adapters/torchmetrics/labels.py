"""Counts of labels: the confusion matrix of all, or what each label amounts to in each sample.

They are arrays in the memory of the CPU, or tensors of a GPU.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import numpy.typing as npt

from fastseg.adapters.calls import NotCovered, counted
from fastseg.adapters.devices import check_table
from fastseg.adapters.most_probable import count_largest
from fastseg.adapters.torchmetrics.tensors import ignored_label
from fastseg.api.labels import count_labels
from fastseg.arrays.array_likes import are_bool
from fastseg.arrays.classes import Classes, label_classes
from fastseg.arrays.labels import LabelInputs
from fastseg.counting.labels import count_classes, count_label_inputs
from fastseg.counts import IGNORED, BinaryCounts, LabelCounts

__all__ = ["check_classes", "confusion", "per_sample"]

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
    if not isinstance(true, np.ndarray) or not isinstance(pred, np.ndarray):
        return _confusion_on_gpu(true, pred, num_classes, ignored)
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
        check_classes(pred, num_classes)
    matrix: Ints = counts.matrix
    matrix.flags.writeable = True  # nobody else has these counts
    first: Ints = matrix[0]
    return first


def _confusion_on_gpu(true: Any, pred: Any, num_classes: int, ignored: int | None) -> Ints:
    counts = _counts_on_gpu(true, pred, 1, num_classes, ignore_index=ignored)
    if counts.voxels[0, IGNORED] and pred.ndim == true.ndim:
        check_classes(pred, num_classes)
    first: Ints = counts.matrix[0]
    return first


def _counts_on_gpu(true: Any, pred: Any, samples: int, num_classes: int, **options: Any) -> LabelCounts:
    """Return counts of labels (N, ...) and predicted ones, or scores (N, K, ...)."""
    if isinstance(true, np.ndarray) or isinstance(pred, np.ndarray):
        raise NotCovered("tensors on two devices")
    check_table(true, samples, num_classes)
    if pred.ndim > true.ndim:  # scores
        found = count_largest(true, pred, **options)
        if found is not None:
            return found
        pred = pred.argmax(1)
    counts = counted(count_labels, true, pred, num_classes=num_classes, **options)
    counted(lambda: counts.voxels)  # what is wrong is known when the first number is
    return counts


def per_sample(true: Array, pred: Array, num_classes: int, ignore_index: Any = None) -> tuple[Ints, Ints, Ints, Ints]:
    """Return tp, fp, tn and fn of each class in each of N samples, (N, K): of labels (N, ...), as `confusion` takes them."""
    ignored = ignored_label(ignore_index, true)
    _some(true, num_classes)
    if not isinstance(true, np.ndarray) or not isinstance(pred, np.ndarray):
        return _per_sample_on_gpu(true, pred, num_classes, ignored)
    true, pred = (each.reshape(each.shape[0], -1) for each in (true, pred))
    if true.shape[1] <= _FEW_IN_A_SAMPLE:
        return _per_small_sample(true, pred, num_classes, ignored)
    mask = None
    if ignored is not None:
        check_classes(pred, num_classes)
        mask = true != ignored
    inputs = LabelInputs(true, pred, mask, None, _classes(num_classes, None), 0)
    found = counted(count_classes, inputs)
    assert isinstance(found, BinaryCounts)
    return found.tp, found.fp, found.tn, found.fn


def _per_sample_on_gpu(true: Any, pred: Any, num_classes: int, ignored: int | None) -> tuple[Ints, Ints, Ints, Ints]:
    mask = None
    if ignored is not None:
        if pred.ndim == true.ndim:
            check_classes(pred, num_classes)
        mask = true != ignored
    found = _counts_on_gpu(true, pred, true.shape[0], num_classes, mask=mask, sample_axis=0).one_vs_rest()
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
    if 0 in true.shape:
        raise NotCovered("no labels at all")


def _in_a_row(labels: Array) -> Ints:
    return labels.reshape(-1).astype(np.int64, copy=False)


def _check_classes(labels: npt.NDArray[np.uint64], num_classes: int) -> None:
    """Refuse labels that are no classes; negative ones are large as unsigned ones."""
    if np.maximum.reduce(labels, initial=0) >= num_classes:
        raise NotCovered("labels outside the classes")


def check_classes(labels: Any, num_classes: int) -> None:
    """Refuse labels, an array or a tensor, that are no classes."""
    if are_bool(labels) and num_classes > 1:
        return
    if labels.max() >= num_classes or labels.min() < 0:
        raise NotCovered("labels outside the classes")


@functools.lru_cache(maxsize=64)
def _classes(num_classes: int, ignored: int | None) -> Classes:
    return counted(label_classes, num_classes, None, ignored)
