"""How far the surfaces of instances that were found lie apart, each measured in its own box."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from fastseg.api.surfaces import surface_distances
from fastseg.counting.instances import boxes_of_segments, samples
from fastseg.counts import SurfaceDistances
from fastseg.metrics.instances import FoundGroup

__all__ = ["surfaces_of_groups"]

Array = npt.NDArray[Any]
Box = tuple[slice, ...]


def surfaces_of_groups(
    true: Array,
    pred: Array,
    axis: int | None,
    groups: Sequence[FoundGroup],
    spacing: Sequence[float],
    surface: Literal["voxel", "surfel"],
) -> SurfaceDistances:
    """Return the distances of each group: a case for each, of one class.

    Parameters
    ----------
    true, pred
        Maps of ids, with an axis of samples where that is no None.
    groups
        Which segments belong together.
    spacing, surface
        As in `fastseg.surface_distances`.
    """
    measured = []
    for case, maps in enumerate(zip(samples(true, axis), samples(pred, axis), strict=True)):
        own = [group for group in groups if group.case == case]
        if own:
            boxes = [boxes_of_segments(labels) for labels in maps]
            for group in own:
                sides = group.true, group.pred
                around = [found[each] for found, ids in zip(boxes, sides, strict=True) for each in ids]
                box = _union(around, maps[0].shape)
                pair = [_mask(labels[box], ids) for labels, ids in zip(maps, sides, strict=True)]
                measured.append(surface_distances(*pair, spacing=spacing, surface=surface))
    if not measured:
        return SurfaceDistances.zeros(
            (1,), cases=0, dimensions=len(spacing), surface=surface, weighted=surface == "surfel"
        )
    return measured[0].concat(*measured[1:])


def _union(boxes: Sequence[Box], shape: tuple[int, ...]) -> Box:
    """Return the box of several, and a voxel around it where there is one."""
    sides = zip(*boxes, shape, strict=False)
    return tuple(
        slice(max(0, min(s.start for s in own) - 1), min(size, max(s.stop for s in own) + 1)) for *own, size in sides
    )


def _mask(labels: Array, ids: Sequence[int]) -> npt.NDArray[np.bool_]:
    return labels == ids[0] if len(ids) == 1 else np.isin(labels, ids)
