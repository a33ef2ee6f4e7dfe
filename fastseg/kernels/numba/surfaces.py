"""Measures surfaces: elements of all classes in one scan, then the nearest elements, class by class and piece by piece.

Memory, beyond the maps: 16 bytes a surface element, for each thread two slabs, four planes of numbers and 1 MiB of
blocks, and bit maps of the boxes of the classes in hand, of which there is one, or as many as fit into 16 MiB.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastseg.kernels.numba.surface_blocks import BLOCK_ROWS
from fastseg.kernels.numba.surface_close import close_offsets, count_close
from fastseg.kernels.numba.surface_elements import (
    KIND_SHIFT,
    LEAST,
    MOST,
    NUMBER,
    empty_tallies,
    find_elements,
    group_elements,
)
from fastseg.kernels.numba.surface_grid import PIECE, grid_of
from fastseg.kernels.numba.surface_masks import find_in_masks
from fastseg.kernels.numba.surface_nearest import fill_bits, search_near
from fastseg.kernels.numba.surface_planes import far_squares
from fastseg.kernels.numba.surface_rows import measure_rows
from fastseg.kernels.numba.surface_slabs import Slabs, solid
from fastseg.kernels.numba.surface_surfels import find_surfels
from fastseg.kernels.protocols.surfaces import (
    SMALL,
    Layer,
    RowDistances,
    SampleDistances,
    Stage,
    SurfaceTask,
    no_distances,
    rows_together,
)
from fastseg.kernels.surfels import surfel_measures

__all__ = ["SurfaceMeasurer"]

Array = npt.NDArray[Any]

#: Words of a bit map of a small image, up to which all is done in one call.
_SMALL_MAP = 1 << 17
#: Elements up to which all are searched in one call: two threads are as fast where these are twice as many.
_FEW = 1 << 17
#: Words of all their bit maps up to which that is so: they are emptied there, and otherwise only touched where elements are.
_FEW_WORDS = 1 << 20
#: Words of the bit maps that are there at the same time.
_MOST_WORDS = 1 << 21
_NO_WORDS, _NO_KINDS = np.empty(0, np.uint64), np.empty(0, np.int64)


class _Job(NamedTuple):
    """Some elements of a class, the surface that they are measured to, its box and its bit map."""

    row: int
    elements: Array
    others: Array
    box: Array
    bits: Array


class _Found(NamedTuple):
    """Distances, how many elements have each, and of which kind these are; several may be equal."""

    distances: Array
    weights: Array
    kinds: Array


class SurfaceMeasurer:
    """Measures layer by layer: a small image all in one call, few elements too once they are found, others in stages."""

    def __init__(self, task: SurfaceTask) -> None:
        self._task = task
        shape = solid(task.layers[0].y_true).shape
        small = math.prod(shape) <= SMALL
        self._areas, self._kinds, self._planes = None, _NO_KINDS, shape[0]
        if task.surface == "surfel":
            self._areas, self._kinds = _areas_and_kinds(task.spacing)
            shape = (shape[0] + 1, shape[1] + (len(task.spacing) == 3), shape[2] + 1)  # of the corners
        self._parts = 1 if self._areas is None else self._areas.size
        self._grid = grid_of(shape, task.spacing, task.max_distance, self._parts)
        self._small = small and self._grid.words <= _SMALL_MAP
        self._found: list[list[_Found]] = [[] for _ in range(2 * task.classes)]
        self._farthest: list[list[tuple[float, tuple[int, ...]]]] = [[] for _ in range(2 * task.classes)]
        self._elements = [0] * (2 * task.classes)
        self._alone: list[Array] = [_NO_WORDS] * (2 * task.classes)
        self._rows: list[RowDistances] = [no_distances(task.surface)] * (2 * task.classes)
        self._result: SampleDistances | None = None

    def stages(self) -> Iterator[Stage]:
        """Yield the stages of each layer: find, group, fill the bit maps of some classes, search; then put all together."""
        if self._small:
            yield 1, self._measure_at_once
            return
        for layer in self._task.layers:
            slabs = self._slabs(layer)
            tallies = empty_tallies(2 * slabs.number, self._task.classes)
            found = [_NO_WORDS] * (2 * slabs.number)

            def find(job: int, slabs: Slabs = slabs, found: list[Array] = found, tallies: Array = tallies) -> None:
                found[job] = self._find(slabs, *divmod(job, slabs.number), tallies[job])

            yield len(found), find
            number = slabs.number
            if (measure := self._of_few(found, tallies)) is not None:
                yield 1, measure
                return
            maps = [_Elements(found[at : at + number], tallies[at : at + number]) for at in (0, number)]
            found.clear()

            def group(job: int, number: int = number, maps: list[_Elements] = maps) -> None:
                which, slab = divmod(job, number)
                maps[which].group(slab)

            yield 2 * number, group
            yield from self._searches(maps)
        yield len(self._rows), self._put_together

    def _slabs(self, layer: Layer) -> Slabs:
        task = self._task
        return Slabs(layer, task.excluded, len(task.spacing), task.surface, task.border, self._small)

    def _find(self, slabs: Slabs, which: int, number: int, tally: Array) -> Array:
        """Return the elements of a slab of one of the maps, which are added to a tally."""
        slab = slabs.slab(which, number)
        if self._areas is None:
            found = find_elements(slab, slabs.classes, self._grid.scanned, tally)
        else:
            extend = self._task.border == "extend"
            found = find_surfels(slab, slabs.classes, self._kinds, self._planes, extend, self._grid.scanned, tally)
        slabs.give_back(slab)
        return found

    def _measure_at_once(self, _: int) -> None:
        """Do all that there is to do of a small image, of which no class is in two layers."""
        task, grid = self._task, self._grid
        tallies = empty_tallies(2, task.classes)
        found: tuple[list[Array], list[Array]] = ([], [])
        for layer in task.layers:
            if layer.values.size == 1 and self._areas is None:
                true, pred = find_in_masks(
                    layer.y_true, layer.y_pred, int(layer.values[0]), task.excluded, int(layer.classes[0]), grid.scanned,
                    task.surface, task.border, tallies,
                )  # fmt: skip
            else:
                slabs = self._slabs(layer)
                true, pred = (self._find(slabs, which, 0, tallies[which]) for which in range(2))
            found[0].append(true)
            found[1].append(pred)
        true, pred = (each[0] if len(each) == 1 else np.concatenate(each) for each in found)
        self._measure_few(true, pred, tallies, grid.words)

    def _of_few(self, found: list[Array], tallies: Array) -> Callable[[int], None] | None:
        """Return what measures the elements of all slabs in one call; None where they, or their bit maps, are many."""
        if len(self._task.layers) > 1 or sum(each.size for each in found) > _FEW:
            return None
        number, axes = len(found) // 2, self._grid.axes
        whole = np.stack([_over_slabs(each) for each in (tallies[:number], tallies[number:])])
        sizes = [_size(_box(tally, axes)) for each in whole for tally in each if tally[NUMBER]]
        if sum(sizes) > _FEW_WORDS:
            return None
        true, pred = (np.concatenate(each) for each in (found[:number], found[number:]))
        return lambda _: self._measure_few(true, pred, whole, max(sizes, default=0))

    def _measure_few(self, true: Array, pred: Array, tallies: Array, map_words: int) -> None:
        """Measure the elements of both maps in one call, with room for the bit map of a class."""
        task, grid = self._task, self._grid
        scratch = grid.scratch()
        rows = measure_rows(grid, scratch, close_offsets(grid, task.max_distance), true, pred, tallies, map_words)
        grid.give_back(scratch)
        end, axes, far = rows.starts[-1], len(task.spacing), rows.far_starts.tolist()
        if not far[-1]:
            self._result = SampleDistances(
                rows.starts,
                rows.distances[:end].copy(),
                rows.weights[:end].copy(),
                None if self._areas is None else self._areas[rows.kinds[:end]],
                tallies[:, :, NUMBER].T.copy(),
                rows.places[:, :: 4 - axes].reshape(-1, 2, axes),
            )
            return
        for row in range(2 * task.classes):
            k, which = divmod(row, 2)
            if not tallies[which, k, NUMBER]:
                continue
            self._elements[row] = int(tallies[which, k, NUMBER])
            near = _Found(*(each[rows.starts[row] : rows.starts[row + 1]] for each in rows[1:4]))
            self._found[row] = [near]
            if rows.places[row, 0] >= 0:
                largest = near.distances[np.isfinite(near.distances)][-1]
                self._farthest[row] = [(-float(largest), tuple(rows.places[row].tolist()))]
            if far[row] < far[row + 1]:
                tally, last = tallies[1 - which, k], rows.ends[1 - which, k]
                others = rows.grouped[last - tally[NUMBER] : last]
                box = _box(tally, grid.axes)
                self._search_far(row, rows.far[far[row] : far[row + 1]], others, box)
            self._put_together(row)

    def _searches(self, maps: list[_Elements]) -> Iterator[Stage]:
        both, grid = [], self._grid
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
                pair = [(both[0], which, one.box(both[0], grid.axes)) for which, one in enumerate(maps)]
                words += sum(_size(box) for _, _, box in pair)
                if boxes and words > _MOST_WORDS:
                    break
                boxes += pair
                del both[0]
            bits = [np.zeros(_size(box), np.uint64) for _, _, box in boxes]

            def fill(job: int, boxes: Any = boxes, bits: Any = bits) -> None:
                k, which, box = boxes[job]
                fill_bits()(maps[which].elements(k), grid.shifts, box, bits[job])

            yield len(boxes), fill
            jobs = [
                _Job(2 * k + which, here[start : start + PIECE], there, boxes[index ^ 1][2], bits[index ^ 1])
                for index, (k, which, _) in enumerate(boxes)
                for here, there in ((maps[which].elements(k), maps[which ^ 1].elements(k)),)
                for start in range(0, here.size, PIECE)
            ]

            def search(job: int, jobs: list[_Job] = jobs) -> None:
                self._search(jobs[job])

            yield len(jobs), search

    def _search(self, job: _Job) -> None:
        """Keep the distances of a piece, and their numbers, in any order of pieces."""
        grid, kinds, reach = self._grid, self._parts, self._grid.reach
        if kinds == 1:
            left = self._search_close(job)
            if not left.size:
                return
            job = job._replace(elements=left)
        scratch = grid.scratch()
        height, width = job.box[4:6].tolist()
        number = search_near()(
            job.elements, grid.shifts, job.box, job.bits, *grid.searched, reach.offsets, reach.limit, int(reach.closed),
            max(4096, height * width // 4), kinds, reach.levels, reach.beside, reach.step, scratch.arena, scratch.tables,
            scratch.known, scratch.recent, scratch.counts, scratch.touched, scratch.missed, scratch.farthest,
        )  # fmt: skip
        root, which = scratch.farthest.tolist()
        if root >= 0:
            self._farthest[job.row].append((-root, self._place(job.elements[int(which)])))
        touched = scratch.touched[:number]
        places, kind = np.divmod(touched, kinds) if kinds > 1 else (touched, np.zeros(number, np.int64))
        weights = scratch.counts[touched].astype(np.int64)
        scratch.counts[touched] = 0
        self._found[job.row].append(_Found(np.sqrt(reach.squares[places]), weights, kind.astype(np.int16)))
        missed = scratch.missed[0]
        if missed:
            self._search_far(job.row, job.elements[scratch.missed[1 : missed + 1]], job.others, job.box)
        grid.give_back(scratch)

    def _search_close(self, job: _Job) -> Array:
        """Keep the distances of those elements that others are very near to; return the rest."""
        close = close_offsets(self._grid, self._task.max_distance)
        counts, left = np.zeros(close.roots.size, np.int64), np.empty(job.elements.size, np.uint64)
        first = np.zeros(2, np.uint64)
        number = count_close()(
            job.elements, self._grid.shifts, job.box, job.bits, close.offsets, close.roots, counts, left, first
        )
        there = counts.nonzero()[0]
        if there.size:
            self._farthest[job.row].append((-float(close.roots[first[1]]), self._place(first[0])))
            self._found[job.row].append(_Found(close.roots[there], counts[there], np.zeros(there.size, np.int16)))
        return left[:number]

    def _search_far(self, row: int, elements: Array, others: Array, box: Array) -> None:
        """Keep the distances of elements of whom no other is near by."""
        distances = np.sqrt(far_squares(self._grid, elements, others, box))
        distances[distances > self._task.max_distance] = math.inf
        finite = np.where(distances < math.inf, distances, -1.0)
        first = int(finite.argmax())
        if finite[first] >= 0:
            self._farthest[row].append((-float(finite[first]), self._place(elements[first])))
        if self._parts == 1:
            distances.sort()
        found = _Found(distances, np.ones(elements.size, np.int64), (elements >> KIND_SHIFT).astype(np.int16))
        self._found[row].append(_together(found, self._parts))

    def _place(self, element: Any) -> tuple[int, ...]:
        """Return where an element is in its scan."""
        high, low = self._grid.scanned.tolist()
        place = int(element) & ((1 << int(KIND_SHIFT)) - 1)
        return place >> high, (place >> low) & ((1 << (high - low)) - 1), place & ((1 << low) - 1)

    def result(self) -> SampleDistances:
        """Return the distances of all classes."""
        task = self._task
        return self._result or rows_together(self._rows, task.surface, len(task.spacing))

    def _put_together(self, index: int) -> None:
        """Keep the distances of one surface: equal ones of several pieces as one, kind by kind."""
        found = self._found[index]
        alone = self._alone[index]
        if alone.size:
            kinds, numbers = np.unique(alone >> KIND_SHIFT, return_counts=True)
            found = [_Found(np.full(kinds.size, math.inf), numbers, kinds.astype(np.int16))]
        if not found:
            return
        distances, weights, kinds = _together(
            _Found(*(np.concatenate(each) for each in zip(*found, strict=True))), self._parts
        )
        areas = None if self._areas is None else self._areas[kinds]
        farthest = min(self._farthest[index])[1] if self._farthest[index] else None  # the first of the largest
        if farthest is not None and len(self._task.spacing) == 2:
            farthest = farthest[::2]
        self._rows[index] = RowDistances(distances, weights, self._elements[index], areas, farthest)


class _Elements:
    """The elements of one map: of each slab, then of each class, in the order of the volume."""

    def __init__(self, words: list[Array], tallies: Array) -> None:
        self._words = words
        self._tallies = _over_slabs(tallies)
        self.numbers = self._tallies[:, NUMBER]
        self._ends = np.cumsum(self.numbers)
        before = np.cumsum(tallies[:, :, NUMBER], axis=0) - tallies[:, :, NUMBER]
        self._cursors = np.ascontiguousarray(before + (self._ends - self.numbers))
        self._grouped = np.empty(int(self.numbers.sum()), np.uint64)

    def group(self, slab: int) -> None:
        """Put a slab's elements to those of their classes."""
        group_elements(self._words[slab], self._cursors[slab], self._grouped)
        self._words[slab] = _NO_WORDS

    def elements(self, k: int) -> Array:
        """Return the elements of a class."""
        return self._grouped[self._ends[k] - self.numbers[k] : self._ends[k]]

    def box(self, k: int, axes: Array) -> Array:
        """Return the box of a class."""
        return _box(self._tallies[k], axes)


