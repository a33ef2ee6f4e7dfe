"""The steps of the host's classification metrics that look at every label, by its own names and arguments.

The host validates its tensors, formats them, and counts them, each in a step of its own, and computes from the counts. Here
validating does nothing, formatting keeps what it is given, and counting does all: what the host would refuse is not
covered, so that the host is asked, and refuses.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from fastseg.adapters.calls import NotCovered
from fastseg.adapters.devices import beside
from fastseg.adapters.torchmetrics.labels import confusion, per_sample
from fastseg.adapters.torchmetrics.tensors import check_plain, class_labels, exceeding, label_array
from fastseg.arrays.array_likes import are_bool

__all__ = ["STEPS", "Given", "binary_matrix", "check_marks", "multiclass_matrix", "multilabel_matrix"]

Array = npt.NDArray[Any]
Ints = npt.NDArray[np.int64]
Tensor = Any
Counts = tuple[Tensor, Tensor, Tensor, Tensor]


class Given(NamedTuple):
    """What a step was given, for the step that counts."""

    preds: Tensor
    target: Tensor
    ignore_index: int | None
    threshold: float = 0.5


def _tensors(place: Tensor, *counts: Ints) -> tuple[Tensor, ...]:
    """Return counts of one shape as tensors where another lies, to which they are brought together."""
    if place.is_cuda:
        return tuple(beside(np.stack(counts), place).unbind())
    return tuple(beside(each, place) for each in counts)


# The confusion matrices


def binary_matrix(given: Given, *, kept_only: bool) -> Ints:
    """Return the confusion matrix of two classes.

    `kept_only`: predictions whose true label is ignored do not tell whether all are probabilities.
    """
    true, pred = _two_classes(given, kept_only=kept_only)
    return confusion(true, pred, 2, given.ignore_index)


def multiclass_matrix(given: Given, num_classes: int) -> Ints:
    """Return the confusion matrix, (K, K)."""
    true = label_array(given.target)
    return confusion(true, class_labels(given.preds, true, num_classes), num_classes, given.ignore_index)


def multilabel_matrix(given: Given, num_labels: int) -> Ints:
    """Return the confusion matrices of the labels, (C, 2, 2)."""
    tp, fp, tn, fn = _of_each_label(given, num_labels, apart=False)
    return np.stack([tn, fp, fn, tp], -1).reshape(num_labels, 2, 2)


def check_marks(given: Given) -> None:
    """Leave labels of eight bits to the host, whose matrices of several labels mark what is ignored by large numbers."""
    narrow = (torch.uint8, torch.int8)
    check_plain(given.target)
    check_plain(given.preds)
    if given.ignore_index is not None and (given.target.dtype in narrow or given.preds.dtype in narrow):
        raise NotCovered("eight bits, where the host marks what it ignores by numbers that do not fit")


def _binary_confusion_matrix_format(
    preds: Tensor,
    target: Tensor,
    threshold: float = 0.5,
    ignore_index: int | None = None,
    convert_to_labels: bool = True,
) -> tuple[Given, None]:
    _labels_are_wanted(convert_to_labels)
    return Given(preds, target, ignore_index, threshold), None


def _multiclass_confusion_matrix_format(
    preds: Tensor, target: Tensor, ignore_index: int | None = None, convert_to_labels: bool = True
) -> tuple[Given, None]:
    _labels_are_wanted(convert_to_labels)
    return Given(preds, target, ignore_index), None


def _multilabel_confusion_matrix_format(
    preds: Tensor,
    target: Tensor,
    num_labels: int,  # noqa: ARG001
    threshold: float = 0.5,
    ignore_index: int | None = None,
    should_threshold: bool = True,
) -> tuple[Given, None]:
    _labels_are_wanted(should_threshold)
    return Given(preds, target, ignore_index, threshold), None


def _binary_confusion_matrix_update(preds: Given, target: None) -> Tensor:  # noqa: ARG001
    return beside(binary_matrix(preds, kept_only=True), preds.target)


def _multiclass_confusion_matrix_update(preds: Given, target: None, num_classes: int) -> Tensor:  # noqa: ARG001
    return beside(multiclass_matrix(preds, num_classes), preds.target)


def _multilabel_confusion_matrix_update(preds: Given, target: None, num_labels: int) -> Tensor:  # noqa: ARG001
    check_marks(preds)
    return beside(multilabel_matrix(preds, num_labels), preds.target)


# True and false positives and negatives


def _binary_stat_scores_format(
    preds: Tensor, target: Tensor, threshold: float = 0.5, ignore_index: int | None = None
) -> tuple[Given, None]:
    return Given(preds, target, ignore_index, threshold), None


def _multiclass_stat_scores_format(preds: Tensor, target: Tensor, top_k: int = 1) -> tuple[Tensor, Tensor]:
    if top_k != 1:
        raise NotCovered("top_k")
    return preds, target


def _multilabel_stat_scores_format(
    preds: Tensor,
    target: Tensor,
    num_labels: int,
    threshold: float = 0.5,
    ignore_index: int | None = None,
) -> tuple[tuple[Given, int], None]:
    return (Given(preds, target, ignore_index, threshold), num_labels), None


def _binary_stat_scores_update(preds: Given, target: None, multidim_average: str = "global") -> Counts:  # noqa: ARG001
    if multidim_average == "global":
        matrix = binary_matrix(preds, kept_only=False)
        return _squeezed(preds.target, matrix[1, 1], matrix[0, 1], matrix[0, 0], matrix[1, 0])
    true, pred = _two_classes(preds, kept_only=False)
    _of_samples(preds.target, 2)
    found = per_sample(true, pred, 2, preds.ignore_index)
    return _squeezed(preds.target, *(each[:, 1] for each in found))


def _multiclass_stat_scores_update(
    preds: Tensor,
    target: Tensor,
    num_classes: int,
    top_k: int = 1,  # noqa: ARG001
    average: str | None = "macro",
    multidim_average: str = "global",
    ignore_index: int | None = None,
) -> Counts:
    if multidim_average == "global":
        matrix = multiclass_matrix(Given(preds, target, ignore_index), num_classes)
        hits, true = matrix.diagonal(), np.add.reduce(matrix, 1)
        total = np.add.reduce(true)
        if average == "micro":
            tp = np.add.reduce(hits)
            missed = total - tp
            return _tensors(target, *map(np.asarray, (tp, missed, num_classes * total - 2 * missed - tp, missed)))
        fp = np.add.reduce(matrix, 0) - hits
        return _tensors(target, hits, fp, total - fp - true, true - hits)
    labels = label_array(target)
    _of_samples(target, 2)
    pred = class_labels(preds, labels, num_classes)
    if ignore_index is not None and min(_largest(labels), _largest(pred)) < num_classes:
        raise NotCovered("small integers, where the host marks what it ignores by numbers that do not fit")
    return _tensors(target, *per_sample(labels, pred, num_classes, ignore_index))


def _multilabel_stat_scores_update(
    preds: tuple[Given, int],
    target: None,  # noqa: ARG001
    multidim_average: str = "global",
) -> Counts:
    given, num_labels = preds
    check_plain(given.target)
    apart = multidim_average != "global"
    if apart:
        _of_samples(given.target, 3)
    return _squeezed(given.target, *_of_each_label(given, num_labels, apart=apart))


# What they share


def _labels_are_wanted(wanted: bool) -> None:
    if not wanted:
        raise NotCovered("scores that are not made labels")


def _two_classes(given: Given, *, kept_only: bool) -> tuple[Any, Any]:
    """Return true and predicted labels of two classes."""
    true = label_array(given.target)
    check_plain(given.preds)
    if given.preds.device != given.target.device:
        raise NotCovered("tensors on two devices")
    if given.preds.shape != given.target.shape:
        raise NotCovered("shapes that do not fit")
    if given.preds.is_floating_point():
        kept = given.target != given.ignore_index if kept_only and given.ignore_index is not None else None
        return true, exceeding(given.preds, given.threshold, kept)
    return true, label_array(given.preds)


def _of_each_label(given: Given, num_labels: int, *, apart: bool) -> tuple[Ints, Ints, Ints, Ints]:
    """Return tp, fp, tn and fn of tensors (N, C, ...): (C,), or `apart` for each sample, (N, C)."""
    true, pred = _two_classes(given, kept_only=False)
    if true.ndim < 2 or true.shape[1] != num_labels:
        raise NotCovered("shapes that do not fit")
    if 0 in true.shape:
        raise NotCovered("no labels at all")
    samples = true.shape[0]
    if given.target.is_cuda and not apart:  # each label is as a sample, however it lies
        tp, fp, tn, fn = per_sample(true.movedim(1, 0), pred.movedim(1, 0), 2, given.ignore_index)
        return tp[:, 1], fp[:, 1], tn[:, 1], fn[:, 1]
    if apart or math.prod(true.shape[2:]) > 1024:  # rows are long enough to be counted where they lie
        rows = (samples * num_labels, -1)
        found = per_sample(true.reshape(rows), pred.reshape(rows), 2, given.ignore_index)
        tp, fp, tn, fn = (each[:, 1].reshape(samples, num_labels) for each in found)
        return (tp, fp, tn, fn) if apart else (tp.sum(0), fp.sum(0), tn.sum(0), fn.sum(0))
    rows = (num_labels, -1)
    true, pred = np.moveaxis(true, 1, 0).reshape(rows), np.moveaxis(pred, 1, 0).reshape(rows)
    tp, fp, tn, fn = per_sample(true, pred, 2, given.ignore_index)
    return tp[:, 1], fp[:, 1], tn[:, 1], fn[:, 1]


def _of_samples(target: Tensor, axes: int) -> None:
    if target.ndim < axes:
        raise NotCovered("no axis but that of the samples")


def _largest(labels: Any) -> int:
    """Return the largest label that there is room for; scores become labels of 64 bits."""
    if isinstance(labels, torch.Tensor) and labels.is_floating_point():
        return 2**63 - 1
    return 1 if are_bool(labels) else int(np.iinfo(str(labels.dtype).rpartition(".")[2]).max)


def _squeezed(place: Tensor, *counts: Ints) -> Counts:
    """Return tensors without axes of length one, as the host does."""
    return _tensors(place, *(np.asarray(each).squeeze() for each in counts))


def _no_validation(*_: Any, **__: Any) -> None:
    """Leave it to the step that counts."""


#: The steps by the host's names.
STEPS: dict[str, Callable[..., Any]] = {
    **{name: step for name, step in globals().items() if name.endswith(("_format", "_update"))},
    **{
        f"_{task}_{kind}_tensor_validation": _no_validation
        for task in ("binary", "multiclass", "multilabel")
        for kind in ("confusion_matrix", "stat_scores")
    },
}
