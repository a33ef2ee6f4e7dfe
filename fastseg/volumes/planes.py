"""Files that leave out empty planes: what they leave out is background, so those on one lattice get the planes of all."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastseg.volumes.bytes import WritableBytes
from fastseg.volumes.geometry import NOISE, Geometry, difference, reorientation
from fastseg.volumes.same_place import GeometryError
from fastseg.volumes.volume import Volume

__all__ = ["PLANES_LIMIT", "Spread", "check_counterparts", "common_step", "fitted_step", "on_one_lattice"]

Array = NDArray[np.float64]

#: More planes than that are a position gone wrong, which would otherwise be hours of background.
PLANES_LIMIT = 1 << 16
#: How far from a whole number of steps a plane may lie, in steps.
_TOLERANCE = 0.01
#: The smallest distance of two planes may be so many steps; planes that fit only a finer lattice are uneven.
_STEPS_BETWEEN = 4


class Spread(Volume):
    """A volume with planes of background before, between and behind its own; nothing is copied.

    Parameters
    ----------
    volume : Volume
        One with `planes`. It belongs to the view from now on, and closes with it.
    places : sequence of int
        Where the view has each of the volume's planes, in ascending order; -1 for those that it has not.
    geometry : Geometry
        Of the view.
    """

    order: Literal["F", "C"] = "F"
    streams = True

    def __init__(self, volume: Volume, places: NDArray[np.int64], geometry: Geometry) -> None:
        self.volume, self.geometry = volume, geometry
        self.path, self.dtype, self.scaling = volume.path, volume.dtype, volume.scaling
        self.blocks, self.parallel = volume.blocks, volume.parallel
        self._own = np.full(geometry.shape[2], -1)  # for each plane which of the volume's it is
        self._own[places[places >= 0]] = np.flatnonzero(places >= 0)
        self._position = 0

    def read_into(self, buffer: WritableBytes) -> int:
        """Fill `buffer` with the next voxel bytes; see `Volume.read_into`."""
        writable: Any = buffer  # an array is a buffer only to the type checkers of Python 3.12
        view, filled = memoryview(writable).cast("B"), 0
        columns, rows, planes = self.geometry.shape
        size = columns * rows * self.dtype.itemsize
        while filled < len(view) and self._position < size * planes:
            plane, begin = divmod(self._position, size)
            box = self.read_block((0, 0, plane), (columns, rows, plane + 1))
            piece = box.reshape(-1, order="F").view(np.uint8)[begin : begin + len(view) - filled]
            view[filled : filled + len(piece)] = piece.data
            filled += len(piece)
            self._position += len(piece)
        return filled

    def read_block(self, start: tuple[int, ...], stop: tuple[int, ...]) -> NDArray[Any]:
        """Return the box from `start` up to `stop`; see `Volume.read_block`."""
        own = self._own[start[2] : stop[2]]
        there = own >= 0
        first, last = (int(own[there][0]), int(own[there][-1]) + 1) if there.any() else (0, 0)
        found = self.volume.read_block((*start[:2], first), (*stop[:2], last))
        if there.all() and last - first == len(own):
            return found
        box = np.zeros([b - a for a, b in zip(start, stop, strict=True)], self.dtype, "F")
        box[:, :, there] = found[:, :, own[there] - first]
        return box

    def finish(self) -> None:
        """Verify the end of the file."""
        self.volume.finish()

    def close(self) -> None:
        """Close the file."""
        self.volume.close()


def fitted_step(offsets: Array, step: float) -> float | None:
    """Return the step close to a given one from which planes are whole numbers of steps apart; None if there is none.

    Parameters
    ----------
    offsets : array
        How far along their normal the planes lie, in mm.
    step : float
        What the file says, which may be rounded.
    """
    if not (0 < step < math.inf and np.isfinite(offsets).all()):
        return None
    apart = offsets - offsets.min()
    if steps := round(float(apart.max() / step)):
        fitted = float(apart.max() / steps)
        if abs(fitted - step) > _TOLERANCE * step:
            return None
        step = fitted
    return step if _whole(apart / step) else None


def common_step(offsets: Array, same: float) -> float | None:
    """Return the largest step from which planes are whole numbers of steps apart; None if there is none, or one plane.

    Parameters
    ----------
    offsets : array
        How far along their normal the planes lie, in mm.
    same : float
        Planes that are no further apart are one.
    """
    apart = np.diff(np.sort(offsets))
    apart = apart[apart > same]
    steps = (fitted_step(offsets, float(apart.min()) / parts) for parts in range(1, _STEPS_BETWEEN + 1) if apart.size)
    return next((step for step in steps if step is not None), None)


def _whole(steps: Array) -> bool:
    return bool((np.abs(steps - np.round(steps)) <= _TOLERANCE).all())


def on_one_lattice(volumes: list[Volume]) -> list[Volume]:
    """Give volumes that leave out empty planes the planes of all, where these lie on one lattice.

    They do if they have the same orientation, extent and spacing within the planes, the same step from one to the next, and
    are whole steps apart, all within the noise of `compare_geometry`; axes may be flipped or permuted. Where no file
    says what the step is, it is the largest that fits them all. Volumes that have all their planes get none.

    Parameters
    ----------
    volumes : list of Volume
        They belong to what is returned from now on.

    Returns
    -------
    volumes : list of Volume
        As they were, where no plane is to be added, or they do not lie on one lattice: that is left to `check_geometry`.

    Raises
    ------
    GeometryError
        If one reaches beyond another that has all its planes, and their shapes differ.
    """
    placed = [volume for volume in volumes if _is_placed(volume)]
    first = next((volume for volume in placed if volume.planes is not None), None)
    if first is None or len(placed) < 2:
        return volumes
    stacks = [_stack(volume, _affine(first.geometry)) for volume in placed]
    step = _step(stacks)
    if step is None:
        return volumes
    lowest = min(float(stack.there.min()) for stack in stacks)
    highest = max(float(stack.there.max()) for stack in stacks)
    count = round((highest - lowest) / step) + 1
    if count > PLANES_LIMIT or not all(_whole((stack.there - lowest) / step) for stack in stacks):
        return volumes
    laid = {id(stack.volume): _laid(stack, lowest, highest, step, count) for stack in stacks}
    if not all(_same_place(laid[id(first)][1], geometry) for _, geometry in laid.values()):
        return volumes
    if any(stack.volume.planes is None and len(stack.all) != count for stack in stacks):
        if len({tuple(sorted(volume.geometry.shape)) for volume in placed}) > 1:
            _check_within(stacks, step)
        return volumes
    return [
        volume
        if volume.planes is None or id(volume) not in laid or volume.geometry.shape == laid[id(volume)][1].shape
        else Spread(volume, *laid[id(volume)])
        for volume in volumes
    ]


def check_counterparts(volumes: list[Volume]) -> None:
    """Refuse files that all leave out empty planes where an index need not be the same plane of all of them.

    That is what it is where planes of equal index lie less than half a step apart, along the normal of the first file. One
    that has all its planes says how many there are: files of as many have all of theirs, too, wherever they lie.

    Parameters
    ----------
    volumes : list of Volume
        Of one shape.

    Raises
    ------
    GeometryError
    """
    if any(volume.planes is None for volume in volumes):
        return
    first, *others = volumes
    affine = _affine(first.geometry)
    normal, step = affine[:3, 2] / np.linalg.norm(affine[:3, 2]), float(np.linalg.norm(affine[:3, 2]))
    corners = np.array([(*corner, 1) for corner in itertools.product(*((0, n - 1) for n in first.geometry.shape))])
    for other in others:
        apart = float(np.abs(corners @ (normal @ (_affine(other.geometry) - affine)[:3])).max())
        if apart >= step / 2:
            raise GeometryError(
                f"{other.path}: its planes lie up to {apart:.4g} mm from those of {first.path}; expected them on one lattice "
                f"of planes, as either file may have left out empty ones, or files that have all of theirs, such as NIfTI"
            )


class _Stack(NamedTuple):
    """How the planes of a volume lie along the normal of the first."""

    volume: Volume
    axis: int
    """Along which they follow one another."""
    rise: float
    """From each to the next in mm; negative where the axis runs against the normal."""
    all: Array
    """How far each lies along the normal in mm."""
    there: Array
    """Of these the planes that the file has."""


def _is_placed(volume: Volume) -> bool:
    """Tell whether a volume has three axes of space and an affine that places them."""
    shape = volume.geometry.shape
    return (
        len(shape) >= 3 and all(shape[:3]) and all(n == 1 for n in shape[3:]) and volume.geometry.smallest_spacing > 0
    )


def _affine(geometry: Geometry) -> Array:
    assert geometry.affine is not None
    return geometry.affine


def _stack(volume: Volume, first: Array) -> _Stack:
    affine, normal = _affine(volume.geometry), first[:3, 2] / np.linalg.norm(first[:3, 2])
    rises = normal @ affine[:3, :3]
    axis = 2
    if volume.planes is None:
        axis = int(np.abs(rises / np.linalg.norm(affine[:3, :3], axis=0)).argmax())
    offsets = normal @ (affine[:3, 3] - first[:3, 3]) + np.arange(volume.geometry.shape[axis]) * rises[axis]
    there = offsets if volume.planes is None else offsets[list(volume.planes.places)]
    return _Stack(volume, axis, float(rises[axis]), offsets, there)


def _step(stacks: list[_Stack]) -> float | None:
    """Return the distance of two planes of the lattice that all stacks are of; None if they are of none.

    The step that a file of a single plane says is a guess of its writer, and counts only where no other file says one.
    """
    said = [
        (len(stack.there) == 1, stack.volume.planes is not None, abs(stack.rise))
        for stack in stacks
        if stack.volume.planes is None or stack.volume.planes.step is not None
    ]
    sure = [step for single, _, step in sorted(said) if not single]
    if sure:
        return sure[0] if all(abs(step - sure[0]) <= _TOLERANCE * sure[0] for step in sure) else None
    offsets = np.concatenate([stack.there for stack in stacks])
    for _, _, step in sorted(said):
        if _whole((offsets - offsets.min()) / step):
            return step
    return common_step(offsets, _TOLERANCE * min(stack.volume.geometry.smallest_spacing for stack in stacks))


def _laid(stack: _Stack, lowest: float, highest: float, step: float, count: int) -> tuple[NDArray[np.int64], Geometry]:
    """Return where the planes of a stack are on the lattice, in the direction of its own axis, and the lattice's geometry."""
    given, axis = stack.volume.geometry, stack.axis
    ways = stack.all - lowest if stack.rise > 0 else highest - stack.all
    places = np.round(ways / step).astype(np.int64)
    affine, before = _affine(given).copy(), int(places[0])
    affine[:3, axis] *= step / abs(stack.rise)
    affine[:3, 3] -= before * affine[:3, axis]
    affine.flags.writeable = False
    shape, spacing = list(given.shape[:3]), list(given.spacing[:3])
    shape[axis], spacing[axis] = count, step
    if stack.volume.planes is not None:
        absent = np.ones(len(places), bool)
        absent[list(stack.volume.planes.places)] = False
        places[absent] = -1
    return places, replace(given, shape=tuple(shape), affine=affine, spacing=tuple(spacing))


def _same_place(one: Geometry, other: Geometry) -> bool:
    """Tell whether two geometries are of the same voxels, their axes perhaps flipped or permuted."""
    return difference(one, other, ("", ""), tolerance=NOISE) is None or reorientation(one, other, NOISE) is not None


def _check_within(stacks: list[_Stack], step: float) -> None:
    """Raise GeometryError where a stack reaches beyond one that has all its planes."""
    for full in (stack for stack in stacks if stack.volume.planes is None):
        low, high = full.all.min() - step / 2, full.all.max() + step / 2
        for stack in (stack for stack in stacks if stack.volume.planes is not None):
            beyond = int(((stack.there < low) | (stack.there > high)).sum())
            if beyond:
                raise GeometryError(
                    f"{stack.volume.path}: expected its planes among the {len(full.all)} of {full.volume.path}, found "
                    f"{beyond} beyond them; only a DICOM segmentation may leave planes out, as background"
                )
