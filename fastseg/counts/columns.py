"""How long columns of numbers are sent and saved: what each adds to the one before, in the narrowest type that holds it.

Rows of pairs are sorted, so most of these steps are small; saved, they are compressed, and text that JSON can hold.
"""

from __future__ import annotations

import base64
import operator
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from fastseg.counts.packing import narrow

__all__ = ["Sent", "from_steps", "restored", "saved", "steps"]

Array = npt.NDArray[Any]
#: Where a column begins, its steps, and its type.
Sent = tuple[int, Array, str]

_LEVEL = 1  # level 6 takes six times as long for a tenth less
_KINDS = ("<i8", "<u8", "<f8")


def steps(column: Array) -> Sent:
    """Return what stands for a column of 64-bit integers; floats are as they are."""
    dtype = column.dtype.newbyteorder("<").str
    if column.dtype.kind == "f":
        return 0, column, dtype
    words = column.view(np.uint64)
    first = int(words[0]) if words.size else 0
    return first, narrow(np.diff(words, prepend=words[:1]).view(np.int64)), dtype  # modulo 2⁶⁴, as sums are


def from_steps(found: Sent) -> Array:
    """Return the column that `steps` was given."""
    first, values, kind = found
    dtype = np.dtype(kind)
    if dtype.kind == "f":
        return values.astype(np.float64)
    words = values.astype(np.int64).view(np.uint64).cumsum(dtype=np.uint64) + np.uint64(first)
    return words.view(dtype.newbyteorder("="))


def saved(column: Array) -> dict[str, Any]:
    """Return a column as JSON can hold it: its type, where it begins, and its steps, compressed, in base64."""
    first, values, dtype = steps(column)
    data = zlib.compress(values.astype(values.dtype.newbyteorder("<")).tobytes(), _LEVEL)
    text = base64.b64encode(data).decode("ascii")
    return {"dtype": dtype, "first": first, "steps": values.dtype.newbyteorder("<").str, "zlib": text}


def restored(plain: Mapping[str, Any], size: int) -> Array:
    """Return the column of so many numbers that `saved` wrote.

    Raises
    ------
    ValueError, TypeError, KeyError
        If there is none in it. Not more is unpacked than the numbers take.
    """
    first, kind, of_steps = operator.index(plain["first"]), plain["dtype"], np.dtype(plain["steps"])
    fits = kind in _KINDS and (of_steps == "<f8" if kind == "<f8" else of_steps.kind in "iu")
    if size < 0 or not 0 <= first < 2**64 or not fits:
        raise ValueError(f"data: expected columns of 64-bit numbers, found {kind!r} of {plain['steps']!r}")
    unpacker = zlib.decompressobj()
    try:
        data = unpacker.decompress(base64.b64decode(plain["zlib"], validate=True), size * of_steps.itemsize + 1)
    except (ValueError, zlib.error) as error:
        raise ValueError(f"data: expected compressed columns, found damaged ones: {error}") from None
    if len(data) != size * of_steps.itemsize or not unpacker.eof:
        raise ValueError(f"data: expected columns of {size} numbers, found others")
    return from_steps((first, np.frombuffer(data, of_steps), kind))
