"""Drop-ins for those metrics of `monai.metrics` that take one-hot maps alone: IoU, generalised Dice, confusion matrices."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from monai import metrics as host
from monai.utils import Weight, look_up_option

from fastseg.adapters.calls import NotCovered, attempt, drop_in, drop_in_class
from fastseg.adapters.monai.overlaps import Overlaps, divided, of_one_hot, valid_voxels
from fastseg.adapters.monai.tensors import check_batch, like, plain, result_dtype

__all__ = [
    "ConfusionMatrixMetric",
    "GeneralizedDiceScore",
    "MeanIoU",
    "compute_confusion_matrix_metric",
    "compute_generalized_dice",
    "compute_iou",
    "get_confusion_matrix",
]


#: Fewer values than these are the host's.
FEW_FOR_IOU, FEW_FOR_MATRIX = 1 << 17, 1 << 14


def _counted(y_pred: Any, y: Any, include_background: bool, ignore_index: int | None) -> Overlaps:
    """Count one-hot maps by the rules of IoU and confusion matrices: a class that is ignored is empty, and has its voxels."""
    if y.shape != y_pred.shape:
        raise NotCovered("maps of two shapes")
    pred, true, mask = plain(y_pred), plain(y), None
    channels = int(pred.shape[1])
    first = int(not include_background and channels > 1)
    inside = isinstance(ignore_index, int) and 0 <= ignore_index < channels
    if ignore_index is not None:
        if channels == 1:
            raise NotCovered("ignore_index of one channel")
        mask = None if inside else valid_voxels(true, ignore_index)
    if first:
        pred, true = pred[:, first:], true[:, first:]
    found = of_one_hot(pred, true, mask)
    if inside and ignore_index >= first:  # type: ignore[operator]
        kept = np.arange(first, channels) != ignore_index
        found = found._replace(both=found.both * kept, true=found.true * kept, pred=found.pred * kept)
    return found


def _iou(y_pred: Any, y: Any, include_background: bool, ignore_empty: bool, ignore_index: int | None) -> Any:
    check_batch(y_pred, y, 3, FEW_FOR_IOU)
    dtype = result_dtype(y_pred, y)
    both, true, pred, _ = _counted(y_pred, y, include_background, ignore_index)
    union = true + pred - both
    scores = divided(both, union, true > 0, np.nan) if ignore_empty else divided(both, union, union > 0, 1.0)
    return like(scores, dtype, (y, y_pred), y)


def _generalized_dice(
    y_pred: Any,
    y: Any,
    include_background: bool,
    weight_type: Weight | str,
    sum_over_classes: bool,
    ignore_index: int | None,
) -> Any:
    check_batch(y_pred, y, 3)
    dtype = result_dtype(y_pred, y)
    if y.shape != y_pred.shape:
        raise NotCovered("maps of two shapes")
    columns = np.ones(y.shape[1], bool)
    columns[0] = include_background
    mask = valid_voxels(plain(y), ignore_index)
    if mask is not None and 0 <= ignore_index < columns.size:  # type: ignore[operator]
        columns[ignore_index] = False
    if not columns.any():
        raise NotCovered("no class that is scored")
    both, true, pred, _ = of_one_hot(plain(y_pred), plain(y), mask).of_classes(columns)
    power = {Weight.SQUARE: 2, Weight.SIMPLE: 1}.get(look_up_option(weight_type, Weight), 0)
    weights = divided(1.0, true.astype(np.float64) ** power, (true > 0) | (power == 0), 0.0)
    largest = weights.max(1, keepdims=True)
    weights = np.where(weights > 0, weights, np.where(largest > 0, largest, 1.0))
    numerator, denominator = 2 * weights * both, weights * (true + pred)
    if sum_over_classes:
        numerator, denominator = numerator.sum(1, keepdims=True), denominator.sum(1, keepdims=True)
    return like(divided(numerator, denominator, denominator > 0, 1.0), dtype, (y, y_pred), y)


def _matrix(y_pred: Any, y: Any, include_background: bool, ignore_index: int | None) -> Any:
    check_batch(y_pred, y, 2, FEW_FOR_MATRIX)
    result_dtype(y_pred, y)
    if y_pred.dtype is torch.bool and y.dtype is torch.bool:
        raise NotCovered("two boolean maps")
    both, true, pred, voxels = _counted(y_pred, y, include_background, ignore_index)
    matrix: npt.NDArray[Any] = np.stack([both, pred - both, voxels - true - pred + both, true - both], axis=-1)
    return like(matrix.astype(np.float64), torch.float32, (y_pred, y), y)


@drop_in("monai.metrics.compute_iou", statistic="masks", metric="iou")
def compute_iou(
    y_pred: Any,
    y: Any,
    include_background: bool = True,
    ignore_empty: bool = True,
    ignore_index: int | None = None,
) -> Any:
    """Counted here: one-hot maps of zeros and ones, on the CPU or a GPU."""
    return _iou(y_pred, y, include_background, ignore_empty, ignore_index)


@drop_in("monai.metrics.compute_generalized_dice", statistic="masks")
def compute_generalized_dice(
    y_pred: Any,
    y: Any,
    include_background: bool = True,
    weight_type: Weight | str = Weight.SQUARE,
    sum_over_classes: bool = False,
    ignore_index: int | None = None,
    epsilon: float = 1e-8,  # noqa: ARG001 — the host does not use it either
) -> Any:
    """Counted here: one-hot maps of zeros and ones, on the CPU or a GPU."""
    return _generalized_dice(y_pred, y, include_background, weight_type, sum_over_classes, ignore_index)


@drop_in("monai.metrics.get_confusion_matrix", statistic="masks")
def get_confusion_matrix(
    y_pred: Any,
    y: Any,
    include_background: bool = True,
    ignore_index: int | None = None,
) -> Any:
    """Counted here: one-hot maps of zeros and ones, on the CPU or a GPU; not two boolean ones."""
    return _matrix(y_pred, y, include_background, ignore_index)


@drop_in("monai.metrics.compute_confusion_matrix_metric", statistic="none")
def compute_confusion_matrix_metric(metric_name: str, confusion_matrix: Any) -> Any:
    """It sees four numbers a class and no voxel, so that it is the host's own."""
    return host.compute_confusion_matrix_metric(metric_name, confusion_matrix)


