"""Volumes of arrays, for the tests of what reads volumes whatever their format."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np

from fastseg.volumes.base import Geometry, Volume


class ArrayVolume(Volume):
    """An array as a volume: a stream, blocks or both."""

    def __init__(
        self,
        array: Any,
        order: Literal["F", "C"] = "C",
        *,
        axes: str = "",
        affine: Any = None,
        streams: bool = True,
        blocks: tuple[int, ...] | None = None,
        name: str = "array",
    ) -> None:
        self.array = np.asarray(array)
        self.path, self.dtype, self.order, self.streams, self.blocks = name, self.array.dtype, order, streams, blocks
        self.geometry = Geometry(self.array.shape, affine, (math.nan,) * self.array.ndim, axes)
        self.left = self.array.tobytes(order=order)
        self.closed = self.finished = 0

    def read_into(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        piece, self.left = self.left[: len(view)], self.left[len(view) :]
        view[: len(piece)] = piece
        return len(piece)

    def read_block(self, start: tuple[int, ...], stop: tuple[int, ...]) -> Any:
        assert self.blocks is not None
        return self.array[tuple(map(slice, start, stop))]

    def finish(self) -> None:
        self.finished += 1

    def close(self) -> None:
        self.closed += 1
