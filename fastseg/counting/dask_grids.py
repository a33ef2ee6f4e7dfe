"""How arrays in chunks are cut into the blocks that tasks count: arithmetic on sizes, before a voxel is read."""

from __future__ import annotations

import itertools
import math
import operator
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import overload

__all__ = [
    "MOST_BYTES",
    "MOST_TASKS",
    "READ_BYTES",
    "TASK_VOXELS",
    "Box",
    "Boxes",
    "Chunked",
    "Grid",
    "boxes",
    "coarser",
    "reads",
    "united",
]

#: Sizes of the chunks along each axis.
Grid = tuple[tuple[int, ...], ...]

#: What a task should cover: below it, the scheduler's work on tasks would be as much as theirs.
TASK_VOXELS = 1 << 24
#: Tasks that count, at most: with those that merge, and of two boxes a sample half as many again, a graph stays below 10⁵.
MOST_TASKS = 40_000
#: What is read at once of the largest array, where it need not be a chunk: of small chunks the calls would take longer.
READ_BYTES = 1 << 21
#: What a cell of all arrays may take together, unless there is no other grid.
MOST_BYTES = 1 << 29


@dataclass(frozen=True)
class Chunked:
    """What is known of an array in chunks: their sizes along those axes of the whole that it has."""

    chunks: Mapping[int, tuple[int, ...]]
    itemsize: int

    @property
    def nbytes(self) -> int:
        """Of the array."""
        return self.itemsize * math.prod(map(sum, self.chunks.values()))


@dataclass(frozen=True)
class Box:
    """Cells of a grid that one task counts."""

    cells: tuple[range, ...]
    """Along each axis."""

    def __iter__(self) -> Iterator[tuple[int, ...]]:
        return itertools.product(*self.cells)


@dataclass(frozen=True)
class Boxes(Sequence[Box]):
    """The cells of a grid in boxes of neighbours, each made when it is asked for: there may be many.

    They are in index order along the first axis of `order`, and along each other one within those before it.
    """

    grid: Grid
    together: tuple[int, ...]
    """How many cells of a box there are along each axis, but for the last boxes."""
    order: tuple[int, ...]

    @cached_property
    def _numbers(self) -> list[int]:
        """Boxes along each axis."""
        return [-(-len(sizes) // step) for sizes, step in zip(self.grid, self.together, strict=True)]

    def __len__(self) -> int:
        return math.prod(self._numbers)

    @overload
    def __getitem__(self, number: int) -> Box: ...
    @overload
    def __getitem__(self, number: slice) -> list[Box]: ...
    def __getitem__(self, number: int | slice) -> Box | list[Box]:
        if isinstance(number, slice):
            return [self[each] for each in range(len(self))[number]]
        rest = range(len(self))[number]  # IndexError beyond the last
        cells = [range(0)] * len(self.grid)
        for axis in reversed(self.order):
            rest, at = divmod(rest, self._numbers[axis])
            start = at * self.together[axis]
            cells[axis] = range(start, min(start + self.together[axis], len(self.grid[axis])))
        return Box(tuple(cells))


def united(arrays: Sequence[Chunked], shape: Sequence[int], whole: int | None = None) -> Grid:
    """Return the grid for which the fewest bytes of chunks have to be brought to the tasks.

    Candidates are the chunks of each array, the coarsest grid whose bounds all arrays have, and the common grid of all. A
    chunk that lies in several cells is brought to each of them. Cells that need more memory than a task should are taken only
    where there are no others.

    Parameters
    ----------
    arrays
        At least one.
    shape
        Of the whole.
    whole
        An axis that is not cut.
    """
    candidates = [_filled([array.chunks], shape, whole, max) for array in arrays]
    chunks = [array.chunks for array in arrays]
    candidates += [_filled(chunks, shape, whole, min), _filled(chunks, shape, whole, max)]

    def cost(grid: Grid) -> tuple[bool, float, int]:
        cell = sum(array.itemsize * math.prod(max(grid[axis], default=1) for axis in array.chunks) for array in arrays)
        moved = sum(array.nbytes * reads(array, grid) for array in arrays)
        return cell > MOST_BYTES, moved, math.prod(map(len, grid))

    return min(candidates, key=cost)


def reads(array: Chunked, grid: Grid) -> float:
    """Return how many cells need a chunk, on average over the bytes of the array."""
    times = 1.0
    for axis, sizes in array.chunks.items():
        bounds, ends = list(itertools.accumulate(grid[axis])), list(itertools.accumulate(sizes))
        cells = [
            bisect_left(bounds, end) - bisect_right(bounds, end - size) + 1
            for size, end in zip(sizes, ends, strict=True)
        ]
        times *= sum(map(operator.mul, sizes, cells)) / max(1, ends[-1])
    return times


def _filled(
    chunks: Sequence[Mapping[int, tuple[int, ...]]], shape: Sequence[int], whole: int | None, how: object
) -> Grid:
    """Return the grid with the bounds that all have (`min`), or any (`max`); an axis that nobody cuts is not cut."""
    grid = []
    for axis, size in enumerate(shape):
        found = [set(itertools.accumulate(each[axis])) for each in chunks if axis in each]
        bounds = {size} if axis == whole or not found else set.intersection(*found) if how is min else set.union(*found)
        edges = sorted({size, *bounds} - {0})
        grid.append(tuple(high - low for low, high in zip([0, *edges], edges, strict=False)))
    return tuple(grid)


def coarser(grid: Grid, arrays: Sequence[tuple[Sequence[int], int]]) -> Grid:
    """Return a grid of neighbouring cells put together, until the largest array has `READ_BYTES` of one.

    Parameters
    ----------
    arrays
        The axes and the bytes of an element of each array.
    """
    most = max(size * math.prod(max(grid[axis], default=1) for axis in axes) for axes, size in arrays)
    found = list(grid)
    for axis in reversed(range(len(grid))):
        together = min(READ_BYTES // max(1, most), len(grid[axis]))
        if together > 1:
            sizes = grid[axis]
            found[axis] = tuple(sum(sizes[n : n + together]) for n in range(0, len(sizes), together))
            most *= together
    return tuple(found)


def boxes(grid: Grid, last: int | None = None, elements: int = 1) -> Boxes:
    """Return the cells of a grid in groups of neighbours that cover at least `TASK_VOXELS` where there are so many.

    They cover more where there would be more than `MOST_TASKS` groups.

    Parameters
    ----------
    last
        The axis along which cells are put together only where all along the others are: that of samples.
    elements
        What a voxel counts as: its channels.

    Returns
    -------
    boxes : Boxes
        In index order along `last`, and along the other axes within that.
    """
    axes = [axis for axis in range(len(grid)) if axis != last]
    largest = elements * math.prod(max(sizes, default=1) for sizes in grid)
    numbers = [len(sizes) for sizes in grid]
    wanted = max(-(-TASK_VOXELS // max(1, largest)), -(-math.prod(numbers) // MOST_TASKS))  # cells
    together = [1] * len(grid)
    for axis in [*reversed(axes), *([] if last is None else [last])]:
        parts = max(1, numbers[axis] // wanted)  # none has fewer cells, so that a remainder is no task of its own
        together[axis] = -(-numbers[axis] // parts) or 1
        wanted = -(-wanted // together[axis])
    return Boxes(grid, tuple(together), tuple(axes if last is None else [last, *axes]))
