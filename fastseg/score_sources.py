"""Files of scores and labels as arrays that are read in pieces: NIfTI, NPY and NPZ."""

from __future__ import annotations

import mmap
import os
import struct
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from math import prod
from typing import Any, BinaryIO, Literal

import numpy as np
import numpy.typing as npt

from fastseg.files import Path
from fastseg.volumes import Geometry, VolumeError, open_volume
from fastseg.volumes.base import DEFLATE_LIMIT, ByteSource
from fastseg.volumes.nifti import NiftiVolume
from fastseg.volumes.npy import read_header

__all__ = ["MEMORY_BYTES", "NNUNET", "Reader", "Source", "held", "kind_of", "nifti_shape", "open_source"]

Array = npt.NDArray[Any]

#: What has to be unpacked before it can be read in pieces is kept in memory up to here, else in a temporary file.
MEMORY_BYTES = 256 << 20

_READ_BYTES = 8 << 20
_NPY, _ZIP = b"\x93NUMPY", (b"PK\x03\x04", b"PK\x05\x06")
#: nnU-Net's name for the probabilities in an .npz file, whose axes are (class, z, y, x).
NNUNET = "probabilities"

#: Takes slices along the leading axes in memory order and returns that part, valid until the next is asked for.
Reader = Callable[[tuple[slice, ...]], Array]


