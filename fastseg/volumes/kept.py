"""A volume whose voxels are kept while others read it: what needs them all afterwards reads no file twice."""

from __future__ import annotations

import threading
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastseg.volumes.bytes import WritableBytes
from fastseg.volumes.errors import VolumeError
from fastseg.volumes.volume import Volume

__all__ = ["Kept", "spacing_along_axes"]

#: Cosine between two axes of a volume beyond which it is sheared: a hundredth of a degree or so is rounding of headers.
_SHEAR = 1e-3


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


def spacing_along_axes(volume: Volume) -> tuple[float, ...]:
    """Return the distance of neighbouring voxels along each axis in mm, where it is a float32 as it was meant.

    Raises
    ------
    VolumeError
        If the file does not say it, or its axes are not at right angles.
    """
    geometry = volume.geometry
    if geometry.affine is not None and len(geometry.shape) >= 3:
        linear = geometry.affine[:3, :3]
        with np.errstate(all="ignore"):
            unit = linear / np.linalg.norm(linear, axis=0)
        cosines = np.abs(unit.T @ unit - np.eye(3)).max()
        if cosines > _SHEAR:
            raise VolumeError(
                f"{volume.path}: expected axes at right angles for distances of surfaces, found a sheared volume (the cosine "
                f"of an angle is {cosines:.3g}); resample it first"
            )
    spacing = tuple(float(step) for step in geometry.spacing)
    if not all(0 < step < np.inf for step in spacing):
        raise VolumeError(
            f"{volume.path}: expected a file that says its spacing for distances of surfaces, found {spacing}; spacing= says "
            "it instead (distances in voxels: 1)"
        )
    return tuple(map(_meant, spacing))


def _meant(step: float) -> float:
    """Return the decimal number that was stored as a float32: 0.8 mm for 0.800000012, so that a tolerance of 0.8 has it."""
    short = np.float32(step)
    return float(np.format_float_scientific(short)) if float(short) == step else step
