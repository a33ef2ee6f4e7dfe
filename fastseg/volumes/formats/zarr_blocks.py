"""Blocks of a Zarr array in the memory that their chunk was decoded into: the library copies every one of them."""

from __future__ import annotations

import functools
import math
import sys
from typing import Any

import numpy as np

__all__ = ["ZarrBlocks", "zarr_blocks"]


def zarr_blocks(source: Any) -> Any:
    """Return what gives the blocks of a source without a copy of them, where it is an array of Zarr; else the source."""
    library = sys.modules.get("zarr")
    return ZarrBlocks(source) if library is not None and isinstance(source, library.Array) else source


class ZarrBlocks:
    """Indexed by a slice or an integer for each axis, as the array is; what comes may be read-only."""

    def __init__(self, array: Any) -> None:
        self.array = array

    def __getitem__(self, index: tuple[slice | int, ...]) -> Any:
        array = self.array
        slices = [(at, size) for at, size in zip(index, array.shape, strict=True) if isinstance(at, slice)]
        shape = tuple(len(range(*at.indices(size))) for at, size in slices)
        if 0 in shape or not shape:
            return array[index]
        chunk = math.prod(array.shards or array.chunks)
        return array.get_basic_selection(index, out=_kept_chunk()(shape, array.dtype, chunk // 2))


@functools.cache
def _kept_chunk() -> Any:
    """Return the class of what Zarr puts chunks into, once they are decoded; it is imported with the library."""
    from zarr.core.buffer.cpu import NDBuffer

    class KeptChunk(NDBuffer):  # type: ignore[misc]
        """Becomes the chunk that is put into it where that is all of it; has memory of its own else, once it needs some.

        Of a chunk of which less than `least` voxels are wanted, these are copied, so that the rest is not kept.
        """

        def __init__(self, shape: tuple[int, ...], dtype: np.dtype[Any], least: int) -> None:
            super().__init__(None)
            self._shape, self._dtype, self._least = shape, dtype, least

        @property
        def shape(self) -> tuple[int, ...]:
            return self._shape

        def __setitem__(self, key: Any, value: Any) -> None:
            given: Any = value.as_ndarray_like() if isinstance(value, NDBuffer) else None
            whole = isinstance(given, np.ndarray) and (given.shape, given.dtype) == (self._shape, self._dtype)
            if whole and given.size >= self._least:
                self._data = given
                return
            if self._data is None:
                self._data = np.empty(self._shape, self._dtype)
            super().__setitem__(key, value)

    return KeptChunk