@dataclass
class Source:
    """An array in a file, opened: what its header says, and how to get at its numbers."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    order: Literal["C", "F"]
    fill: Callable[[memoryview], int]
    """Reads the next bytes; fewer only at the end of the file."""
    end: Callable[[], None]
    """Checks what follows the last number, once."""
    direct: tuple[BinaryIO, int] | None = None
    """A file that has the numbers as they are, and where they begin."""
    geometry: Geometry | None = None
    scaling: tuple[float, float] | None = None
    key: str | None = None
    """The name of the array in an .npz file."""

    @property
    def stored_shape(self) -> tuple[int, ...]:
        """The shape in memory order, the last axis fastest."""
        return self.shape if self.order == "C" else self.shape[::-1]

    @property
    def nbytes(self) -> int:
        """Bytes of the array, unpacked."""
        return prod(self.shape) * self.dtype.itemsize

    def finish(self) -> None:
        """Check what follows the last number, unless that is done."""
        self.end()
        self.end = lambda: None

    def _filled(self, view: memoryview, before: int = 0) -> None:
        found = self.fill(view)
        if found < len(view):
            raise _truncated(self.name, self.nbytes, before + found)

    def in_turn(self) -> Reader:
        """Return what reads blocks that follow each other without a gap, from the first to the last."""
        shape, buffer, position = self.stored_shape, np.empty(0, np.uint8), 0

        def read(block: tuple[slice, ...]) -> Array:
            nonlocal buffer, position
            size = _size(shape, block)
            needed = prod(size) * self.dtype.itemsize
            if buffer.size < needed:
                buffer = np.empty(needed, np.uint8)
            self._filled(_bytes_of(buffer[:needed]), position)
            position += needed
            return buffer[:needed].view(self.dtype).reshape(size)

        return read

    def anywhere(self, stack: ExitStack, *, mapped: bool = False) -> Reader:
        """Return what reads any block, having unpacked the file where it cannot be read so.

        With `mapped` blocks may be views of an array, `read.array`, in memory or mapped there.
        """
        if self.direct is not None and not mapped:
            return _pieces(self.name, *self.direct, self.stored_shape, self.dtype)
        if self.nbytes <= MEMORY_BYTES:
            held = np.empty(self.nbytes, np.uint8)
            self._filled(_bytes_of(held))
            self.finish()
            return _Views(held.view(self.dtype).reshape(self.stored_shape))
        file = self._unpacked(stack)
        if not mapped:
            return _pieces(self.name, file, 0, self.stored_shape, self.dtype)
        # Nobody else can truncate this file, so that mapping it is safe.
        pages = mmap.mmap(file.fileno(), self.nbytes, access=mmap.ACCESS_READ)
        return _Views(np.frombuffer(pages, self.dtype).reshape(self.stored_shape))

    def _unpacked(self, stack: ExitStack) -> BinaryIO:
        try:
            file: Any = tempfile.TemporaryFile(prefix="fastseg-", buffering=0)  # noqa: SIM115
            stack.callback(file.close)
            buffer = memoryview(bytearray(_READ_BYTES))
            for start in range(0, self.nbytes, len(buffer)):
                part = buffer[: min(len(buffer), self.nbytes - start)]
                self._filled(part, start)
                while len(part):
                    part = part[file.write(part) :]
        except OSError as error:
            raise VolumeError(f"{self.name}: cannot be unpacked to a temporary file: {error}") from error
        self.finish()
        return file  # type: ignore[no-any-return]


class _Views:
    """Blocks of an array."""

    def __init__(self, array: Array) -> None:
        self.array = array

    def __call__(self, block: tuple[slice, ...]) -> Array:
        return self.array[block]


def held(reader: Reader) -> Reader:
    """Return what reads blocks of the same array with its axes reversed."""
    assert isinstance(reader, _Views)
    return _Views(reader.array.T)


def _size(shape: tuple[int, ...], block: tuple[slice, ...]) -> tuple[int, ...]:
    cut = (len(range(*part.indices(size))) for part, size in zip(block, shape, strict=False))
    return (*cut, *shape[len(block) :])


def _pieces(name: str, file: BinaryIO, offset: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Reader:
    """Return what reads blocks of a C-ordered array in a file, with a seek for every piece that is in one line there."""
    buffer = np.empty(0, np.uint8)

    def read(block: tuple[slice, ...]) -> Array:
        nonlocal buffer
        size = _size(shape, block)
        needed = prod(size) * dtype.itemsize
        if buffer.size < needed:
            buffer = np.empty(needed, np.uint8)
        view, filled = _bytes_of(buffer[:needed]), 0
        starts = [part.indices(extent)[0] for part, extent in zip(block, shape, strict=False)]
        starts += [0] * (len(shape) - len(block))
        inner = len(shape)
        while inner and size[inner - 1] == shape[inner - 1]:
            inner -= 1
        inner = max(inner - 1, 0)  # the axes from this one on are in one line
        piece = prod(size[inner:]) * dtype.itemsize
        steps = [prod(shape[axis + 1 :]) * dtype.itemsize for axis in range(len(shape))]
        base = offset + sum(start * step for start, step in zip(starts, steps, strict=True))
        for index in np.ndindex(size[:inner]):
            position = base + sum(i * step for i, step in zip(index, steps, strict=False))
            _read_at(name, file, position, view[filled : filled + piece])
            filled += piece
        return buffer[:needed].view(dtype).reshape(size)

    return read


def _read_at(name: str, file: BinaryIO, position: int, view: memoryview) -> None:
    try:
        file.seek(position)
        filled = 0
        while filled < len(view):
            count = file.readinto(view[filled : filled + _READ_BYTES])  # type: ignore[attr-defined]
            if not count:
                raise VolumeError(f"{name}: truncated: expected {len(view)} bytes at byte {position}, found {filled}")
            filled += count
    except OSError as error:
        raise VolumeError(f"{name}: cannot be read: {error}") from error


def _reopened(stack: ExitStack, name: str) -> BinaryIO:
    file: Any = stack.enter_context(open(name, "rb", buffering=0))  # noqa: SIM115
    return file  # type: ignore[no-any-return]


def _bytes_of(array: Any) -> memoryview:
    return memoryview(array)  # an array is a buffer only to the type checkers of Python 3.12


def _truncated(name: str, expected: int, found: int) -> VolumeError:
    return VolumeError(f"{name}: truncated: expected {expected} bytes of voxels, found {found}")


def kind_of(path: Path) -> Literal["npy", "npz", "volume"]:
    """Tell .npy and .npz files from volumes, by their first bytes."""
    source = ByteSource(os.fsdecode(path))
    try:
        head = source.take(len(_NPY))
    finally:
        source.close()
    return "npy" if head == _NPY else "npz" if head.startswith(_ZIP) else "volume"


def open_source(stack: ExitStack, path: Path, *, labels: bool) -> Source:
    """Open a file of labels or scores."""
    name = os.fsdecode(path)
    kind = kind_of(path)
    if kind == "volume":
        return _open_nifti(stack, name, labels)
    if kind == "npz":
        return _open_npz(stack, name)
    source = ByteSource(name)
    stack.callback(source.close)
    header = read_header(name, source.take)
    opened = Source(
        name, header.shape, header.dtype, header.order, source.fill, lambda: source.drain("the last number")
    )
    if not source.compressed:
        _check_length(opened, source.size - source.position)
        opened.direct = _reopened(stack, name), source.position
        opened.end = lambda: None
    elif opened.nbytes > source.limit:
        raise _truncated(name, opened.nbytes, source.limit)
    return opened


def nifti_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape of a NIfTI file without the axis of time of one that has classes along the fifth axis."""
    return shape[:3] + shape[4:] if len(shape) == 5 and shape[3] == 1 else shape


