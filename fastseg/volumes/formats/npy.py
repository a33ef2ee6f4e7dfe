"""NumPy's own files: NPY, one array as it is, and NPZ, a zip of such files that may be compressed."""

from __future__ import annotations

import importlib
import math
import os
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from io import FileIO
from typing import Any, Literal

import numpy as np

from fastseg.volumes.bytes import DEFLATE_LIMIT, ByteSource
from fastseg.volumes.decoded import failures_of, quiet
from fastseg.volumes.errors import VolumeError
from fastseg.volumes.paths import split_inside
from fastseg.volumes.plain import Inflater, SerialVolume
from fastseg.volumes.volume import Format, Geometry, Volume

_NPY, _ZIP = b"\x93NUMPY", b"PK\x03\x04"
_ZIPS = _ZIP, b"PK\x05\x06"  # one that is empty begins with its end
_LOCAL_HEADER_BYTES = 30
_HEADER_BYTES = 1 << 16  # NumPy refuses longer ones itself, but not before they are read
_AXES_LIMIT = 32  # of NumPy 1; nothing here has more
_NAMES_SHOWN = 20


@dataclass(frozen=True)
class Header:
    """What the header of an .npy file says, verified."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    order: Literal["F", "C"]

    @property
    def nbytes(self) -> int:
        """Bytes of the array."""
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def geometry(self) -> Geometry:
        """The shape; such a file does not say where its voxels lie."""
        return Geometry(self.shape, None, (math.nan,) * len(self.shape))


def read_header(name: str, take: Callable[[int], bytes]) -> Header:
    """Read the header of an .npy file; nothing is unpickled.

    Parameters
    ----------
    name : str
        What the messages begin with.
    take : callable
        Takes a number of bytes and returns the next ones, fewer only at the end; afterwards it stands at the first voxel.

    Raises
    ------
    VolumeError
        If the header is truncated or false, or the array is empty or not of real numbers of at most 64 bits.
    """

    class File:
        def read(self, count: int) -> bytes:
            return take(min(count, _HEADER_BYTES))

    file: Any = File()
    # NumPy warns of the headers of Python 2, which it reads; whatever the parser of literals raises on garbage is an error.
    with failures_of("NumPy", name), quiet():
        version = np.lib.format.read_magic(file)
        readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        # The third version differs only in the names of fields, and arrays with fields are not read.
        if version not in readers:
            raise VolumeError(f"{name}: expected an .npy header of version 1 or 2, found {version}")
        shape, fortran, dtype = readers[version](file)
        shape = tuple(int(size) for size in shape)
    if dtype.kind not in "biuf" or dtype.itemsize > 8:
        raise VolumeError(f"{name}: expected real numbers of at most 64 bits, found dtype {dtype}")
    if not 1 <= len(shape) <= _AXES_LIMIT or min(shape) < 1:
        raise VolumeError(
            f"{name}: expected 1 to {_AXES_LIMIT} axes with at least one voxel along each, found the shape {shape}"
        )
    return Header(shape, dtype, "F" if fortran else "C")


def _head(path: str, outer: str) -> bytes:
    """Return the first bytes of a file, unpacked; but those of gzip for a zip file in it, which is not read."""
    source = ByteSource(outer, path)
    try:
        head = source.take(len(_NPY))
    finally:
        source.close()
    return b"\x1f\x8b" if source.compressed and head.startswith(_ZIPS) else head


def array_names(path: str) -> tuple[str, ...]:
    """Return the names of the arrays in an .npz file, none for what is no such file."""
    if os.path.isdir(path) or not _head(path, path).startswith(_ZIPS):
        return ()
    return _names(_members(path, path))


def _open(path: str) -> Volume:
    outer, inside = split_inside(path)
    head = _head(path, outer)
    if head.startswith(_ZIPS):
        return _open_member(path, outer, inside)
    if head != _NPY:
        raise VolumeError(f"{path}: expected an .npy or .npz file, found the first bytes {head!r}")
    if inside is not None:
        raise VolumeError(f"{path}: expected an .npz file, whose arrays have names, found an .npy file")
    return _open_npy(path)


def _open_npy(path: str) -> Volume:
    source = ByteSource(path)
    try:
        header = read_header(path, source.take)
        offset = None if source.compressed else source.position
        return SerialVolume(path, header.geometry, header.dtype, header.order, source, offset)
    except BaseException:
        source.close()
        raise


class _Stored(SerialVolume):
    """An array of an .npz file that is not compressed; its checksum is of the whole, so that only a stream compares it."""

    def finish(self) -> None:
        """Compare the checksum, unless nothing was read in turn; see `Volume.finish`."""
        if self._left < self._voxel_bytes:
            super().finish()


def _open_member(path: str, outer: str, inside: str | None) -> Volume:
    """Open an array of an .npz file, the only one if none is named."""
    member = _find_member(path, outer, inside)
    at = _data_offset(path, outer, member)

    def decode(file: FileIO) -> Callable[[memoryview], int]:
        if member.compress_type == zipfile.ZIP_DEFLATED:
            return _Checked(Inflater(file, -zlib.MAX_WBITS, member.compress_size).readinto, member).readinto
        return _Checked(file.readinto, member).readinto

    # A stored member is decoded too: its checksum is compared.
    source = ByteSource(outer, path, offset=at, compressed=True, decode=decode)
    try:
        header = read_header(path, source.take)
        if source.position + header.nbytes != member.file_size:
            raise VolumeError(
                f"{path}: expected {header.nbytes} bytes of voxels for the shape {header.shape} of {header.dtype}, "
                f"found {member.file_size - source.position}"
            )
        stored = member.compress_type == zipfile.ZIP_STORED
        kind, offset = (_Stored, at + source.position) if stored else (SerialVolume, None)
        return kind(path, header.geometry, header.dtype, header.order, source, offset)
    except BaseException:
        source.close()
        raise


def _members(path: str, outer: str) -> dict[str, zipfile.ZipInfo]:
    """Return the table of contents of a zip file."""
    with failures_of("zipfile", path), zipfile.ZipFile(outer) as archive:
        return {member.filename: member for member in archive.infolist()}


def _names(members: Iterable[str]) -> tuple[str, ...]:
    return tuple(name.removesuffix(".npy") for name in members if name.endswith(".npy"))


def _find_member(path: str, outer: str, inside: str | None) -> zipfile.ZipInfo:
    """Find an array in the table of contents of an .npz file; refuse what cannot be read in bounded pieces."""
    members = _members(path, outer)
    names = _names(members)
    wanted = f"one array, or the name of one after {outer}::" if inside is None else f"an array named {inside!r}"
    chosen = names[0] if inside is None and len(names) == 1 else (inside or "").removesuffix(".npy")
    if chosen not in names:
        found = ", ".join([*map(repr, names[:_NAMES_SHOWN]), *["…"] * (len(names) > _NAMES_SHOWN)])
        found = f"the arrays {found}" if found else "a zip archive without arrays (.npy)"
        raise VolumeError(f"{path}: expected {wanted}; found {found}")
    member = members[f"{chosen}.npy"]
    if member.flag_bits & 1 or member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        method = "encryption" if member.flag_bits & 1 else f"compression method {member.compress_type}"
        raise VolumeError(f"{path}: expected a stored or deflated array, as NumPy writes it, found {method}")
    most = member.compress_size * (DEFLATE_LIMIT if member.compress_type == zipfile.ZIP_DEFLATED else 1)
    if member.file_size > most:
        raise VolumeError(
            f"{path}: truncated or corrupt: {member.file_size} bytes do not fit {member.compress_size} bytes of the archive"
        )
    return member


def _data_offset(path: str, outer: str, member: zipfile.ZipInfo) -> int:
    """Return where a member's bytes begin: behind its local header, which differs from that of the table of contents."""
    source = ByteSource(outer, path, compressed=False)
    try:
        source.skip(max(member.header_offset, 0))  # a false table of contents may begin before the file
        local = source.take(_LOCAL_HEADER_BYTES)
        if not local.startswith(_ZIP) or len(local) < _LOCAL_HEADER_BYTES:
            raise VolumeError(
                f"{path}: truncated or corrupt: expected an archive member at byte {member.header_offset}, "
                f"found {local[:4]!r}"
            )
        at: int = source.position + sum(struct.unpack_from("<HH", local, 26))
        if at + member.compress_size > source.size:
            raise VolumeError(
                f"{path}: truncated or corrupt: {member.compress_size} bytes from byte {at} on do not fit a file of "
                f"{source.size}"
            )
        return at
    finally:
        source.close()


