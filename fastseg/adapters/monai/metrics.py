"""Drop-ins for the overlap metrics of `monai.metrics`: functions, and metrics that cumulate."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from monai import metrics as host
from monai.metrics.utils import do_metric_reduction

from fastseg.adapters.calls import NotCovered, attempt, drop_in, drop_in_class
from fastseg.adapters.monai.overlaps import Overlaps, divided, of_labels, of_most_probable, of_one_hot, valid_voxels
from fastseg.adapters.monai.tensors import check_batch, has_metadata, like, of_sample, plain, result_dtype

__all__ = ["DiceHelper", "DiceMetric", "compute_dice"]

Floats = npt.NDArray[np.float64]


def _dice(found: Overlaps, ignore_empty: bool) -> Floats:
    size = found.true + found.pred
    return divided(2 * found.both, size, found.true > 0, np.nan if ignore_empty else size == 0)


def _dice_of(
    y_pred: Any,
    y: Any,
    include_background: bool,
    ignore_empty: bool,
    num_classes: int | None,
    per_component: bool,
    ignored: int | None,
    apply_argmax: bool = False,
    threshold: bool = False,
    activate: bool = False,
) -> Any:
    """Return Dice scores (B, C), not reduced."""
    if per_component:
        raise NotCovered("per_component")
    check_batch(y_pred, y, 2)
    channels = y_pred.shape[1]
    classes = channels if num_classes is None else num_classes
    label_map = channels == 1 and classes > 1
    first, dtype = int(not include_background and classes > 1), torch.float32
    if apply_argmax and classes > 1 and not label_map:
        if channels != classes or y.shape[1] != 1:
            raise NotCovered("scores against one-hot maps")
        found = of_most_probable(y_pred, y, ignored)
    elif label_map and y.shape[1] == 1:
        found = of_labels(y_pred, y, classes, ignored)
    elif channels == y.shape[1] == classes:
        pred, true = plain(y_pred), plain(y)
        if threshold:
            pred = (torch.sigmoid(pred) if activate else pred) > 0.5
        if classes == 1 and ignored is not None:
            found, first = of_labels(pred, true, 2, ignored), 1
        else:
            dtype = result_dtype(y) if classes > 1 else torch.float32  # the host takes one channel for labels
            mask = valid_voxels(true, ignored)
            if first:
                pred, true, first = pred[:, first:], true[:, first:], 0
            found = of_one_hot(pred, true, mask)
    else:
        raise NotCovered("one-hot maps against label maps")
    if first:
        found = found.of_classes(slice(first, None))
    given = [tensor for tensor in (y, y_pred) if has_metadata(tensor)]
    if given or dtype is torch.float64:
        present = found.true.any(1)
        if not present.any():  # the host's values are then constants, which know nothing of the input
            dtype, given = torch.float32, []
        given = [of_sample(tensor, int(present.argmax())) for tensor in given]
    return like(_dice(found, ignore_empty), dtype, given, y)


def _dice_by(helper: host.DiceHelper, y_pred: Any, y: Any) -> Any:
    """Return Dice scores by the options of a helper."""
    return _dice_of(
        y_pred,
        y,
        helper.include_background,
        helper.ignore_empty,
        helper.num_classes,
        helper.per_component,
        helper.ignore_index,
        helper.apply_argmax,
        helper.threshold,
        helper.activate,
    )


@drop_in("monai.metrics.compute_dice", statistic="masks", metric="dice")
def compute_dice(
    y_pred: Any,
    y: Any,
    include_background: bool = True,
    ignore_empty: bool = True,
    num_classes: int | None = None,
    per_component: bool = False,
    ignore_index: int | None = None,
) -> Any:
    """Counted here: two one-hot maps of zeros and ones, or two label maps, on the CPU or a GPU."""
    return _dice_of(y_pred, y, include_background, ignore_empty, num_classes, per_component, ignore_index)


@drop_in_class("monai.metrics.DiceHelper", statistic="masks", metric="dice")
class DiceHelper(host.DiceHelper):
    """Counted here: two one-hot maps of zeros and ones, two label maps, or scores whose largest is taken and a label map."""

    def __call__(self, y_pred: Any, y: Any) -> Any:
        """Compute the metric as the host does."""
        return attempt("monai.DiceHelper", self._fast, super().__call__, y_pred, y)

    def _fast(self, y_pred: Any, y: Any) -> Any:
        scores, not_nans = do_metric_reduction(_dice_by(self, y_pred, y), self.reduction)
        return (scores, not_nans) if self.get_not_nans else scores


@drop_in_class("monai.metrics.DiceMetric", statistic="masks", metric="dice")
class DiceMetric(host.DiceMetric):
    """Counted here: what `compute_dice` counts, and lists of it."""

    def _compute_tensor(self, y_pred: Any, y: Any) -> Any:
        return attempt("monai.DiceMetric", self._fast, super()._compute_tensor, y_pred, y)

    def _fast(self, y_pred: Any, y: Any) -> Any:
        check_batch(y_pred, y, 3)
        return _dice_by(self.dice_helper, y_pred, y)