@drop_in_class("monai.metrics.MeanIoU", statistic="masks", metric="iou")
class MeanIoU(host.MeanIoU):
    """Counted here: what `compute_iou` counts, and lists of it."""

    def _compute_tensor(self, y_pred: Any, y: Any) -> Any:
        return attempt("monai.MeanIoU", self._fast, super()._compute_tensor, y_pred, y)

    def _fast(self, y_pred: Any, y: Any) -> Any:
        return _iou(y_pred, y, self.include_background, self.ignore_empty, self.ignore_index)


@drop_in_class("monai.metrics.GeneralizedDiceScore", statistic="masks")
class GeneralizedDiceScore(host.GeneralizedDiceScore):
    """Counted here: what `compute_generalized_dice` counts, and lists of it."""

    def _compute_tensor(self, y_pred: Any, y: Any) -> Any:
        return attempt("monai.GeneralizedDiceScore", self._fast, super()._compute_tensor, y_pred, y)

    def _fast(self, y_pred: Any, y: Any) -> Any:
        return _generalized_dice(
            y_pred, y, self.include_background, self.weight_type, self.sum_over_classes, self.ignore_index
        )


@drop_in_class("monai.metrics.ConfusionMatrixMetric", statistic="masks")
class ConfusionMatrixMetric(host.ConfusionMatrixMetric):
    """Counted here: what `get_confusion_matrix` counts, and lists of it; classification (B, C) is left to the host."""

    def _compute_tensor(self, y_pred: Any, y: Any) -> Any:
        return attempt("monai.ConfusionMatrixMetric", self._fast, super()._compute_tensor, y_pred, y)

    def _fast(self, y_pred: Any, y: Any) -> Any:
        if y_pred.ndim < 3 or (y_pred.ndim == 3 and y_pred.shape[-1] == 1):
            raise NotCovered("classification")
        return _matrix(y_pred, y, self.include_background, self.ignore_index)
