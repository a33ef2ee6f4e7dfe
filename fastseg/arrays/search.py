"""Where in an array something lies: blocks in index order, and the voxels of a kind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["blocks", "find_voxels"]

Array = npt.NDArray[Any]


def blocks(shape: tuple[int, ...], most: int = 1 << 18) -> Iterator[tuple[slice, ...]]:
    """Cut `shape` into blocks of at most `most` voxels that follow each other in index order (the last axis fastest).

    What NumPy makes of a block of the default size stays in a cache, and is not asked of the system for each block anew.
    """
    axis, inner = len(shape), 1
    while axis > 0 and inner * shape[axis - 1] <= most:
        axis -= 1
        inner *= shape[axis]
    outer = shape[: axis - 1] if axis else ()
    for index in np.ndindex(outer):
        lead = tuple(slice(i, i + 1) for i in index)
        if axis == 0:
            yield ()
            continue
        step = max(1, most // inner)
        for start in range(0, shape[axis - 1], step):
            yield (*lead, slice(start, min(start + step, shape[axis - 1])))


def find_voxels(arrays: Sequence[Array | None], wrong: Any) -> tuple[int, tuple[int, ...], tuple[Any, ...]]:
    """Look through arrays of one shape in index order, for an error message.

    `wrong` takes blocks of the arrays and returns where something is wrong. Returns the number of such voxels, the index
    of the first, and the arrays' values there.
    """
    shape = next(a.shape for a in arrays if a is not None)
    total = 0
    first: tuple[int, ...] = ()
    values: tuple[Any, ...] = ()
    for block in blocks(shape):
        parts = [None if a is None else a[block] for a in arrays]
        found = np.asarray(wrong(*parts))
        times = int(np.count_nonzero(found))
        if times and not total:
            inside = np.unravel_index(int(np.argmax(found)), found.shape)
            starts = [s.start for s in block] + [0] * (len(shape) - len(block))
            first = tuple(int(i) + start for i, start in zip(inside, starts, strict=True))
            values = tuple(None if p is None else p[inside].item() for p in parts)
        total += times
    return total, first, values
