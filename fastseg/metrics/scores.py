"""Metrics of scores: pure functions of `ScoreSums`; `fastseg` has them for arrays, too.

N cases, C classes, B bins; t is the truth and p the predicted probability of a voxel.

Examples
--------
>>> import fastseg
>>> p = np.array([0.1, 0.4, 0.6, 0.9])
>>> sums = fastseg.sum_scores([0, 1, 0, 1], np.stack([1 - p, p], axis=-1), quantities=["brier", "cross_entropy"], bins=10)
>>> round(brier_score(sums), 4), round(negative_log_likelihood(sums), 4), round(expected_calibration_error(sums), 4)
(0.37, 0.5108, 0.35)
>>> threshold_curve(sums).average_precision.round(4)
array([[0.8333, 0.8333]])
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from fastseg.arrays.arguments import integer, one_of
from fastseg.counts import ScoreSums
from fastseg.metrics.arithmetic import Reduction, ratio, reduced, times, voxel_terms
from fastseg.metrics.registry import ScoreFunction, register

__all__ = [
    "CURVES",
    "SCORE_METRICS",
    "ThresholdCurve",
    "brier_score",
    "expected_calibration_error",
    "maximum_calibration_error",
    "negative_log_likelihood",
    "threshold_curve",
    "top_k_accuracy",
]

Floats = npt.NDArray[np.float64]
Binning = Literal["width", "mass"]
Per = Literal["top", "class"]

#: Every metric of scores that is a number, by its name.
SCORE_METRICS: dict[str, ScoreFunction] = {}
#: What is a curve, by its name.
CURVES: dict[str, ScoreFunction] = {}

#: How many bins arrays are summed in, to be united to bins of equal mass; and bins and thresholds where no number is given.
_FINE_BINS = 4096
_CALIBRATION_BINS = 15
_THRESHOLDS = 256

_PARAMETERS = {
    "reduction": '"mean" (over the voxels of all cases), "sum" of the same, or None: (N,), one for each case.',
    "k": "How many of the most probable classes count, at least 1.",
}
_CALIBRATION = {
    "bins": "Number of bins; default 15, and of sums, for equal widths, those that they have. Sums of more bins are united, "
    "where that goes evenly.",
    "binning": '"width": bins of equal width. "mass": each holds about as many voxels as the others (see the notes).',
    "per": '"top": of the most probable class, which is right or wrong (binary sums: of the yes or no of every class). '
    '"class": of the probability of each class.',
    "reduction": '"mean": one number for the voxels of all cases together; per class, the mean over classes. None: (N,) for '
    "each case; per class (N, C).",
}
_metric = partial(register, SCORE_METRICS, ScoreFunction, parameters=_PARAMETERS, scores="y_score")


def _calibration_bins(own: Mapping[str, Any]) -> Mapping[str, Any]:
    if own.get("binning") == "mass":
        return {"bins": _FINE_BINS}
    return {"bins": _CALIBRATION_BINS if own.get("bins") is None else own["bins"]}


_calibration = partial(_metric, needs=("bins",), range=(0.0, 1.0), parameters=_CALIBRATION, summing=_calibration_bins)


@_metric(
    "mean over voxels of Σ_c (p − t)²; of binary sums over voxels and classes of (p − t)²",
    "Brier, Monthly Weather Review 78 (1950) 1",
    needs=("brier",),
    range=(0.0, 2.0),
)
def brier_score(sums: ScoreSums, *, reduction: Reduction = "mean") -> float | Floats:
    """Return the Brier score: the squared error of probabilities. That of binary sums is at most 1.

    Examples
    --------
    >>> p = [[0.5, 0.5], [0.75, 0.25], [0.25, 0.75], [0, 1]]
    >>> fastseg.brier_score([0, 0, 1, 1], p)  # (2 0.25 + 4 0.0625) / 4
    0.1875
    """
    assert sums.brier is not None
    return reduced(sums.brier.sum(1), voxel_terms(sums), reduction)


@_metric(
    "mean over voxels of −ln p of the true class; of binary sums over voxels and classes of −ln p of the true outcome",
    "Good, Journal of the Royal Statistical Society B 14 (1952) 107",
    needs=("cross_entropy",),
    range=(0.0, float("inf")),
)
def negative_log_likelihood(sums: ScoreSums, *, reduction: Reduction = "mean") -> float | Floats:
    """Return the negative log-likelihood: cross-entropy without class weights or label smoothing, whatever the sums keep.

    Examples
    --------
    >>> p = [[0.5, 0.5], [0.75, 0.25], [0.25, 0.75], [0, 1]]
    >>> round(fastseg.negative_log_likelihood([0, 0, 1, 1], p), 4)  # (ln 2 + 2 ln 4/3) / 4
    0.3171
    """
    assert sums.cross_entropy is not None
    return reduced(sums.cross_entropy.sum(1), voxel_terms(sums), reduction)


@_metric(
    "voxels whose true class is among the k most probable / voxels",
    "Russakovsky et al. (ImageNet), IJCV 115 (2015) 211",
    needs=("ranks",),
    range=(0.0, 1.0),
)
def top_k_accuracy(sums: ScoreSums, k: int = 2, *, reduction: Reduction = "mean") -> float | Floats:
    """Return how often the true class is among the k most probable; of equal scores the first classes come first.

    With a soft truth the true class is its largest. It takes two classes or more.

    Examples
    --------
    >>> p = [[0.5, 0.3, 0.2], [0.5, 0.3, 0.2], [0.2, 0.2, 0.6], [0.1, 0.3, 0.6]]
    >>> fastseg.top_k_accuracy([0, 1, 2, 0], p, k=1), fastseg.top_k_accuracy([0, 1, 2, 0], p, k=2)
    (0.5, 0.75)
    """
    assert sums.ranks is not None
    count = integer(k, "k", least=1)
    return reduced(sums.ranks[:, :count].sum(1), sums.ranks.sum(1), reduction)


@_calibration("Σ_b |Σ correct − Σ p| / voxels, sums over the voxels of bin b", "Naeini et al., AAAI (2015) 2901")
def expected_calibration_error(
    sums: ScoreSums,
    *,
    bins: int | None = None,
    binning: Binning = "width",
    per: Per = "top",
    reduction: Literal["mean"] | None = "mean",
) -> float | Floats:
    """Return the expected calibration error: how far confidence is from accuracy, averaged over bins of confidence.

    Bin b of B holds b/B ≤ p < (b+1)/B (the last also 1). Bins of equal mass are approximate: neighbours among the bins that
    were summed (4,096 from arrays) are united, and a fine bin that straddles a border goes to one side, whole.

    Examples
    --------
    >>> p = [[0.5, 0.5], [0.75, 0.25], [0.25, 0.75], [0, 1]]
    >>> fastseg.expected_calibration_error([0, 0, 1, 1], p)  # (|1 - 0.5| + |2 - 1.5| + |1 - 1|) / 4
    0.25
    """
    gaps, counts = _gaps(sums, bins, binning, per, reduction)
    return _classwise(ratio(gaps.sum(-1), counts.sum(-1)), reduction)


@_calibration("max over bins of |Σ correct − Σ p| / (voxels of the bin)", "Naeini et al., AAAI (2015) 2901")
def maximum_calibration_error(
    sums: ScoreSums,
    *,
    bins: int | None = None,
    binning: Binning = "width",
    per: Per = "top",
    reduction: Literal["mean"] | None = "mean",
) -> float | Floats:
    """Return the maximum calibration error: that of the worst bin which is not empty; bins as in the expected error.

    Examples
    --------
    >>> p = [[0.5, 0.5], [0.75, 0.25], [0.25, 0.75], [0, 1]]
    >>> fastseg.maximum_calibration_error([0, 0, 1, 1], p)
    0.5
    """
    gaps, counts = _gaps(sums, bins, binning, per, reduction)
    largest = np.fmax.reduce(ratio(gaps, counts), axis=-1, initial=-1.0)
    return _classwise(np.where(largest < 0, np.nan, largest), reduction)


@dataclass(frozen=True, eq=False)
class ThresholdCurve:
    """True and false positives and negatives of each class at B thresholds, where p ≥ threshold is predicted positive.

    Values of 0/0 are NaN: precision where nothing is predicted, recall where nothing is true.

    Attributes
    ----------
    thresholds : (B,) float64
        k/B, from 0.
    tp, fp, fn, tn : (N, C, B) float64
        Voxels (or sums of their weights).

    Examples
    --------
    >>> import fastseg
    >>> curve = fastseg.threshold_curve([0, 1, 0, 1], [0.1, 0.4, 0.6, 0.9], channel_axis=None, bins=4)
    >>> curve.thresholds, curve.dice[0, 0].round(3)
    (array([0.  , 0.25, 0.5 , 0.75]), array([0.667, 0.8  , 0.5  , 0.667]))
    """

    thresholds: Floats
    tp: Floats
    fp: Floats
    fn: Floats
    tn: Floats

    @cached_property
    def dice(self) -> Floats:
        """(N, C, B): 2 TP / (2 TP + FP + FN)."""
        return ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn)

    @cached_property
    def iou(self) -> Floats:
        """(N, C, B): TP / (TP + FP + FN)."""
        return ratio(self.tp, self.tp + self.fp + self.fn)

    @cached_property
    def precision(self) -> Floats:
        """(N, C, B): TP / (TP + FP)."""
        return ratio(self.tp, self.tp + self.fp)

    @cached_property
    def recall(self) -> Floats:
        """(N, C, B): TP / (TP + FN)."""
        return ratio(self.tp, self.tp + self.fn)

    @property
    def average_precision(self) -> Floats:
        """(N, C): Σ_k (R_k − R_k+1) P_k, R_B = 0, as scikit-learn's; NaN where nothing is true (there 0, with a warning)."""
        steps = -np.diff(self.recall, axis=-1, append=0.0)
        return np.asarray(times(steps, self.precision).sum(-1))

    def best_threshold(self, metric: Literal["dice", "iou", "precision", "recall"] = "dice") -> Floats:
        """Return the threshold, (N, C), with the highest value of a metric: the lowest of equals; NaN where none has one."""
        one_of(metric, "metric", ("dice", "iou", "precision", "recall"))
        values: Floats = getattr(self, metric)
        best = np.where(np.isnan(values), -1.0, values).argmax(-1)
        return np.where(np.isnan(values).all(-1), np.nan, self.thresholds[best])


