"""What every file format agrees on: the protocol of a volume, its geometry, its errors and the bytes under it."""

from __future__ import annotations

import gzip
import importlib
import os
import stat
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from io import FileIO
from types import TracebackType
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from fastseg.geometry import Geometry as Geometry

# Deflate codes at most 258 bytes in two bits, one for the length and one for the distance: a file of n bytes cannot
# hold more than 1,032 n. Honest empty masks come within a few per cent of it, so only this hard limit is a test.
DEFLATE_LIMIT = 1032

# Some writers pad to a block; nobody pads by more than this, and draining a bomb of zeros would take for ever.
PADDING_LIMIT = 64 << 20

# One read: large enough to cost nothing, small enough that Ctrl-C is answered at once.
_READ_BYTES = 8 << 20
_SCRATCH_BYTES = 256 << 10

WritableBytes = bytearray | memoryview | NDArray[np.uint8]


class VolumeError(ValueError):
    """A volume that cannot be read; the message begins with its path, then what was expected and what was found."""


class UnrecognisedError(VolumeError):
    """A file that is not of the format that its suffix says."""


class StreamError(VolumeError):
    """The bytes of a file ended or broke before their end; ``reason`` says how, without the path."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name}: truncated or corrupt: {reason}")
        self.reason = reason


class ClosedError(VolumeError):
    """A volume that is read although it is closed."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name}: the volume is closed")


class Volume:
    """A file of voxels. A format derives its class from this one, and implements `read_into` or `read_block` or both.

    A file that can only be read from first to last (a compressed one) *streams*. A file of chunks, or one that is not
    compressed, is read in *blocks*, in any order and by several threads at once. Once it is closed, reading raises
    ClosedError, a kind of VolumeError.

    Attributes
    ----------
    path : str
        As given to `open_volume`.
    geometry : Geometry
    dtype : numpy.dtype
        Of the stored voxels, byte order included.
    scaling : (float, float) or None
        Slope and intercept that turn stored values into real ones; None where they change nothing.
    order : {"F", "C"}
        "F" if the first axis of the shape varies fastest in the stream (or within a block, for blocks: the order in which
        they are best read).
    streams : bool
        Whether `read_into` can be called.
    blocks : tuple of int or None
        Where `read_block` can be called: voxels along each axis of what is stored together, such as a chunk; 1 along axes
        that may be cut anywhere. None where it cannot.
    parallel : bool
        Whether several threads may call `read_block` at once.
    """

    path: str
    geometry: Geometry
    dtype: np.dtype[Any]
    scaling: tuple[float, float] | None = None
    order: Literal["F", "C"] = "C"
    streams: bool = False
    blocks: tuple[int, ...] | None = None
    parallel: bool = True

    def read_into(self, buffer: WritableBytes) -> int:
        """Fill `buffer` with the next voxel bytes and return how many; fewer than it holds only at the last voxel."""
        raise NotImplementedError(f"{type(self).__name__} does not stream")

    def read_block(self, start: tuple[int, ...], stop: tuple[int, ...]) -> NDArray[Any]:
        """Return the stored values of the box from `start` up to `stop`, along the axes of the shape, in any memory order.

        Raises VolumeError if the file is truncated or corrupt there.
        """
        raise NotImplementedError(f"{type(self).__name__} has no blocks")

    def finish(self) -> None:
        """After the last voxel: read to the end of the file; raise VolumeError if more than padding follows.

        A stream that was read whole is verified so: its checksums, and that it ends where it should. A format of blocks
        verifies each block when it is read.
        """

    def close(self) -> None:
        """Close the file; closing twice is allowed."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.close()


@dataclass(frozen=True)
class Format:
    """Declare a file format: each module of this package that reads one has it as its ``FORMAT``.

    Attributes
    ----------
    name : str
        For the message that lists the known formats.
    suffixes : tuple of str
        In lower case, the ones that a case's name is without; asked only when no format recognises the content.
    recognises : callable
        Takes the first `HEAD_BYTES` bytes of the file, decompressed if they are gzip, and says whether they are of this
        format. Of a file that this format's suffixes alone tell, it returns False.
    open : callable
        Takes the path and returns the volume; raises VolumeError.
    folder : callable, optional
        Takes the path of a folder and says whether it is a volume of this format.
    sure : bool
        Whether `open` raises UnrecognisedError for a file of another format, so that a file with one of the suffixes can
        be opened without a look at its first bytes before.
    """

    name: str
    suffixes: tuple[str, ...]
    recognises: Callable[[bytes], bool]
    open: Callable[[str], Volume]
    folder: Callable[[str], bool] | None = None
    sure: bool = False


def require(module: str, extra: str, path: str, what: str) -> Any:
    """Import a library that a format needs; raise VolumeError that names the extra to install where it is missing.

    Parameters
    ----------
    module : str
        Such as ``"tifffile"``.
    extra : str
        The extra of this package that brings it, such as ``"tiff"``.
    path : str
        Of the file that is to be read, for the message.
    what : str
        What it is, such as ``"a TIFF file"``.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        if error.name is not None and error.name.partition(".")[0] != module.partition(".")[0]:
            raise VolumeError(f"{path}: reading {what} needs {module}, which cannot be imported: {error}") from error
        raise VolumeError(f'{path}: reading {what} needs {module}: pip install "fastseg-metrics[{extra}]"') from None


