"""Finds the nearest element of another surface where one is near by: eight rows of the surface at a time.

The surface that is searched is a bit map of its box, bits along the last axis. A distance is the least (A + B) + C of the
squares of its offsets along the three axes, in float64: rounding is monotonous, so along a row it is that of the nearest bit.
What is known of an element at first is how far one is that was the nearest of a neighbour. Whether anything is nearer takes no
distances: blocks of rows are asked for bits where it would be.
"""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import types

from fastseg.kernels.numba.jit import device, kernel
from fastseg.kernels.numba.simd.rows import nearest_beside, rows_beside
from fastseg.kernels.numba.stages import own, stage_of
from fastseg.kernels.numba.surface_blocks import (
    BLOCK_ROWS,
    FIRST,
    HEAD,
    KNOWN,
    MOST_OFFSETS,
    blocks_nearer,
    first_hit,
    plane_of,
    row_of,
    window,
)
from fastseg.kernels.numba.surface_elements import KIND_SHIFT, LEAST, MOST, place_in_box

__all__ = ["Reach", "Scratch", "fill_bits", "fill_words", "near", "reach_of", "search_near", "set_box"]

Array = npt.NDArray[Any]
U = np.uint64

_ZERO, _ONE = U(0), U(1)
_NO_HIT = U(0xFFFFFFFFFFFFFFFF)
#: Voxels along a row that share the last hit, 2 to this power.
_SHARED = 2
#: What lies in the 64 bits around an element is less than this far away along a row.
_WINDOW = 32
#: How many offsets are near by at most; words for blocks.
_MOST_PLACES, _ARENA = 1 << 15, 1 << 17
#: Levels of distances, which lead farther than offsets do.
_MOST_LEVELS = 200
#: How much nearer the best is, squared, when it is worth while to go on with the blocks of what is nearer than this one.
_ANEW = 0.5


@device
def set_box(tally: Any, k: Any, axes: Any, box: Any) -> None:
    """Write the box of a class, as `fill_words` takes it, of which axis a is axes[a] of the tally."""
    for a in range(3):
        box[a] = tally[k, LEAST + axes[a]]
        box[3 + a] = tally[k, MOST + axes[a]] - box[a] + 1
    box[6], box[7] = ((box[5] + 63) >> 6) + 2, box[4] + BLOCK_ROWS


@kernel
def fill_words(elements: Any, shifts: Any, box: Any, bits: Any) -> None:
    """Set the bits of elements in the bit map of their box."""
    for i in range(elements.size):
        z, y, x = place_in_box(elements[U(i)], shifts, box)
        bits[U((z * box[6] + 1 + (x >> 6)) * box[7] + y)] |= _ONE << U(x & 63)


