"""Counts of what is near the boundaries of objects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from fastseg.counts.binary import BinaryCounts

__all__ = ["BoundaryCounts"]


@dataclass(frozen=True, eq=False)
class BoundaryCounts(BinaryCounts):
    """Overlaps of C binary maps, of whose objects only what is near their own boundaries is left (`count_boundaries`).

    Parameters
    ----------
    classes, tp, fp, fn, tn, voxels
        As of `BinaryCounts`.

    Examples
    --------
    >>> import fastseg
    >>> counts = fastseg.count_boundaries([[True, True, False]], [[True, False, False]], distance=1, labels=[1])
    >>> counts.tp.item(), counts.fn.item()
    (1, 1)
    """

    _format: ClassVar[str] = "fastseg.BoundaryCounts"

    def _check(self, other: Self) -> None:
        if not isinstance(other, BoundaryCounts):
            raise TypeError(f"other: expected BoundaryCounts, found {type(other).__name__}")
        super()._check(other)
