"""Files of scores and labels as arrays that are read in pieces."""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from math import prod
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from fastseg.volumes.errors import VolumeError
from fastseg.volumes.formats.nifti import FORMAT as NIFTI
from fastseg.volumes.formats.npy import array_names
from fastseg.volumes.geometry import Geometry
from fastseg.volumes.open import open_volume
from fastseg.volumes.paths import Path, Url, named, split_inside
from fastseg.volumes.plain import PlainVoxels
from fastseg.volumes.planes import on_one_lattice
from fastseg.volumes.remote import local_copy
from fastseg.volumes.same_place import GeometryError, reorientation
from fastseg.volumes.views import Turned
from fastseg.volumes.volume import Volume

__all__ = ["MEMORY_BYTES", "NNUNET", "Reader", "Source", "held", "holds_scores", "open_array", "open_labels"]


Array = npt.NDArray[Any]

#: What has to be unpacked before it can be read in pieces is kept in memory up to here, else in a temporary file.
MEMORY_BYTES = 256 << 20

_READ_BYTES = 8 << 20
#: nnU-Net's name for the probabilities in an .npz file, whose axes are (class, z, y, x).
NNUNET = "probabilities"

#: Takes slices along the leading axes in memory order and returns that part, valid until the next is asked for.
Reader = Callable[[tuple[slice, ...]], Array]


def holds_scores(
    reference: Path, prediction: Path, *, activation: str | None = None, channel_axis: int | None = None
) -> bool:
    """Tell whether a prediction is a file of scores and not of labels; whoever counts two files asks this first.

    It is one if somebody says so, by naming an activation (also "none") or the axis of the classes. Else it is one of
    nnU-Net's, or one that has an axis of several classes besides those of the reference. An array of the reference's shape
    is a label map, also one of floats. A file that cannot be read holds no scores: whoever reads it says what is wrong.

    Parameters
    ----------
    reference, prediction : path
        As in `fastseg.evaluate_files`; only headers are read, the reference's only where the prediction has axes enough.
    activation, channel_axis
        What was said of scores; None: nothing.
    """
    with ExitStack() as stack:
        return open_labels(stack, reference, prediction, activation=activation, channel_axis=channel_axis) is None


def open_labels(
    stack: ExitStack,
    reference: Path,
    prediction: Path,
    *,
    activation: str | None = None,
    channel_axis: int | None = None,
) -> Volume | Path | None:
    """Return a prediction that holds labels, None for one that `holds_scores`.

    It is open, until the stack is closed, where it was opened to tell and nothing but its header was read; else it is its
    path: opening it says what is wrong.
    """
    if activation is not None or channel_axis is not None:
        return None
    try:
        volume, key = open_array(prediction)
        stack.enter_context(volume)
        if not _like_scores(volume, key, reference):
            return volume if volume.path == os.fsdecode(prediction) and not isinstance(volume, Turned) else prediction
        volume.close()
    except VolumeError:
        return prediction
    return None


def _like_scores(volume: Volume, key: str | None, reference: Path) -> bool:
    """Tell whether a volume that may be an array of this name holds scores beside a reference."""
    shape, axes = volume.geometry.shape, volume.geometry.axes
    if not volume.streams or len(shape) < 2 or (axes and (len(shape) != 4 or shape[-1] == 1)):
        return False
    with open_array(reference)[0] as true:
        spatial, planes = true.geometry.shape, true.planes
    if len(shape) <= len(spatial):
        return False
    if axes and planes is not None:  # perhaps without its empty planes
        return all(n in shape[:-1] for n in spatial[:2])
    if axes:  # perhaps in another order: whether that is an error is for those to say who compare places
        return sorted(shape[:-1]) == sorted(spatial)
    return key == NNUNET or sum(n > 1 for n in shape) > sum(n > 1 for n in spatial)


