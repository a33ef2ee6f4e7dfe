"""Finds the surfels of all classes in one scan: the corners that voxels of a class and others share, 64 corners at a time.

A corner has the place of the voxel after it on a grid that is one longer along each axis, and is an element of each class that
some, not all, of the voxels around it are of.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import types

from fastseg.kernels.numba.jit import kernel
from fastseg.kernels.numba.simd.lanes import differing_lanes, trailing_zeros
from fastseg.kernels.numba.stages import own
from fastseg.kernels.numba.surface_elements import CLASS_SHIFT, LEAST, MOST, NUMBER, Slab

__all__ = ["find_surfels"]

Array = npt.NDArray[Any]
U = np.uint64

_ONE = U(1)


@kernel
def surfel_words(
    labels: Any, unknown: Any, around: Any, pitches: Any, corners: Any, grid: Any, classes: Any, kinds: Any, most: Any,
    words: Any, tally: Any,
) -> Any:  # fmt: skip
    """Write the surfels of a slab to `words` and return their number.

    The voxel after corner (z, y, x) of the slab is at pitches[0] + z * pitches[1] + y * pitches[2] + x of `labels`, those
    around the corner at this plus `around`, in the order of their bits in a pattern. Looked at are the corners from
    corners[a, 0] to corners[a, 1] − 1 along each axis; the first of the slab is at grid[0] of a grid with grid[1] rows and
    grid[2] columns. A surfel of class k and pattern p is of class ``k * most + kinds[p]`` here. Where `unknown` is as long as
    `labels`, surfels that touch what is not 0 there are left out.
    """
    number = 0
    masked = unknown.size == labels.size
    last = corners[2, 1]
    for z in range(corners[0, 0], corners[0, 1]):
        for y in range(corners[1, 0], corners[1, 1]):
            start = pitches[0] + z * pitches[1] + y * pitches[2]
            for x in range(corners[2, 0], last, 64):
                word = U(0)
                for i in range(around.size - 1):
                    word |= differing_lanes(labels, U(start + x), U(start + x + around[U(i)]))
                if last - x < 64:
                    word &= (_ONE << U(last - x)) - _ONE
                while word != U(0):
                    bit = np.int64(trailing_zeros(word))
                    word &= word - _ONE
                    at = start + x + bit
                    if masked:
                        near = 0
                        for i in range(around.size):
                            near += unknown[U(at + around[U(i)])]
                        if near != 0:
                            continue
                    place = grid[0] + (z * grid[1] + y) * grid[2] + x + bit
                    seen = 0
                    for i in range(around.size):
                        label = labels[U(at + around[U(i)])]
                        k = classes[U(label)]
                        if (seen >> i) & 1 != 0 or k < 0:
                            continue
                        pattern = 0
                        for j in range(i, around.size):
                            if labels[U(at + around[U(j)])] == label:
                                pattern |= 1 << j
                        seen |= pattern
                        key = k * most + kinds[U(pattern)]
                        words[U(number)] = (U(key) << CLASS_SHIFT) | U(place)
                        number += 1
                        tally[key, 0] += 1
                        tally[key, 1] = min(tally[key, 1], z)
                        tally[key, 2] = min(tally[key, 2], y)
                        tally[key, 3] = min(tally[key, 3], x + bit)
                        tally[key, 4] = max(tally[key, 4], z)
                        tally[key, 5] = max(tally[key, 5], y)
                        tally[key, 6] = max(tally[key, 6], x + bit)
    return number


@functools.cache
def _find(dtype: str) -> Any:
    ints = own(np.int64, 1)
    return surfel_words.specialise(
        own(dtype, 1), own(np.uint8, 1), ints, ints, own(np.int64, 2), ints, own(np.int32, 1), ints, types.int64,
        own(np.uint64, 1), own(np.int64, 2),
    )  # fmt: skip


def find_surfels(
    slab: Slab, classes: Array, count: int, kinds: Array, planes: int, extend: bool
) -> tuple[Array, Array]:
    """Return the surfels of a slab, and a tally of `count` classes for each kind of pattern.

    Parameters
    ----------
    slab, classes, count
        As `find_elements` takes them.
    kinds : (256,) or (16,) int64
        Which kind each pattern is of, from 0 on.
    planes
        Those of the whole volume: a surfel after the last plane is of the slab that has this plane.
    extend
        Whether only corners between voxels of the image have surfels, and none at its edge.
    """
    depth, rows, columns = slab.shape
    across = int(kinds.size == 256)
    first = slab.first // (rows * columns)
    corners = np.array(
        [
            [int(extend and first == 0), depth + (first + depth == planes and not extend)],
            [int(extend) * across, rows + across * (not extend)],
            [int(extend), columns + (not extend)],
        ],
        np.int64,
    )
    grid = np.array([first * (rows + across) * (columns + 1), rows + across, columns + 1], np.int64)
    around = np.array(
        [-z * slab.plane - y * slab.pitch * across - x for z in (1, 0) for y in range(across, -1, -1) for x in (1, 0)]
    )
    most = int(kinds.max()) + 1
    tally = np.zeros((count * most, 7), np.int64)
    tally[:, LEAST:MOST] = np.iinfo(np.int64).max
    tally[:, MOST:] = -1
    words = np.empty(int(np.prod(corners[:, 1])) * min(count, kinds.size.bit_length() - 1), np.uint64)
    number = _find(slab.labels.dtype.str[1:])(
        slab.labels, slab.unknown, around, np.array([slab.flags[3], slab.plane, slab.pitch]), corners, grid, classes, kinds,
        most, words, tally,
    )  # fmt: skip
    there = tally[:, NUMBER] > 0
    tally[there, LEAST] += first
    tally[there, MOST] += first
    return words[:number].copy(), tally
