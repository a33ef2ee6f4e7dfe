"""NIfTI-1 and NIfTI-2: the header through nibabel, then the raw voxel bytes straight into the caller's buffer."""

from __future__ import annotations

import contextlib
import functools
import importlib
import math
import os
import struct
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fastseg.volumes.bytes import ByteSource
from fastseg.volumes.errors import StreamError, UnrecognisedError, VolumeError
from fastseg.volumes.foreign import note_of
from fastseg.volumes.formats.cifti import INTENTS, check_maps, extensions, grayordinates, label_names
from fastseg.volumes.plain import SerialVolume, truncated
from fastseg.volumes.volume import Format, Geometry

_VERSIONS = {348: 1, 540: 2}  # bytes of a header: version
_MAGICS = {1: (b"n+1\0", b"ni1\0"), 2: (b"n+2\0\r\n\x1a\n", b"ni2\0\r\n\x1a\n")}  # one file, pair of files
_MAGIC_AT = {1: 344, 2: 4}
_MM_PER_UNIT = {1: 1e3, 3: 1e-3}  # xyzt_units: metre, micrometre; anything else is mm or unknown
_AXES = "xyztuvw"
_HALF = 0.5


@dataclass(frozen=True)
class Header:
    """What a NIfTI header says, verified.

    `single` is whether the voxels are in the same file, `placed` whether it says where they lie, `cifti` whether they are
    vertices and voxels of a CIFTI file, `twice` whether it says two unlike places.
    """

    geometry: Geometry
    dtype: np.dtype[Any]
    scaling: tuple[float, float] | None
    voxel_offset: int
    voxel_bytes: int
    single: bool
    placed: bool
    cifti: bool
    twice: bool


class NiftiVolume(SerialVolume):
    """Read a NIfTI file, or the two files of a pair; `fastseg.volumes.volume.Volume` describes the members.

    Parameters
    ----------
    path : str
        For a pair either file; the other lies beside it.

    Raises
    ------
    VolumeError
        If the header is truncated or false, or declares more voxels than the file can hold.
    """

    def __init__(self, path: str) -> None:
        header_path = _other_half(path, ".img", ".hdr") or path
        source = _source(path, header_path)
        try:
            header = _read_header(source)
            text = extensions(source, header.voxel_offset) if header.single else b""
            if not header.single:
                source.drain("the header", only_zeros=False)
                voxel_path = _other_half(header_path, ".hdr", ".img")
                if voxel_path is None:
                    raise VolumeError(
                        f"{path}: expected the voxels of this header in an .img file beside it, found none"
                    )
                source.close()
                source = _source(path, voxel_path)
            if header.cifti:
                check_maps(path, text)
            _skip_to_voxels(source, header)
        except BaseException:
            source.close()
            raise
        offset = None if source.compressed else header.voxel_offset
        shape = header.geometry.shape
        geometry = grayordinates(shape, text) if header.cifti else header.geometry
        super().__init__(path, geometry, header.dtype, "F", source, offset)
        self.scaling, self.names, self.says_axes = header.scaling, label_names(text), header.cifti
        if header.cifti:
            self.elements = "vertices"
        elif not header.placed:
            self.notes = (
                f"{path}: states no position (its qform_code and sform_code are 0): only shape and spacing are compared",
            )
        elif header.twice:
            self.notes = (f"{path}: its qform and its sform place it elsewhere, in one space: taken is the sform",)


def _skip_to_voxels(source: ByteSource, header: Header) -> None:
    """Leave `source` at the first voxel; raise VolumeError if the file cannot hold all that the header declares."""
    needed = header.voxel_offset + header.voxel_bytes
    if needed > source.limit:
        raise truncated(
            source.name,
            header.voxel_bytes,
            0,
            f"{needed} bytes do not fit a {'gzip ' if source.compressed else ''}file of {source.size}; the header declares "
            f"{header.geometry.shape} voxels of {header.dtype} from byte {header.voxel_offset} on{note_of(source.path)}",
        )
    try:
        source.skip(header.voxel_offset - source.position)
    except StreamError as error:
        raise truncated(source.name, header.voxel_bytes, 0, error.reason) from error


