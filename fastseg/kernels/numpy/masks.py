"""Counts of binary maps in NumPy: slow, obvious, normative."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fastseg.kernels.numpy.labels import good_weights
from fastseg.kernels.protocols.labels import MaskBlock, MaskTally

__all__ = ["MaskCounter"]


class MaskCounter:
    """Counts blocks of binary maps by boolean arithmetic."""

    def count(self, block: MaskBlock) -> MaskTally:
        """Count a block."""
        voxels = (block.y_true.shape[0], 1, *block.y_true.shape[2:])
        inside = np.ones(voxels, bool) if block.mask is None else block.mask != 0
        (t, good_true), (p, good_pred) = map(_is_one, (block.y_true, block.y_pred), block.bfloat16)
        bad = (inside & ~(good_true & good_pred)).any()
        weight: npt.NDArray[Any] = inside.astype(np.int64)
        if block.weight is not None:
            good = good_weights(block.weight)
            bad |= (inside & ~good).any()
            weight = np.where(inside & good, block.weight, 0).astype(np.float64)
        parts = [(part * weight).sum((2, 3)) for part in (t & p, ~t & p, t & ~p, ~t & ~p)]
        return MaskTally(np.stack(parts, axis=2), inside.sum((1, 2, 3)), bool(bad))


def _is_one(values: npt.NDArray[Any], bfloat16: bool) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Return which values are not 0, and which are what a mask may hold."""
    if bfloat16:
        values = (values.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
    if values.dtype.kind == "b":  # bytes that may be anything
        return values.view(np.uint8) != 0, np.ones(values.shape, bool)
    with np.errstate(invalid="ignore"):  # signalling NaNs
        return values != 0, (values == 0) | (values == 1)
