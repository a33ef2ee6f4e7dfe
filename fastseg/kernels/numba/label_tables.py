"""Reading and clearing the table of small labels, by Numba."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastseg.kernels.numba.jit import kernel

__all__ = ["take_square"]

U = np.uint64
_ZERO, _EIGHT, _WIDTH = U(0), U(8), U(256)
# Rows of the sums: voxels whose true label it is, whose predicted label it is, and both; and what follows from these.
_TRUE, _PRED, _HITS, _FP, _FN, _TN = map(U, range(6))


@kernel
def take_square(counts: Any, size: Any, ignored: Any, voxels: Any, sums: Any, matrix: Any) -> Any:
    """Take the pairs of labels below `size`, and all whose true label is ignored, out of the table `counts`.

    Returns the number of ignored voxels; or -1, having changed nothing, unless these pairs are all `voxels`. Adds to sums
    (6, size), which are zeros; writes matrix (size, size) if it is not empty.
    """
    found = missed = np.int64(0)
    for row in range(size):
        for place in range(row << _EIGHT, (row << _EIGHT) + size):
            found += counts[place]
    for label in ignored:
        for place in range(label << _EIGHT, (label << _EIGHT) + _WIDTH):
            missed += counts[place]
            if label >= size or (place & U(255)) >= size:
                found += counts[place]
    if found != voxels:
        return np.int64(-1)
    for label in ignored:
        for place in range(label << _EIGHT, (label << _EIGHT) + _WIDTH):
            counts[place] = 0
    wanted, taken = matrix.shape[0] != 0, np.int64(0)
    for row in range(size):
        at, total = row << _EIGHT, np.int64(0)
        for column in range(size):
            number = counts[at + column]
            total += number
            sums[_PRED, column] += number
        sums[_TRUE, row] += total
        taken += total
        sums[_HITS, row] += counts[at + row]
        if wanted:
            for column in range(size):
                matrix[row, column] = counts[at + column]
        for column in range(size):
            counts[at + column] = 0
    for label in range(size):
        true, pred, hits = sums[_TRUE, label], sums[_PRED, label], sums[_HITS, label]
        sums[_FP, label], sums[_FN, label], sums[_TN, label] = pred - hits, true - hits, taken - true - pred + hits
    return missed
