"""Soft masks made binary: a voxel is inside from a value on that somebody said."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastseg.volumes.bytes import WritableBytes
from fastseg.volumes.errors import VolumeError
from fastseg.volumes.masks.source import Layer, MaskSource
from fastseg.volumes.volume import Volume

__all__ = ["Above", "above"]

#: Values that are looked at in one go.
_PIECE = 1 << 18


class Above(Volume):
    """A volume of 1 where another one reaches a value, and of 0 elsewhere; NaN is refused.

    Parameters
    ----------
    volume : Volume
        It belongs to this one from now on.
    least : float
        Of real values, scaled as the file says.
    """

    def __init__(self, volume: Volume, least: float) -> None:
        self.volume, self._least = volume, least
        self.path, self.geometry, self.planes = volume.path, volume.geometry, volume.planes
        self.dtype, self.order, self.streams = np.dtype(np.uint8), volume.order, volume.streams
        self.blocks, self.parallel, self.notes = volume.blocks, volume.parallel, volume.notes
        self._buffer = np.empty(0, np.uint8)

    def _inside(self, values: NDArray[Any]) -> NDArray[np.uint8]:
        slope, intercept = self.volume.scaling or (1.0, 0.0)
        real = values if self.volume.scaling is None else values.astype(np.float64) * slope + intercept
        if (real != real).any():
            raise VolumeError(f"{self.path}: expected numbers to compare with the threshold, found NaN")
        return np.asarray(real >= self._least).view(np.uint8)

    def read_into(self, buffer: WritableBytes) -> int:
        """Fill `buffer` with the next voxels."""
        writable: Any = buffer  # an array is a buffer only to the type checkers of Python 3.12
        view, filled = np.frombuffer(writable, np.uint8), 0
        size = self.volume.dtype.itemsize
        if not self._buffer.size:
            self._buffer = np.empty(_PIECE * size, np.uint8)
        while filled < view.size:
            wanted = self._buffer[: min(_PIECE, view.size - filled) * size]
            found = self.volume.read_into(wanted)
            whole = found // size
            view[filled : filled + whole] = self._inside(wanted[: whole * size].view(self.volume.dtype))
            filled += whole
            if found < wanted.size:
                break
        return filled

    def read_block(self, start: tuple[int, ...], stop: tuple[int, ...]) -> NDArray[Any]:
        """Return a box of voxels."""
        return self._inside(self.volume.read_block(start, stop))

    def finish(self) -> None:
        """Verify the end of the file."""
        self.volume.finish()

    def close(self) -> None:
        """Close the file."""
        self.volume.close()


def above(source: MaskSource, threshold: float) -> MaskSource:
    """Return the same masks, each where its values reach the threshold."""
    layers = [
        Layer(layer.path, partial(_opened, layer.open, threshold), dict.fromkeys(layer.members))
        for layer in source.layers
    ]
    found = MaskSource(source.path, layers, source.ids, sparse=source.sparse)
    found.stack.push(source.stack.pop_all())
    return found


def _opened(opens: Callable[[], Volume], threshold: float) -> Volume:
    return Above(opens(), threshold)
