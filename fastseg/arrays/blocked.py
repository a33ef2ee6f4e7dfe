"""Arrays in blocks, as those of Dask: known without importing it, and taken as what they are."""

from __future__ import annotations

import math
import sys
from typing import Any

__all__ = ["blocked_array", "is_blocked", "refuse_blocks"]


def is_blocked(value: Any) -> bool:
    """Tell whether a value is an array of Dask, which nobody has made where nobody has imported it."""
    library = sys.modules.get("dask.array")
    return library is not None and isinstance(value, library.Array)


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
        ".compute(), or map_blocks this function over it"
    )
