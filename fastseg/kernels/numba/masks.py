"""Overlaps of two binary maps, by Numba: values of any type become bits, and the bits of 64 voxels are counted at a time.

Channels may lie side by side in memory (channels last). Then every value of a period of whole voxels has a byte counter of its
own, so that vectors of values are added to vectors of counters, whatever the number of channels.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import types

from fastseg.kernels.numba.jit import device, kernel
from fastseg.kernels.numba.simd.lanes import popcount, sum_lanes, weight_lanes
from fastseg.kernels.numba.simd.words import (
    address_of,
    any_foul,
    no_foul,
    padded,
    write_bits,
    write_bytes,
    write_foul_bits,
)
from fastseg.kernels.protocols.labels import MaskBlock, MaskTally

__all__ = ["MaskCounter"]

U = np.uint64
_ZERO, _ONE, _TWO, _THREE, _BLOCK = U(0), U(1), U(2), U(3), U(64)
_WORDS = 16  # of each map that are written before they are counted: the maps are read in turns of a few KiB
_STRETCH = 512  # values side by side that become bytes before they are counted
_PERIOD = 2048  # values side by side that have a byte counter each
_MOST_REPEATS = U(255)  # before a byte counter wraps around

# Columns of the sums, as in `MaskTally`.
TP, FP, FN, TN = range(4)
# What a kernel is told of an array: bytes from sample to sample and so on; and of its values, as in `_values_of`.
SAMPLE, CHANNEL, ROW = range(3)
SIZE, ONE, KEEP, FLIP = range(4)


@device
def _word(number: Any) -> Any:
    """Return the bits of a number that may be negative."""
    return U(np.int64(number))


@device
def _offset(steps: Any, n: Any, c: Any, r: Any) -> Any:
    """Return the bytes from the first value to a row; steps may be negative."""
    return _word(steps[SAMPLE]) * n + _word(steps[CHANNEL]) * c + _word(steps[ROW]) * r


@device
def _write(
    write: Any, values: Any, address: Any, number: Any, room: Any, target: Any, per_block: Any, foul: Any
) -> Any:
    """Do `write_bits` or `write_bytes` for any number of values; zeros follow on the last, up to whole blocks."""
    size, one, keep, flip = U(values[SIZE]), _word(values[ONE]), _word(values[KEEP]), _word(values[FLIP])
    done = _ZERO
    while done < number:
        start, blocks = address + done * size, (number - done) // _BLOCK
        if blocks == _ZERO:
            start, blocks = padded(start, (number - done) * size, room, _BLOCK * size), _ONE
        foul = write(start, size, one, keep, blocks, flip, target, done // _BLOCK * per_block, foul)
        done += blocks * _BLOCK
    return foul


@kernel
def count_rows(
    y_true: Any, y_pred: Any, mask: Any, weight: Any, steps: Any, values: Any, shape: Any,
    room: Any, words: Any, few: Any, sums: Any, inside: Any,
) -> Any:  # fmt: skip
    """Count maps of N samples, C channels, R rows of L values each; return how often something is not allowed, at least.

    Maps and mask begin with the arrays given here. Written are sums (N * C, 4) and, with a mask, the voxels inside it (N,).
    Weights are flat, (N, R, L). Room for the values of a block, words (4, W) and a few weights (64,) are work space.
    """
    samples, channels, rows, length = U(shape[0]), U(shape[1]), U(shape[2]), U(shape[3])
    true_bits, pred_bits, inside_bits, wrong_bits = words[0], words[1], words[2], words[3]
    tile = _BLOCK * U(words.shape[1])
    begin = (address_of(y_true), address_of(y_pred), _ZERO if mask is None else address_of(mask))
    arrays = _TWO if mask is None else _THREE
    bad, foul = _ZERO, no_foul()
    for n in range(samples):
        for c in range(channels):
            both = true = predicted = within = _ZERO
            weight_both = weight_true = weight_predicted = weight_neither = 0.0
            for r in range(rows):
                for first in range(_ZERO, length, tile):
                    number = min(tile, length - first)
                    blocks = (number + _BLOCK - _ONE) // _BLOCK
                    for k in range(arrays):
                        at = begin[k] + _offset(steps[k], n, c if k < _TWO else _ZERO, r) + first * U(values[k][SIZE])
                        foul = _write(write_bits, values[k], at, number, room, words[k], _ONE, foul)
                    if mask is not None:
                        if any_foul(foul):  # matters only inside the mask
                            foul = no_foul()
                            for k in range(_TWO):
                                at = begin[k] + _offset(steps[k], n, c, r) + first * U(values[k][SIZE])
                                _write(write_foul_bits, values[k], at, number, room, wrong_bits, _ONE, foul)
                                for b in range(blocks):
                                    bad += popcount(wrong_bits[b] & inside_bits[b])
                        for b in range(blocks):
                            true_bits[b] &= inside_bits[b]
                            pred_bits[b] &= inside_bits[b]
                            within += popcount(inside_bits[b])
                    if weight is not None:
                        for b in range(blocks):
                            t, p = true_bits[b], pred_bits[b]
                            here = min(_BLOCK, number - b * _BLOCK)
                            w = (n * rows + r) * length + first + b * _BLOCK
                            for j in range(here):
                                few[j] = weight[w + j]
                            for j in range(here, _BLOCK):
                                few[j] = 0
                            neither = ~(t | p)
                            if mask is not None:
                                neither &= inside_bits[b]
                            bad += popcount((t | p | neither) & ~weight_lanes(few, _ZERO))
                            weight_both += sum_lanes(few, _ZERO, t & p)
                            weight_predicted += sum_lanes(few, _ZERO, p & ~t)
                            weight_true += sum_lanes(few, _ZERO, t & ~p)
                            weight_neither += sum_lanes(few, _ZERO, neither)
                    else:
                        for b in range(blocks):
                            t, p = true_bits[b], pred_bits[b]
                            both += popcount(t & p)
                            true += popcount(t)
                            predicted += popcount(p)
            if mask is None:
                within = rows * length
            else:
                inside[n] = within
            found = sums[n * channels + c]
            if weight is not None:
                found[TP], found[FP], found[FN], found[TN] = weight_both, weight_predicted, weight_true, weight_neither
            else:
                found[TP], found[FP], found[FN] = both, predicted - both, true - both
                found[TN] = within - (true + predicted - both)
    return bad + U(any_foul(foul))


@kernel
def count_interleaved(
    y_true: Any, y_pred: Any, steps: Any, values: Any, shape: Any, room: Any, lanes: Any, counters: Any, sums: Any
) -> Any:
    """Do the same for channels side by side, without a mask or weights: rows are of L voxels of C values.

    Lanes (2, `_STRETCH`) and counters (3, P), for a period of some voxels, are bytes of work space.
    """
    samples, channels, rows, length = U(shape[0]), U(shape[1]), U(shape[2]), U(shape[3]) * U(shape[1])
    begin = (address_of(y_true), address_of(y_pred))
    true_lanes, pred_lanes = lanes[0], lanes[1]
    both, true, predicted = counters[0], counters[1], counters[2]
    period, stretch = U(counters.shape[1]), U(lanes.shape[1])
    foul = no_foul()
    for n in range(samples):
        for c in range(channels):
            found = sums[n * channels + c]
            found[TP] = found[FP] = found[FN] = 0
        for r in range(rows):
            i = _ZERO
            while i < length:
                width = min(period, length - i)
                repeats = min(_MOST_REPEATS, (length - i) // width)
                for j in range(width):
                    both[j] = true[j] = predicted[j] = 0
                for _ in range(repeats):
                    for first in range(_ZERO, width, stretch):
                        number = min(stretch, width - first)
                        # Whole blocks, if there are more values than are counted here.
                        there = min((number + _BLOCK - _ONE) // _BLOCK * _BLOCK, length - i)
                        for k in range(_TWO):
                            at = begin[k] + _offset(steps[k], n, _ZERO, r) + i * U(values[k][SIZE])
                            foul = _write(write_bytes, values[k], at, there, room, lanes[k], _BLOCK, foul)
                        for j in range(number):
                            both[first + j] -= true_lanes[j] & pred_lanes[j]
                            true[first + j] -= true_lanes[j]
                            predicted[first + j] -= pred_lanes[j]
                        i += number
                channel = _ZERO
                for j in range(width):
                    found = sums[n * channels + channel]
                    found[TP] += np.int64(both[j])
                    found[FP] += np.int64(predicted[j]) - np.int64(both[j])
                    found[FN] += np.int64(true[j]) - np.int64(both[j])
                    channel = channel + _ONE if channel + _ONE < channels else _ZERO
        for c in range(channels):
            found = sums[n * channels + c]
            found[TN] = np.int64(rows * U(shape[3])) - found[TP] - found[FP] - found[FN]
    return U(any_foul(foul))


#: Of bytes that are 1 wherever they are not 0.
_BOOL = (1, 0, 0, -1)


@functools.cache
def _values_of(dtype: np.dtype[Any], bfloat16: bool = False) -> tuple[int, int, int, int]:
    """Return the size of a type's values, the pattern of 1, the bits that 0 must not have, and which bits of answers to flip.

    Patterns are repeated to 64 bits. Of bool and of masks is asked what *is* 0, and the answers are flipped.
    """
    if dtype.kind == "b":
        return _BOOL
    bits = np.dtype(f"u{dtype.itemsize}")
    one, sign = (0x3F80, 0x8000) if bfloat16 else np.array([1, -0.0 if dtype.kind == "f" else 0], dtype).view(bits)
    repeat = 8 // dtype.itemsize
    one, keep = (int(np.full(repeat, word, bits).view(np.int64)[0]) for word in (one, ~bits.type(sign)))
    return dtype.itemsize, one, keep, 0


def _array(dtype: Any, ndim: int = 1, readonly: bool = True) -> types.Array:
    return types.Array(dtype, ndim, "C", readonly=readonly, aligned=not readonly)


_BYTES, _FOUR = _array(types.uint8), types.UniTuple(types.int64, 4)
_FOURS = types.UniTuple(_FOUR, 3)
_ROOM, _WORDS_TYPE = _array(types.uint8, readonly=False), _array(types.uint64, 2, readonly=False)


@functools.cache
def _rows_kernel(masked: bool, weight: np.dtype[Any] | None) -> Any:
    weight_type = None if weight is None else types.float32 if weight.itemsize == 4 else types.float64
    return count_rows.specialise(
        _BYTES, _BYTES, _BYTES if masked else types.none, types.none if weight is None else _array(weight_type),
        _FOURS, _FOURS, _FOUR, _ROOM, _WORDS_TYPE,
        types.none if weight is None else _array(weight_type, readonly=False),
        _array(types.int64 if weight is None else types.float64, 2, readonly=False), _array(types.int64, readonly=False),
    )  # fmt: skip


@functools.cache
def _interleaved_kernel() -> Any:
    lanes = _array(types.uint8, 2, readonly=False)
    sums = _array(types.int64, 2, readonly=False)
    return count_interleaved.specialise(_BYTES, _BYTES, _FOURS, _FOURS, _FOUR, _ROOM, lanes, lanes, sums)


def _begin(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the first value as bytes: where a kernel begins."""
    return array[0, 0, 0, :1].view(np.uint8)


