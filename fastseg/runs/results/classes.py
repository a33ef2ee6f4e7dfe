"""A label, or a union of labels, that a run reports."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["ReportedClass"]


class ReportedClass(NamedTuple):
    """A label, or a union of labels, that a run reports."""

    key: int | tuple[int, ...]
    """The label, or the labels of a region."""
    name: str
    """The name that people gave it, else the label as text."""

    @property
    def label(self) -> str:
        """The key as people read and write it: "1", or "1+2" of a region."""
        return "+".join(map(str, self.labels))

    @property
    def labels(self) -> tuple[int, ...]:
        """The labels it is made of."""
        return self.key if isinstance(self.key, tuple) else (self.key,)
