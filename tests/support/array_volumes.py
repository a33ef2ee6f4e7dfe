"""Volumes of arrays, for the tests of what reads volumes whatever their format."""

from __future__ import annotations

import math
import threading
from typing import Any, Literal

import numpy as np

from fastseg.volumes.volume import Geometry, Volume


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


def whole(volume: Volume) -> np.ndarray:
    """Read a volume as one box."""
    return volume.read_block((0,) * len(volume.geometry.shape), volume.geometry.shape)


def check_boxes(volume: Volume, data: np.ndarray, seed: int, count: int = 25) -> None:
    """Compare random boxes with NumPy's slices."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        ends = [sorted(rng.choice(n + 1, 2, replace=False).tolist()) for n in data.shape]
        start, stop = zip(*ends, strict=True)
        np.testing.assert_array_equal(volume.read_block(start, stop), data[tuple(map(slice, start, stop))])


def check_boxes_from_threads(volume: Volume, data: np.ndarray, number: int) -> None:
    """Compare random boxes with NumPy's slices, from several threads at once."""
    failures: list[BaseException] = []

    def work(seed: int) -> None:
        try:
            check_boxes(volume, data, seed)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failures
    assert not any(thread.is_alive() for thread in threads)
