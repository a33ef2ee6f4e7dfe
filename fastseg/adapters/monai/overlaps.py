"""What MONAI's metrics are made of: how many voxels of each sample and class are true, predicted, and both."""

from __future__ import annotations

from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from fastseg.adapters.calls import NotCovered, counted
from fastseg.adapters.devices import check_table
from fastseg.adapters.monai.tensors import as_array
from fastseg.api.labels import count_labels
from fastseg.api.masks import count_masks
from fastseg.api.scores import sum_scores
from fastseg.arrays.array_likes import are_bool
from fastseg.arrays.masks import MaskInputs
from fastseg.counting.masks import count_mask_inputs
from fastseg.counts import LabelCounts

__all__ = ["Overlaps", "divided", "of_labels", "of_most_probable", "of_one_hot", "valid_voxels"]

Ints = npt.NDArray[np.int64]


class Overlaps(NamedTuple):
    """Voxels of B samples and C classes, each (B, C)."""

    both: Ints
    """True and predicted."""
    true: Ints
    pred: Ints
    counted: Ints
    """(B, 1): all that were looked at."""

    def of_classes(self, which: Any) -> Self:
        """Return those of some classes: a slice, or a mask."""
        return self._replace(both=self.both[:, which], true=self.true[:, which], pred=self.pred[:, which])


def of_one_hot(y_pred: Any, y: Any, mask: Any = None) -> Overlaps:
    """Count binary maps (B, C, ...), where a mask (B, ...) is not zero."""
    true, pred = as_array(y), as_array(y_pred)
    if true.shape != pred.shape:
        raise NotCovered("maps of two shapes")
    found = counted(_overlaps, true, pred, None)
    if mask is not None:  # only now is it known that nothing outside is NaN or between 0 and 1
        found = counted(_overlaps, true, pred, mask)
    return found


def _overlaps(true: Any, pred: Any, mask: Any) -> Overlaps:
    if isinstance(true, np.ndarray):
        counts = count_mask_inputs(MaskInputs(true, pred, mask, None, 1, 0))
    else:  # on a GPU
        counts = count_masks(true, pred, mask=mask, channel_axis=1, sample_axis=0)
    both = counts.tp  # what is wrong on a GPU is known by then
    return Overlaps(both, both + counts.fn, both + counts.fp, counts.voxels[:, :1])


def of_labels(y_pred: Any, y: Any, num_classes: int, ignore_index: int | None) -> Overlaps:
    """Count label maps (B, 1, ...); labels that were predicted beyond the classes are misses."""
    options: dict[str, Any] = {"num_classes": num_classes, "ignore_index": ignore_index, "unknown": "count"}
    check_table(y, len(y), num_classes)
    true, pred = as_array(y), as_array(y_pred)
    return counted(lambda: _of_counts(count_labels(true, pred, sample_axis=0, **options)))


def of_most_probable(scores: Any, y: Any, ignore_index: int | None) -> Overlaps:
    """Count the most probable classes of scores (B, C, ...) against a label map (B, 1, ...)."""
    options: dict[str, Any] = {"channel_axis": 1, "sample_axis": 0, "activation": "softmax", "quantities": "argmax"}
    check_table(scores, len(scores), scores.shape[1])
    true, given = as_array(y)[:, 0], as_array(scores)
    return counted(lambda: _of_counts(sum_scores(true, given, ignore_index=ignore_index, **options).argmax_counts))


def _of_counts(counts: LabelCounts | None) -> Overlaps:
    assert counts is not None
    true, pred, both = counts.marginals
    return Overlaps(both, true, pred, counts.voxels[:, :1])


def valid_voxels(y: Any, ignore_index: int | None) -> Any:
    """Return where one-hot maps (B, C, ...) of at least two classes are not to be ignored: (B, ...), None for everywhere.

    A class is ignored where its channel says so; any other number stands for voxels that are of no class.
    """
    if ignore_index is None:
        return None
    channels = as_array(y)
    if not isinstance(ignore_index, int):
        raise NotCovered("ignore_index that is no integer")
    if channels.shape[1] < 2:
        raise NotCovered("ignore_index of one channel")
    if 0 <= ignore_index < channels.shape[1]:
        if are_bool(channels):
            raise NotCovered("ignore_index of boolean maps")  # which the host refuses
        valid = channels[:, ignore_index] == 0
    else:
        valid = np.logical_or.reduce(channels, axis=1) if isinstance(channels, np.ndarray) else (channels != 0).any(1)
    return valid


def divided(numerator: Any, denominator: Any, defined: Any, otherwise: Any) -> npt.NDArray[np.float64]:
    """Divide where that is defined."""
    result = np.empty(defined.shape)
    result[...] = otherwise
    np.divide(numerator, denominator, out=result, where=defined)
    return result
