"""Metrics of parts of objects: of what is near their boundaries, and of their centre lines.

Examples
--------
>>> import numpy as np
>>> import fastseg
>>> true, pred = np.zeros((2, 10, 10), bool)
>>> true[1:9, 1:9] = pred[1:9, 2:9] = True
>>> counts = fastseg.count_boundaries(true, pred, distance=1)
>>> boundary_iou(counts).round(4), fastseg.iou(true, pred).round(4)[1]
(array([[0.5882]]), np.float64(0.875))
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from fastseg.arrays.arguments import checked_number, one_of
from fastseg.counts import BinaryCounts, BoundaryCounts, CenterlineCounts
from fastseg.metrics.arithmetic import NAN, exact, nan_mean, ratio
from fastseg.metrics.registry import Entry, Fraction, Metric, register

__all__ = ["PART_METRICS", "CenterlineMetric", "boundary_iou", "centerline_dice"]

Floats = npt.NDArray[np.float64]

#: Metrics of what is near boundaries, and of centre lines, by name.
BOUNDARY_METRICS: dict[str, Metric] = {}
CENTERLINE_METRICS: dict[str, CenterlineMetric] = {}


@dataclass(frozen=True, eq=False, kw_only=True)
class CenterlineMetric(Entry):
    """A metric of centre lines, for each class."""

    better: Literal["higher"] = "higher"
    symmetric: bool = True

    def __call__(
        self,
        counts: CenterlineCounts,
        *,
        average: Literal["macro", "micro"] | None = None,
        zero_division: float = NAN,
        include_background: bool = True,
    ) -> Floats:
        """Compute the metric: (N, K), or (N,) for an average.

        Parameters
        ----------
        counts
            N cases of K classes.
        average
            None: a value for each class. "macro": the mean of those that are defined. "micro": that of all voxels together.
        zero_division
            The value where a centre line has no voxel; NaN means undefined.
        include_background
            False leaves out class 0.
        """
        one_of(average, "average", (None, "macro", "micro"))
        zero_division = checked_number(zero_division, "zero_division")
        if not isinstance(counts, CenterlineCounts):
            raise TypeError(
                f"counts: expected CenterlineCounts, found {type(counts).__name__} "
                f"(of arrays: fastseg.{self.name}(y_true, y_pred))"
            )
        if not include_background and 0 in counts.classes:
            counts = counts.select([name for name in counts.classes if name != 0])
        if average == "micro":
            counts = counts.summed()
        numerator, denominator = self.function(counts)
        values = ratio(numerator, denominator, zero_division)
        if average == "macro":
            return nan_mean(values, 1, zero_division)
        return values[:, 0] if average == "micro" else values


@register(
    BOUNDARY_METRICS,
    Metric,
    "|T_d ∩ P_d| / |T_d ∪ P_d|, of the voxels within d of the object's own boundary",
    "Cheng et al., CVPR (2021) 15334",
    symmetric=True,
)
def boundary_iou(counts: BinaryCounts) -> Fraction:
    """Return the boundary IoU: that of the voxels which are near the boundary of their own object."""
    if not isinstance(counts, BoundaryCounts):
        raise TypeError(
            f"counts: expected BoundaryCounts, found {type(counts).__name__} (see fastseg.count_boundaries)"
        )
    return counts.tp, counts.tp + counts.fp + counts.fn


@register(
    CENTERLINE_METRICS,
    CenterlineMetric,
    "2 p s / (p + s), p the part of P's centre line within T, s the part of T's within P",
    "Shit et al., CVPR (2021) 16560",
)
def centerline_dice(counts: CenterlineCounts) -> Fraction:
    """Return the centreline Dice (clDice): how well thin structures, such as vessels, are found whole.

    The centre lines are scikit-image's skeletons, which some solid objects have none of: a cube is undefined.
    """
    of_true, of_pred = (exact(counts.inside[..., k]) for k in (0, 1))
    true, pred = (exact(counts.total[..., k]) for k in (0, 1))
    none = (of_true == 0) & (of_pred == 0) & (true > 0) & (pred > 0)  # 0, not 0/0: both lines miss
    return 2 * of_true * of_pred, of_pred * true + of_true * pred + np.asarray(none, np.int64)


#: Metrics of parts of objects by name.
PART_METRICS: dict[str, Metric | CenterlineMetric] = {**BOUNDARY_METRICS, **CENTERLINE_METRICS}
