"""Finds the nearest element of another surface where one is near by: eight rows of the surface at a time.

The surface that is searched is a bit map of its box, bits along the last axis. A distance is the least (A + B) + C of the
squares of its offsets along the three axes, in float64: rounding is monotonous, so along a row it is that of the nearest bit.
What is known of an element at first is how far one is that was the nearest of a neighbour. Whether anything is nearer takes no
distances: rows are compared with masks of what would be, which are made once for each distance.
"""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import types

from fastseg.kernels.numba.jit import device, kernel
from fastseg.kernels.numba.simd.lanes import as_bits, leading_zeros, trailing_zeros
from fastseg.kernels.numba.simd.rows import rows_within
from fastseg.kernels.numba.stages import own, stage_of
from fastseg.kernels.numba.surface_elements import KIND_SHIFT, LEAST, MOST, place_in_box

__all__ = ["MASK_ROWS", "Reach", "Scratch", "fill_bits", "fill_words", "near", "reach_of", "search_near", "set_box"]

Array = npt.NDArray[Any]
U = np.uint64

#: Rows that are looked at together: what a bit map has after the last row of each column of words.
MASK_ROWS = 8
_ZERO, _ONE, _LOW = U(0), U(1), U(0xFFFFFFFF)
_NO_HIT = U(0xFFFFFFFFFFFFFFFF)
#: Voxels along a row that share the last hit, 2 to this power.
_SHARED = 2
#: What lies in the 64 bits around an element is less than this far away along a row.
_WINDOW = 32
#: How many offsets are near by at most, all and along an axis; words for their masks.
_MOST_PLACES, _MOST_OFFSETS, _ARENA = 1 << 15, 256, 1 << 17
#: Levels of distances, which lead farther than offsets do.
_MOST_LEVELS = 200
#: Where masks begin in their arena, after the end of what is in use and the number of distances; room for these.
_FIRST, _KNOWN, _KNOWN_SHIFT = 2, 1 << 12, 52
_MIX = U(0x9E3779B97F4A7C15)


@device
def set_box(tally: Any, k: Any, axes: Any, box: Any) -> None:
    """Write the box of a class, as `fill_words` takes it, of which axis a is axes[a] of the tally."""
    for a in range(3):
        box[a] = tally[k, LEAST + axes[a]]
        box[3 + a] = tally[k, MOST + axes[a]] - box[a] + 1
    box[6], box[7] = ((box[5] + 63) >> 6) + 2, box[4] + MASK_ROWS


@kernel
def fill_words(elements: Any, shifts: Any, box: Any, bits: Any) -> None:
    """Set the bits of elements in the bit map of their box."""
    for i in range(elements.size):
        z, y, x = place_in_box(elements[U(i)], shifts, box)
        bits[U((z * box[6] + 1 + (x >> 6)) * box[7] + y)] |= _ONE << U(x & 63)


@device
def add_masks(best: Any, along_z: Any, along_y: Any, along_x: Any, reach: Any, arena: Any, at: Any) -> Any:
    """Write to arena[at:] what of the rows around an element is nearer than `best`; return where that ends.

    First is how many planes are looked at on either side, then how many words each has: how many rows r there are on either
    side, then the mask of each, from -r on, and zeros. Bit 32 of a row is that of the element's x.
    """
    depth = np.int64(-1)
    while depth < reach[0] and along_z[U(depth + 1)] < best:
        depth += 1
    height = np.int64(-1)
    while height < reach[1] and along_y[U(height + 1)] < best:
        height += 1
    pitch = 2 * height + 2 + MASK_ROWS
    arena[U(at)] = U(depth + 1)
    arena[U(at + 1)] = U(pitch)
    for dz in range(depth + 1):
        head = at + 2 + dz * pitch
        while along_z[U(dz)] + along_y[U(height)] >= best:
            height -= 1
        arena[U(head)] = U(height)
        for i in range(2 * height + 1, pitch - 1):
            arena[U(head + 1 + i)] = _ZERO
        width = np.int64(reach[2])
        for dy in range(height + 1):
            while (along_z[U(dz)] + along_y[U(dy)]) + along_x[U(width)] >= best:
                width -= 1
            mask = ((U(2) << U(2 * width)) - _ONE) << U(32 - width)
            arena[U(head + 1 + height - dy)] = mask
            arena[U(head + 1 + height + dy)] = mask
    return at + 2 + (depth + 1) * pitch


