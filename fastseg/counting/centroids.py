"""Where the segments of a map lie: the mean index of the voxels of each label, and the box that holds them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["centroids_and_boxes"]

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_SLAB = 2**21


def centroids_and_boxes(labels: Array, ids: Array) -> tuple[Floats, Ints]:
    """Return where labels lie.

    Parameters
    ----------
    labels : (…) integers
        The map.
    ids : (S,)
        The labels, sorted.

    Returns
    -------
    centroids : (S, axes)
        The mean index of the voxels of each along each axis; NaN of labels that do not occur.
    boxes : (S, axes, 2)
        The first index along each axis, and that after the last.

    Notes
    -----
    Segments are long runs along the last axis, of which only ends are looked at; sums of indices are exact in float64.
    """
    boxes = np.zeros((2, labels.ndim, ids.size), np.int64)
    sums, voxels = np.zeros((labels.ndim, ids.size)), np.zeros(ids.size)
    if ids.size and labels.size:
        boxes[0] = np.array(labels.shape)[:, None]
        for where, lengths, places in _runs(labels, ids):
            voxels += np.bincount(where, lengths, ids.size)
            for axis, place in enumerate(places):
                last = axis == labels.ndim - 1
                sums[axis] += np.bincount(where, lengths * (place + (lengths - 1) / 2 if last else place), ids.size)
                np.minimum.at(boxes[0, axis], where, place)
                np.maximum.at(boxes[1, axis], where, place + (lengths if last else 1))
    with np.errstate(invalid="ignore"):
        return (sums / voxels).T, np.ascontiguousarray(boxes.T)


def _runs(labels: Array, ids: Array) -> Iterator[tuple[Ints, Ints, tuple[Ints, ...]]]:
    """Yield the runs along the last axis, some rows at a time: which label each is of, how long, and where it begins."""
    rows = labels.reshape(-1, labels.shape[-1])
    ids = ids.astype(labels.dtype, copy=False)  # int64 and uint64 would meet as floats
    step = max(1, _SLAB // rows.shape[1])
    for first in range(0, len(rows), step):
        slab = np.ascontiguousarray(rows[first : first + step])
        starts_here = np.ones(slab.shape, bool)
        np.not_equal(slab[:, 1:], slab[:, :-1], out=starts_here[:, 1:])
        starts = np.flatnonzero(starts_here)
        lengths = np.diff(starts, append=slab.size)
        values = slab.reshape(-1)[starts]
        where = np.searchsorted(ids, values)
        known = ids[np.minimum(where, ids.size - 1)] == values
        where, lengths, starts = where[known], lengths[known], starts[known]
        row, column = np.divmod(starts, rows.shape[1])
        yield where, lengths, (*(np.unravel_index(row + first, labels.shape[:-1]) if labels.ndim > 1 else ()), column)
