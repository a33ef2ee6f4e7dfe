"""A volume whose values somebody follows while others read them: what is found on the way needs no second look."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastseg.volumes.bytes import WritableBytes
from fastseg.volumes.volume import Volume

__all__ = ["Followed"]


class Followed(Volume):
    """Another volume that streams, and what is called with its stored values, in their order, as they are read."""

    def __init__(self, volume: Volume, follow: Callable[[NDArray[Any]], object]) -> None:
        for name in Volume.__annotations__:
            setattr(self, name, getattr(volume, name))
        self.blocks = None  # their order is that of the stream
        self._volume, self._follow = volume, follow

    def read_into(self, buffer: WritableBytes) -> int:
        """Fill `buffer` with the next voxel bytes, and let them be looked at."""
        number = self._volume.read_into(buffer)
        whole = number - number % self.dtype.itemsize  # of a truncated file
        self._follow(np.frombuffer(buffer, np.uint8, whole).view(self.dtype))
        return number

    def finish(self) -> None:
        """Look at the end of the file."""
        self._volume.finish()

    def close(self) -> None:
        """Close the file."""
        self._volume.close()
