"""Surfaces by comparing all pairs of elements: what the distances of small maps are, with nothing clever in it."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def elements(inside: Array, unknown: Array, border: str) -> Array:
    """Return the indices of the voxels that have a neighbour across a face outside; (n, axes)."""
    found = []
    for index in np.argwhere(inside):
        neighbours = []
        for axis, step in itertools.product(range(inside.ndim), (-1, 1)):
            other = index.copy()
            other[axis] += step
            outside = not 0 <= other[axis] < inside.shape[axis]
            neighbours.append(None if outside else tuple(other))
        known = not unknown[tuple(index)] and not any(n is not None and unknown[n] for n in neighbours)
        if known and any(border == "background" if n is None else not inside[n] for n in neighbours):
            found.append(index)
    return np.array(found, np.int64).reshape(-1, inside.ndim)


def distances(of: Array, to: Array, spacing: Any) -> list[float]:
    """Return the sorted distances of elements to the nearest of others, added up axis by axis."""
    if not len(to):
        return [np.inf] * len(of)
    squares = [((of[:, None, a] - to[None, :, a]) * float(step)) ** 2 for a, step in enumerate(spacing)]
    total = squares[0]
    for square in squares[1:]:
        total = total + square
    return sorted(np.sqrt(total.min(1)).tolist()) if len(of) else []
