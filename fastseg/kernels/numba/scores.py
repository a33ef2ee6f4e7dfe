"""Sums over scores, by Numba: a tile of voxels at a time, from the scores to every sum that is asked for.

A tile is read where it lies if its voxels lie side by side, class by class, as float32 or float64, and all are looked at; else
it is copied first (channels last: transposed; some voxels left out: gathered; other types: converted). Then come the
probabilities, and last the sums, in registers along a class and in float64, so that how voxels are cut into tiles changes
nothing but the last bits of a double. Each of these is a stage, compiled for itself.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastseg.kernels.numba.far_losses import sum_far_logs, sum_far_losses
from fastseg.kernels.numba.jit import kernel
from fastseg.kernels.numba.probabilities import gather, softmax_tile, transpose
from fastseg.kernels.numba.score_rows import (
    BAD,
    DETAILS,
    FAR,
    FAR_LOG,
    FAR_WEIGHTED,
    LABELS,
    LOG_LOSSES,
    LOGS,
    LOSSES,
    OTHERS,
    SEEN,
    STAGE_DETAILS,
    STAGE_FAR_LOGS,
    STAGE_FAR_LOSSES,
    STAGE_FETCH,
    STAGE_FETCH_TRUTH,
    STAGE_GATHER,
    STAGE_GATHER_TRUTH,
    STAGE_LOSSES,
    STAGE_PROBABILITIES,
    STAGE_SUMS,
    STAGE_TRUTH,
    WEIGHT,
)
from fastseg.kernels.numba.score_sums import fill_truth, sum_details, sum_labels, sum_losses, sum_soft
from fastseg.kernels.numba.simd.vector_memory import load, load_integers, store, store_labels
from fastseg.kernels.numba.simd.vectors import bits_count, floats, integers, narrow, select, sum_of, widen
from fastseg.kernels.numba.switch import WIDTH

__all__ = ["classify", "sum_tiles", "weigh"]

U = np.uint64
_ZERO, _ONE, W = U(0), U(1), U(WIDTH)
# What float32 may round an allowed weight to.
_LEAST, _MOST = 0.99999e-30, 1.00001e30


@kernel
def classify(labels: Any, mask: Any, ignored: Any, count: Any, codes: Any) -> None:
    """Write into codes (V,) the labels below `count`, and -1 for what is not looked at."""
    for i in range(codes.size):
        value = labels[i]
        inside = value >= 0 and value < count
        label = np.int64(value if inside else 0)
        codes[i] = np.int16(label if inside and label == value else -1)
    for other in ignored:
        for i in range(codes.size):
            codes[i] = np.int16(-1) if codes[i] == other else codes[i]
    if mask is not None:
        for i in range(codes.size):
            codes[i] = np.int16(-1) if mask[i] == 0 else codes[i]


@kernel
def weigh(weight: Any, codes: Any, weights: Any, total: Any, state: Any) -> None:
    """Write weights (1, V) as float32, and sum those of voxels that are looked at; codes (V,)."""
    size = U(codes.size)
    whole = size // W * W
    zero = widen(floats(0.0))
    least, most = widen(floats(_LEAST)), widen(floats(_MOST))
    added, bad = zero, _ZERO
    for i in range(_ZERO, whole, W):
        w = widen(load(weight, _ZERO, i))
        here = load_integers(codes, i) >= integers(_ZERO)
        store(weights, _ZERO, i, narrow(w))
        added = added + select(here, w, zero)
        bad += bits_count(here) - bits_count(here & ((w == zero) | ((w >= least) & (w <= most))))
    for i in range(whole, size):
        w = np.float64(weight[_ZERO, i])
        weights[_ZERO, i] = np.float32(w)
        if codes[i] >= 0:
            total[0] += w
            bad += U(not (w == 0.0 or (w >= _LEAST and w <= _MOST)))
    total[0] += sum_of(added)
    state[BAD] += bad


@kernel
def sum_tiles(
    scores: Any, truth: Any, codes: Any, weights: Any, stages: Any, softmax: Any, sigmoid: Any, soft: Any, weighted: Any,
    wanted: Any, tolerance: Any, gamma: Any, tile: Any, tile_view: Any, truth_tile: Any, truth_view: Any, tile_codes: Any,
    index: Any, p: Any, p_view: Any, q: Any, logs: Any, others: Any, floats_true: Any, voxel: Any, best: Any, true_best: Any,
    predicted: Any, true_labels: Any, sums: Any, total: Any, top_bins: Any, class_bins: Any, state: Any,
) -> None:  # fmt: skip
    """Add a span of V voxels with C classes to the sums.

    scores (C, V), truth (C, V) where it is `soft`; codes (V,): the label, -1 where a voxel is not looked at; weights (1, V)
    where it is `weighted`. `tile` to `true_best` are room for a tile; `stages` by the numbers STAGE_... Writes predicted and
    true_labels (V,), and adds to sums, total, bins and state.
    """
    channels, size, room = U(scores.shape[0]), U(scores.shape[1]), U(index.size)
    binary = channels == _ONE or sigmoid
    far = FAR_WEIGHTED if weighted else FAR_LOG
    start = _ZERO
    while start < size:
        n = min(room, size - start)
        low, high = codes[start], codes[start]
        for j in range(start, start + n):
            low, high = min(low, codes[j]), max(high, codes[j])
        if high >= 0:
            whole = low >= 0 and n % W == _ZERO
            row = _ZERO if whole else OTHERS
            count = n
            t, t_at = truth_view, _ZERO
            x, at = tile_view, _ZERO
            c, c_at = tile_codes, _ZERO
            if whole:
                c, c_at = codes, start
                if stages[STAGE_FETCH] == _ZERO:
                    x, at = scores, start
                else:
                    transpose(stages[STAGE_FETCH], scores, start, n, channels, tile)
                if soft:
                    if stages[STAGE_FETCH_TRUTH] == _ZERO:
                        t, t_at = truth, start
                    else:
                        transpose(stages[STAGE_FETCH_TRUTH], truth, start, n, channels, truth_tile)
                if weighted:
                    for j in range(_ZERO, count, W):
                        store(voxel, WEIGHT, j, load(weights, _ZERO, start + j))
            else:
                count = _ZERO
                low = high
                for j in range(n):
                    code = codes[start + j]
                    index[count] = j
                    tile_codes[count] = code
                    low = min(low, code) if code >= 0 else low
                    count += _ONE if code >= 0 else _ZERO
                for j in range(count, (count + W - _ONE) // W * W):
                    tile_codes[j] = -1
                gather(stages[STAGE_GATHER], scores, start, index, count, channels, tile)
                if soft:
                    gather(stages[STAGE_GATHER_TRUTH], truth, start, index, count, channels, truth_tile)
                if weighted:
                    for j in range(count):
                        voxel[WEIGHT, j] = weights[_ZERO, start + index[j]]
                    for j in range(count, (count + W - _ONE) // W * W):
                        voxel[WEIGHT, j] = 0
            state[SEEN] += count
            state[FAR] = 0
            softmax_tile(
                stages[row + STAGE_PROBABILITIES], x, at, count, channels, c, c_at, p, q, logs, others, voxel, best, wanted,
                far, tolerance, state,
            )  # fmt: skip
            if wanted & LABELS != _ZERO:
                if whole:
                    for j in range(_ZERO, count, W):
                        store_labels(predicted, start + j, load_integers(best, j))
                else:
                    for j in range(count):
                        predicted[start + index[j]] = best[j]
            y, y_at = p_view, _ZERO
            if not softmax and not sigmoid:
                y, y_at = x, at
            if soft:
                sum_soft(stages[row + STAGE_SUMS], y, y_at, count, channels, voxel, t, t_at, sums, state)
            else:
                if softmax and state[FAR] != _ZERO and wanted & LOSSES != _ZERO:
                    sum_far_losses(
                        stages[row + STAGE_FAR_LOSSES], x, at, count, channels, c, c_at, voxel, weighted, far, sums
                    )
                sum_labels(
                    stages[row + STAGE_SUMS], y, y_at, count, channels, voxel, c, c_at, low, high, wanted, sums, state
                )
            if stages[row + STAGE_TRUTH] != _ZERO:
                fill_truth(
                    stages[row + STAGE_TRUTH],
                    count,
                    channels,
                    c,
                    c_at,
                    t,
                    t_at,
                    voxel,
                    weighted,
                    floats_true,
                    true_best,
                )
                if soft and wanted & LABELS != _ZERO:
                    for j in range(count):
                        true_labels[start + (j if whole else index[j])] = true_best[j]
            if (softmax or sigmoid) and state[FAR] != _ZERO and wanted & LOGS != _ZERO:
                sum_far_logs(
                    stages[row + STAGE_FAR_LOGS],
                    x,
                    at,
                    count,
                    channels,
                    logs,
                    others,
                    floats_true,
                    voxel,
                    far,
                    wanted,
                    sums,
                )
            if wanted & LOG_LOSSES != _ZERO:
                sum_losses(stages[row + STAGE_LOSSES], count, channels, binary, logs, others, floats_true, voxel, sums)
            if wanted & DETAILS != _ZERO:
                sum_details(
                    stages[row + STAGE_DETAILS], x, at, count, channels, binary, p, q, logs, others, floats_true, voxel, best,
                    true_best, gamma, wanted, not softmax and not sigmoid, sums, top_bins, class_bins,
                )  # fmt: skip
            if not weighted:
                total[0] += np.float64(count)
        start += n
