"""Masks that are the channels of one file: a volume with an axis of classes."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastseg.volumes.errors import VolumeError
from fastseg.volumes.formats.itk import is_nrrd, open_list
from fastseg.volumes.masks.source import Layer, MaskSource
from fastseg.volumes.open import open_volume
from fastseg.volumes.views import Turned, in_blocks
from fastseg.volumes.volume import Geometry, Volume

__all__ = ["Channel", "Parent", "channel_axis_of", "of_channels"]


class Parent:
    """A file whose channels are read one by one, unpacked when the first of them is, if it cannot be read in blocks.

    Parameters
    ----------
    volume : Volume
        It belongs to this object from now on.
    """

    def __init__(self, volume: Volume) -> None:
        self.volume, self._lock = volume, threading.Lock()
        self._readable: Volume | None = None

    def blocks(self) -> Volume:
        """Return the volume as one that is read in blocks."""
        with self._lock:
            if self._readable is None:
                self._readable = in_blocks(self.volume)
            return self._readable

    def close(self) -> None:
        """Close the file, having read it to its end where that was done."""
        (self._readable or self.volume).close()


class Channel(Volume):
    """One channel of a file, as a volume without that axis.

    Parameters
    ----------
    parent : Parent
        It stays its owner's.
    axis, index : int
        Which axis has the channels, and which of them it is.
    geometry : Geometry
        Of the channel.
    """

    def __init__(self, parent: Parent, axis: int, index: int, geometry: Geometry) -> None:
        volume = parent.volume
        self._parent, self._axis, self._index = parent, axis, index
        self.path, self.geometry = volume.path, geometry
        self.dtype, self.scaling, self.order = volume.dtype, volume.scaling, volume.order
        self.parallel, self.palette = volume.parallel, volume.palette
        self.nodata, self.valid, self.notes = volume.nodata, volume.valid, volume.notes
        sizes = volume.blocks or (1,) * len(volume.geometry.shape)
        self.blocks = tuple(size for place, size in enumerate(sizes) if place != axis)

    def read_block(self, start: tuple[int, ...], stop: tuple[int, ...]) -> NDArray[Any]:
        """Return a box of the channel."""
        axis, index = self._axis, self._index
        box = self._parent.blocks().read_block(
            (*start[:axis], index, *start[axis:]), (*stop[:axis], index + 1, *stop[axis:])
        )
        return np.squeeze(box, axis)


def channel_axis_of(volume: Volume, number: int) -> int | None:
    """Return the axis of so many channels; None where the volume has none besides those of space.

    Raises
    ------
    VolumeError
        If another number of channels is there, or it cannot be told which axis has them.
    """
    shape, axes = volume.geometry.shape, volume.geometry.axes
    if axes and not set(axes) <= set("xyztuvw"):  # an axis that says so itself
        named = [axis for axis, name in enumerate(axes) if name not in "xyztuvw"]
    else:
        named = []
    if axes:
        extra = named or [axis for axis, n in enumerate(shape) if n > 1 and axes[axis] not in "xyz"]
        if not extra:
            return None
        found = [axis for axis in extra if shape[axis] == number]
    else:
        if len(shape) < 3:
            return None
        found = [axis for axis, n in enumerate(shape) if n == number]
        if len(shape) == 3 and len(found) != 1:
            return None
        if len(found) > 1:  # the first or the last axis is where programs have channels
            found = [axis for axis in found if axis in (0, len(shape) - 1)]
    if len(found) != 1:
        raise VolumeError(
            f"{volume.path}: expected one axis of {number} channels (channels, --channels), found the shape {shape}"
        )
    return found[0]


def of_channels(path: str, names: Sequence[str]) -> MaskSource | None:
    """Return the masks of the channels of a file; None where it has no such axis, as label maps have none.

    Parameters
    ----------
    path
        Of a volume.
    names
        What each channel is called, in order.

    Raises
    ------
    VolumeError
        As `channel_axis_of` does, or the file cannot be read.
    """
    listed = open_list(path) if is_nrrd(path) else None
    if listed is not None:
        parent, geometry, place = listed
        if (number := parent.geometry.shape[place]) != len(names):
            parent.close()
            raise VolumeError(f"{path}: expected {len(names)} channels (channels, --channels), found {number}")
        return of_parent(path, Parent(parent), place, geometry, {name: (n, None) for n, name in enumerate(names)})
    volume = _without_single(open_volume(path))
    try:
        axis = channel_axis_of(volume, len(names))
        if axis is None:
            volume.close()
            return None
        geometry = _without(volume.geometry, axis)
        return of_parent(path, Parent(volume), axis, geometry, {name: (n, None) for n, name in enumerate(names)})
    except BaseException:
        volume.close()
        raise


def of_parent(
    path: str, parent: Parent, axis: int, geometry: Geometry, classes: Mapping[str, tuple[int, int | None]],
    ids: Mapping[str, str] | None = None,
) -> MaskSource:  # fmt: skip
    """Return masks by the channel of each, and the value that it is there; None: the one that is not 0."""
    by_channel: dict[int, dict[str, tuple[int, ...] | None]] = {}
    for name, (index, value) in classes.items():
        by_channel.setdefault(index, {})[name] = None if value is None else (value,)
    layers = [
        Layer(path, partial(Channel, parent, axis, index, geometry), members) for index, members in by_channel.items()
    ]
    source = MaskSource(path, layers, ids)
    source.stack.callback(parent.close)
    return source


def _without_single(volume: Volume) -> Volume:
    """Leave out axes of one voxel beyond those of space, such as the time of NIfTI's vectors."""
    shape = volume.geometry.shape
    kept = tuple(axis for axis, n in enumerate(shape) if axis < 3 or n > 1)
    if len(kept) == len(shape) or not volume.geometry.axes:
        return volume
    return Turned(volume, kept, (False,) * len(kept))


def _without(given: Geometry, axis: int) -> Geometry:
    kept = [place for place in range(len(given.shape)) if place != axis]
    return Geometry(
        tuple(given.shape[place] for place in kept),
        given.affine if axis >= 3 or given.affine is None else None,
        tuple(given.spacing[place] for place in kept),
        "".join(given.axes[place] for place in kept) if given.axes else "",
    )
