"""Dice in the surroundings of each true component, whose voxels no other component is nearer to."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fastseg.counts import PairCounts
from fastseg.metrics.arithmetic import nan_mean
from fastseg.metrics.instances.rules import dice

__all__ = ["region_dice"]


def region_dice(pairs: PairCounts) -> npt.NDArray[np.float64]:
    """Return the mean over regions of the Dice in each: (N,), NaN of cases without truth.

    Parameters
    ----------
    pairs : PairCounts
        Of twice the number of a region, and one more where the truth is, with a predicted mask.
    """
    truth, found = pairs.true % 2 == 1, pairs.pred != 0
    regions, inverse = np.unique(np.stack([pairs.case, pairs.true >> 1]), axis=1, return_inverse=True)
    length = regions.shape[1]
    common, true, pred = (
        np.bincount(inverse.reshape(-1), np.where(which, pairs.counts, 0), length)
        for which in (truth & found, truth, found)
    )
    values = np.where(true > 0, dice(common, true, pred), np.nan)
    means = [nan_mean(values[regions[0] == case], 0) for case in range(pairs.num_cases)]
    return np.array(means, np.float64).reshape(-1)
