"""What an empty class is worth, and how means are taken: fastseg's way, and those of its peers, as data.

The same counts give other numbers under another package's convention. All that differs is written down here: which
cases a class leaves out, what 0/0 is, whether the background takes part, and in which order means are taken. Every number
of a run is a function of sums over its cases (`Convention.sums`, `Convention.of_sums`), so that a number, its bootstrap
distribution and its paired differences cannot mean different things.

A case without a prediction that is scored as the worst possible one is the same under all of them: of each class that its
reference has, a metric is at the bad end of its range (`worst_value`), and undefined of the others. What is made of sums of
counts (pooled values) has its voxels as misses instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from fastseg.counts import BinaryCounts
from fastseg.metrics import registry
from fastseg.metrics.arithmetic import nan_mean, ratio

__all__ = ["CONVENTIONS", "Convention", "worst_value"]

Array = npt.NDArray[Any]
Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

NAN = float("nan")

#: How well prediction and truth overlap: what a peer that leaves out cases without truth leaves out of.
_OVERLAPS = ("dice", "iou", "fbeta", "tversky", "volume_similarity", "frequency_weighted_iou")
_ALL = tuple(dict.fromkeys(metric.name for metric in registry.REGISTRY.values()))


@dataclass(frozen=True)
class Convention:
    """Hold what an empty class is worth and how means are taken.

    N is the number of cases, C the number of classes. A case is defined for a class where its value is not NaN; means
    leave out what is not.
    """

    name: str
    description: str
    """For people, in one sentence."""
    source: str
    """What it was verified against: package, version and call."""
    verified: tuple[str, ...]
    """The metrics that the peer has too, and whose values and means were found equal; the others follow by analogy."""
    background: bool
    """Whether the mean over classes includes label 0, if nobody says otherwise."""
    left_out: Literal["nowhere", "absent", "without truth"] = "nowhere"
    """Where a case does not count for a class: nowhere; where neither map has the class; where the truth does not."""
    left_out_of: tuple[str, ...] | None = None
    """The metrics that `left_out` is about; None: all."""
    zero_division: float = NAN
    """The value where a denominator is 0, of metrics that are better when higher; the others are NaN there."""
    pooled: bool = False
    """Whether a class's value is the metric of the counts summed over all cases, instead of the mean of the cases'."""
    mean_over: Literal["classes", "cases", "values"] = "classes"
    """What a run's one number is the mean of: the class values; each case's mean over its classes; all values alike."""
    mean_over_of: Mapping[str, Literal["classes", "cases", "values"]] = field(default_factory=dict)
    """The metrics for which that is otherwise."""
    strict: bool = False
    """Whether the mean over classes is NaN as soon as one class is."""
    nothing: float = NAN
    """What a mean over no value is."""

    def over(self, metric: str) -> Literal["classes", "cases", "values"]:
        """Return what the metric's one number is the mean of (see `mean_over`)."""
        known = registry.REGISTRY.get(metric)  # others are of surfaces
        return self.mean_over_of.get(metric if known is None else known.name, self.mean_over)

    def values(self, metric: str, binary: BinaryCounts, missed: Bools | None = None) -> Floats:
        """Return a metric of each case and class, (N, C), NaN where it is undefined or left out.

        Of cases that are ``missed`` (N,), for want of a prediction, it is `worst_value` for classes that the reference has
        and NaN for the others, whatever the convention is. Metrics without a worst value keep what the counts give.
        """
        entry = registry.get(metric)
        values = entry(binary, zero_division=self.zero_division if entry.better == "higher" else NAN)
        if self.left_out != "nowhere" and entry.name in (self.left_out_of or _ALL):
            values = np.where(_extent(binary, predicted=self.left_out == "absent") > 0, values, NAN)
        worst = worst_value(entry)
        if missed is None or worst is None:
            return values
        return np.where(missed[:, None], np.where(_extent(binary, predicted=False) > 0, worst, NAN), values)

    def class_means(self, metric: str, values: Floats, binary: BinaryCounts | None) -> Floats:
        """Return one value for each class, (C,), NaN where no case is defined.

        Parameters
        ----------
        metric : str
            Its name.
        values : (N, C) float64
            Of each case, as `values` returns them.
        binary : BinaryCounts or None
            What they were computed from; None where the metric is one number for all classes together: then its mean
            over the defined cases.
        """
        if binary is None:
            return nan_mean(values, 0)
        return self._means(metric, values, binary, np.ones(values.shape[1], bool))[0]

    def mean(self, metric: str, values: Floats, binary: BinaryCounts, in_means: Bools) -> float:
        """Return one number for the run, over the classes that ``in_means`` (C,) says; NaN where there is none."""
        return float(self._means(metric, values, binary, in_means)[1])

    def defined_cases(self, values: Floats, binary: BinaryCounts | None) -> Ints:
        """Return over how many cases each class's value is taken, (C,); where counts are pooled: those with the class."""
        defined = _extent(binary) > 0 if self.pooled and binary is not None else ~np.isnan(values)
        return np.asarray(defined.sum(0), np.int64)

    def defined(self, metric: str, values: Floats, binary: BinaryCounts, in_means: Bools) -> int:
        """Return over how many classes, cases or values (see `over`) the run's one number is taken."""
        defined = ~np.isnan(values[:, in_means])
        if self.pooled:
            return int((~np.isnan(self.class_means(metric, values, binary))[in_means]).sum())
        return int({"classes": defined.any(0), "cases": defined.any(1), "values": defined}[self.over(metric)].sum())

    def _means(self, metric: str, values: Floats, binary: BinaryCounts, in_means: Bools) -> tuple[Floats, Any]:
        if not len(values):
            return np.full(values.shape[1], NAN), NAN
        sums = self.sums(values, binary, in_means).sum(0, keepdims=True)
        classes, mean = self.of_sums(metric, sums, in_means)
        return classes[0], mean[0]

    def sums(self, values: Floats, binary: BinaryCounts, in_means: Bools) -> Array:
        """Return what is to be summed over cases, a row for each, (N, M), so that `of_sums` finds the means in it."""
        if self.pooled:
            return np.concatenate([binary.tp, binary.fp, binary.fn, binary.tn], 1)
        cases = nan_mean(values[:, in_means], 1)
        columns = np.concatenate([values, cases[:, None]], 1)
        defined = ~np.isnan(columns)
        return np.concatenate([np.where(defined, columns, 0.0), defined], 1)

    def of_sums(self, metric: str, sums: Array, in_means: Bools) -> tuple[Floats, Floats]:
        """Return the class values (B, C) and the one numbers (B,) of B sums of rows of `sums`, (B, M)."""
        number = len(in_means)
        if self.pooled:
            voxels = np.zeros((len(sums), 4), np.int64)
            tp, fp, fn, tn = np.split(sums, 4, 1)
            classes = self.values(metric, BinaryCounts(tuple(range(number)), tp, fp, fn, tn, voxels))
            return classes, self._over_classes(classes[:, in_means])
        totals, numbers = np.split(sums, 2, 1)
        classes = ratio(totals[:, :number], numbers[:, :number], self.nothing)
        over = self.over(metric)
        if not in_means.any():
            return classes, np.full(len(sums), NAN)
        if over == "classes":
            return classes, self._over_classes(classes[:, in_means])
        if over == "cases":
            return classes, ratio(totals[:, number], numbers[:, number], self.nothing)
        chosen = np.flatnonzero(in_means)
        return classes, ratio(totals[:, chosen].sum(1), numbers[:, chosen].sum(1), self.nothing)

    def _over_classes(self, classes: Floats) -> Floats:
        return np.mean(classes, 1) if self.strict else nan_mean(classes, 1)


