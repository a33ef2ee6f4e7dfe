"""Blocks transposed in NumPy."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

__all__ = ["transpose_into"]


def transpose_into(
    source: npt.NDArray[Any], source_step: int, target: npt.NDArray[Any], target_step: int, columns: int, rows: int
) -> None:
    """Do target[r * target_step + c] = source[c * source_step + r], column by column."""
    for c in range(columns):
        target[c : c + (rows - 1) * target_step + 1 : target_step] = source[c * source_step : c * source_step + rows]
