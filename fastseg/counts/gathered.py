"""Counts of cases that arrive one after another."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

__all__ = ["Gathered"]

T = TypeVar("T", bound=Any)  # LabelCounts, ScoreSums, SurfaceDistances


class Gathered(Generic[T]):
    """Counts of other cases each, put together when somebody asks: to append each to all before it takes quadratic time."""

    def __init__(self, first: T | None = None) -> None:
        self._parts: list[T] = [] if first is None else [first]

    def check(self, part: T) -> None:
        """Raise as `concat` would if these counts do not fit those that are here."""
        if self._parts:
            self._parts[0]._check(part)

    def add(self, part: T) -> None:
        """Append cases, which were checked."""
        self._parts.append(part)

    @property
    def whole(self) -> T | None:
        """All cases, in order; None if there are none."""
        if len(self._parts) > 1:
            first, *others = self._parts
            self._parts = [first.concat(*others)]
        return self._parts[0] if self._parts else None
