"""Labels in every memory order, and their one-hot encoding by NumPy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

BACKENDS = ("numba", "numpy")
#: Types whose kernels for items that are not side by side are not compiled here, to save time: they are like others.
RARE = ("i4", "u4", "f8")
SHAPES: tuple[tuple[int, ...], ...] = (
    (), (0,), (1,), (7,), (1, 1, 1), (3, 0, 2), (5, 6, 7), (100, 80, 3), (2, 1, 67), (300, 301), (70_001,),
    (2, 3, 2, 3, 2, 3, 2),
)  # fmt: skip


def layouts(array: np.ndarray, spare: int = 0) -> Iterator[tuple[str, np.ndarray]]:
    """Yield arrays equal to the given one in many memory orders, all read-only; `spare` fills what lies between."""
    n = array.ndim
    yield "C", array.copy()
    if array.dtype.newbyteorder("=") in RARE:
        return
    yield "F", array.copy(order="F")
    if n:
        yield "flipped", array[(slice(None, None, -1),) * n].copy()[(slice(None, None, -1),) * n]
        yield "flipped F", np.asfortranarray(array[::-1])[::-1]
        wide = np.full([2 * s + 1 for s in array.shape], spare, array.dtype)
        wide[(slice(1, None, 2),) * n] = array
        yield "every second", wide[(slice(1, None, 2),) * n]
        yield "rolled", np.moveaxis(np.moveaxis(array, 0, -1).copy(), -1, 0)
    record = np.zeros(array.shape, [("pad", "u1"), ("value", array.dtype)])
    record["value"] = array
    yield "unaligned", record["value"]


def frozen(array: np.ndarray) -> np.ndarray:
    view = array[...]
    view.flags.writeable = False
    return view


def check(result: np.ndarray, wanted: np.ndarray, *what: Any) -> None:
    assert result.dtype == wanted.dtype, what
    assert result.shape == wanted.shape, what
    assert result.flags.c_contiguous, what
    assert np.array_equal(result, wanted), what