def open_array(path: Path) -> tuple[Volume, str | None]:
    """Open a volume of any format; of the arrays of an .npz file nnU-Net's, if none is named, and return its name, too.

    A NIfTI file that has classes along its fifth axis is seen without the axis of time.
    """
    name = os.fsdecode(path)
    outer, key = split_inside(name)
    if key is None and outer.lower().endswith(NIFTI.suffixes):  # most are, and one look at them is enough
        volume = open_volume(name)
        if volume.geometry.axes:
            return _without_time(volume), None
        volume.close()  # an array under a false name
    with ExitStack() as stack:
        copied = isinstance(outer, Url) and outer.file_name.lower().endswith(".npz")
        if copied:  # once, for the names and for what is opened
            assert isinstance(outer, Url)
            names = array_names(stack.enter_context(local_copy(outer)))
        else:
            names = () if isinstance(outer, Url) else array_names(outer)
        return _chosen(name, outer, key, names)


def _chosen(name: str, outer: str, key: str | None, names: Sequence[str]) -> tuple[Volume, str | None]:
    if key is None and len(names) == 1:
        key = names[0]
    elif key is None and NNUNET in names:
        name, key = f"{outer.full if isinstance(outer, Url) else outer}::{NNUNET}", NNUNET
    return _without_time(open_volume(name)), key if names else None


def _without_time(volume: Volume) -> Volume:
    shape = volume.geometry.shape
    if volume.geometry.axes and len(shape) == 5 and shape[3] == 1:
        return Turned(volume, (0, 1, 2, 4), (False,) * 4)
    return volume


