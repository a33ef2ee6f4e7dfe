"""Sums over a tile of voxels, by Numba: of their scores, their probabilities and the truth."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from fastseg.kernels.numba.jit import device
from fastseg.kernels.numba.score_rows import (
    ABSOLUTE,
    BAD,
    BRIER,
    CROSS_ENTROPY,
    DICE,
    FOCAL,
    FOCAL_OTHERS,
    INVERSE,
    LEAST,
    LOSS,
    LOSSES,
    MOST,
    NEGATIVE_LOG,
    PRED,
    PRED_SQUARED,
    RANKS,
    TRUE,
    TRUE_PRED,
    TRUE_SQUARED,
    WANT_BINS,
    WANT_FOCAL,
    WANT_NEGATIVE_LOG,
    WANT_RANKS,
    WEIGHT,
)
from fastseg.kernels.numba.simd.vector_math import exp_scaled, exponent_of, log_of
from fastseg.kernels.numba.simd.vector_memory import load, load_integers, prefetch, store, store_labels
from fastseg.kernels.numba.simd.vectors import (
    above_half,
    bits_count,
    floats,
    integers,
    lane_numbers,
    multiply_add,
    narrow,
    select,
    sum_of,
    widen,
)
from fastseg.kernels.numba.stages import FLOATS, SCORES, SHORTS, SUMS, WORDS, own, stage
from fastseg.kernels.numba.switch import WIDTH

__all__ = ["fill_truth", "power_of", "sum_details", "sum_labels", "sum_losses", "sum_soft"]

U = np.uint64
_ZERO, _ONE, W = U(0), U(1), U(WIDTH)
_AHEAD = U(512)  # voxels to prefetch ahead
_u64, _i64, _f64, _bool = types.uint64, types.int64, types.float64, types.boolean


@stage(SCORES, _u64, _u64, _u64, FLOATS, SHORTS, _u64, _i64, _i64, _u64, SUMS, WORDS)
def sum_labels(
    p: Any, at: Any, n: Any, channels: Any, voxel: Any, codes: Any, code_at: Any, low: Any, high: Any, wanted: Any, sums: Any,
    state: Any, scaled: Any, checked: Any, weighted: Any,
) -> None:  # fmt: skip
    """Add the sums of soft Dice, and of the losses of each true class, for a label map whose codes are low..high."""
    zero = floats(0.0)
    nothing = widen(zero)
    least, most = floats(LEAST), floats(MOST)
    first = _ONE if channels == _ONE else _ZERO
    for c in range(channels):
        code = np.int64(c + first)
        seen = code >= low and code <= high
        if not seen and wanted & DICE == _ZERO and checked is None:
            continue
        target = integers(code)
        total, squares, both, losses = nothing, nothing, nothing, nothing
        good = zero == zero
        i = _ZERO
        while i < n:
            y = narrow(load(p, c, at + i))
            if checked is not None:
                prefetch(p, c, at + i + _AHEAD)
                good = good & (y >= least) & (y <= most)
            if scaled is not None:
                y = y * load(voxel, INVERSE, i)
            z = widen(y)
            weighted_z = z
            if weighted is not None:
                weight = widen(load(voxel, WEIGHT, i))
                weighted_z = weight * z
            total = total + weighted_z
            squares = multiply_add(weighted_z, z, squares)
            if seen:
                here = load_integers(codes, code_at + i) == target
                loss = widen(load(voxel, LOSS, i))
                if weighted is not None:
                    loss = select(weight > nothing, loss * weight, nothing)
                both = both + select(here, weighted_z, nothing)
                losses = losses + select(here, loss, nothing)
            i += W
        sums[PRED, c] += sum_of(total)
        sums[PRED_SQUARED, c] += sum_of(squares)
        if checked is not None:
            state[BAD] += W - bits_count(good)
        if seen:
            sums[TRUE_PRED, c] += sum_of(both)
            if wanted & LOSSES != _ZERO:
                sums[CROSS_ENTROPY, c] += sum_of(losses)


@stage(SCORES, _u64, _u64, _u64, FLOATS, SCORES, _u64, SUMS, WORDS)
def sum_soft(
    p: Any, at: Any, n: Any, channels: Any, voxel: Any, t: Any, t_at: Any, sums: Any, state: Any, scaled: Any, checked: Any,
    weighted: Any,
) -> None:  # fmt: skip
    """Add the sums of soft Dice for a truth that has a probability for every class."""
    zero = floats(0.0)
    nothing = widen(zero)
    least, most = floats(LEAST), floats(MOST)
    for c in range(channels):
        both, total, squares, true, true_squares = nothing, nothing, nothing, nothing, nothing
        good = zero == zero
        i = _ZERO
        while i < n:
            y, u = narrow(load(p, c, at + i)), narrow(load(t, c, t_at + i))
            prefetch(t, c, t_at + i + _AHEAD)
            good = good & (u >= least) & (u <= most)
            if checked is not None:
                prefetch(p, c, at + i + _AHEAD)
                good = good & (y >= least) & (y <= most)
            if scaled is not None:
                y = y * load(voxel, INVERSE, i)
            z, v = widen(y), widen(u)
            if weighted is not None:
                weight = widen(load(voxel, WEIGHT, i))
                weighted_z, weighted_v = z * weight, v * weight
                total, true = total + weighted_z, true + weighted_v
                squares, true_squares = multiply_add(weighted_z, z, squares), multiply_add(weighted_v, v, true_squares)
                both = multiply_add(weighted_z, v, both)
            else:
                total, true = total + z, true + v
                squares, true_squares = multiply_add(z, z, squares), multiply_add(v, v, true_squares)
                both = multiply_add(z, v, both)
            i += W
        sums[TRUE_PRED, c] += sum_of(both)
        sums[PRED, c] += sum_of(total)
        sums[PRED_SQUARED, c] += sum_of(squares)
        sums[TRUE, c] += sum_of(true)
        sums[TRUE_SQUARED, c] += sum_of(true_squares)
        state[BAD] += W - bits_count(good)


@stage(_u64, _u64, SHORTS, _u64, SCORES, _u64, FLOATS, _bool, FLOATS, SHORTS)
def fill_truth(
    n: Any, channels: Any, codes: Any, code_at: Any, t: Any, t_at: Any, voxel: Any, weighted: Any, truth: Any, true_best: Any,
    soft: Any,
) -> None:  # fmt: skip
    """Write the truth as floats, and a weight for every voxel of the tile: 0 past its end."""
    zero, one = floats(0.0), floats(1.0)
    first = _ONE if channels == _ONE else _ZERO
    i = _ZERO
    while i < n:
        live = lane_numbers() + integers(i) < integers(n)
        if not weighted:
            store(voxel, WEIGHT, i, select(live, one, zero))
        if soft is None:
            code = load_integers(codes, code_at + i)
            for c in range(channels):
                store(truth, c, i, select(live & (code == integers(c + first)), one, zero))
            store_labels(true_best, i, code)
        else:
            largest = load(t, _ZERO, t_at + i)
            label = integers(_ZERO)
            if channels == _ONE:
                label = select(above_half(largest), integers(_ONE), label)
            for c in range(channels):
                u = load(t, c, t_at + i)
                higher = u > largest
                largest = select(higher, u, largest)
                label = select(higher, integers(c), label)
                store(truth, c, i, select(live, narrow(u), zero))
            store_labels(true_best, i, label)
        i += W


@stage(_u64, _u64, _bool, FLOATS, FLOATS, FLOATS, FLOATS, SUMS)
def sum_losses(n: Any, channels: Any, binary: Any, logs: Any, others: Any, truth: Any, voxel: Any, sums: Any) -> None:
    """Add cross-entropy from the logarithms of all probabilities."""
    zero, one = floats(0.0), floats(1.0)
    for c in range(channels):
        total = widen(zero)
        i = _ZERO
        while i < n:
            t, weight = load(truth, c, i), load(voxel, WEIGHT, i)
            loss = select(t == zero, zero, t * load(logs, c, i))
            if binary:
                loss = loss + select(t == one, zero, (one - t) * load(others, c, i))
            total = total + widen(select(weight > zero, loss * weight, zero))
            i += W
        sums[CROSS_ENTROPY, c] += sum_of(total)


@device
def power_of(x: Any, exponent: Any) -> Any:
    """Return x to the power `exponent` for floats x from 0 to 1."""
    zero, one = floats(0.0), floats(1.0)
    if exponent == 2.0:  # as nearly always
        x = select(x < one, select(x > zero, x, zero), one)
        return x * x
    y = log_of(x) * floats(exponent)
    if exponent == 0.0:
        y = zero
    y = exp_scaled(y, zero, floats(-104.0), exponent_of(zero, zero))
    return select(x < one, y, one)


@stage(
    SCORES, _u64, _u64, _u64, _bool, FLOATS, FLOATS, FLOATS, FLOATS, FLOATS, FLOATS, SHORTS, SHORTS, _f64, _u64, _bool, SUMS,
    SUMS, own(np.float64, 3),
)  # fmt: skip
def sum_details(
    x: Any, at: Any, n: Any, channels: Any, binary: Any, p: Any, q: Any, logs: Any, others: Any, truth: Any, voxel: Any,
    best: Any, true_best: Any, gamma: Any, wanted: Any, given: Any, sums: Any, top_bins: Any, class_bins: Any,
) -> None:  # fmt: skip
    """Add what is asked for less often, from the probabilities p, q = 1 - p, their logarithms, and the truth."""
    zero, one, half = floats(0.0), floats(1.0), floats(0.5)
    for c in range(channels):
        distance, squares, log, focal, other = widen(zero), widen(zero), widen(zero), widen(zero), widen(zero)
        i = _ZERO
        while i < n:
            y, rest, t, weight = load(p, c, i), load(q, c, i), load(truth, c, i), load(voxel, WEIGHT, i)
            inside = weight > zero
            away = select(t > y, t - y, y - t)
            away = select(t == one, rest, away)
            away = select(away < zero, zero - away, away)
            distance = distance + widen(select(inside, away * weight, zero))
            squares = squares + widen(select(inside, away * away * weight, zero))
            if wanted & WANT_NEGATIVE_LOG != _ZERO:
                value = load(logs, c, i)
                if binary:
                    value = half * value + half * load(others, c, i)
                log = log + widen(select(inside, value * weight, zero))
            if wanted & WANT_FOCAL != _ZERO:
                loss = select(t == zero, zero, t * load(logs, c, i) * power_of(rest, gamma))
                focal = focal + widen(select(inside, loss * weight, zero))
                if binary:
                    loss = select(t == one, zero, (one - t) * load(others, c, i) * power_of(y, gamma))
                    other = other + widen(select(inside, loss * weight, zero))
            i += W
        sums[ABSOLUTE, c] += sum_of(distance)
        sums[BRIER, c] += sum_of(squares)
        sums[NEGATIVE_LOG, c] += sum_of(log)
        sums[FOCAL, c] += sum_of(focal)
        sums[FOCAL_OTHERS, c] += sum_of(other)
    if wanted & WANT_BINS != _ZERO:
        bins = U(top_bins.shape[0])
        for c in range(channels):
            for j in range(n):
                y, t, weight = np.float64(p[c, j]), np.float64(truth[c, j]), np.float64(voxel[WEIGHT, j])
                rest = np.float64(q[c, j])
                if given:  # float32 may be beyond the edge of a bin
                    y = np.float64(x[c, at + j])
                    rest = 1.0 - y
                b = min(U(min(max(y, 0.0), 1.0) * np.float64(bins)), bins - _ONE)
                class_bins[c, b, 0] += weight
                class_bins[c, b, 1] += weight * y
                class_bins[c, b, 2] += weight * t
                if binary:
                    right = np.float64((y > 0.5) == (t > 0.5))
                    y = max(y, rest)
                    b = min(U(min(y, 1.0) * np.float64(bins)), bins - _ONE)
                    top_bins[b, 0] += weight
                    top_bins[b, 1] += weight * y
                    top_bins[b, 2] += weight * right
        if not binary:
            for j in range(n):
                y, weight = np.float64(p[U(best[j]), j]), np.float64(voxel[WEIGHT, j])
                if given:
                    y = np.float64(x[U(best[j]), at + j])
                right = np.float64(best[j] == true_best[j])
                b = min(U(min(max(y, 0.0), 1.0) * np.float64(bins)), bins - _ONE)
                top_bins[b, 0] += weight
                top_bins[b, 1] += weight * y
                top_bins[b, 2] += weight * right
    if wanted & WANT_RANKS != _ZERO:
        i = _ZERO
        while i < n:
            label = load_integers(true_best, i)
            true = load(x, _ZERO, at + i)
            for c in range(channels):
                true = select(label == integers(c), load(x, c, at + i), true)
            rank = integers(_ZERO)
            for c in range(channels):
                z = load(x, c, at + i)
                before = (z > true) | ((z == true) & (integers(c) < label))
                rank = rank + select(before, integers(_ONE), integers(_ZERO))
            store_labels(best, i, rank)  # the most probable labels are not needed any more
            i += W
        for j in range(n):
            sums[RANKS, U(best[j])] += np.float64(voxel[WEIGHT, j])
