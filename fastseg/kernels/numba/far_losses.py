"""Losses that float32 does not hold, by Numba: of logits that lie further apart than its range, summed in float64.

The tile's losses and logarithms of probabilities are float32, which hold them to a relative error of 6e-8 up to 3.4e38. What
lies beyond is as exact as the difference of two logits, or the magnitude of one: the other terms of the logarithm are far
below its last bit. Such losses are rare; they are added up here and made 0 in the tile, so that the loops over all voxels
need no wider numbers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from fastseg.kernels.numba.jit import device
from fastseg.kernels.numba.score_rows import (
    CROSS_ENTROPY,
    FOCAL,
    FOCAL_OTHERS,
    LOG_LOSSES,
    LOSS,
    NEGATIVE_LOG,
    WANT_FOCAL,
    WANT_NEGATIVE_LOG,
    WEIGHT,
)
from fastseg.kernels.numba.simd.vector_memory import load, load_integers, store
from fastseg.kernels.numba.simd.vectors import finite, floats, integers, minus_magnitude, select, sum_of, widen
from fastseg.kernels.numba.stages import FLOATS, SCORES, SHORTS, SUMS, stage
from fastseg.kernels.numba.switch import WIDTH

__all__ = ["sum_far_logs", "sum_far_losses"]

U = np.uint64
_ZERO, _ONE, W = U(0), U(1), U(WIDTH)
_u64 = types.uint64


@device
def _largest(x: Any, at: Any, i: Any, channels: Any) -> Any:
    largest = widen(load(x, _ZERO, at + i))
    for c in range(_ONE, channels):
        z = widen(load(x, c, at + i))
        largest = select(z > largest, z, largest)
    return largest


@stage(SCORES, _u64, _u64, _u64, SHORTS, _u64, FLOATS, types.boolean, types.float64, SUMS)
def sum_far_losses(
    x: Any, at: Any, n: Any, channels: Any, codes: Any, code_at: Any, voxel: Any, weighted: Any, far: Any, sums: Any
) -> None:
    """Add the cross-entropy of true classes whose LOSS is beyond `far`, and make it 0. Softmax of label maps."""
    zero, most = floats(0.0), floats(far)
    nothing, one = widen(zero), widen(floats(1.0))
    i = _ZERO
    while i < n:
        code = load_integers(codes, code_at + i)
        loss = load(voxel, LOSS, i)
        largest = _largest(x, at, i, channels)
        weight = one
        if weighted:
            weight = widen(load(voxel, WEIGHT, i))
        summed = zero > zero
        for c in range(channels):
            z = load(x, c, at + i)
            here = (loss > most) & (code == integers(c)) & finite(z)
            away = select(here & (weight > nothing), largest - widen(z), nothing)
            sums[CROSS_ENTROPY, c] += sum_of(away * weight)
            summed = summed | here
        store(voxel, LOSS, i, select(summed, zero, loss))
        i += W


@stage(SCORES, _u64, _u64, _u64, FLOATS, FLOATS, FLOATS, FLOATS, types.float64, _u64, SUMS)
def sum_far_logs(
    x: Any, at: Any, n: Any, channels: Any, logs: Any, others: Any, truth: Any, voxel: Any, far: Any, wanted: Any, sums: Any,
    softmax: Any,
) -> None:  # fmt: skip
    """Add what is made of logarithms beyond `far`, and make them 0; factors of the focal loss are 1 there."""
    zero, most = floats(0.0), floats(far)
    nothing, one, half = widen(zero), widen(floats(1.0)), widen(floats(0.5))
    i = _ZERO
    while i < n:
        weight = widen(load(voxel, WEIGHT, i))
        inside = weight > nothing
        largest = _largest(x, at, i, channels)
        for c in range(channels):
            z, t = load(x, c, at + i), widen(load(truth, c, i))
            here = (load(logs, c, i) > most) & finite(z)
            if softmax is not None:
                away = select(here & inside, largest - widen(z), nothing)
                loss, other, log = t * away, nothing, away
            else:
                there = (load(others, c, i) > most) & finite(z)
                magnitude = nothing - widen(minus_magnitude(z))
                away, away_other = select(here & inside, magnitude, nothing), select(there & inside, magnitude, nothing)
                loss, other, log = t * away, (one - t) * away_other, half * away + half * away_other
                store(others, c, i, select(there, zero, load(others, c, i)))
            store(logs, c, i, select(here, zero, load(logs, c, i)))
            if wanted & LOG_LOSSES != _ZERO:
                sums[CROSS_ENTROPY, c] += sum_of((loss + other) * weight)
            if wanted & WANT_NEGATIVE_LOG != _ZERO:
                sums[NEGATIVE_LOG, c] += sum_of(log * weight)
            if wanted & WANT_FOCAL != _ZERO:
                sums[FOCAL, c] += sum_of(loss * weight)
                sums[FOCAL_OTHERS, c] += sum_of(other * weight)
        i += W
