"""Errors about voxels that are not allowed: those of the parts of an array make that of the whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

__all__ = ["WrongVoxels", "wrong_voxels"]


@dataclass(frozen=True)
class WrongVoxels:
    """What is wrong with the voxels of an array, or of a part of it."""

    rank: int
    """Which of the things that can be wrong it is: of the first that is, the error speaks."""
    total: int
    index: tuple[int, ...]
    """Of the first such voxel, in index order."""
    words: tuple[str, str, str]
    """What stands before their number, between it and the index, and after that."""

    @classmethod
    def of(cls, error: BaseException) -> Self | None:
        """Return what an error says of voxels; None where it is about something else."""
        return getattr(error, "voxels", None)

    def error(self) -> ValueError:
        """Return the error that says it."""
        before, between, after = self.words
        error = ValueError(f"{before}{self.total}{between}{self.index}{after}")
        error.voxels = self  # type: ignore[attr-defined]
        return error

    def moved(self, start: Sequence[int]) -> Self:
        """Return what is said of a part that starts there, in coordinates of the whole."""
        return replace(self, index=tuple(i + first for i, first in zip(self.index, start, strict=True)))

    def merge(self, other: Self) -> Self:
        """Return what is said of two parts together: whatever an earlier rank finds anywhere, it has found first."""
        if self.rank != other.rank:
            return min(self, other, key=lambda each: each.rank)
        first = min(self, other, key=lambda each: each.index)
        return replace(first, total=self.total + other.total)


def wrong_voxels(rank: int, total: int, index: tuple[int, ...], *words: str) -> ValueError:
    """Return an error about voxels, in three pieces of text around their number and the index of the first."""
    before, between, after = words
    return WrongVoxels(rank, total, index, (before, between, after)).error()
