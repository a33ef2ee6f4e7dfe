"""Counts of binary maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from fastseg.counts.base import Counts, Ints, Numbers, check_dtypes, numbers

__all__ = ["BinaryCounts"]


@dataclass(frozen=True, eq=False)
class BinaryCounts(Counts):
    """True and false positives and negatives of C binary maps (channels, regions, or classes against the rest).

    Parameters
    ----------
    classes : tuple of C str or int
        What each column stands for.
    tp, fp, fn, tn : (N, C) int64, or float64 where voxels were weighted
        True positives, false positives, false negatives, true negatives of each case and class.
    voxels : (N, 4) int64
        Voxels counted, ignored, outside the mask, unknown, as in `LabelCounts`.

    Examples
    --------
    >>> import fastseg
    >>> counts = fastseg.count_masks([True, True, False], [True, False, False], channel_axis=None)
    >>> counts.tp.item(), counts.fn.item(), counts.tn.item()
    (1, 1, 1)
    """

    classes: tuple[str | int, ...]
    tp: Numbers
    fp: Numbers
    fn: Numbers
    tn: Numbers
    voxels: Ints

    _format: ClassVar[str] = "fastseg.BinaryCounts"

    def __post_init__(self) -> None:
        classes = tuple(int(name) if isinstance(name, np.integer) else name for name in self.classes)
        if len(set(map(str, classes))) != len(classes):
            raise ValueError(f"classes: expected a name for each, found {list(classes)}")
        object.__setattr__(self, "classes", classes)
        check_dtypes(self.voxels, tp=self.tp, fp=self.fp, fn=self.fn, tn=self.tn)
        if self.voxels.shape[1:] != (4,):
            raise ValueError(f"voxels: expected shape (cases, 4), found {self.voxels.shape}")
        expected = (self.voxels.shape[0], len(self.classes))
        found = {name: getattr(self, name).shape for name in ("tp", "fp", "fn", "tn")}
        if any(shape != expected for shape in found.values()):
            raise ValueError(f"tp, fp, fn, tn: expected shape {expected} (cases, classes), found {found}")
        self._freeze(tp=self.tp, fp=self.fp, fn=self.fn, tn=self.tn, voxels=self.voxels)

    @classmethod
    def zeros(cls, classes: int | Sequence[str | int], *, cases: int = 1, weighted: bool = False) -> Self:
        """Return the identity of merge, for classes 0..classes-1 or those listed."""
        names = tuple(range(classes)) if isinstance(classes, int | np.integer) else tuple(classes)
        tp, fp, fn, tn = (np.zeros((cases, len(names)), np.float64 if weighted else np.int64) for _ in range(4))
        return cls(names, tp, fp, fn, tn, np.zeros((cases, 4), np.int64))

    @property
    def weighted(self) -> bool:
        """Whether the counts are sums of weights."""
        return self.tp.dtype.kind == "f"

    @property
    def num_cases(self) -> int:
        """N, the length of the case axis."""
        return int(self.tp.shape[0])

    def merge(self, other: Self) -> Self:
        """Add the counts of another part of the same cases; ValueError if the two mean different things."""
        self._check(other)
        if self.num_cases != other.num_cases:
            raise ValueError(
                f"merge joins parts of the same cases, but there are {self.num_cases} and {other.num_cases} cases "
                "(concat joins different cases)"
            )
        return self._each(lambda a, b: a + b, other)

    def concat(self, *others: Self) -> Self:
        """Append other cases, in order; ValueError if they mean different things."""
        for other in others:
            self._check(other)
        return self._each(lambda *parts: np.concatenate(parts), *others)

    def pooled(self) -> Self:
        """Add up the cases: the same counts with N = 1."""
        return self._each(lambda a: a.sum(0, keepdims=True))

    def cases(self, index: slice | Sequence[int] | npt.NDArray[Any]) -> Self:
        """Return the counts of some of the cases."""
        return self._each(lambda a: a[index])

    def select(self, classes: Sequence[str | int]) -> Self:
        """Keep some classes, in the order given; ValueError if one is missing."""
        missing = [name for name in classes if name not in self.classes]
        if missing:
            raise ValueError(f"classes: {missing} are not among {list(self.classes)}")
        columns = [self.classes.index(name) for name in classes]
        tp, fp, fn, tn = (a[:, columns] for a in (self.tp, self.fp, self.fn, self.tn))
        return replace(self, classes=tuple(classes), tp=tp, fp=fp, fn=fn, tn=tn)

    def rename(self, mapping: Mapping[str | int, str | int]) -> Self:
        """Give classes other names; ValueError if two would get the same."""
        names = tuple(mapping.get(name, name) for name in self.classes)
        if len(set(names)) != len(names):
            raise ValueError(f"mapping: expected a name for each class, found {list(names)}")
        return replace(self, classes=names)

    def summed(self) -> Self:
        """Add up the classes: one column, from which a metric's "micro" average is computed."""
        tp, fp, fn, tn = (a.sum(1, keepdims=True) for a in (self.tp, self.fp, self.fn, self.tn))
        return replace(self, classes=("all",), tp=tp, fp=fp, fn=fn, tn=tn)

    @classmethod
    def _from_plain(cls, data: Mapping[str, Any], dtype: np.dtype[Any]) -> Self:
        classes = tuple(data["classes"])
        voxels = np.array(data["voxels"], np.int64).reshape(-1, 4)
        tp, fp, fn, tn = (
            numbers(data[k], dtype).reshape(voxels.shape[0], len(classes)) for k in ("tp", "fp", "fn", "tn")
        )
        return cls(classes, tp, fp, fn, tn, voxels)

    def _check(self, other: Self) -> None:
        if not isinstance(other, BinaryCounts):
            raise TypeError(f"other: expected BinaryCounts, found {type(other).__name__}")
        if self.classes != other.classes:
            raise ValueError(f"counts differ in their classes: {list(self.classes)} and {list(other.classes)}")
        if self.weighted != other.weighted:
            raise ValueError("counts differ in kind: one is weighted by sample_weight, the other is not")

    def _each(self, function: Any, *others: Self) -> Self:
        arrays = {
            name: function(*(getattr(part, name) for part in (self, *others)))
            for name in ("tp", "fp", "fn", "tn", "voxels")
        }
        return replace(self, **arrays)
