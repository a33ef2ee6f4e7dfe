"""Detections ranked by confidence: average precision and FROC."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastseg.arrays.arguments import checked_number, finite_number
from fastseg.metrics.arithmetic import NAN, ratio
from fastseg.metrics.instances.graph import OverlapGraph, Segments, of_each_case

__all__ = ["ConfidencesOf", "DetectionCurve", "confidences_of", "curve_of", "edges_by_confidence"]

Array = npt.NDArray[Any]
Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
#: The confidence of each predicted id: of all cases alike, or one mapping for each case.
ConfidencesOf = Mapping[int, float] | Sequence[Mapping[int, float]]

#: False alarms a case at which the FROC score of LUNA16 takes the mean of the sensitivities.
_BUDGETS = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)


@dataclass(frozen=True, eq=False)
class DetectionCurve:
    """How detection changes with the confidence that it takes: a step for each confidence, from the highest.

    Attributes
    ----------
    thresholds : (S,) float64
        The distinct confidences, falling; the first is infinite, and nothing is predicted there.
    tp, fp : (S,) int64
        Instances found and invented by predictions of at least that confidence.
    num_true, num_cases : int
        How many true instances there are, and cases.
    """

    thresholds: Floats
    tp: Ints
    fp: Ints
    num_true: int
    num_cases: int

    @property
    def precision(self) -> Floats:
        """Return TP/(TP+FP) at each step; 1 where nothing is predicted."""
        return ratio(self.tp, self.tp + self.fp, 1.0)

    @property
    def recall(self) -> Floats:
        """Return the part of the true instances that is found at each step; NaN where there are none."""
        return ratio(self.tp, np.full(len(self.tp), self.num_true))

    @property
    def false_positives_per_case(self) -> Floats:
        """Return the false alarms a case at each step, the other axis of FROC."""
        return ratio(self.fp, np.full(len(self.fp), self.num_cases))

    @property
    def average_precision(self) -> float:
        """Return the sum of precision times the rise of recall, not interpolated; NaN without true instances."""
        return float((np.diff(self.recall) * self.precision[1:]).sum()) if self.num_true else NAN

    @property
    def interpolated_average_precision(self) -> float:
        """Return the mean over 101 recalls of the best precision at no less recall, as COCO has it; NaN without truth."""
        if not self.num_true:
            return NAN
        envelope = np.append(np.maximum.accumulate(self.precision[:0:-1])[::-1], 0.0)
        return float(envelope[np.searchsorted(self.recall[1:], np.linspace(0.0, 1.0, 101), side="left")].mean())

    def sensitivity_at(self, false_positives: float) -> float:
        """Return the best recall with at most so many false alarms a case."""
        allowed = self.false_positives_per_case <= finite_number(false_positives, "false_positives")
        return float(self.recall[allowed].max()) if self.num_true else NAN

    def froc_score(self, budgets: Sequence[float] = _BUDGETS) -> float:
        """Return the mean sensitivity at some numbers of false alarms a case: 1/8, 1/4, 1/2, 1, 2, 4 and 8."""
        return float(np.mean([self.sensitivity_at(budget) for budget in budgets]))


def confidences_of(pred: Segments, confidences: ConfidencesOf, cases: int) -> Floats:
    """Return the confidence of each predicted segment, (P,); TypeError or ValueError where one has none that is a number."""
    of_each_case(confidences, "confidences", cases)
    found = np.empty(len(pred))
    for k, (case, label) in enumerate(zip(pred.case.tolist(), pred.ids.tolist(), strict=True)):
        mapping = confidences if isinstance(confidences, Mapping) else confidences[case]
        if label not in mapping:
            raise ValueError(f"confidences: expected one for each predicted id, found none for {label} of case {case}")
        found[k] = checked_number(mapping[label], "confidences")
    if np.isnan(found).any():
        raise ValueError(f"confidences: expected numbers, found NaN for {pred.ids[np.isnan(found)][0]}")
    return found


def edges_by_confidence(graph: OverlapGraph, scores: Floats, good: Bools, confidences: Floats) -> Ints:
    """Return the edges by which predictions find true segments: by falling confidence, each the best that is still there.

    Of equal confidences the lower predicted id comes first, of equal scores the lower true id.
    """
    edges = np.flatnonzero(good)
    rows, columns = graph.rows[edges], graph.columns[edges]
    order = np.lexsort((rows, -scores[edges], columns, -confidences[columns]))
    found: list[int] = []
    taken: set[int] = set()
    hits: set[int] = set()
    for edge, row, column in zip(*(each[order].tolist() for each in (edges, rows, columns)), strict=True):
        if row not in taken and column not in hits:
            taken.add(row)
            hits.add(column)
            found.append(edge)
    return np.array(found, np.int64)


def curve_of(confidences: Floats, hits: Bools, num_true: int, num_cases: int) -> DetectionCurve:
    """Return the curve of predictions that find something or not; those of equal confidence are one step."""
    order = np.argsort(-confidences, kind="stable")
    confidences, hits = confidences[order], hits[order]
    last = np.ones(len(order), bool)
    last[:-1] = confidences[1:] != confidences[:-1]
    tp, fp = (np.concatenate([[0], np.cumsum(which)[last]]).astype(np.int64) for which in (hits, ~hits))
    return DetectionCurve(np.concatenate([[np.inf], confidences[last]]), tp, fp, num_true, num_cases)
