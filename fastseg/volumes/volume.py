"""What every file format agrees on: the protocol of a volume, its geometry, its errors and the bytes under it."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType, TracebackType
from typing import Any, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from fastseg.volumes.bytes import WritableBytes
from fastseg.volumes.errors import VolumeError
from fastseg.volumes.geometry import Geometry as Geometry


class Planes(NamedTuple):
    """Which planes a file has that leaves out empty ones."""

    places: tuple[int, ...]
    """Their indices along the last axis, in ascending order; all voxels of the other planes are 0."""
    step: float | None
    """From one plane to the next in mm, where the file says so; None where it was found from the planes that there are."""


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
    planes : Planes or None
        Of a format that leaves out empty planes: its files lie in (x, y, z), and are read in blocks of any shape. None of
        all others, whose every voxel counts.
    palette : uint8 array (n, 3) or None
        Red, green and blue of the stored values from 0 to n - 1, in files that give these colours.
    says_axes : bool
        Whether the file itself says what each of its axes is, time and channels included.
    nodata : int, float or None
        The stored value that the file declares to be no value.
    valid : (float, float) or None
        The least and the largest stored value that the file declares to be one.
    names : dict of int to str
        Names of labels, where the file has a table of them.
    elements : str
        What is counted: "voxels", or "vertices" of a surface.
    notes : tuple of str
        What people should know of what was read, each a sentence that begins with the path.
    """

    path: str
    geometry: Geometry
    dtype: np.dtype[Any]
    scaling: tuple[float, float] | None = None
    order: Literal["F", "C"] = "C"
    streams: bool = False
    blocks: tuple[int, ...] | None = None
    parallel: bool = True
    planes: Planes | None = None
    palette: NDArray[np.uint8] | None = None
    says_axes: bool = False
    nodata: int | float | None = None
    valid: tuple[float, float] | None = None
    names: Mapping[int, str] = MappingProxyType({})
    elements: str = "voxels"
    notes: tuple[str, ...] = ()

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
    zips : bool
        Whether `open` reads zip archives that `recognises` does not know.
    """

    name: str
    suffixes: tuple[str, ...]
    recognises: Callable[[bytes], bool]
    open: Callable[[str], Volume]
    folder: Callable[[str], bool] | None = None
    sure: bool = False
    zips: bool = False


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
