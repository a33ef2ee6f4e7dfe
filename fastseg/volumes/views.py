"""A volume seen with its axes in another order, or flipped, so that it lies as the one that it is compared with."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from math import prod
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from fastseg.volumes.bytes import WritableBytes
from fastseg.volumes.errors import ClosedError, StreamError, VolumeError
from fastseg.volumes.geometry import turned_affine
from fastseg.volumes.plain import PlainVoxels
from fastseg.volumes.same_place import GeometryError, reorientation
from fastseg.volumes.volume import Geometry, Volume

#: One read of what is unpacked.
_PIECE_BYTES = 1 << 20
#: Unpacked voxels up to this size stay in memory.
_UNPACKED_IN_MEMORY = 32 << 20


class Turned(Volume):
    """A volume with its axes permuted and flipped; nothing is copied.

    Parameters
    ----------
    volume : Volume
        It belongs to the view from now on, and closes with it.
    axes : tuple of int
        For each axis of the view, which of the volume's it is. Axes that are left out have a single voxel.
    flips : tuple of bool
        Which axes of the view run the other way.
    names : str, optional
        The axes of the view, where the volume has no names for its own.
    """

    def __init__(self, volume: Volume, axes: tuple[int, ...], flips: tuple[bool, ...], names: str = "") -> None:
        self.volume, self._axes, self._flips, self._names = volume, axes, flips, names
        self.path, self.dtype, self.scaling = volume.path, volume.dtype, volume.scaling
        self.parallel, self.palette = volume.parallel, volume.palette
        self.says_axes, self.nodata, self.notes = volume.says_axes, volume.nodata, volume.notes
        self.names, self.elements, self.valid = volume.names, volume.elements, volume.valid
        given = volume.geometry
        shape = tuple(given.shape[axis] for axis in axes)
        self.geometry = Geometry(
            shape,
            _turned_affine(given, axes, flips),
            tuple(given.spacing[axis] for axis in axes),
            "".join(given.axes[axis] for axis in axes) if given.axes else names,
            None if given.positions is None else given.positions.turned(axes, flips),
            given.frame,
        )
        if volume.blocks is not None:
            self.blocks = tuple(volume.blocks[axis] for axis in axes)
        # From the fastest axis of the file to the slowest, as axes of the view; those of one voxel have no say.
        from_fast = range(len(given.shape)) if volume.order == "F" else range(len(given.shape))[::-1]
        places = [axes.index(axis) for axis in from_fast if axis in axes and given.shape[axis] > 1]
        if len(places) < 2:
            self.order = volume.order  # both are true
        else:
            self.order = "F" if places == sorted(places) else "C"
        in_order = places in (sorted(places), sorted(places, reverse=True))
        turned = any(flip and n > 1 for flip, n in zip(flips, shape, strict=True))
        self.streams = volume.streams and in_order and not turned

    def read_into(self, buffer: WritableBytes) -> int:
        """Fill `buffer` with the next voxel bytes; only where the order of the file is one of the view."""
        return self.volume.read_into(buffer)

    def of(self, volume: Volume) -> Turned:
        """Return the same view of another volume of that shape."""
        return Turned(volume, self._axes, self._flips, self._names)

    def read_block(self, start: tuple[int, ...], stop: tuple[int, ...]) -> NDArray[Any]:
        """Return the box from `start` up to `stop`, along the axes of the view."""
        first, last = [0] * len(self.volume.geometry.shape), [1] * len(self.volume.geometry.shape)
        for a, b, n, axis, flip in zip(start, stop, self.geometry.shape, self._axes, self._flips, strict=True):
            first[axis], last[axis] = (n - b, n - a) if flip else (a, b)
        box = self.volume.read_block(tuple(first), tuple(last))
        kept = sorted(self._axes)
        box = box.reshape([box.shape[axis] for axis in kept])  # without the axes of one voxel that were left out
        box = box.transpose([kept.index(axis) for axis in self._axes])
        return box[tuple(slice(None, None, -1 if flip else 1) for flip in self._flips)]

    def finish(self) -> None:
        """Verify the end of the file."""
        self.volume.finish()

    def close(self) -> None:
        """Close the file."""
        self.volume.close()


def _turned_affine(given: Geometry, axes: tuple[int, ...], flips: tuple[bool, ...]) -> NDArray[np.float64] | None:
    """Return the affine of a view: the indices of its first three axes to mm; None where those are not axes of space."""
    if given.affine is None or any(axis >= 3 for axis in axes[:3]):
        return None
    left_out = [axis for axis in range(3) if axis not in axes]  # of one voxel
    spatial = (*(axis for axis in axes if axis < 3), *left_out)
    return turned_affine(given.affine, given.shape, spatial, (*flips, *(False,) * len(left_out))[:3])


def align(
    reference: Volume, prediction: Volume, *, axes: str | None = None, reorient: bool = False
) -> tuple[Volume, Volume]:
    """Return two volumes as views of which the same index means the same voxel, as far as the files say.

    Axes are matched by their names. A plain array has none: it has those of the other file in that order, or in reverse if
    only that fits the shape; of a file of (x, y, z), as NIfTI is, both may fit, and then `axes` has to say which is meant.

    Parameters
    ----------
    reference, prediction : Volume
        They belong to the views from now on, and close with them.
    axes : str, optional
        A letter for each axis of the files that do not name theirs, such as "zyx"; those that do keep their names, so that
        one `axes` serves a folder of several formats.
    reorient : bool
        Flip and permute the prediction to lie as the reference does, where that is all that differs.

    Returns
    -------
    reference, prediction : Volume

    Raises
    ------
    GeometryError
        If it cannot be told which axis is which.
    """
    true, pred = _named(reference, axes), _named(prediction, axes)
    ndim = min(len(true.geometry.shape), len(pred.geometry.shape))
    true, pred = _matched(_squeezed(true, pred, ndim), _squeezed(pred, true, ndim))
    if reorient and true.geometry.affine is not None and pred.geometry.affine is not None:
        with contextlib.suppress(GeometryError):  # an affine that places nothing is left to `check_geometry`
            turn = reorientation(true.geometry, pred.geometry)
            pred = pred if turn is None else Turned(pred, *turn)
    return true, pred


def _named(volume: Volume, axes: str | None) -> Volume:
    """Give the axes of a volume that does not name them the names that the user says."""
    shape = volume.geometry.shape
    if axes is None or volume.geometry.axes:
        return volume
    if len(axes) != len(shape) or len(set(axes)) != len(axes):
        raise GeometryError(
            f"{volume.path}: expected a letter for each of its {len(shape)} axes, of shape {shape}; "
            f"found axes (--axes) {axes!r}"
        )
    return Turned(volume, tuple(range(len(shape))), (False,) * len(shape), axes)


def _squeezed(volume: Volume, other: Volume, ndim: int) -> Volume:
    """Leave out axes of one voxel that the other file does not have, so that a slice may be compared with a picture."""
    names, shape = volume.geometry.axes, volume.geometry.shape
    surplus = len(shape) - ndim
    if surplus <= 0:
        return volume
    single = [axis for axis, n in enumerate(shape) if n == 1 and not (names and names[axis] in other.geometry.axes)]
    kept = tuple(axis for axis in range(len(shape)) if axis not in single[::-1][:surplus])
    return volume if len(kept) != ndim else Turned(volume, kept, (False,) * ndim)


def _matched(true: Volume, pred: Volume) -> tuple[Volume, Volume]:
    """Put the axes of the prediction in the order of the truth's; where one has no names for them, it gets the other's."""
    one, other = true.geometry, pred.geometry
    straight = tuple(range(len(one.shape)))
    if len(one.shape) != len(other.shape) or not (one.axes or other.axes):
        return true, pred  # to be refused for their shapes, or plain arrays
    order = _by_name(true, pred) if one.axes and other.axes else _by_shape(true, pred)
    names = one.axes or "".join(other.axes[axis] for axis in order)
    if not one.axes:
        true = Turned(true, straight, (False,) * len(straight), names)
    if not other.axes or order != straight:
        pred = Turned(pred, order, (False,) * len(order), names)
    return true, pred


def _by_name(true: Volume, pred: Volume) -> tuple[int, ...]:
    """Return for each axis of the truth which axis of the prediction has its name; one each may have another name."""
    wanted, names = true.geometry.axes, pred.geometry.axes
    free = list(range(len(names)))
    order: list[int | None] = []
    for name in wanted:
        order.append(next((axis for axis in free if names[axis] == name), None))
        if order[-1] is not None:
            free.remove(order[-1])
    if len(free) > 1:
        raise GeometryError(f"{pred.path}: expected the axes {wanted!r} of {true.path}, found {names!r}")
    return tuple(free[0] if axis is None else axis for axis in order)


def _by_shape(true: Volume, pred: Volume) -> tuple[int, ...]:
    """Return for each axis of the truth which axis of the prediction it is, where one of the two does not name its own."""
    one, other = true.geometry, pred.geometry
    named, straight = one.axes or other.axes, tuple(range(len(one.shape)))
    fits, reverse_fits = one.shape == other.shape, one.shape == other.shape[::-1]
    # A file whose axes are in the order of arrays leaves no doubt, nor does one of a single row.
    if fits and reverse_fits and named.startswith("x") and one.shape.count(1) < len(straight) - 1:
        plain = pred if one.axes else true
        raise GeometryError(
            f"{plain.path}: an array of shape {plain.geometry.shape} may have the axes {named} or {named[::-1]}, and its "
            f"file does not say which; expected axes (--axes) {named!r} or {named[::-1]!r}"
        )
    return straight[::-1] if reverse_fits and not fits else straight


def in_blocks(volume: Volume, check: Callable[[], object] | None = None) -> Volume:
    """Return a volume that can be read in blocks: itself, or what it holds, unpacked.

    Up to 32 MiB are unpacked to memory, else to a temporary file, which is gone when the volume is closed or the process
    ends.

    Parameters
    ----------
    volume : Volume
        It belongs to what is returned from now on.
    check
        Called for each MiB; what it raises ends the unpacking.

    Raises
    ------
    VolumeError
        If the file is truncated or corrupt, or there is no room to unpack it.
    """
    if volume.blocks is not None:
        return volume
    if isinstance(volume, Turned):
        return volume.of(in_blocks(volume.volume, check))
    return _Unpacked(volume, check)


class _Unpacked(Volume):
    """The voxels of a stream, unpacked."""

    def __init__(self, volume: Volume, check: Callable[[], object] | None) -> None:
        self.path, self.geometry, self.dtype, self.scaling = volume.path, volume.geometry, volume.dtype, volume.scaling
        self.order, self.blocks = volume.order, (1,) * len(volume.geometry.shape)
        self.palette, self.says_axes, self.names = volume.palette, volume.says_axes, volume.names
        self.nodata, self.valid, self.notes = volume.nodata, volume.valid, volume.notes
        self._volume = volume
        self._voxels: NDArray[Any] | None = None
        self._file: IO[bytes] | None = None
        shape, size = self.geometry.shape, prod(self.geometry.shape) * self.dtype.itemsize
        if size <= _UNPACKED_IN_MEMORY:
            whole = np.empty(size, np.uint8)
            _verify(volume, size, _fill(volume, whole, check or (lambda: None)))
            self._voxels = whole.view(self.dtype).reshape(shape, order=self.order)
        else:
            self._file = _unpack(volume, size, check or (lambda: None))
            self._plain = PlainVoxels(self._file, 0, shape, self.dtype, self.order, f"{self.path} (unpacked)")

    def read_block(self, start: tuple[int, ...], stop: tuple[int, ...]) -> NDArray[Any]:
        """Return a box of voxels."""
        if self._file is not None:
            return self._plain.read_block(start, stop)
        if self._voxels is None:
            raise ClosedError(self.path)
        box: NDArray[Any] = self._voxels[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))]
        return box

    def close(self) -> None:
        """Close the file, and delete what was unpacked."""
        self._voxels = None
        if self._file is not None:
            self._file.close()
        self._volume.close()


def _fill(volume: Volume, whole: NDArray[np.uint8], check: Callable[[], object]) -> int:
    """Read the voxels of a stream to memory, in pieces so that it can be ended between them; return the bytes."""
    found = 0
    while count := volume.read_into(whole[found : found + _PIECE_BYTES]):
        check()
        found += count
    return found


def _unpack(volume: Volume, size: int, check: Callable[[], object]) -> IO[bytes]:
    """Write the voxels of a stream to a temporary file."""
    with ExitStack() as stack:
        try:
            file = stack.enter_context(tempfile.TemporaryFile(prefix="fastseg-", buffering=0))
            buffer, found = memoryview(bytearray(_PIECE_BYTES)), 0
            while count := volume.read_into(buffer):
                check()
                piece, found = buffer[:count], found + count
                while piece:
                    piece = piece[file.write(piece) :]
        except OSError as error:
            folder = tempfile.tempdir or "a temporary file"
            raise VolumeError(
                f"{volume.path}: cannot be unpacked to {folder}, which takes {size:,} bytes: {error.strerror}; "
                "the environment variable TMPDIR may name another folder"
            ) from error
        _verify(volume, size, found)
        stack.pop_all()
        return file


def _verify(volume: Volume, size: int, found: int) -> None:
    """Raise VolumeError unless a stream that was read had all its voxels, and ends with them."""
    if found != size:
        raise StreamError(volume.path, f"expected {size} bytes of voxels, found {found}")
    volume.finish()
