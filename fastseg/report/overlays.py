"""The planes through the largest error of a case: its truth and its prediction, in constant memory.

The files are read twice, box by box: once to find the place, once to copy the planes through it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastseg.counting import stored_labels as aligned
from fastseg.runs import CaseRecord, Settings
from fastseg.runs.cases.find import Case
from fastseg.runs.scoring.keys import CaseFiles
from fastseg.volumes import open_volume
from fastseg.volumes.side_by_side import open_aligned

__all__ = ["Box", "Plane", "Views", "views", "views_of"]

Array = npt.NDArray[Any]
Bools = npt.NDArray[np.bool_]

#: Edge of the cubes in which disagreeing voxels are counted, at first; it doubles until there are at most this many cubes.
_EDGE, _CUBES = 16, 2**20

#: Pixels along a side of a picture.
_SIDE = 512

#: Voxels of a box that are looked at in one go, which bounds what is held beside it.
_AT_ONCE = 2**20


@dataclass(frozen=True, eq=False)
class Plane:
    """A slice, cropped to what is not background, thinned to at most `_SIDE` pixels a side.

    Attributes
    ----------
    axis : int or None
        Which it is perpendicular to; None: the volume is flat.
    name : str
        Of that axis.
    index, length : int
        Where it lies along it, and the volume's voxels along it.
    true, pred : (H, W) integers
        Labels, as they are drawn: row 0 is the top.
    scored : (H, W) bool
        False where the true label is ignored, or the region of interest is not.
    size : (float, float)
        Height and width in mm, or in voxels where the spacing is not known.
    cross : (float, float)
        Where the largest error is, in the same units from the top left.
    mark : (float, float) or None
        Where the largest distance of surfaces is, where that is in this plane.
    extra : bool
        Whether the plane is there for the mark alone.
    image : (H, W) float64 or None
        What the labels are of, where that is known.
    sides : pair of (int, int, float)
        Of what runs down and of what runs to the right: the axis, its first index that is shown, and mm from one to the next.
    upwards : bool
        Whether indices rise from the bottom to the top.
    """

    axis: int | None
    name: str
    index: int
    length: int
    true: Array
    pred: Array
    scored: Bools
    size: tuple[float, float]
    cross: tuple[float, float]
    image: Array | None = None
    mark: tuple[float, float] | None = None
    extra: bool = False
    sides: tuple[tuple[int, int, float], tuple[int, int, float]] | None = None
    upwards: bool = False

    def place_of(self, box: Sequence[Sequence[int]]) -> tuple[float, float, float, float] | None:
        """Return where a box of voxels lies, in units of `size`: left, top, width, height; None where it is not seen.

        Parameters
        ----------
        box
            Along each axis of the volume the first index, and that after the last.
        """
        if self.sides is None or (self.axis is not None and not box[self.axis][0] <= self.index < box[self.axis][1]):
            return None
        spans = []
        for (axis, low, mm), size in zip(self.sides, self.size, strict=True):
            start, stop = ((end - low) * mm for end in box[axis])
            spans.append((min(max(start, 0.0), size), min(max(stop, 0.0), size)))
        (top, bottom), (left, right) = spans
        if self.upwards:
            top, bottom = self.size[0] - bottom, self.size[0] - top
        return (left, top, right - left, bottom - top) if right > left and bottom > top else None


@dataclass(frozen=True, eq=False)
class Views:
    """The planes through a voxel of a case, and how many voxels disagree in all of it."""

    voxel: tuple[int, ...]
    axes: tuple[str, ...]
    errors: int
    planes: tuple[Plane, ...]


def views(
    record: CaseRecord, settings: Settings, image: str | None = None, mark: tuple[int, ...] | None = None
) -> Views:
    """Return the planes through a case's largest error; where there is none, through the middle of its foreground.

    Parameters
    ----------
    record, settings
        The case, and how it was scored.
    image
        The path of the volume that was segmented, which has to lie as the reference does.
    mark
        As in `views_of`.

    Raises
    ------
    OSError, ValueError
        If a file is gone, has changed or cannot be read; or if there is nothing to draw.
    """
    if record.prediction is None:
        raise ValueError("there is no prediction")
    _unchanged(record)
    if image is not None:
        with open_aligned(
            [record.reference, image], geometry=settings.geometry, geometry_tolerance=settings.geometry_tolerance,
            reorient=settings.reorient, axes=settings.axes,
        ):  # fmt: skip
            pass
    return views_of(lambda: _boxes(record, settings, image), _letters(record, settings), mark)


def views_of(boxes: Callable[[], Iterable[Box]], letters: str, mark: tuple[int, ...] | None = None) -> Views:
    """Return the planes through the largest error of a volume, which is read twice, box by box.

    Parameters
    ----------
    boxes
        Yields the boxes.
    letters
        Of the axes, where they have any.
    mark
        Index of the voxel where surfaces are farthest apart: planes through it show it; where none of those that one looks
        at first does, there is one more.

    Raises
    ------
    ValueError
        If there is nothing to draw.
    """
    search = _Search()
    for box in boxes():
        search.add(box)
    voxel = search.voxel()
    number = len(voxel)
    axes = tuple(letters[:number] if len(letters) >= number else (f"axis {axis}" for axis in range(number)))
    flat = [axis for axis, length in enumerate(search.shape) if length == 1]
    across = [None] if number == 2 else [*(flat[:1] or range(number))]
    copies = [_Copy(axis, search, voxel) for axis in across]
    copies.sort(key=lambda copy: copy.axis is not None and axes[copy.axis] != "z")  # what people look at first
    if mark is not None:
        mark = tuple(min(max(at, 0), size - 1) for at, size in zip(mark, search.shape, strict=True))
        first = copies[0].axis
        if first is not None and voxel[first] != mark[first]:
            copies.append(_Copy(first, search, mark, extra=True))
    for box in boxes():
        for copy in copies:
            copy.add(box)
    upwards = letters.startswith("xyz")
    return Views(voxel, axes, search.errors, tuple(copy.plane(axes, upwards, mark) for copy in copies))


class Box(NamedTuple):
    """A box of a volume, of at most `_AT_ONCE` voxels or so."""

    true: Array
    pred: Array
    scored: Bools
    """Where the true label is not ignored, and the region of interest is."""
    start: tuple[int, ...]
    shape: tuple[int, ...]
    """Of the volume."""
    spacing: tuple[float, ...]
    image: Array | None = None


class _Search:
    """Counts of disagreeing voxels in cubes, and what else the first look at a volume finds."""

    def __init__(self) -> None:
        self.shape: tuple[int, ...] = ()
        self.spacing: tuple[float, ...] = ()
        self.errors = self.foreground = 0

    def _begin(self, shape: tuple[int, ...], spacing: tuple[float, ...]) -> None:
        self.shape = shape
        self.spacing = tuple(abs(mm) if math.isfinite(mm) and mm else 1.0 for mm in spacing)
        self.edge = _EDGE
        while math.prod(-(-n // self.edge) for n in shape) > _CUBES:
            self.edge *= 2
        self.cells = tuple(-(-n // self.edge) for n in shape)
        self.counts = np.zeros(math.prod(self.cells), np.int64)
        self.moments = np.zeros((len(shape), self.counts.size), np.int64)
        self.sums = np.zeros(len(shape), np.int64)
        self.low, self.high = np.array(shape, np.int64), np.zeros(len(shape), np.int64)

    def add(self, box: Box) -> None:
        """Look at a box of the volume."""
        if not self.shape:
            self._begin(box.shape, box.spacing)
        foreground = ((box.true != 0) | (box.pred != 0)) & box.scored
        found = int(np.count_nonzero(foreground))
        if not found:
            return
        self.foreground += found
        for axis, begin in enumerate(box.start):
            others = tuple(other for other in range(foreground.ndim) if other != axis)
            along = np.count_nonzero(foreground, axis=others)
            places = np.flatnonzero(along) + begin
            self.sums[axis] += int((places * along[along > 0]).sum())
            self.low[axis] = min(self.low[axis], places[0])
            self.high[axis] = max(self.high[axis], places[-1] + 1)
        disagreeing = np.nonzero((box.true != box.pred) & box.scored)
        wrong = [where + begin for where, begin in zip(disagreeing, box.start, strict=True)]
        if wrong[0].size:
            self.errors += wrong[0].size
            cubes = np.ravel_multi_index([where // self.edge for where in wrong], self.cells)
            np.add.at(self.counts, cubes, 1)
            for axis, where in enumerate(wrong):
                np.add.at(self.moments[axis], cubes, where)

    def voxel(self) -> tuple[int, ...]:
        """Return the voxel to look at."""
        if not self.shape or not math.prod(self.shape):
            raise ValueError("there are no voxels")
        if not self.foreground:
            self.low[:], self.high[:] = 0, self.shape
            return tuple(n // 2 for n in self.shape)
        if not self.errors:
            return tuple(round(total / self.foreground) for total in self.sums.tolist())
        counts = self.counts.reshape(self.cells)
        around = counts
        for axis in range(counts.ndim):
            padded = np.pad(around, [(int(other == axis),) * 2 for other in range(counts.ndim)])
            around = sum(padded[(slice(None),) * axis + (slice(k, k + counts.shape[axis]),)] for k in range(3))  # type: ignore[assignment]
        peak = np.unravel_index(int(around.argmax()), self.cells)
        # The peak itself may hold nothing, in the middle of many: then its fullest neighbour is it.
        if not counts[peak]:
            low = [max(0, int(p) - 1) for p in peak]
            box = counts[tuple(slice(begin, int(p) + 2) for begin, p in zip(low, peak, strict=True))]
            peak = tuple(np.add(np.unravel_index(int(box.argmax()), box.shape), low).tolist())
        cube = np.ravel_multi_index([int(p) for p in peak], self.cells)
        return tuple(round(total / int(self.counts[cube])) for total in self.moments[:, cube].tolist())


class _Copy:
    """A plane that is being copied."""

    def __init__(self, axis: int | None, search: _Search, voxel: tuple[int, ...], extra: bool = False) -> None:
        self.axis, self.voxel, self.shape, self.extra = axis, voxel, search.shape, extra
        self.sides = [other for other in range(len(voxel)) if other != axis][:2]
        self.low, self.high, self.step, self.first, self.mm = {}, {}, {}, {}, {}
        for side in self.sides:
            low, high = int(search.low[side]), int(search.high[side])
            margin = max(6, (high - low) // 12)
            self.low[side], self.high[side] = max(0, low - margin), min(self.shape[side], high + margin)
            self.step[side] = -(-(self.high[side] - self.low[side]) // _SIDE)
            # Every step-th voxel, such that the voxel itself is one of them.
            self.first[side] = self.low[side] + (voxel[side] - self.low[side]) % self.step[side]
            self.mm[side] = search.spacing[side]
        size = tuple(len(range(self.first[side], self.high[side], self.step[side])) for side in self.sides)
        self.true, self.pred, self.scored = np.zeros(size, np.int64), np.zeros(size, np.int64), np.zeros(size, bool)
        self.image: Array | None = None
        self._size = size

    def add(self, box: Box) -> None:
        """Copy what a box of the volume has of the plane."""
        into, out = [], []
        for axis, (begin, length) in enumerate(zip(box.start, box.true.shape, strict=True)):
            if axis not in self.sides:
                if not begin <= self.voxel[axis] < begin + length:
                    return
                out.append(slice(self.voxel[axis] - begin, self.voxel[axis] - begin + 1))
                continue
            first, step = self.first[axis], self.step[axis]
            here = max(0, -(-(begin - first) // step))
            past = max(here, -(-(min(begin + length, self.high[axis]) - first) // step))
            if here == past:
                return
            into.append(slice(here, past))
            out.append(slice(first + here * step - begin, first + (past - 1) * step - begin + 1, step))
        size = tuple(part.stop - part.start for part in into)
        for copy, values in ((self.true, box.true), (self.pred, box.pred), (self.scored, box.scored)):
            copy[tuple(into)] = values[tuple(out)].reshape(size)
        if box.image is not None:
            self.image = np.zeros(self._size, np.float64) if self.image is None else self.image
            self.image[tuple(into)] = box.image[tuple(out)].reshape(size)

    def _at(self, voxel: tuple[int, ...], upwards: bool) -> tuple[float, float]:
        """Return where a voxel is drawn, from the top left."""
        first, second = ((voxel[side] - self.low[side] + 0.5) * self.mm[side] for side in self.sides)
        height = (self.high[self.sides[1]] - self.low[self.sides[1]]) * self.mm[self.sides[1]]
        return (height - second, first) if upwards else (first, second)

    def plane(self, axes: tuple[str, ...], upwards: bool, mark: tuple[int, ...] | None) -> Plane:
        """Return the plane as it is drawn: as stored, or, `upwards`, its first axis to the right and its second up."""
        true, pred, scored, image = self.true, self.pred, self.scored, self.image
        size = [(self.high[side] - self.low[side]) * self.mm[side] for side in self.sides]
        if upwards:
            true, pred, scored = (part.T[::-1] for part in (true, pred, scored))
            image = None if image is None else image.T[::-1]
            size = size[::-1]
        seen = mark is not None and (self.axis is None or mark[self.axis] == self.voxel[self.axis])
        of_sides = [(side, self.low[side], self.mm[side]) for side in self.sides]
        of_sides = of_sides[::-1] if upwards else of_sides
        name, index, length = "", 0, 1
        if self.axis is not None:
            name, index, length = axes[self.axis], self.voxel[self.axis], self.shape[self.axis]
        at, far = self._at(self.voxel, upwards), self._at(mark, upwards) if mark is not None and seen else None
        return Plane(
            self.axis, name, index, length, true, pred, scored, (size[0], size[1]), at, image, far, self.extra,
            (of_sides[0], of_sides[1]), upwards,
        )  # fmt: skip


def _boxes(record: CaseRecord, settings: Settings, image: str | None) -> Iterator[Box]:
    """Yield the boxes of a case's volume; of more than three axes the first three, at index 0 of the others."""
    assert record.prediction is not None
    for block in aligned.label_blocks(
        record.reference, record.prediction, map_prediction=settings.map_prediction or None, roi=record.roi,
        reorient=settings.reorient, axes=settings.axes, geometry="ignore", **({} if image is None else {"image": image}),
    ):  # fmt: skip
        if len(block.shape) < 2:
            raise ValueError(f"expected a volume of two or three axes, found the shape {block.shape}")
        if any(block.start[3:]):
            continue
        flat = (slice(None),) * min(3, len(block.shape)) + (0,) * (len(block.shape) - 3)
        true, pred, first = block.true[flat], block.pred[flat], block.start[0]
        inside = None if block.inside is None else block.inside[flat]
        grey = None if block.image is None else block.image[flat]
        thick = max(1, _AT_ONCE // max(1, math.prod(true.shape[1:])))
        for here in range(0, len(true), thick):
            part = slice(here, here + thick)
            scored = ~np.isin(true[part], settings.ignore) if settings.ignore else np.ones(true[part].shape, bool)
            if inside is not None:
                scored &= inside[part]
            start = (first + here, *block.start[1:3])
            shown = None if grey is None else grey[part]
            yield Box(true[part], pred[part], scored, start, block.shape[:3], block.spacing[:3], shown)


def _letters(record: CaseRecord, settings: Settings) -> str:
    """Return the letters of the axes, where the reference or the settings name them."""
    try:
        with open_volume(record.reference) as volume:
            return volume.geometry.axes or settings.axes or ""
    except (OSError, ValueError):
        return settings.axes or ""


def _unchanged(record: CaseRecord) -> None:
    """Raise ValueError where a file is not what was scored, by its size or its hash; FileNotFoundError where it is gone."""
    known = {role: entry for role, entry in record.inputs.items() if isinstance(entry, dict)}
    if known:
        files = CaseFiles(Case(record.id, record.reference, record.prediction, record.roi))
        hashed = any(entry.get("sha256") for entry in known.values())
        for role, entry in files.describe("auto" if hashed else "never").items():
            if any(
                known.get(role, {}).get(name) not in (None, value) for name, value in entry.items() if value is not None
            ):
                raise ValueError(f"{getattr(record, role)}: it has changed since it was scored")
