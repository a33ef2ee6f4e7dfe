"""A mask that is not there: a volume of zeros beside the one that is."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastseg.volumes.bytes import WritableBytes
from fastseg.volumes.volume import Volume

__all__ = ["Blank"]


class Blank(Volume):
    """A volume of zeros that lies as another one does, and is read as that one is.

    Parameters
    ----------
    other : Volume
        It stays its owner's.
    path : str
        What messages call the zeros.
    """

    def __init__(self, other: Volume, path: str) -> None:
        self.path, self.geometry, self.planes = path, other.geometry, other.planes
        self.dtype, self.order = np.dtype(np.uint8), other.order
        self.streams = other.streams
        self.blocks = other.blocks
        self._left = int(np.prod(other.geometry.shape, dtype=np.int64))

    def read_into(self, buffer: WritableBytes) -> int:
        """Fill `buffer` with zeros, up to the last voxel."""
        writable: Any = buffer  # an array is a buffer only to the type checkers of Python 3.12
        view = np.frombuffer(writable, np.uint8)
        count = min(view.size, self._left)
        view[:count] = 0
        self._left -= count
        return count

    def read_block(self, start: tuple[int, ...], stop: tuple[int, ...]) -> NDArray[Any]:
        """Return zeros."""
        return np.zeros([b - a for a, b in zip(start, stop, strict=True)], self.dtype, self.order)