def _recognises(head: bytes) -> bool:
    """Say whether these first bytes are a NIfTI header, by its magic or its declared size."""
    return any(
        head.startswith((struct.pack("<i", size), struct.pack(">i", size)))
        or head.startswith(_MAGICS[version], _MAGIC_AT[version])
        for size, version in _VERSIONS.items()
    )


def _other_half(path: str, own: str, other: str) -> str | None:
    """Return the file that makes a pair with `path`; None if `path` does not end in `own` or stands alone."""
    stem, suffix = os.path.splitext(path[:-3] if path.lower().endswith(".gz") else path)
    if suffix.lower() != own:
        return None
    return next((half for half in (stem + other, stem + other + ".gz") if os.path.isfile(half)), None)


def _source(given: str, path: str) -> ByteSource:
    """Open `path`; messages begin with the path that the caller gave."""
    return ByteSource(path, given if path == given else f"{given}: {path}")


def _read_header(source: ByteSource) -> Header:
    """Read and verify a header; leave `source` at its last byte."""
    block = source.take(348)
    orders: tuple[Literal["<", ">"], ...] = ("<", ">")
    declared = {order: struct.unpack_from(f"{order}i", block)[0] for order in orders if len(block) >= 4}
    order = next((order for order in declared if declared[order] in _VERSIONS), None)
    if order is None or len(block) < 348:
        raise UnrecognisedError(
            f"{source.name}: expected a NIfTI header of 348 or 540 bytes that begins with its size, "
            f"found {len(block)} bytes that begin with {block[:4]!r}"
        )
    size = declared[order]
    version = _VERSIONS[size]
    block += source.take(size - 348)
    magic = block[_MAGIC_AT[version] :][: len(_MAGICS[version][0])]
    analyze = ""
    if version == 1 and magic not in _MAGICS[1] and (magic == bytes(4) or block[38:39] == b"r"):
        analyze = (
            ": that is Analyze 7.5, whose files do not say which side is left; convert it to NIfTI with a program that knows "
            "(nibabel.save(nibabel.Nifti1Image(data, affine), ...))"
        )
    if magic not in _MAGICS[version] or len(block) < size:
        raise VolumeError(
            f"{source.name}: expected a NIfTI-{version} header of {size} bytes with one of the magics "
            f"{_MAGICS[version]} at byte {_MAGIC_AT[version]}, found {len(block)} bytes with {magic!r}{analyze}"
        )
    try:
        return _parsed(block, order, version, single=magic == _MAGICS[version][0])
    except _HeaderError as error:
        raise VolumeError(f"{source.name}: {error}") from error.__cause__


class _HeaderError(ValueError):
    """What is wrong with a header, without the file's name."""