def _open_nifti(stack: ExitStack, name: str, labels: bool) -> Source:
    volume = stack.enter_context(open_volume(name))
    if not volume.streams:
        raise VolumeError(
            f"{name}: expected a file that is read from first to last beside scores, such as NIfTI or NPY"
        )
    shape = volume.geometry.shape if labels else nifti_shape(volume.geometry.shape)

    def fill(view: memoryview) -> int:
        return volume.read_into(view)

    opened = Source(name, shape, volume.dtype, volume.order, fill, volume.finish)
    opened.geometry, opened.scaling = volume.geometry, volume.scaling
    source = volume._source if isinstance(volume, NiftiVolume) else None
    if source is not None and not source.compressed and source.name == name:  # else it is half of a pair
        start = source.position

        def end() -> None:
            if source.position == start:  # nothing was read in turn
                source.skip(opened.nbytes)
            source.drain("the last voxel")

        opened.direct = _reopened(stack, name), start
        opened.end = end
    return opened


def _open_npz(stack: ExitStack, name: str) -> Source:
    """Open the array of an .npz file, which the checksum of its end has not been compared with yet."""
    with _corrupt(name):
        archive = stack.enter_context(zipfile.ZipFile(name))
        members = [member for member in archive.namelist() if member.endswith(".npy")]
        keys = [member.removesuffix(".npy") for member in members]
    if not members or (len(members) > 1 and NNUNET not in keys):
        raise VolumeError(f"{name}: expected one array, or one with the key {NNUNET!r}; found the keys {keys}")
    key = keys[0] if len(keys) == 1 else NNUNET
    with _corrupt(name):
        member = archive.getinfo(f"{key}.npy")
        if member.file_size > member.compress_size * DEFLATE_LIMIT and member.compress_type == zipfile.ZIP_DEFLATED:
            raise VolumeError(
                f"{name}: truncated or corrupt: {member.file_size} bytes do not fit {member.compress_size} bytes of deflate"
            )
        stream = stack.enter_context(archive.open(member))

    def fill(view: memoryview) -> int:
        filled = 0
        while filled < len(view):
            with _corrupt(name):
                data = stream.read(min(len(view) - filled, _READ_BYTES))
            if not data:
                break
            view[filled : filled + len(data)] = data
            filled += len(data)
        return filled

    position = 0

    def take(count: int) -> bytes:
        nonlocal position
        with _corrupt(name):
            data = stream.read(count)
        position += len(data)
        return data

    def end() -> None:
        with _corrupt(name):  # the checksum is compared at the end
            while stream.read(_READ_BYTES):
                pass

    header = read_header(name, take)
    opened = Source(name, header.shape, header.dtype, header.order, fill, end, key=key)
    _check_length(opened, member.file_size - position)
    if member.compress_type == zipfile.ZIP_STORED and not member.flag_bits & 1:  # neither compressed nor encrypted
        file = _reopened(stack, name)
        local = bytearray(30)
        _read_at(name, file, member.header_offset, memoryview(local))
        skipped = sum(struct.unpack_from("<HH", local, 26))  # its name and what else the local header has
        opened.direct = file, member.header_offset + len(local) + skipped + position
    return opened


@contextmanager
def _corrupt(name: str) -> Iterator[None]:
    """Turn whatever the standard library raises on a broken archive into an error that names the file."""
    try:
        yield
    except VolumeError:
        raise
    except Exception as error:
        raise VolumeError(f"{name}: truncated or corrupt: {error or type(error).__name__}") from error


def _check_length(source: Source, found: int) -> None:
    if found < source.nbytes:
        raise _truncated(source.name, source.nbytes, found)
    if found > source.nbytes:
        raise VolumeError(
            f"{source.name}: expected {source.nbytes} bytes of numbers, found {found - source.nbytes} more"
        )
