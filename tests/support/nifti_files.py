"""NIfTI files as nibabel writes them, and of any bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastseg.volumes import Volume, open_volume

nib: Any = pytest.importorskip("nibabel")

SHAPE = (5, 4, 3)
AFFINE = np.array([[-0.5, 0, 0, 10], [0, 0.75, 0, -20], [0, 0, 2, 30], [0, 0, 0, 1]])


def read_all(volume: Volume, size: int = 1 << 16) -> bytes:
    """Read a volume to its end through a buffer of `size` bytes, checks included."""
    parts, buffer = [], bytearray(size)
    while count := volume.read_into(buffer):
        parts.append(bytes(buffer[:count]))
    volume.finish()
    return b"".join(parts)


def load(path: Path | str, size: int = 1 << 16) -> np.ndarray:
    """Read a volume as the array that it stores."""
    with open_volume(path) as volume:
        data = read_all(volume, size)
        return np.frombuffer(data, volume.dtype).reshape(volume.geometry.shape, order=volume.order)


def voxels(dtype: str, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    return np.random.default_rng(7).integers(0, 100, shape).astype(dtype)


def write(path: Path, data: np.ndarray, version: int = 1, order: str = "<", pair: bool = False) -> Path:
    """Write a real file with nibabel, in either byte order."""
    single, double = {1: (nib.Nifti1Image, nib.Nifti1Pair), 2: (nib.Nifti2Image, nib.Nifti2Pair)}[version]
    kind = double if pair else single
    header = kind.header_class(endianness=order)
    header.set_data_dtype(data.dtype)
    image = kind(data, AFFINE, header)
    image.header.set_xyzt_units("mm")
    image.to_filename(path)
    return path


def raw_nifti(data: bytes = bytes(60), header_class: Any = nib.Nifti1Header, **fields: Any) -> bytes:
    """Return an uncompressed file of 5 x 4 x 3 uint8 voxels, its header fields overwritten unchecked."""
    header = header_class()
    header.set_data_shape(SHAPE)
    header.set_data_dtype(np.uint8)
    for name, value in {"vox_offset": header.single_vox_offset, **fields}.items():
        header[name] = value
    return bytes(header.binaryblock) + bytes(4) + data
