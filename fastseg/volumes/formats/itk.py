"""NRRD and MetaImage: the header through SimpleITK, the voxel bytes straight from the file where it is simple.

Simple is one data file, or the header's own, that is raw, gzip or zlib. What else the formats allow (text, several data files,
bytes to skip) SimpleITK reads as a whole, and then a volume takes as much memory as it has voxels.
"""

from __future__ import annotations

import math
import os
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from io import FileIO
from typing import Any, BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

from fastseg.volumes.bytes import DEFLATE_LIMIT, ByteSource
from fastseg.volumes.decoded import DecodedVolume
from fastseg.volumes.errors import VolumeError
from fastseg.volumes.foreign import note_of
from fastseg.volumes.formats.itk_says import Said, meta_says, nrrd_says
from fastseg.volumes.plain import Inflater, SerialVolume
from fastseg.volumes.volume import Format, Geometry, Volume, require

_NRRD, _META = b"NRRD000", b"ObjectType = Image"
_HEADER_BYTES = 16 << 20  # Slicer writes much about each segment; nobody writes so much
_AXES = "xyztuvw"
_TYPES = {
    "UInt8": "u1", "UInt16": "u2", "UInt32": "u4", "UInt64": "u8", "Int8": "i1", "Int16": "i2", "Int32": "i4", "Int64": "i8",
    "Float32": "f4", "Float64": "f8",
}  # fmt: skip
_ZLIB_OR_GZIP = zlib.MAX_WBITS + 32
# Bytes of voxels that a byte of the file can stand for; in text a voxel of eight bytes may be a single digit.
_EXPANSION = {"raw": 1, "text": 8, "gzip": DEFLATE_LIMIT, "zlib": DEFLATE_LIMIT}
_FILES_LIMIT = 1 << 20
#: Numbers that a voxel may be a list of: layers of segments that overlap.
_LIST = 4096
# Fields of a MetaImage header that have as many numbers as there are axes, to which power.
_META_NUMBERS = {
    "DimSize": 1, "ElementSpacing": 1, "ElementSize": 1, "Offset": 1, "Position": 1, "Origin": 1, "CenterOfRotation": 1,
    "TransformMatrix": 2, "Rotation": 2, "Orientation": 2,
    "ElementNumberOfChannels": 0, "HeaderSize": 0, "CompressedDataSize": 0,
}  # fmt: skip
_NUMBER = r"[-+]?[\w.+-]{1,40}"

_Coding = Literal["raw", "text", "gzip", "zlib"]
_ByteOrder = Literal["<", ">"]


@dataclass(frozen=True)
class _Place:
    """Where the voxels lie: from byte `offset` of the only file on; None where SimpleITK must look for them."""

    files: tuple[str, ...]
    offset: int | None
    coding: _Coding
    byteorder: _ByteOrder
    says: Callable[[Geometry], Said]
    """Returns what else the header says, of the geometry that SimpleITK finds in it."""


def _open(path: str) -> Volume:
    itk = require("SimpleITK", "itk", path, "an NRRD or MetaImage file")
    reader = itk.ImageFileReader()
    place = _locate(path, reader)
    geometry, dtype = _read_header(itk, reader, path)
    said = place.says(geometry)
    volume = _volume(path, said.geometry, dtype, place, lambda: itk.GetArrayFromImage(reader.Execute()))
    volume.scaling, volume.notes = said.scaling, said.notes
    return volume


def _volume(
    path: str, geometry: Geometry, dtype: np.dtype[Any], place: _Place, read: Callable[[], NDArray[Any]]
) -> Volume:
    """Return the voxels of a place; what SimpleITK must look for is read with `read`."""
    if place.offset is None:
        return _Whole(path, geometry, dtype, place, read)
    zipped, file = place.coding != "raw", place.files[0]
    source = ByteSource(
        file,
        path if file == path else f"{path}: {file}",
        offset=place.offset,
        compressed=zipped,
        decode=_inflate if place.coding == "zlib" else None,
    )
    offset = None if zipped else place.offset
    return SerialVolume(path, geometry, dtype.newbyteorder(place.byteorder), "F", source, offset)


