"""The drop-in for `segmentation_models_pytorch.metrics.get_stats`."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from fastseg.adapters.calls import NotCovered, counted, drop_in
from fastseg.adapters.devices import beside, check_table, check_tensors, memory_of
from fastseg.api.labels import count_each_label
from fastseg.api.masks import count_masks
from fastseg.counts import BinaryCounts, LabelCounts

__all__ = ["get_stats"]

Counts = tuple[npt.NDArray[np.int64], ...]

#: Voxels below which PyTorch has counted a pair of masks before ours has begun.
_FEW = 1 << 15
#: How many labels 0..K-1 a type has room for beside −1, which the host writes where labels are ignored or differ.
_ROOM = {
    torch.bool: 2,
    torch.uint8: 255,
    torch.int8: 128,
    torch.int16: 1 << 15,
    torch.int32: 1 << 31,
    torch.int64: 1 << 63,
}


@drop_in("segmentation_models_pytorch.metrics.get_stats")
def get_stats(
    output: Any,
    target: Any,
    mode: Any,
    ignore_index: Any = None,
    threshold: Any = None,
    num_classes: Any = None,
) -> Any:
    """Counted here, on the CPU or a GPU: labels that are classes, or ignored; masks of 0 and 1; scores and a threshold."""
    check_tensors(output, target)
    if output.shape != target.shape or not output.numel() or target.dtype not in _ROOM:
        raise NotCovered("tensors that are no maps of labels or masks")
    if mode == "multiclass" and threshold is None:
        return tuple(torch.from_numpy(each.copy()) for each in _of_labels(output, target, ignore_index, num_classes))
    if mode in ("binary", "multilabel") and ignore_index is None:
        return _of_masks(output, target, threshold)
    raise NotCovered("a mode, or options that it does not have")


def _of_labels(output: Any, target: Any, ignore_index: Any, num_classes: Any) -> Counts:
    """Return what the host does, on the CPU wherever the labels lie."""
    if output.dtype not in _ROOM or type(num_classes) is not int:
        raise NotCovered("tensors that are no maps of labels, or no number of classes")
    if not 2 <= num_classes <= min(_ROOM[output.dtype], _ROOM[target.dtype]):
        raise NotCovered("a number of classes that the host does not count right")
    if ignore_index is not None:
        if type(ignore_index) is not int or 0 <= ignore_index < num_classes:
            raise NotCovered("ignore_index among the classes")
        if target.dtype is torch.bool or not _holds(target.dtype, ignore_index) or not target.is_contiguous():
            raise NotCovered("ignore_index that the target cannot hold, or a target that is not contiguous")
    check_table(target, len(target), num_classes)
    maps = memory_of(target), memory_of(output)
    return counted(_each_label, *maps, num_classes=num_classes, ignore_index=ignore_index, sample_axis=0)


def _each_label(true: Any, pred: Any, **options: Any) -> Counts:
    counts = count_each_label(true, pred, **options)
    return _counts(counts.one_vs_rest() if isinstance(counts, LabelCounts) else counts)


def _counts(counts: BinaryCounts) -> Counts:
    return counts.tp, counts.fp, counts.fn, counts.tn


def _of_masks(output: Any, target: Any, threshold: Any) -> Any:
    """Return what the host does, where the masks lie."""
    if target.ndim < 3 or not (_in_line(output) and _in_line(target)):
        raise NotCovered("masks without voxels' axes, or whose voxels do not lie in line")
    if threshold is None:
        if output.dtype not in _ROOM:
            raise NotCovered("scores without a threshold")
    elif type(threshold) not in (int, float) or output.is_complex():
        raise NotCovered("a threshold that is no number")
    else:
        output = output >= threshold
        if not 0.001 < threshold <= 1:  # which leaves 0 and 1 as they are
            target = target >= threshold
    if output.numel() >= _FEW:
        maps = memory_of(target), memory_of(output)
        counts = counted(lambda: _counts(count_masks(*maps, channel_axis=1, sample_axis=0)))
        return tuple(beside(each, target) for each in counts)
    pred, true = output.flatten(2), target.flatten(2)
    tp, positives, support = (pred * true).sum(2), pred.sum(2), true.sum(2)
    return tp, positives - tp, support - tp, true.shape[2] - positives - support + tp


def _in_line(masks: Any) -> bool:
    """Tell whether voxels of each mask are in one line, channels last or not: the host takes a view of them."""
    try:
        masks.view(*masks.shape[:2], -1)
    except RuntimeError:
        return False
    return True


def _holds(dtype: Any, value: int) -> bool:
    info = torch.iinfo(dtype)
    return bool(info.min <= value <= info.max)
