"""Arithmetic that metrics and losses share: quotients, means, reductions. What is undefined is NaN."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from fastseg.arrays.arguments import one_of
from fastseg.counts import ScoreSums

__all__ = ["NAN", "Reduction", "exact", "nan_mean", "ratio", "reduced", "root", "times", "voxel_terms", "weighted_mean"]

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Reduction = Literal["mean", "sum"] | None
NAN = float("nan")


def ratio(numerator: Any, denominator: Any, zero_division: float = NAN) -> Floats:
    """Return the quotients; `zero_division` where the denominator is 0."""
    numerator, denominator = np.asarray(numerator), np.asarray(denominator)
    if "O" in (numerator.dtype.kind, denominator.dtype.kind):  # integers of any size, which `exact` makes
        zero = denominator == 0
        return np.asarray(np.where(zero, zero_division, numerator / np.where(zero, 1, denominator)), np.float64)
    values = np.empty(np.broadcast(numerator, denominator).shape)
    values.fill(zero_division)
    np.divide(numerator, denominator, out=values, where=denominator != 0)
    return values


def times(factor: Any, values: Any) -> Floats:
    """Return the products, where zero times infinity (or NaN) is zero: what has no weight does not count."""
    factor, values = np.broadcast_arrays(np.asarray(factor, np.float64), values)
    products = np.zeros(values.shape)
    np.multiply(factor, values, out=products, where=factor != 0)
    return products


def nan_mean(values: Floats, axis: int, zero_division: float = NAN) -> Floats:
    """Return the means along an axis of the values that are not NaN; `zero_division` where there are none."""
    defined = values == values
    return ratio(np.where(defined, values, 0.0).sum(axis), defined.sum(axis), zero_division)


def weighted_mean(values: Floats, weights: Floats, zero_division: float = NAN) -> Floats:
    """Return the weighted means over the classes of (N, K) values that are not NaN, where these have weight."""
    weights = np.where(np.isnan(values), 0.0, weights)
    return ratio(times(weights, values).sum(1), weights.sum(1), zero_division)


def exact(counts: Array) -> Array:
    """Return integers as Python's, so that products of counts cannot overflow; floats stay."""
    return counts.astype(object) if counts.dtype.kind == "i" else counts


def root(numbers: Array) -> Floats:
    """Return the square roots; 0 of what rounding made negative."""
    return np.sqrt(np.maximum(np.asarray(numbers, np.float64), 0.0))


def reduced(terms: Floats, counts: Floats, reduction: Reduction) -> float | Floats:
    """Return the mean over all cases, their sum, or (N,) means, of (N,) sums over `counts` things each."""
    one_of(reduction, "reduction", ("mean", "sum", None))
    if reduction is None:
        return ratio(terms, counts)
    return float(terms.sum()) if reduction == "sum" else float(ratio(terms.sum(), counts.sum()))


def voxel_terms(sums: ScoreSums) -> Floats:
    """Return over how many terms the mean of a case is: (N,), its voxels, or their number times C where sums are binary."""
    return sums.total * sums.num_classes if sums.binary else sums.total
