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

from fastseg.kernels.numba.surface_elements import Slab, find_elements
from fastseg.kernels.numba.surface_lists import Elements
from fastseg.kernels.numba.surface_nearest import EMPTY, fill_bits, search_near, search_planes
from fastseg.kernels.numba.surface_overlaps import moves_of, overlay
from fastseg.kernels.numba.surface_slabs import Slabs, solid
from fastseg.kernels.numba.surface_surfels import find_surfels
from fastseg.kernels.protocols.surfaces import RowDistances, Stage, SurfaceTask
from fastseg.kernels.surfels import surfel_measures

__all__ = ["SurfaceMeasurer"]

Array = npt.NDArray[Any]

#: Elements of a class that are searched together, and how many of several classes are at least and at most.
_PIECE, _LEAST, _MOST = 1 << 14, 1 << 13, 1 << 16
#: Words of the bit maps that are there at the same time.
_MOST_WORDS = 1 << 21
#: Columns around an element that are looked at before planes are searched.
_MOST_STEPS = 2000
#: Words of a bit map that are looked through for each element at most.
_DENSE = 4
#: Empty columns around a box, into which the first steps lead at most.
_AROUND = 3


class _Found(NamedTuple):
    """Distances of some pieces of surfaces, in any order: of which row and kind each is, its square, how many have it."""

    rows: Array
    kinds: Array
    squares: Array
    numbers: Array


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
        self._steps = _steps(spacing[1:], shape[1:])
        self._around = (_AROUND if shape[1] > 1 else 0, _AROUND)
        self._near = _first_steps(spacing[1:], shape[1:])
        self._limit = _limit(task.max_distance)
        self._moves, self._moved = moves_of(spacing, shape, self._limit)
        self._elements = np.zeros((task.classes, 2, self._parts), np.int64)
        self._found: list[_Found] = []
        self._farthest: list[tuple[Array, Array]] = []

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
            elements = Elements(found, self._parts)
            yield len(found), elements.group
            self._elements += elements.numbers.transpose(1, 0, 2)
            yield from self._searches(elements)

    def _find(self, slab: Slab, classes: Array) -> tuple[Array, Array]:
        task = self._task
        if self._areas is None:
            return find_elements(slab, classes, task.classes)
        return find_surfels(slab, classes, task.classes, self._kinds, self._planes, task.border == "extend")

    def _searches(self, elements: Elements) -> Iterator[Stage]:
        boxes = elements.boxes(self._around)
        both = np.flatnonzero((elements.numbers.sum(2) > 0).all(0))
        sizes = boxes[:, both, 6] * (boxes[:, both, 4:6] + 2 * boxes[:, both, 10:12]).prod(-1)
        ends = np.cumsum(sizes.sum(0))
        while both.size:
            before = ends[0] - sizes[:, 0].sum()
            count = max(1, int(np.searchsorted(ends - before, _MOST_WORDS, "right")))
            chosen = np.ascontiguousarray(boxes[:, both[:count]].transpose(1, 0, 2)).reshape(-1, 12)  # class by class
            words = sizes[:, :count].T.reshape(-1)
            chosen[:, 7] = np.cumsum(words) - words
            bits = np.zeros(int(words.sum()), np.uint64)
            parts = _cut(chosen[:, 9] - chosen[:, 8])

            def fill(
                job: int, chosen: Array = chosen, bits: Array = bits, parts: list[tuple[int, int]] = parts
            ) -> None:
                first, last = parts[job]
                fill_bits()(elements.places, chosen[first:last], *self._shape[1:], bits)

            yield len(parts), fill
            if self._areas is None:  # else moves would have to be counted kind by kind
                of = chosen[:, 9] - chosen[:, 8]
                dense = np.flatnonzero(of * _DENSE >= words)
                yield from self._overlays(elements, both[:count], dense, _cut(of[dense]), chosen, bits)
            jobs = self._jobs(elements, both[:count])
            pieces = _cut(jobs[:, 1] - jobs[:, 0])

            def search(
                job: int, chosen: Array = chosen, bits: Array = bits, jobs: Array = jobs,
                pieces: list[tuple[int, int]] = pieces,
            ) -> None:  # fmt: skip
                first, last = pieces[job]
                self._search(elements.places, jobs[first:last], chosen, bits)

            yield len(pieces), search
            both, sizes, ends = both[count:], sizes[:, count:], ends[count:]

    def _overlays(
        self, elements: Elements, classes: Array, dense: Array, parts: list[tuple[int, int]], boxes: Array, bits: Array
    ) -> Iterator[Stage]:
        """Yield the stage that finds the nearest elements of boxes as far as they are a step or two away."""

        def overlay_boxes(job: int) -> None:
            some = dense[slice(*parts[job])]
            counts, left = np.zeros((some.size, self._moved.size), np.int64), np.empty(some.size, np.int64)
            farthest = np.empty((some.size, 2))
            overlay()(
                elements.places,
                some,
                boxes,
                *self._shape[1:],
                bits,
                self._moves,
                np.sqrt(self._moved),
                counts,
                left,
                farthest,
            )
            rows = 2 * classes[some // 2] + some % 2
            which, moves = np.nonzero(counts)
            self._found.append(
                _Found(rows[which], np.zeros(which.size, np.int64), self._moved[moves], counts[which, moves])
            )
            self._farthest.append((rows, farthest))
            for box, number in zip(some.tolist(), left.tolist(), strict=True):
                first = boxes[box, 8]
                elements.places[first : first + number].sort()  # in the order of the volume again
                elements.ranges[1][box % 2, classes[box // 2], 0] = first + number

        yield len(parts), overlay_boxes

    def _jobs(self, elements: Elements, classes: Array) -> Array:
        """Return the pieces of the surfaces of some classes: first and last place, the box of the other surface, row, kind."""
        first, last = (each[:, classes].transpose(1, 0, 2).reshape(-1) for each in elements.ranges)
        others = np.arange(2 * classes.size).reshape(-1, 2)[:, ::-1].reshape(-1)
        rows = (2 * classes[:, None] + np.arange(2)).reshape(-1)
        kinds = np.tile(np.arange(self._parts), rows.size)
        others, rows = (np.repeat(each, self._parts) for each in (others, rows))
        counts = -((first - last) // _PIECE)
        which = np.repeat(np.arange(first.size), counts)
        begin = first[which] + _PIECE * (np.arange(which.size) - np.repeat(np.cumsum(counts) - counts, counts))
        table = [begin, np.minimum(begin + _PIECE, last[which]), others[which], rows[which], kinds[which]]
        return np.ascontiguousarray(np.stack(table, axis=1), np.int64)

    def _search(self, places: Array, jobs: Array, boxes: Array, bits: Array) -> None:
        """Find the distances of some pieces."""
        numbers = jobs[:, 1] - jobs[:, 0]
        total, room = int(numbers.sum()), 2 << int(numbers.max()).bit_length()
        found, often, missed = np.empty(total), np.empty(total, np.int64), np.empty(total, np.int32)
        told, farthest = np.empty((len(jobs), 2), np.int64), np.empty((len(jobs), 2))
        search_near()(
            places, jobs, boxes, *self._shape[1:], bits, *self._squares, *self._steps, self._limit, np.empty(room),
            np.empty(room, np.int64), found, often, missed, told, farthest, np.empty(self._near, np.int64),
        )  # fmt: skip
        starts, distinct = np.cumsum(numbers) - numbers, told[:, 0]
        which = np.repeat(np.arange(len(jobs)), distinct)
        where = np.arange(which.size) + (starts - np.cumsum(distinct) + distinct)[which]
        results = [_Found(jobs[which, 3], jobs[which, 4], found[where], often[where])]
        for j in np.flatnonzero(told[:, 1]).tolist():
            first, last, box, row, kind = jobs[j].tolist()
            left = missed[starts[j] : starts[j] + told[j, 1]]
            keys, counts = self._search_planes(places[first:last], left, boxes[box], bits, farthest[j])
            results.append(_Found(np.full(keys.size, row), np.full(keys.size, kind), keys, counts))
        self._found += results  # in any order: they are counts
        self._farthest.append((jobs[:, 3], farthest))

    def _search_planes(
        self, places: Array, missed: Array, box: Array, bits: Array, farthest: Array
    ) -> tuple[Array, Array]:
        """Return the squared distances of what is left of a piece, and their numbers."""
        room = 2 << missed.size.bit_length()
        keys, counts = np.full(room, EMPTY), np.zeros(room, np.int64)
        rows, columns = self._shape[1:]
        height, width = box[4:6].tolist()
        room_y = [np.empty(height, dtype) for dtype in (np.float64, np.int64, np.float64)]
        squares, least, at = np.empty(height * width), np.empty(rows * width), 0
        while at < missed.size:
            at += search_planes()(
                places, missed[at:], rows, columns, box, bits, *self._squares, squares, *room_y, least, self._limit,
                keys, counts, farthest,
            )  # fmt: skip
        there = counts > 0
        return keys[there], counts[there]

    def result(self) -> list[tuple[RowDistances, RowDistances]]:
        """Return the distances of each class, in both directions: equal ones of several pieces put together, kind by kind."""
        totals = self._elements.sum(2)
        alone = self._elements * (totals == 0).any(1)[:, None, None]  # there is no other surface
        rows, kinds = np.nonzero(alone.reshape(-1, self._parts))
        infinite = _Found(rows, kinds, np.full(rows.size, math.inf), alone.reshape(-1, self._parts)[rows, kinds])
        rows, kinds, squares, numbers = (np.concatenate(each) for each in zip(infinite, *self._found, strict=True))
        distances = np.sqrt(squares)
        order = np.lexsort((kinds, distances, rows))
        keys: list[Array] = [each[order] for each in (rows, distances, kinds)]
        new = np.ones(order.size, bool)
        new[1:] = np.any([key[1:] != key[:-1] for key in keys], axis=0)
        starts = np.flatnonzero(new)
        rows, distances, kinds = [key[starts] for key in keys]
        weights = np.add.reduceat(numbers[order], starts) if starts.size else numbers
        areas = None if self._areas is None else self._areas[kinds]
        ends, indices = np.searchsorted(rows, np.arange(totals.size + 1)).tolist(), self._indices(totals.size)
        found = [
            RowDistances(distances[a:b], weights[a:b], number, None if areas is None else areas[a:b], index)
            for a, b, number, index in zip(ends, ends[1:], totals.reshape(-1).tolist(), indices, strict=False)
        ]
        return list(zip(found[::2], found[1::2], strict=True))

    def _indices(self, rows: int) -> list[tuple[int, ...] | None]:
        """Return the index of the farthest element of each row: the largest distance, and of equal ones the first place."""
        best = [(-1.0, -1.0)] * rows
        for of, farthest in self._farthest:
            for row, (root, place) in zip(of.tolist(), farthest.tolist(), strict=True):
                if root > best[row][0] or (root == best[row][0] and place < best[row][1]):
                    best[row] = root, place
        axes = [0, 1, 2] if len(self._task.spacing) == 3 else [0, 2]
        places = np.array([max(place, 0.0) for _, place in best], np.int64)
        found = np.stack(np.unravel_index(places, self._shape), axis=1)[:, axes].tolist()
        return [None if place < 0 else tuple(index) for index, (_, place) in zip(found, best, strict=True)]


def _cut(numbers: Array) -> list[tuple[int, int]]:
    """Return from which to which piece of so many elements jobs go, that are worth a call and leave some for all threads."""
    upto = np.cumsum(numbers)
    if not upto.size:
        return []
    size = min(max(int(upto[-1]) // 16, _LEAST), _MOST)
    ends = np.unique(np.append(np.flatnonzero(np.diff((upto - 1) // size)) + 1, upto.size)).tolist()
    return [*zip([0, *ends], ends, strict=False)]


@functools.lru_cache(maxsize=64)
def _squares(number: int, step: float) -> Array:
    """Return the squared distance of each offset along an axis, rounded as SciPy's distance transform rounds it."""
    offsets = np.arange(number, dtype=np.float64) * step
    return np.asarray(offsets * offsets)


@functools.lru_cache(maxsize=32)
def _limit(farthest: float) -> float:
    """Return the least squared distance whose root is more than that."""
    square = farthest * farthest
    while math.sqrt(square) > farthest:
        square = math.nextafter(square, 0)
    while square < math.inf and math.sqrt(square) <= farthest:
        square = math.nextafter(square, math.inf)
    return square


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


@functools.lru_cache(maxsize=32)
def _first_steps(spacing: tuple[float, float], shape: tuple[int, int]) -> int:
    """Return how many of the first columns around an element are within those around a box."""
    steps, _, _ = _steps(spacing, shape)
    far = np.flatnonzero((np.abs(steps) > _AROUND).any(1))
    return int(far[0]) if far.size else len(steps)
