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


#: Memory of volumes that are done with, for the next ones: to touch new memory takes longer than to copy into old.
_spare: list[NDArray[np.uint8]] = []
_spare_lock = threading.Lock()
#: Bytes of it, at most.
_MOST_SPARE = 32 << 20


def _room(size: int) -> NDArray[np.uint8]:
    """Return memory of so many bytes, perhaps some that was used before."""
    with _spare_lock:
        for k, memory in enumerate(_spare):
            if memory.size == size:
                return _spare.pop(k)
    return np.empty(size, np.uint8)


class Kept(Volume):
    """Another volume, and a copy of what was read of it."""

    def __init__(self, volume: Volume) -> None:
        for name in Volume.__annotations__:
            setattr(self, name, getattr(volume, name))
        self._volume, self._lock = volume, threading.Lock()
        self._bytes = _room(prod(self.geometry.shape) * self.dtype.itemsize)
        self._voxels: NDArray[Any] = self._bytes.view(self.dtype).reshape(self.geometry.shape, order=self.order)
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

    def let_go(self) -> None:
        """Leave the memory of the voxels, which nobody may look at any more, to the next volume."""
        memory = self._bytes
        self._bytes, self._voxels = memory[:0], self._voxels[:0]
        with _spare_lock:
            _spare.append(memory)
            while sum(each.size for each in _spare) > _MOST_SPARE:
                del _spare[0]
