"""One-hot and argmax of a block in NumPy: slow, obvious, normative."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["argmax_block", "one_hot_block"]

Array = npt.NDArray[Any]


def one_hot_block(codes: npt.NDArray[np.int64], target: Array) -> None:
    """Write 1 where a voxel's code is the channel and 0 elsewhere into (..., C); C and more stand for no class."""
    target[...] = codes[..., None] == np.arange(target.shape[-1])


def argmax_block(scores: Array, target: Array, limit: float | None) -> int:
    """Write the first class of the largest of (..., C) scores, or of one class whether it exceeds `limit`.

    Returns
    -------
    bad : int
        At how many voxels a score is NaN.
    """
    bad = int(np.count_nonzero(np.isnan(scores).any(-1))) if scores.dtype.kind == "f" else 0
    if limit is None:
        target[...] = scores.argmax(-1)
    elif scores.dtype.kind == "f" or math.isinf(limit):
        target[...] = scores[..., 0].astype(np.float64) > limit
    else:
        target[...] = scores[..., 0].astype(f"{scores.dtype.kind.replace('b', 'u')}8") > math.floor(limit)
    return bad
