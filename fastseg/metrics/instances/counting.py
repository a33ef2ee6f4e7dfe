"""What is counted of a matching: who is matched, who is not and counts as such, and the sums by class."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fastseg.metrics.instances.conventions import InstanceConvention
from fastseg.metrics.instances.graph import OverlapGraph, Segments
from fastseg.metrics.instances.rules import MatchingRule, dice, iou
from fastseg.metrics.instances.tally import Tally

__all__ = ["classes_of", "matched", "tally_of", "unmatched"]

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]


def classes_of(graph: OverlapGraph) -> Ints:
    """Return the classes of all instances that may count, sorted: (K,)."""
    true, pred = graph.true, graph.pred
    return np.union1d(true.classes[~(true.excluded | true.uncounted)], pred.classes)


def matched(graph: OverlapGraph, edges: Ints) -> tuple[Bools, Bools]:
    """Return which true and which predicted segments match something."""
    found = np.zeros(len(graph.true), bool), np.zeros(len(graph.pred), bool)
    found[0][graph.rows[edges]] = True
    found[1][graph.columns[edges]] = True
    return found


def unmatched(segments: Segments, found: Bools) -> Bools:
    """Return which segments of a side, of which these were found, count as missed or invented."""
    left: Bools = ~(found | segments.uncounted | segments.excluded | (segments.void > 0.5 * segments.voxels))
    return left


def tally_of(
    graph: OverlapGraph, edges: Ints, rule: MatchingRule, convention: InstanceConvention, *, by_case: bool
) -> Tally:
    """Count by class, or by case and class: each field (K,) or (N * K,)."""
    classes = classes_of(graph)
    length = len(classes) * (graph.cases if by_case else 1)

    def bins(segments: Segments, positions: Any) -> Ints:
        found: Ints = np.searchsorted(classes, segments.classes[positions])
        return found + len(classes) * segments.case[positions] if by_case else found

    def number(segments: Segments, positions: Any) -> Ints:
        return np.bincount(bins(segments, positions), minlength=length)

    ends, others = graph.rows[edges], graph.columns[edges]
    side, areas = graph.true, (graph.true_area, graph.pred_area)
    if rule.of_prediction:
        ends, others, side, areas = others, ends, graph.pred, areas[::-1]
    found, inverse = np.unique(ends, return_inverse=True)
    common = np.bincount(inverse, graph.voxels[edges], len(found))
    partners = np.bincount(inverse, areas[1][others], len(found))
    uncounted = np.bincount(inverse, graph.true.uncounted[graph.rows[edges]], len(found))
    counts = uncounted < np.bincount(inverse, minlength=len(found))  # by at least one true instance that counts
    found, own, common, partners = found[counts], areas[0][found][counts], common[counts], partners[counts]
    of = bins(side, found)
    iou_sum, dice_sum = (np.bincount(of, score(common, own, partners), length) for score in (iou, dice))
    in_truth, in_prediction = matched(graph, edges)
    return Tally(
        np.bincount(of, minlength=length),
        number(graph.pred, unmatched(graph.pred, in_prediction)),
        number(graph.true, unmatched(graph.true, in_truth)),
        np.asarray(iou_sum, np.float64),
        np.asarray(dice_sum, np.float64),
        convention.smooth,
        convention.zero_division,
    )
