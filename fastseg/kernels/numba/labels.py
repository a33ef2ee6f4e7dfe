"""Joint counts of two label maps, by Numba: how often each pair of labels occurs, in one read.

Segmentations are long runs. Of every 64 voxels the kernel asks in two vector comparisons whether all of them hold the pair
of labels seen last; if so, it adds 64. If not, two more say where labels change, and the few runs between are counted each.
Where changes are many, the labels are packed to bytes: what is unlike the pair seen last is counted one by one if it is
little, and if not (noise), all 64 voxels go through counters that stay in the first-level cache.

The kernel reads bit patterns, not labels: whatever the type, a pair of small whole numbers indexes a 256×256 table, and
any other pair is a key of a small hash table. So no label can index outside a table, and what is a legal label is decided
afterwards, on the few distinct pairs, by the caller.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types
from numba.extending import overload

from fastseg.kernels.numba.jit import device, kernel
from fastseg.kernels.numba.simd.lanes import (
    ALL,
    as_bits,
    change_lanes,
    match_lanes,
    nonzero_lanes,
    popcount,
    prefetch_lanes,
    sum_lanes,
    trailing_zeros,
    uniform_lanes,
    weight_lanes,
)
from fastseg.kernels.numba.simd.packed import NIBBLES, PACKED_WORDS, WIDE, join_bytes, join_nibbles, pack_lanes

__all__ = [
    "NARROW",
    "ROW",
    "SCRATCH_WORDS",
    "SLOTS",
    "STATE_WORDS",
    "USED",
    "count_pairs",
    "fold_noise",
    "pair_code",
]

U = np.uint64
_ZERO, _ONE, _FOUR, _EIGHT, _SIXTEEN = U(0), U(1), U(4), U(8), U(16)
_BYTE, _SHORT, _BLOCK = U(255), U(0xFFFF), U(64)

NARROW = 1 << 16  # pairs of labels 0..255 index the table directly, as true << 8 | predicted
SLOTS = 1 << 15  # further pairs: keys of an open-addressing hash table
_NARROW, _SLOT_MASK, _SLOT_SHIFT = U(NARROW), U(SLOTS - 1), U(64 - 15)
_MOST_USED = U(SLOTS // 2)  # above this load the kernel returns, to be emptied

_FEW_CHANGES = U(12)  # changes in a block beyond which it may be noise
_FEW_RUNS = U(24)  # runs that are counted each in a block that cannot be: of wide, weighted or masked labels
_FEW = U(12)  # pairs of a block unlike the one before that are counted one by one
_MANY = U(32)  # the same where the choice is between that and one-byte counters, which are slow where a pair repeats
_ALMOST = U(64) - _FEW  # voxels of the last pair of a noisy stretch that end it
_LONGEST_STRETCH = U(128)  # blocks counted as noise before the next look for runs
_AHEAD = 2048  # bytes to prefetch ahead of the block in hand: the hardware prefetcher stops at each page

_LONG_ROW = U(16384)  # voxels: shorter rows are prefetched from row to row

# `scratch`, in words: a block as bytes; 8 × 256 counters for pairs of 4-bit labels; 65,536 one-byte counters. There
# are eight tables because an addition waits for the one before it at the same place.
_HALF, _LAST = U(PACKED_WORDS // 2), U(63)
_TABLES = U(8)
_BYTE_COUNTERS = PACKED_WORDS + 8 * 256
SCRATCH_WORDS = _BYTE_COUNTERS + 8192
_NIBBLES_SEEN, _BYTES_SEEN = U(1), U(2)

# `state`, in words
USED, OUTSIDE, BAD_WEIGHTS, NOISY, ROW, POSITION = range(6)
STATE_WORDS = 6


def pair_code(value: Any) -> Any:
    """Return 0..255 for a whole number in that range, else a code above 255 that `label_counter` turns back into the value."""
    if isinstance(value, np.floating):
        if 0 <= value <= 255 and value == np.floor(value) and as_bits(value) >> U(value.dtype.itemsize * 8 - 1) == 0:
            return U(value)
        return as_bits(value) + U(256) if value == value else U(0xFFFFFFFFFFFFFFFF)
    return U(value)


@overload(pair_code)
def _pair_code(value: Any) -> Any:
    if isinstance(value, types.Float):
        sign = U(value.bitwidth - 1)

        def of_float(value: Any) -> Any:
            # Small denormals have bit patterns below 256, hence the offset; all NaN are one code.
            if value >= 0 and value <= 255 and value == np.floor(value) and as_bits(value) >> sign == _ZERO:
                return U(value)
            return as_bits(value) + U(256) if value == value else ALL

        return of_float

    def of_integer(value: Any) -> Any:
        return U(value)

    return of_integer


@device
def _slot(true_code: Any, predicted_code: Any, keys: Any, state: Any) -> Any:
    """Return where the pair is counted: its place in the table, or its slot of the hash, entered if it is new."""
    if (true_code | predicted_code) <= _BYTE:
        return (true_code << _EIGHT) | predicted_code
    mixed = (true_code * U(0x9E3779B97F4A7C15) ^ predicted_code) * U(0xC2B2AE3D27D4EB4F)
    slot = mixed >> _SLOT_SHIFT
    while keys[slot, 2] != _ZERO:
        if keys[slot, 0] == true_code and keys[slot, 1] == predicted_code:
            return _NARROW + slot
        slot = (slot + _ONE) & _SLOT_MASK
    keys[slot, 0] = true_code
    keys[slot, 1] = predicted_code
    keys[slot, 2] = _ONE
    keys[state[USED], 3] = slot  # so that what is taken need not be searched
    state[USED] += _ONE
    return _NARROW + slot


@device
def _from_nibbles(code: Any) -> Any:
    """Turn a pair of 4-bit labels in one byte into its place in the 256×256 table."""
    return ((code & U(0xF0)) << _FOUR) | (code & U(0x0F))


@kernel
def count_pairs(
    y_true: Any, y_pred: Any, mask: Any, weight: Any, rows: Any, length: Any, strides: Any,
    counts: Any, sums: Any, keys: Any, scratch: Any, state: Any,
) -> None:  # fmt: skip
    """Count the pairs of `rows` rows of `length` voxels; row r of array k starts at element r * strides[k].

    Adds to `counts` (and, with weights, to `sums`), `keys`, `scratch` and `state`. Starts at state[ROW], state[POSITION] and
    ends there: earlier if the hash table is full, so that the caller empties it and calls again.
    """
    # (One long function on purpose: Numba counts the references of array arguments at each call of a helper.)
    packed = scratch[:PACKED_WORDS]
    true_bytes, predicted_bytes = packed[:_HALF].view(np.uint8), packed[_HALF:].view(np.uint8)
    nibble_counters = scratch[PACKED_WORDS:_BYTE_COUNTERS]
    byte_counters = scratch[_BYTE_COUNTERS:].view(np.uint8)
    true_ahead, predicted_ahead = U(_AHEAD // y_true.itemsize), U(_AHEAD // y_pred.itemsize)
    if rows > _ONE and length < _LONG_ROW:  # what comes next is in a later row
        later = max(_ONE, true_ahead // length)
        true_ahead, predicted_ahead = later * strides[0], later * strides[1]

    row, i = state[ROW], state[POSITION]
    true, predicted = y_true[row * strides[0] + i], y_pred[row * strides[1] + i]
    current = _slot(pair_code(true), pair_code(predicted), keys, state)
    run, weight_run = _ZERO, 0.0
    stretch = _ONE
    while row < rows:
        at_true, at_pred, at_mask, at_weight = row * strides[0], row * strides[1], row * strides[2], row * strides[3]
        while i < length:
            if mask is None and weight is None:
                first = i
                while i + _BLOCK <= length:
                    prefetch_lanes(y_true, at_true + i + true_ahead)
                    prefetch_lanes(y_pred, at_pred + i + predicted_ahead)
                    if not (uniform_lanes(y_true, at_true + i, true) and uniform_lanes(y_pred, at_pred + i, predicted)):
                        break
                    i += _BLOCK
                run += i - first
                if i == length:
                    break
            todo, size = ALL, _BLOCK
            if i + _BLOCK > length:  # the last voxels of a row are looked at with some that are counted already
                size = length - i
                if length < _BLOCK:
                    todo = ALL >> (_BLOCK - size)
                else:
                    i = length - _BLOCK
                    todo = ALL << (_BLOCK - size)
            if length >= _BLOCK:
                if mask is not None:
                    prefetch_lanes(mask, at_mask + i + U(_AHEAD))
                    todo &= nonzero_lanes(mask, at_mask + i)
                    if todo == _ZERO:
                        state[OUTSIDE] += size
                        i += _BLOCK
                        continue
                if mask is not None or weight is not None:
                    prefetch_lanes(y_true, at_true + i + true_ahead)
                    prefetch_lanes(y_pred, at_pred + i + predicted_ahead)
                changes = change_lanes(y_true, at_true + i) | change_lanes(y_pred, at_pred + i)
                if weight is None and todo == ALL and popcount(changes) > _FEW_CHANGES:
                    kind = pack_lanes(y_true, at_true + i, y_pred, at_pred + i, packed)
                    if kind < WIDE:
                        same = _ZERO
                        if current < _NARROW:
                            same = match_lanes(true_bytes, _ZERO, np.uint8(current >> _EIGHT))
                            same &= match_lanes(predicted_bytes, _ZERO, np.uint8(current & _BYTE))
                        rest = ~same
                        if popcount(rest) <= (_FEW if kind == NIBBLES else _MANY):
                            run += popcount(same)
                            while rest != _ZERO:
                                lane = trailing_zeros(rest)
                                rest &= rest - _ONE
                                counts[U(true_bytes[lane]) << _EIGHT | U(predicted_bytes[lane])] += 1
                            i += _BLOCK
                            stretch = _ONE
                            continue
                        # Noise: this block, and the next ones without another look, twice as many each time, until one is
                        # almost all of the last pair here.
                        counts[current] += np.int64(run)
                        true = y_true.dtype.type(true_bytes[_LAST])
                        predicted = y_pred.dtype.type(predicted_bytes[_LAST])
                        current, run = U(true_bytes[_LAST]) << _EIGHT | U(predicted_bytes[_LAST]), _ZERO
                        blocks = min(stretch, (length - i) // _BLOCK)
                        stretch = min(stretch + stretch, _LONGEST_STRETCH)
                        while True:
                            if kind == NIBBLES:
                                state[NOISY] |= _NIBBLES_SEEN
                                join_nibbles(packed)
                                for k in range(_HALF):
                                    word = packed[k]
                                    for table in range(_TABLES):
                                        nibble_counters[(word & _BYTE) + (table << _EIGHT)] += _ONE
                                        word >>= _EIGHT
                            else:
                                state[NOISY] |= _BYTES_SEEN
                                join_bytes(packed)
                                for k in range(U(PACKED_WORDS)):
                                    word = packed[k]
                                    for _ in range(4):
                                        key = word & _SHORT
                                        word >>= _SIXTEEN
                                        bumped = np.uint8(byte_counters[key] + np.uint8(1))
                                        byte_counters[key] = bumped
                                        if bumped == 0:  # a byte that wraps around owes 256 to the table
                                            counts[key] += 256
                            i += _BLOCK
                            blocks -= _ONE
                            if blocks == _ZERO:
                                break
                            if mask is not None:
                                if nonzero_lanes(mask, at_mask + i) != ALL:
                                    break
                            prefetch_lanes(y_true, at_true + i + true_ahead)
                            prefetch_lanes(y_pred, at_pred + i + predicted_ahead)
                            kind = pack_lanes(y_true, at_true + i, y_pred, at_pred + i, packed)
                            if kind >= WIDE:
                                break
                            same = match_lanes(true_bytes, _ZERO, np.uint8(current >> _EIGHT))
                            same &= match_lanes(predicted_bytes, _ZERO, np.uint8(current & _BYTE))
                            if popcount(same) >= _ALMOST:
                                break
                        continue
                if state[USED] > _MOST_USED:
                    i += _BLOCK - size
                    break
                if mask is not None:
                    state[OUTSIDE] += size - popcount(todo)
                if weight is not None:
                    prefetch_lanes(weight, at_weight + i + U(_AHEAD // weight.itemsize))
                    state[BAD_WEIGHTS] += popcount(todo & ~weight_lanes(weight, at_weight + i))
                first = _ZERO if popcount(changes) <= _FEW_RUNS else _BLOCK
                while first < _BLOCK:
                    after = trailing_zeros(changes) if changes != _ZERO else _BLOCK
                    changes &= changes - _ONE
                    here = todo & (ALL << first) & (ALL >> (_BLOCK - after))
                    todo ^= here
                    if here != _ZERO:
                        new_true, new_predicted = y_true[at_true + i + first], y_pred[at_pred + i + first]
                        if new_true != true or new_predicted != predicted:
                            counts[current] += np.int64(run)
                            if weight is not None:
                                sums[current] += weight_run
                            true, predicted = new_true, new_predicted
                            current = _slot(pair_code(true), pair_code(predicted), keys, state)
                            run, weight_run = _ZERO, 0.0
                        run += popcount(here)
                        if weight is not None:
                            weight_run += sum_lanes(weight, at_weight + i, here)
                    first = after
                size, stretch = _BLOCK, _ONE
            else:
                if state[USED] > _MOST_USED:
                    break
                if mask is not None:
                    for k in range(size):
                        if mask[at_mask + i + k] == 0:
                            todo ^= _ONE << k
                    state[OUTSIDE] += size - popcount(todo)
                if weight is not None:
                    for k in range(size):
                        value = weight[at_weight + i + k]
                        if (todo >> k) & _ONE and not (value >= 0 and value < np.inf):
                            state[BAD_WEIGHTS] += _ONE
            while todo != _ZERO:
                lane = i + trailing_zeros(todo)
                todo &= todo - _ONE
                place = current
                if y_true[at_true + lane] != true or y_pred[at_pred + lane] != predicted:
                    place = _slot(pair_code(y_true[at_true + lane]), pair_code(y_pred[at_pred + lane]), keys, state)
                counts[place] += 1
                if weight is not None:
                    sums[place] += np.float64(weight[at_weight + lane])
            i += size
        if i < length:
            break
        row, i = row + _ONE, _ZERO
    counts[current] += np.int64(run)
    if weight is not None:
        sums[current] += weight_run
    state[ROW], state[POSITION] = row, i


@kernel
def fold_noise(scratch: Any, counts: Any, seen: Any) -> None:
    """Add the counters of noise to the table and clear them; `seen` is what `state` says of them."""
    if seen & _NIBBLES_SEEN:
        for code in range(U(256)):
            times = _ZERO
            for table in range(_TABLES):
                at = U(PACKED_WORDS) + (table << _EIGHT) + code
                times += scratch[at]
                scratch[at] = _ZERO
            if times != _ZERO:
                counts[_from_nibbles(code)] += np.int64(times)
    if seen & _BYTES_SEEN:
        for word in range(U(SCRATCH_WORDS - _BYTE_COUNTERS)):
            eight = scratch[U(_BYTE_COUNTERS) + word]
            if eight == _ZERO:
                continue
            scratch[U(_BYTE_COUNTERS) + word] = _ZERO
            key = word * _EIGHT
            while eight != _ZERO:
                counts[key] += np.int64(eight & _BYTE)
                eight >>= _EIGHT
                key += _ONE
