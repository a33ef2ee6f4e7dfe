"""The law of files: whatever a file states that changes what a voxel means or where it lies is obeyed or refused."""

from __future__ import annotations

from typing import Literal, NamedTuple

__all__ = ["Statement"]


class Statement(NamedTuple):
    """One statement that files of a format can make; each format has a tuple of these, in ``formats.states``."""

    says: str
    """What the specification calls it."""
    done: Literal["obeyed", "refused", "noted", "irrelevant"]
    """Noted: it is read as it is meant, and a note says so; irrelevant: it changes neither meaning nor place."""
    how: str
    """What is done with it, or why it is irrelevant."""
    test: str
    """The test that shows it: a file of ``tests/volumes``, or of ``tests/counting``, and the function."""
