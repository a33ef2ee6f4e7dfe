"""One-hot encoding and its inverse, by Numba: a tile of rows of voxels at a time.

Labels become *codes* first: the class, or the number of classes where a voxel has none. So whatever the labels hold, what is
written afterwards stays inside the tile. Steps count items modulo 2**64, so they may be complements of negative ones; a step
that is None stands for 1, compiled by itself because it can be vectorised.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import from_dtype, types

from fastseg.kernels.numba.jit import device, kernel

__all__ = ["argmax_kernel", "encode_kernel", "threshold_kernel", "write_kernel"]

U = np.uint64
_ZERO, _ONE = U(0), U(1)
_CHUNK = U(8192)  # items that are zeroed before ones are written among them: they stay in the first-level cache
_SIGN = np.int16(-0x8000)


@device
def _times(i: Any, step: Any) -> Any:
    return i if step is None else i * step


@device
def _is_nan(value: Any, infinity: Any) -> Any:
    """Tell whether a number is NaN; that of 16-bit floats comes as int16 bits, with those of infinity."""
    return value != value if infinity is None else (value & ~_SIGN) > infinity


@device
def _ordered(value: Any, infinity: Any) -> Any:
    """Return what compares as the numbers do: bits of 16-bit floats as integers, both zeros as 0."""
    if infinity is None:
        return value
    return value if value >= 0 else np.int16(_SIGN - value)


@kernel
def encode_labels(
    labels: Any, first: Any, outer_step: Any, step: Any, outer: Any, inner: Any, last: Any, ignored: Any,
    codes: Any, outer_pitch: Any, pitch: Any, nothing: Any, state: Any,
) -> None:  # fmt: skip
    """Write the codes of a tile, and add to state[0] how many labels are neither 0..last nor ignored."""
    outside = _ZERO
    for r in range(outer):
        at, to = first + r * outer_step, r * outer_pitch
        for i in range(inner):
            label = labels[at + _times(i, step)]
            code = nothing
            if label >= 0 and label <= last:
                code = codes.dtype.type(label)
                if label != code:
                    code = nothing
            outside += U(code == nothing)
            codes[to + _times(i, pitch)] = code
    for value in ignored:
        times = _ZERO
        for r in range(outer):
            at, to = first + r * outer_step, r * outer_pitch
            if value >= 0 and value <= last:
                for i in range(inner):
                    place = to + _times(i, pitch)
                    codes[place] = nothing if labels[at + _times(i, step)] == value else codes[place]
            elif outside != _ZERO:
                for i in range(inner):
                    times += U(labels[at + _times(i, step)] == value)
        outside -= times
    state[0] += outside


@kernel
def write_planes(
    codes: Any, pitch: Any, rows: Any, length: Any, names: Any,
    out: Any, first: Any, row_step: Any, voxel_step: Any, class_step: Any, one: Any, zero: Any,
) -> None:  # fmt: skip
    """Write plane after plane: out[first + r * row_step + k * class_step + i] says whether codes[r, i] is names[k]."""
    for r in range(rows):
        at = r * pitch
        for k in range(U(names.size)):
            to, name = first + r * row_step + k * class_step, names[k]
            for i in range(length):
                out[to + i] = one if codes[at + i] == name else zero


@kernel
def write_ones(
    codes: Any, pitch: Any, rows: Any, length: Any, names: Any,
    out: Any, first: Any, row_step: Any, voxel_step: Any, class_step: Any, one: Any, zero: Any,
) -> None:  # fmt: skip
    """Write zeros, and then the ones among them; the items of a row are contiguous, and nobody else's."""
    classes = U(names.size)
    chunk = length if voxel_step == _ONE else max(_ONE, _CHUNK // classes)
    for r in range(rows):
        for start in range(_ZERO, length, chunk):
            count = min(chunk, length - start)
            at, to = r * pitch + start, first + r * row_step + start * voxel_step
            for i in range(count * classes):
                out[to + i] = zero
            for i in range(count):
                code = U(codes[at + i])  # a voxel of no class writes a zero once more
                out[to + i * voxel_step + min(code, classes - _ONE) * class_step] = one if code < classes else zero


@device
def _start(values: Any, at: Any, count: Any, infinity: Any, best: Any, out: Any, place: Any, name: Any) -> Any:
    wrong = False
    for i in range(count):
        value = values[at + i]
        wrong |= _is_nan(value, infinity)
        best[i] = _ordered(value, infinity)
        out[place + i] = name
    return wrong


@device
def _improve(values: Any, at: Any, count: Any, infinity: Any, best: Any, out: Any, place: Any, name: Any) -> Any:
    wrong = False
    for i in range(count):
        value = values[at + i]
        wrong |= _is_nan(value, infinity)
        better = _ordered(value, infinity) > best[i]
        best[i] = _ordered(value, infinity) if better else best[i]
        out[place + i] = name if better else out[place + i]
    return wrong


@kernel
def argmax_planes(
    scores: Any, first: Any, row_step: Any, step: Any, class_step: Any, rows: Any, length: Any, infinity: Any,
    names: Any, best: Any, line: Any, out: Any, to: Any, pitch: Any, state: Any,
) -> None:  # fmt: skip
    """Write the labels of rows of voxels, class after class; state[0] grows where there is NaN.

    Scores that are not contiguous are gathered into a line first: what follows is then vectors, and has no branches.
    """
    chunk = U(best.size)
    wrong = False
    for r in range(rows):
        for start in range(_ZERO, length, chunk):
            count = min(chunk, length - start)
            at, place = first + r * row_step + _times(start, step), to + r * pitch + start
            for k in range(U(names.size)):
                here, name = at + k * class_step, names[k]
                if step is None:
                    if k == _ZERO:
                        wrong |= _start(scores, here, count, infinity, best, out, place, name)
                    else:
                        wrong |= _improve(scores, here, count, infinity, best, out, place, name)
                else:
                    for i in range(count):
                        line[i] = scores[here + i * step]
                    if k == _ZERO:
                        wrong |= _start(line, _ZERO, count, infinity, best, out, place, name)
                    else:
                        wrong |= _improve(line, _ZERO, count, infinity, best, out, place, name)
    state[0] += U(wrong)


@kernel
def exceed(
    scores: Any, first: Any, row_step: Any, step: Any, rows: Any, length: Any, infinity: Any, limit: Any,
    names: Any, out: Any, to: Any, pitch: Any, state: Any,
) -> None:  # fmt: skip
    """Write names[1] where a score exceeds the limit, else names[0]; state[0] grows where there is NaN."""
    wrong = False
    most = _ordered(limit, infinity)
    zero, one = names[0], names[1]
    for r in range(rows):
        at, place = first + r * row_step, to + r * pitch
        for i in range(length):
            value = scores[at + _times(i, step)]
            wrong |= _is_nan(value, infinity)
            out[place + i] = one if _ordered(value, infinity) > most else zero
    state[0] += U(wrong)


def _array(dtype: npt.DTypeLike, readonly: bool = True) -> types.Array:
    return types.Array(from_dtype(np.dtype(dtype)), 1, "C", readonly=readonly, aligned=False)


_STATE = _array(np.uint64, readonly=False)
_STEP = types.uint64


@functools.cache
def encode_kernel(labels: np.dtype[Any], codes: np.dtype[Any], contiguous: bool) -> Callable[..., Any]:
    """Return `encode_labels` for the types of labels (unsigned or float) and codes; contiguous: steps are None."""
    step = types.none if contiguous else _STEP
    return encode_labels.specialise(
        _array(labels), _STEP, _STEP, step, _STEP, _STEP, from_dtype(labels), _array(labels),
        _array(codes, readonly=False), _STEP, step, from_dtype(codes), _STATE,
    )  # fmt: skip


@functools.cache
def write_kernel(codes: np.dtype[Any], out: np.dtype[Any], planes: bool) -> Callable[..., Any]:
    """Return `write_planes` or `write_ones` for codes and unsigned results."""
    item = from_dtype(out)
    function = write_planes if planes else write_ones
    return function.specialise(
        _array(codes), _STEP, _STEP, _STEP, _array(codes),
        _array(out, readonly=False), _STEP, _STEP, _STEP, _STEP, item, item,
    )  # fmt: skip


@functools.cache
def argmax_kernel(scores: np.dtype[Any], out: np.dtype[Any], half: bool, contiguous: bool) -> Callable[..., Any]:
    """Return `argmax_planes`; contiguous: step is None."""
    return argmax_planes.specialise(
        _array(scores), _STEP, _STEP, types.none if contiguous else _STEP, _STEP, _STEP, _STEP,
        types.int16 if half else types.none, _array(out), *(_array(scores, readonly=False),) * 2,
        _array(out, readonly=False), _STEP, _STEP, _STATE,
    )  # fmt: skip


@functools.cache
def threshold_kernel(scores: np.dtype[Any], out: np.dtype[Any], half: bool, contiguous: bool) -> Callable[..., Any]:
    """Return `exceed`; contiguous: step is None."""
    return exceed.specialise(
        _array(scores), _STEP, _STEP, types.none if contiguous else _STEP, _STEP, _STEP,
        types.int16 if half else types.none, from_dtype(scores), _array(out), _array(out, readonly=False),
        _STEP, _STEP, _STATE,
    )  # fmt: skip
