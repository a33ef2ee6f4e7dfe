"""Overlaps of two binary maps, by Numba: bit counts of 64 voxels at a time.

Channels may lie side by side in memory (channels last). A block of 64 values then holds several channels at fixed lanes, or,
where there are many channels, the few set values are looked at one by one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import types

from fastseg.kernels.jit import kernel
from fastseg.kernels.lanes import (
    ALL,
    match_lanes,
    nonzero_lanes,
    popcount,
    prefetch_lanes,
    sum_lanes,
    trailing_zeros,
    weight_lanes,
)
from fastseg.pairs import MaskTally, Span

__all__ = ["MaskCounter"]

U = np.uint64
_ZERO, _ONE, _BLOCK = U(0), U(1), U(64)
_AHEAD = U(2048)  # values to prefetch ahead
_FEW = 8  # up to this many interleaved channels are counted by lanes

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
    y_true: Any, y_pred: Any, length: Any, channels: Any, lanes: Any, channel: Any, strict: Any, sums: Any, state: Any
) -> None:
    """Count whole voxels of `channels` values side by side: add to sums (C, 4), but for true negatives, and to state (-, bad).

    `lanes` holds for each of `channels` successive blocks and each channel the lanes that it has there, or is empty; then
    `channel` says for each offset below channels + 64 which channel it is.
    """
    i = block = _ZERO
    few = lanes.shape[0] > 0
    while i < length:
        if i + _BLOCK <= length:
            prefetch_lanes(y_true, i + _AHEAD)
            prefetch_lanes(y_pred, i + _AHEAD)
            t, p = nonzero_lanes(y_true, i), nonzero_lanes(y_pred, i)
            if strict[0] != 0:
                state[1] += popcount(t & ~match_lanes(y_true, i, np.uint8(1)))
            if strict[1] != 0:
                state[1] += popcount(p & ~match_lanes(y_pred, i, np.uint8(1)))
        else:
            t = p = _ZERO
            for k in range(length - i):
                a, b = y_true[i + k], y_pred[i + k]
                t |= U(a != 0) << k
                p |= U(b != 0) << k
                state[1] += U(strict[0] != 0 and a > 1) + U(strict[1] != 0 and b > 1)
        if few:
            for c in range(channels):
                own = lanes[block, c]
                sums[c, TP] += np.int64(popcount(t & p & own))
                sums[c, FP] += np.int64(popcount(p & ~t & own))
                sums[c, FN] += np.int64(popcount(t & ~p & own))
        else:
            first = i % channels
            word = t | p
            while word != _ZERO:
                lane = trailing_zeros(word)
                word &= word - _ONE
                c = channel[first + lane]
                in_true, in_pred = (t >> lane) & _ONE, (p >> lane) & _ONE
                sums[c, TP] += np.int64(in_true & in_pred)
                sums[c, FP] += np.int64(in_pred & ~in_true)
                sums[c, FN] += np.int64(in_true & ~in_pred)
        block = block + _ONE if block + _ONE < channels else _ZERO
        i += _BLOCK


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
            offsets = np.arange(channels + 64) % channels
            self._channel = offsets.astype(np.uint64)
            lanes = np.zeros((channels, channels) if channels <= _FEW else (0, 0), np.uint64)
            for block in range(lanes.shape[0]):
                for lane in range(64):
                    lanes[block, (block * 64 + lane) % channels] |= U(1) << U(lane)
            self._lanes = lanes
        return self

    def __exit__(self, *_: Any) -> None:
        return None

    def update(self, span: Span) -> bool:
        """Count one span; always True."""
        t, p, mask, weight = span.arrays
        t, p = t.view(np.uint8), p.view(np.uint8)
        byte = _array(types.uint8)
        if self._channels > 1:
            compiled = count_interleaved.specialise(
                byte, byte, types.uint64, types.uint64, _array(types.uint64, 2), _array(types.uint64), _STRICT,
                _array(types.int64, 2, readonly=False), _STATE,
            )  # fmt: skip
            compiled(
                t, p, span.length, self._channels, self._lanes, self._channel, self._strict, self._sums, self._state
            )
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
