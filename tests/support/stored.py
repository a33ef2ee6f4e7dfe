"""An array that is somewhere else, as a store is: Dask reads it piece by piece."""

from __future__ import annotations

from typing import Any

import dask.array as da


class Stored:
    """Notes the shapes of what is read of it."""

    def __init__(self, array: Any) -> None:
        self.array, self.shape, self.dtype, self.ndim = array, array.shape, array.dtype, array.ndim
        self.read: list[tuple[int, ...]] = []

    def __getitem__(self, index: Any) -> Any:
        part = self.array[index]
        if part.size:  # Dask looks at nothing of it, to learn what it is like
            self.read.append(part.shape)
        return part

    def cut(self, chunks: Any, **options: Any) -> Any:
        return da.from_array(self, chunks=chunks, name=False, **options)
