"""Measures surfaces: elements of all classes in one scan, then the nearest elements, class by class and piece by piece.

Memory, beyond the maps: 16 bytes a surface element, for each thread two slabs and two planes of float64, and bit maps of the
boxes of the classes in hand, of which there is one, or as many as fit into 16 MiB.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastseg.kernels.numba.surface_elements import LEAST, MOST, NUMBER, Slab, find_elements, group_elements
from fastseg.kernels.numba.surface_nearest import EMPTY, fill_bits, search_near, search_planes
from fastseg.kernels.numba.surface_slabs import Slabs, solid
from fastseg.kernels.numba.surface_surfels import find_surfels
from fastseg.kernels.protocols.surfaces import RowDistances, Stage, SurfaceTask, no_distances
from fastseg.kernels.surfels import surfel_measures

__all__ = ["SurfaceMeasurer"]

Array = npt.NDArray[Any]

#: Elements whose nearest ones are searched together; places of their histogram.
_PIECE, _ROOM = 1 << 14, 1 << 15
#: Words of the bit maps that are there at the same time.
_MOST_WORDS = 1 << 21
#: Columns around an element that are looked at before planes are searched.
_MOST_STEPS = 2000


class _Job(NamedTuple):
    """A piece of the elements of a class, and the surface that they are measured to."""

    row: int
    kind: int
    places: Array
    box: Array
    bits: Array


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
        spacing = task.spacing if len(task.spacing) == 3 else (task.spacing[0], 1.0, task.spacing[1])
        self._shape = shape
        self._squares = [_squares(n, step) for n, step in zip(shape, spacing, strict=True)]
        self._spacing = spacing
        self._found: list[list[tuple[Array, Array]]] = [[] for _ in range(2 * task.classes * self._parts)]
        self._elements = np.zeros((2 * task.classes, self._parts), np.int64)

    def stages(self) -> Iterator[Stage]:
        """Yield the stages of each layer: find, group, fill the bit maps of some classes, search."""
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
            maps = [_Elements(half, self._parts) for half in halves]
            found.clear()

            def group(job: int, number: int = slabs.number, maps: list[_Elements] = maps) -> None:
                which, slab = divmod(job, number)
                maps[which].group(slab)

            yield 2 * slabs.number, group
            yield from self._searches(maps)

    def _find(self, slab: Slab, classes: Array) -> tuple[Array, Array]:
        task = self._task
        if self._areas is None:
            return find_elements(slab, classes, task.classes)
        return find_surfels(slab, classes, task.classes, self._kinds, self._planes, task.border == "extend")

    def _searches(self, maps: list[_Elements]) -> Iterator[Stage]:
        both = [k for k in range(self._task.classes) if all(one.numbers[k] for one in maps)]
        for k in range(self._task.classes):
            for direction, one in enumerate(maps):
                self._elements[2 * k + direction] += one.parts[k]
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
                fill_bits()(maps[which].places(k), *self._shape[1:], box, bits[job])

            yield len(boxes), fill
            jobs = [
                _Job(2 * k + which, kind, places[start : start + _PIECE], boxes[index ^ 1][2], bits[index ^ 1])
                for index, (k, which, _) in enumerate(boxes)
                for kind in range(self._parts)
                for places in (maps[which].places(k, kind),)
                for start in range(0, places.size, _PIECE)
            ]

            def search(job: int, jobs: list[_Job] = jobs) -> None:
                row = jobs[job].row * self._parts + jobs[job].kind
                self._found[row].append(self._search(jobs[job]))  # in any order: they are counts

            yield len(jobs), search

    def _search(self, job: _Job) -> tuple[Array, Array]:
        """Return the squared distances of a piece, and their numbers."""
        room = _ROOM if job.places.size == _PIECE else 2 << job.places.size.bit_length()
        keys, counts = np.full(room, EMPTY), np.zeros(room, np.int64)
        missed = np.empty(job.places.size, np.int32)
        shape = self._shape[1:]
        steps, bounds, reach = _steps(self._spacing[1:], shape)
        height, width = job.box[4:6].tolist()
        allowance = max(4096, height * width // 2)
        misses = search_near()(
            job.places, *shape, job.box, job.bits, *self._squares, steps, bounds, reach, allowance, keys, counts, missed
        )
        if misses:
            room_y = [np.empty(height, dtype) for dtype in (np.float64, np.int64, np.float64)]
            squares, least, at = np.empty(height * width), np.empty(shape[0] * width), 0
            while at < misses:
                at += search_planes()(
                    job.places, missed[at:misses], *shape, job.box, job.bits, *self._squares, squares, *room_y, least,
                    keys, counts,
                )  # fmt: skip
        there = counts > 0
        return keys[there], counts[there]

    def result(self) -> list[tuple[RowDistances, RowDistances]]:
        """Return the distances of each class, in both directions."""
        rows = [self._row(index) for index in range(len(self._elements))]
        return list(zip(rows[::2], rows[1::2], strict=True))

    def _row(self, index: int) -> RowDistances:
        """Return the distances of one surface: equal ones of several pieces put together, kind by kind."""
        numbers = self._elements[index]
        found = self._found[index * self._parts : (index + 1) * self._parts]
        pieces = [(kind, *piece) for kind, each in enumerate(found) for piece in each]
        if not pieces:  # there is no other surface
            pieces = [(kind, np.array([math.inf]), numbers[kind, None]) for kind in np.flatnonzero(numbers).tolist()]
        if not pieces:
            return no_distances(self._task.surface)
        kinds = np.repeat([kind for kind, _, _ in pieces], [squares.size for _, squares, _ in pieces])
        distances = np.sqrt(np.concatenate([squares for _, squares, _ in pieces]))
        distances[distances > self._task.max_distance] = math.inf
        order = np.argsort(distances) if self._areas is None else np.lexsort((kinds, distances))
        distances, kinds = distances[order], kinds[order]
        new = (distances[1:] != distances[:-1]) | (kinds[1:] != kinds[:-1])
        starts = np.flatnonzero(np.append(True, new))
        weights = np.add.reduceat(np.concatenate([counts for _, _, counts in pieces])[order], starts)
        areas = None if self._areas is None else self._areas[kinds[starts]]
        return RowDistances(distances[starts], weights, int(numbers.sum()), areas)


class _Elements:
    """The elements of one map: of each slab, then of each class, and of it kind by kind."""

    def __init__(self, found: list[tuple[Array, Array]], kinds: int) -> None:
        self._words = [words for words, _ in found]
        tallies = np.array([tally for _, tally in found])
        numbers = tallies[:, :, NUMBER].sum(0)
        self.parts = numbers.reshape(-1, kinds)
        self.numbers = self.parts.sum(1)
        self._least = tallies[:, :, LEAST:MOST].min(0).reshape(-1, kinds, 3).min(1)
        self._most = tallies[:, :, MOST:].max(0).reshape(-1, kinds, 3).max(1)
        ends = np.cumsum(numbers)
        self._ends = ends.reshape(-1, kinds)
        before = np.cumsum(tallies[:, :, NUMBER], axis=0) - tallies[:, :, NUMBER]
        self._cursors = np.ascontiguousarray(before + (ends - numbers))
        self._grouped = np.empty(int(numbers.sum()), np.uint64)

    def group(self, slab: int) -> None:
        """Put a slab's elements to those of their classes."""
        group_elements(self._words[slab], self._cursors[slab], self._grouped)
        self._words[slab] = np.empty(0, np.uint64)

    def places(self, k: int, kind: int | None = None) -> Array:
        """Return where the elements of a class are, all or those of one kind; these in the order of the volume."""
        if kind is None:
            return self._grouped[self._ends[k, -1] - self.numbers[k] : self._ends[k, -1]]
        return self._grouped[self._ends[k, kind] - self.parts[k, kind] : self._ends[k, kind]]

    def box(self, k: int) -> Array:
        """Return the box of a class: its first voxel along each axis, its lengths, and the words of a column of bits."""
        lengths = self._most[k] - self._least[k] + 1
        return np.concatenate([self._least[k], lengths, [(lengths[0] + 63) // 64 + 2]])


def _size(box: Array) -> int:
    """Return the words of the bit map of a box."""
    return int(box[4] * box[5] * box[6])


def _squares(number: int, step: float) -> Array:
    """Return the squared distance of each offset along an axis, rounded as SciPy's distance transform rounds it."""
    offsets = np.arange(number, dtype=np.float64) * step
    return np.asarray(offsets * offsets)


@functools.lru_cache(maxsize=32)
def _steps(spacing: tuple[float, float], shape: tuple[int, int]) -> tuple[Array, Array, float]:
    """Return the columns around an element by their distance, their squared distances, and up to which all are there."""
    radius = math.sqrt(_MOST_STEPS / math.pi * spacing[0] * spacing[1])
    reach = [min(n - 1, int(min(radius / step, 4 * _MOST_STEPS))) for n, step in zip(shape, spacing, strict=True)]
    dy, dx = (np.arange(-n, n + 1) for n in reach)
    near_y, near_x = (_squares(n + 1, step) for n, step in zip(reach, spacing, strict=True))
    bounds = near_y[np.abs(dy)][:, None] + near_x[np.abs(dx)]
    whole = all(n == size - 1 for n, size in zip(reach, shape, strict=True))
    limit = math.inf if whole and bounds.size <= 4 * _MOST_STEPS else radius * radius * (1 - 1e-9)
    y, x = np.nonzero(bounds <= limit)
    order = np.argsort(bounds[y, x], kind="stable")
    steps = np.stack([dy[y[order]], dx[x[order]]], axis=1)
    return np.ascontiguousarray(steps, np.int64), np.append(bounds[y, x][order], math.inf), limit
