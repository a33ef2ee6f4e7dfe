"""Voxels that lie in a file one after another: as a stream, and in any box by several threads if not compressed."""

from __future__ import annotations

import importlib
import math
import os
import threading
import zlib
from collections.abc import Callable
from io import FileIO
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from fastseg.volumes.bytes import ByteSource, WritableBytes
from fastseg.volumes.errors import ClosedError, StreamError, VolumeError
from fastseg.volumes.foreign import note_of
from fastseg.volumes.volume import Geometry, Volume

#: Rows of a box that lie less than this apart are read together with what lies between them.
_GAP_BYTES = 4096
#: One such read.
_PIECE_BYTES = 1 << 20
_DRAIN_BYTES = 1 << 20
_COMPRESSED_BYTES = 128 << 10
_INFLATED_BYTES = 1 << 20  # at a time, so that a copy is still in the cache
_lock = threading.Lock()  # where there is no read at a position


class OpenFile(Protocol):
    """What has a descriptor, and raises ValueError in place of it once it is closed."""

    def fileno(self) -> int:
        """Return the descriptor."""
        ...


class PlainVoxels:
    """Read boxes of an array that lies in an open file.

    Reads are bounded and never mapped into memory: a mapped file that somebody truncates kills the process.

    Parameters
    ----------
    file : ByteSource or open file
        It stays the caller's to close; nothing is read through its descriptor afterwards, which may be another file's then.
    offset : int
        Bytes before the first voxel.
    shape, dtype, order
        Of the array, as in `Volume`; it has an axis at least.
    name : str
        Of the file, for messages.
    """

    def __init__(
        self,
        file: OpenFile,
        offset: int,
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        order: Literal["F", "C"],
        name: str,
    ) -> None:
        self._file, self._offset, self._dtype, self._order, self._name = file, offset, dtype, order, name
        self._shape = shape if order == "C" else shape[::-1]
        steps = [dtype.itemsize]
        for size in self._shape[:0:-1]:
            steps.append(steps[-1] * size)
        self._steps = steps[::-1]  # bytes from one index to the next along each axis, slowest first

    def read_block(self, start: tuple[int, ...], stop: tuple[int, ...]) -> NDArray[Any]:
        """Return the box from `start` up to `stop`; raise StreamError where the file ends before."""
        if self._order == "F":
            start, stop = start[::-1], stop[::-1]
        sizes = [b - a for a, b in zip(start, stop, strict=True)]
        values = np.empty(sizes, self._dtype)
        # Axes behind `row` are read as a whole, if need be with what is not wanted of them.
        row = len(sizes) - 1
        while row > 0 and (self._shape[row] - sizes[row]) * self._steps[row] < _GAP_BYTES:
            row -= 1
        first = self._offset + sum(a * step for a, step in zip(start[: row + 1], self._steps, strict=False))
        positions = (
            first + sum(i * step for i, step in zip(index, self._steps, strict=False))
            for index in np.ndindex(*sizes[:row])
        )
        if values.size == 0:
            pass
        elif sizes[row + 1 :] == list(self._shape[row + 1 :]):
            target: memoryview = values.reshape(-1).view(np.uint8).data
            run = sizes[row] * self._steps[row]
            for number, position in enumerate(positions):
                self._fill(target[number * run : (number + 1) * run], position)
        else:
            wanted = tuple(slice(a, b) for a, b in zip(start[row + 1 :], stop[row + 1 :], strict=True))
            rows = values.reshape(-1, *sizes[row:])
            for number, position in enumerate(positions):
                self._read_wider(rows[number], position, self._shape[row + 1 :], wanted)
        return values.T if self._order == "F" else values

    def _read_wider(
        self, values: NDArray[Any], position: int, shape: tuple[int, ...], wanted: tuple[slice, ...]
    ) -> None:
        """Read rows of `shape` that follow one another, in pieces, and keep what is wanted of each."""
        step = math.prod(shape) * self._dtype.itemsize
        piece = np.empty([min(len(values), max(1, _PIECE_BYTES // step)), *shape], self._dtype)
        target: memoryview = piece.reshape(-1).view(np.uint8).data
        for first in range(0, len(values), len(piece)):
            part = values[first : first + len(piece)]
            self._fill(target[: len(part) * step], position + first * step)
            part[...] = piece[(slice(len(part)), *wanted)]

    def _fill(self, view: memoryview, position: int) -> None:
        filled = 0
        while filled < len(view):
            try:
                count = _read_at(self._file.fileno(), view[filled:], position + filled)
            except OSError as error:
                raise StreamError(self._name, f"{error.strerror} (at byte {position + filled})") from error
            except ValueError:
                raise ClosedError(self._name) from None
            if not count:
                raise StreamError(
                    self._name, f"expected {len(view) - filled} bytes more at byte {position + filled}, found the end"
                )
            filled += count


def _read_seeking(descriptor: int, view: memoryview, position: int) -> int:
    with _lock:
        before = os.lseek(descriptor, 0, os.SEEK_CUR)  # where a stream of the same file goes on
        try:
            os.lseek(descriptor, position, os.SEEK_SET)
            block = os.read(descriptor, len(view))
        finally:
            os.lseek(descriptor, before, os.SEEK_SET)
    view[: len(block)] = block
    return len(block)


def _read_positioned(descriptor: int, view: memoryview, position: int) -> int:
    return os.preadv(descriptor, [view], position)


_read_at: Callable[[int, memoryview, int], int] = _read_positioned if hasattr(os, "preadv") else _read_seeking


def truncated(name: str, expected: int, found: int, reason: str) -> VolumeError:
    """Return the error of a file that holds fewer bytes of voxels than it should."""
    return VolumeError(f"{name}: truncated or corrupt: expected {expected} bytes of voxels, found {found}: {reason}")


class SerialVolume(Volume):
    """Voxels that lie in a file one after another: a stream, and blocks where they are not compressed.

    Parameters
    ----------
    path, geometry, dtype, order
        As in `Volume`.
    source : ByteSource
        At the first voxel; it closes with the volume.
    offset : int or None
        Where the first voxel lies in the file; None if the voxels are compressed.
    footer : bool
        Whether something else may follow the last voxel.

    Raises
    ------
    VolumeError
        If the file cannot hold so many voxels; then `source` is closed.
    """

    streams = True

    def __init__(
        self,
        path: str,
        geometry: Geometry,
        dtype: np.dtype[Any],
        order: Literal["F", "C"],
        source: ByteSource,
        offset: int | None,
        *,
        footer: bool = False,
    ) -> None:
        self.path, self.geometry, self.dtype, self.order = path, geometry, dtype, order
        self._source, self._footer = source, footer
        self._voxel_bytes = self._left = math.prod(geometry.shape) * dtype.itemsize
        if self._voxel_bytes > source.limit - source.position:
            source.close()
            what = "file" if offset is not None else "compressed file"
            raise self._truncated(
                f"they do not fit a {what} of {source.size}; the header declares {geometry.shape} voxels of {dtype} "
                f"after {source.position}{note_of(source.path)}"
            )
        if offset is not None:
            self.blocks = (1,) * len(geometry.shape)
            self._plain = PlainVoxels(source, offset, geometry.shape, dtype, order, source.name)

    def _truncated(self, reason: str) -> VolumeError:
        return truncated(self._source.name, self._voxel_bytes, self._voxel_bytes - self._left, reason)

    def read_into(self, buffer: WritableBytes) -> int:
        """Fill `buffer` with the next voxel bytes; see `Volume.read_into`. Raises VolumeError."""
        writable: Any = buffer  # an array is a buffer only to the type checkers of Python 3.12
        view = memoryview(writable).cast("B")[: self._left]
        start = self._source.position
        try:
            count = self._source.fill(view)
        except StreamError as error:
            self._left -= self._source.position - start
            raise self._truncated(error.reason) from error
        self._left -= count
        if count < len(view):
            raise self._truncated("the file ends there")
        return count

    def read_block(self, start: tuple[int, ...], stop: tuple[int, ...]) -> NDArray[Any]:
        """Return a box of voxels, where they are not compressed; see `Volume.read_block`."""
        return super().read_block(start, stop) if self.blocks is None else self._plain.read_block(start, stop)

    def finish(self) -> None:
        """Read what is left, so that every checksum is verified; see `Volume.finish`. Raises VolumeError."""
        if not self._source.compressed:  # nothing there has a checksum
            self._source.skip(self._left)
            self._left = 0
        scratch = bytearray(min(self._left, _DRAIN_BYTES))
        while self._left:
            self.read_into(scratch)
        self._source.drain("the last voxel", only_zeros=not self._footer)

    def close(self) -> None:
        """Close the file; closing twice is allowed."""
        self._source.close()


class Inflater:
    """Decompress a deflate, zlib or gzip stream that lies somewhere in a file, in bounded pieces.

    Parameters
    ----------
    file : FileIO
        At the first byte of the stream.
    wbits : int
        Which of the three: as in zlib.
    length : int, optional
        Bytes of the stream in the file; by default up to its end, where zero padding is allowed.
    """

    def __init__(self, file: FileIO, wbits: int, length: int | None = None) -> None:
        library: Any
        try:
            library = importlib.import_module("zlib_ng.zlib_ng")
        except ImportError:
            library = zlib
        self._file, self._left, self._inflate = file, length, library.decompressobj(wbits)

    def readinto(self, view: memoryview) -> int:
        """Put the next bytes into `view`, at least one; return 0 after the last, when the checksum has been compared.

        Raises EOFError, OSError or the library's error.
        """
        while not self._inflate.eof:
            data = self._inflate.unconsumed_tail or self._read()
            piece = self._inflate.decompress(data, min(len(view), _INFLATED_BYTES))
            if piece:
                view[: len(piece)] = piece
                return len(piece)
            if not data and not self._inflate.eof:
                raise EOFError("the compressed data ends before its end marker")
        rest = self._inflate.unused_data or self._read()
        while rest:
            if rest.strip(b"\0") or self._left is not None:
                raise OSError("expected the end after the compressed data, found something else")
            rest = self._read()
        return 0

    def _read(self) -> bytes:
        """Return the next compressed bytes, none at the end."""
        if self._left is None:
            return self._file.read(_COMPRESSED_BYTES)
        data = self._file.read(min(_COMPRESSED_BYTES, self._left))
        self._left -= len(data)
        return data
