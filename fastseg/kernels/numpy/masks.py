"""Counts of binary maps in NumPy: slow, obvious, normative."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fastseg.kernels.numpy.labels import good_weights, rows_of
from fastseg.kernels.protocols.labels import MaskTally, Span

__all__ = ["MaskCounter"]


class MaskCounter:
    """Counts binary maps with C interleaved channels by boolean arithmetic."""

    def __init__(self, channels: int, strict: tuple[bool, bool]) -> None:
        self._channels, self._strict = channels, strict

    def __enter__(self) -> MaskCounter:
        self._sums: npt.NDArray[Any] = np.zeros((self._channels, 4), np.int64)
        self._voxels = self._outside = self._bad = 0
        return self

    def __exit__(self, *_: Any) -> None:
        return None

    def update(self, span: Span) -> bool:
        """Count one span of whole voxels; always True."""
        true, pred, mask, weight = rows_of(span)
        assert true is not None
        assert pred is not None
        t, p = (a.view(np.uint8).reshape(-1, self._channels) for a in (true, pred))
        inside = np.ones(len(t), bool) if mask is None else mask != 0
        for values, strict in zip((t, p), self._strict, strict=True):
            self._bad += int((values[inside] > 1).sum()) if strict else 0
        t, p = t != 0, p != 0
        if weight is None:
            w: npt.NDArray[Any] = inside.astype(np.int64)
        else:
            self._bad += int((inside & ~good_weights(weight)).sum())
            w = np.where(inside & good_weights(weight), weight, 0).astype(np.float64)
        parts = [(a * w[:, None]).sum(0) for a in (t & p, ~t & p, t & ~p, ~t & ~p)]
        self._sums = self._sums + np.stack(parts, axis=1)
        self._voxels += len(t)
        self._outside += int((~inside).sum())
        return True

    def take(self, classes: int | None = None) -> MaskTally:
        """Return what was counted since the last call."""
        tally = MaskTally(self._sums, self._voxels, self._outside, self._bad)
        self.__enter__()
        return tally
