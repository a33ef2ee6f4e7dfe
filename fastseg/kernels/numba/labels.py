"""Joint counts of two label maps, by Numba: how often each pair of labels occurs, in one read.

Segmentations are long runs. Of every 64 voxels the kernel asks in two vector comparisons whether all of them hold the pair
of labels seen last; if so, it adds 64. Otherwise it takes the distinct pairs of the block one by one, each by the same
comparisons and a bit count: real blocks hold two or three. Blocks with many pairs (noise) go through byte counters that
stay in the first-level cache.

The kernel reads bit patterns, not labels: whatever the type, a pair of small whole numbers indexes a 256×256 table, and
any other pair is a key of a small hash table, looked up only where the pair changes. So no label can index outside a table,
and what is a legal label is decided afterwards, on the few distinct pairs, by the caller.
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
    match_lanes,
    nonzero_lanes,
    popcount,
    prefetch_lanes,
    sum_lanes,
    trailing_zeros,
    uniform_lanes,
    weight_lanes,
)

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
_LOW = U(0x00FF00FF00FF00FF)
_NIBBLES = U(0xF0F0F0F0F0F0F0F0)
_ZERO, _ONE, _FOUR, _EIGHT, _SIXTEEN = U(0), U(1), U(4), U(8), U(16)
_BYTE, _SHORT, _BLOCK = U(255), U(0xFFFF), U(64)

NARROW = 1 << 16  # pairs of labels 0..255 index the table directly, as true << 8 | predicted
SLOTS = 1 << 15  # further pairs: keys of an open-addressing hash table
_NARROW, _SLOT_MASK, _SLOT_SHIFT = U(NARROW), U(SLOTS - 1), U(64 - 15)
_MOST_USED = U(SLOTS // 2)  # above this load the kernel returns, to be emptied

TILE = 512  # voxels of a noisy stretch that are packed and counted at once
_TILE, _TILE_WORDS = U(TILE), U(TILE // 8)
_LONGEST_STRETCH = U(16)  # tiles counted as noise before the next look for constant blocks
_CANDIDATES = U(4)  # distinct pairs tried by comparison before a block counts as noisy
_AHEAD = 2048  # bytes to prefetch ahead of the block in hand: the hardware prefetcher stops at each page

_LONG_ROW = U(16384)  # voxels: shorter rows are prefetched from row to row

# `scratch`, in words: two byte tiles, the packed codes, then 65,536 one-byte counters for pairs of 4-bit codes (two voxels
# at a time) and 65,536 for 8-bit codes.
_PREDICTED_TILE, _CODES, _NIBBLE_COUNTERS, _BYTE_COUNTERS = TILE // 8, TILE // 4, TILE // 2, TILE // 2 + 8192
SCRATCH_WORDS = _BYTE_COUNTERS + 8192

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
    state[USED] += _ONE
    return _NARROW + slot


@device
def _from_nibbles(code: Any) -> Any:
    """Turn a pair of 4-bit labels in one byte into its place in the 256×256 table."""
    return ((code & U(0xF0)) << _FOUR) | (code & U(0x0F))


@device
def _count_stretch(y_true: Any, i: Any, y_pred: Any, j: Any, tiles: Any, counts: Any, scratch: Any, state: Any) -> Any:
    """Count up to `tiles` tiles of 512 voxels, whatever they hold; return the number of voxels counted.

    Stops before a tile with a label that is no whole number in 0..255. (One long function on purpose: Numba counts the
    references of array arguments at each call of a helper, which costs as much as counting a tile.)
    """
    true_words, predicted_words = scratch[:_PREDICTED_TILE], scratch[_PREDICTED_TILE:_CODES]
    true_bytes, predicted_bytes = true_words.view(np.uint8), predicted_words.view(np.uint8)
    codes = scratch[_CODES:_NIBBLE_COUNTERS]
    nibble_counters = scratch[_NIBBLE_COUNTERS:_BYTE_COUNTERS].view(np.uint8)
    byte_counters = scratch[_BYTE_COUNTERS:].view(np.uint8)
    true_ahead, predicted_ahead = U(_AHEAD // y_true.itemsize), U(_AHEAD // y_pred.itemsize)
    done = _ZERO
    for _ in range(tiles):
        for k in range(done, done + _TILE, _BLOCK):
            prefetch_lanes(y_true, i + k + true_ahead)
            prefetch_lanes(y_pred, j + k + predicted_ahead)
        wrong = False
        for k in range(_TILE):  # labels to bytes
            true, predicted = y_true[i + done + k], y_pred[j + done + k]
            true_byte = np.uint8(true if true >= 0 and true <= 255 else 0)
            predicted_byte = np.uint8(predicted if predicted >= 0 and predicted <= 255 else 0)
            true_bytes[k], predicted_bytes[k] = true_byte, predicted_byte
            wrong |= (true_byte != true) | (predicted_byte != predicted)
        if wrong:
            break
        seen = _ZERO
        for k in range(_TILE_WORDS):
            a, b = true_words[k], predicted_words[k]
            seen |= a | b
            codes[k] = (a << _FOUR) | b
        if seen & _NIBBLES == _ZERO:  # labels 0..15: a voxel is one byte, and two voxels are one 16-bit key
            for k in range(_TILE_WORDS):
                word = codes[k]
                for _key in range(4):
                    key = word & _SHORT
                    word = word >> _SIXTEEN
                    bumped = np.uint8(nibble_counters[key] + np.uint8(1))
                    nibble_counters[key] = bumped
                    if bumped == 0:  # a byte that wraps around owes 256 to the table
                        counts[_from_nibbles(key & _BYTE)] += 256
                        counts[_from_nibbles(key >> _EIGHT)] += 256
        else:  # labels 0..255: a voxel is one 16-bit key
            for k in range(_TILE_WORDS):
                a, b = true_words[k], predicted_words[k]
                codes[k + k] = ((a & _LOW) << _EIGHT) | (b & _LOW)
                codes[k + k + _ONE] = (a & ~_LOW) | ((b >> _EIGHT) & _LOW)
            for k in range(_TILE_WORDS + _TILE_WORDS):
                word = codes[k]
                for _key in range(4):
                    key = word & _SHORT
                    word = word >> _SIXTEEN
                    bumped = np.uint8(byte_counters[key] + np.uint8(1))
                    byte_counters[key] = bumped
                    if bumped == 0:
                        counts[key] += 256
        done += _TILE
    state[NOISY] = _ONE
    return done


@kernel
def count_pairs(
    y_true: Any, y_pred: Any, mask: Any, weight: Any, rows: Any, length: Any, strides: Any,
    counts: Any, sums: Any, keys: Any, scratch: Any, state: Any,
) -> None:  # fmt: skip
    """Count the pairs of `rows` rows of `length` voxels; row r of array k starts at element r * strides[k].

    Adds to `counts` (and, with weights, to `sums`), `keys`, `scratch` and `state`. Starts at state[ROW], state[POSITION] and
    ends there: earlier if the hash table is full, so that the caller empties it and calls again.
    """
    true_ahead, predicted_ahead = U(_AHEAD // y_true.itemsize), U(_AHEAD // y_pred.itemsize)
    if rows > _ONE and length < _LONG_ROW:  # what comes next is in a later row
        later = max(_ONE, true_ahead // length)
        true_ahead, predicted_ahead = later * strides[0], later * strides[1]

    row, i = state[ROW], state[POSITION]
    true, predicted = y_true[row * strides[0] + i], y_pred[row * strides[1] + i]
    current = _slot(pair_code(true), pair_code(predicted), keys, state)
    run, weight_run = _ZERO, 0.0
    stretch = _ZERO
    while row < rows:
        at_true, at_pred, at_mask, at_weight = row * strides[0], row * strides[1], row * strides[2], row * strides[3]
        while i < length:
            todo, size = ALL, _BLOCK
            if i + _BLOCK <= length:
                if mask is not None:
                    prefetch_lanes(mask, at_mask + i + U(_AHEAD))
                    todo = nonzero_lanes(mask, at_mask + i)
                    if todo == _ZERO:
                        state[OUTSIDE] += _BLOCK
                        i += _BLOCK
                        continue
                prefetch_lanes(y_true, at_true + i + true_ahead)
                prefetch_lanes(y_pred, at_pred + i + predicted_ahead)
                if mask is None and weight is None:
                    if uniform_lanes(y_true, at_true + i, true) and uniform_lanes(y_pred, at_pred + i, predicted):
                        run += _BLOCK
                        i += _BLOCK
                        continue
                if state[USED] > _MOST_USED:
                    break
                if mask is not None:
                    state[OUTSIDE] += _BLOCK - popcount(todo)
                if weight is not None:
                    prefetch_lanes(weight, at_weight + i + U(_AHEAD // weight.itemsize))
                    state[BAD_WEIGHTS] += popcount(todo & ~weight_lanes(weight, at_weight + i))
                same = match_lanes(y_true, at_true + i, true) & match_lanes(y_pred, at_pred + i, predicted) & todo
                tried = _ZERO
                while True:
                    run += popcount(same)
                    if weight is not None:
                        weight_run += sum_lanes(weight, at_weight + i, same)
                    todo ^= same
                    if todo == _ZERO or tried == _CANDIDATES:
                        break
                    counts[current] += np.int64(run)
                    if weight is not None:
                        sums[current] += weight_run
                    lane = i + trailing_zeros(todo)
                    true, predicted = y_true[at_true + lane], y_pred[at_pred + lane]
                    current = _slot(pair_code(true), pair_code(predicted), keys, state)
                    run, weight_run = _ZERO, 0.0
                    same = match_lanes(y_true, at_true + i, true) & match_lanes(y_pred, at_pred + i, predicted) & todo
                    tried += _ONE
                if todo == _ZERO:
                    i += _BLOCK
                    stretch = _ZERO
                    continue
            else:  # the last voxels of a row
                if state[USED] > _MOST_USED:
                    break
                size = length - i
                todo = ALL >> (_BLOCK - size)
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
            while todo != _ZERO:  # voxel by voxel: the end of a row, and blocks of many pairs
                lane = i + trailing_zeros(todo)
                todo &= todo - _ONE
                if y_true[at_true + lane] != true or y_pred[at_pred + lane] != predicted:
                    counts[current] += np.int64(run)
                    if weight is not None:
                        sums[current] += weight_run
                    true, predicted = y_true[at_true + lane], y_pred[at_pred + lane]
                    current = _slot(pair_code(true), pair_code(predicted), keys, state)
                    run, weight_run = _ZERO, 0.0
                run += _ONE
                if weight is not None:
                    weight_run += np.float64(weight[at_weight + lane])
            i += size
            if mask is None and weight is None and size == _BLOCK:  # a second noisy block in a row starts a stretch
                tiles = min(stretch, (length - i) // _TILE)
                if tiles > _ZERO:
                    i += _count_stretch(y_true, at_true + i, y_pred, at_pred + i, tiles, counts, scratch, state)
                stretch = min(stretch + max(stretch, _ONE), _LONGEST_STRETCH)
        if i < length:
            break
        row, i = row + _ONE, _ZERO
    counts[current] += np.int64(run)
    if weight is not None:
        sums[current] += weight_run
    state[ROW], state[POSITION] = row, i


@kernel
def fold_noise(scratch: Any, counts: Any) -> None:
    """Add the byte counters to the table and clear them."""
    for at in range(U(_NIBBLE_COUNTERS), U(SCRATCH_WORDS)):
        eight = scratch[at]
        if eight == _ZERO:
            continue
        scratch[at] = _ZERO
        packed = at < U(_BYTE_COUNTERS)
        key = (at - U(_NIBBLE_COUNTERS if packed else _BYTE_COUNTERS)) * _EIGHT
        while eight != _ZERO:
            times = np.int64(eight & _BYTE)
            if packed:
                counts[_from_nibbles(key & _BYTE)] += times
                counts[_from_nibbles(key >> _EIGHT)] += times
            else:
                counts[key] += times
            eight >>= _EIGHT
            key += _ONE
