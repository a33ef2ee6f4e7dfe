"""Copies a block whose contiguous axis is not the last into C order, by Numba: eight rows by eight columns at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import types
from numpy.lib.stride_tricks import as_strided

from fastseg.kernels.jit import kernel
from fastseg.kernels.lanes import load_word, store_word

__all__ = ["transpose_into"]

U = np.uint64
_ONE, _EIGHT = U(1), U(8)


@kernel
def transpose_bytes(source: Any, source_step: Any, target: Any, target_step: Any, columns: Any, rows: Any) -> None:
    """Do target[r * target_step + c] = source[c * source_step + r] for single bytes, 8×8 of them in eight words."""
    full_rows, full_columns = rows - rows % _EIGHT, columns - columns % _EIGHT
    for c in range(U(0), full_columns, _EIGHT):
        for r in range(U(0), full_rows, _EIGHT):
            at = c * source_step + r
            w0, w1 = load_word(source, at), load_word(source, at + source_step)
            w2, w3 = load_word(source, at + U(2) * source_step), load_word(source, at + U(3) * source_step)
            w4, w5 = load_word(source, at + U(4) * source_step), load_word(source, at + U(5) * source_step)
            w6, w7 = load_word(source, at + U(6) * source_step), load_word(source, at + U(7) * source_step)
            # Swap single bytes, then pairs, then fours (Hacker's Delight, section 7-3, on bytes).
            m1, m2, m4 = U(0x00FF00FF00FF00FF), U(0x0000FFFF0000FFFF), U(0x00000000FFFFFFFF)
            w0, w1 = (w0 & m1) | ((w1 & m1) << U(8)), ((w0 >> U(8)) & m1) | (w1 & ~m1)
            w2, w3 = (w2 & m1) | ((w3 & m1) << U(8)), ((w2 >> U(8)) & m1) | (w3 & ~m1)
            w4, w5 = (w4 & m1) | ((w5 & m1) << U(8)), ((w4 >> U(8)) & m1) | (w5 & ~m1)
            w6, w7 = (w6 & m1) | ((w7 & m1) << U(8)), ((w6 >> U(8)) & m1) | (w7 & ~m1)
            w0, w2 = (w0 & m2) | ((w2 & m2) << U(16)), ((w0 >> U(16)) & m2) | (w2 & ~m2)
            w1, w3 = (w1 & m2) | ((w3 & m2) << U(16)), ((w1 >> U(16)) & m2) | (w3 & ~m2)
            w4, w6 = (w4 & m2) | ((w6 & m2) << U(16)), ((w4 >> U(16)) & m2) | (w6 & ~m2)
            w5, w7 = (w5 & m2) | ((w7 & m2) << U(16)), ((w5 >> U(16)) & m2) | (w7 & ~m2)
            to = r * target_step + c
            store_word(target, to, (w0 & m4) | ((w4 & m4) << U(32)))
            store_word(target, to + target_step, (w1 & m4) | ((w5 & m4) << U(32)))
            store_word(target, to + U(2) * target_step, (w2 & m4) | ((w6 & m4) << U(32)))
            store_word(target, to + U(3) * target_step, (w3 & m4) | ((w7 & m4) << U(32)))
            store_word(target, to + U(4) * target_step, ((w0 >> U(32)) & m4) | (w4 & ~m4))
            store_word(target, to + U(5) * target_step, ((w1 >> U(32)) & m4) | (w5 & ~m4))
            store_word(target, to + U(6) * target_step, ((w2 >> U(32)) & m4) | (w6 & ~m4))
            store_word(target, to + U(7) * target_step, ((w3 >> U(32)) & m4) | (w7 & ~m4))
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


def transpose_into(block: npt.NDArray[Any], axis: int, target: npt.NDArray[Any]) -> None:
    """Copy `block`, contiguous along `axis`, into the C-ordered `target` of the same shape and item size."""
    unsigned = np.dtype(f"u{block.itemsize}")
    item = getattr(types, unsigned.name)
    step = types.uint64
    compiled = (transpose_bytes if block.itemsize == 1 else transpose_items).specialise(
        types.Array(item, 1, "C", readonly=True, aligned=False), step,
        types.Array(item, 1, "C"), step, step, step,
    )  # fmt: skip
    planes, outs = np.moveaxis(block, axis, -2), np.moveaxis(target, axis, -2)
    for index in np.ndindex(planes.shape[:-2]):
        plane, out = planes[index], outs[index]
        rows, columns = plane.shape
        source_step, target_step = plane.strides[1] // plane.itemsize, out.strides[0] // out.itemsize
        source = as_strided(plane, ((columns - 1) * source_step + rows,), (plane.itemsize,), writeable=False)
        flat = as_strided(out, ((rows - 1) * target_step + columns,), (out.itemsize,))
        compiled(source.view(unsigned), source_step, flat.view(unsigned), target_step, columns, rows)
