"""The segments of two label maps, and the graph of their overlaps, of which every matching is made.

A segment is a label of a case. Edges of the graph are the pairs that share a voxel, so that its size is that of `PairCounts`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = [
    "ClassesOf",
    "OverlapGraph",
    "Segments",
    "centred_graph",
    "grown_graph",
    "of_each_case",
    "overlap_graph",
    "small_uncounted",
    "without_small",
]

Array = npt.NDArray[Any]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
#: The class of each id: of all cases alike, or one mapping for each case.
ClassesOf = Mapping[int, int] | Sequence[Mapping[int, int]] | None

#: The class of segments where nobody says of which they are.
ONLY_CLASS = 1


@dataclass(frozen=True, eq=False, repr=False)
class Segments:
    """The segments of one side, in order of case and id."""

    case: Ints
    """(S,): the case that each is of."""
    ids: Array
    """(S,) int64 or uint64: its label."""
    classes: Ints
    """(S,): its class."""
    voxels: Array
    """(S,) int64, or float64 of weighted counts."""
    void: Array
    """(S,): how many of them the other side leaves open, as void (and, of predictions, as crowd of their class)."""
    excluded: Bools
    """(S,): of the truth, those of crowds, which nothing is matched with."""
    uncounted: Bools
    """(S,): those that may be matched, and are neither found nor missed: too small to count."""

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        return f"<{len(self):,} segments>"


@dataclass(frozen=True, eq=False, repr=False)
class OverlapGraph:
    """The segments of two label maps, and which of them overlap.

    Attributes
    ----------
    cases : int
        N.
    true, pred : Segments
        T true and P predicted segments.
    rows, columns : (E,) int64
        The ends of each edge: positions among the true and the predicted segments, sorted by both.
    voxels : (E,)
        Voxels that the two have in common.
    touching : (E,)
        Voxels that the prediction has in common with the true segment as it was grown; `voxels` where it was not.
    true_area, pred_area : (T,), (P,)
        Voxels of the segments without what unions leave out, which is void.
    centred : (E,) bool or None
        Where the centre of the prediction lies in the true segment; None where nobody looked.
    """

    cases: int
    true: Segments
    pred: Segments
    rows: Ints
    columns: Ints
    voxels: Array
    touching: Array
    true_area: Array
    pred_area: Array
    centred: Bools | None = None

    def __repr__(self) -> str:
        sides = f"{len(self.true):,} true and {len(self.pred):,} predicted segments"
        return f"<OverlapGraph of {sides}, {len(self.rows):,} overlaps>"


def overlap_graph(
    case: Ints,
    true: Array,
    pred: Array,
    counts: Array,
    *,
    cases: int,
    true_classes: ClassesOf = None,
    pred_classes: ClassesOf = None,
    stuff: Collection[int] = (),
    crowd: Collection[int] | Sequence[Collection[int]] = (),
    void: Collection[int] = (),
    pred_void: Collection[int] = (),
) -> OverlapGraph:
    """Return the graph of the pairs of labels that occur.

    Parameters
    ----------
    case, true, pred, counts : (P,)
        The pairs of `PairCounts`. Label 0 is background, on both sides.
    cases
        N.
    true_classes, pred_classes
        The class of each id; None: all are of one.
    stuff
        Classes whose segments are one each, whatever their ids are.
    crowd
        True ids that stand for several instances: nothing is matched with them, and a prediction that lies in them by more
        than half is no false alarm. Of all cases alike, or a collection for each case.
    void, pred_void
        Ids of what belongs to no segment and is in no union, on either side.

    Raises
    ------
    ValueError
        If an id has no class, or classes are of one side only.
    """
    true_classes, pred_classes = (
        None if given is None else of_each_case(given, name, cases)
        for given, name in ((true_classes, "true_classes"), (pred_classes, "pred_classes"))
    )
    left, left_rows = _segments(case, true, counts, true_classes, "true_classes", stuff, void)
    right, right_rows = _segments(case, pred, counts, pred_classes, "pred_classes", stuff, pred_void)
    if (true_classes is None) != (pred_classes is None):
        lacking, given = ("true", "pred") if true_classes is None else ("pred", "true")
        raise ValueError(
            f"{lacking}_classes: expected some beside {given}_classes, since only what is of one class matches"
        )
    excluded = _crowds(left, crowd)
    in_void = {"true": _among(true, void), "pred": _among(pred, pred_void)}
    pred_open = _sums(right_rows, np.where(in_void["true"], counts, 0), len(right))
    true_open = _sums(left_rows, np.where(in_void["pred"], counts, 0), len(left))
    true_area, pred_area = left.voxels - true_open, right.voxels - pred_open
    both = (left_rows >= 0) & (right_rows >= 0)
    rows, columns, voxels = _edges(left_rows[both], right_rows[both], counts[both], len(right))
    alike = left.classes[rows] == right.classes[columns]
    in_crowd = alike & excluded[rows]
    pred_open = pred_open + _sums(np.where(in_crowd, columns, -1), voxels, len(right))
    left, right = replace(left, void=true_open, excluded=excluded), replace(right, void=pred_open)
    alike &= ~excluded[rows]
    rows, columns, voxels = rows[alike], columns[alike], voxels[alike]
    return OverlapGraph(cases, left, right, rows, columns, voxels, voxels, true_area, pred_area)


def grown_graph(case: Ints, grown: Array, inside: Bools, pred: Array, counts: Array, *, cases: int) -> OverlapGraph:
    """Return the graph of true segments that were grown: a prediction touches those whose grown selves it meets.

    Parameters
    ----------
    case, grown, pred, counts : (P,)
        Pairs of a grown true segment and a predicted one; 0 is background, on both sides.
    inside : (P,) bool
        Where the truth itself is, and not what was added to it.
    cases
        N.
    """
    left, left_rows = _segments(case, grown, np.where(inside, counts, 0), None, "true_classes", (), ())
    right, right_rows = _segments(case, pred, counts, None, "pred_classes", (), ())
    both = (left_rows >= 0) & (right_rows >= 0)
    ends = left_rows[both], right_rows[both]
    rows, columns, touching = _edges(*ends, counts[both], len(right))
    voxels = _edges(*ends, np.where(inside, counts, 0)[both], len(right))[2]
    return OverlapGraph(cases, left, right, rows, columns, voxels, touching, left.voxels, right.voxels)


def without_small(graph: OverlapGraph, least: int) -> OverlapGraph:
    """Return the graph without segments of fewer voxels."""
    if least < 2:
        return graph
    kept = graph.true.voxels >= least, graph.pred.voxels >= least
    edges = kept[0][graph.rows] & kept[1][graph.columns]
    left, right = (_selected(side, which) for side, which in zip((graph.true, graph.pred), kept, strict=True))
    return OverlapGraph(
        graph.cases,
        left,
        right,
        (np.cumsum(kept[0]) - 1)[graph.rows[edges]],
        (np.cumsum(kept[1]) - 1)[graph.columns[edges]],
        graph.voxels[edges],
        graph.touching[edges],
        graph.true_area[kept[0]],
        graph.pred_area[kept[1]],
    )


def centred_graph(graph: OverlapGraph, hit: Array, case: Ints) -> OverlapGraph:
    """Return the graph that knows in which true segment the centre of each prediction lies.

    Parameters
    ----------
    hit, case : (P,)
        The true id at the centre of each predicted segment, 0 where there is none, and its case. A hollow segment may have
        its centre in one that it shares no voxel with: an edge of its own, of no voxels.
    """
    true, width = graph.true, max(len(graph.pred), 1)
    position = {(n, label): k for k, (n, label) in enumerate(zip(true.case.tolist(), true.ids.tolist(), strict=True))}
    rows = np.array([position.get(end, -1) for end in zip(case.tolist(), hit.tolist(), strict=True)], np.int64)
    columns = np.flatnonzero(rows >= 0)
    rows = rows[columns]
    alike = (true.classes[rows] == graph.pred.classes[columns]) & ~true.excluded[rows]
    inside = rows[alike] * width + columns[alike]
    own = graph.rows * width + graph.columns
    keys = np.union1d(own, inside)
    voxels, touching = (np.zeros(len(keys), counts.dtype) for counts in (graph.voxels, graph.touching))
    at = np.searchsorted(keys, own)
    voxels[at], touching[at] = graph.voxels, graph.touching
    ends = keys // width, keys % width
    return replace(
        graph, rows=ends[0], columns=ends[1], voxels=voxels, touching=touching, centred=np.isin(keys, inside)
    )


def small_uncounted(graph: OverlapGraph, most: float) -> OverlapGraph:
    """Return the graph with true segments of at most so many voxels as what is neither found nor missed."""
    return replace(graph, true=replace(graph.true, uncounted=graph.true.voxels <= most * (1 + 1e-12)))


def of_each_case(given: Any, name: str, cases: int) -> Any:
    """Return a mapping, or a sequence of one for each case; TypeError or ValueError where it is neither."""
    if isinstance(given, Mapping):
        return given
    if not isinstance(given, Sequence) or not all(isinstance(each, Mapping) for each in given):
        raise TypeError(
            f"{name}: expected a mapping from ids, or a sequence of one for each case, found {type(given).__name__}"
        )
    if len(given) != cases:
        raise ValueError(f"{name}: expected a mapping for each of {cases} case(s), found {len(given)}")
    return given


def _selected(segments: Segments, which: Bools) -> Segments:
    return Segments(*(getattr(segments, each.name)[which] for each in fields(segments)))


def _segments(
    case: Ints, ids: Array, counts: Array, classes: ClassesOf, name: str, stuff: Collection[int], void: Collection[int]
) -> tuple[Segments, Ints]:
    """Return the segments of one side, and for each pair the position of its segment, -1 where it is none."""
    is_segment = (ids != 0) & ~_among(ids, void)
    position = np.full(len(ids), -1, np.int64)
    order = np.flatnonzero(is_segment)
    if (case[order][1:] == case[order][:-1]).all():
        order = order[np.argsort(ids[order], kind="stable")]  # of what is sorted already in no time
    else:
        order = order[np.lexsort((ids[order], case[order]))]
    ordered = case[order], ids[order]
    first = np.ones(len(order), bool)
    first[1:] = (ordered[0][1:] != ordered[0][:-1]) | (ordered[1][1:] != ordered[1][:-1])
    position[order] = np.cumsum(first) - 1
    of_case, own_ids = ordered[0][first], ordered[1][first]
    own_classes = _classes(of_case, own_ids, classes, name)
    if len(stuff) and len(own_ids):
        united = _among(own_classes, stuff)
        key = np.where(united, own_classes, 0), np.where(united, -1, np.arange(len(own_ids)))
        _, kept, to = np.unique(np.stack([of_case, *key]), axis=1, return_index=True, return_inverse=True)
        ranks = np.empty(len(kept), np.int64)
        ranks[np.argsort(kept)] = np.arange(len(kept))
        kept = np.sort(kept)
        position = np.where(position >= 0, ranks[to.reshape(-1)][position], -1)
        of_case, own_ids, own_classes = of_case[kept], own_ids[kept], own_classes[kept]
    sizes = _sums(position, counts, len(own_ids))
    nothing = np.zeros(len(own_ids), bool)
    return Segments(of_case, own_ids, own_classes, sizes, np.zeros_like(sizes), nothing, nothing), position


def _classes(case: Ints, ids: Array, classes: ClassesOf, name: str) -> Ints:
    if classes is None:
        return np.full(len(ids), ONLY_CLASS, np.int64)
    found: list[Any] = []
    for n, label in zip(case.tolist(), ids.tolist(), strict=True):
        mapping = classes if isinstance(classes, Mapping) else classes[n]
        if label not in mapping:
            raise ValueError(f"{name}: expected a class for each id, found none for {label} of case {n}")
        found.append(mapping[label])
    values = np.array(found) if found else np.empty(0, np.int64)
    if values.dtype.kind not in "biu" or values.ndim != 1 or (values.dtype == np.uint64 and values.max() >= 2**63):
        wrong = next(each for each in found if not isinstance(each, int | np.integer) or not -(2**63) <= each < 2**63)
        raise ValueError(f"{name}: expected classes that are 64-bit signed integers, found {wrong!r}")
    return values.astype(np.int64, copy=False)


def _crowds(true: Segments, crowd: Collection[int] | Sequence[Collection[int]]) -> Bools:
    """Return which segments are crowds."""
    found = np.zeros(len(true), bool)
    for case, own in enumerate(crowd):
        if not isinstance(own, Collection):
            return _among(true.ids, crowd)  # type: ignore[arg-type]
        of_case = true.case == case
        found[of_case] = _among(true.ids[of_case], own)
    return found


def _edges(rows: Ints, columns: Ints, counts: Array, width: int) -> tuple[Ints, Ints, Array]:
    """Return the distinct pairs of ends, sorted, and the sums of their counts."""
    keys = rows * np.int64(max(width, 1)) + columns
    if (keys[1:] > keys[:-1]).all():  # as pairs are, unless segments were united
        return rows, columns, counts
    keys, inverse = np.unique(keys, return_inverse=True)
    return keys // max(width, 1), keys % max(width, 1), _sums(inverse.reshape(-1), counts, len(keys))


def _sums(positions: Ints, counts: Array, length: int) -> Array:
    """Return the sums of counts by position, without those at -1; voxels are less than 2^53, and so exact."""
    inside = positions >= 0
    sums = np.bincount(positions[inside], counts[inside], length)
    return sums.astype(counts.dtype) if length else np.zeros(0, counts.dtype)


def _among(values: Array, wanted: Collection[int]) -> Bools:
    info = np.iinfo(values.dtype)
    fitting = [value for value in wanted if info.min <= value <= info.max]
    return np.isin(values, np.array(fitting, values.dtype)) if fitting else np.zeros(len(values), bool)
