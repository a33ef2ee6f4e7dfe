"""Pairs of labels of maps of many labels, by Numba: runs of voxels are entered into a hash table that grows.

Segments are long runs, so the table is asked once for each run, not for each voxel. It stays in the second-level cache: when
it cannot grow any more it is emptied, and what was in it is sorted (`pair_runs`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastseg.kernels.numba.jit import device, kernel
from fastseg.kernels.numba.simd.lanes import (
    ALL,
    change_lanes,
    nonzero_lanes,
    popcount,
    prefetch_lanes,
    trailing_zeros,
    uniform_lanes,
)

__all__ = ["OUTSIDE", "POSITION", "ROW", "STATE_WORDS", "USED", "count_runs", "drain", "rehash"]

U = np.uint64
_ZERO, _ONE, _BLOCK = U(0), U(1), U(64)
_AHEAD = 2048  # bytes to prefetch ahead

# A slot of the table, in words: both labels, the voxels of both (0: the slot is free). The fourth word of row k says where the
# pair was entered that came as the k-th.
_TRUE, _PRED, _TIMES, _ENTERED = map(U, range(4))

# `state`, in words
USED, OUTSIDE, ROW, POSITION = range(4)
STATE_WORDS = 4


@device
def _slot(true: Any, pred: Any, table: Any, mask: Any) -> Any:
    """Return where the pair is, or the free slot where it belongs."""
    mixed = (true * U(0x9E3779B97F4A7C15) ^ pred) * U(0xC2B2AE3D27D4EB4F)
    slot = (mixed >> U(32)) & mask
    while table[slot, _TIMES] != _ZERO and (table[slot, _TRUE] != true or table[slot, _PRED] != pred):
        slot = (slot + _ONE) & mask
    return slot


@kernel
def count_runs(
    y_true: Any, y_pred: Any, mask: Any, rows: Any, length: Any, strides: Any, table: Any, state: Any
) -> None:
    """Count the pairs of `rows` rows of `length` voxels; row r of array k starts at element r * strides[k].

    Starts at state[ROW], state[POSITION] and ends there: earlier if half of the table is full, so that the caller makes room
    and calls again.
    """
    slots = U(table.shape[0])
    most, wrap = slots >> _ONE, slots - _ONE
    true_ahead, pred_ahead = U(_AHEAD // y_true.itemsize), U(_AHEAD // y_pred.itemsize)
    used = state[USED]
    row, i = state[ROW], state[POSITION]
    while row < rows:
        at_true, at_pred, at_mask = row * strides[0], row * strides[1], row * strides[2]
        while i < length and used + _BLOCK <= most:
            size = min(_BLOCK, length - i)
            todo = ALL >> (_BLOCK - size)
            true, pred = y_true[at_true + i], y_pred[at_pred + i]
            if size == _BLOCK:
                prefetch_lanes(y_true, at_true + i + true_ahead)
                prefetch_lanes(y_pred, at_pred + i + pred_ahead)
                if mask is not None:
                    todo = nonzero_lanes(mask, at_mask + i)
                if uniform_lanes(y_true, at_true + i, true) and uniform_lanes(y_pred, at_pred + i, pred):
                    ends = _ZERO
                    if todo == ALL:  # a run may be much longer
                        i += _BLOCK
                        while i + _BLOCK <= length:
                            prefetch_lanes(y_true, at_true + i + true_ahead)
                            prefetch_lanes(y_pred, at_pred + i + pred_ahead)
                            if mask is not None:
                                if nonzero_lanes(mask, at_mask + i) != ALL:
                                    break
                            if not (
                                uniform_lanes(y_true, at_true + i, true) and uniform_lanes(y_pred, at_pred + i, pred)
                            ):
                                break
                            i += _BLOCK
                            size += _BLOCK
                        slot = _slot(U(true), U(pred), table, wrap)
                        if table[slot, _TIMES] == _ZERO:
                            table[slot, _TRUE], table[slot, _PRED] = U(true), U(pred)
                            table[used, _ENTERED] = slot
                            used += _ONE
                        table[slot, _TIMES] += size
                        continue
                else:
                    ends = change_lanes(y_true, at_true + i) | change_lanes(y_pred, at_pred + i)
            else:
                ends = _ZERO
                for k in range(_ONE, size):
                    if y_true[at_true + i + k] != y_true[at_true + i + k - _ONE] or (
                        y_pred[at_pred + i + k] != y_pred[at_pred + i + k - _ONE]
                    ):
                        ends |= _ONE << k
                if mask is not None:
                    for k in range(size):
                        if mask[at_mask + i + k] == 0:
                            todo ^= _ONE << k
            state[OUTSIDE] += size - popcount(todo)
            first = _ZERO
            while first < size:
                after = trailing_zeros(ends) if ends != _ZERO else size
                ends &= ends - _ONE
                number = popcount(todo & (ALL << first) & (ALL >> (_BLOCK - after)))
                if number != _ZERO:
                    new_true, new_pred = U(y_true[at_true + i + first]), U(y_pred[at_pred + i + first])
                    slot = _slot(new_true, new_pred, table, wrap)
                    if table[slot, _TIMES] == _ZERO:
                        table[slot, _TRUE], table[slot, _PRED] = new_true, new_pred
                        table[used, _ENTERED] = slot
                        used += _ONE
                    table[slot, _TIMES] += number
                first = after
            i += size
        if i < length:
            break
        row, i = row + _ONE, _ZERO
    state[USED], state[ROW], state[POSITION] = used, row, i


@kernel
def rehash(table: Any, larger: Any, used: Any) -> None:
    """Enter all pairs of a table into a larger one, which is empty."""
    wrap = U(larger.shape[0]) - _ONE
    for k in range(used):
        slot = table[k, _ENTERED]
        true, pred = table[slot, _TRUE], table[slot, _PRED]
        to = _slot(true, pred, larger, wrap)
        larger[to, _TRUE], larger[to, _PRED], larger[to, _TIMES] = true, pred, table[slot, _TIMES]
        larger[k, _ENTERED] = to


@kernel
def drain(table: Any, used: Any, true: Any, pred: Any, times: Any) -> None:
    """Write the pairs of a table into columns with room for them, and empty it."""
    for k in range(used):
        slot = table[k, _ENTERED]
        true[k], pred[k], times[k] = table[slot, _TRUE], table[slot, _PRED], np.int64(table[slot, _TIMES])
        table[slot, _TIMES] = _ZERO
