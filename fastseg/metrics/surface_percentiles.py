"""Percentiles and means of distances that are kept once, with how much of the surface has each."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from fastseg.metrics.arithmetic import NAN

__all__ = ["Interpolation", "mean_distance", "percentile_distance"]

Floats = npt.NDArray[np.float64]
Weights = npt.NDArray[Any]
Interpolation = Literal["linear", "step"] | None


def percentile_distance(distances: Floats, weights: Weights, percent: float, interpolation: Interpolation) -> float:
    """Return the percentile of a row of distances; NaN of an empty one.

    Parameters
    ----------
    distances, weights
        Distinct distances, increasing, and their weights.
    percent
        From 0 to 100.
    interpolation
        "linear": as `numpy.percentile` of all elements one by one. "step": the smallest distance that this part of the total
        weight is not beyond. None: linear where elements are counted, else a step.
    """
    if not distances.size:
        return NAN
    if interpolation == "step" or (interpolation is None and weights.dtype.kind == "f"):
        upto = np.cumsum(weights)
        place = int(np.searchsorted(upto, percent / 100 * upto[-1]))
        return float(distances[min(place, distances.size - 1)])
    upto = np.cumsum(weights)
    last = int(upto[-1]) - 1
    virtual = last * (percent / 100)
    low = min(max(math.floor(virtual), 0), last)
    below, above = (float(distances[np.searchsorted(upto, k, "right")]) for k in (low, min(low + 1, last)))
    part = virtual - low
    if below == above or part == 0:
        return below
    if above == math.inf:
        return math.inf
    step = above - below
    return above - step * (1 - part) if part >= 0.5 else below + step * part  # as NumPy, to the last bit


def mean_distance(distances: Floats, weights: Weights) -> tuple[float, float]:
    """Return the sum of the distances times their weights, and the sum of the weights."""
    return math.fsum((distances * weights).tolist()), float(weights.sum())
