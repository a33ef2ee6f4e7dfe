"""Counts of cases that arrive one after another."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

__all__ = ["Gathered"]

T = TypeVar("T", bound=Any)  # LabelCounts, ScoreSums, SurfaceDistances, PairCounts

#: Parts of one case that wait to be added up.
_MOST_WAITING = 64


class Gathered(Generic[T]):
    """Counts put together when somebody asks: to join each to all before it takes quadratic time.

    Parameters
    ----------
    first
        What is there already.
    pooled
        Whether all are parts of one case, which are added up, and not cases of their own.
    """

    def __init__(self, first: T | None = None, *, pooled: bool = False) -> None:
        self._parts: list[T] = [] if first is None else [first]
        self._pooled = pooled

    def check(self, part: T) -> None:
        """Raise as `concat` would if these counts do not fit those that are here."""
        if self._parts:
            self._parts[0]._check(part)

    def add(self, part: T) -> None:
        """Take counts, which were checked."""
        self._parts.append(part)
        if self._pooled and len(self._parts) > _MOST_WAITING:
            self._join()

    @property
    def whole(self) -> T | None:
        """All of them, cases in order; None if there are none."""
        if len(self._parts) > 1:
            self._join()
        return self._parts[0] if self._parts else None

    def _join(self) -> None:
        first, *others = self._parts
        whole = first.concat(*others)
        self._parts = [whole.pooled() if self._pooled else whole]