def _over_slabs(tallies: Array) -> Array:
    """Return the tallies of some slabs of a map as those of the whole."""
    return np.concatenate(
        [tallies[:, :, :LEAST].sum(0), tallies[:, :, LEAST:MOST].min(0), tallies[:, :, MOST:].max(0)], axis=-1
    )


def _box(tally: Array, axes: Array) -> Array:
    """Return the box of a class with that tally, as `fill_bits` takes it; its axis a is axes[a] of a scan."""
    least, most = tally[LEAST:MOST], tally[MOST:]
    lengths = (most - least + 1)[axes]
    return np.concatenate([least[axes], lengths, [(lengths[2] + 63) // 64 + 2, lengths[1] + BLOCK_ROWS]])


def _size(box: Array) -> int:
    """Return the words of the bit map of a box."""
    return int(box[3] * box[6] * box[7])


@functools.lru_cache(maxsize=64)
def _areas_and_kinds(spacing: tuple[float, ...]) -> tuple[Array, Array]:
    """Return the areas that surfels may have, increasing, and which of them each pattern has."""
    measures = surfel_measures(spacing)
    areas = np.unique(measures[measures > 0])
    return areas, np.searchsorted(areas, measures)


def _together(found: _Found, parts: int) -> _Found:
    """Return the same with every distance and kind once, in increasing order."""
    distances, weights, kinds = found
    order = np.argsort(distances, kind="stable")  # at once where they are in order
    distances = distances[order]
    new = distances[1:] != distances[:-1]
    if parts > 1:  # the ranks of distances and kinds are one number, as what two keys sort takes several times as long
        ranks = np.concatenate([[0], np.cumsum(new)]) * parts + kinds[order]
        again = np.argsort(ranks)
        order, distances, ranks = order[again], distances[again], ranks[again]
        new = ranks[1:] != ranks[:-1]
    starts = np.flatnonzero(np.concatenate([[True], new]))
    return _Found(distances[starts], np.add.reduceat(weights[order], starts), kinds[order[starts]])
