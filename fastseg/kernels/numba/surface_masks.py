"""Finds the surface elements of one class of a small image: by its bit map, where it lies, without a copy."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import types

from fastseg.kernels.numba.jit import device, kernel
from fastseg.kernels.numba.simd.lanes import ALL, match_lanes, trailing_zeros
from fastseg.kernels.numba.stages import own
from fastseg.kernels.numba.surface_elements import CLASS_SHIFT, NUMBER, tally_element

__all__ = ["find_in_masks"]

Array = npt.NDArray[Any]
U = np.uint64

_ZERO, _ONE = U(0), U(1)
_NOTHING = np.empty(0, np.uint8)


@device
def set_lines(values: Any, value: Any, columns: Any, lines: Any) -> None:
    """Write the bit map of what has a value, whose rows begin with a new word; nothing beyond the values' end is read."""
    across = (columns + 63) >> 6
    for row in range(lines.size // across):
        for w in range(across):
            at, count = row * columns + w * 64, min(columns - w * 64, 64)
            word = _ZERO
            if at + 64 <= values.size:
                word = match_lanes(values, U(at), value)
            else:
                for i in range(values.size - at):
                    word |= U(values[U(at + i)] == value) << U(i)
            lines[U(row * across + w)] = word if count == 64 else word & ((_ONE << U(count)) - _ONE)


@device
def word_of(lines: Any, index: Any, there: Any, otherwise: Any) -> Any:
    """Return a word of a bit map, or what stands for it where it is not there."""
    return lines[U(index)] if there else otherwise


@device
def mask_words(
    values: Any, value: Any, unknown: Any, planes: Any, rows: Any, columns: Any, shifts: Any, whole: Any, up: Any, extend: Any,
    k: Any, lines: Any, known: Any, words: Any, tally: Any,
) -> Any:  # fmt: skip
    """Write the elements of class k, which is what has a value, to `words` and return their number.

    These are all of its voxels (`whole`), or those with a neighbour outside of it, which are looked for from row to row, too,
    if there are axes for it (`up`); outside of the image the class goes on or not (`extend`). Where `unknown` is as long as
    `values`, elements that touch what is not 0 there are left out (of a whole: that lie there). `lines` and `known` have room
    for bit maps of both.
    """
    masked = unknown.size == values.size
    across = (columns + 63) >> 6
    end = _ONE << U((columns - 1) & 63)
    set_lines(values, value, columns, lines)
    if masked:
        set_lines(unknown, np.uint8(0), columns, known)
    number = np.int64(0)
    plane = rows * across
    for z in range(planes):
        for y in range(rows):
            for w in range(across):
                i = (z * rows + y) * across + w
                here = lines[U(i)]
                if here == _ZERO:
                    continue
                found = here
                first, last = w == 0, w == across - 1
                if not whole:
                    beside = here if extend else _ZERO
                    inner = word_of(lines, i - plane, z > 0, beside) & word_of(lines, i + plane, z < planes - 1, beside)
                    if up:
                        inner &= word_of(lines, i - across, y > 0, beside) & word_of(
                            lines, i + across, y < rows - 1, beside
                        )
                    before = (here << _ONE) | (word_of(lines, i - 1, not first, beside << U(63)) >> U(63))
                    after = (here >> _ONE) | (word_of(lines, i + 1, not last, _ZERO) << U(63))
                    if last:
                        after |= beside & end
                    found &= ~(inner & before & after)
                if masked and found != _ZERO:
                    found &= known[U(i)]
                    if not whole:
                        found &= word_of(known, i - plane, z > 0, ALL) & word_of(known, i + plane, z < planes - 1, ALL)
                        if up:
                            found &= word_of(known, i - across, y > 0, ALL) & word_of(
                                known, i + across, y < rows - 1, ALL
                            )
                        found &= (known[U(i)] << _ONE) | (word_of(known, i - 1, not first, ALL) >> U(63))
                        found &= (
                            (known[U(i)] >> _ONE)
                            | (word_of(known, i + 1, not last, ALL) << U(63))
                            | (end if last else _ZERO)
                        )
                place = (U(k) << CLASS_SHIFT) | (U(z) << U(shifts[0])) | (U(y) << U(shifts[1]))
                while found != _ZERO:
                    x = w * 64 + np.int64(trailing_zeros(found))
                    found &= found - _ONE
                    words[U(number)] = place | U(x)
                    number += 1
                    tally_element(tally, k, z, y, x)
    return number


@kernel
def both_masks(
    true: Any, pred: Any, value: Any, unknown: Any, planes: Any, rows: Any, columns: Any, shifts: Any, whole: Any, up: Any,
    extend: Any, k: Any, lines: Any, known: Any, words: Any, tallies: Any,
) -> Any:  # fmt: skip
    """Write the elements of class k in the truth to `words`, and then those in the prediction; see `mask_words`."""
    number = np.int64(0)
    for which in range(2):
        number += mask_words(
            true if which == 0 else pred, value, unknown, planes, rows, columns, shifts, whole, up, extend, k, lines, known,
            words[number:], tallies[which],
        )  # fmt: skip
    return number


@functools.cache
def _find() -> Any:
    number, ints, words = types.int64, own(np.int64, 1), own(np.uint64, 1)
    values = types.Array(types.uint8, 1, "C", readonly=True)
    return both_masks.specialise(
        values, values, types.uint8, values, *[number] * 3, ints, *[number] * 4, words, words, words, own(np.int64, 3)
    )  # fmt: skip


def find_in_masks(
    true: Array,
    pred: Array,
    value: int,
    unknown: Array | None,
    k: int,
    shifts: Array,
    surface: str,
    border: str,
    tallies: Array,
) -> tuple[Array, Array]:
    """Return the elements of class k in both maps, and add them to two empty tallies.

    Parameters
    ----------
    true, pred : arrays of one shape, (planes, rows, columns) or (planes, columns)
        Of any type.
    value
        What makes a voxel one of the class.
    unknown : bool array of the same shape
        What touches these is left out.
    shifts
        The image's `coordinate_bits`.
    """
    shape = true.shape if true.ndim == 3 else (true.shape[0], 1, true.shape[1])
    if not (0 <= value < 256 and _are_bytes(true) and _are_bytes(pred)):
        true, pred, value = true == value, pred == value, 1
    known = _NOTHING if unknown is None else _bytes(unknown)
    size = shape[0] * shape[1] * ((shape[2] + 63) // 64)
    words = np.empty(2 * true.size, np.uint64)  # what is not written to takes no memory
    number = _find()(
        _bytes(true), _bytes(pred), value, known, *shape, shifts, surface == "object", true.ndim == 3, border == "extend", k,
        np.empty(size, np.uint64), np.empty(size if known.size else 0, np.uint64), words, tallies,
    )  # fmt: skip
    end = tallies[0, k, NUMBER]
    return words[:end], words[end:number]


def _are_bytes(values: Array) -> bool:
    return values.dtype.itemsize == 1 and values.dtype.kind in "bu"


def _bytes(values: Array) -> Array:
    """Return booleans or bytes as one row of bytes, a view where they lie like that."""
    return np.ascontiguousarray(values).reshape(-1).view(np.uint8)
