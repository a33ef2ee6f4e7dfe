"""Instances that were found: each true segment with its predictions, or each prediction with its true segments."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fastseg.metrics.instances.graph import OverlapGraph

__all__ = ["FoundGroup", "groups_of"]

Ints = npt.NDArray[np.int64]


class FoundGroup(NamedTuple):
    """An instance that was found."""

    case: int
    true: tuple[int, ...]
    """Ids of its true segments, of which there is one, unless the rule lets a prediction have several."""
    pred: tuple[int, ...]


def groups_of(graph: OverlapGraph, edges: Ints, of_prediction: bool) -> list[FoundGroup]:
    """Return what was found and counts, in order of case and id, from the edges that match."""
    rows, columns = graph.rows[edges], graph.columns[edges]
    ends = columns if of_prediction else rows
    order = np.argsort(ends, kind="stable")
    found = []
    for own in np.split(order, np.flatnonzero(np.diff(ends[order])) + 1) if len(order) else ():
        true, pred = np.unique(rows[own]), np.unique(columns[own])  # one side is the same in all
        if not graph.true.uncounted[true].all():
            ids = tuple(graph.true.ids[true].tolist()), tuple(graph.pred.ids[pred].tolist())
            found.append(FoundGroup(int(graph.true.case[true[0]]), *ids))
    return found
