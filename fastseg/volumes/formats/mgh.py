"""FreeSurfer's MGH and MGZ: the header through nibabel, then the raw voxel bytes straight into the caller's buffer."""

from __future__ import annotations

import importlib
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastseg.volumes.bytes import ByteSource
from fastseg.volumes.errors import VolumeError
from fastseg.volumes.plain import SerialVolume
from fastseg.volumes.volume import Format, Geometry, Volume

_HEADER_BYTES = 284
_MEANINGFUL_BYTES = 90  # of the header; the rest is unused
_AXES = "xyzt"


def _open(path: str) -> Volume:
    source = ByteSource(path)
    try:
        geometry, dtype = _read_header(source)
        offset = None if source.compressed else _HEADER_BYTES
        # Scan parameters, and tags of any kind, may follow the voxels.
        return SerialVolume(path, geometry, dtype, "F", source, offset, footer=True)
    except BaseException:
        source.close()
        raise


def _read_header(source: ByteSource) -> tuple[Geometry, np.dtype[Any]]:
    """Read and verify a header; leave `source` at the first voxel."""
    name, block = source.name, source.take(_HEADER_BYTES)
    version = int.from_bytes(block[:4], "big")
    if len(block) < _HEADER_BYTES or version != 1:
        raise VolumeError(
            f"{name}: expected an MGH header of {_HEADER_BYTES} bytes that begins with version 1, "
            f"found {len(block)} bytes that begin with {block[:4]!r}"
        )
    try:
        mghformat: Any = importlib.import_module("nibabel.freesurfer.mghformat")
    except ImportError as error:
        raise VolumeError(
            f'{name}: reading MGH needs nibabel, which is not installed: pip install "fastseg-metrics[cli]"'
        ) from error
    # check=False: nibabel would log what it repairs, and the version, all that it checks, is checked above.
    header = mghformat.MGHHeader(block[:_MEANINGFUL_BYTES], check=False)

    shape = tuple(int(extent) for extent in header["dims"])
    if min(shape) < 1:
        raise VolumeError(f"{name}: expected at least one voxel along every axis, found the shape {shape}")
    code, codes = int(header["type"]), mghformat.data_type_codes
    if code not in codes.numpy_dtype:
        raise VolumeError(f"{name}: expected a known MGH type, found the code {code}")
    dtype = np.dtype(codes.numpy_dtype[code])

    affine = _affine(header)
    shape = shape[:3] if shape[3] == 1 else shape
    with np.errstate(all="ignore"):
        spacing = np.linalg.norm(affine[:3, :3], axis=0).tolist()
    # The time between frames stands behind the voxels, where a stream has not come to yet.
    spacing += [math.nan] * (len(shape) - 3)
    return Geometry(shape, affine, tuple(spacing), _AXES[: len(shape)]), dtype


def _affine(header: Any) -> NDArray[np.float64]:
    """Return voxel indices to mm, FreeSurfer's default where the header says that it has none."""
    with np.errstate(all="ignore"):
        affine = np.array(header.get_vox2ras(), dtype=np.float64)
    affine.flags.writeable = False
    return affine


def _recognises(_: bytes) -> bool:
    """Say no: an MGH file begins with a mere 1, as much else does, so that its suffix decides."""
    return False


FORMAT = Format("FreeSurfer MGH", (".mgh", ".mgz", ".mgh.gz"), _recognises, _open)
