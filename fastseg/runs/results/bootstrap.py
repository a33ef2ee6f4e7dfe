"""Bootstrap intervals over cases: which cases are drawn, sums over them that are exact, and the ends of intervals.

Nothing here knows what the values are.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

__all__ = ["drawn", "interval", "summable"]

Floats = npt.NDArray[np.float64]

NAN = float("nan")

#: Numbers in memory at once while cases are drawn; there are about 40 bytes for each.
_AT_ONCE = 2**20


def drawn(cases: int, resamples: int, seed: int, size: int = 1) -> Iterator[Floats]:
    """Yield how often each case is drawn, (some resamples, cases), in all as many as asked for.

    The same numbers draw the same cases, those that `scipy.stats.bootstrap` draws. Each resample stands for ``size``
    numbers in the caller's memory, if these are more than its cases.
    """
    generator = np.random.default_rng(seed)
    at_once = max(1, _AT_ONCE // max(cases, size, 1))
    for first in range(0, resamples, at_once):
        rows = min(at_once, resamples - first)
        places = generator.integers(0, cases, (rows, cases)) + cases * np.arange(rows)[:, None]
        yield np.bincount(places.reshape(-1), minlength=rows * cases).reshape(rows, cases).astype(np.float64)


def interval(values: Floats, confidence: float) -> tuple[Floats, Floats]:
    """Return the ends of the percentile intervals of the columns of (resamples, M) values, leaving out NaN: (M,) each."""
    tail, ends = (1 - confidence) / 2, np.full((values.shape[1], 2), NAN)
    for k, column in enumerate(values.T):
        defined = column[np.isfinite(column)]
        if defined.size:
            ends[k] = np.quantile(defined, [tail, 1 - tail])
    return ends[:, 0], ends[:, 1]


def summable(columns: Floats) -> Floats:
    """Round each column (N,) so that sums of N of its values, in any order, are exact.

    Notes
    -----
    The sums are taken by matrix products, whose order of summation depends on the number of threads and the processor.
    The values become multiples of a power of 2 which is so large that every partial sum is a float: an absolute error of
    at most N times the largest value, by 2^52. Counts stay as they are where their sums are below 2^52. (Pre-rounding:
    Demmel and Nguyen, Fast Reproducible Floating-Point Summation, ARITH (2013) 163.)
    """
    highest = np.abs(columns).max(0, initial=0.0)
    quantum = np.ldexp(1.0, np.frexp(len(columns) * highest)[1] - 52)
    return np.asarray(np.rint(columns / quantum) * quantum, np.float64)
