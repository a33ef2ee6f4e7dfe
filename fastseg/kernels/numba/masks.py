"""Overlaps of two binary maps, by Numba: bit counts of 64 voxels at a time.

Channels may lie side by side in memory (channels last). Then every value of a period of whole voxels has a byte counter of its
own, so that vectors of values are added to vectors of counters, whatever the number of channels.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import types

from fastseg.kernels.numba.jit import kernel
from fastseg.kernels.numba.simd.lanes import (
    ALL,
    match_lanes,
    nonzero_lanes,
    popcount,
    prefetch_lanes,
    sum_lanes,
    weight_lanes,
)
from fastseg.kernels.protocols.labels import MaskTally, Span

__all__ = ["MaskCounter"]

U = np.uint64
_ZERO, _ONE, _BLOCK = U(0), U(1), U(64)
_AHEAD = U(2048)  # values to prefetch ahead
_PERIOD = 2048  # values side by side that have a byte counter each
_STRETCH = U(512)  # values between prefetches
_MOST_REPEATS = U(255)  # before a byte counter wraps around

# Columns of the sums, as in `MaskTally`.
TP, FP, FN, TN = range(4)


@kernel
def count_overlap(
    y_true: Any,
    y_pred: Any,
    mask: Any,
    weight: Any,
    rows: Any,
    length: Any,
    strides: Any,
    strict: Any,
    sums: Any,
    state: Any,
) -> None:
    """Count one channel: add to sums (4,) and to state (outside, bad); row r of array k starts at r * strides[k]."""
    both = true = predicted = neither = _ZERO
    weight_both = weight_true = weight_predicted = weight_neither = 0.0
    outside = bad = _ZERO
    for row in range(rows):
        at_true, at_pred, at_mask, at_weight = row * strides[0], row * strides[1], row * strides[2], row * strides[3]
        i = _ZERO
        while i + _BLOCK <= length:
            prefetch_lanes(y_true, at_true + i + _AHEAD)
            prefetch_lanes(y_pred, at_pred + i + _AHEAD)
            t, p, inside = nonzero_lanes(y_true, at_true + i), nonzero_lanes(y_pred, at_pred + i), ALL
            if mask is not None:
                inside = nonzero_lanes(mask, at_mask + i)
                outside += _BLOCK - popcount(inside)
                t &= inside
                p &= inside
            if strict[0] != 0:
                bad += popcount(t & ~match_lanes(y_true, at_true + i, np.uint8(1)))
            if strict[1] != 0:
                bad += popcount(p & ~match_lanes(y_pred, at_pred + i, np.uint8(1)))
            if weight is not None:
                bad += popcount(inside & ~weight_lanes(weight, at_weight + i))
                weight_both += sum_lanes(weight, at_weight + i, t & p)
                weight_predicted += sum_lanes(weight, at_weight + i, p & ~t)
                weight_true += sum_lanes(weight, at_weight + i, t & ~p)
                weight_neither += sum_lanes(weight, at_weight + i, inside & ~(t | p))
            else:
                both += popcount(t & p)
                predicted += popcount(p & ~t)
                true += popcount(t & ~p)
                neither += popcount(inside & ~(t | p))
            i += _BLOCK
        while i < length:
            a, b = y_true[at_true + i], y_pred[at_pred + i]
            if mask is not None and mask[at_mask + i] == 0:
                outside += _ONE
                i += _ONE
                continue
            bad += U(strict[0] != 0 and a > 1) + U(strict[1] != 0 and b > 1)
            if weight is not None:
                value = np.float64(weight[at_weight + i])
                bad += U(not (value >= 0 and value < np.inf))
                weight_both += value if a != 0 and b != 0 else 0.0
                weight_predicted += value if a == 0 and b != 0 else 0.0
                weight_true += value if a != 0 and b == 0 else 0.0
                weight_neither += value if a == 0 and b == 0 else 0.0
            else:
                both += U(a != 0 and b != 0)
                predicted += U(a == 0 and b != 0)
                true += U(a != 0 and b == 0)
                neither += U(a == 0 and b == 0)
            i += _ONE
    if weight is not None:
        sums[TP] += weight_both
        sums[FP] += weight_predicted
        sums[FN] += weight_true
        sums[TN] += weight_neither
    else:
        sums[TP] += np.int64(both)
        sums[FP] += np.int64(predicted)
        sums[FN] += np.int64(true)
        sums[TN] += np.int64(neither)
    state[0] += outside
    state[1] += bad


@kernel
def count_interleaved(
    y_true: Any, y_pred: Any, length: Any, channels: Any, strict: Any, both: Any, true: Any, predicted: Any,
    sums: Any, state: Any,
) -> None:  # fmt: skip
    """Count whole voxels of `channels` values side by side: add to sums (C, 4), but for true negatives, and to state.

    `both`, `true` and `predicted` are byte counters for a period of some voxels; they are emptied before they wrap around.
    """
    period = U(both.size)
    i = _ZERO
    while i < length:
        width = min(period, length - i)
        repeats = min(_MOST_REPEATS, (length - i) // width)
        for j in range(width):
            both[j] = true[j] = predicted[j] = 0
        for _ in range(repeats):
            for first in range(_ZERO, width, _STRETCH):
                for j in range(first, first + _STRETCH, _BLOCK):
                    prefetch_lanes(y_true, i + j + _AHEAD)
                    prefetch_lanes(y_pred, i + j + _AHEAD)
                for j in range(first, min(first + _STRETCH, width)):
                    a, b = min(y_true[i + j], np.uint8(1)), min(y_pred[i + j], np.uint8(1))
                    both[j] += a & b
                    true[j] += a
                    predicted[j] += b
            if strict[0] != 0 or strict[1] != 0:
                for j in range(width):
                    wrong = (strict[0] != 0 and y_true[i + j] > 1) or (strict[1] != 0 and y_pred[i + j] > 1)
                    state[1] += U(wrong)
            i += width
        channel = _ZERO
        for j in range(width):
            sums[channel, TP] += np.int64(both[j])
            sums[channel, FP] += np.int64(predicted[j]) - np.int64(both[j])
            sums[channel, FN] += np.int64(true[j]) - np.int64(both[j])
            channel = channel + _ONE if channel + _ONE < channels else _ZERO


def _array(dtype: Any, ndim: int = 1, readonly: bool = True) -> types.Array:
    return types.Array(dtype, ndim, "C", readonly=readonly, aligned=not readonly)


_STRIDES, _STRICT = types.UniTuple(types.uint64, 4), types.UniTuple(types.uint64, 2)
_STATE = _array(types.uint64, readonly=False)


class MaskCounter:
    """Counts binary maps over spans, in one thread."""

    def __init__(self, channels: int, strict: tuple[bool, bool]) -> None:
        self._channels, self._strict = channels, (int(strict[0]), int(strict[1]))

    def __enter__(self) -> MaskCounter:
        channels = self._channels
        self._weighted = False
        self._voxels = 0
        self._state = np.zeros(2, np.uint64)
        self._sums: npt.NDArray[Any] = np.zeros((channels, 4), np.int64)
        if channels > 1:
            period = channels * max(1, _PERIOD // channels)
            self._counters = tuple(np.empty(period, np.uint8) for _ in range(3))
        return self

    def __exit__(self, *_: Any) -> None:
        return None

    def update(self, span: Span) -> bool:
        """Count one span; always True."""
        t, p, mask, weight = span.arrays
        t, p = t.view(np.uint8), p.view(np.uint8)
        byte = _array(types.uint8)
        if self._channels > 1:
            counters = (_array(types.uint8, readonly=False),) * 3
            compiled = count_interleaved.specialise(
                byte,
                byte,
                types.uint64,
                types.uint64,
                _STRICT,
                *counters,
                _array(types.int64, 2, readonly=False),
                _STATE,
            )
            compiled(t, p, span.length, self._channels, self._strict, *self._counters, self._sums, self._state)
            self._voxels += span.length // self._channels
            return True
        if weight is not None and not self._weighted:
            self._weighted, self._sums = True, np.zeros((1, 4), np.float64)
        compiled = count_overlap.specialise(
            byte, byte,
            types.none if mask is None else byte,
            types.none if weight is None else _array(types.float32 if weight.itemsize == 4 else types.float64),
            types.uint64, types.uint64, _STRIDES, _STRICT,
            _array(types.int64 if weight is None else types.float64, readonly=False), _STATE,
        )  # fmt: skip
        mask = None if mask is None else mask.view(np.uint8)
        compiled(t, p, mask, weight, span.rows, span.length, span.strides, self._strict, self._sums[0], self._state)
        self._voxels += span.rows * span.length
        return True

    def take(self, classes: int | None = None) -> MaskTally:
        """Return what was counted since the last call."""
        outside, bad = int(self._state[0]), int(self._state[1])
        if self._channels > 1:
            self._sums[:, TN] = self._voxels - self._sums[:, :TN].sum(1)
        tally = MaskTally(self._sums.copy(), self._voxels, outside, bad)
        self._sums[:] = 0
        self._state[:] = 0
        self._voxels = 0
        return tally
