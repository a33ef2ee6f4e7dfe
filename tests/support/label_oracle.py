"""The dumbest possible counting, in plain Python: what every backend must equal."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np


def count_pairs(
    y_true: Any, y_pred: Any, *, ignored: tuple[int, ...] = (), mask: Any = None, weight: Any = None
) -> tuple[Counter[tuple[int, int]], dict[tuple[int, int], float], list[int]]:
    """Return voxels of each pair, summed weights of each pair, and [counted, ignored, outside the mask]."""
    pairs: Counter[tuple[int, int]] = Counter()
    weights: dict[tuple[int, int], float] = {}
    voxels = [0, 0, 0]
    for index in np.ndindex(y_true.shape):
        if mask is not None and not mask[index]:
            voxels[2] += 1
            continue
        true, pred = int(y_true[index]), int(y_pred[index])
        if true in ignored:
            voxels[1] += 1
            continue
        voxels[0] += 1
        pairs[true, pred] += 1
        weights[true, pred] = weights.get((true, pred), 0.0) + (1.0 if weight is None else float(weight[index]))
    return pairs, weights, voxels


def matrix_of(pairs: Any, labels: list[int]) -> list[list[Any]]:
    """Arrange counts of pairs by labels; pairs of other labels are left out."""
    return [[pairs.get((true, pred), 0) for pred in labels] for true in labels]
