"""What a matching is told in: pairs, segments without a partner, and what is counted of each class."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastseg.metrics.arithmetic import NAN, ratio

__all__ = ["METRICS", "THRESHOLDS", "MatchedPairs", "Tally", "UnmatchedSegments"]

Array = npt.NDArray[Any]
Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: 0.5, 0.55, …, 0.95: over which StarDist, Cellpose and COCO take means.
THRESHOLDS = tuple(round(0.5 + 0.05 * k, 2) for k in range(10))


@dataclass(frozen=True, eq=False, repr=False)
class MatchedPairs:
    """Pairs that match, each field (M,), in order of case, true and predicted id."""

    case: Ints
    true: Array
    pred: Array
    classes: Ints
    overlap: Array
    true_voxels: Array
    pred_voxels: Array
    iou: Floats
    dice: Floats
    score: Floats
    """Of the criterion."""

    def __len__(self) -> int:
        return len(self.true)

    def __repr__(self) -> str:
        return f"<{len(self):,} matched pairs>"


@dataclass(frozen=True, eq=False, repr=False)
class UnmatchedSegments:
    """Misses or false alarms, each field (S,), in order of case and id."""

    case: Ints
    ids: Array
    classes: Ints
    voxels: Array
    centroids: Floats | None = None
    """(S, axes), in mm where the spacing is known, else in voxels; None where they were not asked for."""
    boxes: Ints | None = None
    """(S, axes, 2): along each axis the first index, and that after the last; None where they were not asked for."""

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        return f"<{len(self):,} unmatched segments>"


@dataclass(frozen=True, eq=False)
class Tally:
    """What metrics of classes are made of, each field (K,): of each class."""

    tp: Ints
    fp: Ints
    fn: Ints
    iou: Floats
    """The sum of the IoUs of what was found."""
    dice: Floats
    smooth: float = 0.0
    """Added to the denominators of qualities."""
    zero_division: float = NAN
    """What 0/0 is in a class that has instances."""

    @property
    def any(self) -> Bools:
        """Whether there is anything of a class."""
        found: Bools = self.tp + self.fp + self.fn > 0
        return found


def _quality(total: Floats, tally: Tally) -> Floats:
    """Return the means over what was found: 0 where something was missed or invented, and nothing found."""
    values = np.where(tally.tp > 0, ratio(total, tally.tp + tally.smooth), 0.0)
    return np.where(tally.any, values, NAN)


def _f1(total: Floats | Ints, tally: Tally) -> Floats:
    return np.where(tally.any, ratio(total, tally.tp + 0.5 * tally.fp + 0.5 * tally.fn + tally.smooth), NAN)


def _part(of: Ints, tally: Tally) -> Floats:
    return np.where(tally.any, ratio(tally.tp, of, tally.zero_division), NAN)


#: The metrics of each class.
METRICS: dict[str, Callable[[Tally], Floats]] = {
    "panoptic_quality": lambda t: _f1(t.iou, t),
    "segmentation_quality": lambda t: _quality(t.iou, t),
    "recognition_quality": lambda t: _f1(t.tp, t),
    "panoptic_quality_dice": lambda t: _f1(t.dice, t),
    "segmentation_quality_dice": lambda t: _quality(t.dice, t),
    "f1": lambda t: _f1(t.tp, t),
    "precision": lambda t: _part(t.tp + t.fp, t),
    "recall": lambda t: _part(t.tp + t.fn, t),
    "accuracy": lambda t: ratio(t.tp, t.tp + t.fp + t.fn),
    "instance_iou": lambda t: ratio(t.iou, t.tp + t.fp + t.fn),
    "instance_dice": lambda t: ratio(t.dice, t.tp + t.fp + t.fn),
}
