"""Labels of segments: any integers of 64 bits, of which some may be 2⁶³ or more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Labels", "among", "check_types", "one_type"]

#: int64, or uint64 where a label is 2⁶³ or more.
Labels = npt.NDArray[Any]


def one_type(parts: Sequence[Labels], name: str) -> Labels:
    """Return labels one after another, in the type that can hold them all."""
    if check_types(parts, name):
        return np.concatenate([part.astype(np.uint64) for part in parts])
    return np.concatenate(list(parts))


def check_types(parts: Sequence[Labels], name: str) -> bool:
    """Return whether some labels are 2⁶³ or more.

    Raises
    ------
    ValueError
        If there is no type for them all, since others are negative.
    """
    if all(part.dtype.kind == "i" for part in parts):
        return False
    if any(part.dtype.kind == "i" and part.size and part.min() < 0 for part in parts):
        raise ValueError(
            f"{name}: expected labels that one integer type holds, found some below 0 and some above 2**63"
        )
    return True


def among(labels: Labels, wanted: Sequence[int]) -> npt.NDArray[np.bool_]:
    """Return which labels are among some integers of any size."""
    info = np.iinfo(labels.dtype)
    fitting = np.array([value for value in wanted if info.min <= value <= info.max], labels.dtype)
    found: npt.NDArray[np.bool_] = np.isin(labels, fitting)
    return found
