"""Cuts arrays of any memory order into spans, without a copy where their orders agree and by small blocks where not.

A count does not depend on the order in which voxels are looked at, so they are looked at in the order of memory: axes are
sorted, flipped and merged until what remains is as flat as it can be. How an input is cut depends on its shapes, strides
and dtypes alone, never on the number of threads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import as_strided

from fastseg.kernels.protocols.labels import Span

__all__ = [
    "BLOCK_BYTES",
    "JOB_BYTES",
    "LEAST_JOB_BYTES",
    "TO_BOOL",
    "TO_FLOAT64",
    "Conversion",
    "Layout",
    "Pieces",
    "Slabs",
    "in_memory_order",
    "layout_of",
    "rows_of_samples",
    "slabs_of",
    "trailing_block",
]

Array = npt.NDArray[Any]

#: Bytes of the widest array in one job: large enough that hand-overs do not count, small enough to answer Ctrl-C.
JOB_BYTES = 1 << 24
#: The least, so that an input of some megabytes still occupies all threads.
LEAST_JOB_BYTES = 1 << 22
#: Voxels from which what is less is cut into some jobs, too, which other threads can join.
_LEAST_CUT, _CUTS = 1 << 19, 8
#: Voxels that the kernels look at together.
_BLOCK = 64
#: Bytes of the widest array in one block that is copied before it is counted: it stays in the second-level cache.
BLOCK_BYTES = 1 << 18
#: Rows shorter than this are copied together before they are counted.
_LEAST_ROW = 256
#: Axes shorter than this are not worth a transposition.
_LEAST_PLANE = 8
#: Rows of a slab, bytes of the widest array up to which it has all planes, and from which a volume is cut into such.
_SLAB_ROWS, _SLAB_BYTES, _LEAST_VOLUME = 32, 1 << 26, 1 << 25


class Conversion(NamedTuple):
    """What is done to each block of an array whose type no kernel takes."""

    dtype: np.dtype[Any]
    into: Callable[[Array, Array], object]
    """Writes a converted block into an array of `dtype`."""


TO_BOOL = Conversion(np.dtype(np.bool_), lambda block, out: np.not_equal(block, 0, out=out))
TO_FLOAT64 = Conversion(np.dtype(np.float64), lambda block, out: np.copyto(out, block))


class Layout:
    """One way to walk through up to four arrays of the same shape (absent ones are None).

    Parameters
    ----------
    arrays
        The arrays, the first two never None.
    conversions
        What turns each array into a type that the kernel takes, or None where it has one.
    transpose
        A backend's transposition of planes, as in `fastseg.kernels.numba.transpose`; default NumPy's copy.
    samples
        How many inputs like this there are in all: many need not be cut into small jobs.

    Notes
    -----
    There are three ways. *Rows*: every array is contiguous along the last axis, so rows are counted where they lie.
    *Planes*: an array is contiguous along another axis, so planes of that axis and the last are transposed into a buffer.
    *Blocks*: everything else is copied as NumPy copies.
    """

    def __init__(
        self,
        arrays: Sequence[Array | None],
        conversions: Sequence[Conversion | None],
        transpose: Callable[..., None] | None = None,
        samples: int = 1,
    ) -> None:
        views = in_memory_order(arrays)
        widest = max(v.itemsize for v in views if v is not None)
        job, block = max(1, _job_bytes(views, samples) // widest), BLOCK_BYTES // widest
        self.shape = shape = next(v.shape for v in views if v is not None)
        self.sources = [
            None if v is None else _Source(v, c, transpose) for v, c in zip(views, conversions, strict=True)
        ]
        sources = [s for s in self.sources if s is not None]
        self.row_axis, self.read = -1, self._block
        if all(s.in_place(-1) for s in sources) and len(shape) == 1:
            self.lengths: tuple[int, ...] = (min(shape[0], job),)
            self.read = self._plane
        elif all(s.in_place(len(shape) - 2) for s in sources) and shape[-1] >= _LEAST_ROW:
            row = min(shape[-1], job)
            self.row_axis, self.read = len(shape) - 2, self._plane
            self.lengths = _with(shape, {self.row_axis: max(1, job // row), len(shape) - 1: row})
        elif (axis := _other_axis(sources)) is not None:
            row = min(shape[-1], max(_LEAST_PLANE, int(block**0.5)))
            self.row_axis, self.read = axis, self._plane
            self.lengths = _with(shape, {axis: max(1, block // row), len(shape) - 1: row})
        else:
            self.lengths = trailing_block(shape, block)
        self.grid = tuple(-(-size // length) for size, length in zip(shape, self.lengths, strict=True))
        self.blocks = prod(self.grid)
        self.per_job = max(1, job // prod(self.lengths))
        self.jobs = -(-self.blocks // self.per_job)

    def spans(self, job: int) -> Iterator[Span]:
        """Return the spans of one job; a span is valid until the next is asked for."""
        for number in range(job * self.per_job, min((job + 1) * self.per_job, self.blocks)):
            starts, rest = [], number
            for length, cells in zip(reversed(self.lengths), reversed(self.grid), strict=True):
                rest, cell = divmod(rest, cells)
                starts.append(cell * length)
            starts.reverse()
            sizes = [min(length, n - s) for length, n, s in zip(self.lengths, self.shape, starts, strict=True)]
            yield self.read(starts, sizes)

    def _plane(self, starts: list[int], sizes: list[int]) -> Span:
        """Return rows of the last axis along the row axis, each array where it lies or transposed into a buffer."""
        rows, length = 1 if self.row_axis < 0 else sizes[self.row_axis], sizes[-1]
        arrays: list[Array | None] = []
        strides = []
        for source in self.sources:
            flat, step = (None, 0) if source is None else source.rows(self.row_axis, starts, rows, length)
            arrays.append(flat)
            strides.append(step)
        return Span(tuple(arrays), rows, length, tuple(strides))  # type: ignore[arg-type]

    def _block(self, starts: list[int], sizes: list[int]) -> Span:
        where = tuple(slice(start, start + size) for start, size in zip(starts, sizes, strict=True))
        arrays = tuple(None if s is None else s.block(where) for s in self.sources)
        return Span(arrays, 1, prod(sizes), (0, 0, 0, 0))  # type: ignore[arg-type]


class Pieces:
    """A way to walk through flat arrays: each job is a piece of them, of whole blocks, where it lies."""

    def __init__(self, arrays: Sequence[Any], samples: int = 1) -> None:
        self.arrays = arrays
        voxels, size = arrays[0].size, max(a.nbytes for a in arrays if a is not None)
        jobs = -(-size // _job_bytes(arrays, samples))
        if jobs == samples == 1 and voxels >= _LEAST_CUT:
            jobs = _CUTS
        self.length = -(-voxels // (_BLOCK * jobs)) * _BLOCK
        self.jobs = -(-voxels // self.length)

    def spans(self, job: int) -> tuple[Span]:
        """Return the span of a job."""
        arrays = self.arrays
        if self.jobs > 1:
            piece = slice(job * self.length, (job + 1) * self.length)
            arrays = [None if a is None else a[piece] for a in arrays]
        return (Span(tuple(arrays), 1, arrays[0].size, (0, 0, 0, 0)),)


class Slabs:
    """A way to walk through contiguous volumes (Z, Y, X), and a mask: each job is some rows of many planes, where they lie.

    What is near to each other is walked through together: of many segments few are met in a job, but these again and again.
    """

    def __init__(self, arrays: Sequence[Any]) -> None:
        self.shape = planes, rows, columns = arrays[0].shape
        self.flat = [None if a is None else a.reshape(-1) for a in arrays]
        one = max(a.itemsize for a in arrays if a is not None) * _SLAB_ROWS * columns
        self.planes = min(planes, max(_SLAB_ROWS, _SLAB_BYTES // one))
        self.across = -(-rows // _SLAB_ROWS)
        self.jobs = -(-planes // self.planes) * self.across

    def spans(self, job: int) -> tuple[Span]:
        """Return the span of a job."""
        planes, rows, columns = self.shape
        first, row = (a * b for a, b in zip(divmod(job, self.across), (self.planes, _SLAB_ROWS), strict=True))
        start, step = (first * rows + row) * columns, rows * columns
        arrays = (*(None if a is None else a[start:] for a in self.flat), None)
        steps = tuple(0 if a is None else step for a in arrays)
        return (Span(arrays, min(self.planes, planes - first), min(_SLAB_ROWS, rows - row) * columns, steps),)  # type: ignore[arg-type]


def slabs_of(arrays: Sequence[Array | None], conversions: Sequence[Conversion | None]) -> Slabs | None:
    """Return the way to walk through two large contiguous volumes of many labels, and a mask; None for others."""
    if any(conversions) or arrays[0] is None or arrays[0].ndim != 3:
        return None
    for views in (arrays, [None if a is None else a.T for a in arrays]):
        if all(a is None or a.flags.c_contiguous for a in views):
            first: Any = views[0]
            worth = first.shape[0] >= _LEAST_PLANE and first.shape[1] >= 2 * _SLAB_ROWS
            return Slabs(views) if worth and first.nbytes >= _LEAST_VOLUME else None
    return None


def layout_of(
    arrays: Sequence[Array | None],
    conversions: Sequence[Conversion | None],
    transpose: Callable[..., None] | None = None,
    samples: int = 1,
) -> Layout | Pieces:
    """Return the way to walk through arrays, with the parameters of `Layout`: by far the most lie in one piece."""
    flat = None if any(conversions) else _flat(arrays)
    return Layout(arrays, conversions, transpose, samples) if flat is None else Pieces(flat, samples)


def _job_bytes(arrays: Sequence[Any], samples: int) -> int:
    size: int = max(a.nbytes for a in arrays if a is not None)
    return min(JOB_BYTES, max(LEAST_JOB_BYTES, size * samples // 32))


def rows_of_samples(
    arrays: Sequence[Array | None], conversions: Sequence[Conversion | None]
) -> list[Array | None] | None:
    """Return arrays (N, …) as (N, V), where each sample can be `Pieces`; None where it cannot."""
    present = [a for a in arrays if a is not None]
    if any(conversions) or not all(a.flags.c_contiguous and a[:1].nbytes <= LEAST_JOB_BYTES for a in present):
        return None
    return [None if a is None else a.reshape(len(a), -1) for a in arrays]


class _Source:
    """One array, its memory as a flat array, and the buffer its blocks are copied to where they must be."""

    def __init__(self, view: Array, conversion: Conversion | None, transpose: Callable[..., None] | None) -> None:
        self.view, self.conversion, self.transpose = view, conversion, transpose
        self.buffer = np.empty(0, view.dtype if conversion is None else conversion.dtype)
        self.steps = [stride // view.itemsize for stride in view.strides]
        self.whole = conversion is None and all(stride % view.itemsize == 0 for stride in view.strides)
        if self.whole:
            # From the lowest address of the view to the highest; index (0, 0, ...) is at `origin`.
            spread = [(n - 1) * step for n, step in zip(view.shape, self.steps, strict=True)]
            self.origin = -sum(min(0, s) for s in spread)
            lowest = tuple(
                slice(n - 1, n) if step < 0 else slice(0, 1) for n, step in zip(view.shape, self.steps, strict=True)
            )
            self.flat = as_strided(view[lowest], (1 + sum(map(abs, spread)),), (view.itemsize,), writeable=False)

    def in_place(self, row_axis: int) -> bool:
        """Tell whether rows of the last axis, going along `row_axis` (or a single row, -1), can be read where they lie."""
        ahead = row_axis < 0 or self.steps[row_axis] >= 0
        return self.whole and ahead and (self.steps[-1] == 1 or self.view.shape[-1] == 1)

    def rows(self, row_axis: int, starts: list[int], rows: int, length: int) -> tuple[Array, int]:
        """Return a flat array and the distance of its rows."""
        if self.in_place(row_axis):
            first = self.origin + sum(start * step for start, step in zip(starts, self.steps, strict=True))
            step = self.steps[row_axis] if row_axis >= 0 else 0
            return self.flat[first : first + (rows - 1) * step + length], step
        # An odd number of cache lines from row to row: a power of two would map all rows to a few sets of the cache.
        step = (-(-length * self.buffer.itemsize // 64) | 1) * 64 // self.buffer.itemsize
        flat = self._room(rows * step)
        if self.transpose and self.whole and self.steps[row_axis] == 1 and self.steps[-1] >= 0:
            first = self.origin + sum(start * stride for start, stride in zip(starts, self.steps, strict=True))
            source = self.flat[first : first + (length - 1) * self.steps[-1] + rows]
            self.transpose(source, self.steps[-1], flat, step, length, rows)
            return flat, step
        where: list[Any] = list(starts)
        where[row_axis] = slice(starts[row_axis], starts[row_axis] + rows)
        where[-1] = slice(starts[-1], starts[-1] + length)
        part, target = self.view[tuple(where)], flat.reshape(rows, step)[:, :length]
        if self.conversion is not None:
            self.conversion.into(part, target)
        else:
            np.copyto(target, part)
        return flat, step

    def block(self, where: tuple[slice, ...]) -> Array:
        """Return a block as a flat array, itself if it is contiguous."""
        part = self.view[where]
        if self.conversion is None and part.flags.c_contiguous:
            return part.reshape(-1)
        flat = self._room(part.size)
        target = flat.reshape(part.shape)
        if self.conversion is None:
            np.copyto(target, part)
        else:
            self.conversion.into(part, target)
        return flat

    def _room(self, size: int) -> Array:
        if self.buffer.size < size:
            self.buffer = np.empty(size, self.buffer.dtype)
        return self.buffer[:size]


def _flat(arrays: Sequence[Array | None]) -> list[Any] | None:
    """Return 1-D views where all arrays are contiguous in one order; the common case, and quick to tell."""
    if all(a is None or a.flags.c_contiguous for a in arrays):
        return [None if a is None else a.reshape(-1) for a in arrays]
    if all(a is None or a.flags.f_contiguous for a in arrays):
        return [None if a is None else a.T.reshape(-1) for a in arrays]
    return None


def in_memory_order(arrays: Sequence[Array | None]) -> list[Any]:
    """Return views with the axes in the memory order of the first array, merged where all arrays allow it."""
    present = [a for a in arrays if a is not None]
    if all(_one_line(a.shape, a.strides) for a in present):  # the common case, and quick to tell
        return [None if a is None else a.reshape(-1) for a in arrays]
    first = present[0]
    flips = tuple(slice(None, None, -1) if stride < 0 else slice(None) for stride in first.strides)
    axes = [axis for axis in range(first.ndim) if first.shape[axis] != 1]
    # Largest step first, by the first array's steps and then by the others'; a broadcast axis (step 0) goes outermost.
    axes.sort(key=lambda axis: [-abs(a.strides[axis]) or -(2**62) for a in present])
    drop = tuple(slice(None) if axis in axes else 0 for axis in range(first.ndim))
    order = [sum(1 for other in axes if other < axis) for axis in axes]
    views = [a[(*flips, ...)][(*drop, ...)].transpose(order) for a in present]
    if not axes:
        views = [v.reshape(1) for v in views]
    for axis in range(views[0].ndim - 2, -1, -1):
        size = views[0].shape[axis + 1]
        if all(v.strides[axis] == v.strides[axis + 1] * size for v in views):
            views = [_merge(v, axis) for v in views]
    remaining = iter(views)
    return [None if a is None else next(remaining) for a in arrays]


def _one_line(shape: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    """Tell whether each axis goes on where the next has ended, so that they can be seen as one."""
    step = 0
    for size, stride in zip(reversed(shape), reversed(strides), strict=True):
        if size != 1:
            if (step and stride != step) or stride <= 0:
                return False
            step = stride * size
    return bool(step)


def _merge(array: Array, axis: int) -> Array:
    """Make one axis of `axis` and the next; their steps allow it."""
    shape = (*array.shape[:axis], array.shape[axis] * array.shape[axis + 1], *array.shape[axis + 2 :])
    strides = (*array.strides[:axis], *array.strides[axis + 1 :])
    return as_strided(array, shape, strides)


def _other_axis(sources: Sequence[_Source]) -> int | None:
    """Return an axis but the last along which some array is contiguous, where planes of both are worth a transposition."""
    for source in sources:
        shape = source.view.shape
        if source.whole and not source.in_place(-1) and shape[-1] >= _LEAST_PLANE:
            for axis, step in enumerate(source.steps[:-1]):
                if step == 1 and shape[axis] >= _LEAST_PLANE:
                    return axis
    return None


def _with(shape: tuple[int, ...], lengths: dict[int, int]) -> tuple[int, ...]:
    """Return lengths of 1 but for those given, none longer than its axis."""
    return tuple(min(size, lengths.get(axis, 1)) for axis, size in enumerate(shape))


def trailing_block(shape: tuple[int, ...], voxels: int) -> tuple[int, ...]:
    """Return the lengths of a block of at most `voxels` that takes in as many of the last axes as it can."""
    lengths, room = [], voxels
    for size in reversed(shape):
        lengths.append(max(1, min(size, room)))
        room //= max(1, size)
    return tuple(reversed(lengths))
