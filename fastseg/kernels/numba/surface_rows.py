"""Searches, counts and sorts the distances of all surfaces in one call, where they are few: calls cost more than they do."""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import types

from fastseg.kernels.numba.jit import device, kernel
from fastseg.kernels.numba.stages import own
from fastseg.kernels.numba.surface_close import Close, close
from fastseg.kernels.numba.surface_elements import KIND_SHIFT, NUMBER, group_words
from fastseg.kernels.numba.surface_grid import Grid
from fastseg.kernels.numba.surface_nearest import Scratch, fill_words, near, set_box

__all__ = ["Rows", "measure_rows"]

Array = npt.NDArray[Any]
U = np.uint64

_ONE = U(1)
_COORDINATES = (_ONE << KIND_SHIFT) - _ONE
_group, _fill = device(group_words.function), device(fill_words.function)


@device
def sort_distances(distances: Any, weights: Any, kinds: Any, start: Any, stop: Any) -> Any:
    """Sort distances, and those that are equal by their kinds; keep each once, and return where they end."""
    gap: Any = 1
    while gap < (stop - start) // 3:
        gap = 3 * gap + 1
    while gap > 0:  # Shell's sort: of a few dozen numbers, seldom of thousands
        for i in range(start + gap, stop):
            distance, weight, kind = distances[U(i)], weights[U(i)], kinds[U(i)]
            j = i
            while j - gap >= start:
                before = distances[U(j - gap)]
                if before < distance or (before == distance and kinds[U(j - gap)] <= kind):
                    break
                distances[U(j)], weights[U(j)], kinds[U(j)] = before, weights[U(j - gap)], kinds[U(j - gap)]
                j -= gap
            distances[U(j)], weights[U(j)], kinds[U(j)] = distance, weight, kind
        gap //= 3
    end = start
    for i in range(start, stop):
        if end > start and distances[U(end - 1)] == distances[U(i)] and kinds[U(end - 1)] == kinds[U(i)]:
            weights[U(end - 1)] += weights[U(i)]  # of squares that differ, but whose roots do not
        else:
            distances[U(end)], weights[U(end)], kinds[U(end)] = distances[U(i)], weights[U(i)], kinds[U(i)]
            end += 1
    return end


@device
def count_alone(elements: Any, nowhere: Any, kinds: Any, counts: Any, touched: Any) -> Any:
    """Count elements that have no other surface as `near_words` does, and return how many places are in `touched`."""
    number = np.int64(0)
    for i in range(elements.size):
        at = U(nowhere * kinds) + (elements[U(i)] >> KIND_SHIFT)
        if counts[at] == 0:
            touched[U(number)] = at
            number += 1
        counts[at] += 1
    return number


