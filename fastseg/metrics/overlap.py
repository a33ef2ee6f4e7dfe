"""Every metric: a pure function of counts. One entry says all that is known of it; the calls, tables and tests follow.

A metric is a fraction of true positives (TP), false positives (FP), false negatives (FN) and true negatives (TN). To add
one, write a function that returns its numerator and denominator, and decorate it.

Examples
--------
>>> import fastseg
>>> counts = fastseg.count_labels([0, 0, 1, 1], [0, 1, 1, 1], num_classes=3)
>>> iou(counts)
array([[0.5       , 0.66666667,        nan]])
>>> dice(counts, average="macro")
array([0.73333333])
>>> dice.defined(counts)  # the mean is over two classes; the third occurs in neither map
array([2])
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from fastseg.counts import BinaryCounts, LabelCounts
from fastseg.metrics.arithmetic import exact, root, weighted_mean
from fastseg.metrics.registry import REGISTRY, Fraction, Metric, foreground, register

__all__ = [
    "accuracy",
    "balanced_accuracy",
    "cohen_kappa",
    "dice",
    "false_negative_rate",
    "false_positive_rate",
    "fbeta",
    "frequency_weighted_iou",
    "iou",
    "matthews_corrcoef",
    "negative_predictive_value",
    "precision",
    "prevalence",
    "recall",
    "relative_volume_difference",
    "specificity",
    "support",
    "tversky",
    "volume_similarity",
]

Array = npt.NDArray[Any]

_metric = partial(register, REGISTRY, Metric)


def _table(counts: LabelCounts) -> tuple[Array, Array, Array, Array]:
    """Return hits (N,), true counts (N, K), predicted counts (N, K) and all voxels (N,), unknown predictions included."""
    true, pred, hits = map(exact, counts.marginals)
    return hits.sum(1), true, pred, true.sum(1)


@_metric("TP / (TP + FP + FN)", "Jaccard, New Phytologist 11 (1912) 37", symmetric=True, aliases=("jaccard",))
def iou(c: BinaryCounts) -> Fraction:
    """Return intersection over union.

    Examples
    --------
    >>> fastseg.iou([0, 0, 1, 1], [0, 1, 1, 1]).round(3)
    array([0.5  , 0.667])
    """
    return c.tp, c.tp + c.fp + c.fn


@_metric("2 TP / (2 TP + FP + FN)", "Dice, Ecology 26 (1945) 297", symmetric=True, aliases=("f1",))
def dice(c: BinaryCounts) -> Fraction:
    """Return the Dice coefficient, which is the F1 score.

    Examples
    --------
    >>> fastseg.dice([0, 0, 1, 1], [0, 1, 1, 1]).round(3)
    array([0.667, 0.8  ])
    """
    return 2 * c.tp, 2 * c.tp + c.fp + c.fn


@_metric("TP / (TP + FP)", "van Rijsbergen, Information Retrieval (1979)", aliases=("positive_predictive_value",))
def precision(c: BinaryCounts) -> Fraction:
    """Return the fraction of the prediction that is right.

    Examples
    --------
    >>> fastseg.precision([0, 0, 1, 1], [0, 1, 1, 1]).round(3)
    array([1.   , 0.667])
    """
    return c.tp, c.tp + c.fp


@_metric(
    "TP / (TP + FN)", "van Rijsbergen, Information Retrieval (1979)", aliases=("sensitivity", "true_positive_rate")
)
def recall(c: BinaryCounts) -> Fraction:
    """Return the fraction of the truth that is found.

    Examples
    --------
    >>> fastseg.recall([0, 0, 1, 1], [0, 1, 1, 1]).round(3)
    array([0.5, 1. ])
    """
    return c.tp, c.tp + c.fn


@_metric("TN / (TN + FP)", "Yerushalmy, Public Health Reports 62 (1947) 1432", aliases=("true_negative_rate",))
def specificity(c: BinaryCounts) -> Fraction:
    """Return the fraction of what is not in the truth that is not predicted either.

    Examples
    --------
    >>> fastseg.specificity([0, 0, 1, 1], [0, 1, 1, 1]).round(3)
    array([1. , 0.5])
    """
    return c.tn, c.tn + c.fp


@_metric("TN / (TN + FN)", "Altman and Bland, BMJ 309 (1994) 102")
def negative_predictive_value(c: BinaryCounts) -> Fraction:
    """Return the fraction of what is not predicted that is not in the truth.

    Examples
    --------
    >>> fastseg.negative_predictive_value([0, 0, 1, 1], [0, 1, 1, 1]).round(3)
    array([0.667, 1.   ])
    """
    return c.tn, c.tn + c.fn


@_metric(
    "(1 + b^2) TP / ((1 + b^2) TP + b^2 FN + FP)", "van Rijsbergen, Information Retrieval (1979)",
    parameters={"beta": "b: how many times as important recall is as precision."},
)  # fmt: skip
def fbeta(c: BinaryCounts, beta: float = 1.0) -> Fraction:
    """Return the F score that gives recall `beta` times the importance of precision.

    Examples
    --------
    >>> fastseg.fbeta([0, 0, 1, 1], [0, 1, 1, 1], beta=2).round(3)
    array([0.556, 0.909])
    """
    square = beta * beta
    return (1 + square) * c.tp, (1 + square) * c.tp + square * c.fn + c.fp


@_metric(
    "TP / (TP + a FP + b FN)", "Tversky, Psychological Review 84 (1977) 327",
    parameters={"alpha": "a, the weight of false positives.", "beta": "b, the weight of false negatives."},
)  # fmt: skip
def tversky(c: BinaryCounts, alpha: float = 0.5, beta: float = 0.5) -> Fraction:
    """Return the Tversky index: `alpha` weighs false positives, `beta` false negatives (0.5 and 0.5: Dice; 1 and 1: IoU).

    Examples
    --------
    >>> fastseg.tversky([0, 0, 1, 1], [0, 1, 1, 1], alpha=0.3, beta=0.7).round(3)
    array([0.588, 0.87 ])
    """
    return c.tp, c.tp + alpha * c.fp + beta * c.fn


@_metric("FP / (FP + TN)", "Fawcett, Pattern Recognition Letters 27 (2006) 861", better="lower", aliases=("fall_out",))
def false_positive_rate(c: BinaryCounts) -> Fraction:
    """Return the fraction of what is not in the truth that is predicted.

    Examples
    --------
    >>> fastseg.false_positive_rate([0, 0, 1, 1], [0, 1, 1, 1]).round(3)
    array([0. , 0.5])
    """
    return c.fp, c.fp + c.tn


@_metric("FN / (FN + TP)", "Fawcett, Pattern Recognition Letters 27 (2006) 861", better="lower", aliases=("miss_rate",))
def false_negative_rate(c: BinaryCounts) -> Fraction:
    """Return the fraction of the truth that is missed.

    Examples
    --------
    >>> fastseg.false_negative_rate([0, 0, 1, 1], [0, 1, 1, 1]).round(3)
    array([0.5, 0. ])
    """
    return c.fn, c.fn + c.tp


@_metric("1 - |FN - FP| / (2 TP + FP + FN)", "Taha and Hanbury, BMC Medical Imaging 15 (2015) 29", symmetric=True)
def volume_similarity(c: BinaryCounts) -> Fraction:
    """Return how alike the two volumes are, wherever they lie.

    Examples
    --------
    >>> fastseg.volume_similarity([0, 0, 1, 1], [0, 1, 1, 1]).round(3)
    array([0.667, 0.8  ])
    """
    both = 2 * c.tp + c.fp + c.fn
    return both - abs(c.fn - c.fp), both


@_metric(
    "(FP - FN) / (TP + FN)", "Heimann et al., IEEE Transactions on Medical Imaging 28 (2009) 1251",
    range=(-1.0, float("inf")), better="zero",
)  # fmt: skip
def relative_volume_difference(c: BinaryCounts) -> Fraction:
    """Return by which fraction of the true volume the predicted volume is larger.

    Examples
    --------
    >>> fastseg.relative_volume_difference([0, 0, 1, 1], [0, 1, 1, 1]).round(3)
    array([-0.5,  0.5])
    """
    return c.fp - c.fn, c.tp + c.fn


@_metric("(TP + FN) / (TP + FP + FN + TN)", "Rothman, Modern Epidemiology (1986)", better="neither")
def prevalence(c: BinaryCounts) -> Fraction:
    """Return the fraction of all voxels that are in the truth.

    Examples
    --------
    >>> fastseg.prevalence([0, 0, 1, 1], [0, 1, 1, 1]).round(3)
    array([0.5, 0.5])
    """
    return c.tp + c.fn, c.tp + c.fp + c.fn + c.tn


@_metric("TP + FN", "Pedregosa et al., JMLR 12 (2011) 2825", range=(0.0, float("inf")), better="neither")
def support(c: BinaryCounts) -> Fraction:
    """Return the number of voxels in the truth (or the sum of their weights).

    Examples
    --------
    >>> fastseg.support([0, 0, 1, 1], [0, 1, 1, 1]).round(3)
    array([2., 2.])
    """
    return c.tp + c.fn, np.ones(c.tp.shape)


def _overall_accuracy(counts: LabelCounts, include_background: bool) -> Fraction:
    if include_background:
        hits, _, _, everything = _table(counts)
        return hits, everything
    binary = foreground(counts, False)
    return binary.tp.sum(1), (binary.tp + binary.fn).sum(1)


@_metric(
    "(TP + TN) / (TP + FP + FN + TN); of label counts: right voxels / all voxels",
    "Metz, Seminars in Nuclear Medicine 8 (1978) 283", symmetric=True, overall=_overall_accuracy,
)  # fmt: skip
def accuracy(c: BinaryCounts) -> Fraction:
    """Return the fraction of voxels that are right; of label counts one number (without background: of true foreground).

    Examples
    --------
    >>> round(fastseg.accuracy([0, 0, 1, 1], [0, 1, 1, 1]), 3)
    0.75
    """
    return c.tp + c.tn, c.tp + c.fp + c.fn + c.tn


def _overall_balanced_accuracy(counts: LabelCounts, include_background: bool) -> Fraction:
    return weighted_mean(recall(counts, include_background=include_background), np.ones(1)), np.ones(counts.num_cases)


@_metric(
    "(recall + specificity) / 2; of label counts: mean recall of the classes in the truth",
    "Brodersen et al., ICPR (2010) 3121", overall=_overall_balanced_accuracy,
)  # fmt: skip
def balanced_accuracy(c: BinaryCounts) -> Fraction:
    """Return the mean of the accuracies in each class; of label counts one number.

    Examples
    --------
    >>> round(fastseg.balanced_accuracy([0, 0, 1, 1], [0, 1, 1, 1]), 3)
    0.75
    """
    tp, fp, fn, tn = (exact(a) for a in (c.tp, c.fp, c.fn, c.tn))
    return tp * (tn + fp) + tn * (tp + fn), 2 * (tp + fn) * (tn + fp)


def _overall_frequency_weighted_iou(counts: LabelCounts, include_background: bool) -> Fraction:
    return iou(counts, average="weighted", include_background=include_background), np.ones(counts.num_cases)


@_metric(
    "sum over classes of (class's share of the truth) IoU", "Long et al., CVPR (2015) 3431",
    overall=_overall_frequency_weighted_iou,
)  # fmt: skip
def frequency_weighted_iou(c: BinaryCounts) -> Fraction:
    """Return IoU weighted by the classes' true counts: one number of label counts; of binary counts each class's IoU.

    Examples
    --------
    >>> round(fastseg.frequency_weighted_iou([0, 0, 1, 1], [0, 1, 1, 1]), 3)
    0.583
    """
    numerator, denominator = iou.function(c)
    return numerator, denominator


def _overall_kappa(counts: LabelCounts, include_background: bool) -> Fraction:
    _needs_background(include_background)
    hits, true, pred, everything = _table(counts)
    chance = (true * pred).sum(1)
    return hits * everything - chance, everything * everything - chance


def _needs_background(include_background: bool) -> None:
    if not include_background:
        raise ValueError(
            "include_background: agreement beyond chance is of all classes together; expected True, found False"
        )


@_metric(
    "(observed - chance agreement) / (1 - chance agreement)", "Cohen, Educational and Psychological Measurement 20 (1960) 37",
    range=(-1.0, 1.0), symmetric=True, overall=_overall_kappa,
)  # fmt: skip
def cohen_kappa(c: BinaryCounts) -> Fraction:
    """Return Cohen's kappa; of label counts one number for all classes.

    Examples
    --------
    >>> round(fastseg.cohen_kappa([0, 0, 1, 1], [0, 1, 1, 1]), 3)
    0.5
    """
    tp, fp, fn, tn = (exact(a) for a in (c.tp, c.fp, c.fn, c.tn))
    return 2 * (tp * tn - fp * fn), (tp + fp) * (fp + tn) + (tp + fn) * (fn + tn)


def _overall_matthews(counts: LabelCounts, include_background: bool) -> Fraction:
    _needs_background(include_background)
    hits, true, pred, everything = _table(counts)
    square = everything * everything
    unknown = exact(counts.unknown.sum(1, keepdims=True))  # one more predicted class, which is never right
    spread = _spread(square, np.concatenate([pred, unknown], axis=1)) * _spread(square, true)
    return hits * everything - (true * pred).sum(1), root(spread)


def _spread(square: Array, counts: Array) -> Array:
    """Return the squared total less the sum of squares: twice the sum of all products of two classes, 0 of one class."""
    several = (counts != 0).sum(1) > 1  # asked of the counts, since float squares of one class may differ by rounding
    return np.where(several, square - (counts * counts).sum(1), 0)


@_metric(
    "(TP TN - FP FN) / sqrt((TP+FP)(TP+FN)(TN+FP)(TN+FN)); of label counts its multiclass form",
    "Matthews, BBA 405 (1975) 442; Gorodkin, Computational Biology and Chemistry 28 (2004) 367",
    range=(-1.0, 1.0), symmetric=True, aliases=("mcc",), overall=_overall_matthews,
)  # fmt: skip
def matthews_corrcoef(c: BinaryCounts) -> Fraction:
    """Return Matthews' correlation coefficient; of label counts one number for all classes.

    Examples
    --------
    >>> round(fastseg.matthews_corrcoef([0, 0, 1, 1], [0, 1, 1, 1]), 3)
    0.577
    """
    tp, fp, fn, tn = (exact(a) for a in (c.tp, c.fp, c.fn, c.tn))
    return tp * tn - fp * fn, root((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
