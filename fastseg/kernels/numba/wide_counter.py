"""The Numba backend's counter of pairs of many declared classes: what the kernel of `wide_labels` writes to."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import types

from fastseg.kernels.numba.wide_labels import STATE_WORDS, count_declared
from fastseg.kernels.protocols.labels import Declared, Span, Square

__all__ = ["DeclaredCounter"]

U = np.uint64
_CODES = {2: types.uint16, 4: types.uint32, 8: types.uint64, 1: types.uint8}


def _array_type(dtype: Any, **options: Any) -> types.Array:
    return types.Array(dtype, 1, "C", **options)


@functools.cache
def _specialise(true_bytes: int, pred_bytes: int, masked: bool) -> Any:
    given: dict[str, Any] = {"readonly": True, "aligned": False}
    maps = (_array_type(_CODES[size], **given) for size in (true_bytes, pred_bytes))
    mask = _array_type(types.uint8, **given) if masked else types.none
    words, numbers = _array_type(types.uint64), _array_type(types.int64)
    return count_declared.specialise(
        *maps, mask, types.uint64, types.uint64, types.UniTuple(types.uint64, 4),
        types.uint64, _array_type(types.uint64, readonly=True), numbers, numbers, words,
    )  # fmt: skip


class DeclaredCounter:
    """Counts pairs of the classes 0..K-1 over spans, in one thread; integers in the machine's byte order, without weights.

    Parameters
    ----------
    true_dtype, pred_dtype
        Of the maps.
    declared
        What is to be counted.
    ignored
        (I,) int64; true labels that are not counted, whatever their size.
    """

    def __init__(
        self, true_dtype: np.dtype[Any], pred_dtype: np.dtype[Any], declared: Declared, ignored: npt.NDArray[np.int64]
    ) -> None:
        self._storage = tuple(np.dtype(f"u{dtype.itemsize}") for dtype in (true_dtype, pred_dtype))
        limits = np.iinfo(true_dtype)
        possible = ignored[(ignored >= limits.min) & (ignored <= limits.max)]
        self._ignored = possible.astype(true_dtype).view(self._storage[0]).astype(U)
        self._classes, self._matrix = declared.classes, declared.matrix
        self._room: tuple[Any, Any, Any] | None = None
        self._voxels = 0

    def _new_room(self) -> tuple[Any, Any, Any]:
        """Return sums, pairs and state that are zero; the table of pairs is what is given away in the end."""
        size = self._classes
        pairs = np.zeros((size, size) if self._matrix else (0, 0), np.int64)
        return np.zeros(3 * size, np.int64), pairs, np.zeros(STATE_WORDS, U)

    def __enter__(self) -> DeclaredCounter:
        return self

    def __exit__(self, *_: Any) -> None:
        return None

    def update(self, span: Span) -> bool:
        """Count one span; always True."""
        (t, p, mask, _), (true_storage, pred_storage) = span.arrays, self._storage
        count = _specialise(true_storage.itemsize, pred_storage.itemsize, mask is not None)
        mask = None if mask is None else mask.view(np.uint8)
        sums, pairs, state = self._room = self._room or self._new_room()
        count(
            t.view(true_storage), p.view(pred_storage), mask, span.rows, span.length, span.strides,
            self._classes, self._ignored, sums, pairs.reshape(-1), state,
        )  # fmt: skip
        self._voxels += span.rows * span.length
        return True

    def take(self, declared: Declared | None = None) -> Square | None:
        """Return what was counted since the last call; None if a label has occurred that is not declared."""
        sums, pairs, state = self._room or self._new_room()
        outside, ignored, undeclared = state.tolist()
        voxels = self._voxels - outside - ignored - undeclared
        self._room, self._voxels = None, 0
        if undeclared:
            return None
        true, pred, hits = sums.reshape(3, self._classes)
        each = np.stack([true, pred, hits, pred - hits, true - hits, voxels - true - pred + hits])
        return Square(each, pairs, voxels, ignored, outside)
