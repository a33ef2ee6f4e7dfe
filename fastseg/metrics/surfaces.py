"""Metrics of surfaces: pure functions of `SurfaceDistances`; `fastseg` has them for arrays, too.

N cases, K classes. d(A → B) are the distances of the elements of surface A to the nearest element of B; T is the surface of
the truth and P that of the prediction.

Examples
--------
>>> import fastseg
>>> true = np.zeros((1, 6, 6), int)
>>> true[0, 1:4, 1:4] = 1
>>> surfaces = fastseg.surface_distances(true, np.roll(true, 1, axis=2), spacing=(5, 0.5, 0.5))
>>> hausdorff_distance(surfaces), average_symmetric_surface_distance(surfaces).round(4)
(array([[0.5]]), array([[0.1667]]))
>>> normalized_surface_dice(surfaces, tolerance=0.1).round(4)
array([[0.6667]])
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from fastseg.arrays.arguments import checked_number, one_of
from fastseg.counts import DIRECTIONS, SurfaceDistances
from fastseg.counts.surface_rows import row_sums
from fastseg.metrics.arithmetic import ratio
from fastseg.metrics.surface_metric import SURFACE_METRICS, SurfaceMetric, surface_metric
from fastseg.metrics.surface_percentiles import Interpolation, mean_distance, row_percentiles

__all__ = [
    "SURFACE_METRICS",
    "SurfaceMetric",
    "average_surface_distance",
    "average_symmetric_surface_distance",
    "hausdorff_distance",
    "hd95",
    "mean_average_surface_distance",
    "normalized_surface_dice",
    "surface_overlap",
]

Floats = npt.NDArray[np.float64]
Combine = Literal["max", "mean", "pooled"]
Direction = Literal["true_to_pred", "pred_to_true"]
Tolerance = float | Sequence[float] | Sequence[Sequence[float]] | npt.NDArray[Any] | Mapping[Any, float]
INFINITE = (0.0, float("inf"))

_PERCENTILE = {
    "percentile": "From 0 to 100, which is the largest distance.",
    "combine": '"max": the larger of the percentiles of both directions. "mean": their mean. "pooled": the percentile of '
    "the distances of both directions together.",
    "interpolation": '"linear": between neighbouring elements, as numpy.percentile. "nearest": the element of the nearest '
    'rank, halves down. "step": the smallest distance within which so much of the surface lies. None: linear where elements '
    "are counted, a step where they have areas.",
}
_DIRECTION = {
    "direction": '"true_to_pred": of the elements of the truth\'s surface; "pred_to_true": of the prediction\'s.'
}
_TOLERANCE = {
    "tolerance": "In the unit of the spacing: a number, one for each class in order, or a dict by class (None: all others). A "
    "distance that equals it is within it. Rows of one number, or of one for each class, are a curve: the result then has one "
    "axis more, as long as there are rows."
}


def _each_row(surfaces: SurfaceDistances, function: Callable[[Floats, Any, Any], Any]) -> Floats:
    """Return what a function makes of the distances, weights and areas of each case, class and direction: (N, K, 2, ...)."""
    areas = surfaces.areas
    values = np.array(
        [
            function(surfaces.distances[a:b], surfaces.weights[a:b], None if areas is None else areas[a:b])
            for a, b in pairwise(surfaces.starts.tolist())
        ],
        np.float64,
    )
    return values.reshape(*surfaces.elements.shape, *values.shape[1:])


def _pooled_directions(surfaces: SurfaceDistances) -> tuple[Floats, Any, Floats | None, Any]:
    """Return distances, weights, areas and starts of both directions together, where equal distances stand side by side."""
    starts = surfaces.starts[::2]
    keys = [surfaces.distances, np.repeat(np.arange(starts.size - 1), starts[1:] - starts[:-1])]
    if surfaces.areas is not None:
        keys.insert(0, surfaces.areas)
    order = np.lexsort(keys)
    areas = None if surfaces.areas is None else surfaces.areas[order]
    return surfaces.distances[order], surfaces.weights[order], areas, starts


def _totals(surfaces: SurfaceDistances) -> tuple[Floats, Floats]:
    """Return for each direction the sum of the distances and the weight of the surface: (N, K, 2) each."""
    both = _each_row(surfaces, mean_distance).reshape(*surfaces.elements.shape, 2)
    return both[..., 0], both[..., 1]


@surface_metric(
    "max of d(T → P) and d(P → T), the largest distances or a percentile of each",
    "Huttenlocher et al., IEEE TPAMI 15 (1993) 850",
    range=INFINITE,
    aliases=("hd",),
    parameters=_PERCENTILE,
)
def hausdorff_distance(
    surfaces: SurfaceDistances,
    *,
    percentile: float = 100.0,
    combine: Combine = "max",
    interpolation: Interpolation = None,
) -> Floats:
    """Return the Hausdorff distance: how far the farthest point of one surface is from the other one.

    Examples
    --------
    >>> import numpy as np
    >>> true, pred = np.zeros((2, 8, 8), bool)
    >>> true[2:6, 2:6] = pred[2:6, 2:7] = True
    >>> fastseg.hausdorff_distance(true, pred, spacing=(1, 0.5))
    0.5
    """
    percent = checked_number(percentile, "percentile")
    if not 0 <= percent <= 100:
        raise ValueError(f"percentile: expected a number from 0 to 100, found {percentile!r}")
    one_of(combine, "combine", ("max", "mean", "pooled"))
    one_of(interpolation, "interpolation", ("linear", "nearest", "step", None))

    if combine == "pooled":
        found = row_percentiles(*_pooled_directions(surfaces), percent, interpolation)
        return found.reshape(surfaces.elements.shape[:2])
    rows = surfaces.distances, surfaces.weights, surfaces.areas, surfaces.starts
    values = row_percentiles(*rows, percent, interpolation).reshape(surfaces.elements.shape)
    return np.asarray(values.max(2) if combine == "max" else values.mean(2))


@surface_metric(
    "max of the 95th percentiles of d(T → P) and d(P → T)",
    "Huttenlocher et al., IEEE TPAMI 15 (1993) 850",
    range=INFINITE,
    parameters=_PERCENTILE,
)
def hd95(surfaces: SurfaceDistances, *, combine: Combine = "max", interpolation: Interpolation = None) -> Floats:
    """Return the 95th percentile of the Hausdorff distance: the farthest twentieth of each surface is left out.

    Examples
    --------
    >>> import numpy as np
    >>> true, pred = np.zeros((2, 8, 8), bool)
    >>> true[2:6, 2:6] = pred[2:6, 2:7] = True
    >>> fastseg.hd95(true, pred, spacing=(1, 0.5))
    0.5
    """
    return np.asarray(
        hausdorff_distance.function(surfaces, percentile=95.0, combine=combine, interpolation=interpolation)
    )


@surface_metric(
    "mean of d(T → P), or of d(P → T)",
    "Heimann et al., IEEE Transactions on Medical Imaging 28 (2009) 1251",
    range=INFINITE,
    aliases=("asd",),
    symmetric=False,
    parameters=_DIRECTION,
)
def average_surface_distance(surfaces: SurfaceDistances, *, direction: Direction = "pred_to_true") -> Floats:
    """Return the average surface distance (ASD), of one direction.

    Examples
    --------
    >>> import numpy as np
    >>> true, pred = np.zeros((2, 8, 8), bool)
    >>> true[2:6, 2:6] = pred[2:6, 2:7] = True
    >>> round(fastseg.average_surface_distance(true, pred, spacing=1), 4)  # 4 + 2 of 14 elements are 1 away
    0.2857
    """
    one_of(direction, "direction", DIRECTIONS)
    sums, weights = _totals(surfaces)
    return ratio(sums, weights)[..., DIRECTIONS.index(direction)]


@surface_metric(
    "(Σ d(T → P) + Σ d(P → T)) / (|T| + |P|)",
    "Heimann et al., IEEE Transactions on Medical Imaging 28 (2009) 1251",
    range=INFINITE,
    aliases=("assd",),
    parameters={
        "combine": '"pooled": the mean over all elements. "mean": the mean of the two directions\' means, which is MASD.'
    },
)
def average_symmetric_surface_distance(
    surfaces: SurfaceDistances, *, combine: Literal["pooled", "mean"] = "pooled"
) -> Floats:
    """Return the average symmetric surface distance (ASSD): the mean over the elements of both surfaces.

    Examples
    --------
    >>> import numpy as np
    >>> true, pred = np.zeros((2, 8, 8), bool)
    >>> true[2:6, 2:6] = pred[2:6, 2:7] = True
    >>> round(fastseg.average_symmetric_surface_distance(true, pred, spacing=1), 4)
    0.2308
    """
    one_of(combine, "combine", ("pooled", "mean"))
    sums, weights = _totals(surfaces)
    return ratio(sums.sum(2), weights.sum(2)) if combine == "pooled" else ratio(sums, weights).mean(2)


@surface_metric(
    "(mean of d(T → P) + mean of d(P → T)) / 2",
    "Beneš and Zitová, Journal of Microscopy 257 (2015) 65",
    range=INFINITE,
    aliases=("masd",),
)
def mean_average_surface_distance(surfaces: SurfaceDistances) -> Floats:
    """Return the mean average surface distance (MASD): the mean of the two directions' means.

    Examples
    --------
    >>> import numpy as np
    >>> true, pred = np.zeros((2, 8, 8), bool)
    >>> true[2:6, 2:6] = pred[2:6, 2:7] = True
    >>> round(fastseg.mean_average_surface_distance(true, pred, spacing=1), 4)
    0.2262
    """
    return np.asarray(ratio(*_totals(surfaces)).mean(2))


def _within(surfaces: SurfaceDistances, tolerance: Tolerance) -> Floats:
    """Return the weight of each surface within the tolerance: (N, K, 2), with T tolerances (N, K, 2, T)."""
    limits = _tolerances(tolerance, surfaces.classes)
    beyond = limits[(limits > surfaces.max_distance) & (limits < np.inf)]
    if beyond.size:  # what lies between the two would be outside
        raise ValueError(
            f"tolerance: expected at most {surfaces.max_distance:g}, beyond which nothing was measured (max_distance=), "
            f"found {beyond.max():g}"
        )
    inside, measures = [], surfaces.measures
    if limits.ndim == 1:
        rows = np.empty(surfaces.elements.shape)
        rows[:] = limits[:, None]
        each = rows.reshape(-1).repeat(surfaces.starts[1:] - surfaces.starts[:-1])
        there = row_sums(np.where(surfaces.distances <= each, measures, 0), surfaces.starts)
        return there.astype(np.float64).reshape(surfaces.elements.shape)
    for row, (a, b) in enumerate(pairwise(surfaces.starts.tolist())):
        upto = np.concatenate([[0], np.cumsum(measures[a:b])])
        inside.append(upto[np.searchsorted(surfaces.distances[a:b], limits[row // 2 % len(limits)], "right")])
    return np.array(inside, np.float64).reshape(*surfaces.elements.shape, *limits.shape[1:])


def _tolerances(tolerance: Tolerance, classes: Sequence[str | int]) -> Floats:
    """Return a tolerance for each class, (K,), or T of them, (K, T)."""
    if isinstance(tolerance, Mapping):
        others: Any = tolerance.get(None)  # of all that are not named
        missing = [name for name in classes if name not in tolerance and others is None]
        if missing:
            raise ValueError(f"tolerance: expected one for each class, found none for {missing}")
        tolerance = [tolerance.get(name, others) for name in classes]
    if isinstance(tolerance, str) or np.ndim(tolerance) == 0:
        given: npt.NDArray[Any] = np.full(len(classes), checked_number(tolerance, "tolerance"))
    else:
        given = np.array(tolerance, object)
    if given.ndim == 2 and given.shape[1] == 1:
        given = np.repeat(given, len(classes), 1)
    if given.ndim > 2 or given.shape[-1] != len(classes):
        wanted = f"a number, or {len(classes)} for {list(classes)}"
        raise ValueError(
            f"tolerance: expected {wanted}; found {given.shape[-1]} (a curve is rows of one, or of {len(classes)})"
        )
    if given.dtype == object:
        given = np.array([checked_number(each, "tolerance") for each in given.flat]).reshape(given.shape)
    limits = given
    if not (limits >= 0).all():
        raise ValueError(f"tolerance: expected distances that are not negative, found {tolerance!r}")
    return limits.T


@surface_metric(
    "(|{d(T → P) ≤ τ}| + |{d(P → T) ≤ τ}|) / (|T| + |P|)",
    "Nikolov et al., Journal of Medical Internet Research 23 (2021) e26151",
    range=(0.0, 1.0),
    aliases=("nsd",),
    better="higher",
    unit="",
    worst=0.0,
    parameters={
        **_TOLERANCE,
        "combine": '"pooled": the part of both surfaces together. "mean": the mean of the parts of each.',
    },
)
def normalized_surface_dice(
    surfaces: SurfaceDistances, tolerance: Tolerance, *, combine: Literal["pooled", "mean"] = "pooled"
) -> Floats:
    """Return the normalised surface Dice (NSD): the part of both surfaces that is within a tolerance of the other one.

    Examples
    --------
    >>> import numpy as np
    >>> true, pred = np.zeros((2, 8, 8), bool)
    >>> true[2:6, 2:6] = pred[2:6, 2:7] = True
    >>> round(fastseg.normalized_surface_dice(true, pred, spacing=(1, 0.5), tolerance=0.1), 4)
    0.7692
    >>> fastseg.normalized_surface_dice(true, pred, spacing=(1, 0.5), tolerance=[[0], [0.25], [0.5]]).round(4)
    array([0.7692, 0.7692, 1.    ])
    """
    one_of(combine, "combine", ("pooled", "mean"))
    inside = _within(surfaces, tolerance)
    totals = surfaces.totals.astype(np.float64).reshape(*surfaces.elements.shape, *[1] * (inside.ndim - 3))
    return ratio(inside.sum(2), totals.sum(2)) if combine == "pooled" else ratio(inside, totals).mean(2)


@surface_metric(
    "|{d(T → P) ≤ τ}| / |T|, or |{d(P → T) ≤ τ}| / |P|",
    "Nikolov et al., Journal of Medical Internet Research 23 (2021) e26151",
    range=(0.0, 1.0),
    better="higher",
    unit="",
    worst=0.0,
    symmetric=False,
    parameters={**_TOLERANCE, **_DIRECTION},
)
def surface_overlap(
    surfaces: SurfaceDistances, tolerance: Tolerance, *, direction: Direction = "true_to_pred"
) -> Floats:
    """Return the part of one surface that is within a tolerance of the other one.

    Examples
    --------
    >>> import numpy as np
    >>> true, pred = np.zeros((2, 8, 8), bool)
    >>> true[2:6, 2:6] = pred[2:6, 2:7] = True
    >>> round(fastseg.surface_overlap(true, pred, spacing=(1, 0.5), tolerance=0.1), 4)
    0.8333
    """
    one_of(direction, "direction", DIRECTIONS)
    k = DIRECTIONS.index(direction)
    inside = _within(surfaces, tolerance)[:, :, k]
    totals = surfaces.totals[:, :, k].astype(np.float64)
    return ratio(inside, totals.reshape(*totals.shape, *[1] * (inside.ndim - 2)))
