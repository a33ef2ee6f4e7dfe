"""Finds surface elements in values that come one after another, and measures what was found so.

Of a map a slab is kept, and the planes beside it: what is held grows with the surface, not with the volume.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import types

from fastseg.kernels.numba.jit import kernel
from fastseg.kernels.numba.stages import own
from fastseg.kernels.numba.surface_elements import (
    CLASS_SHIFT,
    Slab,
    coordinate_bits,
    empty_tallies,
    find_elements,
    place_in_box,
    tally_element,
)
from fastseg.kernels.numba.surface_surfels import find_surfels
from fastseg.kernels.numba.surfaces import SurfaceMeasurer, _Elements
from fastseg.kernels.protocols.surfaces import FoundElements, Stage, SurfaceTask
from fastseg.kernels.surfels import surfel_measures

__all__ = ["ElementMeasurer", "ElementScan"]

Array = npt.NDArray[Any]
U = np.uint64

#: Voxels of a slab, in whole planes.
_VOXELS = 1 << 20
#: Items before the first plane and after the last, which 64 lanes beside a voxel may reach.
_MARGIN = 128
_NOTHING, _ORIGIN = np.empty(0, np.uint8), np.zeros(3, np.int64)


class ElementScan:
    """Finds the elements of one map, as its values come.

    Parameters
    ----------
    shape
        Two or three axes; the last varies fastest.
    dtype : uint8 or uint16
        Of the values: 0 is outside of every class, each other a class of its own.
    spacing, surface, border
        As a task has them.
    """

    def __init__(
        self, shape: tuple[int, ...], dtype: np.dtype[Any], spacing: Sequence[float], surface: str, border: str
    ) -> None:
        self._across = int(len(shape) == 3)
        self._planes, self._rows, self._columns = shape if self._across else (shape[0], 1, shape[1])
        self._surface, self._extend = surface, border == "extend"
        self._plane = self._rows * self._columns
        self._step = max(1, min(self._planes, _VOXELS // self._plane))
        self._flat = np.zeros((self._step + 2) * self._plane + 2 * _MARGIN, dtype)
        self._start = _MARGIN + self._plane  # of the first plane that is not scanned yet
        self._at, self._first = self._start, 0
        self._classes = np.arange(2 ** (8 * dtype.itemsize), dtype=np.int32)
        self._classes[0] = -1
        self._count = 256 if dtype.itemsize == 1 else 1
        self._kinds: Array = _NOTHING
        corners = 0
        if surface == "surfel":
            measures, corners = surfel_measures(tuple(spacing)), 1
            self._kinds = np.searchsorted(np.unique(measures[measures > 0]), measures)
            self._padded = np.zeros((self._step + 2) * self._pitches[0] + _MARGIN, dtype)
        sizes = (self._planes + corners, self._rows + corners * self._across, self._columns + corners)
        self._shifts = np.array(coordinate_bits(sizes))
        self._found: list[tuple[Array, Array]] = []

    @property
    def _pitches(self) -> tuple[int, int]:
        """How far planes and rows are apart where a voxel is around them."""
        row = self._columns + 2
        return row * (self._rows + 2 * self._across), row

    def add(self, values: Array) -> None:
        """Look at the next values."""
        if self._count < self._classes.size and values.size:
            self._count = max(self._count, int(values.max()) + 1)
        while values.size:
            taken = values[: self._start + (self._step + 1) * self._plane - self._at]
            self._flat[self._at : self._at + taken.size] = taken
            self._at += taken.size
            values = values[taken.size :]
            if self._at == self._start + (self._step + 1) * self._plane:
                self._scan(self._step)

    def finish(self) -> FoundElements:
        """Return the elements, when all values were added."""
        left = (self._at - self._start) // self._plane
        if self._first + left != self._planes or (self._at - self._start) % self._plane:
            raise RuntimeError(
                f"{self._first * self._plane + self._at - self._start} voxels of {self._planes * self._plane} were "
                "scanned; this is a defect in fastseg, please report it"
            )
        last = self._flat[self._at : self._at + self._plane]
        last[:] = self._flat[self._at - self._plane : self._at] if self._extend else 0
        self._scan(left)
        return FoundElements(tuple(self._found), (self._planes, self._rows, self._columns), self._shifts)

    def _scan(self, planes: int) -> None:
        """Find the elements of the next planes, and go on from there."""
        flat, plane, start = self._flat, self._plane, self._start
        if self._first == 0 and self._extend:
            flat[start - plane : start] = flat[start : start + plane]
        self._found.append(self._surfels(planes) if self._surface == "surfel" else self._elements(planes))
        self._first += planes
        ahead = flat[start + (planes - 1) * plane : self._at].copy()  # the last plane is beside the next
        flat[start - plane : start - plane + ahead.size] = ahead
        self._at = start - plane + ahead.size

    def _elements(self, planes: int) -> tuple[Array, Array]:
        flags = np.array([1, self._across, 1, self._start, self._surface == "object", 1, 1, self._extend], np.int64)
        shape = (planes, self._rows, self._columns)
        slab = Slab(self._flat, _NOTHING, shape, self._first, flags, self._plane, self._columns)
        tally = empty_tallies(1, self._count)[0]
        return find_elements(slab, self._classes, self._shifts, tally), tally

    def _surfels(self, planes: int) -> tuple[Array, Array]:
        plane, pitch = self._pitches
        across, outside = self._across, self._start - self._plane
        buffer = self._padded[: (planes + 2) * plane].reshape(planes + 2, -1, pitch)
        inner = buffer[:, across : across + self._rows, 1:-1]
        inner[...] = self._flat[outside : outside + inner.size].reshape(inner.shape)
        if self._extend:
            if across:
                buffer[:, 0], buffer[:, -1] = buffer[:, 1], buffer[:, -2]
            buffer[:, :, 0], buffer[:, :, -1] = buffer[:, :, 1], buffer[:, :, -2]
        flags = np.array([1, across, 1, plane + pitch * across + 1, 0, 1, 0, 0], np.int64)
        slab = Slab(self._padded, _NOTHING, (planes, self._rows, self._columns), self._first, flags, plane, pitch)
        tally = empty_tallies(1, self._count)[0]
        found = find_surfels(slab, self._classes, self._kinds, self._planes, self._extend, self._shifts, tally)
        return found, tally


class ElementMeasurer(SurfaceMeasurer):
    """Measures the surfaces of maps whose elements were found already.

    Parameters
    ----------
    task
        Of whose layers the maps are only asked for their shape.
    found
        The elements of both maps, for each layer.
    codes : (K,) int64, twice for each layer
        The value that is each class in either map; -1 where it has none.
    unknown : uint8, optional
        A bit for each voxel, in the order of the maps: elements that touch one are left out.
    """

    def __init__(
        self,
        task: SurfaceTask,
        found: Sequence[tuple[FoundElements, FoundElements]],
        codes: Sequence[tuple[Array, Array]],
        unknown: Array | None,
    ) -> None:
        super().__init__(task)
        self._given, self._codes, self._unknown = found, codes, unknown

    def stages(self) -> Iterator[Stage]:
        """Yield the stages of each layer: leave out, group, fill the bit maps of some classes, search."""
        for given, codes in zip(self._given, self._codes, strict=True):
            slabs = [list(each.slabs) for each in given]
            if self._unknown is not None:
                jobs = [(which, number) for which in (0, 1) for number in range(len(slabs[which]))]

                def leave_out(job: int, jobs: Any = jobs, slabs: Any = slabs, given: Any = given) -> None:
                    which, number = jobs[job]
                    slabs[which][number] = self._known(given[which], slabs[which][number])

                yield len(jobs), leave_out
            maps: list[_Elements] = [_Coded(each, own) for each, own in zip(slabs, codes, strict=True)]
            places = [(which, number) for which in (0, 1) for number in range(len(slabs[which]))]
            slabs.clear()

            def group(job: int, places: Any = places, maps: Any = maps) -> None:
                which, number = places[job]
                maps[which].group(number)

            yield len(places), group
            yield from self._searches(maps)
        yield len(self._rows), self._put_together

    def _known(self, found: FoundElements, slab: tuple[Array, Array]) -> tuple[Array, Array]:
        """Return the elements of a slab that do not touch what is unknown."""
        words, tally = slab
        around = {"voxel": 1, "object": 0, "surfel": 2}[self._task.surface]
        kept, tally = words.copy(), empty_tallies(1, len(tally))[0]
        number = _leave_out()(kept, self._unknown, np.array(found.shape), found.shifts, _ORIGIN, around, tally)
        return kept[:number].copy(), tally


class _Coded(_Elements):
    """The elements of one map, whose classes have numbers of their own."""

    def __init__(self, slabs: list[tuple[Array, Array]], codes: Array) -> None:
        count = max(max((len(tally) for _, tally in slabs), default=0), int(codes.max(initial=0)) + 1)
        tallies = empty_tallies(len(slabs), count)
        for whole, (_, tally) in zip(tallies, slabs, strict=True):
            whole[: len(tally)] = tally
        super().__init__([words for words, _ in slabs], tallies)
        self._codes = codes
        self._all, self.numbers = self.numbers, np.where(codes >= 0, self.numbers[codes], 0)

    def elements(self, k: int) -> Array:
        """Return the elements of a class."""
        code = self._codes[k]
        return self._grouped[self._ends[code] - self._all[code] : self._ends[code]]

    def box(self, k: int, axes: Array) -> Array:
        """Return the box of a class."""
        return super().box(self._codes[k], axes)


@kernel
def known_words(words: Any, unknown: Any, shape: Any, shifts: Any, origin: Any, around: Any, tally: Any) -> Any:
    """Keep those elements, in place, that do not touch what is unknown, and return their number.

    `unknown` has a bit for each voxel of a volume of that shape. Looked at is, by `around`, the voxel (0), its neighbours
    across faces, too (1), or the voxels that share a corner, of which the element's is the last (2).
    """
    number = 0
    for i in range(words.size):
        word = words[U(i)]
        z, y, x = place_in_box(word, shifts, origin)
        near = U(0)
        low, high = np.int64(-(around > 0)), np.int64(around == 1)
        for dz in range(low, high + 1):
            for dy in range(low, high + 1):
                for dx in range(low, high + 1):
                    if around == 1 and (dz != 0) + (dy != 0) + (dx != 0) > 1:
                        continue
                    a, b, c = z + dz, y + dy, x + dx
                    if 0 <= a < shape[0] and 0 <= b < shape[1] and 0 <= c < shape[2]:
                        at = (a * shape[1] + b) * shape[2] + c
                        near |= (U(unknown[U(at >> 3)]) >> U(at & 7)) & U(1)
        if near == U(0):
            words[U(number)] = word
            number += 1
            tally_element(tally, np.int64(word >> CLASS_SHIFT), z, y, x)
    return number


@functools.cache
def _leave_out() -> Any:
    ints = own(np.int64, 1)
    return known_words.specialise(own(np.uint64, 1), own(np.uint8, 1), ints, ints, ints, types.int64, own(np.int64, 2))