@kernel
def near_words(
    elements: Any, shifts: Any, box: Any, bits: Any, along_z: Any, along_y: Any, along_x: Any, reach: Any, limit: Any,
    closed: Any, allowance: Any, kinds: Any, levels: Any, beside: Any, step: Any, arena: Any, tables: Any, known: Any,
    recent: Any, counts: Any, touched: Any, missed: Any, farthest: Any,
) -> Any:  # fmt: skip
    """Count distances below `limit` (squared) by offset and kind; return how many places of `counts` are in `touched`.

    missed[0] becomes the number of elements that are left to others, which stand after it; with `closed` there are none, and
    they count as infinitely far. `reach` are the largest offsets of distances below the limit. The number of offsets is
    (Δz * (reach[1] + 1) + Δy) * (reach[2] + 1) + Δx, and tables[number] is where `arena` has the blocks of what is nearer
    than that, 0 for nowhere yet; the number after the last is that of the limit. `farthest` becomes the largest distance that
    was counted, and the number of the first element that is so far away; -1 of none.
    """
    ones_y, ones_x = (_ONE << U(shifts[0] - shifts[1])) - _ONE, (_ONE << U(shifts[1])) - _ONE
    ones = (_ONE << KIND_SHIFT) - _ONE
    most_z, most_y, most_x = reach[0], reach[1], reach[2]
    nowhere = tables.size - 1
    depth, height, words, pitch = box[3], box[4], box[6], box[7]
    layer = words * pitch
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
            inside = x - box[2]
            own = (column * words + (inside >> 6) + 1) * pitch + row  # the word of the element's own bit
            away = at_z = other_z = at_y = dz = dx = np.int64(0)
            here = there = _ZERO
            while True:  # plane by plane, this one first, through what is nearer than the best was
                table = np.int64(tables[U(place)])
                if table == 0:
                    table = blocks_nearer(best, levels, along_z, along_y, along_x, reach, arena, tables, known)
                    tables[U(place)] = table
                planes = np.int64(arena[U(table)])
                if away >= planes:
                    break
                across, over = np.int64(arena[U(table + 1)]), np.int64(arena[U(table + 2)])
                block, end = np.int64(arena[U(table + HEAD + away)]), np.int64(arena[U(table + HEAD + planes)])
                inner = column >= planes - 1 and column + planes <= depth and row >= across and row + across < height
                start, before_this = block, best
                while block < end and best >= _ANEW * before_this:
                    if inner:
                        block = first_hit(bits, own, layer, pitch, inside & 63, over, arena, block, end)
                        if block == end:
                            break
                    head, cuts = arena[U(block)], arena[U(block + 1)]
                    block += 2
                    away, top = plane_of(head), row + row_of(head)
                    skipped = max(-top, np.int64(0))
                    top += skipped
                    before, after = column - away, column + away
                    if before < 0 or before >= depth:
                        before = after
                    if after < 0 or after >= depth:
                        after = before
                    if skipped >= BLOCK_ROWS or top >= height or before < 0 or before >= depth:
                        continue
                    line, other = U((before * words + word) * pitch + top), U((after * words + word) * pitch + top)
                    cuts, valid = cuts >> U(8 * skipped), U(255) >> U(skipped)
                    if not inner and rows_beside(bits, line, other, U(pitch), shift, cuts) & valid == _ZERO:
                        continue
                    square, found = nearest_beside(
                        bits, line, other, U(pitch), shift, valid, along_z[U(away)], beside, U(most_y + top - row), step
                    )  # fmt: skip
                    if square < best:
                        best, lane = square, found >> U(6)
                        here, there, at_z, other_z = line + lane, other + lane, before, after
                        dz, at_y, dx = away, top + np.int64(lane), np.int64(found & U(63))
                tries += block - start  # those on either side
                if best == before_this:
                    break
                back, ahead = _ONE << U(32 - dx), _ONE << U(32 + dx)
                row_here = window(bits, here, U(pitch), shift)
                if row_here & (back | ahead) == _ZERO:
                    row_here, at_z = window(bits, there, U(pitch), shift), other_z
                at_x = x - dx if row_here & back != _ZERO else x + dx
                hit = (U(at_z + box[0]) << U(shifts[0])) | (U(at_y + box[1]) << U(shifts[1])) | U(at_x)
                place = (dz * (most_y + 1) + abs(at_y - row)) * (most_x + 1) + dx
                if best >= _ANEW * before_this:
                    break
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
    """Up to the first, each distance has blocks of its own; beyond, there are those of the next level."""
    beside: Array
    """The squares of the rows beside an element, from the farthest before it to the farthest after it, and 0."""
    step: float
    """The spacing along a row."""


def reach_of(along: list[Array], step: float, farthest: float) -> Reach:
    """Return what is near by, given the squares of all offsets along the axes, and the farthest squared distance asked for."""
    limit = np.inf if along[2].size <= _WINDOW else float(along[2][_WINDOW])
    sizes = [each.size for each in along]
    while True:
        sizes = [int(np.searchsorted(each, limit)) for each in along]
        if np.prod(sizes, dtype=float) <= _MOST_PLACES and max(sizes) <= MOST_OFFSETS:
            break
        limit = 0.8 * min(limit, float(sum(each[-1] for each in along)))
    closed = farthest < limit
    if closed:
        limit = math.nextafter(farthest, math.inf)
        sizes = [int(np.searchsorted(each, limit)) for each in along]
    z, y, x = (each[:size] for each, size in zip(along, sizes, strict=True))
    squares = ((z[:, None] + y)[:, :, None] + x).reshape(-1)
    beside = np.concatenate([y[:0:-1], y, np.full(2 * BLOCK_ROWS, np.inf)])
    return Reach(limit, closed, np.array(sizes) - 1, np.append(squares, np.inf), _levels(along, limit), beside, step)


def _levels(along: list[Array], limit: float) -> Array:
    """Return the squares at which distances share blocks, each a tenth more: from where all would take much room."""
    steps = [float(np.sqrt(each[1])) if each.size > 1 else np.inf for each in along]
    alike = (1, 2, 6)[3 - len(set(steps))]  # how many offsets have one distance by symmetry
    farthest = min(limit, float(sum(each[-1] for each in along)))
    radius = float(np.sqrt(farthest))
    while True:
        z, y, x = (min(radius / step, MOST_OFFSETS) + 1 for step in steps)
        if z * y * x / (2 * alike) * z * 2 * (2 * y + BLOCK_ROWS) / BLOCK_ROWS <= _ARENA / 2:  # two words a block
            break
        radius *= 0.9
    levels = radius * radius * 1.1 ** np.arange(_MOST_LEVELS)
    return np.append(levels[: np.searchsorted(levels, farthest) + 1], np.inf)


class Scratch:
    """What one thread works with while it searches."""

    def __init__(self, reach: Reach, kinds: int, columns: int, piece: int) -> None:
        self.arena = np.empty(_ARENA, np.uint64)  # what is not written to takes no memory
        self.arena[:2] = FIRST, 0
        self.known = np.zeros((KNOWN, 2), np.uint64)
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
    _FLOATS, types.float64, _WORDS, _SHORTS, own(np.uint64, 2), _WORDS, _SHORTS, _INTS, _SHORTS, _FLOATS,
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