@functools.lru_cache(maxsize=64)  # the cases of a folder often have one header
def _parsed(block: bytes, order: Literal["<", ">"], version: int, single: bool) -> Header:
    """Turn a header's bytes into what they say; raise _HeaderError where that cannot be."""
    try:
        nifti1: Any = importlib.import_module("nibabel.nifti1")
        nifti2: Any = importlib.import_module("nibabel.nifti2")
    except ImportError as error:
        raise _HeaderError(
            'reading NIfTI needs nibabel, which is not installed: pip install "fastseg-metrics[cli]"'
        ) from error
    # check=False: nibabel would log its repairs; those that matter are made below.
    header = (nifti1.Nifti1Header if version == 1 else nifti2.Nifti2Header)(block, order, check=False)

    axes = int(header["dim"][0])
    if not 1 <= axes <= 7:
        raise _HeaderError(f"expected 1 to 7 axes in dim[0], found {axes}")
    shape = tuple(int(extent) for extent in header["dim"][1 : axes + 1])
    if min(shape) < 1:
        raise _HeaderError(f"expected at least one voxel along every axis, found the shape {shape}")

    code, data_type_codes = int(header["datatype"]), nifti1.data_type_codes
    if code not in data_type_codes.dtype:
        raise _HeaderError(f"expected a known NIfTI datatype, found the code {code}")
    dtype = np.dtype(data_type_codes.dtype[code]).newbyteorder(order)
    if dtype.kind not in "iuf" or dtype.itemsize > 8:
        raise _HeaderError(
            f"expected integers or floating-point numbers of at most 64 bits, "
            f"found the datatype {data_type_codes.label[code]}"
        )
    if int(header["bitpix"]) not in (0, 8 * dtype.itemsize):  # some writers leave it empty
        raise _HeaderError(f"expected bitpix {8 * dtype.itemsize} for {dtype}, found {int(header['bitpix'])}")

    offset, lowest = float(header["vox_offset"]), len(block) + 4 if single else 0
    if not offset.is_integer() or offset < lowest:
        raise _HeaderError(f"expected vox_offset to be an integer of at least {lowest}, found {offset}")

    affine, spacing = _place(header)
    placed = int(header["qform_code"]) > 0 or int(header["sform_code"]) > 0
    cifti = int(header["intent_code"]) in INTENTS and axes >= 6
    while len(shape) > 3 and shape[-1] == 1 and not cifti:
        shape = shape[:-1]
    return Header(
        geometry=Geometry(shape, affine if placed else None, spacing[: len(shape)], _AXES[: len(shape)]),
        dtype=dtype,
        scaling=_scaling(float(header["scl_slope"]), float(header["scl_inter"])),
        voxel_offset=int(header["vox_offset"]),
        voxel_bytes=math.prod(shape) * dtype.itemsize,
        single=single,
        placed=placed,
        cifti=cifti,
        twice=_unlike_forms(header, shape),
    )


def _scaling(slope: float, intercept: float) -> tuple[float, float] | None:
    """Return (slope, intercept), or None where the file is unscaled."""
    if math.isnan(slope) or slope == 0 or (slope, intercept) == (1, 0):
        return None
    if not (math.isfinite(slope) and math.isfinite(intercept)):
        raise _HeaderError(f"expected a finite scl_slope and scl_inter, found {slope} and {intercept}")
    return slope, intercept


def _unlike_forms(header: Any, shape: tuple[int, ...]) -> bool:
    """Tell whether qform and sform, of one space by their codes, place some corner elsewhere by more than half a voxel."""
    if not int(header["qform_code"]) == int(header["sform_code"]) > 0:
        return False
    try:
        one, other = (np.array(each(), np.float64) for each in (header.get_qform, header.get_sform))
        with np.errstate(all="ignore"):
            apart = np.abs(np.linalg.solve(other[:3, :3], (one - other)[:3]))
            extent = [n - 1 for n in (*shape, 1, 1)[:3]]
            return bool((apart @ [*extent, 1] > _HALF).any())
    except (ValueError, np.linalg.LinAlgError):  # one of them places nothing
        return False


def _place(header: Any) -> tuple[NDArray[np.float64], tuple[float, ...]]:
    """Return the affine, NaN where the header describes none, and the spacing along all axes, both in mm."""
    # The repairs that nibabel makes on loading, without its log: spacing is positive, qfac is 1 or -1.
    steps = header["pixdim"]
    steps[1:4] = np.where(steps[1:4] == 0, 1, np.abs(steps[1:4]))
    if steps[0] not in (-1, 1):
        steps[0] = 1
    header["sform_code"] = max(int(header["sform_code"]), 0)
    affine = np.full((4, 4), np.nan)
    with np.errstate(all="ignore"):
        with contextlib.suppress(ValueError):  # no rotation has this quaternion
            affine = np.array(header.get_best_affine(), dtype=np.float64)
        affine[:3] *= _MM_PER_UNIT.get(int(header["xyzt_units"]) & 7, 1.0)
        columns = np.linalg.norm(affine[:3, :3], axis=0)
    affine.flags.writeable = False
    return affine, (*columns.tolist(), *steps[4:8].tolist())


FORMAT = Format(
    "NIfTI-1 and NIfTI-2",
    (".nii", ".nii.gz", ".hdr", ".hdr.gz", ".img", ".img.gz"),
    _recognises,
    NiftiVolume,
    sure=True,
)
