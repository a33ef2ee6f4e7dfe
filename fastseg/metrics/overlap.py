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

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from fastseg.counts import BinaryCounts, LabelCounts

__all__ = ["REGISTRY", "Average", "Metric", "checked_number", "get"]

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Average = Literal["macro", "micro", "weighted"] | None
Fraction = tuple[Any, Any]
NAN = float("nan")

#: Every metric by its name and by its aliases.
REGISTRY: dict[str, Metric] = {}


@dataclass(frozen=True, eq=False)
class Metric:
    """A metric, callable on counts, and what is known of it."""

    name: str
    formula: str
    range: tuple[float, float]
    better: Literal["higher", "lower", "zero", "neither"]
    """Which values are better: "zero" means the nearer to zero; "neither", that it describes the data."""
    symmetric: bool
    """Whether exchanging truth and prediction leaves it as it is, for all values of its own parameters."""
    reference: str
    aliases: tuple[str, ...]
    fraction: Callable[..., Fraction]
    """Numerator and denominator, (N, C), from BinaryCounts and the metric's own parameters."""
    overall: Callable[..., Fraction] | None
    """For a LabelCounts: numerator and denominator, (N,), of the one number for all classes together, if it is that kind."""

    def __call__(
        self,
        counts: LabelCounts | BinaryCounts,
        *,
        average: Average = None,
        zero_division: float = NAN,
        include_background: bool = True,
        **parameters: Any,
    ) -> Floats:
        """Compute the metric.

        Parameters
        ----------
        counts
            N cases of K classes.
        average
            None: a value for each class. "macro": the mean over the classes. "micro": one ratio of the summed counts.
            "weighted": the mean weighted by the classes' true counts. Means are over defined values (see `defined`).
        zero_division
            The value where the denominator is 0; NaN means undefined, and means leave it out.
        include_background
            False leaves out class 0 (of `count_masks`: channel 0, unless the channels were given other names).
        **parameters
            The metric's own, such as ``beta`` of `fbeta`.

        Returns
        -------
        values : float64
            (N, K) for ``average=None``, else (N,). Metrics that are one number for all classes together (`overall`) are
            (N,) for a LabelCounts. Its ignored labels are NaN, whatever `zero_division` is, and in no average.
        """
        zero_division = checked_number(zero_division, "zero_division")
        for name, value in parameters.items():
            if not checked_number(value, name) >= 0:
                raise ValueError(f"{name}: expected a number that is not negative, found {value!r}")
        if not isinstance(counts, LabelCounts | BinaryCounts):
            raise TypeError(
                f"counts: expected LabelCounts or BinaryCounts, found {type(counts).__name__} "
                f"(of arrays: fastseg.{self.name}(y_true, y_pred))"
            )
        if self.is_overall(counts):
            if average is not None:
                raise ValueError(
                    f"average: {self.name} of label counts is one number already; expected None, found {average!r}"
                )
            assert self.overall is not None
            return self._values(*self.overall(counts, include_background, **parameters), zero_division)
        binary = _foreground(counts, include_background)
        ignored = set(counts.ignored.tolist()) if isinstance(counts, LabelCounts) else set()
        if average == "micro":
            scored = binary.select([name for name in binary.classes if name not in ignored])
            return self._values(*self.fraction(scored.summed(), **parameters), zero_division)[:, 0]
        values = self._values(*self.fraction(binary, **parameters), zero_division)
        values[:, [name in ignored for name in binary.classes]] = NAN
        if average is None:
            return values
        if average == "macro":
            return _mean(values, np.ones(values.shape), zero_division)
        if average == "weighted":
            return _mean(values, (binary.tp + binary.fn).astype(np.float64), zero_division)
        raise ValueError(f"average: expected None, 'macro', 'micro' or 'weighted'; found {average!r}")

    def defined(
        self,
        counts: LabelCounts | BinaryCounts,
        *,
        zero_division: float = NAN,
        include_background: bool = True,
        **parameters: Any,
    ) -> npt.NDArray[np.int64]:
        """Return over how many classes the means of each case are taken: (N,) int64."""
        values = self(counts, zero_division=zero_division, include_background=include_background, **parameters)
        defined: npt.NDArray[np.int64] = (~np.isnan(values)).reshape(len(values), -1).sum(1)
        return defined

    def _values(self, numerator: Any, denominator: Any, zero_division: float) -> Floats:
        """Divide, and undo what rounding put beyond the range."""
        values = np.clip(_divide(numerator, denominator, NAN), *self.range)
        return np.where(np.isnan(values), zero_division, values)

    def is_overall(self, counts: LabelCounts | BinaryCounts) -> bool:
        """Tell whether the metric of these counts is one number for all classes together."""
        return self.overall is not None and isinstance(counts, LabelCounts)