class _Checked:
    """The bytes of an archive's member; their number and checksum are compared at the end."""

    def __init__(self, readinto: Callable[[memoryview], int], member: zipfile.ZipInfo) -> None:
        self._readinto, self._expected, self._found = readinto, member.CRC, 0
        self._left: int = member.file_size
        self._deflated = member.compress_type == zipfile.ZIP_DEFLATED
        try:
            self._crc32: Callable[[Any, int], int] = importlib.import_module("zlib_ng.zlib_ng").crc32
        except ImportError:
            self._crc32 = zlib.crc32

    def readinto(self, view: memoryview) -> int:
        """Put the next bytes into `view`; return 0 after the last."""
        if self._left:
            count: int = self._readinto(view[: self._left])
            if not count:
                raise EOFError(f"expected {self._left} bytes more, found the end of the member")
            self._found = self._crc32(view[:count], self._found)
            self._left -= count
            return count
        if self._deflated and self._readinto(memoryview(bytearray(1))):
            raise OSError("expected the end of the member, found more")
        if self._found != self._expected:
            raise OSError(f"expected the CRC {self._expected:08x}, found {self._found:08x}")
        return 0


def _recognises(head: bytes) -> bool:
    """Say whether these first bytes are an .npy file, or a zip file whose first member is one."""
    name_end = _LOCAL_HEADER_BYTES + int.from_bytes(head[26:28], "little")
    return head.startswith(_NPY) or (head.startswith(_ZIP) and head[_LOCAL_HEADER_BYTES:name_end].endswith(b".npy"))


FORMAT = Format("NPY and NPZ", (".npy", ".npz"), _recognises, _open, zips=True)
