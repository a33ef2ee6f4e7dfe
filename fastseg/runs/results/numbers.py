"""A run: the records of all its cases, and every number that follows from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from fastseg.arrays.classes import MAX_CLASSES
from fastseg.counts import BinaryCounts, LabelCounts, positions
from fastseg.metrics import registry
from fastseg.metrics.choice import known_metric, of_surfaces
from fastseg.metrics.conventions import CONVENTIONS, Convention, worst_value
from fastseg.metrics.pair_numbers import PairNumber
from fastseg.runs.results.classes import ReportedClass
from fastseg.runs.results.instances import InstanceNumbers
from fastseg.runs.results.partitions import partition_convention, partition_values
from fastseg.runs.scoring.records import CaseRecord, Ints, triples
from fastseg.runs.scoring.settings import Settings

__all__ = ["NO_CONFUSION", "RunNumbers", "check_matrix"]

Floats = npt.NDArray[np.float64]

#: Why masks have no confusion matrix.
NO_CONFUSION = "masks may overlap, so that a voxel of one need not be mistaken for another"


@dataclass(frozen=True, eq=False)
class RunNumbers:
    """The results of a folder of cases, as numbers; a `Run` is that with files and a table.

    Attributes
    ----------
    settings : Settings
        What was scored and how.
    records : tuple of CaseRecord
        Of all cases expected, sorted by id: those scored, failed, and missing.
    facts : dict
        What else `run.json` says: versions, times, folders. Nothing else depends on it.

    Notes
    -----
    N is the number of cases that have counts (`counted`), C the number of reported classes (`classes`).
    """

    settings: Settings
    records: tuple[CaseRecord, ...]
    facts: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def counted(self) -> tuple[CaseRecord, ...]:
        """The N records that have counts, in order."""
        return tuple(record for record in self.records if record.counted)

    @cached_property
    def failed(self) -> tuple[CaseRecord, ...]:
        """The records of cases that could not be scored."""
        return tuple(record for record in self.records if record.status == "failed")

    @cached_property
    def missing(self) -> tuple[CaseRecord, ...]:
        """The records of cases without a prediction."""
        return tuple(record for record in self.records if record.status == "missing")

    @property
    def convention(self) -> Convention:
        """What an empty class is worth and how means are taken; fastseg's where the settings name one of surfaces only."""
        if self.settings.partitions:
            return partition_convention(self.settings)
        return CONVENTIONS.get(self.settings.convention, CONVENTIONS["fastseg"])

    def convention_of(self, metric: str) -> Convention:
        """Return how a metric's means are taken; of a distance none over nothing is 0, whatever the convention is."""
        return replace(self.convention, nothing=np.nan) if of_surfaces([metric]) else self.convention

    @cached_property
    def labels(self) -> Ints:
        """(K,) int64: the declared labels, else those that occur in any case, sorted; none of masks."""
        if self.settings.labels is not None:
            return np.array(self.settings.labels, np.int64)
        found = [record.pairs[:, :2].reshape(-1) for record in self.counted]
        found += [record.unknown[:, 0] for record in self.counted]
        return np.unique(np.concatenate([np.zeros(0, np.int64), *found]))

    @cached_property
    def classes(self) -> tuple[ReportedClass, ...]:
        """The C classes that are reported: the regions, if any, else the labels that are not ignored; or the masks.

        Partitions have none.
        """
        if self.settings.partitions:
            return ()
        if self.settings.masks is not None:
            names = dict.fromkeys([*self.settings.masks, *(name for record in self.counted for name in record.masks)])
            return tuple(ReportedClass(name, name) for name in names)
        if self.settings.regions:
            return tuple(ReportedClass(members, name) for name, members in self.settings.regions.items())
        labels = [label for label in self.labels.tolist() if label not in self.settings.ignore]
        return tuple(ReportedClass(label, self.settings.names.get(label, str(label))) for label in labels)

    @cached_property
    def foreground(self) -> npt.NDArray[np.bool_]:
        """(C,) bool: which classes are not the background, label 0."""
        return np.array([each.labels != (0,) for each in self.classes], bool)

    @property
    def in_means(self) -> npt.NDArray[np.bool_]:
        """(C,) bool: which classes the means over classes are over, as the convention or ``background`` says."""
        background = self.settings.background
        wanted = self.convention.background if background is None else background
        return np.ones(len(self.classes), bool) if wanted else self.foreground

    @property
    def mean_title(self) -> str:
        """What the mean over classes is called: "mean", or "foreground mean" where the background is left out."""
        return "mean" if self.in_means.all() else "foreground mean"

    def over(self, metric: str) -> str:
        """Say what a metric's one number is the mean over, such as "classes (background left out) of means over cases"."""
        classes = "regions" if self.settings.regions else "classes"
        if not self.in_means.all():
            classes += " (background left out)"
        if self.convention.pooled:
            return f"{classes} of all cases together"
        if len(self.counted) == 1:
            return classes
        return {
            "classes": f"{classes} of means over cases",
            "cases": f"cases of means over {classes}",
            "values": f"the values of all {classes} and cases",
        }[self.convention.over(metric)]

    @cached_property
    def instances(self) -> InstanceNumbers | None:
        """The instances of the counted cases; None where none are asked for."""
        how = self.settings.instances
        return None if how is None else InstanceNumbers(how, self.counted)

    @cached_property
    def scores(self) -> dict[str, Floats]:
        """Of files of probabilities: by name what was found of the counted cases, (N,), NaN where there is none.

        The worst soft Dice, of a case without a prediction, is 0; cross-entropy and the Brier score have no worst value.
        """
        names = dict.fromkeys(name for record in self.counted for name in record.scores)
        found = {name: [record.scores.get(name) for record in self.counted] for name in names}
        scores = {name: np.array(values, np.float64) for name, values in found.items()}  # None is NaN
        if "soft_dice" in scores:
            scores["soft_dice"][self.missed] = 0.0
        return scores

    @cached_property
    def missed(self) -> npt.NDArray[np.bool_]:
        """(N,) bool: which counted cases have no prediction, and are scored as the worst possible ones."""
        return np.array([record.status == "missing" for record in self.counted], bool)

    def counts(self, cases: Sequence[int] | slice = slice(None)) -> LabelCounts:
        """Return the confusion matrices of the counted cases, or of some of them by their place: (N, K, K).

        Raises
        ------
        ValueError
            If there are more than 4,096 labels, for which matrices are too large, or masks, which have no confusion.
        """
        self._require_labels()
        numbers = np.arange(len(self.counted))[cases].tolist()
        return self._matrices([[self.counted[n]] for n in numbers])

    def pooled(self) -> LabelCounts:
        """Return the confusion matrix summed over all counted cases, (1, K, K); ValueError as `counts` raises it."""
        self._require_labels()
        return self._matrices([self.counted])

    def _require_labels(self) -> None:
        if self.settings.masks is not None:
            raise ValueError(f"labels: expected a run of label maps, found one of masks: {NO_CONFUSION}")

    def _matrices(self, groups: Sequence[Sequence[CaseRecord]]) -> LabelCounts:
        counts = _matrices(self.labels, self.settings.labels is not None, groups)
        return replace(counts, ignored=self.settings.classes.without_score)

    @cached_property
    def binary(self) -> BinaryCounts:
        """True and false positives and negatives of the reported classes: (N, C)."""
        if self.settings.masks is not None:
            return _binary_of_masks(self.counted, [each.name for each in self.classes], self._there)
        pairs, unknown = triples(self.counted)
        case, true, pred, voxels = pairs.T
        owner, truth = np.concatenate([case, unknown[:, 0]]), np.concatenate([true, unknown[:, 1]])
        number = np.concatenate([voxels, unknown[:, 3]])
        shape = len(self.counted), len(self.classes)
        if self.settings.regions:
            tp, support, found = (np.zeros(shape, np.int64) for _ in range(3))
            for k, each in enumerate(self.classes):
                in_truth, in_pred = np.isin(truth, each.labels), np.isin(pred, each.labels)
                both = in_truth[: len(pairs)] & in_pred
                tp[:, k] = _sums(shape[:1], (case[both],), voxels[both])
                support[:, k] = _sums(shape[:1], (owner[in_truth],), number[in_truth])
                found[:, k] = _sums(shape[:1], (case[in_pred],), voxels[in_pred])
        else:
            labels, hits = np.array([each.key for each in self.classes], np.int64), true == pred
            tp = _sums(shape, (case[hits], positions(labels, true[hits])), voxels[hits])
            support = _sums(shape, (owner, positions(labels, truth)), number)
            found = _sums(shape, (case, positions(labels, pred)), voxels)
        total = _sums(shape[:1], (owner,), number)[:, None]
        given = np.array([record.voxels for record in self.counted], np.int64).reshape(-1, 4)
        return BinaryCounts(tuple(range(shape[1])), tp, found - tp, support - tp, total - support - found + tp, given)

    @cached_property
    def _there(self) -> npt.NDArray[np.bool_]:
        """(N, C) bool: which masks are scored; all, unless those that a case lacks are left out of it."""
        skipped = self.settings.missing_mask == "skip"
        there = [[each.name in record.masks or not skipped for each in self.classes] for record in self.counted]
        return np.array(there, bool).reshape(len(self.counted), len(self.classes))

    def values(self, metric: str) -> Floats:
        """Return a metric of each case and class, (N, C), NaN where it is undefined under the run's convention.

        A metric that is one number for all classes together (accuracy, Cohen's kappa, …) is (N, 1). Of a case without a
        prediction that is scored as the worst possible one, a metric has its worst value (`Convention.values`). A distance of
        surfaces is infinite where one of two surfaces is missing. The array is kept for the next call, so it cannot be
        written to.
        """
        entry = known_metric(metric)
        if entry.name not in self._values:
            if self._is_of_surfaces(metric):
                from fastseg.runs.results.surfaces import surface_values

                values = surface_values(metric, self.counted, self.classes, self.settings, self.convention, self.binary)
            elif isinstance(entry, PairNumber):
                return self._partition_values(entry.name)
            elif entry.overall is not None:
                values = np.array([_overall(entry, record) for record in self.counted], np.float64)[:, None]
            else:
                values = self.convention.values(entry.name, self.binary, self.missed)
                if self.settings.masks is not None:
                    values = np.where(self._there, values, np.nan)
            values.flags.writeable = False
            self._values[entry.name] = values
        return self._values[entry.name]

    def _partition_values(self, name: str) -> Floats:
        """Return a number of partitions, (N, 1); all that the settings name are computed at once."""
        if not self.settings.partitions:
            raise ValueError(f"metrics: {name!r} is of partitions, and this run scores classes (metrics= of evaluate)")
        names = dict.fromkeys([*self.settings.metrics, name])
        for each, values in partition_values([*names], self.counted, self.settings).items():
            values.flags.writeable = False
            self._values[each] = values[:, None]
        return self._values[name]

    def finite(self, metric: str) -> Floats:
        """Return the values that means are over: (N, C), NaN also where they are infinite."""
        values = self.values(metric)
        return np.where(np.isinf(values), np.nan, values) if self._is_of_surfaces(metric) else values

    def infinite(self, metric: str) -> int | None:
        """Return how many values of the classes in means are infinite, so that no mean is over them; None of other metrics."""
        return int(np.isinf(self.values(metric)[:, self.in_means]).sum()) if self._is_of_surfaces(metric) else None

    @cached_property
    def units(self) -> dict[str, str]:
        """The unit of each metric of the settings that has one: distances are in mm."""
        names = of_surfaces(self.settings.metrics)
        return {name: unit for name in names if (unit := getattr(known_metric(name), "unit", ""))}

    def _is_of_surfaces(self, metric: str) -> bool:
        if not of_surfaces([metric]):
            return False
        if self.settings.surfaces is None:
            raise ValueError(
                f"metrics: {metric!r} is made of surfaces, which this run has not measured (its metrics: "
                f"{', '.join(self.settings.metrics)})"
            )
        return True

    @cached_property
    def _values(self) -> dict[str, Floats]:
        return {}

    def class_values(self, metric: str) -> Floats:
        """Return a metric of each class over all cases, (C,): as the convention takes it, NaN where it is undefined.

        A metric that is one number for all classes together is (1,); of pooled counts it is NaN where there are more labels
        than a confusion matrix can have.
        """
        entry = known_metric(metric)
        if entry.overall is not None:
            if isinstance(entry, registry.Metric) and self.convention.pooled and self.counted:
                return entry(self.pooled()) if self.labels.size <= MAX_CLASSES else np.full(1, np.nan)
            return self.convention.class_means(metric, self.values(metric), None)
        return self.convention_of(metric).class_means(metric, self.finite(metric), self.binary)

    def mean(self, metric: str) -> float:
        """Return a metric's one number for the whole run, as the convention takes it; NaN where it is undefined."""
        if known_metric(metric).overall is not None:
            return float(self.class_values(metric)[0])
        return self.convention_of(metric).mean(metric, self.finite(metric), self.binary, self.in_means)


