"""Where the segments of a map lie: the mean index of the voxels of each label."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["centroids"]

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]

_SLAB = 2**21


def centroids(labels: Array, ids: Array) -> Floats:
    """Return the mean index of the voxels of each label along each axis, (S, axes); NaN of labels that do not occur.

    Parameters
    ----------
    labels : (…) integers
        The map.
    ids : (S,)
        The labels, sorted.

    Notes
    -----
    Segments are long runs along the last axis, of which only ends are looked at; sums of indices are exact in float64.
    """
    if not ids.size or not labels.size:
        return np.full((ids.size, labels.ndim), np.nan)
    rows = labels.reshape(-1, labels.shape[-1])
    sums, voxels = np.zeros((labels.ndim, ids.size)), np.zeros(ids.size)
    step = max(1, _SLAB // rows.shape[1])
    for first in range(0, len(rows), step):
        slab = np.ascontiguousarray(rows[first : first + step])
        starts_here = np.ones(slab.shape, bool)
        np.not_equal(slab[:, 1:], slab[:, :-1], out=starts_here[:, 1:])
        starts = np.flatnonzero(starts_here)
        lengths = np.diff(starts, append=slab.size).astype(np.float64)
        values = slab.reshape(-1)[starts]
        where = np.searchsorted(ids, values)
        known = ids[np.minimum(where, ids.size - 1)] == values
        where, lengths, starts = where[known], lengths[known], starts[known]
        voxels += np.bincount(where, lengths, ids.size)
        row, column = np.divmod(starts, rows.shape[1])
        places = np.unravel_index(row + first, labels.shape[:-1]) if labels.ndim > 1 else ()
        for axis, place in enumerate(places):
            sums[axis] += np.bincount(where, lengths * place, ids.size)
        sums[-1] += np.bincount(where, lengths * (column + (lengths - 1) / 2), ids.size)
    with np.errstate(invalid="ignore"):
        return (sums / voxels).T
