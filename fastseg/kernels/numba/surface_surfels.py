"""Finds the surfels of all classes in one scan: the corners that voxels of a class and others share, 64 corners at a time.

A corner has the coordinates of the voxel after it on a grid that is one longer along each axis, and is an element of each
class that some, not all, of the voxels around it are of.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import types

from fastseg.kernels.numba.jit import device, kernel
from fastseg.kernels.numba.simd.lanes import differing_lanes, trailing_zeros
from fastseg.kernels.numba.simd.rows import block_matches
from fastseg.kernels.numba.stages import own
from fastseg.kernels.numba.surface_elements import CLASS_SHIFT, KIND_SHIFT, Slab, tally_element

__all__ = ["find_surfels"]

Array = npt.NDArray[Any]
U = np.uint64

_ONE = U(1)


@device
def compare_corners(labels: Any, start: Any, up: Any, back: Any, behind: Any, above: Any, at: Any, out: Any) -> Any:
    """Write to `out` which corners of a row have unlike voxels around them; return whether any has.

    `behind` has which voxels of the row before differ from the one before them, and gets those of this row; above[at:] what is
    unlike of the plane before, and gets it of this one.
    """
    seen = U(0)
    for w in range(out.size):
        here = U(start + w * 64)
        along = differing_lanes(labels, here, here - _ONE)
        mixed = along | behind[U(w)] | differing_lanes(labels, here, here - up)
        word = mixed | above[U(at + w)] | differing_lanes(labels, here, here - back)
        behind[U(w)] = along
        above[U(at + w)] = mixed
        out[U(w)] = word
        seen |= word
    return seen


@kernel
def surfel_words(
    labels: Any, unknown: Any, around: Any, pitches: Any, corners: Any, first: Any, shifts: Any, classes: Any, kinds: Any,
    above: Any, behind: Any, out: Any, words: Any, tally: Any,
) -> Any:  # fmt: skip
    """Write the surfels of a slab to `words` and return their number.

    The voxel after corner (z, y, x) of the slab, whose first plane is `first` of the volume, is at pitches[0] + z * pitches[1]
    + y * pitches[2] + x of `labels`, those around the corner at this plus `around`, in the order of their bits in a pattern.
    Looked at are the corners from corners[a, 0] to corners[a, 1] − 1 along each axis. A surfel of pattern p is of kind
    kinds[p]. Where `unknown` is as long as `labels`, surfels that touch what is not 0 there are left out.
    `above` and `behind` have room for what was found out of a plane and of a row.
    """
    number = 0
    masked = unknown.size == labels.size
    last = corners[2, 1]
    half = around.size // 2
    whole = (_ONE << U(around.size)) - _ONE
    lines = out.size
    across = np.int64(half > 2)
    above[:] = U(0)
    behind[:] = U(0)
    for z in range(corners[0, 0] - 1, corners[0, 1]):
        for y in range(corners[1, 0] - across, corners[1, 1]):
            start = pitches[0] + z * pitches[1] + y * pitches[2]
            if y < corners[1, 0]:
                for w in range(lines):
                    at = start + corners[2, 0] + w * 64
                    behind[U(w)] = differing_lanes(labels, U(at), U(at - 1))
                continue
            if across == 0:
                behind[:] = U(0)
            up, back = U(pitches[2] * across), U(0) if z < corners[0, 0] else U(pitches[1])
            row = (y - corners[1, 0]) * lines
            seen = compare_corners(labels, U(start + corners[2, 0]), up, back, behind, above, row, out)
            if seen == U(0) or z < corners[0, 0]:
                continue
            place = (U(first + z) << U(shifts[0])) | (U(y) << U(shifts[1]))
            for x in range(corners[2, 0], last, 64):
                word = out[U((x - corners[2, 0]) >> 6)]
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
                    left = whole
                    while left != U(0):
                        label = labels[U(at + around[trailing_zeros(left)])]
                        pattern = whole & block_matches(
                            labels, U(at + around[U(0)]), U(at + around[U(2)]), U(at + around[U(half)]),
                            U(at + around[U(half + 2)]) if half > 2 else U(at + around[U(2)]), label,
                        )  # fmt: skip
                        left &= ~pattern
                        k = classes[U(label)]
                        if k < 0:
                            continue
                        words[U(number)] = (
                            (U(k) << CLASS_SHIFT) | (U(kinds[pattern]) << KIND_SHIFT) | place | U(x + bit)
                        )
                        number += 1
                        tally_element(tally, k, first + z, y, x + bit)
    return number


@functools.cache
def _find(dtype: str) -> Any:
    ints = own(np.int64, 1)
    return surfel_words.specialise(
        own(dtype, 1), own(np.uint8, 1), ints, ints, own(np.int64, 2), types.int64, ints, own(np.int32, 1), ints,
        *[own(np.uint64, 1)] * 4, own(np.int64, 2),
    )  # fmt: skip


def find_surfels(
    slab: Slab, classes: Array, kinds: Array, planes: int, extend: bool, shifts: Array, tally: Array
) -> Array:
    """Return the surfels of a slab, and count them in an empty tally.

    Parameters
    ----------
    slab, classes, shifts, tally
        As `find_elements` takes them; the coordinates are those of corners.
    kinds : (256,) or (16,) int64
        Which kind each pattern is of, from 0 on.
    planes
        Those of the whole volume: a surfel after the last plane is of the slab that has this plane.
    extend
        Whether only corners between voxels of the image have surfels, and none at its edge.
    """
    depth, rows, columns = slab.shape
    across = int(kinds.size == 256)
    corners = np.array(
        [
            [int(extend and slab.first == 0), depth + (slab.first + depth == planes and not extend)],
            [int(extend) * across, rows + across * (not extend)],
            [int(extend), columns + (not extend)],
        ],
        np.int64,
    )
    around = np.array(
        [-z * slab.plane - y * slab.pitch * across - x for z in (1, 0) for y in range(across, -1, -1) for x in (1, 0)]
    )
    lines = int(corners[2, 1] - corners[2, 0] + 63) // 64
    words = np.empty(int(np.prod(corners[:, 1])) * min(len(tally), kinds.size.bit_length() - 1), np.uint64)
    number = _find(slab.labels.dtype.str[1:])(
        slab.labels, slab.unknown, around, np.array([slab.flags[3], slab.plane, slab.pitch]), corners, slab.first, shifts,
        classes, kinds, *(np.empty(n, np.uint64) for n in ((rows + 1) * lines, lines, lines)), words,
        tally,
    )  # fmt: skip
    return words[:number].copy()
