"""How much of the centre lines of two maps lies within the other map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np

from fastseg.counts.base import Counts, Ints, numbers

__all__ = ["CenterlineCounts"]


@dataclass(frozen=True, eq=False)
class CenterlineCounts(Counts):
    """Voxels of the centre lines (skeletons) of K classes in N cases, and how many of them the other map has, too.

    Parameters
    ----------
    classes : tuple of K str or int
        What each column stands for: labels, regions or channels.
    inside : (N, K, 2) int64
        Voxels of the truth's centre line that the prediction has, and of the prediction's that the truth has.
    total : (N, K, 2) int64
        Voxels of the truth's and of the prediction's centre line.

    Examples
    --------
    >>> from fastseg.metrics import centerline_dice
    >>> counts = CenterlineCounts((1,), np.array([[[6, 5]]]), np.array([[[8, 5]]]))
    >>> centerline_dice(counts).round(4)  # 2 · 6/8 · 5/5 / (6/8 + 5/5)
    array([[0.8571]])
    """

    classes: tuple[str | int, ...]
    inside: Ints
    total: Ints

    _format: ClassVar[str] = "fastseg.CenterlineCounts"

    def __post_init__(self) -> None:
        expected = (self.total.shape[0], len(self.classes), 2)
        for name in ("inside", "total"):
            array = getattr(self, name)
            if array.dtype != np.int64 or array.shape != expected:
                raise ValueError(f"{name}: expected int64 of shape {expected}, found {array.dtype} of {array.shape}")
        if (self.inside < 0).any() or (self.inside > self.total).any():
            raise ValueError("inside: expected numbers from 0 to those of total")
        self._freeze(inside=self.inside, total=self.total)

    @property
    def weighted(self) -> bool:
        """False: voxels are counted."""
        return False

    @property
    def num_cases(self) -> int:
        """N, the length of the case axis."""
        return int(self.total.shape[0])

    def concat(self, *others: Self) -> Self:
        """Append other cases, in order; ValueError if they have other classes."""
        for other in others:
            if self.classes != other.classes:
                raise ValueError(f"counts differ in their classes: {list(self.classes)} and {list(other.classes)}")
        parts = (self, *others)
        return replace(
            self,
            inside=np.concatenate([part.inside for part in parts]),
            total=np.concatenate([part.total for part in parts]),
        )

    def pooled(self) -> Self:
        """Add up the cases: the same counts with N = 1."""
        return replace(self, inside=self.inside.sum(0, keepdims=True), total=self.total.sum(0, keepdims=True))

    def summed(self) -> Self:
        """Add up the classes: one column, "all"."""
        inside, total = (array.sum(1, keepdims=True) for array in (self.inside, self.total))
        return replace(self, classes=("all",), inside=inside, total=total)

    def select(self, classes: Sequence[str | int]) -> Self:
        """Keep some classes, in the order given."""
        columns = [self.classes.index(name) for name in classes]
        return replace(self, classes=tuple(classes), inside=self.inside[:, columns], total=self.total[:, columns])

    @classmethod
    def _from_plain(cls, data: Mapping[str, Any], dtype: np.dtype[Any]) -> Self:
        classes = tuple(data["classes"])
        inside, total = (numbers(data[name], dtype).reshape(-1, len(classes), 2) for name in ("inside", "total"))
        return cls(classes, inside, total)