def worst_value(metric: registry.Metric) -> float | None:
    """Return the bad end of a metric's range; None where it is infinite, or no value is better than another.

    Examples
    --------
    >>> [worst_value(registry.get(name)) for name in ("dice", "mcc", "miss_rate", "relative_volume_difference", "support")]
    [0.0, -1.0, 1.0, None, None]
    """
    ends = {"higher": metric.range[0], "lower": metric.range[1]}
    worst = ends.get(metric.better)
    return worst if worst is not None and np.isfinite(worst) else None


def _extent(binary: BinaryCounts, predicted: bool = True) -> Array:
    """Return the voxels of each case and class in the truth, or in either map, (N, C)."""
    return np.asarray(binary.tp + binary.fn + (binary.fp if predicted else 0))


#: Every convention by its name.
CONVENTIONS: dict[str, Convention] = {
    convention.name: convention
    for convention in (
        Convention(
            name="fastseg",
            description=(
                "A class that neither map of a case has is undefined there, and 0 if only one map has it; a class's value "
                "is the mean over the cases where it is defined, and the mean is over the defined foreground classes."
            ),
            source="fastseg",
            verified=_ALL,
            background=False,
        ),
        Convention(
            name="monai",
            description=(
                "Overlaps are undefined wherever the truth has none of a class, whatever is predicted; the mean is over "
                "each case's classes first, background included, then over cases; a mean over nothing is 0."
            ),
            source=(
                "monai 1.6.1: DiceMetric and MeanIoU as they are by default, ConfusionMatrixMetric(compute_sample=True); "
                'class values: reduction="mean_batch"'
            ),
            verified=(
                "dice", "iou", "precision", "recall", "specificity", "negative_predictive_value", "false_positive_rate",
                "false_negative_rate",
            ),
            background=True,
            left_out="without truth",
            left_out_of=_OVERLAPS,
            mean_over="cases",
            nothing=0.0,
        ),
        Convention(
            name="torchmetrics",
            description=(
                "A class that neither map of a case has is undefined there; the mean is over each case's classes first, "
                "background included, then over cases, but that of IoU over all defined values of all cases alike."
            ),
            source=(
                'torchmetrics 1.9.0: segmentation.DiceScore(average="macro", aggregation_level="samplewise") and '
                'segmentation.MeanIoU, background included; class values: average="none", per_class=True'
            ),
            verified=("dice", "iou"),
            background=True,
            mean_over="cases",
            mean_over_of={"iou": "values"},
        ),
        Convention(
            name="nnunet",
            description=(
                "A class that neither map of a case has is undefined there; a class's value is the mean over the cases "
                "where it is defined; the mean over foreground classes is undefined as soon as one class is."
            ),
            source="nnunetv2.evaluation.evaluate_predictions: mean and foreground_mean of summary.json",
            verified=("dice", "iou", "support"),
            background=False,
            strict=True,
        ),
        Convention(
            name="sklearn",
            description=(
                "A class's value is the metric of the counts summed over all cases, 0 where its denominator is 0; the mean "
                "is over the classes that occur anywhere in the run, background included."
            ),
            source=(
                "scikit-learn 1.9.1: f1_score, jaccard_score, precision_score, recall_score of all voxels of all cases, "
                'average="macro", zero_division=0'
            ),
            verified=("dice", "iou", "precision", "recall"),
            background=True,
            left_out="absent",
            zero_division=0.0,
            pooled=True,
        ),
        Convention(
            name="totalsegmentator",
            description=(
                "Cases whose truth has none of a class are dropped for that class, whatever is predicted; a class's value "
                "is the mean over the other cases, and the mean is over the defined foreground classes."
            ),
            source="TotalSegmentator: resources/evaluate.py, which prints class values and no mean over classes",
            verified=("dice",),
            background=False,
            left_out="without truth",
        ),
    )
}  # fmt: skip
