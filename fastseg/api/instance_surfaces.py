"""How far the surfaces of instances that were found lie apart, each measured in its own box."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from fastseg.api.surfaces import surface_distances
from fastseg.counting.segments import SideSegments
from fastseg.counts import SurfaceDistances
from fastseg.metrics.instances import FoundGroup

__all__ = ["surfaces_of_groups"]

Ints = npt.NDArray[np.int64]


def surfaces_of_groups(
    sides: tuple[SideSegments, SideSegments],
    groups: Sequence[FoundGroup],
    spacing: Sequence[float],
    surface: Literal["voxel", "surfel"],
) -> SurfaceDistances:
    """Return the distances of each group: a case for each, of one class.

    Parameters
    ----------
    sides
        The true and the predicted segments.
    groups
        Which of them belong together.
    spacing, surface
        As in `fastseg.surface_distances`.
    """
    shape = sides[0].shape
    if not groups:
        return SurfaceDistances.zeros(
            (1,), cases=0, dimensions=len(spacing), surface=surface, weighted=surface == "surfel"
        )
    boxes = [_boxes(*each) for each in zip(sides, ([g.true for g in groups], [g.pred for g in groups]),
                                           [[g.case for g in groups]] * 2, strict=True)]  # fmt: skip
    low = np.maximum(np.minimum(*(each[..., 0] for each in boxes)) - 1, 0)
    high = np.minimum(np.maximum(*(each[..., 1] for each in boxes)) + 1, shape)  # a voxel around, where there is one
    measured = []
    for group, start, stop in zip(groups, low.tolist(), high.tolist(), strict=True):
        box = tuple(map(slice, start, stop))
        pair = [side.mask(group.case, ids, box) for side, ids in zip(sides, (group.true, group.pred), strict=True)]
        measured.append(surface_distances(*pair, spacing=spacing, surface=surface))
    return measured[0].concat(*measured[1:])


def _boxes(side: SideSegments, ids: Sequence[tuple[int, ...]], case: Sequence[int]) -> Ints:
    """Return the box that holds all segments of each group, (G, axes, 2)."""
    first = np.cumsum([0, *map(len, ids)])[:-1]
    each = np.array([number for own in ids for number in own], np.uint64 if max(map(max, ids)) >= 2**63 else np.int64)
    of = np.repeat(np.array(case, np.int64), [len(own) for own in ids])
    order = np.lexsort((each, of))
    distinct = np.ones(len(order), bool)
    distinct[1:] = (np.diff(of[order]) != 0) | (each[order][1:] != each[order][:-1])
    found = side.places(of[order][distinct], each[order][distinct])[1]
    places = np.empty(len(order), np.int64)
    places[order] = np.cumsum(distinct) - 1
    boxes = found[places]
    return np.stack([np.minimum.reduceat(boxes[..., 0], first), np.maximum.reduceat(boxes[..., 1], first)], -1)
