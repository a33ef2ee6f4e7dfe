"""The bytes of a file, plain or compressed, read in bounded pieces."""

from __future__ import annotations

import gzip
import importlib
import os
import stat
import zlib
from collections.abc import Callable
from io import FileIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastseg.volumes.errors import ClosedError, StreamError, VolumeError
from fastseg.volumes.foreign import missing

# Deflate codes at most 258 bytes in two bits, one for the length and one for the distance: a file of n bytes cannot
# hold more than 1,032 n. Honest empty masks come within a few per cent of it, so only this hard limit is a test.
DEFLATE_LIMIT = 1032

# Some writers pad to a block; nobody pads by more than this, and draining a bomb of zeros would take for ever.
PADDING_LIMIT = 64 << 20

# One read: large enough to cost nothing, small enough that Ctrl-C is answered at once.
_READ_BYTES = 8 << 20
_SCRATCH_BYTES = 32 << 10

WritableBytes = bytearray | memoryview | NDArray[np.uint8]


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
        self.path, self.name = path, path if name is None else name
        self.position = 0
        try:
            # Before opening: opening a pipe that nobody writes to would wait for ever.
            mode = os.stat(path).st_mode
            file = open(path, "rb", buffering=0) if stat.S_ISREG(mode) else None  # noqa: SIM115
        except FileNotFoundError:
            raise VolumeError(f"{self.name}: {missing(path)}") from None
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
