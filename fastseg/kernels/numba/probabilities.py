"""Tiles of voxels, by Numba: scores are brought side by side, and turned into probabilities."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from fastseg.kernels.numba.score_rows import BAD, DETAILS, FAR, INVERSE, LABELS, LOGS, LOSS, LOSSES, REST, UNIT_SUM
from fastseg.kernels.numba.simd.vector_math import exp_scaled, exponent_of, floor_of, log_of, minus_log_of, shift_of
from fastseg.kernels.numba.simd.vector_memory import (
    load,
    load_integers,
    load_one,
    prefetch,
    store,
    store_labels,
    transpose_tile,
)
from fastseg.kernels.numba.simd.vectors import (
    above_half,
    below_infinity,
    bits_count,
    complement,
    finite,
    floats,
    integers,
    lane_numbers,
    minus_magnitude,
    narrow,
    select,
    zero_of,
)
from fastseg.kernels.numba.stages import FLOATS, SCORES, SHORTS, TILE, WORDS, stage
from fastseg.kernels.numba.switch import WIDTH

__all__ = ["TO_PROBABILITIES", "convert", "gather", "probability_tile", "sigmoid_tile", "softmax_tile", "transpose"]

U = np.uint64
_ZERO, _ONE, _TWO, W = U(0), U(1), U(2), U(WIDTH)
_AHEAD = U(512)  # voxels to prefetch ahead
_AHEAD_LAST = U(256)  # the same where the classes of a voxel lie side by side
_CLASSES = U(16)  # classes whose exponentials are summed together


_u64, _f64 = types.uint64, types.float64
#: What `softmax_tile`, `sigmoid_tile` and `probability_tile` are called with.
TO_PROBABILITIES = (
    SCORES, _u64, _u64, _u64, SHORTS, _u64, FLOATS, FLOATS, FLOATS, FLOATS, FLOATS, SHORTS, _u64, _f64, _f64, WORDS,
)  # fmt: skip


@stage(SCORES, _u64, WORDS, _u64, _u64, TILE)
def gather(source: Any, start: Any, index: Any, n: Any, channels: Any, tile: Any) -> None:
    """Do tile[c, j] = source[c, start + index[j]], and fill up the last vector with zeros."""
    for c in range(channels):
        for j in range(n):
            tile[c, j] = load_one(source, c, start + index[j])
        for j in range(n, (n + W - _ONE) // W * W):
            tile[c, j] = 0


@stage(SCORES, _u64, _u64, _u64, TILE)
def convert(source: Any, start: Any, n: Any, channels: Any, tile: Any) -> None:
    """Do tile[c, j] = source[c, start + j] where the voxels of a class lie side by side; n is a multiple of WIDTH."""
    for c in range(channels):
        for j in range(_ZERO, n, W):
            prefetch(source, c, start + j + _AHEAD)
            store(tile, c, j, load(source, c, start + j))


@stage(SCORES, _u64, _u64, _u64, TILE)
def transpose(source: Any, start: Any, n: Any, channels: Any, tile: Any) -> None:
    """Do the same where the classes of a voxel lie side by side."""
    # The tile has rows for whole blocks, but the source must not be read past its end: the last block has its own loop.
    last = start + n == U(source.shape[1]) and channels % U(4) != _ZERO
    whole = n - U(16) if last else n
    for j in range(_ZERO, whole, U(16)):
        for k in range(_ZERO, U(16), _TWO):
            for c in range(_ZERO, channels, W):
                prefetch(source, c, start + j + k + _AHEAD_LAST)
        for c in range(_ZERO, channels, U(4)):
            transpose_tile(source, c, start + j, tile, j)
    for j in range(whole, n):
        for c in range(channels):
            tile[c, j] = load_one(source, c, start + j)


@stage(*TO_PROBABILITIES)
def softmax_tile(
    x: Any, at: Any, n: Any, channels: Any, codes: Any, code_at: Any, p: Any, q: Any, logs: Any, others_log: Any, voxel: Any,
    best: Any, wanted: Any, far: Any, tolerance: Any, state: Any, once: Any, details: Any,
) -> None:  # fmt: skip
    """Fill p with unscaled exponentials and `voxel` with their inverse sums; with DETAILS p is scaled, and q is 1 - p.

    Losses and logarithms beyond `far` of scores above -inf are counted in state[FAR]: `far_losses` sums them.
    """
    zero, one, most = floats(0.0), floats(1.0), floats(far)
    bad, beyond = _ZERO, _ZERO
    i = _ZERO
    while i < n:
        code = load_integers(codes, code_at + i)
        largest = load(x, _ZERO, at + i)
        prefetch(x, _ZERO, at + i + _AHEAD)
        first = integers(_ZERO)
        if once is not None:  # numbers that take long to read
            store(p, _ZERO, i, largest)
        for c in range(_ONE, channels):
            z = load(x, c, at + i)
            prefetch(x, c, at + i + _AHEAD)
            higher = z > largest
            largest = select(higher, z, largest)
            first = select(higher, integers(c), first)
            if once is not None:
                store(p, c, i, z)
        shift = shift_of(largest)
        floor, exponent = floor_of(largest, shift), exponent_of(largest, shift)
        top = exp_scaled(largest, shift, floor, exponent)
        others = zero
        true = largest
        for block in range(_ZERO, channels, _CLASSES):  # sums of sums: fewer roundings one after another
            part = zero
            for c in range(block, min(block + _CLASSES, channels)):
                if once is not None:
                    z = load(p, c, i)
                else:
                    z = load(x, c, at + i)
                y = exp_scaled(z, shift, floor, exponent)
                store(p, c, i, y)
                part = part + select(first == integers(c), zero, y)
                true = select(code == integers(c), z, true)
            others = others + part
        live = lane_numbers() + integers(i) < integers(n)
        inverse = select(live, one / (others + top), zero)
        bad += bits_count(inverse != inverse)
        rest = others * inverse
        log = zero
        store(voxel, INVERSE, i, inverse)
        if wanted & (LOSSES | LOGS) != _ZERO:
            log = minus_log_of(top * inverse, rest)
            loss = select(live, narrow(largest - true) + log, zero)
            beyond += bits_count((loss > most) & finite(true))
            store(voxel, LOSS, i, loss)
        store(voxel, REST, i, rest)
        store_labels(best, i, first)
        if details is not None:
            if wanted & LOGS != _ZERO:
                for c in range(channels):
                    z = load(x, c, at + i)
                    loss = narrow(largest - z) + log
                    beyond += bits_count((loss > most) & finite(z))
                    store(logs, c, i, loss)
            if wanted & DETAILS != _ZERO:
                store(voxel, INVERSE, i, select(live, one, zero))
                for c in range(channels):
                    y = load(p, c, i) * inverse
                    store(p, c, i, y)
                    store(q, c, i, select(first == integers(c), rest, one - y))
        i += W
    state[BAD] += bad
    state[FAR] += beyond


@stage(*TO_PROBABILITIES)
def probability_tile(
    x: Any, at: Any, n: Any, channels: Any, codes: Any, code_at: Any, p: Any, q: Any, logs: Any, others: Any, voxel: Any,
    best: Any, wanted: Any, far: Any, tolerance: Any, state: Any, once: Any, details: Any,
) -> None:  # fmt: skip
    """Do what `softmax_tile` does for scores that are probabilities already; `others` is -ln(1 - p)."""
    zero = floats(0.0)
    bad = _ZERO
    i = _ZERO
    while i < n:
        live = lane_numbers() + integers(i) < integers(n)
        if wanted & (LOSSES | LABELS | UNIT_SUM | DETAILS) != _ZERO:
            code = load_integers(codes, code_at + i)
            largest = load(x, _ZERO, at + i)
            true = largest
            total = narrow(largest)
            first = integers(_ZERO)
            for c in range(_ONE, channels):
                z = load(x, c, at + i)
                higher = z > largest
                largest = select(higher, z, largest)
                first = select(higher, integers(c), first)
                true = select(code == integers(c), z, true)
                total = total + narrow(z)
            if channels == _ONE:
                first = select(above_half(largest), integers(_ONE), first)
            if wanted & UNIT_SUM != _ZERO:
                above = total > floats(1.0 + tolerance + 1e-4)
                bad += bits_count(live & (above | (total < floats(1.0 - tolerance - 1e-4))))
            store_labels(best, i, first)
            if wanted & LOSSES != _ZERO:
                store(voxel, LOSS, i, select(live, zero - log_of(true), zero))
        if details is not None:
            if wanted & DETAILS != _ZERO:
                for c in range(channels):
                    z = load(x, c, at + i)
                    store(p, c, i, narrow(z))
                    store(q, c, i, complement(z))
            if wanted & LOGS != _ZERO:
                for c in range(channels):
                    z = load(x, c, at + i)
                    store(logs, c, i, zero - log_of(z))
                    store(others, c, i, zero - log_of(complement(z)))
        i += W
    state[BAD] += bad


@stage(*TO_PROBABILITIES)
def sigmoid_tile(
    x: Any, at: Any, n: Any, channels: Any, codes: Any, code_at: Any, p: Any, q: Any, logs: Any, others: Any, voxel: Any,
    best: Any, wanted: Any, far: Any, tolerance: Any, state: Any, once: Any, details: Any,
) -> None:  # fmt: skip
    """Fill p with probabilities; with DETAILS also q = 1 - p; with LOGS also -ln p and -ln(1 - p).

    Logarithms beyond `far` of scores above -inf are counted in state[FAR]: `far_losses` sums them.
    """
    zero, one, most = floats(0.0), floats(1.0), floats(far)
    bad, beyond = _ZERO, _ZERO
    for c in range(channels):
        i = _ZERO
        while i < n:
            z = load(x, c, at + i)
            prefetch(x, c, at + i + _AHEAD)
            live = lane_numbers() + integers(i) < integers(n)
            nothing = zero_of(z)
            away = minus_magnitude(z)
            small = exp_scaled(away, nothing, floor_of(nothing, nothing), exponent_of(nothing, nothing))
            inverse = one / (one + small)
            positive = narrow(z) > zero
            likely = small * inverse
            bad += bits_count(live) - bits_count(live & below_infinity(z))
            store(p, c, i, select(live, select(positive, inverse, likely), zero))
            if details is not None:
                if wanted & DETAILS != _ZERO:
                    store(q, c, i, select(positive, likely, inverse))
                if wanted & LOGS != _ZERO:
                    log = minus_log_of(inverse, likely)
                    loss = zero - narrow(away) + log
                    beyond += bits_count((loss > most) & finite(z))
                    store(logs, c, i, select(positive, log, loss))
                    store(others, c, i, select(positive, loss, log))
            i += W
    if wanted & LABELS != _ZERO:
        i = _ZERO
        while i < n:
            largest = load(x, _ZERO, at + i)
            first = integers(_ZERO)
            if channels == _ONE:
                first = select(largest > zero_of(largest), integers(_ONE), first)
            for c in range(_ONE, channels):
                z = load(x, c, at + i)
                higher = z > largest
                largest = select(higher, z, largest)
                first = select(higher, integers(c), first)
            store_labels(best, i, first)
            i += W
    state[BAD] += bad
    state[FAR] += beyond
