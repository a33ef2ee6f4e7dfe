"""Measures surfaces: elements of all classes in one scan, then the nearest elements, class by class and piece by piece.

Memory, beyond the maps: 16 bytes a surface element, for each thread two slabs, four planes of numbers and 1 MiB of
masks, and bit maps of the boxes of the classes in hand, of which there is one, or as many as fit into 16 MiB.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastseg.kernels.numba.simd.least import COLUMNS
from fastseg.kernels.numba.surface_elements import (
    KIND_SHIFT,
    LEAST,
    MOST,
    NUMBER,
    Slab,
    coordinate_bits,
    find_elements,
    group_elements,
)
from fastseg.kernels.numba.surface_nearest import MASK_ROWS, Reach, Scratch, fill_bits, reach_of, search_near
from fastseg.kernels.numba.surface_planes import column_bits, search_planes
from fastseg.kernels.numba.surface_slabs import Slabs, solid
from fastseg.kernels.numba.surface_surfels import find_surfels
from fastseg.kernels.protocols.surfaces import RowDistances, Stage, SurfaceTask, no_distances
from fastseg.kernels.surfels import surfel_measures

__all__ = ["SurfaceMeasurer"]

Array = npt.NDArray[Any]

#: Elements whose nearest ones are searched together.
_PIECE = 1 << 14
#: Words of the bit maps that are there at the same time.
_MOST_WORDS = 1 << 21


class _Job(NamedTuple):
    """A piece of the elements of a class, the surface that they are measured to, and its bit map."""

    row: int
    elements: Array
    others: Array
    box: Array
    bits: Array


class _Found(NamedTuple):
    """Squared distances, how many elements have each, and of which kind these are; several may be equal."""

    squares: Array
    weights: Array
    kinds: Array


class SurfaceMeasurer:
    """Measures layer by layer."""

    def __init__(self, task: SurfaceTask) -> None:
        self._task = task
        shape = solid(task.layers[0].y_true).shape
        self._areas, self._kinds, self._planes = None, np.empty(0, np.int64), shape[0]
        if task.surface == "surfel":
            measures = surfel_measures(task.spacing)
            self._areas = np.unique(measures[measures > 0])
            self._kinds = np.searchsorted(self._areas, measures)
            shape = (shape[0] + 1, shape[1] + (len(task.spacing) == 3), shape[2] + 1)  # of the corners
        self._parts = 1 if self._areas is None else self._areas.size
        self._spacing = task.spacing if len(task.spacing) == 3 else (task.spacing[0], 1.0, task.spacing[1])
        self._shape = shape
        self._shifts = np.array(coordinate_bits(shape))
        self._squares, self._reach = _geometry(shape, self._spacing, task.max_distance)
        self._spare: list[Scratch] = []
        self._found: list[list[_Found]] = [[] for _ in range(2 * task.classes)]
        self._farthest: list[list[tuple[float, int]]] = [[] for _ in range(2 * task.classes)]
        self._elements = [0] * (2 * task.classes)
        self._alone: list[Array] = [np.empty(0, np.uint64)] * (2 * task.classes)
        self._rows: list[RowDistances] = [no_distances(task.surface)] * (2 * task.classes)

    def stages(self) -> Iterator[Stage]:
        """Yield the stages of each layer: find, group, fill the bit maps of some classes, search; then put all together."""
        task = self._task
        for layer in task.layers:
            slabs = Slabs(layer, task.excluded, len(task.spacing), task.surface, task.border)
            found: list[Any] = [None] * (2 * slabs.number)

            def find(job: int, slabs: Slabs = slabs, found: list[Any] = found) -> None:
                slab = slabs.slab(*divmod(job, slabs.number))
                found[job] = self._find(slab, slabs.classes)
                slabs.give_back(slab)

            yield len(found), find
            halves = (found[: slabs.number], found[slabs.number :])
            maps = [_Elements(half) for half in halves]
            found.clear()

            def group(job: int, number: int = slabs.number, maps: list[_Elements] = maps) -> None:
                which, slab = divmod(job, number)
                maps[which].group(slab)

            yield 2 * slabs.number, group
            yield from self._searches(maps)
        yield len(self._rows), self._put_together

    def _find(self, slab: Slab, classes: Array) -> tuple[Array, Array]:
        task = self._task
        if self._areas is None:
            return find_elements(slab, classes, task.classes, self._shifts)
        extend = task.border == "extend"
        return find_surfels(slab, classes, task.classes, self._kinds, self._planes, extend, self._shifts)

    def _searches(self, maps: list[_Elements]) -> Iterator[Stage]:
        both = []
        for k in range(self._task.classes):
            here = [which for which, one in enumerate(maps) if one.numbers[k]]
            for which in here:
                self._elements[2 * k + which] = int(maps[which].numbers[k])
            if len(here) == 1:  # there is no other surface
                self._alone[2 * k + here[0]] = maps[here[0]].elements(k)
            elif here:
                both.append(k)
        while both:
            boxes: list[tuple[int, int, Array]] = []
            words = 0
            while both:
                pair = [(both[0], which, one.box(both[0])) for which, one in enumerate(maps)]
                words += sum(_size(box) for _, _, box in pair)
                if boxes and words > _MOST_WORDS:
                    break
                boxes += pair
                del both[0]
            bits = [np.zeros(_size(box), np.uint64) for _, _, box in boxes]

            def fill(job: int, boxes: Any = boxes, bits: Any = bits) -> None:
                k, which, box = boxes[job]
                fill_bits()(maps[which].elements(k), self._shifts, box, bits[job])

            yield len(boxes), fill
            jobs = [
                _Job(2 * k + which, here[start : start + _PIECE], there, boxes[index ^ 1][2], bits[index ^ 1])
                for index, (k, which, _) in enumerate(boxes)
                for here, there in ((maps[which].elements(k), maps[which ^ 1].elements(k)),)
                for start in range(0, here.size, _PIECE)
            ]

            def search(job: int, jobs: list[_Job] = jobs) -> None:
                self._search(jobs[job])

            yield len(jobs), search

    def _search(self, job: _Job) -> None:
        """Keep the squared distances of a piece, and their numbers, in any order of pieces."""
        kinds, reach = self._parts, self._reach
        try:
            scratch = self._spare.pop()
        except IndexError:  # all are in use
            scratch = Scratch(reach, kinds, self._shape[2], _PIECE)
        height, width = job.box[4:6].tolist()
        number = search_near()(
            job.elements, self._shifts, job.box, job.bits, *self._squares, reach.offsets, reach.limit, int(reach.closed),
            max(4096, height * width // 4), kinds, reach.levels, scratch.arena, scratch.tables, scratch.known, scratch.recent,
            scratch.counts, scratch.touched, scratch.missed, scratch.farthest,
        )  # fmt: skip
        root, which = scratch.farthest.tolist()
        self._note(job, root, int(which) if root >= 0 else 0)
        touched = scratch.touched[:number]
        places, kind = np.divmod(touched, kinds) if kinds > 1 else (touched.copy(), touched)
        weights = scratch.counts[touched].astype(np.int64)
        scratch.counts[touched] = 0
        self._found[job.row].append(_Found(reach.squares[places], weights, kind.astype(np.int16)))
        missed = scratch.missed[1 : scratch.missed[0] + 1]
        if missed.size:
            squares = self._far(job, missed)
            roots = np.sqrt(squares)
            roots[roots > self._task.max_distance] = -1
            self._note(job, float(roots.max()), int(missed[roots.argmax()]))
            if kinds == 1:
                squares.sort()
            kind = (job.elements[missed] >> KIND_SHIFT).astype(np.int16)
            self._found[job.row].append(_together(_Found(squares, np.ones(missed.size, np.int64), kind), kinds))
        self._spare.append(scratch)

    def _note(self, job: _Job, root: float, which: int) -> None:
        """Keep the largest distance of a piece, if there is one, and where the first element is that is so far away."""
        if root >= 0:
            self._farthest[job.row].append((-root, int(job.elements[which]) & ((1 << int(KIND_SHIFT)) - 1)))

    def _far(self, job: _Job, missed: Array) -> Array:
        """Return the squared distances of elements whose nearest is not near by."""
        box = job.box.copy()
        box[5] += -box[5] % COLUMNS  # there is nothing in what is added
        depth, height, width = box[3:6].tolist()
        columns = np.zeros((depth + 63) // 64 * height * width, np.uint64)
        column_bits()(job.others, self._shifts, box, columns)
        beyond = np.full(COLUMNS, math.inf)
        mirrored = [np.concatenate([beyond, each[:0:-1], each, beyond]) for each in self._squares[1:]]
        found = np.empty(missed.size, np.uint64)
        squares = np.empty(height * width + 8)
        squares = squares[-squares.ctypes.data % 64 // 8 :][: height * width]  # from a cache line's start on
        before, after = (np.empty(height * width, np.int64) for _ in range(2))
        heights, sites, starts = (np.empty(height, dtype) for dtype in (np.float64, np.int64, np.float64))
        search_planes()(
            job.elements, missed, self._shifts, box, columns, self._squares[1], *mirrored, self._spacing[0],
            squares, before, after, heights, sites, starts, np.empty(self._shape[1] * width), found,
        )  # fmt: skip
        return found.view(np.float64)

    def result(self) -> list[tuple[RowDistances, RowDistances]]:
        """Return the distances of each class, in both directions."""
        return list(zip(self._rows[::2], self._rows[1::2], strict=True))

    def _put_together(self, index: int) -> None:
        """Keep the distances of one surface: equal ones of several pieces as one, kind by kind."""
        found = self._found[index]
        alone = self._alone[index]
        if alone.size:
            kinds, numbers = np.unique(alone >> KIND_SHIFT, return_counts=True)
            found = [_Found(np.full(kinds.size, math.inf), numbers, kinds.astype(np.int16))]
        if not found:
            return
        squares, weights, kinds = (np.concatenate(each) for each in zip(*found, strict=True))
        distances = np.sqrt(squares)
        distances[distances > self._task.max_distance] = math.inf
        distances, weights, kinds = _together(_Found(distances, weights, kinds), self._parts)
        areas = None if self._areas is None else self._areas[kinds]
        self._rows[index] = RowDistances(distances, weights, self._elements[index], areas, self._index(index))

    def _index(self, row: int) -> tuple[int, ...] | None:
        """Return the index of the first element of a row that has the largest distance."""
        if not self._farthest[row]:
            return None
        _, place = min(self._farthest[row])
        high, low = self._shifts.tolist()
        index = place >> high, (place >> low) & ((1 << (high - low)) - 1), place & ((1 << low) - 1)
        return index if len(self._task.spacing) == 3 else (index[0], index[2])


class _Elements:
    """The elements of one map: of each slab, then of each class, in the order of the volume."""

    def __init__(self, found: list[tuple[Array, Array]]) -> None:
        self._words = [words for words, _ in found]
        tallies = np.array([tally for _, tally in found])
        self.numbers = tallies[:, :, NUMBER].sum(0)
        self._least = tallies[:, :, LEAST:MOST].min(0)
        self._most = tallies[:, :, MOST:].max(0)
        self._ends = np.cumsum(self.numbers)
        before = np.cumsum(tallies[:, :, NUMBER], axis=0) - tallies[:, :, NUMBER]
        self._cursors = np.ascontiguousarray(before + (self._ends - self.numbers))
        self._grouped = np.empty(int(self.numbers.sum()), np.uint64)

    def group(self, slab: int) -> None:
        """Put a slab's elements to those of their classes."""
        group_elements(self._words[slab], self._cursors[slab], self._grouped)
        self._words[slab] = np.empty(0, np.uint64)

    def elements(self, k: int) -> Array:
        """Return the elements of a class."""
        return self._grouped[self._ends[k] - self.numbers[k] : self._ends[k]]

    def box(self, k: int) -> Array:
        """Return the box of a class, as `fill_bits` takes it."""
        lengths = self._most[k] - self._least[k] + 1
        return np.concatenate([self._least[k], lengths, [(lengths[2] + 63) // 64 + 2, lengths[1] + MASK_ROWS]])


def _size(box: Array) -> int:
    """Return the words of the bit map of a box."""
    return int(box[3] * box[6] * box[7])


@functools.lru_cache(maxsize=16)
def _geometry(shape: tuple[int, ...], spacing: tuple[float, ...], farthest: float) -> tuple[list[Array], Reach]:
    """Return the squared distances of all offsets along each axis, and what is near by: the same for all images of a shape."""
    along = [_squares(n, step) for n, step in zip(shape, spacing, strict=True)]
    square = farthest * farthest  # in the end the largest whose root is not beyond
    while math.sqrt(square) > farthest:
        square = math.nextafter(square, 0)
    while square < math.inf and math.sqrt(math.nextafter(square, math.inf)) <= farthest:
        square = math.nextafter(square, math.inf)
    return along, reach_of(along, square)


def _squares(number: int, step: float) -> Array:
    """Return the squared distance of each offset along an axis, rounded as SciPy's distance transform rounds it."""
    offsets = np.arange(number, dtype=np.float64) * step
    return np.asarray(offsets * offsets)


def _together(found: _Found, parts: int) -> _Found:
    """Return the same with every number and kind once, in increasing order."""
    squares, weights, kinds = found
    order = np.argsort(squares, kind="stable")  # at once where they are in order
    squares = squares[order]
    new = squares[1:] != squares[:-1]
    if parts > 1:  # the ranks of numbers and kinds are one number, as what two keys sort takes several times as long
        ranks = np.concatenate([[0], np.cumsum(new)]) * parts + kinds[order]
        again = np.argsort(ranks)
        order, squares, ranks = order[again], squares[again], ranks[again]
        new = ranks[1:] != ranks[:-1]
    starts = np.flatnonzero(np.concatenate([[True], new]))
    return _Found(squares[starts], np.add.reduceat(weights[order], starts), kinds[order[starts]])
