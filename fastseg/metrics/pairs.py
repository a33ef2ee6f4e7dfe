"""Metrics of segmentations into many parts, whose labels mean nothing: pure functions of the pairs of labels that occur.

They compare two partitions: relabelling either map changes nothing. `fastseg.metrics.variation_of_information` and its
siblings take `PairCounts`; `PAIR_METRICS` has all of them by name and alias.

Examples
--------
>>> import fastseg
>>> pairs = fastseg.count_pairs([1, 1, 2, 2], [7, 7, 7, 8])
>>> split, merge = variation_of_information(pairs)
>>> split.round(3), merge.round(3)
(array([0.5]), array([0.689]))
>>> adjusted_rand_error(pairs).error.round(3)
array([0.6])
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from fastseg.arrays.arguments import finite_number
from fastseg.counts import PairCounts
from fastseg.metrics.pair_conventions import PAIR_CONVENTIONS, PairConvention
from fastseg.metrics.pair_sums import CaseSums, cases_of
from fastseg.metrics.registry import Entry, register

__all__ = [
    "PAIR_METRICS",
    "AdjustedRandError",
    "PairMetric",
    "VariationOfInformation",
    "adjusted_rand_error",
    "adjusted_rand_index",
    "completeness",
    "fowlkes_mallows",
    "homogeneity",
    "mutual_information",
    "normalized_mutual_information",
    "rand_index",
    "v_measure",
    "variation_of_information",
]

Floats = npt.NDArray[np.float64]
NAN = float("nan")

#: Every metric of pairs by its name and by its aliases.
PAIR_METRICS: dict[str, PairMetric] = {}


class VariationOfInformation(NamedTuple):
    """What truth and prediction do not tell of each other, in bits."""

    split: Any
    """H(prediction | truth): what is split that belongs together."""
    merge: Any
    """H(truth | prediction): what is merged that does not."""


class AdjustedRandError(NamedTuple):
    """One minus the F-score of pairs of voxels, and what it is made of."""

    error: Any
    precision: Any
    """Of the pairs of voxels that the prediction joins, the fraction that the truth joins."""
    recall: Any
    """Of the pairs of voxels that the truth joins, the fraction that the prediction joins."""


@dataclass(frozen=True, eq=False, kw_only=True)
class PairMetric(Entry):
    """A metric of two partitions, and what is known of it."""

    better: Literal["higher", "lower"] = "higher"
    """Which values are better."""
    symmetric: bool = True
    """Whether exchanging truth and prediction leaves it as it is, under the convention that is the default."""
    weights: bool = True
    """Whether voxels may be weighted; where pairs of voxels are counted, they may not."""
    result: Any = float
    """What it is of one case: a float, or a named tuple of floats."""

    def __call__(self, pairs: PairCounts, *, convention: str | None = None, **parameters: Any) -> Any:
        """Compute the metric.

        Parameters
        ----------
        pairs : PairCounts
            N cases.
        convention : str or None
            Whose definition: a name of `fastseg.metrics.pair_conventions.PAIR_CONVENTIONS`. None is "fastseg".
        **parameters
            The metric's own, such as ``beta`` of `v_measure`.

        Returns
        -------
        values : (N,) float64, or a named tuple of such arrays
            NaN where no voxel is counted.

        Raises
        ------
        TypeError, ValueError
            If these are no PairCounts, or weighted where pairs of voxels are counted; for other conventions.
        """
        if not isinstance(pairs, PairCounts):
            arrays = f"fastseg.{self.name}(y_true, y_pred)"
            raise TypeError(f"pairs: expected PairCounts, found {type(pairs).__name__} (of arrays: {arrays})")
        if pairs.weighted and not self.weights:
            raise ValueError(
                f"pairs: expected voxels without weights, since {self.name} counts pairs of voxels; found weights"
            )
        name = "fastseg" if convention is None else convention
        if not isinstance(name, str) or name not in PAIR_CONVENTIONS:
            raise ValueError(f"convention: expected one of {', '.join(PAIR_CONVENTIONS)}, found {convention!r}")
        chosen = PAIR_CONVENTIONS[name]
        for parameter, value in parameters.items():
            finite_number(value, parameter)
        found = [
            self.function(case, chosen, **parameters)
            for case in cases_of(pairs, self.name in chosen.without_background)
        ]
        if self.result is float:
            return np.array(found, np.float64)
        columns = np.array(found, np.float64).reshape(len(found), len(self.result._fields))
        return self.result(*columns.T)

    @property
    def own(self) -> list[Any]:
        """Its own parameters, which every function has besides the case and the convention."""
        return super().own[1:]


_metric: Callable[..., Callable[[Callable[..., Any]], PairMetric]] = partial(register, PAIR_METRICS, PairMetric)


@_metric(
    "(H(pred | true), H(true | pred))",
    "Meilă, Journal of Multivariate Analysis 98 (2007) 873",
    range=(0.0, math.inf),
    better="lower",
    symmetric=False,
    result=VariationOfInformation,
)
def variation_of_information(case: CaseSums, convention: PairConvention) -> VariationOfInformation:  # noqa: ARG001
    """Return the two halves of the variation of information, split and merge, in bits.

    The first is what is split that belongs together, the second what is merged that does not; their sum is a metric of
    partitions. Exchanging truth and prediction exchanges the two.

    Examples
    --------
    >>> fastseg.variation_of_information([1, 1, 2, 2], [7, 8, 9, 9])
    VariationOfInformation(split=0.5, merge=0.0)
    """
    return VariationOfInformation(case.split, case.merge)


@_metric(
    "1 - 2 A / (T + S), precision A / S, recall A / T, of the ordered pairs of voxels joined by both, truth, prediction",
    "Arganda-Carreras et al., Frontiers in Neuroanatomy 9 (2015) 142",
    aliases=("adapted_rand_error",),
    better="lower",
    symmetric=False,
    weights=False,
    result=AdjustedRandError,
)
def adjusted_rand_error(case: CaseSums, convention: PairConvention) -> AdjustedRandError:
    """Return one minus the F-score of pairs of voxels, their precision and their recall.

    Examples
    --------
    >>> fastseg.adjusted_rand_error([1, 1, 2, 2], [7, 7, 7, 7])
    AdjustedRandError(error=0.5, precision=0.3333333333333333, recall=1.0)
    """
    if not case.total:
        return AdjustedRandError(NAN, NAN, NAN)
    both, true, pred = case.squares
    if convention.background_apart:  # predicted background is no segment: each of its voxels is one, by its share
        apart = case.counts[case.background]
        whole = sum(apart.tolist())
        parts = [int(c) ** 2 for c in apart.tolist()]
        share = whole / case.given
        joined, pred_pairs = both - sum(parts) + share, pred - whole**2 + share
        precision, recall = _fraction(joined, pred_pairs), _fraction(joined, true)
        error = 1 - _fraction(2 * precision * recall, precision + recall)
        return AdjustedRandError(error, precision, recall)
    itself = 0 if convention.pairs_with_itself else case.total
    both, true, pred = both - itself, true - itself, pred - itself
    error, precision, recall = (
        _fraction(true + pred - 2 * both, true + pred),
        _fraction(both, pred),
        _fraction(both, true),
    )
    return (
        AdjustedRandError(error, recall, precision)
        if convention.swapped
        else AdjustedRandError(error, precision, recall)
    )


@_metric(
    "(pairs joined by both + pairs joined by neither) / pairs, of voxels",
    "Rand, Journal of the American Statistical Association 66 (1971) 846",
    aliases=("rand_score",),
    weights=False,
)
def rand_index(case: CaseSums, convention: PairConvention) -> float:
    """Return the fraction of pairs of voxels that truth and prediction both join, or both keep apart.

    Examples
    --------
    >>> fastseg.rand_index([1, 1, 2, 2], [7, 7, 7, 8])
    0.5
    """
    n = case.total
    both, true, pred = case.squares
    if n == 1:
        return 1.0  # nothing to disagree about
    return _fraction(n * n - n + 2 * both - true - pred, n * n - n, convention)


@_metric(
    "(Rand index - expected) / (1 - expected)",
    "Hubert and Arabie, Journal of Classification 2 (1985) 193",
    aliases=("adjusted_rand_score",),
    range=(-0.5, 1.0),
    weights=False,
)
def adjusted_rand_index(case: CaseSums, convention: PairConvention) -> float:
    """Return the Rand index, adjusted for chance: 0 of independent partitions, 1 of equal ones.

    Examples
    --------
    >>> fastseg.adjusted_rand_index([1, 1, 2, 2], [7, 7, 7, 8])
    0.0
    """
    n = case.total
    both, true, pred = case.squares
    together, invented, missed = both - n, pred - both, true - both
    apart = n * n - both - invented - missed
    if n and not invented and not missed:
        return 1.0
    denominator = (together + missed) * (missed + apart) + (together + invented) * (invented + apart)
    return _fraction(2 * (together * apart - missed * invented), denominator, convention)


@_metric(
    "A / sqrt(T S), of the pairs of voxels joined by both, truth, prediction",
    "Fowlkes and Mallows, Journal of the American Statistical Association 78 (1983) 553",
    aliases=("fowlkes_mallows_score",),
    weights=False,
)
def fowlkes_mallows(case: CaseSums, convention: PairConvention) -> float:
    """Return the geometric mean of precision and recall of pairs of voxels.

    Examples
    --------
    >>> round(fastseg.fowlkes_mallows([1, 1, 2, 2], [7, 7, 7, 8]), 3)
    0.408
    """
    both, true, pred = (squares - case.total for squares in case.squares)
    if convention.empty == convention.empty and not both:
        return 0.0
    return math.sqrt(_fraction(both, true) * _fraction(both, pred))


@_metric(
    "H(true) - H(true | pred)",
    "Shannon, Bell System Technical Journal 27 (1948) 379",
    aliases=("mutual_info_score",),
    range=(0.0, math.inf),
)
def mutual_information(case: CaseSums, convention: PairConvention) -> float:
    """Return what truth and prediction tell of each other, in bits.

    Examples
    --------
    >>> fastseg.mutual_information([1, 1, 2, 2], [7, 7, 8, 8])
    1.0
    """
    return _information(case) * convention.unit_of_information


@_metric(
    "2 I(true, pred) / (H(true) + H(pred))",
    "Strehl and Ghosh, Journal of Machine Learning Research 3 (2002) 583",
    aliases=("normalized_mutual_info_score",),
)
def normalized_mutual_information(case: CaseSums, convention: PairConvention) -> float:
    """Return the mutual information as a fraction of the mean of both entropies.

    Examples
    --------
    >>> round(fastseg.normalized_mutual_information([1, 1, 2, 2], [7, 7, 7, 8]), 3)
    0.344
    """
    return _share(2 * _information(case), case.entropy_true + case.entropy_pred, case, convention)


@_metric(
    "1 - H(true | pred) / H(true)",
    "Rosenberg and Hirschberg, EMNLP-CoNLL (2007) 410",
    aliases=("homogeneity_score",),
    symmetric=False,
)
def homogeneity(case: CaseSums, convention: PairConvention) -> float:
    """Return how far each predicted segment lies in one true one: 1 where nothing is merged.

    Examples
    --------
    >>> round(fastseg.homogeneity([1, 1, 2, 2], [7, 7, 7, 8]), 3)
    0.311
    """
    return _share(case.entropy_true - case.merge, case.entropy_true, case, convention)


@_metric(
    "1 - H(pred | true) / H(pred)",
    "Rosenberg and Hirschberg, EMNLP-CoNLL (2007) 410",
    aliases=("completeness_score",),
    symmetric=False,
)
def completeness(case: CaseSums, convention: PairConvention) -> float:
    """Return how far each true segment lies in one predicted one: 1 where nothing is split.

    Examples
    --------
    >>> round(fastseg.completeness([1, 1, 2, 2], [7, 7, 7, 8]), 3)
    0.384
    """
    return _share(case.entropy_pred - case.split, case.entropy_pred, case, convention)


@_metric(
    "(1 + beta) homogeneity completeness / (beta homogeneity + completeness)",
    "Rosenberg and Hirschberg, EMNLP-CoNLL (2007) 410",
    aliases=("v_measure_score",),
    symmetric=False,
    parameters={"beta": "How much completeness weighs; 1 is as much as homogeneity."},
)
def v_measure(case: CaseSums, convention: PairConvention, beta: float = 1.0) -> float:
    """Return the weighted harmonic mean of homogeneity and completeness.

    Examples
    --------
    >>> round(fastseg.v_measure([1, 1, 2, 2], [7, 7, 7, 8]), 3)
    0.344
    """
    h, c = homogeneity.function(case, convention), completeness.function(case, convention)
    return 0.0 if h + c == 0 else _fraction((1 + beta) * h * c, beta * h + c)


def _information(case: CaseSums) -> float:
    """Return the mutual information in bits; of two numbers whose difference it is, rounding may leave less than nothing."""
    return max(0.0, case.entropy_true - case.merge) if case.total else NAN


def _share(part: float, whole: float, case: CaseSums, convention: PairConvention) -> float:
    """Return a fraction of an entropy: 1 where there is nothing to tell."""
    if not case.total:
        return convention.empty
    return min(1.0, max(0.0, part / whole)) if whole > 0 else 1.0


def _fraction(numerator: Any, denominator: Any, convention: PairConvention | None = None) -> float:
    if denominator == 0:
        return NAN if convention is None else convention.empty
    return float(numerator / denominator)
