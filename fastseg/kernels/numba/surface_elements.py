"""Finds the surface elements of all classes in one scan: 64 voxels compared with their six neighbours at a time.

An element is one word: its class, its kind (of surfels, else 0) and its coordinates, each in bits of its own.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import types

from fastseg.kernels.numba.jit import device, kernel
from fastseg.kernels.numba.simd.lanes import ALL, differing_lanes, nonzero_lanes, trailing_zeros
from fastseg.kernels.numba.stages import own

__all__ = [
    "CLASS_SHIFT",
    "KIND_SHIFT",
    "LEAST",
    "MOST",
    "NUMBER",
    "Slab",
    "coordinate_bits",
    "empty_tallies",
    "find_elements",
    "group_elements",
    "place_in_box",
    "tally_element",
]

Array = npt.NDArray[Any]
U = np.uint64

#: Where a word's class begins, and its kind; its coordinates are below, x lowest.
CLASS_SHIFT, KIND_SHIFT = U(48), U(41)
#: Columns of a tally: the number of elements of a class, the least coordinate of each axis, and the greatest.
NUMBER, LEAST, MOST = 0, 1, 4
_ONE = U(1)
_WITHOUT_CLASS, _WITHOUT_KIND = (_ONE << CLASS_SHIFT) - _ONE, (_ONE << KIND_SHIFT) - _ONE
#: What is greater than any coordinate.
_NOWHERE = np.iinfo(np.int64).max


def coordinate_bits(shape: tuple[int, int, int]) -> tuple[int, int]:
    """Return by how many bits z and y are shifted in an element of a volume of that shape.

    Raises
    ------
    ValueError
        If there is no room for all three coordinates.
    """
    z, y, x = ((n - 1).bit_length() if n else 0 for n in shape)
    if z + y + x > int(KIND_SHIFT):
        raise ValueError(f"y_true, y_pred: expected volumes of up to 2^41 voxels for surfaces, found the shape {shape}")
    return x + y, x


@device
def place_in_box(element: Any, shifts: Any, box: Any) -> Any:
    """Return z, y and x of an element, from the first voxel of a box on."""
    z = np.int64((element & _WITHOUT_KIND) >> U(shifts[0])) - box[0]
    y = np.int64((element >> U(shifts[1])) & ((_ONE << U(shifts[0] - shifts[1])) - _ONE)) - box[1]
    x = np.int64(element & ((_ONE << U(shifts[1])) - _ONE)) - box[2]
    return z, y, x


@device
def tally_element(tally: Any, k: Any, z: Any, y: Any, x: Any) -> None:
    """Count an element of a class, which is there already or becomes the first."""
    tally[k, 0] += 1
    if z < tally[k, 1]:
        tally[k, 1] = z
    if y < tally[k, 2]:
        tally[k, 2] = y
    if x < tally[k, 3]:
        tally[k, 3] = x
    if z > tally[k, 4]:
        tally[k, 4] = z
    if y > tally[k, 5]:
        tally[k, 5] = y
    if x > tally[k, 6]:
        tally[k, 6] = x


@device
def compare_row(
    labels: Any, start: Any, down: Any, below: Any, before: Any, edge: Any, behind: Any, above: Any, at: Any, out: Any
) -> Any:  # fmt: skip
    """Write to `out` which voxels of a row differ from one of their neighbours; return whether any may.

    `behind` and above[at:] have what differs from the row before and from the plane before, and get what differs from the
    next; `before` says whether the first voxel differs from the one before it. What is `edge` differs in any case.
    """
    seen = edge
    for w in range(out.size):
        here = U(start + w * 64)
        along = differing_lanes(labels, here, here + _ONE)
        across = differing_lanes(labels, here, here + down)
        through = differing_lanes(labels, here, here + below)
        word = along | (along << _ONE) | before | across | behind[U(w)] | through | above[U(at + w)] | edge
        before = along >> U(63)
        behind[U(w)] = across
        above[U(at + w)] = through
        out[U(w)] = word
        seen |= word
    return seen


@kernel
def find_words(
    labels: Any, unknown: Any, plane: Any, pitch: Any, planes: Any, rows: Any, columns: Any, first: Any, shifts: Any,
    flags: Any, classes: Any, above: Any, behind: Any, out: Any, words: Any, tally: Any,
) -> Any:  # fmt: skip
    """Write the elements of a slab to `words` and return their number.

    Row (z, y) of the slab, whose first plane is `first` of the volume, starts at flags[3] + z * plane + y * pitch of `labels`;
    its neighbours along each axis for which flags[0..2] is not 0 are there, too. With flags[4] all voxels are elements, not
    only those that differ from a neighbour. With flags[5] the label 0 is in no class. With flags[6] there are no neighbours
    beyond the ends of rows and planes: what would be there is outside of every class, or with flags[7] in that of the voxel.
    Where `unknown` is as long as `labels`, elements that touch what is not 0 there are left out (with flags[4]: only what
    lies there). Each voxel is compared with three neighbours, since `above` and `behind` have room for what the others were
    found to be, of a plane and of a row; `out` has it for a row.
    """
    number = 0
    masked = unknown.size == labels.size
    across = out.size
    outside = ALL if flags[6] != 0 and flags[7] == 0 else U(0)
    above[:] = U(0)
    behind[:] = U(0)
    if flags[0] != 0 and flags[4] == 0:
        for y in range(rows):
            for w in range(across):
                at = U(flags[3] + y * pitch + w * 64)
                above[U(y * across + w)] = differing_lanes(labels, at, at - U(plane))
    for z in range(planes):
        for y in range(rows):
            start = flags[3] + z * plane + y * pitch
            place = (U(first + z) << U(shifts[0])) | (U(y) << U(shifts[1]))
            if flags[4] != 0:
                out[:] = ALL
            else:
                down, before, edge = U(0), U(labels[U(start - 1)] != labels[U(start)]), U(0)
                if flags[1] != 0:
                    down = U(pitch)
                    if flags[6] != 0 and (y == 0 or y == rows - 1):
                        edge = outside
                        down = U(0) if y == rows - 1 else down
                    if y == 0:
                        for w in range(across):
                            at = U(start + w * 64)
                            behind[U(w)] = U(0) if flags[6] != 0 else differing_lanes(labels, at, at - U(pitch))
                if flags[6] != 0:
                    before = outside & U(classes[U(labels[U(start)])] >= 0)
                below = U(plane) if flags[0] != 0 else U(0)
                last = U(start + columns - 1)
                end = _ONE << (U(columns - 1) & U(63))
                ends = behind[U(across - 1)] | above[U(y * across + across - 1)] | edge
                ends = (ends | (outside if classes[U(labels[last])] >= 0 else U(0))) & end
                seen = compare_row(labels, U(start), down, below, before, edge, behind, above, y * across, out)
                if seen | (outside & ends) == U(0):
                    continue
                if flags[6] != 0:  # after the last voxel comes the first of another row
                    label = labels[last]
                    if labels[last + down] != label or labels[last + below] != label:
                        ends = end
                    if columns > 1 and labels[last - _ONE] != label:
                        ends = end
                    if columns == 1:
                        ends |= before
                    out[U(across - 1)] = (out[U(across - 1)] & ~end) | ends
            for x in range(0, columns, 64):
                word = out[U(x >> 6)]
                if word == U(0):
                    continue
                at = U(start + x)
                if flags[5] != 0:
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
                    words[U(number)] = (U(k) << CLASS_SHIFT) | place | U(x + bit)
                    number += 1
                    tally_element(tally, k, first + z, y, x + bit)
    return number


@kernel
def group_words(words: Any, cursors: Any, grouped: Any) -> None:
    """Write each element, without its class, to where its class is at, and go on there."""
    for i in range(words.size):
        word = words[U(i)]
        k = word >> CLASS_SHIFT
        grouped[U(cursors[k])] = word & _WITHOUT_CLASS
        cursors[k] += 1


class Slab(NamedTuple):
    """Some planes of a map with a voxel around them, as `find_words` takes them."""

    labels: Array
    unknown: Array
    shape: tuple[int, int, int]
    """Planes, rows and columns, without what is around them."""
    first: int
    """Which plane of the map is its first."""
    flags: Array
    plane: int
    pitch: int


@functools.cache
def _find(dtype: str) -> Any:
    number, ints, lanes = types.int64, own(np.int64, 1), own(np.uint64, 1)
    labels = types.Array(own(dtype, 1).dtype, 1, "C", readonly=True)
    return find_words.specialise(
        labels, own(np.uint8, 1), *[number] * 6, ints, ints, own(np.int32, 1), *[lanes] * 4, own(np.int64, 2)
    )  # fmt: skip


@functools.cache
def _group() -> Any:
    return group_words.specialise(own(np.uint64, 1), own(np.int64, 1), own(np.uint64, 1))


def empty_tallies(slabs: int, count: int) -> Array:
    """Return the tallies of so many slabs and classes without an element."""
    tallies = np.zeros((slabs, count, 7), np.int64)
    tallies[:, :, LEAST:MOST] = _NOWHERE
    tallies[:, :, MOST:] = -1
    return tallies


def find_elements(slab: Slab, classes: Array, shifts: Array, tally: Array) -> Array:
    """Return the elements of a slab, with the volume's `coordinate_bits`, and count them in an empty tally."""
    planes, rows, columns = slab.shape
    across = (columns + 63) // 64
    words = np.empty(planes * rows * columns, np.uint64)  # what is not written to takes no memory
    number = _find(slab.labels.dtype.str[1:])(
        slab.labels, slab.unknown, slab.plane, slab.pitch, planes, rows, columns, slab.first, shifts, slab.flags, classes,
        *(np.empty(n, np.uint64) for n in (rows * across, across, across)), words, tally,
    )  # fmt: skip
    return words[:number].copy()


def group_elements(words: Array, cursors: Array, grouped: Array) -> None:
    """Write the elements of a slab to `grouped`, those of each class from its cursor on."""
    _group()(words, cursors, grouped)