def open_list(path: str) -> tuple[Volume, Geometry, int] | None:
    """Open an NRRD file whose voxels are lists of numbers, such as Slicer's layers; None where they are single numbers.

    Returns
    -------
    volume, geometry, axis
        The volume has the list as its first or its last axis, and the geometry is that of one number of each voxel.

    Raises
    ------
    VolumeError
        If the file cannot be read.
    """
    itk = require("SimpleITK", "itk", path, "an NRRD file")
    reader = itk.ImageFileReader()
    place = _locate(path, reader)
    geometry, dtype = _read_header(itk, reader, path, _LIST)
    number = int(reader.GetNumberOfComponents())
    if number == 1:
        return None
    kinds = next((value for key, value in _nrrd_fields(path) if key == "kinds"), "")
    listed = [place for place, kind in enumerate(kinds.split()) if kind not in ("domain", "space")]
    if listed not in ([0], [len(geometry.shape)]):
        raise VolumeError(f"{path}: expected layers along the first or the last axis, found the kinds {kinds!r}")
    axis = listed[0]
    if place.offset is None:
        raise VolumeError(f"{path}: expected layers in one file, raw or gzip, found another layout")
    said = place.says(geometry)
    if said.scaling is not None:
        raise VolumeError(f"{path}: expected layers of labels as they are stored, found them scaled")
    shape, spacing = list(geometry.shape), list(geometry.spacing)
    shape.insert(axis, number)
    spacing.insert(axis, math.nan)
    whole = Geometry(tuple(shape), None, tuple(spacing))
    volume = _volume(path, whole, dtype, place, lambda: itk.GetArrayFromImage(reader.Execute()))
    volume.notes = said.notes
    return volume, said.geometry, axis


def is_nrrd(path: str) -> bool:
    """Tell whether a path is a file that begins as NRRD does."""
    try:
        with open(path, "rb") as file:
            return file.read(len(_NRRD)) == _NRRD
    except (OSError, ValueError):
        return False


def _nrrd_fields(path: str) -> Iterator[tuple[str, str]]:
    """Yield the fields of an NRRD header, in lower case and without spaces, and their values."""
    with open(path, "rb") as file:
        for line in _lines(path, file):
            if not line:
                return
            key, mark, value = line.partition(": ")
            if mark:
                yield key.lower().replace(" ", ""), value.strip()


def _inflate(file: FileIO) -> Callable[[memoryview], int]:
    return Inflater(file, _ZLIB_OR_GZIP).readinto


def files_of(path: str) -> tuple[str, ...]:
    """Return the files that hold the voxels of an NRRD or MetaImage file, perhaps itself; raise VolumeError."""
    return _locate(path, None).files


def _locate(path: str, reader: Any) -> _Place:
    """Read of a header what SimpleITK does not tell, and choose how it reads the rest."""
    source = ByteSource(path)
    try:
        if source.compressed:
            raise VolumeError(
                f"{path}: expected an NRRD or MetaImage file, found one in gzip, which SimpleITK cannot read"
            )
        with open(source.fileno(), "rb", closefd=False) as file:
            nrrd = file.read(len(_NRRD)) == _NRRD
            file.seek(0)
            if reader is not None:
                reader.SetImageIO("NrrdImageIO" if nrrd else "MetaImageIO")
                reader.SetFileName(path)
            return (_locate_nrrd if nrrd else _locate_meta)(path, file)
    finally:
        source.close()


def _lines(path: str, file: BinaryIO) -> Iterator[str]:
    """Yield the lines of a header; meanwhile `file` stands at the end of each."""
    while line := file.readline(_HEADER_BYTES):
        yield line.rstrip(b"\r\n").decode(errors="surrogateescape")
        if file.tell() >= _HEADER_BYTES:
            raise VolumeError(f"{path}: expected a header of at most {_HEADER_BYTES >> 20} MiB, found more")


def _locate_nrrd(path: str, file: BinaryIO) -> _Place:
    fields: dict[str, str] = {}
    ended, lines = False, _lines(path, file)
    for line in lines:
        ended = not line
        if ended:
            break
        key, mark, value = line.partition(": ")
        if mark:  # else a comment, or a pair of key and value
            fields[key.lower().replace(" ", "")] = value.strip()
        if fields.get("datafile", "").startswith("LIST"):
            break
    names = fields.get("datafile")
    if names is None and not ended:
        raise VolumeError(f"{path}: expected an NRRD header that ends in an empty line, found the end of the file")
    if not re.fullmatch("[1-8]", fields.get("dimension", "1")):  # ITK writes beyond its arrays at 11
        raise VolumeError(f"{path}: expected a dimension from 1 to 8, found {fields['dimension']!r}")
    files = (path,) if names is None else _beside(path, names, lines)
    codings: dict[str, _Coding] = {"raw": "raw", "gzip": "gzip", "gz": "gzip"}
    coding = codings.get(fields.get("encoding", "").lower(), "text")
    offset = file.tell() if names is None else 0
    simple = len(files) == 1 and all(fields.get(key, "0") == "0" for key in ("lineskip", "byteskip"))
    byteorder: _ByteOrder = ">" if fields.get("endian", "").lower() == "big" else "<"
    says = partial(nrrd_says, path, fields)
    return _Place(files, offset if simple and coding != "text" else None, coding, byteorder, says)


