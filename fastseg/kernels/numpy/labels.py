"""Counts of labels and of binary maps in NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fastseg.kernels.protocols.labels import Declared, Pairs, Span

__all__ = ["PairCounter", "good_weights", "rows_of"]


def rows_of(span: Span) -> list[npt.NDArray[Any] | None]:
    """Return the span's voxels, row after row, for each of its arrays."""
    return [
        None if array is None else np.concatenate([array[r * step : r * step + span.length] for r in range(span.rows)])
        for array, step in zip(span.arrays, span.strides, strict=True)
    ]


def good_weights(weight: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    with np.errstate(invalid="ignore"):  # signalling NaNs
        return (weight >= 0) & (weight < np.inf)


class PairCounter:
    """Counts pairs over spans with `numpy.unique`."""

    def __init__(self, true_dtype: np.dtype[Any], pred_dtype: np.dtype[Any]) -> None:
        self._dtypes = (true_dtype, pred_dtype)

    def __enter__(self) -> PairCounter:
        self._true, self._pred = (np.empty(0, dtype) for dtype in self._dtypes)
        self._times, self._weights = np.empty(0, np.int64), np.empty(0, np.float64)
        self._weighted, self._outside, self._bad = False, 0, 0
        return self

    def __exit__(self, *_: Any) -> None:
        return None

    def update(self, span: Span) -> bool:
        """Count one span; always True."""
        true, pred, mask, weight = rows_of(span)
        assert true is not None
        assert pred is not None
        if mask is not None:
            inside = mask != 0
            self._outside += int((~inside).sum())
            true, pred = true[inside], pred[inside]
            weight = None if weight is None else weight[inside]
        self._weighted = weight is not None
        values = np.ones(true.size)
        if weight is not None:
            self._bad += int((~good_weights(weight)).sum())
            values = np.where(good_weights(weight), weight, 0).astype(np.float64)
        self._add(true, pred, np.ones(true.size, np.int64), values)
        return True

    def _add(self, true: Any, pred: Any, times: Any, weights: Any) -> None:
        """Add to the pairs so far, and unite equal ones."""
        true, pred = np.concatenate([self._true, true]), np.concatenate([self._pred, pred])
        times, weights = np.concatenate([self._times, times]), np.concatenate([self._weights, weights])
        self._true, i = np.unique(true, return_inverse=True)
        self._pred, j = np.unique(pred, return_inverse=True)
        width = self._pred.size
        codes, pair = np.unique(i.astype(np.int64) * width + j, return_inverse=True)
        self._true, self._pred = self._true[codes // width], self._pred[codes % width]
        self._times, self._weights = np.zeros(codes.size, np.int64), np.zeros(codes.size)
        np.add.at(self._times, pair, times)
        np.add.at(self._weights, pair, weights)

    def take(self, declared: Declared | None = None) -> Pairs:
        """Return what was counted since the last call."""
        weights = self._weights if self._weighted else None
        pairs = Pairs(self._true, self._pred, self._times, weights, self._outside, self._bad)
        self.__enter__()
        return pairs
