"""Pairs of labels of maps of many labels, by Numba: runs of voxels are entered into a hash table that grows.

Segments are long runs, so the table is asked once for each run, not for each voxel; and for some runs at once, so that no
question waits for the answer to the one before. It stays in the caches: when it cannot grow any more it is emptied, and what
was in it is sorted (`pair_runs`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastseg.kernels.numba.jit import device, kernel
from fastseg.kernels.numba.simd.lanes import (
    change_lanes,
    nonzero_lanes,
    prefetch_lanes,
    prefetch_line,
    trailing_zeros,
    uniform_lanes,
)

__all__ = ["BATCH_SHAPE", "OUTSIDE", "POSITION", "ROW", "STATE_WORDS", "USED", "count_runs", "drain", "rehash"]

U = np.uint64
_ZERO, _ONE, _TWO, _BLOCK = U(0), U(1), U(2), U(64)
_AHEAD = 2048  # bytes to prefetch ahead

# A slot of the table, in words: both labels, the voxels of both (0: the slot is free). The fourth word of row k says where the
# pair was entered that came as the k-th: as all places are, in words. Two slots are a line of the cache, and are looked at
# together.
_TRUE, _PRED, _TIMES, _ENTERED = map(U, range(4))
_SLOT, _LINE = U(4), U(8)

#: Runs that are looked up together, but for those of the last block. More do not stay in the first-level cache.
_BATCH = U(32)
#: Of each: where it begins, its labels, and where it is looked for; and where the last ends.
BATCH_SHAPE = (4, 32 + 64 + 1)

# `state`, in words
USED, OUTSIDE, ROW, POSITION = range(4)
STATE_WORDS = 4


@device
def _home(true: Any, pred: Any, wrap: Any) -> Any:
    """Return the first of the two slots where the pair is looked for first; `wrap` is the last word of the table."""
    mixed = (true * U(0x9E3779B97F4A7C15) ^ pred) * U(0xC2B2AE3D27D4EB4F)
    return (mixed >> U(32) << U(3)) & wrap


@device
def _slot(true: Any, pred: Any, slot: Any, table: Any, wrap: Any) -> Any:
    """Return where the pair is, or the free slot where it belongs; `slot` is its home.

    A free slot still has the labels that it had before the table was emptied. To find them is to find where they belong: they
    are in a later slot only if all before it are taken.
    """
    while True:
        # Without a branch: which of the two it is cannot be foreseen.
        first = (table[slot + _TRUE] ^ true) | (table[slot + _PRED] ^ pred)
        second = (table[slot + _SLOT + _TRUE] ^ true) | (table[slot + _SLOT + _PRED] ^ pred)
        if min(first, second) == _ZERO:
            return slot + (U(first != _ZERO) << _TWO)
        if table[slot + _TIMES] == _ZERO:
            return slot
        if table[slot + _SLOT + _TIMES] == _ZERO:
            return slot + _SLOT
        slot = (slot + _LINE) & wrap


@kernel
def count_runs(
    y_true: Any, y_pred: Any, mask: Any, rows: Any, length: Any, strides: Any, table: Any, state: Any, batch: Any
) -> None:
    """Count the pairs of `rows` rows of `length` voxels; row r of array k starts at element r * strides[k].

    Starts at state[ROW], state[POSITION] and ends there: earlier if half of the table is nearly full, so that the caller makes
    room and calls again. `batch`, of BATCH_SHAPE, holds anything.
    """
    most, wrap = U(table.size) >> U(3), U(table.size) - _ONE
    true_ahead, pred_ahead = U(_AHEAD // y_true.itemsize), U(_AHEAD // y_pred.itemsize)
    starts, trues, preds, slots = batch[0], batch[1], batch[2], batch[3]
    used = state[USED]
    row, i = state[ROW], state[POSITION]
    while row < rows and used + _BATCH + _BLOCK <= most:
        at_true, at_pred, at_mask = row * strides[0], row * strides[1], row * strides[2]
        # Runs begin here, and wherever something is unlike the voxel before.
        first, number = i, _ZERO
        while i < length and number < _BATCH:
            size = min(_BLOCK, length - i)
            before = i - U(i != first)
            true, pred = y_true[at_true + before], y_pred[at_pred + before]
            changes = U(i == first) | U(y_true[at_true + i] != true) | U(y_pred[at_pred + i] != pred)
            if mask is not None:
                changes |= U((mask[at_mask + before] != 0) != (mask[at_mask + i] != 0))
            if size == _BLOCK:
                prefetch_lanes(y_true, at_true + i + true_ahead)
                prefetch_lanes(y_pred, at_pred + i + pred_ahead)
                if not (uniform_lanes(y_true, at_true + i, true) and uniform_lanes(y_pred, at_pred + i, pred)):
                    changes |= change_lanes(y_true, at_true + i) | change_lanes(y_pred, at_pred + i)
                if mask is not None:
                    inside = nonzero_lanes(mask, at_mask + i)
                    changes |= (inside ^ (inside << _ONE)) & ~_ONE
            else:
                for k in range(_ONE, size):
                    here = i + k
                    change = (y_true[at_true + here] != y_true[at_true + here - _ONE]) | (
                        y_pred[at_pred + here] != y_pred[at_pred + here - _ONE]
                    )
                    if mask is not None:
                        change |= (mask[at_mask + here] != 0) != (mask[at_mask + here - _ONE] != 0)
                    changes |= U(change) << k
            while changes != _ZERO:
                at = i + trailing_zeros(changes)
                starts[number], trues[number], preds[number] = at, U(y_true[at_true + at]), U(y_pred[at_pred + at])
                number += _ONE
                changes &= changes - _ONE
            i += size
        starts[number] = i
        for k in range(number):  # several at once, by vectors
            slots[k] = _home(trues[k], preds[k], wrap)
        for k in range(number):
            prefetch_line(table, slots[k])
        for k in range(number):
            at = starts[k]
            size = starts[k + _ONE] - at
            if mask is not None:
                if mask[at_mask + at] == 0:
                    state[OUTSIDE] += size
                    continue
            slot = _slot(trues[k], preds[k], slots[k], table, wrap)
            if table[slot + _TIMES] == _ZERO:
                table[slot + _TRUE], table[slot + _PRED] = trues[k], preds[k]
                table[used * _SLOT + _ENTERED] = slot
                used += _ONE
            table[slot + _TIMES] += size
        if i >= length:
            row, i = row + _ONE, _ZERO
    state[USED], state[ROW], state[POSITION] = used, row, i


@kernel
def rehash(table: Any, larger: Any, used: Any) -> None:
    """Enter all pairs of a table into a larger one, which is empty."""
    wrap = U(larger.size) - _ONE
    for k in range(used):
        slot = table[k * _SLOT + _ENTERED]
        true, pred = table[slot + _TRUE], table[slot + _PRED]
        to = _slot(true, pred, _home(true, pred, wrap), larger, wrap)
        larger[to + _TRUE], larger[to + _PRED], larger[to + _TIMES] = true, pred, table[slot + _TIMES]
        larger[k * _SLOT + _ENTERED] = to


@kernel
def drain(table: Any, used: Any, true: Any, pred: Any, times: Any) -> None:
    """Write the pairs of a table into columns with room for them, and empty it."""
    for k in range(used):
        slot = table[k * _SLOT + _ENTERED]
        true[k], pred[k], times[k] = table[slot + _TRUE], table[slot + _PRED], np.int64(table[slot + _TIMES])
        table[slot + _TIMES] = _ZERO