@kernel
def row_words(
    near_address: Any, close_address: Any, true: Any, pred: Any, tallies: Any, axes: Any, scanned: Any, shifts: Any,
    along_z: Any, along_y: Any, along_x: Any, reach: Any, limit: Any, closed: Any, levels: Any, beside: Any, step: Any,
    squares: Any, kinds: Any, arena: Any, tables: Any, known: Any, recent: Any, counts: Any, touched: Any, missed: Any,
    farthest: Any, offsets: Any, roots: Any, hits: Any, left: Any, close_farthest: Any, cursors: Any, grouped: Any, boxes: Any,
    bits: Any, starts: Any, distances: Any, weights: Any, kinds_of: Any, places: Any, far: Any, far_starts: Any,
) -> None:  # fmt: skip
    """Write the distances of each surface to the other one, increasing, and how many elements of which kind have each.

    Row 2 k + which is the surface of class k in the truth (0) or the prediction (1); its distances begin at starts[row].
    `true` and `pred` are the elements as scans find them, with z and y shifted by `scanned`; tallies[which] says what there is
    of each class; axes[a] is the axis of the scan that is axis a of the search. `grouped` becomes the elements of the truth,
    class by class, then those of the prediction; those of a class end at cursors[which, k]. Of elements of one kind those are
    counted first that others are close to, with room for their `hits` and for what is `left`. What `near_words` misses is
    copied to `far`, from far_starts[row] on, and is in no distance. places[row] becomes where the first of the elements with
    the largest distance is in the scan, −1 of none.
    """
    classes = tallies.shape[1]
    end = np.int64(0)
    for which in range(2):
        for k in range(classes):
            cursors[which, k] = end
            end += tallies[which, k, NUMBER]
    _group(true, cursors[0], grouped)
    _group(pred, cursors[1], grouped)
    half = bits.size >> 1
    at, beyond = np.int64(0), np.int64(0)
    for k in range(classes):
        both = tallies[0, k, NUMBER] > 0 and tallies[1, k, NUMBER] > 0
        for which in range(2):
            if both:
                box, first = boxes[which], which * half
                set_box(tallies[which], k, axes, box)
                here = bits[first : first + box[3] * box[6] * box[7]]
                here[:] = U(0)
                stop = cursors[which, k]
                _fill(grouped[stop - tallies[which, k, NUMBER] : stop], shifts, box, here)
        for which in range(2):
            row = 2 * k + which
            starts[row], far_starts[row] = at, beyond
            places[row, :] = -1
            stop, last = cursors[which, k], at
            begin = stop - tallies[which, k, NUMBER]
            box, there = boxes[1 - which], bits[(1 - which) * half : (2 - which) * half]
            allowance = max(np.int64(4096), box[4] * box[5] // 4)
            most, element = -1.0, U(0)
            while begin < stop:
                piece = grouped[begin : min(begin + touched.size, stop)]
                begin += piece.size
                if both and kinds == 1:
                    size = close(close_address, piece, shifts, box, there, offsets, roots, hits, left, close_farthest)
                    for i in range(roots.size):
                        if hits[U(i)] != 0:
                            distances[U(last)], weights[U(last)], kinds_of[U(last)] = roots[U(i)], hits[U(i)], 0
                            hits[U(i)] = 0
                            last += 1
                    if size < piece.size and roots[U(close_farthest[1])] > most:
                        most, element = roots[U(close_farthest[1])], close_farthest[0]
                    piece = left[:size]
                if both:
                    number = near(
                        near_address, piece, shifts, box, there, along_z, along_y, along_x, reach, limit, closed, allowance,
                        kinds, levels, beside, step, arena, tables, known, recent, counts, touched, missed, farthest,
                    )  # fmt: skip
                    for i in range(missed[0]):
                        far[U(beyond)] = piece[U(missed[U(i + 1)])]
                        beyond += 1
                    if farthest[0] >= 0:
                        one = piece[U(farthest[1])] & _COORDINATES
                        if farthest[0] > most or (farthest[0] == most and one < element):
                            most, element = farthest[0], one
                else:
                    number = count_alone(piece, squares.size - 1, kinds, counts, touched)
                for i in range(number):
                    place = touched[U(i)]
                    distances[U(last)], weights[U(last)] = math.sqrt(squares[U(place // kinds)]), counts[U(place)]
                    kinds_of[U(last)] = place % kinds
                    counts[U(place)] = 0
                    last += 1
            if most >= 0:
                places[row, 0] = element >> U(scanned[0])
                places[row, 1] = (element >> U(scanned[1])) & ((_ONE << U(scanned[0] - scanned[1])) - _ONE)
                places[row, 2] = element & ((_ONE << U(scanned[1])) - _ONE)
            at = sort_distances(distances, weights, kinds_of, at, last)
    starts[2 * classes], far_starts[2 * classes] = at, beyond


class Rows(NamedTuple):
    """What `row_words` finds."""

    starts: Array
    distances: Array
    weights: Array
    kinds: Array
    places: Array
    far: Array
    far_starts: Array
    grouped: Array
    ends: Array


@functools.cache
def _rows() -> Any:
    words, floats, ints, shorts, number = (
        own(np.uint64, 1), own(np.float64, 1), own(np.int64, 1), own(np.int32, 1), types.int64
    )  # fmt: skip
    return row_words.specialise(
        number, number, words, words, own(np.int64, 3), ints, ints, ints, floats, floats, floats, ints, types.float64, number,
        floats, floats, types.float64, floats, number, words, shorts, own(np.uint64, 2), words, shorts, ints, shorts, floats,
        own(np.int64, 2), floats, ints, words, words, own(np.int64, 2), words, own(np.int64, 2), words, ints, floats, ints,
        own(np.int16, 1), own(np.int64, 2), words, ints,
    )  # fmt: skip


def measure_rows(
    grid: Grid, scratch: Scratch, offsets: Close, true: Array, pred: Array, tallies: Array, map_words: int
) -> Rows:
    """Return the distances of all classes, given the elements of both maps, whose kinds are fewer than the grid's.

    The bit map of a class takes up to `map_words`.
    """
    count, size, reach = tallies.shape[1], true.size + pred.size, grid.reach
    rows = Rows(
        starts=np.empty(2 * count + 1, np.int64),
        distances=np.empty(size),
        weights=np.empty(size, np.int64),
        kinds=np.empty(size, np.int16),
        places=np.empty((2 * count, 3), np.int64),
        far=np.empty(size, np.uint64),
        far_starts=np.empty(2 * count + 1, np.int64),
        grouped=np.empty(size, np.uint64),
        ends=np.empty((2, count), np.int64),
    )
    _rows()(
        near.address(), close.address(), true, pred, tallies, grid.axes, grid.scanned, grid.shifts, *grid.searched,
        reach.offsets, reach.limit, int(reach.closed), reach.levels, reach.beside, reach.step, reach.squares, grid.kinds,
        scratch.arena, scratch.tables, scratch.known, scratch.recent, scratch.counts, scratch.touched, scratch.missed,
        scratch.farthest, offsets.offsets, offsets.roots, np.zeros(offsets.roots.size, np.int64),
        np.empty(scratch.touched.size, np.uint64), np.empty(2, np.uint64), rows.ends, rows.grouped, np.empty((2, 8), np.int64),
        np.empty(2 * map_words, np.uint64), rows.starts, rows.distances, rows.weights, rows.kinds, rows.places, rows.far,
        rows.far_starts,
    )  # fmt: skip
    return rows