def _binary_of_masks(records: Sequence[CaseRecord], names: Sequence[str], there: npt.NDArray[np.bool_]) -> BinaryCounts:
    """Return the counts of masks; of one that a case lacks all voxels are true negatives, or none where it is left out."""
    rows = [[record.masks.get(name, (0, 0, 0)) for name in names] for record in records]
    table = np.array(rows, np.int64).reshape(len(records), len(names), 3)
    given = np.array([record.voxels for record in records], np.int64).reshape(-1, 4)
    tp, fp, fn = (table[..., column].copy() for column in range(3))
    return BinaryCounts(tuple(range(len(names))), tp, fp, fn, np.where(there, given[:, :1] - tp - fp - fn, 0), given)


def _sums(shape: tuple[int, ...], places: tuple[npt.NDArray[Any], ...], voxels: Ints) -> Ints:
    """Return an array of zeros to whose places voxels were added; those of the place -1 are in no class."""
    sums = np.zeros(shape, np.int64)
    known = places[-1] >= 0
    flat = np.ravel_multi_index([place[known] for place in places], shape) if sums.size else np.zeros(0, np.intp)
    np.add.at(sums.reshape(-1), flat, voxels[known])  # of one axis it is several times as fast
    return sums


def check_matrix(labels: Ints) -> None:
    """Raise ValueError if there are too many labels for a confusion matrix."""
    if labels.size > MAX_CLASSES:
        raise ValueError(
            f"labels: expected at most {MAX_CLASSES:,} for a confusion matrix, found {labels.size:,} that occur in the run "
            "(declare those that are to be scored, or map labels of the prediction to others)"
        )


