"""Arrays of equal values in every memory order."""

from __future__ import annotations

from typing import Any

import numpy as np


def arrange(array: np.ndarray[Any, Any], order: str) -> np.ndarray[Any, Any]:
    """Return an array of equal values in another memory order (of the first value of each row, if broadcast)."""
    array = np.asarray(array)
    if array.ndim == 0:
        return array
    if order == "F":
        return np.asfortranarray(array)
    if order == "transposed":
        axes = tuple(np.roll(range(array.ndim), 1))
        return np.ascontiguousarray(array.transpose(axes)).transpose(np.argsort(axes))
    if order == "sliced":
        wide = np.repeat(array, 2, axis=-1)
        return wide[..., ::2]
    if order == "reversed":
        return np.ascontiguousarray(array[::-1])[::-1]
    if order == "reversed inside":
        return np.ascontiguousarray(array[..., ::-1])[..., ::-1] if array.ndim else array
    if order == "unaligned":
        raw = np.empty(array.nbytes + 1, np.uint8)
        view = raw[1:].view(array.dtype).reshape(array.shape)
        view[...] = array
        return view
    if order == "broadcast":
        return np.broadcast_to(array[..., :1], array.shape) if array.size else array
    array = array.copy()
    array.flags.writeable = order != "read-only"
    return array
