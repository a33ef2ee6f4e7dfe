"""Finds the surface elements of all classes in one scan: 64 voxels compared with their six neighbours at a time.

An element is one word: its class above its place in the volume.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import types

from fastseg.kernels.numba.jit import kernel
from fastseg.kernels.numba.simd.lanes import ALL, differing_lanes, nonzero_lanes, trailing_zeros
from fastseg.kernels.numba.stages import own

__all__ = ["CLASS_SHIFT", "LEAST", "MOST", "NUMBER", "PLACE", "Slab", "find_elements", "group_elements"]

Array = npt.NDArray[Any]
U = np.uint64

#: A word's class is above this bit, and its place below.
CLASS_SHIFT = U(44)
PLACE = U((1 << 44) - 1)
#: Columns of a tally: the number of elements of a class, the least coordinate of each axis, and the greatest.
NUMBER, LEAST, MOST = 0, 1, 4
_ONE = U(1)


@kernel
def find_words(
    labels: Any, unknown: Any, plane: Any, pitch: Any, planes: Any, rows: Any, columns: Any, first: Any, flags: Any,
    classes: Any, words: Any, tally: Any,
) -> Any:  # fmt: skip
    """Write the elements of a slab to `words` and return their number.

    Row (z, y) of the slab starts at flags[3] + z * plane + y * pitch of `labels`; its neighbours along each axis for which
    flags[0..2] is not 0 are there, too. With flags[4] all voxels are elements, not only those that differ from a neighbour.
    With flags[5] the label 0 is in no class. Where `unknown` is as long as `labels`, elements that touch what is not 0 there
    are left out (with flags[4]: only what lies there).
    """
    number = 0
    masked = unknown.size == labels.size
    for z in range(planes):
        for y in range(rows):
            start = flags[3] + z * plane + y * pitch
            for x in range(0, columns, 64):
                at = U(start + x)
                word = ALL
                if flags[4] == 0:
                    word = differing_lanes(labels, at, at - _ONE) | differing_lanes(labels, at, at + _ONE)
                    if flags[1] != 0:
                        word |= differing_lanes(labels, at, at - U(pitch)) | differing_lanes(labels, at, at + U(pitch))
                    if flags[0] != 0:
                        word |= differing_lanes(labels, at, at - U(plane)) | differing_lanes(labels, at, at + U(plane))
                if flags[5] != 0 and word != U(0):
                    word &= nonzero_lanes(labels, at)
                if columns - x < 64:
                    word &= (_ONE << U(columns - x)) - _ONE
                if masked and word != U(0):
                    near = nonzero_lanes(unknown, at)
                    if flags[4] == 0:
                        near |= nonzero_lanes(unknown, at - _ONE) | nonzero_lanes(unknown, at + _ONE)
                        if flags[1] != 0:
                            near |= nonzero_lanes(unknown, at - U(pitch)) | nonzero_lanes(unknown, at + U(pitch))
                        if flags[0] != 0:
                            near |= nonzero_lanes(unknown, at - U(plane)) | nonzero_lanes(unknown, at + U(plane))
                    word &= ~near
                while word != U(0):
                    bit = np.int64(trailing_zeros(word))
                    word &= word - _ONE
                    k = classes[U(labels[U(start + x + bit)])]
                    if k < 0:
                        continue
                    place = first + (z * rows + y) * columns + x + bit
                    words[U(number)] = (U(k) << CLASS_SHIFT) | U(place)
                    number += 1
                    tally[k, 0] += 1
                    tally[k, 1] = min(tally[k, 1], z)
                    tally[k, 2] = min(tally[k, 2], y)
                    tally[k, 3] = min(tally[k, 3], x + bit)
                    tally[k, 4] = max(tally[k, 4], z)
                    tally[k, 5] = max(tally[k, 5], y)
                    tally[k, 6] = max(tally[k, 6], x + bit)
    return number


@kernel
def group_words(words: Any, cursors: Any, grouped: Any) -> None:
    """Write the place of each element to where its class is at, and go on there."""
    for i in range(words.size):
        word = words[U(i)]
        k = word >> CLASS_SHIFT
        grouped[U(cursors[k])] = word & PLACE
        cursors[k] += 1


class Slab(NamedTuple):
    """Some planes of a map with a voxel around them, as `find_words` takes them."""

    labels: Array
    unknown: Array
    shape: tuple[int, int, int]
    """Planes, rows and columns, without what is around them."""
    first: int
    """The place of its first voxel."""
    flags: Array
    plane: int
    pitch: int


@functools.cache
def _find(dtype: str) -> Any:
    number = types.int64
    return find_words.specialise(
        own(dtype, 1), own(np.uint8, 1), *[number] * 6, own(np.int64, 1), own(np.int32, 1), own(np.uint64, 1), own(np.int64, 2)
    )  # fmt: skip


@functools.cache
def _group() -> Any:
    return group_words.specialise(own(np.uint64, 1), own(np.int64, 1), own(np.uint64, 1))


def find_elements(slab: Slab, classes: Array, count: int) -> tuple[Array, Array]:
    """Return the elements of a slab, and a tally of `count` classes; its coordinates are those of the volume."""
    tally = np.zeros((count, 7), np.int64)
    tally[:, LEAST:MOST] = np.iinfo(np.int64).max
    tally[:, MOST:] = -1
    planes, rows, columns = slab.shape
    words = np.empty(planes * rows * columns, np.uint64)  # what is not written to takes no memory
    number = _find(slab.labels.dtype.str[1:])(
        slab.labels, slab.unknown, slab.plane, slab.pitch, planes, rows, columns, slab.first, slab.flags, classes, words, tally
    )  # fmt: skip
    there = tally[:, NUMBER] > 0
    tally[there, LEAST] += slab.first // (rows * columns)
    tally[there, MOST] += slab.first // (rows * columns)
    return words[:number].copy(), tally


def group_elements(words: Array, cursors: Array, grouped: Array) -> None:
    """Write the places of a slab's elements to `grouped`, those of each class from its cursor on."""
    _group()(words, cursors, grouped)
