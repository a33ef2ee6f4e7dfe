"""Arrays in blocks, as those of Dask: known without importing it, and taken as what they are."""

from __future__ import annotations

import math
import sys
from typing import Any

__all__ = ["blocked_array", "blocks_of", "is_blocked", "refuse_blocks", "require_no_blocks"]


def is_blocked(value: Any) -> bool:
    """Tell whether a value is an array of Dask, which nobody has made where nobody has imported it."""
    library = sys.modules.get("dask.array")
    return library is not None and isinstance(value, library.Array)


def blocks_of(value: Any) -> Any:
    """Return the array of Dask that a value is, or that one of xarray holds; None where there is none."""
    if is_blocked(value):
        return value
    held = getattr(value, "data", None) if getattr(value, "chunks", None) is not None else None
    return held if is_blocked(held) else None


def blocked_array(value: Any, name: str) -> Any:
    """Return an array in blocks as it is.

    Raises
    ------
    ValueError
        If it does not know how large its blocks are.
    """
    unknown = [axis for axis, sizes in enumerate(value.chunks) if any(map(math.isnan, sizes))]
    if unknown:
        raise ValueError(
            f"{name}: expected a Dask array that knows the sizes of its chunks, found unknown ones along axis {unknown[0]} "
            "(its compute_chunk_sizes() finds them)"
        )
    return value


def refuse_blocks(name: str) -> TypeError:
    """Return the error of what cannot be done block by block."""
    return TypeError(
        f"{name}: expected an array in memory, found a Dask array, of which this cannot be done block by block; pass its "
        ".compute(), or map_blocks this function over it where blocks have nothing to do with each other"
    )


def require_no_blocks(**values: Any) -> None:
    """Raise TypeError where one of several arguments is an array of Dask."""
    for name, value in values.items():
        if blocks_of(value) is not None:
            raise refuse_blocks(name)