def checked_number(value: Any, name: str) -> float:
    """Return a real number as a float; TypeError if it is none."""
    if isinstance(value, str) or not hasattr(value, "__float__"):
        raise TypeError(f"{name}: expected a number, found {value!r}")
    return float(value)


def get(name: str) -> Metric:
    """Return the metric of that name or alias; ValueError if there is none."""
    if name not in REGISTRY:
        near = difflib.get_close_matches(str(name), REGISTRY, 1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        raise ValueError(f"metrics: expected some of {', '.join(sorted(REGISTRY))}; found {name!r}{hint}")
    return REGISTRY[name]


def _metric(
    formula: str,
    reference: str,
    *,
    range: tuple[float, float] = (0.0, 1.0),
    better: Literal["higher", "lower", "zero", "neither"] = "higher",
    symmetric: bool = False,
    aliases: tuple[str, ...] = (),
    overall: Callable[..., Fraction] | None = None,
) -> Callable[[Callable[..., Fraction]], Metric]:
    def register(fraction: Callable[..., Fraction]) -> Metric:
        name = fraction.__name__
        metric = Metric(name, formula, range, better, symmetric, reference, aliases, fraction, overall)
        object.__setattr__(metric, "__doc__", f"{fraction.__doc__}\n\n{formula}. Reference: {reference}")
        for known in (name, *aliases):
            REGISTRY[known] = metric
        return metric

    return register


def _foreground(counts: LabelCounts | BinaryCounts, include_background: bool) -> BinaryCounts:
    binary = counts.one_vs_rest() if isinstance(counts, LabelCounts) else counts
    if include_background:
        return binary
    return binary.select([name for name in binary.classes if name != 0])


def _divide(numerator: Any, denominator: Any, zero_division: float) -> Floats:
    denominator = np.asarray(denominator)
    zero = denominator == 0
    values = np.asarray(numerator / np.where(zero, 1, denominator), np.float64)
    return np.where(zero, zero_division, values)


def _mean(values: Floats, weights: Floats, zero_division: float = NAN) -> Floats:
    """Return the weighted means over the classes of the values that are not NaN, where these have weight."""
    weights = np.where(np.isnan(values), 0.0, weights)
    return _divide((np.where(np.isnan(values), 0.0, values) * weights).sum(1), weights.sum(1), zero_division)


def _exact(counts: Array) -> Array:
    """Return integers as Python's, so that products of counts cannot overflow; floats stay."""
    return counts.astype(object) if counts.dtype.kind == "i" else counts


def _root(numbers: Array) -> Floats:
    return np.sqrt(np.maximum(np.asarray(numbers, np.float64), 0.0))


def _table(counts: LabelCounts) -> tuple[Array, Array, Array, Array]:
    """Return hits (N,), true counts (N, K), predicted counts (N, K) and all voxels (N,), unknown predictions included."""
    true = counts.matrix.sum(2) + counts.unknown
    hits = np.trace(counts.matrix, axis1=1, axis2=2)
    return tuple(_exact(a) for a in (hits, true, counts.matrix.sum(1), true.sum(1)))  # type: ignore[return-value]


@_metric("TP / (TP + FP + FN)", "Jaccard, New Phytologist 11 (1912) 37", symmetric=True, aliases=("jaccard",))
def iou(c: BinaryCounts) -> Fraction:
    """Return intersection over union."""
    return c.tp, c.tp + c.fp + c.fn


@_metric("2 TP / (2 TP + FP + FN)", "Dice, Ecology 26 (1945) 297", symmetric=True, aliases=("f1",))
def dice(c: BinaryCounts) -> Fraction:
    """Return the Dice coefficient, which is the F1 score."""
    return 2 * c.tp, 2 * c.tp + c.fp + c.fn


@_metric("TP / (TP + FP)", "van Rijsbergen, Information Retrieval (1979)", aliases=("positive_predictive_value",))
def precision(c: BinaryCounts) -> Fraction:
    """Return the fraction of the prediction that is right."""
    return c.tp, c.tp + c.fp


@_metric(
    "TP / (TP + FN)", "van Rijsbergen, Information Retrieval (1979)", aliases=("sensitivity", "true_positive_rate")
)
def recall(c: BinaryCounts) -> Fraction:
    """Return the fraction of the truth that is found."""
    return c.tp, c.tp + c.fn


@_metric("TN / (TN + FP)", "Yerushalmy, Public Health Reports 62 (1947) 1432", aliases=("true_negative_rate",))
def specificity(c: BinaryCounts) -> Fraction:
    """Return the fraction of what is not in the truth that is not predicted either."""
    return c.tn, c.tn + c.fp


@_metric("TN / (TN + FN)", "Altman and Bland, BMJ 309 (1994) 102")
def negative_predictive_value(c: BinaryCounts) -> Fraction:
    """Return the fraction of what is not predicted that is not in the truth."""
    return c.tn, c.tn + c.fn


@_metric("(1 + b^2) TP / ((1 + b^2) TP + b^2 FN + FP)", "van Rijsbergen, Information Retrieval (1979)")
def fbeta(c: BinaryCounts, beta: float = 1.0) -> Fraction:
    """Return the F score that gives recall `beta` times the importance of precision."""
    square = beta * beta
    return (1 + square) * c.tp, (1 + square) * c.tp + square * c.fn + c.fp


@_metric("TP / (TP + a FP + b FN)", "Tversky, Psychological Review 84 (1977) 327")
def tversky(c: BinaryCounts, alpha: float = 0.5, beta: float = 0.5) -> Fraction:
    """Return the Tversky index: `alpha` weighs false positives, `beta` false negatives (0.5 and 0.5: Dice; 1 and 1: IoU)."""
    return c.tp, c.tp + alpha * c.fp + beta * c.fn


@_metric("FP / (FP + TN)", "Fawcett, Pattern Recognition Letters 27 (2006) 861", better="lower", aliases=("fall_out",))
def false_positive_rate(c: BinaryCounts) -> Fraction:
    """Return the fraction of what is not in the truth that is predicted."""
    return c.fp, c.fp + c.tn


@_metric("FN / (FN + TP)", "Fawcett, Pattern Recognition Letters 27 (2006) 861", better="lower", aliases=("miss_rate",))
def false_negative_rate(c: BinaryCounts) -> Fraction:
    """Return the fraction of the truth that is missed."""
    return c.fn, c.fn + c.tp


@_metric("1 - |FN - FP| / (2 TP + FP + FN)", "Taha and Hanbury, BMC Medical Imaging 15 (2015) 29", symmetric=True)
def volume_similarity(c: BinaryCounts) -> Fraction:
    """Return how alike the two volumes are, wherever they lie."""
    both = 2 * c.tp + c.fp + c.fn
    return both - abs(c.fn - c.fp), both


@_metric(
    "(FP - FN) / (TP + FN)", "Heimann et al., IEEE Transactions on Medical Imaging 28 (2009) 1251",
    range=(-1.0, float("inf")), better="zero",
)  # fmt: skip
def relative_volume_difference(c: BinaryCounts) -> Fraction:
    """Return by which fraction of the true volume the predicted volume is larger."""
    return c.fp - c.fn, c.tp + c.fn


@_metric("(TP + FN) / (TP + FP + FN + TN)", "Rothman, Modern Epidemiology (1986)", better="neither")
def prevalence(c: BinaryCounts) -> Fraction:
    """Return the fraction of all voxels that are in the truth."""
    return c.tp + c.fn, c.tp + c.fp + c.fn + c.tn


@_metric("TP + FN", "Pedregosa et al., JMLR 12 (2011) 2825", range=(0.0, float("inf")), better="neither")
def support(c: BinaryCounts) -> Fraction:
    """Return the number of voxels in the truth (or the sum of their weights)."""
    return c.tp + c.fn, np.ones(c.tp.shape)


def _overall_accuracy(counts: LabelCounts, include_background: bool) -> Fraction:
    if include_background:
        hits, _, _, everything = _table(counts)
        return hits, everything
    binary = _foreground(counts, False)
    return binary.tp.sum(1), (binary.tp + binary.fn).sum(1)


@_metric(
    "(TP + TN) / (TP + FP + FN + TN); of label counts: right voxels / all voxels",
    "Metz, Seminars in Nuclear Medicine 8 (1978) 283", symmetric=True, overall=_overall_accuracy,
)  # fmt: skip
def accuracy(c: BinaryCounts) -> Fraction:
    """Return the fraction of voxels that are right; of label counts one number (without background: of true foreground)."""
    return c.tp + c.tn, c.tp + c.fp + c.fn + c.tn


def _overall_balanced_accuracy(counts: LabelCounts, include_background: bool) -> Fraction:
    return _mean(recall(counts, include_background=include_background), np.ones(1)), np.ones(counts.num_cases)


@_metric(
    "(recall + specificity) / 2; of label counts: mean recall of the classes in the truth",
    "Brodersen et al., ICPR (2010) 3121", overall=_overall_balanced_accuracy,
)  # fmt: skip
def balanced_accuracy(c: BinaryCounts) -> Fraction:
    """Return the mean of the accuracies in each class; of label counts one number."""
    tp, fp, fn, tn = (_exact(a) for a in (c.tp, c.fp, c.fn, c.tn))
    return tp * (tn + fp) + tn * (tp + fn), 2 * (tp + fn) * (tn + fp)


def _overall_frequency_weighted_iou(counts: LabelCounts, include_background: bool) -> Fraction:
    return iou(counts, average="weighted", include_background=include_background), np.ones(counts.num_cases)


@_metric(
    "sum over classes of (class's share of the truth) IoU", "Long et al., CVPR (2015) 3431",
    overall=_overall_frequency_weighted_iou,
)  # fmt: skip
def frequency_weighted_iou(c: BinaryCounts) -> Fraction:
    """Return IoU weighted by the classes' true counts: one number of label counts; of binary counts each class's IoU."""
    return iou.fraction(c)


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
    """Return Cohen's kappa; of label counts one number for all classes."""
    tp, fp, fn, tn = (_exact(a) for a in (c.tp, c.fp, c.fn, c.tn))
    return 2 * (tp * tn - fp * fn), (tp + fp) * (fp + tn) + (tp + fn) * (fn + tn)


def _overall_matthews(counts: LabelCounts, include_background: bool) -> Fraction:
    _needs_background(include_background)
    hits, true, pred, everything = _table(counts)
    square = everything * everything
    unknown = _exact(counts.unknown.sum(1, keepdims=True))  # one more predicted class, which is never right
    spread = _spread(square, np.concatenate([pred, unknown], axis=1)) * _spread(square, true)
    return hits * everything - (true * pred).sum(1), _root(spread)


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
    """Return Matthews' correlation coefficient; of label counts one number for all classes."""
    tp, fp, fn, tn = (_exact(a) for a in (c.tp, c.fp, c.fn, c.tn))
    return tp * tn - fp * fn, _root((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
