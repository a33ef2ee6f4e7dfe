"""Joint counts of two maps of many declared classes, by Numba: straight into the table of all pairs of classes.

The hash table of `labels` takes any label, at 15 ns for each voxel of noise. Where classes 0..K-1 are declared and a table of
K×K can be had, a pair's place in it is known without a search.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastseg.kernels.numba.jit import device, kernel
from fastseg.kernels.numba.simd.lanes import change_lanes, popcount, prefetch_lanes, trailing_zeros, uniform_lanes

__all__ = ["STATE_WORDS", "count_declared"]

U = np.uint64
_ZERO, _ONE, _TWO, _BLOCK = U(0), U(1), U(2), U(64)
_FEW_RUNS = U(24)  # runs of a block that are counted each; beyond, its voxels are
_AHEAD = 2048  # bytes to prefetch ahead, as in `labels`

# `state`, in words: voxels that went nowhere else
_OUTSIDE, _IGNORED, _UNDECLARED = range(3)
STATE_WORDS = 3


@device
def _count(true: Any, pred: Any, number: Any, classes: Any, ignored: Any, sums: Any, matrix: Any, state: Any) -> None:
    """Count so many voxels of a pair of codes."""
    for label in ignored:
        if true == label:
            state[_IGNORED] += number
            return
    if true >= classes or pred >= classes:
        state[_UNDECLARED] += number
        return
    sums[true] += np.int64(number)
    sums[classes + pred] += np.int64(number)
    sums[_TWO * classes + true] += np.int64(number) if true == pred else np.int64(0)  # which is no branch
    if matrix.size:
        matrix[true * classes + pred] += np.int64(number)


@kernel
def count_declared(
    y_true: Any, y_pred: Any, mask: Any, rows: Any, length: Any, strides: Any,
    classes: Any, ignored: Any, sums: Any, matrix: Any, state: Any,
) -> None:  # fmt: skip
    """Count the pairs of `rows` rows of `length` voxels; row r of array k starts at element r * strides[k].

    Adds to sums (3 * classes): voxels whose true label it is, whose predicted label it is, and both; to matrix
    (classes * classes) if it is not empty; and to `state`. True labels in `ignored` are not counted.
    """
    true_ahead, predicted_ahead = U(_AHEAD // y_true.itemsize), U(_AHEAD // y_pred.itemsize)
    for row in range(rows):
        at_true, at_pred, at_mask = row * strides[0], row * strides[1], row * strides[2]
        i = _ZERO
        while i < length:
            size = min(_BLOCK, length - i)
            here_true, here_pred = at_true + i, at_pred + i
            i += size
            if mask is None and size == _BLOCK:
                prefetch_lanes(y_true, here_true + true_ahead)
                prefetch_lanes(y_pred, here_pred + predicted_ahead)
                changes = _ZERO
                true, pred = y_true[here_true], y_pred[here_pred]
                if not (uniform_lanes(y_true, here_true, true) and uniform_lanes(y_pred, here_pred, pred)):
                    changes = change_lanes(y_true, here_true) | change_lanes(y_pred, here_pred)
                if popcount(changes) <= _FEW_RUNS:
                    first = _ZERO
                    while first < _BLOCK:
                        after = trailing_zeros(changes) if changes != _ZERO else _BLOCK
                        changes &= changes - _ONE
                        true, pred = U(y_true[here_true + first]), U(y_pred[here_pred + first])
                        _count(true, pred, after - first, classes, ignored, sums, matrix, state)
                        first = after
                    continue
            for k in range(size):
                if mask is not None:
                    if mask[at_mask + i - size + k] == 0:
                        state[_OUTSIDE] += _ONE
                        continue
                true, pred = U(y_true[here_true + k]), U(y_pred[here_pred + k])
                _count(true, pred, _ONE, classes, ignored, sums, matrix, state)