HEAD_BYTES = 544


def _gunzip(file: FileIO) -> Callable[[memoryview], int]:
    return gzip.GzipFile(fileobj=file, mode="rb").readinto


class ByteSource:
    """The bytes of a regular file from first to last, decompressed if they are gzip.

    Reads are bounded and never mapped into memory: a mapped file that somebody truncates kills the process.

    Parameters
    ----------
    path : str
    name : str, optional
        What the messages begin with; by default the path.
    offset : int
        Where the bytes begin in the file; `position`, `size` and `limit` count from there.
    compressed : bool, optional
        Whether they are gzip; by default that is seen from their beginning.
    decode : callable, optional
        Takes the open file at `offset`, and returns the ``readinto`` of what decompresses it instead of gzip; it raises
        OSError, EOFError or an error of zlib's.

    Raises
    ------
    VolumeError
        If there is no such file, it is a folder or a device, it is empty, or it may not be read.
    """

    def __init__(
        self,
        path: str,
        name: str | None = None,
        *,
        offset: int = 0,
        compressed: bool | None = None,
        decode: Callable[[FileIO], Callable[[memoryview], int]] | None = None,
    ) -> None:
        self.name = path if name is None else name
        self.position = 0
        try:
            # Before opening: opening a pipe that nobody writes to would wait for ever.
            mode = os.stat(path).st_mode
            file = open(path, "rb", buffering=0) if stat.S_ISREG(mode) else None  # noqa: SIM115
        except FileNotFoundError:
            raise VolumeError(f"{self.name}: no such file") from None
        except OSError as error:
            raise VolumeError(f"{self.name}: cannot be opened: {error.strerror}") from error
        except ValueError as error:  # a zero byte in it
            raise VolumeError(f"{self.name}: expected a path, found {error}") from error
        if file is None:
            found = "is a folder" if stat.S_ISDIR(mode) else "is a device, a pipe or a socket"
            raise VolumeError(f"{self.name}: {found}, expected a file")
        self._file = file
        try:
            self.size = os.fstat(self._file.fileno()).st_size - offset
            if self.size <= 0:
                found = f"found none from byte {offset} on" if offset else "found an empty file"
                raise VolumeError(f"{self.name}: expected a volume, {found}")
            self._file.seek(offset)
            self.compressed = self._file.read(2) == b"\x1f\x8b" if compressed is None else compressed
            self._file.seek(offset)
            self._readinto, self._errors = self._reader(decode)
        except OSError as error:
            self.close()
            raise VolumeError(f"{self.name}: cannot be read: {error.strerror}") from error
        except BaseException:
            self.close()
            raise

    def _reader(
        self, decode: Callable[[FileIO], Callable[[memoryview], int]] | None
    ) -> tuple[Callable[[memoryview], int | None], tuple[type[Exception], ...]]:
        """Choose the fastest decompressor at hand; return its ``readinto`` and what it raises."""
        if not self.compressed:
            return self._file.readinto, (OSError,)
        errors: tuple[type[Exception], ...] = (EOFError, OSError, zlib.error)
        try:
            zlib_ng: Any = importlib.import_module("zlib_ng.zlib_ng")
        except ImportError:
            return (decode or _gunzip)(self._file), errors
        errors = (*errors, zlib_ng.error)
        if decode is not None:
            return decode(self._file), errors
        # The reader that lies under gzip_ng.open: without its BufferedReader there is no second copy of the voxels.
        return zlib_ng._GzipReader(self._file, 512 << 10).readinto, errors

    def fileno(self) -> int:
        """Return the descriptor of the open file, for reads at a position; raise ClosedError if this object is closed."""
        self._require_open()
        return self._file.fileno()

    def _require_open(self) -> None:
        """Raise ClosedError; a decompressor would go on for as long as it has something left."""
        if self._file.closed:
            raise ClosedError(self.name)

    @property
    def limit(self) -> int:
        """Return how many bytes the file can yield at the very most."""
        return self.size * DEFLATE_LIMIT if self.compressed else self.size

    def fill(self, view: memoryview) -> int:
        """Fill `view` and return the number of bytes, fewer only at the end of the file; raise StreamError."""
        self._require_open()
        filled = 0
        while filled < len(view):
            try:
                count = self._readinto(view[filled : filled + _READ_BYTES])
            except self._errors as error:
                raise StreamError(self.name, f"{error} (after {self.position} bytes)") from error
            if not count:
                break
            filled += count
            self.position += count
        return filled

    def take(self, count: int) -> bytes:
        """Return the next `count` bytes, fewer only at the end of the file. `count` never comes from a file."""
        block = bytearray(count)
        return bytes(block[: self.fill(memoryview(block))])

    def skip(self, count: int) -> None:
        """Pass over `count` bytes; raise StreamError if the file ends before."""
        self._require_open()
        if count > self.limit - self.position:
            raise StreamError(self.name, f"expected {count} bytes more after byte {self.position}, found the end")
        if not self.compressed:
            self._file.seek(count, os.SEEK_CUR)
            self.position += count
            return
        scratch = memoryview(bytearray(min(count, _SCRATCH_BYTES)))
        while count:
            filled = self.fill(scratch[:count])
            if not filled:
                raise StreamError(self.name, f"expected {count} bytes more after byte {self.position}, found the end")
            count -= filled

    def drain(self, after: str, only_zeros: bool = True) -> None:
        """Read to the end of the file, through every checksum.

        Parameters
        ----------
        after : str
            What ended at the present position, for the message.
        only_zeros : bool
            Refuse anything but zero padding.

        Raises
        ------
        VolumeError
            If more than padding follows, or the rest is truncated or corrupt.
        """
        scratch = bytearray(_SCRATCH_BYTES)
        end = self.position
        while count := self.fill(memoryview(scratch)):
            if only_zeros and scratch.count(0, 0, count) != count:
                first = self.position - count + len(scratch) - len(scratch.lstrip(b"\0"))
                raise VolumeError(
                    f"{self.name}: expected the end of the file or zero padding after {after}, at byte {end}, "
                    f"found something else at byte {first}"
                )
            if self.position - end > PADDING_LIMIT:
                raise VolumeError(
                    f"{self.name}: expected the end of the file after {after}, at byte {end}, "
                    f"found more than {PADDING_LIMIT >> 20} MiB more"
                )

    def close(self) -> None:
        """Close the file; closing twice is allowed."""
        self._file.close()
