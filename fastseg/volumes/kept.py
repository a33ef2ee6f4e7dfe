"""A volume whose voxels are kept while others read it: what needs them all afterwards reads no file twice."""

from __future__ import annotations

import threading
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastseg.volumes.bytes import WritableBytes
from fastseg.volumes.volume import Volume

__all__ = ["Kept"]


class Kept(Volume):
    """Another volume, and a copy of what was read of it."""

    def __init__(self, volume: Volume) -> None:
        for name in Volume.__annotations__:
            setattr(self, name, getattr(volume, name))
        self._volume, self._lock = volume, threading.Lock()
        self._voxels = np.empty(self.geometry.shape, self.dtype, order=self.order)
        self._bytes = self._voxels.reshape(-1, order=self.order).view(np.uint8)
        self._at = self._read = 0

    def read_into(self, buffer: WritableBytes) -> int:
        """Fill `buffer` with the next voxel bytes."""
        number = self._volume.read_into(buffer)
        self._bytes[self._at : self._at + number] = np.frombuffer(buffer, np.uint8, number)
        self._at += number
        return number

    def read_block(self, start: tuple[int, ...], stop: tuple[int, ...]) -> NDArray[Any]:
        """Return the stored values of a box."""
        block = self._volume.read_block(start, stop)
        self._voxels[tuple(map(slice, start, stop))] = block
        with self._lock:
            self._read += block.size
        return block

    def finish(self) -> None:
        """Look at the end of the file."""
        self._volume.finish()

    def close(self) -> None:
        """Close the file; the voxels stay."""
        self._volume.close()

    def voxels(self) -> NDArray[Any]:
        """Return the stored values, all of which must have been read."""
        if self._at != self._bytes.size and self._read < prod(self.geometry.shape):
            raise RuntimeError(
                f"{self.path}: {self._at} of {self._bytes.size} bytes and {self._read} voxels were kept; "
                "this is a defect in fastseg, please report it"
            )
        return self._voxels