@register(
    CURVES,
    ScoreFunction,
    "counts of p ≥ k/B against t, for k from 0 to B − 1",
    "Davis and Goadrich, ICML (2006) 233",
    needs=("bins",),
    parameters={
        "bins": "B; default 256, and of sums as many as they have bins. Those are united, where that goes evenly."
    },
    summing=lambda own: {"bins": _THRESHOLDS if own.get("bins") is None else own["bins"]},
    returns="curve : ThresholdCurve",
    scores="y_score",
)
def threshold_curve(sums: ScoreSums, *, bins: int | None = None) -> ThresholdCurve:
    """Return a `ThresholdCurve`: Dice, IoU, precision and recall at every threshold, from one pass.

    A soft truth counts t as true and 1 − t as false.

    Examples
    --------
    >>> curve = fastseg.threshold_curve([0, 1, 0, 1], [0.1, 0.4, 0.6, 0.9], channel_axis=None, bins=4)
    >>> curve.precision[0, 0].round(4), curve.recall[0, 0]  # at 0, 0.25, 0.5, 0.75
    (array([0.5   , 0.6667, 0.5   , 1.    ]), array([1. , 1. , 0.5, 0.5]))
    >>> curve.best_threshold("dice"), curve.average_precision.round(4)
    (array([[0.25]]), array([[0.8333]]))
    """
    assert sums.class_bins is not None
    table = _united(sums.class_bins, bins)
    true, false = table[..., 2], np.maximum(table[..., 0] - table[..., 2], 0.0)
    tp, fp = (a[..., ::-1].cumsum(-1)[..., ::-1] for a in (true, false))
    return ThresholdCurve(np.arange(tp.shape[-1]) / tp.shape[-1], tp, fp, tp[..., :1] - tp, fp[..., :1] - fp)