@kernel
def near_words(
    elements: Any, shifts: Any, box: Any, bits: Any, along_z: Any, along_y: Any, along_x: Any, reach: Any, limit: Any,
    closed: Any, allowance: Any, kinds: Any, levels: Any, arena: Any, tables: Any, known: Any, recent: Any, counts: Any,
    touched: Any, missed: Any, farthest: Any,
) -> Any:  # fmt: skip
    """Count distances below `limit` (squared) by offset and kind; return how many places of `counts` are in `touched`.

    missed[0] becomes the number of elements that are left to others, which stand after it; with `closed` there are none, and
    they count as infinitely far. `reach` are the largest offsets of distances below the limit. The number of offsets is
    (Δz * (reach[1] + 1) + Δy) * (reach[2] + 1) + Δx, and tables[number] is where their distance's masks are in `arena`, 0
    for nowhere yet; the number after the last is that of the limit. Equal distances share masks, those beyond levels[0] the
    masks of the next level: `known` has where they are. `farthest` becomes the largest distance that was counted, and the
    number of the first element that is so far away; -1 of none.
    """
    ones_y, ones_x = (_ONE << U(shifts[0] - shifts[1])) - _ONE, (_ONE << U(shifts[1])) - _ONE
    ones = (_ONE << KIND_SHIFT) - _ONE
    most_z, most_y, most_x = reach[0], reach[1], reach[2]
    nowhere = tables.size - 1
    largest = (most_z + 1) * (2 * most_y + 2 + MASK_ROWS) + 2
    depth, height, words, pitch = box[3], box[4], box[6], box[7]
    for i in range(recent.size):
        recent[U(i)] = _NO_HIT
    hit = _NO_HIT
    plane = np.int64(-1)
    most, left = allowance, allowance
    number, misses = np.int64(0), np.int64(0)
    far_square = -1.0
    farthest[U(0)] = -1.0
    for i in range(elements.size):
        element = elements[U(i)]
        kind = np.int64(element >> KIND_SHIFT)
        element &= ones
        x = np.int64(element & ones_x)
        y = np.int64((element >> U(shifts[1])) & ones_y)
        z = np.int64(element >> U(shifts[0]))
        if z != plane:  # where a plane had too many far ones, the next gets fewer tries
            if plane >= 0:
                most = max(most >> 2, np.int64(64)) if left <= 0 else min(most << 1, allowance)
            plane, left = z, most
        best, place, tries = np.float64(limit), nowhere, np.int64(0)
        column, row, first = z - box[0], y - box[1], x - box[2] - 32
        word = (first >> 6) + 1
        if word >= 0 and word + 1 < words and (left > 0 or closed != 0):
            shift = U(first & 63)
            for which in range(2):
                near = hit if which == 0 else recent[U(x >> _SHARED)]
                if near != _NO_HIT:
                    dx = abs(x - np.int64(near & ones_x))
                    dy = abs(y - np.int64((near >> U(shifts[1])) & ones_y))
                    dz = abs(z - np.int64(near >> U(shifts[0])))
                    if dx <= most_x and dy <= most_y and dz <= most_z:
                        square = (along_z[U(dz)] + along_y[U(dy)]) + along_x[U(dx)]
                        if square < best:
                            best, place, hit = square, (dz * (most_y + 1) + dy) * (most_x + 1) + dx, near
            step, resume, table = np.int64(0), np.int64(0), np.int64(-1)
            while True:  # planes by their distance, this one first
                if table < 0:
                    table = np.int64(tables[U(place)])
                    if table == 0:
                        level = np.int64(0)
                        while levels[U(level)] < best:
                            level += 1
                        within = best if level == 0 else levels[U(level)]
                        slot = (as_bits(within) * _MIX) >> U(_KNOWN_SHIFT)
                        while known[slot, U(0)] != _ZERO and known[slot, U(1)] != as_bits(within):
                            slot = (slot + _ONE) & U(_KNOWN - 1)
                        table = np.int64(known[slot, U(0)])
                        if table == 0:
                            table = np.int64(arena[U(0)])
                            if table + largest > arena.size or arena[U(1)] > U(_KNOWN // 2):  # begin anew
                                for j in range(tables.size):
                                    tables[U(j)] = 0
                                for j in range(_KNOWN):
                                    known[U(j), U(0)] = _ZERO
                                slot = (as_bits(within) * _MIX) >> U(_KNOWN_SHIFT)
                                table, arena[U(1)] = np.int64(_FIRST), _ZERO
                            known[slot, U(0)], known[slot, U(1)] = U(table), as_bits(within)
                            arena[U(0)] = U(add_masks(within, along_z, along_y, along_x, reach, arena, table))
                            arena[U(1)] += _ONE
                        tables[U(place)] = table
                away = (step + 1) >> 1
                if away >= np.int64(arena[U(table)]):
                    break
                at_z = column + (away if step & 1 != 0 else -away)
                at_y, last, head = np.int64(0), np.int64(-1), np.int64(0)
                if 0 <= at_z < depth:
                    head = table + 2 + away * np.int64(arena[U(table + 1)])
                    rows = np.int64(arena[U(head)])
                    at_y, last = max(row - rows, resume), min(row + rows, height - 1)
                    head += 1 - (row - rows)
                line = (at_z * words + word) * pitch
                while at_y <= last:
                    tries += 1
                    found = rows_within(bits, U(line + at_y), U(line + pitch + at_y), shift, arena, U(head + at_y))
                    if found == _ZERO:
                        at_y += MASK_ROWS
                        continue
                    before_this = best
                    while found != _ZERO:
                        yy = at_y + np.int64(trailing_zeros(found))
                        found &= found - _ONE
                        window = (bits[U(line + yy)] >> shift) | (
                            (bits[U(line + pitch + yy)] << _ONE) << (U(63) - shift)
                        )
                        window &= arena[U(head + yy)]
                        offset = np.int64(64)
                        before, after = window & _LOW, window >> U(32)
                        if after != _ZERO:
                            offset = np.int64(trailing_zeros(after))
                        if before != _ZERO:
                            back = np.int64(leading_zeros(before)) - 31
                            if back < offset:
                                offset = -back
                        dx, dy = abs(offset), abs(yy - row)
                        square = (along_z[U(away)] + along_y[U(dy)]) + along_x[U(dx)]
                        if square < best:
                            best, place = square, (away * (most_y + 1) + dy) * (most_x + 1) + dx
                            hit = (U(at_z + box[0]) << U(shifts[0])) | (U(yy + box[1]) << U(shifts[1])) | U(x + offset)
                    at_y += MASK_ROWS
                    if best < before_this:
                        table, resume = np.int64(-1), at_y  # from here on the masks of what is nearer than this one
                        break
                if table >= 0:
                    resume = np.int64(0)
                    step += 1
        if place != nowhere:
            recent[U(x >> _SHARED)] = hit
        elif closed == 0:
            left -= tries + 1
            misses += 1
            missed[U(misses)] = i
            continue
        if place != nowhere and best > far_square:
            far_square = best
            if math.sqrt(best) > farthest[U(0)]:
                farthest[U(0)], farthest[U(1)] = math.sqrt(best), np.float64(i)
        at = U(place * kinds + kind)
        if counts[at] == 0:
            touched[U(number)] = at
            number += 1
        counts[at] += 1
    missed[U(0)] = misses
    return number


class Reach(NamedTuple):
    """What is near by: how far, and which offsets that is."""

    limit: float
    """Squared distances less than this are searched for."""
    closed: bool
    """Whether nothing farther away is asked for."""
    offsets: Array
    """The largest offset along each axis."""
    squares: Array
    """The squared distance of each place of `near_words`; infinite is the last."""
    levels: Array
    """Up to the first, each distance has masks of its own; beyond, there are those of the next level."""


def reach_of(along: list[Array], farthest: float) -> Reach:
    """Return what is near by, given the squares of all offsets along the axes, and the farthest squared distance asked for."""
    limit = np.inf if along[2].size <= _WINDOW else float(along[2][_WINDOW])
    sizes = [each.size for each in along]
    while True:
        sizes = [int(np.searchsorted(each, limit)) for each in along]
        if np.prod(sizes, dtype=float) <= _MOST_PLACES and max(sizes) <= _MOST_OFFSETS:
            break
        limit = 0.8 * min(limit, float(sum(each[-1] for each in along)))
    closed = farthest < limit
    if closed:
        limit = math.nextafter(farthest, math.inf)
        sizes = [int(np.searchsorted(each, limit)) for each in along]
    z, y, x = (each[:size] for each, size in zip(along, sizes, strict=True))
    squares = ((z[:, None] + y)[:, :, None] + x).reshape(-1)
    return Reach(limit, closed, np.array(sizes) - 1, np.append(squares, np.inf), _levels(along, limit))


def _levels(along: list[Array], limit: float) -> Array:
    """Return the squares at which distances share masks, each a tenth more: from where all masks would take much room."""
    steps = [float(np.sqrt(each[1])) if each.size > 1 else np.inf for each in along]
    alike = (1, 2, 6)[3 - len(set(steps))]  # how many offsets have one distance by symmetry
    farthest = min(limit, float(sum(each[-1] for each in along)))
    radius = float(np.sqrt(farthest))
    while True:
        z, y, x = (min(radius / step, _MOST_OFFSETS) + 1 for step in steps)
        if z * y * x / (2 * alike) * z * (2 * y + MASK_ROWS) <= _ARENA / 2:
            break
        radius *= 0.9
    levels = radius * radius * 1.1 ** np.arange(_MOST_LEVELS)
    return np.append(levels[: np.searchsorted(levels, farthest) + 1], np.inf)


class Scratch:
    """What one thread works with while it searches."""

    def __init__(self, reach: Reach, kinds: int, columns: int, piece: int) -> None:
        self.arena = np.empty(_ARENA, np.uint64)  # what is not written to takes no memory
        self.arena[:_FIRST] = _FIRST, 0
        self.known = np.zeros((_KNOWN, 2), np.uint64)
        self.tables = np.zeros(reach.squares.size, np.int32)
        self.recent = np.empty((columns >> _SHARED) + 1, np.uint64)
        self.counts = np.zeros(reach.squares.size * kinds, np.int32)
        self.touched = np.empty(piece, np.int64)
        self.missed = np.empty(piece + 1, np.int32)
        self.farthest = np.empty(2)


_WORDS, _FLOATS, _INTS, _SHORTS, _NUMBER = (
    own(np.uint64, 1), own(np.float64, 1), own(np.int64, 1), own(np.int32, 1), types.int64
)  # fmt: skip
_NEAR = (
    _WORDS, _INTS, _INTS, _WORDS, _FLOATS, _FLOATS, _FLOATS, _INTS, types.float64, _NUMBER, _NUMBER, _NUMBER, _FLOATS,
    _WORDS, _SHORTS, own(np.uint64, 2), _WORDS, _SHORTS, _INTS, _SHORTS, _FLOATS,
)  # fmt: skip
#: `near_words`, as another kernel calls it.
near = stage_of(near_words, types.int64, *_NEAR)


@functools.cache
def fill_bits() -> Any:
    """Return the compiled `fill_words`.

    A box is its first voxel along each axis, its lengths, the words of a row, and the rows of a column of words.
    """
    return fill_words.specialise(_WORDS, _INTS, _INTS, _WORDS)


@functools.cache
def search_near() -> Any:
    """Return the compiled `near_words`."""
    return near_words.specialise(*_NEAR)
