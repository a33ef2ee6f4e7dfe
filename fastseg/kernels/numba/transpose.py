"""Copies a block whose contiguous axis is not the last into C order, by Numba: eight rows by eight columns at a time."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import types

from fastseg.kernels.numba.jit import kernel
from fastseg.kernels.numba.simd.lanes import transpose_lanes

__all__ = ["transpose_into"]

U = np.uint64
_EIGHT, _ROWS = U(8), U(32)


@kernel
def transpose_bytes(source: Any, source_step: Any, target: Any, target_step: Any, columns: Any, rows: Any) -> None:
    """Do target[r * target_step + c] = source[c * source_step + r] for single bytes, 8×32 of them by shuffles."""
    full_rows, full_columns = rows - rows % _ROWS, columns - columns % _EIGHT
    for c in range(U(0), full_columns, _EIGHT):
        for r in range(U(0), full_rows, _ROWS):
            transpose_lanes(source, c * source_step + r, source_step, target, r * target_step + c, target_step)
        for r in range(full_rows, rows):
            for k in range(c, c + _EIGHT):
                target[r * target_step + k] = source[k * source_step + r]
    for c in range(full_columns, columns):
        for r in range(rows):
            target[r * target_step + c] = source[c * source_step + r]


@kernel
def transpose_items(source: Any, source_step: Any, target: Any, target_step: Any, columns: Any, rows: Any) -> None:
    """Do the same for items of any width, 8×8 of them at a time."""
    for c0 in range(U(0), columns, _EIGHT):
        last = min(columns, c0 + _EIGHT)
        for r0 in range(U(0), rows, _EIGHT):
            for r in range(r0, min(rows, r0 + _EIGHT)):
                for c in range(c0, last):
                    target[r * target_step + c] = source[c * source_step + r]


def transpose_into(
    source: npt.NDArray[Any], source_step: int, target: npt.NDArray[Any], target_step: int, columns: int, rows: int
) -> None:
    """Do target[r * target_step + c] = source[c * source_step + r] for flat arrays of items of one size."""
    unsigned = _UNSIGNED[source.itemsize]
    _specialise(source.itemsize)(source.view(unsigned), source_step, target.view(unsigned), target_step, columns, rows)


_UNSIGNED = {size: np.dtype(f"u{size}") for size in (1, 2, 4, 8)}


@functools.cache
def _specialise(itemsize: int) -> Any:
    item = getattr(types, f"uint{8 * itemsize}")
    source, target = types.Array(item, 1, "C", readonly=True, aligned=False), types.Array(item, 1, "C")
    kernel = transpose_bytes if itemsize == 1 else transpose_items
    return kernel.specialise(source, types.uint64, target, types.uint64, types.uint64, types.uint64)
