"""What every file format agrees on: the protocol of a volume, its geometry, its errors and the bytes under it."""

from __future__ import annotations

import gzip
import importlib
import os
import stat
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, Protocol, Self

import numpy as np
from numpy.typing import NDArray

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


class StreamError(VolumeError):
    """The bytes of a file ended or broke before their end; ``reason`` says how, without the path."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name}: truncated or corrupt: {reason}")
        self.reason = reason


@dataclass(frozen=True, eq=False)
class Geometry:
    """Say where the voxels of a volume lie.

    Attributes
    ----------
    shape : tuple of int
        Voxels along each axis.
    affine : float64 array (4, 4)
        Voxel indices of the first three axes to mm. It is kept as the file has it, also where it is NaN or singular:
        only a comparison of geometries refuses that.
    spacing : tuple of float
        Along each axis of `shape`: the affine's column norms in mm for the first three, the file's step beyond.
    """

    shape: tuple[int, ...]
    affine: NDArray[np.float64]
    spacing: tuple[float, ...]

    @property
    def voxel_volume_ml(self) -> float:
        """Return the volume of one voxel in millilitres (sheared affines included)."""
        with np.errstate(all="ignore"):
            return float(abs(np.linalg.det(self.affine[:3, :3]))) / 1000.0


class Volume(Protocol):
    """A file of voxels, read once and forward.

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
        "F" if the first axis of the shape varies fastest in the file.
    """

    path: str
    geometry: Geometry
    dtype: np.dtype[Any]
    scaling: tuple[float, float] | None
    order: Literal["F", "C"]

    def read_into(self, buffer: WritableBytes) -> int:
        """Fill `buffer` with the next voxel bytes and return how many; fewer than it holds only at the last voxel."""
        ...

    def finish(self) -> None:
        """Read to the end of the file; raise VolumeError if more than padding follows or a checksum is wrong."""
        ...

    def close(self) -> None:
        """Close the file; closing twice is allowed."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...


@dataclass(frozen=True)
class Format:
    """Declare a file format: each module of this package that reads one has it as its ``FORMAT``.

    Attributes
    ----------
    name : str
        For the message that lists the known formats.
    suffixes : tuple of str
        In lower case; asked only when no format recognises the content.
    recognises : callable
        Takes the first `HEAD_BYTES` bytes of the file, decompressed, and says whether they are of this format.
    open : callable
        Takes the path and returns the volume; raises VolumeError.
    """

    name: str
    suffixes: tuple[str, ...]
    recognises: Callable[[bytes], bool]
    open: Callable[[str], Volume]


HEAD_BYTES = 544


class ByteSource:
    """The bytes of a regular file from first to last, decompressed if they are gzip.

    Reads are bounded and never mapped into memory: a mapped file that somebody truncates kills the process.

    Parameters
    ----------
    path : str
    name : str, optional
        What the messages begin with; by default the path.

    Raises
    ------
    VolumeError
        If there is no such file, it is a folder or a device, it is empty, or it may not be read.
    """

    def __init__(self, path: str, name: str | None = None) -> None:
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
            self.size = os.fstat(self._file.fileno()).st_size
            if self.size == 0:
                raise VolumeError(f"{self.name}: expected a volume, found an empty file")
            self.compressed = self._file.read(2) == b"\x1f\x8b"
            self._file.seek(0)
            self._readinto, self._errors = self._reader()
        except OSError as error:
            self.close()
            raise VolumeError(f"{self.name}: cannot be read: {error.strerror}") from error
        except BaseException:
            self.close()
            raise

    def _reader(self) -> tuple[Callable[[memoryview], int | None], tuple[type[Exception], ...]]:
        """Choose the fastest decompressor at hand; return its ``readinto`` and what it raises."""
        if not self.compressed:
            return self._file.readinto, (OSError,)
        try:
            zlib_ng: Any = importlib.import_module("zlib_ng.zlib_ng")
        except ImportError:
            return gzip.GzipFile(fileobj=self._file, mode="rb").readinto, (EOFError, OSError, zlib.error)
        # The reader that lies under gzip_ng.open: without its BufferedReader there is no second copy of the voxels.
        reader = zlib_ng._GzipReader(self._file, 512 << 10)
        return reader.readinto, (EOFError, OSError, zlib.error, zlib_ng.error)

    @property
    def limit(self) -> int:
        """Return how many bytes the file can yield at the very most."""
        return self.size * DEFLATE_LIMIT if self.compressed else self.size

    def fill(self, view: memoryview) -> int:
        """Fill `view` and return the number of bytes, fewer only at the end of the file; raise StreamError."""
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
