"""Soft Dice sums of two arrays whose classes lie side by side (channels last), by Numba: without a transposition.

Vectors are read one after another, whatever classes they hold. After C vectors every place of a vector holds its first class
again, so each place of a period of C vectors has sums of its own; the sums of equal classes are added up at the end.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastseg.kernels.numba.jit import kernel
from fastseg.kernels.numba.score_rows import LEAST, MOST
from fastseg.kernels.numba.simd.vector_memory import add_doubles, load_flat, prefetch_flat
from fastseg.kernels.numba.simd.vectors import bits_count, floats, multiply_add, narrow, widen
from fastseg.kernels.numba.switch import WIDTH

__all__ = ["PERIOD_ROWS", "sum_interleaved"]

U = np.uint64
_ZERO, _ONE, W = U(0), U(1), U(WIDTH)
_AHEAD = U(1024)  # numbers to prefetch ahead
# Rows of the period: Σ p·t, Σ p, Σ p², Σ t, Σ t².
PERIOD_ROWS = 5


@kernel
def sum_interleaved(scores: Any, truth: Any, channels: Any, size: Any, period: Any, state: Any) -> None:
    """Add to period (5, C · WIDTH) the products of `size` numbers of each array; bad ones are counted in state[0]."""
    least, most = floats(LEAST), floats(MOST)
    step = channels * W
    good = least == least
    whole = size // step * step
    # A stretch of each place at a time: its sums stay in registers, and the stretch in the first-level cache.
    stretch = step * max(_ONE, U(4096) // step)
    start = _ZERO
    while start < whole:
        end = min(start + stretch, whole)
        for k in range(channels):
            nothing = widen(floats(0.0))
            both, total, squares, true, true_squares = nothing, nothing, nothing, nothing, nothing
            i = start + k * W
            while i < end:
                p, t = narrow(load_flat(scores, i)), narrow(load_flat(truth, i))
                prefetch_flat(scores, i + stretch)
                prefetch_flat(truth, i + stretch)
                good = good & (p >= least) & (p <= most) & (t >= least) & (t <= most)
                y, u = widen(p), widen(t)
                total, true = total + y, true + u
                squares, true_squares = multiply_add(y, y, squares), multiply_add(u, u, true_squares)
                both = multiply_add(y, u, both)
                i += step
            add_doubles(period, _ZERO, k * W, both)
            add_doubles(period, U(1), k * W, total)
            add_doubles(period, U(2), k * W, squares)
            add_doubles(period, U(3), k * W, true)
            add_doubles(period, U(4), k * W, true_squares)
        start = end
    state[0] += W - bits_count(good)
    for j in range(whole, size):
        place = j - whole
        y, u = np.float64(scores[j]), np.float64(truth[j])
        state[0] += U(not (y >= LEAST and y <= MOST and u >= LEAST and u <= MOST))
        period[0, place] += y * u
        period[1, place] += y
        period[2, place] += y * y
        period[3, place] += u
        period[4, place] += u * u
