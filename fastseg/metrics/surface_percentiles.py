"""Percentiles and means of distances that are kept once, with how much of the surface has each."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from fastseg.metrics.arithmetic import NAN

__all__ = ["Interpolation", "mean_distance", "row_percentiles"]

Floats = npt.NDArray[np.float64]
Weights = npt.NDArray[Any]
Interpolation = Literal["linear", "nearest", "step"] | None


def row_percentiles(
    distances: Floats,
    weights: Weights,
    areas: Floats | None,
    starts: Weights,
    percent: float,
    interpolation: Interpolation,
) -> Floats:
    """Return the percentile of each row of distances; NaN of an empty one.

    Parameters
    ----------
    distances, weights, areas
        Distances, in each row increasing, how many elements have each, and the area of each of these; None where they are only
        counted.
    starts
        Row r has those from starts[r] to starts[r + 1] − 1.
    percent
        From 0 to 100.
    interpolation
        "linear": as `numpy.percentile` of all elements one by one. "nearest": that of the element whose rank is nearest,
        halves down. "step": the smallest distance that this part of the total area is not beyond. None: linear where elements
        are counted, else a step.
    """
    rows = (starts[1:] > starts[:-1]).nonzero()[0]
    found = np.full(starts.size - 1, NAN)
    first, end = starts[rows], starts[rows + 1]
    if interpolation == "step" or (interpolation is None and areas is not None):
        for row, a, b in zip(rows.tolist(), first.tolist(), end.tolist(), strict=True):
            found[row] = _step(distances[a:b], weights[a:b], None if areas is None else areas[a:b], percent / 100)
        return found
    upto = weights.cumsum()
    before = upto[first] - weights[first]
    last = upto[end - 1] - before - 1
    virtual = last * (percent / 100)
    if interpolation == "nearest":
        virtual = np.ceil(virtual - 0.5)
    low = virtual.astype(np.int64)
    values = distances[upto.searchsorted(before + low, "right")]
    above = distances[upto.searchsorted(before + np.minimum(low + 1, last), "right")]
    part = virtual - low
    between = ((values != above) & (part > 0)).nonzero()[0]
    if between.size:
        below, above, part = values[between], above[between], part[between]
        step = above - below
        with np.errstate(invalid="ignore"):  # of two infinite numbers
            steps = np.where(part >= 0.5, above - step * (1 - part), below + step * part)  # as NumPy, to the last bit
        values[between] = np.where(above == math.inf, math.inf, steps)
    found[rows] = values
    return found


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