class MaskCounter:
    """Counts blocks of binary maps, in one thread."""

    def __init__(self) -> None:
        self._room = np.empty(64 * 8, np.uint8)
        self._words: npt.NDArray[Any] | None = None
        self._lanes: npt.NDArray[Any] | None = None

    def count(self, block: MaskBlock) -> MaskTally:
        """Count a block."""
        y_true, y_pred, mask, weight, bfloat16 = block
        samples, channels, rows, length = shape = y_true.shape
        steps = (y_true.strides, y_pred.strides, y_pred.strides if mask is None else mask.strides)
        values = (_values_of(y_true.dtype, bfloat16[0]), _values_of(y_pred.dtype, bfloat16[1]), _BOOL)
        if channels > 1 and length > 1 and y_true.strides[3] != y_true.itemsize:
            return self._count_interleaved(block, steps, values)
        inside: npt.NDArray[np.int64] = np.full(samples, rows * length, np.int64)
        few = begin = None
        if mask is not None:
            begin = _begin(mask)
            values = (*values[:2], (mask.itemsize, *_BOOL[1:]))
        if weight is not None:
            weight = _flat_weight(weight)
            few = np.empty(64, weight.dtype)
        if self._words is None:
            self._words = np.empty((4, _WORDS), np.uint64)
        sums = np.empty((samples * channels, 4), np.int64 if weight is None else np.float64)
        bad = _rows_kernel(mask is not None, None if weight is None else weight.dtype)(
            _begin(y_true), _begin(y_pred), begin, weight, steps, values, shape, self._room, self._words, few, sums, inside
        )  # fmt: skip
        return MaskTally(sums.reshape(samples, channels, 4), inside, bad != 0)

    def _count_interleaved(self, block: MaskBlock, steps: Any, values: Any) -> MaskTally:
        samples, channels, rows, length = shape = block.y_true.shape
        if self._lanes is None:
            self._lanes = np.empty((2, _STRETCH), np.uint8)
        counters = np.empty((3, channels * max(1, _PERIOD // channels)), np.uint8)
        sums = np.empty((samples * channels, 4), np.int64)
        bad = _interleaved_kernel()(
            _begin(block.y_true), _begin(block.y_pred), steps, values, shape, self._room, self._lanes, counters, sums
        )
        inside = np.full(samples, rows * length, np.int64)
        return MaskTally(sums.reshape(samples, channels, 4), inside, bad != 0)


def _flat_weight(weight: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return weights in the order of voxels, of one of two types."""
    kept = weight.dtype.kind == "f" and weight.itemsize >= 4 and weight.dtype.isnative
    with np.errstate(invalid="ignore"):  # signalling NaNs
        return np.ascontiguousarray(weight, None if kept else np.float64).reshape(-1)
