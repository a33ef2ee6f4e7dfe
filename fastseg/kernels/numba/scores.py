"""Sums over scores, by Numba: a tile of voxels at a time, from the scores to every sum that is asked for.

A tile is read where it lies if its voxels lie side by side, class by class, and all are looked at; else it is copied first
(channels last: transposed; some voxels left out: gathered). Then come the probabilities, and last the sums, in registers
along a class and in float64, so that how voxels are cut into tiles changes nothing but the last bits of a double.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastseg.kernels.numba.far_losses import sum_far_logs, sum_far_losses
from fastseg.kernels.numba.jit import kernel
from fastseg.kernels.numba.probabilities import gather, probability_tile, sigmoid_tile, softmax_tile, transpose
from fastseg.kernels.numba.score_rows import (
    BAD,
    DETAILS,
    FAR,
    FAR_LOG,
    FAR_WEIGHTED,
    LOG_LOSSES,
    LOGS,
    LOSSES,
    SEEN,
    WEIGHT,
)
from fastseg.kernels.numba.score_sums import fill_truth, sum_details, sum_labels, sum_losses, sum_soft
from fastseg.kernels.numba.simd.vector_memory import load_integers, store_labels
from fastseg.kernels.numba.switch import WIDTH

__all__ = ["classify", "sum_tiles"]

U = np.uint64
_ZERO, _ONE, W = U(0), U(1), U(WIDTH)


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
def sum_tiles(
    scores: Any, direct: Any, truth: Any, truth_direct: Any, codes: Any, weight: Any, softmax: Any, sigmoid: Any, doubles: Any,
    once: Any, wanted: Any, tolerance: Any, gamma: Any, tile: Any, tile_view: Any, truth_tile: Any, truth_view: Any,
    tile_codes: Any, index: Any, p: Any, q: Any, logs: Any, others: Any, floats_true: Any, voxel: Any, best: Any,
    true_best: Any, predicted: Any, true_labels: Any, sums: Any, total: Any, top_bins: Any, class_bins: Any, state: Any,
) -> None:  # fmt: skip
    """Add a span of V voxels with C classes to the sums.

    scores (C, V), truth (C, V) or None; direct, truth_direct: None where the classes of a voxel lie side by side instead of
    the voxels of a class. codes (V,): the label, -1 where a voxel is not looked at. softmax, sigmoid, doubles, once (the
    scores are converted once rather than read twice): None for no. `tile` to `true_best` are room for a tile; q is None where
    only DICE, LOSSES and LABELS of a label map may be wanted. Writes predicted and true_labels (V,), and adds to sums, total,
    bins and state.
    """
    channels, size, room = U(scores.shape[0]), U(scores.shape[1]), U(index.size)
    binary = channels == _ONE or sigmoid is not None
    start = _ZERO
    while start < size:
        n = min(room, size - start)
        low, high = codes[start], codes[start]
        for j in range(start, start + n):
            low, high = min(low, codes[j]), max(high, codes[j])
        if high >= 0:
            whole = low >= 0 and n % W == _ZERO
            count = n
            t, t_at = truth_view, _ZERO
            x, at = tile_view, _ZERO
            c, c_at = tile_codes, _ZERO
            if whole:
                c, c_at = codes, start
                if direct is not None:
                    x, at = scores, start
                else:
                    transpose(scores, start, n, channels, tile)
                if truth is not None:
                    if truth_direct is not None:
                        t, t_at = truth, start
                    else:
                        transpose(truth, start, n, channels, truth_tile)
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
                gather(scores, start, index, count, channels, tile)
                if truth is not None:
                    gather(truth, start, index, count, channels, truth_tile)
            state[SEEN] += count
            weighted = weight is not None
            if weight is not None:
                for j in range(count):
                    w = np.float64(weight[start + (j if whole else index[j])])
                    state[BAD] += U(not (w == 0.0 or (w >= 0.99999e-30 and w <= 1.00001e30)))
                    total[0] += w
                    voxel[WEIGHT, j] = np.float32(w)
                for j in range(count, (count + W - _ONE) // W * W):
                    voxel[WEIGHT, j] = 0
            else:
                total[0] += np.float64(count)
            far = FAR_WEIGHTED if weighted else FAR_LOG
            state[FAR] = 0
            if softmax is not None:
                softmax_tile(x, at, count, channels, c, c_at, p, q, logs, voxel, best, once, wanted, far, state)
                if truth is None and state[FAR] != _ZERO and wanted & LOSSES != _ZERO:
                    sum_far_losses(x, at, count, channels, c, c_at, voxel, weighted, far, sums)
            elif sigmoid is not None:
                sigmoid_tile(x, at, count, channels, p, q, logs, others, best, wanted, far, state)
            else:
                probability_tile(
                    x, at, count, channels, c, c_at, p, q, logs, others, voxel, best, wanted, tolerance, state
                )
            if predicted is not None:
                if whole:
                    for j in range(_ZERO, count, W):
                        store_labels(predicted, start + j, load_integers(best, j))
                else:
                    for j in range(count):
                        predicted[start + index[j]] = best[j]
            if truth is None:
                if softmax is not None:
                    sum_labels(
                        p, _ZERO, count, channels, True, None, voxel, c, c_at, low, high, weighted, wanted, sums, state
                    )
                elif sigmoid is not None:
                    sum_labels(
                        p, _ZERO, count, channels, None, None, voxel, c, c_at, low, high, weighted, wanted, sums, state
                    )
                else:
                    sum_labels(
                        x, at, count, channels, None, True, voxel, c, c_at, low, high, weighted, wanted, sums, state
                    )
                if q is not None:
                    fill_truth(count, channels, c, c_at, None, _ZERO, voxel, weighted, floats_true, true_best)
            else:
                if softmax is not None:
                    sum_soft(p, _ZERO, count, channels, True, None, voxel, t, t_at, weighted, sums, state)
                elif sigmoid is not None:
                    sum_soft(p, _ZERO, count, channels, None, None, voxel, t, t_at, weighted, sums, state)
                else:
                    sum_soft(x, at, count, channels, None, True, voxel, t, t_at, weighted, sums, state)
                if q is not None:
                    fill_truth(count, channels, c, c_at, t, t_at, voxel, weighted, floats_true, true_best)
                    if true_labels is not None:
                        for j in range(count):
                            true_labels[start + (j if whole else index[j])] = true_best[j]
            if q is not None:
                if (softmax is not None or sigmoid is not None) and state[FAR] != _ZERO and wanted & LOGS != _ZERO:
                    sum_far_logs(x, at, count, channels, softmax, logs, others, floats_true, voxel, far, wanted, sums)
                if wanted & LOG_LOSSES != _ZERO:
                    sum_losses(count, channels, binary, logs, others, floats_true, voxel, sums)
                if wanted & DETAILS != _ZERO:
                    if softmax is None and sigmoid is None:
                        sum_details(
                            x, at, count, channels, binary, p, q, logs, others, floats_true, voxel, best, true_best, gamma,
                            wanted, True, doubles, sums, top_bins, class_bins,
                        )  # fmt: skip
                    else:
                        sum_details(
                            x, at, count, channels, binary, p, q, logs, others, floats_true, voxel, best, true_best, gamma,
                            wanted, None, None, sums, top_bins, class_bins,
                        )  # fmt: skip
        start += n
