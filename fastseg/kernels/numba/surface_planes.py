"""Finds the nearest element of another surface plane by plane, at a cost that does not depend on how far away it is.

The surface that is searched is a bit map of its box, bits along the first axis, so that the least (A + B) + C of the squares
of the offsets along the three axes, in float64, is found axis by axis: rounding is monotonous. The same, to the last bit, is
what `near_words` finds.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import types

from fastseg.kernels.numba.jit import device, kernel
from fastseg.kernels.numba.simd.lanes import ALL, as_bits, leading_zeros, trailing_zeros
from fastseg.kernels.numba.simd.least import COLUMNS, least_sums
from fastseg.kernels.numba.stages import own
from fastseg.kernels.numba.surface_elements import KIND_SHIFT, place_in_box
from fastseg.kernels.numba.surface_grid import Grid

__all__ = ["column_bits", "far_squares", "search_planes"]

Array = npt.NDArray[Any]
U = np.uint64

_ZERO, _ONE = U(0), U(1)
_INFINITE = np.inf
#: Farther than any element is.
_NEVER = 1 << 40
#: How far starts of the envelope may be off by rounding, in voxels.
_SLACK = 1e-6
#: Rows that ask for their least squares, up to which these are compared row by row.
_FEW_ROWS = 100


@kernel
def fill_columns(elements: Any, shifts: Any, box: Any, bits: Any) -> None:
    """Set the bits of elements: word z >> 6 of each (y, x) of their box, one plane of words after the other."""
    for i in range(elements.size):
        z, y, x = place_in_box(elements[U(i)], shifts, box)
        bits[U(((z >> 6) * box[4] + y) * box[5] + x)] |= _ONE << U(z & 63)


@device
def columns_around(bits: Any, words: Any, word: Any, before: Any, after: Any) -> None:
    """Write for each column the last element before a word and the first one after it."""
    size = before.size
    for c in range(size):
        before[U(c)] = -_NEVER
        after[U(c)] = _NEVER
    for w in range(words):
        for c in range(size):
            value = bits[U(w * size + c)]
            if value != _ZERO:
                if w < word:
                    before[U(c)] = w * 64 + 63 - np.int64(leading_zeros(value))
                elif w > word and after[U(c)] == _NEVER:
                    after[U(c)] = w * 64 + np.int64(trailing_zeros(value))


@device
def column_squares(bits: Any, word: Any, z: Any, before: Any, after: Any, step: Any, squares: Any) -> None:
    """Write the squared distance along each column from z, which lies in `word` or outside of all."""
    size = before.size
    bit = z - word * 64
    lower = ALL if bit > 63 else (_ZERO if bit < 0 else ~((~_ONE) << U(bit)))
    upper = ALL if bit < 0 else (_ZERO if bit > 63 else ALL << U(bit))
    for c in range(size):
        value = bits[U(word * size + c)]
        low, high = value & lower, value & upper
        down = word * 64 + 63 - np.int64(leading_zeros(low)) if low != _ZERO else before[U(c)]
        up = word * 64 + np.int64(trailing_zeros(high)) if high != _ZERO else after[U(c)]
        offset = min(z - down, up - z)
        length = np.float64(offset) * step
        squares[U(c)] = length * length if offset < _NEVER >> 1 else _INFINITE


@device
def envelope(
    heights: Any, height: Any, along_y: Any, first: Any, last: Any, slack: Any, sites: Any, starts: Any, out: Any, x: Any,
    width: Any,
) -> None:  # fmt: skip
    """Write min over y' of heights[y'] + B[|y - y'|] for y from `first` to `last` to out[(y - first) * width + x].

    Parabolas are left out only where others are less by more than rounding, and near their borders all candidates are tried.
    """
    unit = along_y[U(1)] if along_y.size > 1 else 1.0
    count = 0
    for y in range(height):
        value = heights[U(y)]
        if value == _INFINITE:
            continue
        start = -_INFINITE
        while count > 0:
            site = sites[U(count - 1)]
            gap = np.float64(y - site)
            start = ((value - heights[U(site)]) / unit / gap + np.float64(y + site)) * 0.5
            if start < starts[U(count - 1)] - slack:
                count -= 1
                start = -_INFINITE
            else:
                break
        sites[U(count)] = y
        starts[U(count)] = start
        count += 1
    k = 0
    for y in range(first, last + 1):
        best = _INFINITE
        if count > 0:
            while k + 1 < count and starts[U(k + 1)] <= y:
                k += 1
            j = k
            while j >= 0:
                site = sites[U(j)]
                value = heights[U(site)] + along_y[U(abs(y - site))]
                if value < best:
                    best = value
                if starts[U(j)] < y - 8.0 * slack:
                    break
                j -= 1
            j = k + 1
            while j < count and starts[U(j)] <= y + 8.0 * slack:
                site = sites[U(j)]
                value = heights[U(site)] + along_y[U(abs(y - site))]
                if value < best:
                    best = value
                j += 1
        out[U((y - first) * width + x)] = best


@kernel
def plane_words(
    elements: Any, shifts: Any, box: Any, bits: Any, along_y: Any, mirrored_y: Any, mirrored_x: Any, step: Any,
    squares: Any, before: Any, after: Any, heights: Any, sites: Any, starts: Any, out: Any, found: Any,
) -> None:  # fmt: skip
    """Write the bits of the squared distances of elements to `found`.

    mirrored_x[x' - x + mirrored_x.size // 2] is the square of the offset x' - x, and mirrored_y is alike. Memory: `squares`,
    `before` and `after` have a number for each column of the box, whose rows are a multiple of COLUMNS long, `out` has one for
    each x of the box and y of the volume.
    """
    ones_y, ones_x = (_ONE << U(shifts[0] - shifts[1])) - _ONE, (_ONE << U(shifts[1])) - _ONE
    ones = (_ONE << KIND_SHIFT) - _ONE
    depth, height, width = box[3], box[4], box[5]
    words = (depth + 63) >> 6
    here = np.int64(-1)
    at = np.int64(0)
    while at < elements.size:
        z = np.int64((elements[U(at)] & ones) >> U(shifts[0]))
        rows, first, last, end = np.int64(0), np.int64(_NEVER), np.int64(-_NEVER), at
        while end < elements.size:
            element = elements[U(end)] & ones
            if np.int64(element >> U(shifts[0])) != z:
                break
            y = np.int64((element >> U(shifts[1])) & ones_y) - box[1]
            rows += np.int64(y != last)
            first, last = min(first, y), y
            end += 1
        word = min(max((z - box[0]) >> 6, np.int64(0)), words - 1)
        if word != here:
            columns_around(bits, words, word, before, after)
            here = word
        column_squares(bits, word, z - box[0], before, after, step, squares)
        few = rows <= _FEW_ROWS
        if not few:
            farthest = 0.0
            for c in range(height * width):
                if squares[U(c)] != _INFINITE:
                    farthest = max(farthest, squares[U(c)])
            slack = _SLACK
            if along_y.size > 1:
                slack = max(slack, 1e-12 * (farthest / along_y[U(1)]))
            for x in range(width):
                for y in range(height):
                    heights[U(y)] = squares[U(y * width + x)]
                envelope(heights, height, along_y, first, last, slack, sites, starts, out, x, width)
        row = np.int64(-_NEVER)
        for i in range(at, end):
            element = elements[U(i)] & ones
            x = np.int64(element & ones_x) - box[2]
            y = np.int64((element >> U(shifts[1])) & ones_y) - box[1]
            if few and y != row:
                for j in range(0, width, COLUMNS):
                    least_sums(squares, j, width, height, mirrored_y, (mirrored_y.size >> 1) - y, out, j)
                row = y
            start = np.int64(0) if few else (y - first) * width
            middle = (mirrored_x.size >> 1) - x
            least = ALL
            for j in range(width):
                bits_of = as_bits(out[U(start + j)] + mirrored_x[U(middle + j)])
                least = (
                    bits_of if bits_of < least else least
                )  # numbers that are not negative are in the order of their bits
            found[U(i)] = least
        at = end


_WORDS, _FLOATS, _INTS = own(np.uint64, 1), own(np.float64, 1), own(np.int64, 1)


@functools.cache
def column_bits() -> Any:
    """Return the compiled `fill_columns`; boxes are those of `fill_bits`."""
    return fill_columns.specialise(_WORDS, _INTS, _INTS, _WORDS)


@functools.cache
def search_planes() -> Any:
    """Return the compiled `plane_words`."""
    return plane_words.specialise(
        _WORDS, _INTS, _INTS, _WORDS, _FLOATS, _FLOATS, _FLOATS, types.float64, _FLOATS, _INTS, _INTS, _FLOATS, _INTS,
        _FLOATS, _FLOATS, _WORDS,
    )  # fmt: skip


def far_squares(grid: Grid, elements: Array, others: Array, box: Array) -> npt.NDArray[np.float64]:
    """Return the squared distance of each element to the nearest of others, given their box."""
    box = box[:6].reshape(2, 3)[:, grid.axes].reshape(-1)  # as a scan sees it
    box[5] += -box[5] % COLUMNS  # there is nothing in what is added
    depth, height, width = box[3:].tolist()
    columns = np.zeros((depth + 63) // 64 * height * width, np.uint64)
    column_bits()(others, grid.scanned, box, columns)
    beyond = np.full(COLUMNS, math.inf)
    mirrored = [np.concatenate([beyond, each[:0:-1], each, beyond]) for each in grid.along[1:]]
    found = np.empty(elements.size, np.uint64)
    squares = np.empty(height * width + 8)
    squares = squares[-squares.ctypes.data % 64 // 8 :][: height * width]  # from a cache line's start on
    before, after = (np.empty(height * width, np.int64) for _ in range(2))
    heights, sites, starts = (np.empty(height, dtype) for dtype in (np.float64, np.int64, np.float64))
    search_planes()(
        elements, grid.scanned, box, columns, grid.along[1], *mirrored,
        grid.spacing[0], squares, before, after, heights, sites, starts, np.empty(grid.shape[1] * width), found,
    )  # fmt: skip
    return found.view(np.float64)