def _matrices(labels: Ints, declared: bool, groups: Sequence[Sequence[CaseRecord]]) -> LabelCounts:
    """Return a confusion matrix for each group of cases, summed over these."""
    check_matrix(labels)
    size = labels.size
    matrix, unknown = np.zeros((len(groups), size, size), np.int64), np.zeros((len(groups), size), np.int64)
    for n, records in enumerate(groups):
        pairs, missed = triples(records)
        np.add.at(matrix[n], (positions(labels, pairs[:, 1]), positions(labels, pairs[:, 2])), pairs[:, 3])
        np.add.at(unknown[n], positions(labels, missed[:, 1]), missed[:, 3])
    voxels = [np.array([record.voxels for record in of], np.int64).reshape(-1, 4).sum(0) for of in groups]
    return LabelCounts(labels, declared, matrix, unknown, np.array(voxels, np.int64).reshape(-1, 4))


def _overall(entry: registry.Metric, record: CaseRecord) -> float:
    """Return a metric that is one number for all classes of a case together; labels that it lacks make no difference."""
    worst = worst_value(entry)
    if record.status == "missing" and worst is not None and record.unknown.size:
        return worst
    labels = np.unique(np.concatenate([record.pairs[:, :2].reshape(-1), record.unknown[:, 0]]))
    return float(entry(_matrices(labels, True, [[record]]))[0])
