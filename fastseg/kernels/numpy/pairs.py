"""Pairs of many labels in NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastseg.counts.pairs import united
from fastseg.kernels.numpy.labels import PairCounter
from fastseg.kernels.protocols.pairs import Room, Run

__all__ = ["merge_runs", "sparse_counter"]


def sparse_counter(true_dtype: np.dtype[Any], pred_dtype: np.dtype[Any], weighted: bool, room: Room) -> PairCounter:
    """Return a counter of pairs, however many there are: that of all labels, with `numpy.unique`."""
    return PairCounter(true_dtype, pred_dtype)


def merge_runs(a: Run, b: Run) -> Run:
    """Return two runs as one; labels are int64 or uint64, those of both of one type."""
    return Run(*united(*(np.concatenate(each) for each in zip(a, b, strict=True))))