def _united(table: Floats, bins: int | None) -> Floats:
    """Unite neighbours of (..., B, 3) bins to that many of equal width."""
    given = table.shape[-2]
    wanted = given if bins is None else integer(bins, "bins", least=1)
    if given % wanted:
        raise ValueError(f"bins: expected a divisor of the {given} bins that were summed, found {bins}")
    return np.asarray(table.reshape(*table.shape[:-2], wanted, given // wanted, 3).sum(-2))


def _equal_mass(table: Floats, bins: int | None) -> Floats:
    """Unite neighbours of (..., B, 3) bins to that many of about equal mass: each goes where the middle of its mass lies."""
    given = table.shape[-2]
    wanted = _CALIBRATION_BINS if bins is None else integer(bins, "bins", least=1)
    if wanted > given:
        raise ValueError(f"bins: expected at most the {given} bins that were summed, found {bins}")
    counts = table[..., 0].reshape(-1, given)
    middle = counts.cumsum(1) - counts / 2
    place = np.minimum(np.nan_to_num(ratio(middle * wanted, counts.sum(1, keepdims=True))).astype(np.intp), wanted - 1)
    united = np.zeros((len(counts), wanted, 3))
    np.add.at(united, (np.arange(len(counts))[:, None], place), table.reshape(-1, given, 3))
    return united.reshape(*table.shape[:-2], wanted, 3)


def _gaps(
    sums: ScoreSums, bins: int | None, binning: Binning, per: Per, reduction: Literal["mean"] | None
) -> tuple[Floats, Floats]:
    """Return |Σ correct − Σ p| and the number of voxels of each bin: (N, B), or (N, C, B) per class; of a mean without N."""
    one_of(binning, "binning", ("width", "mass"))
    one_of(per, "per", ("top", "class"))
    one_of(reduction, "reduction", ("mean", None))
    table = sums.top_bins if per == "top" else sums.class_bins
    assert table is not None
    if reduction == "mean":
        table = table.sum(0)
    table = _equal_mass(table, bins) if binning == "mass" else _united(table, bins)
    return np.abs(table[..., 2] - table[..., 1]), table[..., 0]


def _classwise(values: Floats, reduction: Literal["mean"] | None) -> float | Floats:
    return values if reduction is None else float(values.mean())
