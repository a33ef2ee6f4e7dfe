"""Runs, by Numba: three columns of pairs, sorted by truth and prediction, each pair once. They are made and merged."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastseg.kernels.numba.jit import kernel

__all__ = ["DIGITS", "merge_runs", "sort_run"]

U = np.uint64
_ZERO, _ONE = U(0), U(1)

#: Values of a digit that a run is sorted by.
DIGITS = 1 << 11
_BITS, _DIGIT = U(11), U(DIGITS - 1)


@kernel
def sort_run(
    true: Any, pred: Any, times: Any, other_true: Any, other_pred: Any, other_times: Any, places: Any, flips: Any
) -> Any:
    """Sort pairs by truth and prediction, add up what is there twice; return how many there are, at the beginning.

    The other columns are as long, and hold anything; `places` has room for DIGITS words. Labels are ordered as unsigned
    numbers once the bits of `flips` are turned: signed ones by turning the first.
    """
    # By one digit after another, the least first; digits that are all alike are most of them, and cost one look.
    size = U(true.size)
    mixed_true, mixed_pred = _ZERO, _ZERO
    for i in range(size):
        mixed_true |= true[i] ^ true[_ZERO]
        mixed_pred |= pred[i] ^ pred[_ZERO]
    moved = False
    for digit in range(U(12)):
        of_pred = digit < U(6)
        shift = (digit if of_pred else digit - U(6)) * _BITS
        if ((mixed_pred if of_pred else mixed_true) >> shift) & _DIGIT == _ZERO:
            continue
        flip = flips[1] if of_pred else flips[0]
        for k in range(U(DIGITS)):
            places[k] = _ZERO
        for i in range(size):
            label = pred[i] if of_pred else true[i]
            places[((label ^ flip) >> shift) & _DIGIT] += _ONE
        place = _ZERO
        for k in range(U(DIGITS)):
            number = places[k]
            places[k] = place
            place += number
        for i in range(size):
            label = pred[i] if of_pred else true[i]
            key = ((label ^ flip) >> shift) & _DIGIT
            at = places[key]
            places[key] = at + _ONE
            other_true[at], other_pred[at], other_times[at] = true[i], pred[i], times[i]
        true, other_true = other_true, true
        pred, other_pred = other_pred, pred
        times, other_times = other_times, times
        moved = not moved
    if moved:
        for i in range(size):
            other_true[i], other_pred[i], other_times[i] = true[i], pred[i], times[i]
        true, pred, times = other_true, other_pred, other_times
    if size == _ZERO:
        return _ZERO
    last = _ZERO
    for i in range(_ONE, size):
        if true[i] == true[last] and pred[i] == pred[last]:
            times[last] += times[i]
        else:
            last += _ONE
            true[last], pred[last], times[last] = true[i], pred[i], times[i]
    return last + _ONE


@kernel
def merge_runs(
    true_a: Any, pred_a: Any, times_a: Any, true_b: Any, pred_b: Any, times_b: Any,
    true: Any, pred: Any, times: Any, flips: Any,
) -> Any:  # fmt: skip
    """Write two runs as one, with room for both; return how long it is."""
    size_a, size_b = U(true_a.size), U(true_b.size)
    flip_true, flip_pred = flips[0], flips[1]
    i, j, k = _ZERO, _ZERO, _ZERO
    while i < size_a and j < size_b:
        # Without a branch: which comes first cannot be foreseen.
        first, second = true_a[i] ^ flip_true, true_b[j] ^ flip_true
        third, fourth = pred_a[i] ^ flip_pred, pred_b[j] ^ flip_pred
        same = first == second
        of_a = (first < second) | (same & (third <= fourth))
        of_b = (first > second) | (same & (third >= fourth))
        chosen = _ZERO - U(of_a)
        true[k] = (true_a[i] & chosen) | (true_b[j] & ~chosen)
        pred[k] = (pred_a[i] & chosen) | (pred_b[j] & ~chosen)
        times[k] = times_a[i] * times.dtype.type(of_a) + times_b[j] * times.dtype.type(of_b)
        i += U(of_a)
        j += U(of_b)
        k += _ONE
    while i < size_a:
        true[k], pred[k], times[k] = true_a[i], pred_a[i], times_a[i]
        i += _ONE
        k += _ONE
    while j < size_b:
        true[k], pred[k], times[k] = true_b[j], pred_b[j], times_b[j]
        j += _ONE
        k += _ONE
    return k
