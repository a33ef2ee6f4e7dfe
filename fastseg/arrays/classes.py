"""The classes that labels are counted in."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np
import numpy.typing as npt

from fastseg.arrays.arguments import integer, integers

__all__ = ["MAX_CLASSES", "Classes", "label_classes", "too_many"]

#: Most labels that a table is made for: 4,096 × 4,096 counts are 128 MiB.
MAX_CLASSES = 4096


@dataclass(frozen=True)
class Classes:
    """Which labels are classes, and which true labels are ignored."""

    labels: npt.NDArray[np.int64] | None
    """(K,) declared labels in the caller's order, or None: those that occur."""
    ignored: npt.NDArray[np.int64]
    """Sorted true labels that are not counted."""

    @functools.cached_property
    def consecutive(self) -> int | None:
        """K where the labels are 0..K-1 in order, else None."""
        if self.labels is None or not np.array_equal(self.labels, np.arange(self.labels.size)):
            return None
        return int(self.labels.size)

    @functools.cached_property
    def names(self) -> tuple[int, ...]:
        """The declared labels; none where they are those that occur."""
        return () if self.labels is None else tuple(self.labels.tolist())

    @functools.cached_property
    def without_score(self) -> npt.NDArray[np.int64]:
        """The ignored labels that can have a place among the classes: any of them, where the classes are what occurs."""
        return self.ignored if self.labels is None else np.intersect1d(self.ignored, self.labels)

    def describe(self) -> str:
        """Return the declared labels as text for an error message."""
        assert self.labels is not None
        if self.consecutive:
            return f"the {self.labels.size} classes 0..{self.labels.size - 1}"
        shown = ", ".join(map(str, self.labels[:8].tolist()))
        return f"labels=[{shown}{', …' if self.labels.size > 8 else ''}]"


def label_classes(num_classes: Any, labels: Any, ignore_index: Any) -> Classes:
    """Check `num_classes`, `labels` and `ignore_index`."""
    if labels is None and ignore_index is None and type(num_classes) is int:
        return _first_classes(num_classes)
    if labels is None and ignore_index is None and num_classes is None:
        return _ANY
    if num_classes is not None and labels is not None:
        raise ValueError("labels: expected either num_classes or labels, found both")
    declared = None
    if num_classes is not None:
        declared = _first_classes(integer(num_classes, "num_classes")).labels
    elif labels is not None:
        if isinstance(labels, Mapping | str | PathLike):
            raise TypeError(
                f"labels: expected the classes as integers, found {type(labels).__name__} (names= names "
                "them; a table of names is for evaluate_files and evaluate_folder)"
            )
        declared = integers(labels, "labels")
        if not 1 <= declared.size <= MAX_CLASSES:
            raise ValueError(f"labels: expected 1 to {MAX_CLASSES} labels, found {declared.size}")
        values, times = np.unique(declared, return_counts=True)
        if values.size != declared.size:
            raise ValueError(f"labels: expected each label once, found {values[times > 1][:5].tolist()} more than once")
    ignored = _NOTHING if ignore_index is None else np.unique(integers(ignore_index, "ignore_index"))
    return Classes(declared, ignored)


@functools.lru_cache(maxsize=64)
def _first_classes(count: int) -> Classes:
    """Return the classes 0..count-1: the common case, kept because it is asked for again and again."""
    if not 1 <= count <= MAX_CLASSES:
        raise ValueError(f"num_classes: expected 1 to {MAX_CLASSES}, found {count}")
    labels = np.arange(count, dtype=np.int64)
    labels.flags.writeable = False
    return Classes(labels, _NOTHING)


_NOTHING = np.empty(0, np.int64)
_ANY = Classes(None, _NOTHING)


def too_many(labels: npt.NDArray[Any]) -> ValueError:
    """Return the error of more distinct labels, which are sorted, than a table is made for."""
    return ValueError(
        f"labels: expected at most {MAX_CLASSES} distinct labels of truth and prediction together, found more "
        f"(such as {labels[[0, 1, -2, -1]].tolist()}); declare those that are meant (labels=), or count the pairs that "
        "occur, of any number of labels (count_pairs; of files count_pair_files)"
    )
