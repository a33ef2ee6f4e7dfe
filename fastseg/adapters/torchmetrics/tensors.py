"""Tensors as labels, without a copy: arrays in the memory of the CPU, or tensors of a GPU; all others go to the host."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from fastseg.adapters.calls import NotCovered, counted
from fastseg.adapters.devices import check_place, is_plain, memory_of
from fastseg.api.encoding import argmax_labels
from fastseg.arrays.array_likes import are_bool

__all__ = [
    "check_plain",
    "class_labels",
    "exceeding",
    "ignored_label",
    "label_array",
    "score_labels",
    "scores",
]

Array = npt.NDArray[Any]

_LABELS = frozenset((torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64))
#: Up to so many scores PyTorch's own argmax is the quicker one.
_FEW_SCORES = 1 << 14


def label_array(tensor: Any) -> Any:
    """Return a view of labels, or those of a GPU."""
    check_plain(tensor)
    if tensor.dtype not in _LABELS:
        raise NotCovered("labels that are no integers")
    return memory_of(tensor)


def scores(tensor: Any) -> Any:
    """Return scores as a tensor without gradients."""
    check_plain(tensor)
    if not tensor.is_floating_point() or not tensor.numel():
        raise NotCovered("scores that are no real numbers, or none")
    return tensor.detach()


def class_labels(preds: Any, true: Any, num_classes: int) -> Any:
    """Return predicted labels of the shape of the true ones: as they are given, or where the scores of classes are largest.

    Of scores on a GPU, these: they are counted in one read.
    """
    if is_plain(preds) and preds.ndim == true.ndim + 1:
        if preds.shape[1] != num_classes or (preds.shape[0], *preds.shape[2:]) != true.shape:
            raise NotCovered("shapes that do not fit")
        found = scores(preds)
        return found if found.is_cuda else score_labels(found)
    labels = label_array(preds)
    if labels.shape != true.shape:
        raise NotCovered("shapes that do not fit")
    return labels


def score_labels(preds: Any) -> Any:
    """Return the class with the largest score, of scores (N, C, ...); on a GPU PyTorch finds it."""
    found = scores(preds)
    if found.is_cuda or found.numel() <= _FEW_SCORES:
        return memory_of(found.argmax(dim=1))
    labels: Array = counted(argmax_labels, found, channel_axis=1)
    return labels


def exceeding(preds: Any, threshold: float, kept: Any = None) -> Any:
    """Return where scores exceed a threshold, of their sigmoid if they are no probabilities.

    Parameters
    ----------
    preds : tensor of floats
        Probabilities or logits.
    threshold
        As the host takes it.
    kept : tensor of bool, optional
        Those that decide whether all are probabilities; without it, all do.
    """
    found = scores(preds)
    if found.is_cuda:
        beyond = (found < 0) | (found > 1)  # NaN is not, as the host has it there
        if kept is not None:
            beyond &= kept
        return (found.sigmoid() if beyond.any() else found) > threshold
    if not _probabilities(found) and (kept is None or not _probabilities(found[kept])):
        found = found.sigmoid()
    return memory_of(found > threshold)


def ignored_label(ignore_index: Any, true: Any) -> int | None:
    """Return the label that is ignored: PyTorch compares an integer with labels as one of their own type."""
    if ignore_index is None:
        return None
    if type(ignore_index) is not int or not -(2**63) <= ignore_index < 2**63 or are_bool(true):
        raise NotCovered("an ignore_index that is no integer, or of labels that are none")
    return int(np.int64(ignore_index).astype(str(true.dtype).rpartition(".")[2]))  # of a tensor too


def check_plain(tensor: Any) -> None:
    """Leave to the host what is no plain tensor in the memory of the CPU, or of a GPU where that can be counted."""
    if not is_plain(tensor):
        raise NotCovered("arguments that are no plain tensors")
    if not tensor.is_cpu:  # that it is dense is known when its memory is asked for
        check_place(tensor)
    if torch.compiler.is_compiling():
        raise NotCovered("a function that is being compiled")


def _probabilities(found: Any) -> bool:
    if not found.numel():
        return True
    low, high = torch.aminmax(found)
    return bool(low >= 0) and bool(high <= 1)  # NaN is none
