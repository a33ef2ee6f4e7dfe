"""Finds the nearest element of another surface, near by or plane by plane; exact, and the same to the last bit by both roads.

The surface that is searched is a bit map of its box: for each (y, x) a column of words along the first axis, with an empty
word before and after. A distance is the least (A + B) + C of the squares of its offsets along the three axes, in float64.
Addition rounds monotonously, so the least of one axis is found before the next is added, and what is pruned could not be less.

A box is a row of numbers: its first voxel along each axis, its lengths, the words of a column, where its bit map begins, from
where to where the places of its elements are, and how many empty columns are around it along the last two axes: at the
beginning of a search nobody has to ask whether a column is there.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import types

from fastseg.kernels.numba.jit import device, kernel
from fastseg.kernels.numba.simd.lanes import as_bits, leading_zeros, trailing_zeros
from fastseg.kernels.numba.stages import own

__all__ = ["EMPTY", "fill_bits", "search_near", "search_planes"]

Array = npt.NDArray[Any]
U = np.uint64

#: A place of a histogram where no distance is.
EMPTY = -1.0

_ZERO, _ONE = U(0), U(1)
_MIX = U(0x9E3779B97F4A7C15)
_INFINITE = np.inf
#: A window has the 32 voxels before an element, and 32 from it on: what it has not is at least that far away along its axis.
_REACH = 32
#: How far starts of the envelope may be off by rounding, in voxels.
_SLACK = 1e-6


@kernel
def fill_words(places: Any, boxes: Any, rows: Any, columns: Any, bits: Any) -> None:
    """Set the bits of elements in the bit maps of their boxes."""
    for b in range(boxes.shape[0]):
        box = boxes[b]
        for i in range(box[8], box[9]):
            place = np.int64(places[U(i)])
            line = place // columns
            x = place - line * columns
            z = line // rows
            y = line - z * rows
            z -= box[0]
            row, column = y - box[1] + box[10], x - box[2] + box[11]
            column = box[7] + (row * (box[5] + 2 * box[11]) + column) * box[6] + 1 + (z >> 6)
            bits[U(column)] |= _ONE << U(z & 63)


@device
def add_to(keys: Any, counts: Any, mask: Any, square: Any) -> None:
    """Count one squared distance; there are places for all that may come, one more than `mask`."""
    at = ((as_bits(square) * _MIX) >> U(40)) & mask
    while keys[at] != square:
        if keys[at] < 0.0:
            keys[at] = square
            break
        at = (at + _ONE) & mask
    counts[at] += 1


@device
def beside_box(box: Any, x: Any, y: Any, z: Any, along_z: Any, along_y: Any, along_x: Any) -> Any:
    """Return the squared distance to a box, which none of what is in it is less than."""
    dz = max(box[0] - z, z - (box[0] + box[3] - 1), np.int64(0))
    dy = max(box[1] - y, y - (box[1] + box[4] - 1), np.int64(0))
    dx = max(box[2] - x, x - (box[2] + box[5] - 1), np.int64(0))
    return (along_z[U(dz)] + along_y[U(dy)]) + along_x[U(dx)]


@device
def nearest_bit(window: Any) -> Any:
    """Return how far the nearest element in a window is: its bits are from 32 before to 31 behind, and some are set."""
    ahead = np.int64(
        trailing_zeros((window >> U(32)) | (_ONE << U(33)))
    )  # a bit beyond, so that nothing has to be asked
    back = np.int64(leading_zeros((window << U(32)) | (_ONE << U(31)))) + 1
    return ahead if ahead <= back else -back


@kernel
def near_words(
    places: Any, jobs: Any, boxes: Any, rows: Any, columns: Any, bits: Any, along_z: Any, along_y: Any, along_x: Any,
    steps: Any, bounds: Any, reach: Any, limit: Any, keys: Any, counts: Any, found: Any, often: Any, missed: Any, told: Any,
    farthest: Any, offsets: Any,
) -> None:  # fmt: skip
    """Count the distances of elements whose nearest is near by, and tell which are missed, and left to `search_planes`.

    Job j has the places jobs[j, 0] to jobs[j, 1] − 1, which are measured to the surface in box jobs[j, 2]. What is found of it
    is in `found`, `often` and `missed` from as many on as the jobs before it have elements: told[j, 0] squared distances, how
    many have each, and told[j, 1] elements, by their number. farthest[j] becomes the largest finite distance and the first
    place that has it. `keys` and `counts` are room for twice the elements of a job.

    `steps` are the columns around an element, (dy, dx) in the order of their `bounds`, B + C, the last bound infinite. All
    columns within `reach` (squared) are there. What is not less than `limit` (squared) is infinite, and not searched. There is
    room for the `offsets` in the bit map of those first steps that lead into the empty columns around a box at most.
    """
    beyond = along_z[_REACH] if along_z.size > _REACH else _INFINITE
    offset = np.int64(0)
    for j in range(jobs.shape[0]):
        start, number = jobs[j, 0], jobs[j, 1] - jobs[j, 0]
        box = boxes[jobs[j, 2]]
        height, width, words = box[4], box[5], box[6]
        pitch = (width + 2 * box[11]) * words
        map_at = box[7] + box[10] * pitch + box[11] * words  # of the first column
        for i in range(offsets.size):
            offsets[U(i)] = steps[U(i), U(0)] * pitch + steps[U(i), U(1)] * words
        room = np.int64(2)
        while room < 2 * number:
            room *= 2
        for i in range(room):
            keys[U(i)] = EMPTY
            counts[U(i)] = 0
        mask = U(room - 1)
        misses = 0
        largest, root, where = -1.0, -1.0, -1.0
        plane, line, line_at, x, y, z = np.int64(-1), np.int64(-1), np.int64(0), np.int64(0), np.int64(0), np.int64(0)
        allowance = max(np.int64(4096), height * width // 2)
        most, left = allowance, allowance
        hit_z = hit_y = hit_x = np.int64(-1)
        for i in range(number):
            place = np.int64(places[U(start + i)])
            x = place - line_at
            if line < 0 or x >= columns:  # they lie in the order of the volume
                line = place // columns
                line_at = line * columns
                x = place - line_at
                z = line // rows
                y = line - z * rows
            if z != plane:  # where a plane had too many far ones, the next gets fewer tries
                if plane >= 0:
                    most = max(most >> 2, np.int64(64)) if left <= 0 else min(most << 1, allowance)
                plane, left = z, most
            if left <= 0:
                missed[U(offset + misses)] = i
                misses += 1
                continue
            best = limit
            if hit_z >= 0:
                square = (along_z[U(abs(z - hit_z))] + along_y[U(abs(y - hit_y))]) + along_x[U(abs(x - hit_x))]
                best = min(best, square)
            first = z - box[0] - _REACH
            word = (first >> 6) + 1
            shift = U(first & 63)
            tries = 0
            inside = word >= 0 and word + 1 < words
            if inside and limit < _INFINITE:
                inside = beside_box(box, x, y, z, along_z, along_y, along_x) < best
            if inside:
                row, column = y - box[1], x - box[2]
                if 0 <= row < height and 0 <= column < width:
                    middle = map_at + row * pitch + column * words + word
                    while tries < offsets.size and bounds[U(tries)] < best:
                        at = U(middle + offsets[U(tries)])
                        window = (bits[at] >> shift) | ((bits[at + _ONE] << _ONE) << (U(63) - shift))
                        if window != _ZERO:
                            step = nearest_bit(window)
                            dy, dx = steps[U(tries), U(0)], steps[U(tries), U(1)]
                            square = (along_z[U(abs(step))] + along_y[U(abs(dy))]) + along_x[U(abs(dx))]
                            if square < best:
                                best = square
                                hit_z, hit_y, hit_x = z + step, y + dy, x + dx
                        tries += 1
                while bounds[U(tries)] < best:
                    yy, xx = row + steps[U(tries), U(0)], column + steps[U(tries), U(1)]
                    if 0 <= yy < height and 0 <= xx < width:
                        at = U(map_at + yy * pitch + xx * words + word)
                        window = (bits[at] >> shift) | ((bits[at + _ONE] << _ONE) << (U(63) - shift))
                        if window != _ZERO:
                            step = nearest_bit(window)
                            square = (along_z[U(abs(step))] + along_y[U(abs(yy - row))]) + along_x[U(abs(xx - column))]
                            if square < best:
                                best = square
                                hit_z, hit_y, hit_x = z + step, yy + box[1], xx + box[2]
                    tries += 1
            if best <= beyond and best <= reach:  # where z is too far from the box for a window, all of it is beyond
                if best == limit:
                    best = _INFINITE
                elif best > largest:
                    largest = best
                    if math.sqrt(best) > root:
                        root, where = math.sqrt(best), np.float64(place)
                add_to(keys, counts, mask, best)
            else:
                left -= tries + 1
                missed[U(offset + misses)] = i
                misses += 1
        farthest[j, 0], farthest[j, 1] = root, where
        distinct = np.int64(0)
        for i in range(room):
            if counts[U(i)] != 0:
                found[U(offset + distinct)] = keys[U(i)]
                often[U(offset + distinct)] = counts[U(i)]
                distinct += 1
        told[j, 0], told[j, 1] = distinct, misses
        offset += number


@device
def column_distance(bits: Any, start: Any, words: Any, z: Any) -> Any:
    """Return how far the nearest bit of a column is from z, -1 where it has none; z may be outside."""
    best = np.int64(-1)
    middle = min(max((z >> 6) + 1, np.int64(0)), words - 1)
    word = middle
    while word >= 0:  # at or before z
        value = bits[U(start + word)]
        if word == (z >> 6) + 1:
            value &= ~((~_ONE) << U(z & 63))
        elif word > (z >> 6) + 1:
            value = _ZERO
        if value != _ZERO:
            best = z - ((word - 1) * 64 + 63 - np.int64(leading_zeros(value)))
            break
        word -= 1
    word = middle
    while word < words and (best < 0 or (word - 1) * 64 - z < best):
        value = bits[U(start + word)]
        if word == (z >> 6) + 1:
            value &= (~_ZERO) << U(z & 63)
        elif word < (z >> 6) + 1:
            value = _ZERO
        if value != _ZERO:
            found = (word - 1) * 64 + np.int64(trailing_zeros(value)) - z
            if best < 0 or found < best:
                best = found
            break
        word += 1
    return best


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
    places: Any, missed: Any, rows: Any, columns: Any, box: Any, bits: Any, along_z: Any, along_y: Any, along_x: Any,
    squares: Any, heights: Any, sites: Any, starts: Any, out: Any, limit: Any, keys: Any, counts: Any, farthest: Any,
) -> Any:  # fmt: skip
    """Count the distances of the missed elements of the first plane among `missed`; return how many these are.

    Memory: `squares` has a number for each column of the box, `out` one for each x of the box and y of the volume. `limit`
    is as in `near_words`; `farthest` is brought up to date.
    """
    height, width, words = box[4], box[5], box[6]
    pitch = (width + 2 * box[11]) * words
    map_at = box[7] + box[10] * pitch + box[11] * words
    mask = U(keys.size - 1)
    root, where = farthest[0], farthest[1]
    total = 0
    first, last, z = rows, np.int64(-1), np.int64(-1)
    for i in range(missed.size):
        place = np.int64(places[U(missed[U(i)])])
        line = place // columns
        if z >= 0 and line // rows != z:
            break
        z = line // rows
        y = line - z * rows - box[1]
        first, last = min(first, y), max(last, y)
        total += 1
    highest = 0.0
    for y in range(height):
        for x in range(width):
            offset = column_distance(bits, map_at + y * pitch + x * words, words, z - box[0])
            square = _INFINITE if offset < 0 else along_z[U(offset)]
            if square >= limit:
                square = _INFINITE
            squares[U(x * height + y)] = square
            if square < _INFINITE:
                highest = max(highest, square)
    slack = _SLACK
    if along_y.size > 1:
        slack = max(slack, 1e-12 * (highest / along_y[U(1)]))
    for x in range(width):
        for y in range(height):
            heights[U(y)] = squares[U(x * height + y)]
        envelope(heights, height, along_y, first, last, slack, sites, starts, out, x, width)
    for i in range(total):
        place = np.int64(places[U(missed[U(i)])])
        line = place // columns
        x = place - line * columns - box[2]
        start = (line - (line // rows) * rows - box[1] - first) * width
        best = limit
        left, right = min(x, width - 1), max(x + 1, np.int64(0))
        while left >= 0 and along_x[U(x - left)] < best:
            best = min(best, out[U(start + left)] + along_x[U(x - left)])
            left -= 1
        while right < width and along_x[U(right - x)] < best:
            best = min(best, out[U(start + right)] + along_x[U(right - x)])
            right += 1
        if best == limit:
            best = _INFINITE
        elif math.sqrt(best) >= root:
            if math.sqrt(best) > root or np.float64(place) < where:
                where = np.float64(place)
            root = math.sqrt(best)
        add_to(keys, counts, mask, best)
    farthest[0], farthest[1] = root, where
    return total


_PLACES, _NUMBER, _REAL = own(np.uint64, 1), types.int64, types.float64
_FLOATS, _INTS, _TABLE = own(np.float64, 1), own(np.int64, 1), own(np.int64, 2)


@functools.cache
def fill_bits() -> Any:
    """Return the compiled `fill_words`."""
    return fill_words.specialise(_PLACES, _TABLE, _NUMBER, _NUMBER, _PLACES)


@functools.cache
def search_near() -> Any:
    """Return the compiled `near_words`."""
    return near_words.specialise(
        _PLACES, _TABLE, _TABLE, _NUMBER, _NUMBER, _PLACES, _FLOATS, _FLOATS, _FLOATS, _TABLE, _FLOATS, _REAL, _REAL,
        _FLOATS, _INTS, _FLOATS, _INTS, own(np.int32, 1), _TABLE, own(np.float64, 2), _INTS,
    )  # fmt: skip


@functools.cache
def search_planes() -> Any:
    """Return the compiled `plane_words`."""
    return plane_words.specialise(
        _PLACES, own(np.int32, 1), _NUMBER, _NUMBER, _INTS, _PLACES, _FLOATS, _FLOATS, _FLOATS, _FLOATS, _FLOATS, _INTS,
        _FLOATS, _FLOATS, _REAL, _FLOATS, _INTS, _FLOATS,
    )  # fmt: skip
