"""What each label amounts to, without the others."""

from __future__ import annotations

from typing import NamedTuple, Self

import numpy as np

from fastseg.counts.base import Ints, Numbers
from fastseg.counts.binary import BinaryCounts

__all__ = ["Marginals"]


class Marginals(NamedTuple):
    """What is known of each label without the others: all that metrics of a class are made of."""

    true: Numbers
    """(N, K) voxels whose true label it is, those with unknown predictions included."""
    pred: Numbers
    """(N, K) voxels whose predicted label it is."""
    hits: Numbers
    """(N, K) voxels of which both are true."""

    @classmethod
    def of(cls, matrix: Numbers, unknown: Numbers) -> Self:
        """Return those of a matrix (N, K, K) and unknown predictions (N, K)."""
        hits = np.diagonal(matrix, axis1=1, axis2=2).copy()
        found = cls(matrix.sum(2) + unknown, matrix.sum(1), hits)
        for array in found:
            array.flags.writeable = False
        return found

    def quadruple(self) -> tuple[Numbers, Numbers, Numbers, Numbers]:
        """Return tp, fp, fn and tn of each label against all others, (N, K) each."""
        true, pred, hits = self
        return hits, pred - hits, true - hits, true.sum(1, keepdims=True) - true - pred + hits

    def one_vs_rest(self, labels: Ints, voxels: Ints) -> BinaryCounts:
        """Return each label's counts against all others."""
        tp, fp, fn, tn = self.quadruple()
        return BinaryCounts._trusted(classes=tuple(labels.tolist()), tp=tp, fp=fp, fn=fn, tn=tn, voxels=voxels)
