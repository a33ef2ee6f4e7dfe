"""A label, or a union of labels, that a run reports, and how people name it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

__all__ = ["ReportedClass", "class_place"]


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


def class_place(classes: Sequence[ReportedClass], wanted: str) -> int | str:
    """Return which class is meant, by its name or else by its label, or why none is."""
    compact = "".join(wanted.split())
    named = [each.name.strip() == wanted for each in classes]
    keyed = [compact in ("".join(str(each.key).split()), each.label) for each in classes]
    found = np.flatnonzero(named if any(named) else keyed).tolist()
    if len(found) == 1:
        return int(found[0])
    if any(keyed[place] for place in found):
        others = ", ".join(classes[place].label for place in found if not keyed[place])
        return (
            f"{wanted!r} is a label, and the name of {others} too; expected {others}, or a name that {wanted} is given"
        )
    if found:
        return f"{wanted!r} is the name of {len(found)} classes; expected a label"
    known = ", ".join(each.name if each.name == str(each.key) else f"{each.name} ({each.label})" for each in classes)
    return f"there is no class {wanted!r}; expected one of: {known}"