class Source:
    """An array in a file, opened: what its header says, and how to get at its numbers.

    Parameters
    ----------
    stack : ExitStack
        The file closes with it.
    path : path
    check : callable, optional
        Called now and then while the file is unpacked; what it raises ends that.

    Attributes
    ----------
    geometry : Geometry or None
        None of arrays, which have no place.
    key : str or None
        The name of the array in an .npz file.

    Raises
    ------
    VolumeError
        If the file cannot be read, or not from first to last.
    """

    def __init__(self, stack: ExitStack, path: Path, check: Callable[[], object] = lambda: None) -> None:
        self.name, self._check = named(os.fsdecode(path)), check
        self.volume, self.key = open_array(self.name)
        volume = stack.enter_context(self.volume)
        if not volume.streams:
            raise VolumeError(
                f"{self.name}: expected a file that is read from first to last beside scores, such as NIfTI or NPY"
            )
        self.shape, self.dtype = volume.geometry.shape, volume.dtype
        self.order, self.scaling = volume.order, volume.scaling
        self.geometry = volume.geometry if volume.geometry.axes else None
        self._turn: tuple[tuple[int, ...], tuple[bool, ...]] | None = None
        self._finished = False

    @property
    def turned(self) -> bool:
        """Whether it lies otherwise than it is stored, so that only `anywhere`, mapped, reads it."""
        return self._turn is not None

    def lie_among(self, geometry: Geometry, name: str) -> None:
        """See the empty planes that the file has left out, where it lies among those of another one, of that name.

        Raises
        ------
        GeometryError
            If it reaches beyond them.
        """
        if self.volume.planes is None:
            return
        whole = Volume()
        whole.path, whole.geometry = name, geometry
        self.volume, _ = on_one_lattice([self.volume, whole])
        self.geometry, self.shape = self.volume.geometry, self.volume.geometry.shape

    def lie_as(self, geometry: Geometry) -> None:
        """See the axes permuted and flipped to lie as another volume does, where that is all that differs; once at most."""
        if self.geometry is None or self.geometry.affine is None or geometry.affine is None:
            return
        with suppress(GeometryError):  # an affine that places nothing is left to those who compare
            self._turn = reorientation(geometry, self.geometry)
        if self._turn is not None:
            self.geometry = Turned(self.volume, *self._turn).geometry
            self.shape, self.order = self.geometry.shape, "C"

    def arranged(self, array: Array) -> Array:
        """Return an array of the file's axes as the file is seen."""
        if self._turn is None:
            return array
        axes, flips = self._turn
        return array.transpose(axes)[tuple(slice(None, None, -1 if flip else 1) for flip in flips)]

    def stored_index(self, index: Sequence[int]) -> list[int]:
        """Return the index that a voxel has in the file."""
        if self._turn is None:
            return list(index)
        stored = [0] * len(index)
        for place, axis, flip, size in zip(index, *self._turn, self.shape, strict=True):
            stored[axis] = size - 1 - place if flip else place
        return stored

    @property
    def stored_shape(self) -> tuple[int, ...]:
        """The shape in memory order, the last axis fastest."""
        return self.shape if self.order == "C" else self.shape[::-1]

    @property
    def nbytes(self) -> int:
        """Bytes of the array, unpacked."""
        return prod(self.shape) * self.dtype.itemsize

    def finish(self) -> None:
        """Read to the end of the file, through every checksum, unless that is done."""
        if not self._finished:
            if self.key is not None:
                self.volume.read_into(bytearray(1))  # the checksum of a member that was read in pieces is compared, too
            self.volume.finish()
        self._finished = True

    def _filled(self, view: memoryview, before: int = 0) -> None:
        found = self.volume.read_into(view)
        if found < len(view):
            raise _truncated(self.name, self.nbytes, before + found)

    def in_turn(self) -> Reader:
        """Return what reads blocks that follow each other without a gap, from the first to the last."""
        shape, buffer, position = self.stored_shape, np.empty(0, np.uint8), 0

        def read(block: tuple[slice, ...]) -> Array:
            nonlocal buffer, position
            size = tuple(high - low for low, high in zip(*_box(shape, block), strict=True))
            needed = prod(size) * self.dtype.itemsize
            if buffer.size < needed:
                buffer = np.empty(needed, np.uint8)
            self._filled(_bytes_of(buffer[:needed]), position)
            position += needed
            return buffer[:needed].view(self.dtype).reshape(size)

        return read

    def anywhere(self, stack: ExitStack, *, mapped: bool = False) -> Reader:
        """Return what reads any block, having unpacked the file where it cannot be read so.

        With `mapped` blocks may be views of an array, `read.array`, in memory or mapped there; turned volumes need that.
        """
        if self.volume.blocks is not None and not mapped:
            return self._piece
        if self.nbytes <= MEMORY_BYTES:
            held = np.empty(self.nbytes, np.uint8)
            for start in range(0, self.nbytes, _READ_BYTES):
                self._check()
                self._filled(_bytes_of(held[start : start + _READ_BYTES]), start)
            self.finish()
            return _Views(self._seen(held))
        file = self._unpacked(stack)
        if not mapped:
            plain = PlainVoxels(file, 0, self.stored_shape, self.dtype, "C", f"{self.name} (unpacked)")
            return lambda block: plain.read_block(*_box(self.stored_shape, block))
        # Nobody else can truncate this file, so that mapping it is safe.
        pages = mmap.mmap(file.fileno(), self.nbytes, access=mmap.ACCESS_READ)
        return _Views(self._seen(np.frombuffer(pages, np.uint8)))

    def _seen(self, held: Array) -> Array:
        """Return the bytes of the file as an array in memory order or, where it is turned, as it is seen."""
        if self._turn is None:
            return held.view(self.dtype).reshape(self.stored_shape)
        return self.arranged(held.view(self.dtype).reshape(self.volume.geometry.shape, order=self.volume.order))

    def _piece(self, block: tuple[slice, ...]) -> Array:
        """Read a block of a file that is not compressed."""
        start, stop = _box(self.stored_shape, block)
        if self.order == "F":
            return self.volume.read_block(start[::-1], stop[::-1]).T
        return self.volume.read_block(start, stop)

    def _unpacked(self, stack: ExitStack) -> BinaryIO:
        try:
            file: Any = tempfile.TemporaryFile(prefix="fastseg-", buffering=0)  # noqa: SIM115
            stack.callback(file.close)
            buffer = memoryview(bytearray(_READ_BYTES))
            for start in range(0, self.nbytes, len(buffer)):
                self._check()
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


def _box(shape: tuple[int, ...], block: tuple[slice, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return where a block begins and ends."""
    parts = (*block, *(slice(None),) * (len(shape) - len(block)))
    limits = [part.indices(size) for part, size in zip(parts, shape, strict=True)]
    return tuple(low for low, _, _ in limits), tuple(high for _, high, _ in limits)


def _bytes_of(array: Any) -> memoryview:
    return memoryview(array)  # an array is a buffer only to the type checkers of Python 3.12


def _truncated(name: str, expected: int, found: int) -> VolumeError:
    return VolumeError(f"{name}: truncated: expected {expected} bytes of voxels, found {found}")