def _locate_meta(path: str, file: BinaryIO) -> _Place:
    fields: dict[str, str] = {}
    lines = _lines(path, file)
    for line in lines:
        key, value, *_ = *map(str.strip, re.split("[=:]", line, maxsplit=1)), ""
        if key in fields and key not in ("", "Comment"):  # MetaIO would take both, one after the other
            raise VolumeError(f"{path}: expected the field {key[:40]!r} once, found it again")
        fields[key] = value
        if key == "ElementDataFile":  # always the last: the voxels may follow
            break
    _check_meta(path, fields)
    name = fields["ElementDataFile"]
    local = name.lower() == "local"
    files = (path,) if local else _beside(path, name, lines)
    orders = {_true(fields[key]) for key in ("BinaryDataByteOrderMSB", "ElementByteOrderMSB") if key in fields}
    if len(orders) > 1:
        raise VolumeError(
            f"{path}: expected one byte order, found BinaryDataByteOrderMSB and ElementByteOrderMSB differ"
        )
    zipped, binary = _true(fields.get("CompressedData", "False")), _true(fields.get("BinaryData", "True"))
    coding: _Coding = "zlib" if zipped else "raw" if binary else "text"
    simple = len(files) == 1 and binary and fields.get("HeaderSize", "0") == "0"
    if zipped and not simple:  # MetaIO returns what it has where the data are corrupt
        raise VolumeError(
            f"{path}: expected compressed voxels in one file right after its header, found another layout"
        )
    offset = file.tell() if local else 0
    byteorder: _ByteOrder = ">" if orders == {True} else "<"
    says = partial(meta_says, path, fields)
    return _Place(files, offset if simple and coding != "text" else None, coding, byteorder, says)


def _check_meta(path: str, fields: dict[str, str]) -> None:
    """Refuse a header that MetaIO should not see: it complains to the terminal, or writes beyond its arrays."""
    missing = [key for key in ("NDims", "DimSize", "ElementType", "ElementDataFile") if key not in fields]
    if missing:
        raise VolumeError(f"{path}: expected a MetaImage header, found no field {', '.join(missing)}")
    if not re.fullmatch("[1-7]", fields["NDims"]):
        raise VolumeError(f"{path}: expected 1 to 7 axes in NDims, found {fields['NDims']!r}")
    axes = int(fields["NDims"])
    for key in fields.keys() & _META_NUMBERS.keys():
        wanted = axes ** _META_NUMBERS[key]
        if not re.fullmatch(rf"({_NUMBER}\s+){{{wanted - 1}}}{_NUMBER}", fields[key]):
            raise VolumeError(f"{path}: expected {wanted} number(s) in {key}, found {fields[key]!r}")


def _true(value: str) -> bool:
    """Read a truth value as MetaIO does."""
    return value[:1] in ("T", "t", "1")


def _beside(path: str, value: str, lines: Iterator[str]) -> tuple[str, ...]:
    """Return the paths of the data files; refuse any that is not beside the header.

    They are listed in the `lines` that follow, or given as one name, or as a pattern for numbers from, to and by which.
    """
    names = [value]
    if value.startswith("LIST"):
        names = [name.strip() for name in lines if name.strip()]
    elif "%" in value:
        pattern = re.fullmatch(r"([^%]*)%(0?\d?)d([^%]*?)\s+(\d+)\s+(\d+)\s+([1-9]\d*)(\s+\d+)?", value)
        numbers = range(0)
        if pattern is not None:
            numbers = range(int(pattern[4]), int(pattern[5]) + 1, int(pattern[6]))[:_FILES_LIMIT]
        names = [f"{pattern[1]}{number:{pattern[2]}d}{pattern[3]}" for number in numbers] if pattern is not None else []
    names = [name.removeprefix("./") for name in names]
    wrong = [name for name in names if re.search(r"[/\\\0]|^\.*$|^\w:", name)]
    if wrong or not names:
        found = wrong[0] if wrong else value
        raise VolumeError(f"{path}: expected the name of a data file beside the header, found {found!r}")
    return tuple(os.path.join(os.path.dirname(path), name) for name in names)


