"""When two segments match: a score of their overlap, a threshold, and who may have how many partners."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from fastseg.arrays.arguments import finite_number, one_of
from fastseg.metrics.arithmetic import ratio
from fastseg.metrics.instances.assignment import best_of_each, greedy, merging, optimal
from fastseg.metrics.instances.graph import OverlapGraph

__all__ = [
    "CENTRE",
    "CRITERIA",
    "MATCHINGS",
    "MatchingRule",
    "choose",
    "dice",
    "iou",
    "qualifying",
    "scores_of",
    "spelled",
]

Array = npt.NDArray[Any]
Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def _iou(common: Any, true: Any, pred: Any) -> tuple[Any, Any]:
    return common, true + pred - common


def _dice(common: Any, true: Any, pred: Any) -> tuple[Any, Any]:
    return 2 * common, true + pred


def _over_reference(common: Any, true: Any, _: Any) -> tuple[Any, Any]:
    return common, true


def _over_prediction(common: Any, _: Any, pred: Any) -> tuple[Any, Any]:
    return common, pred


def _overlap(common: Any, *_: Any) -> tuple[Any, Any]:
    return common, 1


#: The scores of a pair as fractions, of voxels in common, of the truth and of the prediction: of arrays or of single numbers.
CRITERIA = {
    "iou": _iou,
    "dice": _dice,
    "intersection_over_reference": _over_reference,
    "intersection_over_prediction": _over_prediction,
    "overlap": _overlap,
}
#: The criterion that is no overlap: the centre of the prediction lies in the true segment, 1, or does not, 0.
CENTRE = "centre"
OBJECTIVES = ("score", "count", "all scores", "count, all scores")
MATCHINGS = ("greedy", "optimal", "many_to_one", "one_to_many", "merge", "all")


@dataclass(frozen=True)
class MatchingRule:
    """When two segments match.

    Attributes
    ----------
    criterion : str
        The score of a pair: "iou", "dice", "intersection_over_reference" (the part of the true segment that is found),
        "intersection_over_prediction" or "overlap" (voxels in common; with segments that were grown, those in common with the
        grown one), or "centre": 1 where the centre of the prediction lies in the true segment, else 0.
    threshold : float
        What it has to exceed.
    strict : bool
        Whether it has to exceed the threshold; else it may equal it.
    matching : str
        "greedy" (each once, by falling score), "optimal" (each once, `objective` the greatest), "many_to_one" (each prediction
        goes to its best true segment, which may have several), "one_to_many" (the other way round), "merge" (greedy, but
        a true segment takes further predictions where together they score higher) or "all" (every pair that qualifies).
    objective : str
        Of "optimal": "score", the sum of the scores of pairs that qualify; "count", the number of these pairs, then the sum;
        "all scores", the sum over all pairs that overlap, of which those that qualify count afterwards;
        "count, all scores", the number of pairs that qualify, then the sum over all that overlap.
    ties : str
        Of "greedy" and "merge": of equal scores the pair of the lower "true" id comes first, then of the lower predicted one;
        or the other way round, "pred".
    """

    criterion: str = "iou"
    threshold: float = 0.5
    strict: bool = True
    matching: str = "greedy"
    objective: str = "score"
    ties: str = "true"

    def but(self, **options: Any) -> MatchingRule:
        """Return the rule with other options, where they are not None; TypeError or ValueError if they are none."""
        given: dict[str, Any] = {}
        known = {
            "criterion": (*CRITERIA, CENTRE),
            "matching": MATCHINGS,
            "objective": OBJECTIVES,
            "strict": (True, False),
        }
        for name, value in options.items():
            if name not in (*known, "threshold"):
                raise TypeError(f"{name}: expected one of threshold, {', '.join(known)}")
            if isinstance(value, str) and name in ("criterion", "matching"):
                value = spelled(value)
            if value is not None:
                given[name] = finite_number(value, name) if name == "threshold" else one_of(value, name, known[name])
        rule = replace(self, **given)
        if rule.criterion not in ("overlap", CENTRE) and rule.threshold > 1:
            raise ValueError(
                f"threshold: expected at most 1, which no {rule.criterion} exceeds, found {rule.threshold:g}"
            )
        return rule

    @property
    def in_words(self) -> str:
        """What has to be exceeded, and how: "iou > 0.5, greedy"."""
        return f"{self.criterion} {'>' if self.strict else '>='} {self.threshold:g}, {self.matching.replace('_', ' ')}"

    @property
    def of_prediction(self) -> bool:
        """Whether what was found is counted by predictions, of which each may have several true segments."""
        return self.matching == "one_to_many"

    @property
    def unique(self) -> bool:
        """Whether no segment can have two partners that qualify, so that all one-to-one matchings are the same."""
        return self.criterion == "iou" and (self.threshold > 0.5 or (self.threshold == 0.5 and self.strict))


def spelled(name: str) -> str:
    """Return a name as it is written here, given as people write it: "intersection over reference", "many-to-one"."""
    return re.sub(r"[\s-]+", "_", name.strip().lower())


def iou(common: Any, true: Any, pred: Any) -> Floats:
    """Return intersection over union, of voxels in common, of the truth and of the prediction."""
    return ratio(*_iou(common, true, pred))


def dice(common: Any, true: Any, pred: Any) -> Floats:
    """Return Dice, of voxels in common, of the truth and of the prediction."""
    return ratio(*_dice(common, true, pred))


def scores_of(graph: OverlapGraph, rule: MatchingRule) -> Floats:
    """Return the score of each edge."""
    if rule.criterion == CENTRE:
        if graph.centred is None:
            raise ValueError("criterion: expected an overlap where only pairs of labels are known, found 'centre'")
        return graph.centred.astype(np.float64)
    common = graph.touching if rule.criterion == "overlap" else graph.voxels
    ends = graph.true_area[graph.rows], graph.pred_area[graph.columns]
    return ratio(*CRITERIA[rule.criterion](common, *ends))


def qualifying(scores: Floats, rule: MatchingRule) -> Bools:
    """Return which scores reach the threshold."""
    found: Bools = scores > rule.threshold if rule.strict else scores >= rule.threshold
    return found


def choose(graph: OverlapGraph, rule: MatchingRule) -> Ints:
    """Return the positions of the edges that match, in the order of the graph."""
    scores = scores_of(graph, rule)
    good = qualifying(scores, rule)
    rows, columns = graph.rows, graph.columns
    if rule.criterion == CENTRE:
        _check_centre(rule)
        # Of several centres in one true segment that of the best overlap is the first.
        scores = scores * (1 + iou(graph.voxels, graph.true_area[rows], graph.pred_area[columns]))
    if rule.matching == "merge":
        areas = graph.voxels, graph.true_area[rows], graph.pred_area[columns]
        chosen = merging(rows, columns, _order(rows, columns, scores, rule), good, CRITERIA[rule.criterion], areas)
        return np.flatnonzero(chosen)
    if rule.matching == "optimal" and "all" in rule.objective and not rule.unique:
        edges = np.arange(len(scores))
    else:
        edges = np.flatnonzero(good)
    rows, columns, own = rows[edges], columns[edges], scores[edges]
    if rule.matching == "greedy":
        chosen = greedy(rows, columns, _order(rows, columns, own, rule))
    elif rule.matching == "optimal":
        chosen = optimal(rows, columns, _weights(own, good[edges], graph, rule))
    elif rule.matching == "many_to_one":
        chosen = best_of_each(columns, own)
    elif rule.matching == "one_to_many":
        chosen = best_of_each(rows, own)
    else:
        chosen = np.ones(len(edges), bool)
    return edges[chosen & good[edges]]


def _check_centre(rule: MatchingRule) -> None:
    """Raise ValueError where a rule cannot tell centres inside from others, or would join what has no overlap to grow."""
    outside, inside = qualifying(np.array([0.0, 1.0]), rule)
    if outside or not inside:
        raise ValueError(f"threshold: expected one between 0 and 1 beside criterion='centre', found {rule.threshold}")
    if rule.matching == "merge":
        raise ValueError(
            "matching: expected another than 'merge' beside criterion='centre', which knows no more or less"
        )


def _order(rows: Ints, columns: Ints, scores: Floats, rule: MatchingRule) -> Ints:
    """Return the edges by falling score."""
    return np.lexsort((columns, rows, -scores) if rule.ties == "true" else (rows, columns, -scores))


def _weights(scores: Floats, good: Bools, graph: OverlapGraph, rule: MatchingRule) -> Floats:
    if not rule.objective.startswith("count"):
        return scores
    most = max(float(scores.max(initial=0.0)), 1.0)
    # The sum of what is left of a point is less than one: it decides only between matchings of as many pairs.
    return good + scores / (most * 2 * max(min(len(graph.true), len(graph.pred)), 1))
