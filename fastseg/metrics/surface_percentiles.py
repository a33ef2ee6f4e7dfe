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
Interpolation = Literal["linear", "nearest", "step"] | None


def percentile_distance(
    distances: Floats, weights: Weights, areas: Floats | None, percent: float, interpolation: Interpolation
) -> float:
    """Return the percentile of a row of distances; NaN of an empty one.

    Parameters
    ----------
    distances, weights, areas
        Distances, increasing, how many elements have each, and the area of each of these; None where they are only counted.
    percent
        From 0 to 100.
    interpolation
        "linear": as `numpy.percentile` of all elements one by one. "nearest": that of the element whose rank is nearest,
        halves down. "step": the smallest distance that this part of the total area is not beyond. None: linear where elements
        are counted, else a step.
    """
    if not distances.size:
        return NAN
    if interpolation == "step" or (interpolation is None and areas is not None):
        return _step(distances, weights, areas, percent / 100)
    upto = np.cumsum(weights)
    last = upto[-1] - 1
    virtual = last * (percent / 100)
    if interpolation == "nearest":
        virtual = math.ceil(virtual - 0.5)
    low = min(max(math.floor(virtual), 0), last)
    below, above = (float(distances[np.searchsorted(upto, k, "right")]) for k in (low, min(low + 1, last)))
    part = virtual - low
    if below == above or part == 0:
        return below
    if above == math.inf:
        return math.inf
    step = above - below
    return float(above - step * (1 - part) if part >= 0.5 else below + step * part)  # as NumPy, to the last bit


def _step(distances: Floats, weights: Weights, areas: Floats | None, part: float) -> float:
    """Return the first distance at which the cumulated area is that part of all.

    Areas are added element by element, by increasing distance and then area, as DeepMind's surface-distance adds them: where
    the two sides are equal but for rounding, the order decides.
    """
    upto = np.cumsum(weights)
    if areas is None:
        place = int(np.searchsorted(upto / upto[-1], part))
    else:
        each = np.repeat(areas, weights)
        element = int(np.searchsorted(np.cumsum(each) / np.sum(each), part))
        place = int(np.searchsorted(upto, element, "right"))
    return float(distances[min(place, distances.size - 1)])


def mean_distance(distances: Floats, weights: Weights, areas: Floats | None) -> tuple[float, float]:
    """Return the sum of the distances times the areas of their elements, and the sum of the areas (of 1 if there are none)."""
    measures = weights if areas is None else weights * areas
    return math.fsum((distances * measures).tolist()), math.fsum(measures.tolist())
