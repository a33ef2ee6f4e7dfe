"""Counts the elements that another surface is very near to: all of 64 voxels of a row at once, offset by offset.

What is near is tried in the order of its distance, so the first offset at which the other surface has a voxel is that of the
nearest. Where two segmentations are much alike, few elements are left to be searched for one by one.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import types

from fastseg.kernels.numba.jit import device, kernel
from fastseg.kernels.numba.simd.lanes import popcount, trailing_zeros
from fastseg.kernels.numba.stages import own, stage_of
from fastseg.kernels.numba.surface_elements import place_in_box
from fastseg.kernels.numba.surface_grid import Grid

__all__ = ["Close", "close", "close_offsets", "count_close"]

Array = npt.NDArray[Any]
U = np.uint64

#: How many offsets are tried, and how far they go along an axis.
_OFFSETS, _FARTHEST = 16, 8
#: Elements after which it is known whether most are left.
_TRIED = 512
_ZERO, _ONE = U(0), U(1)


class Close(NamedTuple):
    """The offsets that are nearest: no other is as near as one of them."""

    offsets: Array
    """(S, 3) along the axes, either way."""
    roots: Array
    """(S,) the distance of each, increasing."""


@functools.lru_cache(maxsize=8)
def close_offsets(grid: Grid, farthest: float) -> Close:
    """Return the nearest offsets of a grid, up to that distance."""
    along = grid.searched
    z, y, x = (each[: _FARTHEST + 1] for each in along)
    squares = ((z[:, None] + y)[:, :, None] + x).reshape(-1)
    order = np.argsort(squares, kind="stable")
    beyond = min([float(each[_FARTHEST + 1]) for each in along if each.size > _FARTHEST + 1], default=np.inf)
    if order.size > _OFFSETS:
        beyond = min(beyond, float(squares[order[_OFFSETS]]))
    roots = np.sqrt(squares)
    order = order[(squares[order] < beyond) & (roots[order] <= farthest)][:_OFFSETS]
    offsets = np.stack(np.unravel_index(order, (z.size, y.size, x.size)), axis=1).astype(np.int64)
    return Close(offsets, roots[order])


@device
def shifted_row(bits: Any, at: Any, pitch: Any, word: Any, words: Any, dx: Any) -> Any:
    """Return which of the 64 voxels of a word have a bit `dx` before or after them."""
    here = bits[U(at)]
    if dx == 0:
        return here
    near, rest = U(dx), U(64 - dx)
    found = (here << near) | (here >> near)
    if word > 0:
        found |= bits[U(at - pitch)] >> rest
    if word + 1 < words:
        found |= bits[U(at + pitch)] << rest
    return found


@kernel
def close_words(
    elements: Any, shifts: Any, box: Any, bits: Any, offsets: Any, roots: Any, counts: Any, left: Any, farthest: Any
) -> Any:
    """Count the elements that have a bit at each offset and at none before it; return the number of the others, in `left`.

    Elements are in the order of the volume; `box` and `bits` are those of the surface that is searched. farthest[0] becomes
    the first element with the largest of the `roots` of the offsets that were found, and farthest[1] its offset. Where most
    are left, no more are tried.
    """
    depth, height, words, pitch = box[3], box[4], box[6], box[7]
    number: Any = np.int64(0)
    i: Any = np.int64(0)
    size = elements.size
    largest, place = -1.0, _ZERO
    which: Any = np.int64(-1)
    while i < size:
        first = elements[U(i)]
        if i >= _TRIED and 4 * number > 3 * i:
            while i < size:
                left[U(number)] = elements[U(i)]
                number += 1
                i += 1
            break
        z, y, x = place_in_box(first, shifts, box)
        word = (x >> 6) + 1
        others = first - U(x & 63)
        ask: Any = _ZERO
        while i < size:
            bit = elements[U(i)] - others
            if bit >= U(64) or (elements[U(i)] ^ first) >> U(shifts[1]) != _ZERO:
                break
            ask |= _ONE << bit
            i += 1
        if 0 <= word < words:
            for s in range(offsets.shape[0]):
                dz, dy, dx = offsets[s, 0], offsets[s, 1], offsets[s, 2]
                there = _ZERO
                for zz in (z - dz, z + dz):
                    if 0 <= zz < depth:
                        line = (zz * words + word) * pitch
                        if 0 <= y - dy < height:
                            there |= shifted_row(bits, line + y - dy, pitch, word, words, dx)
                        if dy != 0 and 0 <= y + dy < height:
                            there |= shifted_row(bits, line + y + dy, pitch, word, words, dx)
                    if dz == 0:
                        break
                hits = ask & there
                if hits != _ZERO:
                    counts[s] += np.int64(popcount(hits))
                    ask &= ~hits
                    root = roots[s]
                    if root >= largest:
                        one = others + trailing_zeros(hits)
                        if root > largest or one < place:
                            largest, place, which = root, one, s
                    if ask == _ZERO:
                        break
        while ask != _ZERO:
            left[U(number)] = others + trailing_zeros(ask)
            number += 1
            ask &= ask - _ONE
    farthest[0], farthest[1] = place, U(which)
    return number


_LISTS, _INTS = own(np.uint64, 1), own(np.int64, 1)
_CLOSE = (_LISTS, _INTS, _INTS, _LISTS, own(np.int64, 2), own(np.float64, 1), _INTS, _LISTS, _LISTS)
#: `close_words`, as another kernel calls it.
close = stage_of(close_words, types.int64, *_CLOSE)


@functools.cache
def count_close() -> Any:
    """Return the compiled `close_words`."""
    return close_words.specialise(*_CLOSE)
