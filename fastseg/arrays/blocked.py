"""Arrays in blocks, as those of Dask: known without importing it, and taken as what they are."""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np

__all__ = ["blocked_array", "blocks_of", "is_blocked", "refuse_blocks", "refuse_lazy", "require_no_blocks"]


def is_blocked(value: Any) -> bool:
    """Tell whether a value is an array of Dask, which nobody has made where nobody has imported it."""
    library = sys.modules.get("dask.array")
    return library is not None and isinstance(value, library.Array)


def blocks_of(value: Any, name: str) -> Any:
    """Return the array of Dask that a value is, that one of xarray holds, or that a list of such makes; None for all others.

    Raises
    ------
    ValueError
        If the items of a list differ in shape, or do not know it.
    """
    if is_blocked(value):
        return value
    if isinstance(value, (list, tuple)):
        return _stacked(value, name) if "dask.array" in sys.modules and _has_blocks(value, name) else None
    held = getattr(value, "data", None) if getattr(value, "chunks", None) is not None else None
    return held if is_blocked(held) else None


def _has_blocks(items: Any, name: str) -> bool:
    """Tell whether a list has an array in blocks anywhere; one of numbers is quickly known by their types."""
    kinds = {kind for kind in set(map(type, items)) if not issubclass(kind, (int, float, np.generic, np.ndarray))}
    return bool(kinds) and any(blocks_of(item, name) is not None for item in items if type(item) in kinds)


def _stacked(items: Any, name: str) -> Any:
    """Return the items of a list as one array in blocks, along a first axis."""
    arrays = [item if (found := blocks_of(item, name)) is None else blocked_array(found, name) for item in items]
    shapes = list(dict.fromkeys(np.shape(array) for array in arrays))
    if len(shapes) > 1:
        raise ValueError(f"{name}: expected Dask arrays of one shape in a list, found {shapes[0]} and {shapes[1]}")
    return sys.modules["dask.array"].stack(arrays)


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


def refuse_lazy(value: Any, name: str) -> None:
    """Raise a TypeError for what is Dask's and no array, such as a column of a table: it says how to make one."""
    if not type(value).__module__.startswith("dask.") or is_blocked(value):
        return
    kind = type(value).__name__
    if kind.startswith("Delayed"):  # which has any attribute
        how = "dask.array.from_delayed(...) of it, or "
    else:
        how = "its to_dask_array(lengths=True), or " if hasattr(value, "to_dask_array") else ""
    raise TypeError(f"{name}: expected an array, found {kind} of Dask; pass {how}its .compute()")


def require_no_blocks(**values: Any) -> None:
    """Raise TypeError where one of several arguments is an array of Dask."""
    for name, value in values.items():
        if blocks_of(value, name) is not None:
            raise refuse_blocks(name)
