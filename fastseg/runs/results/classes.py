"""A label, or a union of labels, that a run reports."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["ReportedClass"]


class ReportedClass(NamedTuple):
    """A label, or a union of labels, that a run reports."""

    key: int | tuple[int, ...] | str
    """The label, or the labels of a region; of masks, which have no labels, the name."""
    name: str
    """The name that people gave it, else the label as text."""

    @property
    def label(self) -> str:
        """The key as people read and write it: "1", or "1+2" of a region; of a mask its name."""
        if isinstance(self.key, str):
            return self.key
        return "+".join(map(str, self.labels))

    @property
    def labels(self) -> tuple[int, ...]:
        """The labels it is made of; none of a mask."""
        if isinstance(self.key, str):
            return ()
        return self.key if isinstance(self.key, tuple) else (self.key,)