def _read_header(itk: Any, reader: Any, path: str, components: int = 1) -> tuple[Geometry, np.dtype[Any]]:
    """Let SimpleITK read the header; return what it says, in RAS+ coordinates, and the type in native byte order.

    `components` is how many numbers a voxel may have; the geometry is that of one of them.
    """
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise _refused(path, error) from error
    shape = tuple(int(extent) for extent in reader.GetSize())
    if not 1 <= len(shape) <= len(_AXES) or min(shape) < 1:
        raise VolumeError(
            f"{path}: expected 1 to {len(_AXES)} axes with at least one voxel along each, found the shape {shape}"
        )
    found, pixel = int(reader.GetNumberOfComponents()), reader.GetPixelID()
    types = {getattr(itk, f"sitk{vector}{name}"): name for name in _TYPES for vector in ("", "Vector")}
    if found > components or pixel not in types:
        raise VolumeError(
            f"{path}: expected voxels of one integer or floating-point number, "
            f"found {itk.GetPixelIDValueAsString(pixel)} of {found} component(s)"
            f"{': masks that may overlap are read with channels (--channels)' if found > 1 else ''}"
        )
    axes, spatial = len(shape), min(len(shape), 3)
    with np.errstate(all="ignore"):
        columns = np.array(reader.GetDirection()).reshape(axes, axes) * reader.GetSpacing()
        affine = np.eye(4)
        affine[:spatial, :spatial] = columns[:spatial, :spatial]
        affine[:spatial, 3] = reader.GetOrigin()[:spatial]
        affine[:2] *= -1  # ITK's coordinates run to the left and to the back
        affine += 0.0  # no negative zeros
    affine.flags.writeable = False
    spacing = [abs(float(step)) for step in reader.GetSpacing()]
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    return Geometry(shape, affine, tuple(spacing[: len(shape)]), _AXES[: len(shape)]), np.dtype(_TYPES[types[pixel]])


def _refused(path: str, error: RuntimeError) -> VolumeError:
    """Return the last thing that ITK says in its many lines, without its addresses in memory."""
    lines = [line for line in str(error).strip().splitlines() if not line.startswith("Reason: ")]
    reason = re.sub(r"^.*ERROR: (\w+\(\w+\): )?", "", lines[-1] if lines else "no reason")
    return VolumeError(f"{path}: expected a file that SimpleITK can read, found: {reason.strip()}")


class _Whole(DecodedVolume):
    """An image that SimpleITK reads at one go, for the files whose voxels nothing else finds."""

    order: Literal["F", "C"] = "F"

    def __init__(
        self, path: str, geometry: Geometry, dtype: np.dtype[Any], place: _Place, read: Callable[[], NDArray[Any]]
    ) -> None:
        super().__init__(path)
        self.geometry, self.dtype, self._read = geometry, dtype, read
        self.blocks = (1,) * len(geometry.shape)
        needed = math.prod(geometry.shape) * dtype.itemsize
        try:
            there = sum(map(os.path.getsize, place.files))
        except OSError as error:
            raise VolumeError(f"{path}: {error.filename}: cannot be read: {error.strerror}") from error
        if needed > there * _EXPANSION[place.coding]:
            raise VolumeError(
                f"{path}: truncated or corrupt: expected {needed} bytes of voxels for the shape {geometry.shape} of "
                f"{dtype}, found {there} bytes in {len(place.files)} file(s){''.join(map(note_of, place.files))}"
            )

    def _decode(self) -> NDArray[Any]:
        try:
            array = self._read()
        except RuntimeError as error:
            raise _refused(self.path, error) from error
        return array.reshape(self.geometry.shape[::-1]).T


def _recognises(head: bytes) -> bool:
    """Say whether these first bytes are an NRRD header, or a MetaImage header as most write it."""
    return head.startswith((_NRRD, _META))


FORMAT = Format("NRRD and MetaImage", (".nrrd", ".seg.nrrd", ".nhdr", ".mha", ".mhd"), _recognises, _open)
