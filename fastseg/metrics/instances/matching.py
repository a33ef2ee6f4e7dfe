"""What was found, missed and invented, and every metric of it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from fastseg.arrays.arguments import finite_number, one_of
from fastseg.counts import SurfaceDistances
from fastseg.metrics.arithmetic import NAN, nan_mean, ratio
from fastseg.metrics.instances.conventions import INSTANCE_CONVENTIONS, InstanceConvention
from fastseg.metrics.instances.counting import classes_of, matched, tally_of, unmatched
from fastseg.metrics.instances.distances import mean_of_instances
from fastseg.metrics.instances.graph import OverlapGraph
from fastseg.metrics.instances.groups import FoundGroup, groups_of
from fastseg.metrics.instances.listing import instance_rows
from fastseg.metrics.instances.qualities import ClassMeans
from fastseg.metrics.instances.ranking import (
    ConfidencesOf,
    DetectionCurve,
    confidences_of,
    curve_of,
    edges_by_confidence,
)
from fastseg.metrics.instances.rules import MatchingRule, choose, dice, iou, qualifying, scores_of
from fastseg.metrics.instances.sizes import recall_by_size
from fastseg.metrics.instances.tally import METRICS, THRESHOLDS, MatchedPairs, Tally, UnmatchedSegments
from fastseg.metrics.surfaces import hd95

__all__ = ["InstanceMatching", "matching_of"]

Array = npt.NDArray[Any]
Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False, repr=False)
class InstanceMatching(ClassMeans):
    """Which true and predicted instances match, and every metric of it.

    Metrics are the mean over the classes that have an instance anywhere; where there is one class they are its value, and NaN
    where there is no instance at all. With several cases their instances are counted together; `of_cases` has each alone.

    Attributes
    ----------
    rule : MatchingRule
        When two segments match.
    graph : OverlapGraph
        All segments and all overlaps, also those that do not match.
    edges : (M,) int64
        Those of its edges that match.
    voxel_ml : float or None
        The volume of a voxel in millilitres, where it is known.
    centroids : tuple of (T, axes) and (P, axes) float64, or None
        Where all true and all predicted segments lie, where that was asked for.
    boxes : tuple of (T, axes, 2) and (P, axes, 2) int64, or None
        The boxes that hold them: along each axis the first index, and that after the last.
    convention : InstanceConvention
        What 0/0 is, and what nothing is worth.
    surfaces : SurfaceDistances or None
        Of what was found, a case for each of `groups`, where they were asked for.
    pairs : MatchedPairs
        What matches.
    misses, false_alarms : UnmatchedSegments
        True instances that nothing matches, and predicted ones that match nothing.
    tp, fp, fn : int
        How many were found, invented and missed. Found are true instances; with ``matching="one_to_many"`` predicted ones.
    panoptic_quality, segmentation_quality, recognition_quality : float
        PQ is SQ × RQ in each class: SQ the mean IoU of what was found (0 where nothing was), RQ is F1.
    panoptic_quality_dice, segmentation_quality_dice : float
        The same of Dice.
    precision, recall, f1 : float
        Of detection: TP/(TP+FP), TP/(TP+FN), TP/(TP+FP/2+FN/2).
    accuracy : float
        TP/(TP+FP+FN), which StarDist and Cellpose call accuracy and average precision.
    instance_dice, instance_iou : float
        The mean over all true instances and all false alarms, 0 of what was missed or invented (of BraTS: lesion-wise Dice).

    Notes
    -----
    Several predictions of one true instance count as one, whose overlap is theirs together. Instances of a crowd, those too
    small to be counted, and unmatched ones that are more than half void, are neither found nor missed nor invented.

    Examples
    --------
    >>> import fastseg
    >>> matching = fastseg.match_instances([1, 1, 1, 0, 2, 2], [5, 5, 0, 0, 0, 7])
    >>> matching.pairs.true, matching.misses.ids, matching.false_alarms.ids
    (array([1]), array([2]), array([7]))
    >>> round(matching.panoptic_quality, 3), matching.f1
    (0.333, 0.5)
    """

    graph: OverlapGraph
    rule: MatchingRule
    edges: Ints
    voxel_ml: float | None = None
    centroids: tuple[Floats, Floats] | None = None
    convention: InstanceConvention = INSTANCE_CONVENTIONS["fastseg"]
    surfaces: SurfaceDistances | None = None
    boxes: tuple[Ints, Ints] | None = None

    def __repr__(self) -> str:
        return f"<InstanceMatching: {self.tp:,} found, {self.fn:,} missed, {self.fp:,} invented ({self.rule.in_words})>"

    @functools.cached_property
    def pairs(self) -> MatchedPairs:
        """Return what matches."""
        graph, edges = self.graph, self.edges
        rows, columns = graph.rows[edges], graph.columns[edges]
        sizes = graph.voxels[edges], graph.true_area[rows], graph.pred_area[columns]
        return MatchedPairs(
            graph.true.case[rows],
            graph.true.ids[rows],
            graph.pred.ids[columns],
            graph.true.classes[rows],
            graph.voxels[edges],
            graph.true.voxels[rows],
            graph.pred.voxels[columns],
            iou(*sizes),
            dice(*sizes),
            scores_of(graph, self.rule)[edges],
        )

    @functools.cached_property
    def groups(self) -> list[FoundGroup]:
        """Return the instances that were found, each with all that it matches: one for each of `tp`."""
        return groups_of(self.graph, self.edges, self.rule.of_prediction)

    @property
    def misses(self) -> UnmatchedSegments:
        """Return the true instances that nothing matches."""
        return self._unmatched(0)

    @property
    def false_alarms(self) -> UnmatchedSegments:
        """Return the predicted instances that match nothing."""
        return self._unmatched(1)

    def rows(self) -> list[dict[str, Any]]:
        """Return a row of a table for each matched pair, miss and false alarm: ids, voxels, ml, IoU, Dice, centroid."""
        rows = self.graph.rows[self.edges]
        places = None if self.centroids is None else self.centroids[0][rows]
        boxes = None if self.boxes is None else self.boxes[0][rows]
        return instance_rows(self.pairs, places, boxes, self.misses, self.false_alarms, self.voxel_ml)

    @property
    def tp(self) -> int:
        """Return how many instances were found."""
        return int(self.tally.tp.sum())

    @property
    def fp(self) -> int:
        """Return how many predicted instances match nothing."""
        return int(self.tally.fp.sum())

    @property
    def fn(self) -> int:
        """Return how many true instances nothing matches."""
        return int(self.tally.fn.sum())

    @functools.cached_property
    def classes(self) -> Ints:
        """Return the classes of all instances that may count, sorted: (K,)."""
        return classes_of(self.graph)

    def of_classes(self, metric: str) -> Floats:
        """Return a metric of each class, (K,), NaN where the class has no instance that counts.

        Parameters
        ----------
        metric
            "panoptic_quality", "f1" and so on.

        Raises
        ------
        ValueError
            If there is none of that name.
        """
        return METRICS[one_of(metric, "metric", tuple(METRICS))](self.tally)

    def of_cases(self, metric: str) -> Floats:
        """Return a metric of each case, (N,): the mean over the classes that it has an instance of; of none as of a matching.

        Parameters
        ----------
        metric
            As for `of_classes`, errors too.
        """
        of_class = METRICS[one_of(metric, "metric", tuple(METRICS))]
        tallies = tally_of(self.graph, self.edges, self.rule, self.convention, by_case=True)
        shape = self.graph.cases, len(self.classes)
        found = nan_mean(of_class(tallies).reshape(shape), 1)
        return np.where(tallies.any.reshape(shape).any(1), found, self.convention.nothing)

    def mean(self, metric: str, classes: Sequence[int] | None = None) -> float:
        """Return the mean of a metric over classes, such as those of things; of all that have an instance where it is None."""
        values = self.of_classes(metric)
        if classes is not None:
            values = values[np.isin(self.classes, np.array(list(classes), np.int64))]
        return float(nan_mean(values, 0, self.convention.nothing if not self.tp + self.fp + self.fn else NAN))

    def fbeta(self, beta: float) -> float:
        """Return (1+β²)TP/((1+β²)TP + β²FN + FP), where a miss weighs β² times a false alarm."""
        weight = finite_number(beta, "beta") ** 2
        t = self.tally
        nothing = self.convention.nothing if not self.tp + self.fp + self.fn else NAN
        return float(nan_mean(ratio((1 + weight) * t.tp, (1 + weight) * t.tp + weight * t.fn + t.fp), 0, nothing))

    def at(self, threshold: float | None = None, **options: Any) -> InstanceMatching:
        """Return the matching of the same segments by another rule; nothing is counted again.

        Parameters
        ----------
        threshold, **options
            As of `match_instances`: ``criterion``, ``matching``, ``strict``, ``objective``. What is not given stays as it is.

        Raises
        ------
        TypeError, ValueError
            If an option is none.
        """
        given = {} if threshold is None else {"threshold": finite_number(threshold, "threshold")}
        rule = self.rule.but(**given, **options)
        return replace(self, rule=rule, edges=choose(self.graph, rule), surfaces=None)

    def over(self, metric: str, thresholds: Sequence[float] = THRESHOLDS) -> Floats:
        """Return a metric at each of T thresholds, (T,), of one count.

        Parameters
        ----------
        metric
            As for `of_classes`: the mean over classes.
        thresholds
            By default 0.5, 0.55, …, 0.95.
        """
        return np.array([self.at(threshold).mean(metric) for threshold in thresholds], np.float64)

    def mean_accuracy(self, thresholds: Sequence[float] = THRESHOLDS) -> float:
        """Return the mean of `accuracy` over thresholds, by default 0.5, 0.55, …, 0.95: the mean AP of StarDist and Cellpose.

        It is not the average precision of a ranking by confidence.
        """
        return float(np.mean(self.over("accuracy", thresholds)))

    def instance_distance(
        self, metric: Callable[..., Any] | str | None = None, *, missed: float = 374.0, **options: Any
    ) -> float:
        """Return the mean surface distance over true instances and false alarms, `missed` for those missed or invented.

        Parameters
        ----------
        metric
            By default `fastseg.metrics.hd95`; `normalized_surface_dice` with ``missed=0``, and others of `SURFACE_METRICS`,
            also by name.
        missed
            What stands for misses, false alarms, and distances that are infinite: 374 mm in BraTS.
        **options
            Those of the metric, such as its ``tolerance`` or ``convention``.

        Raises
        ------
        ValueError
            If no surfaces were measured (``surface=`` of `match_instances`), or the metric is none of them.
        """
        own = metric if metric is not None else hd95
        return mean_of_instances(self.surfaces, self.tp, self.fp + self.fn, self.convention, own, missed, options)

    def ranked(self, confidences: ConfidencesOf, *, rematch: bool = True) -> DetectionCurve:
        """Return average precision and FROC of predictions that come with a confidence.

        Parameters
        ----------
        confidences : mapping, or a sequence of one for each case
            Of each predicted id.
        rematch
            Predictions find true instances in the order of their confidence, each the best that is left and qualifies (as
            COCO has it); False: what was matched are the hits (as PI-CAI has it).

        Raises
        ------
        TypeError, ValueError
            If a predicted id has no confidence, or one that is no number.

        Notes
        -----
        All classes together. Predictions of what is not counted, and false alarms that are more than half void, are left out.
        """
        graph = self.graph
        given = confidences_of(graph.pred, confidences, graph.cases)
        if rematch:
            scores = scores_of(graph, self.rule)
            edges = edges_by_confidence(graph, scores, qualifying(scores, self.rule), given)
        else:
            edges = self.edges
        in_truth, in_prediction = matched(graph, edges)
        hits = np.zeros(len(graph.pred), bool)
        hits[graph.columns[edges][~graph.true.uncounted[graph.rows[edges]]]] = True
        kept = hits | unmatched(graph.pred, in_prediction)
        of_truth = (in_truth & ~graph.true.uncounted) | unmatched(graph.true, in_truth)
        return curve_of(given[kept], hits[kept], int(of_truth.sum()), graph.cases)

    @property
    def false_positive_voxels(self) -> float:
        """Return the voxels of false alarms."""
        return float(self.false_alarms.voxels.sum())

    @property
    def false_negative_voxels(self) -> float:
        """Return the voxels of misses."""
        return float(self.misses.voxels.sum())

    @property
    def false_positive_ml(self) -> float:
        """Return the volume of false alarms in millilitres; NaN where that of a voxel is not known."""
        return self._ml(self.false_positive_voxels)

    @property
    def false_negative_ml(self) -> float:
        """Return the volume of misses in millilitres; NaN where that of a voxel is not known."""
        return self._ml(self.false_negative_voxels)

    @property
    def count_difference(self) -> int:
        """Return how many more true instances there are than predicted ones, or fewer, whatever matches."""
        true, pred = (int((~(side.uncounted | side.excluded)).sum()) for side in (self.graph.true, self.graph.pred))
        return abs(true - pred)

    @property
    def volume_difference(self) -> float:
        """Return by how many voxels all true instances together differ from all predicted ones."""
        return abs(float(self.graph.true.voxels.sum()) - float(self.graph.pred.voxels.sum()))

    @property
    def volume_difference_ml(self) -> float:
        """Return `volume_difference` in millilitres; NaN where the volume of a voxel is not known."""
        return self._ml(self.volume_difference)

    def _ml(self, voxels: float) -> float:
        return NAN if self.voxel_ml is None else voxels * self.voxel_ml

    def sensitivity_by_size(
        self, edges: Sequence[float], *, unit: Literal["voxels", "ml"] = "voxels"
    ) -> tuple[Floats, Ints]:
        """Return the recall among true instances by their size, and how many there are of each.

        Parameters
        ----------
        edges
            B + 1 sizes, rising; the k-th of B bins holds ``edges[k] <= size < edges[k + 1]``.
        unit
            What sizes are in; "ml" where the volume of a voxel is known.

        Returns
        -------
        recall : (B,) float64
            NaN where there is none of that size.
        instances : (B,) int64

        Raises
        ------
        ValueError
            If the sizes do not rise, or are fewer than two; if volumes are not known.
        """
        sizes, found = self.graph.true.voxels, self._matched[0]
        lost = sizes[self._left(0)]
        return recall_by_size(sizes[found & ~self.graph.true.uncounted], lost, edges, unit, self.voxel_ml)

    @functools.cached_property
    def _matched(self) -> tuple[Bools, Bools]:
        return matched(self.graph, self.edges)

    def _left(self, side: int) -> Bools:
        """Return which segments of a side were missed or invented."""
        return unmatched((self.graph.true, self.graph.pred)[side], self._matched[side])

    def _unmatched(self, side: int) -> UnmatchedSegments:
        segments, where = (self.graph.true, self.graph.pred)[side], self._left(side)
        own = (getattr(segments, name)[where] for name in ("case", "ids", "classes", "voxels"))
        lie = (None if of is None else of[side][where] for of in (self.centroids, self.boxes))
        return UnmatchedSegments(*own, *lie)

    @functools.cached_property
    def tally(self) -> Tally:
        """Return what is counted of each class; tallies of several matchings add up."""
        return tally_of(self.graph, self.edges, self.rule, self.convention, by_case=False)


def matching_of(graph: OverlapGraph, rule: MatchingRule, **known: Any) -> InstanceMatching:
    """Match the segments of a graph."""
    return InstanceMatching(graph, rule, choose(graph, rule), **known)
