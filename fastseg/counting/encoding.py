"""Tiles of voxels that are encoded or decoded at once: how arrays of any memory order are cut into them, and by whom."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import as_strided

from fastseg.arrays.classes import Classes
from fastseg.arrays.label_spans import BLOCK_BYTES, JOB_BYTES, LEAST_JOB_BYTES, trailing_block
from fastseg.counting.threads import get_num_threads, run_jobs

__all__ = ["Chooser", "Encoder", "run_tiles"]

Array = npt.NDArray[Any]

#: Below this many items the calling thread does the work alone.
_SMALL = 1 << 21
#: Voxels in a tile; their labels stay in the second-level cache.
_TILE = 1 << 16
#: Rows of a tile that is read along one axis and written along another.
_CROSSED_ROWS = 128
#: Tiles smaller than this are not worth a call; blocks that run over more axes are copied instead.
_LEAST_TILE = 512
#: Rows shorter than this are written voxel by voxel rather than class by class.
_LEAST_PLANE = 32
#: Voxels whose best scores stay in the first-level cache.
_BEST, _LEAST_BEST = 2048, 256


class _Memory:
    """An array as flat memory, with steps in items; where they are not whole, the array must be copied to be read."""

    def __init__(self, array: Array) -> None:
        self.array = array
        self.whole = all(stride % array.itemsize == 0 for stride in array.strides)
        self.steps = [stride // array.itemsize for stride in array.strides]
        if self.whole:
            spread = [(n - 1) * step for n, step in zip(array.shape, self.steps, strict=True)]
            self.origin = -sum(min(0, s) for s in spread)  # of index (0, 0, ...), from the lowest address
            lowest = tuple(slice(n - 1, n) if s < 0 else slice(0, 1) for n, s in zip(array.shape, spread, strict=True))
            self.flat = as_strided(array[lowest], (1 + sum(map(abs, spread)),), (array.itemsize,))

    def at(self, starts: Sequence[int]) -> int:
        """Return where an index is in `flat`."""
        place: int = self.origin
        for start, step in zip(starts, self.steps, strict=False):
            place += start * step
        return place


class _Grid:
    """Boxes of the given lengths that cover a shape, several to a job."""

    def __init__(self, shape: tuple[int, ...], lengths: tuple[int, ...], bytes_per_voxel: int) -> None:
        self.shape, self.lengths = shape, lengths
        self.cells = [-(-size // length) for size, length in zip(shape, lengths, strict=True)]
        self.count = prod(self.cells)
        job_bytes = min(JOB_BYTES, max(LEAST_JOB_BYTES, bytes_per_voxel * prod(shape) // 32))
        self.per_job = max(1, job_bytes // bytes_per_voxel // prod(lengths))
        self.jobs = -(-self.count // self.per_job)

    def boxes(self, job: int) -> Iterator[tuple[list[int], list[int]]]:
        """Return the starts and sizes of a job's boxes."""
        for number in range(job * self.per_job, min((job + 1) * self.per_job, self.count)):
            starts, rest = [], number
            for length, cells in zip(reversed(self.lengths), reversed(self.cells), strict=True):
                rest, cell = divmod(rest, cells)
                starts.append(cell * length)
            starts.reverse()
            yield starts, [min(m, n - s) for m, n, s in zip(self.lengths, self.shape, starts, strict=True)]


def _merged(source: Array, target: Array) -> tuple[Array, Array]:
    """Drop axes of length 1, and merge axes that follow each other in both arrays; an axis more in one is the classes'."""
    arrays = (source, target)
    kept = min(source.ndim, target.ndim)
    shape: list[int] = []
    strides: list[list[int]] = [[], []]
    for axis in range(kept):
        size = source.shape[axis]
        steps = [array.strides[axis] for array in arrays]
        if size == 1:
            continue
        if shape and all(known[-1] == step * size for known, step in zip(strides, steps, strict=True)):
            shape[-1] *= size
            for known, step in zip(strides, steps, strict=True):
                known[-1] = step
        else:
            shape.append(size)
            for known, step in zip(strides, steps, strict=True):
                known.append(step)
    if not shape:
        shape, strides = [1], [[array.itemsize] for array in arrays]
    merged = [
        as_strided(array, (*shape, *array.shape[kept:]), (*known, *array.strides[kept:]))
        for array, known in zip(arrays, strides, strict=True)
    ]
    return merged[0], merged[1]


def _in_memory_order(scores: Array, target: Array) -> tuple[Array, Array]:
    """Flip and sort all axes but the classes' as the scores lie in memory, the largest step first."""
    flips = tuple(slice(None, None, -1) if stride < 0 else slice(None) for stride in scores.strides[:-1])
    # A broadcast axis (step 0) goes outermost.
    axes = sorted(range(target.ndim), key=lambda axis: -abs(scores.strides[axis]) or -(2**62))
    return scores[flips].transpose(*axes, target.ndim), target[(*flips, ...)].transpose(axes)


def _tile(shape: tuple[int, ...], row_axis: int, rows: int, length: int) -> tuple[int, ...]:
    """Return the lengths of a tile of rows of the last axis along `row_axis` (-1: a single row)."""
    lengths = [1] * len(shape)
    lengths[-1] = max(1, min(shape[-1], length))
    if row_axis >= 0:
        lengths[row_axis] = max(1, min(shape[row_axis], rows))
    return tuple(lengths)


def _slices(starts: Sequence[int], sizes: Sequence[int]) -> tuple[slice, ...]:
    return tuple(slice(start, start + size) for start, size in zip(starts, sizes, strict=True))


def _word(step: int) -> np.uint64:
    """Return a step or a place as kernels take it."""
    return np.uint64(step % 2**64)


class _Worker:
    """Does a plan's jobs in one thread."""

    grid: _Grid

    def __init__(self) -> None:
        self.state = np.zeros(1, np.uint64)
        self.buffers: dict[str, Array] = {}

    def room(self, name: str, size: int, dtype: npt.DTypeLike) -> Array:
        """Return a buffer of `size` items, which keeps its place from tile to tile."""
        buffer = self.buffers.get(name)
        if buffer is None or buffer.size < size:
            buffer = self.buffers[name] = np.empty(size, dtype)
        return buffer[:size]

    def job(self, index: int) -> int:
        """Do a job; return how much was wrong."""
        self.state[0] = 0
        for starts, sizes in self.grid.boxes(index):
            self.tile(starts, sizes)
        return int(self.state[0])

    def finish(self) -> int:
        return 0

    def tile(self, starts: list[int], sizes: list[int]) -> None:
        raise NotImplementedError


def run_tiles(open_worker: Callable[[], _Worker], items: int) -> int:
    """Do all jobs on threads; return how much was wrong in total."""
    first = open_worker()
    spare = [first]
    found: list[int] = []

    def opened() -> AbstractContextManager[_Worker]:
        try:
            return nullcontext(spare.pop())
        except IndexError:
            return nullcontext(open_worker())

    run_jobs(first.grid.jobs, opened, found.append, threads=1 if items < _SMALL else get_num_threads())
    return sum(found)


class Encoder(_Worker):
    """Encodes (spatial...) labels into a (spatial..., C) view of a C-contiguous array."""

    def __init__(self, kernels: Any, source: Array, target: Array, classes: Classes, copied: bool = False) -> None:
        super().__init__()
        self.kernels, self.classes = kernels, classes
        self.source, self.target = source, target = _merged(source, target)
        channels, shape, dtype = target.shape[-1], source.shape, source.dtype
        self.native = np.dtype(np.float32) if dtype.str[1:] == "f2" else dtype.newbyteorder("=")
        self.labels = self.native if dtype.kind == "f" else np.dtype(f"u{dtype.itemsize}")
        self.last, self.ignored = _label_limits(self.native, self.labels, classes)
        self.codes = np.dtype(np.uint8 if channels < 256 else np.uint16)
        self.names, self.nothing = np.arange(channels, dtype=self.codes), self.codes.type(channels)
        self.unsigned = np.dtype(f"u{target.itemsize}")
        self.one, self.zero = np.array([1, 0], target.dtype).view(self.unsigned)
        self.read, self.write = _Memory(source), _Memory(target)
        self.direct = self.read.whole and dtype == self.native
        steps = self.read.steps
        self.row_axis = min(range(len(shape) - 1), key=lambda axis: (abs(steps[axis]), -axis), default=-1)
        crossed = self.row_axis >= 0 and abs(steps[self.row_axis]) < abs(steps[-1])
        if not crossed:
            self.row_axis = len(shape) - 2
        length = min(shape[-1], _TILE // _CROSSED_ROWS if crossed else _TILE)
        lengths = _tile(shape, self.row_axis, _CROSSED_ROWS if crossed else _TILE // length, length)
        self.blocks = not copied and len(shape) > 2 and prod(lengths) < _LEAST_TILE
        if self.blocks:
            lengths = trailing_block(shape, _TILE)
        self.grid = _Grid(shape, lengths, max(source.itemsize, channels * target.itemsize))
        voxel_step, class_step = self.write.steps[-2:]
        # The classes of rows of voxels lie side by side, or the voxels of a class do.
        short = voxel_step == 1 and class_step == shape[-1] == lengths[-1] < _LEAST_PLANE
        self.planes = not short and (class_step != 1 or voxel_step != channels)

    def tile(self, starts: list[int], sizes: list[int]) -> None:
        """Encode a tile, or a block that is copied first."""
        where = _slices(starts, sizes)
        if self.blocks:
            part = self.room("block", prod(sizes), self.native).reshape(sizes)
            _copy(part, self.source[where])
            inner = Encoder(self.kernels, part, self.target[where], self.classes, copied=True)
            self.state[0] += np.uint64(sum(inner.job(index) for index in range(inner.grid.jobs)))
            return
        rows, length = _rows(sizes, self.row_axis), sizes[-1]
        if self.direct:
            flat, first, step = self.read.flat, self.read.at(starts), self.read.steps[-1]
            row_step = self.read.steps[self.row_axis] if self.row_axis >= 0 else 0
        else:
            flat, first, step, row_step = self.room("labels", rows * length, self.native), 0, 1, length
            _copy(flat.reshape(sizes), self.source[where])
        pitch = length
        if rows > 1 and abs(row_step) < abs(step):  # read along the rows' axis
            # An odd number of cache lines from row to row: a power of two would map all to a few sets of the cache.
            pitch = (-(-length * self.codes.itemsize // 64) | 1) * 64 // self.codes.itemsize
            order: tuple[Any, ...] = (_word(step), _word(row_step), length, rows)
            pitches: tuple[Any, ...] = (_word(1), _word(pitch))
        else:
            order = (_word(row_step), _word(step), rows, length)
            pitches = (_word(pitch), _word(1))
        contiguous = order[1] == 1 == pitches[1]
        if contiguous:
            order, pitches = (order[0], None, *order[2:]), (pitches[0], None)
        codes = self.room("codes", rows * pitch, self.codes)
        self.kernels.encode_kernel(self.labels, self.codes, contiguous)(
            flat.view(self.labels), _word(first), *order, self.last, self.ignored,
            codes, *pitches, self.nothing, self.state,
        )  # fmt: skip
        to, steps = self.write.at(starts), self.write.steps
        self.kernels.write_kernel(self.codes, self.unsigned, self.planes)(
            codes, _word(pitch), rows, length, self.names, self.write.flat.view(self.unsigned), _word(to),
            _word(steps[self.row_axis] if self.row_axis >= 0 else 0), _word(steps[-2]), _word(steps[-1]),
            self.one, self.zero,
        )  # fmt: skip


class Chooser(_Worker):
    """Writes the labels of (spatial..., C) scores into a (spatial...) view of a C-contiguous array."""

    def __init__(
        self, kernels: Any, scores: Array, target: Array, bfloat16: bool, limit: float | None, copied: bool = False
    ) -> None:
        super().__init__()
        self.kernels, self.bfloat16, self.limit = kernels, bfloat16, limit
        self.plain = scores, target
        if not copied:
            scores, target = _in_memory_order(scores, target)
        self.scores, self.target = _merged(scores, target)
        channels, shape, dtype = self.scores.shape[-1], self.target.shape, scores.dtype
        self.native = dtype.newbyteorder("=")
        self.half = bfloat16 or dtype.str[1:] == "f2"
        self.infinity = (np.int16(0x7F80) if bfloat16 else np.int16(0x7C00)) if self.half else None
        self.items = np.dtype(np.int16) if self.half else np.dtype(np.uint8) if dtype.kind == "b" else self.native
        self.threshold = None if limit is None else _floor(limit, self.native, bfloat16).view(self.items)
        self.unsigned = np.min_scalar_type(max(1, channels - 1))
        self.names = np.arange(max(2, channels)).astype(self.unsigned)
        self.read, self.write = _Memory(self.scores), _Memory(self.target)
        self.direct = self.read.whole and dtype == self.native
        out_steps = self.write.steps
        self.row_axis = len(shape) - 2
        crossed = out_steps[-1] != 1 and shape[-1] > 1
        self.buffered = crossed or target.itemsize != self.unsigned.itemsize
        if crossed:
            self.row_axis = min(range(len(shape) - 1), key=lambda axis: abs(out_steps[axis]), default=-1)
            most = _CROSSED_ROWS if len(shape) > 1 else 1
            lengths = _tile(shape, self.row_axis, most, _TILE // most)
        else:
            voxels = _TILE if self.buffered else max(1, JOB_BYTES // (channels * self.native.itemsize))
            length = min(shape[-1], voxels)
            lengths = _tile(shape, self.row_axis, voxels // length, length)
        if not self.direct:
            room = max(_LEAST_TILE, 4 * BLOCK_BYTES // (channels * self.native.itemsize))
            length = min(lengths[-1], room)
            lengths = _tile(shape, self.row_axis, min(_rows(lengths, self.row_axis), max(1, room // length)), length)
        self.blocks = not copied and len(shape) > 2 and prod(lengths) < _LEAST_TILE
        if self.blocks:
            self.scores, self.target = self.plain
            shape = self.target.shape
            lengths = trailing_block(shape, max(_LEAST_TILE, 4 * BLOCK_BYTES // (channels * self.native.itemsize)))
        self.grid = _Grid(shape, lengths, channels * self.native.itemsize)

    def tile(self, starts: list[int], sizes: list[int]) -> None:
        """Write the labels of a tile, or of a block that is copied first."""
        where, channels = _slices(starts, sizes), self.scores.shape[-1]
        if self.blocks:
            part = self.room("block", prod(sizes) * channels, self.native).reshape(*sizes, channels)
            _copy(part, self.scores[where])
            inner = Chooser(self.kernels, part, self.target[where], self.bfloat16, self.limit, copied=True)
            self.state[0] += np.uint64(sum(inner.job(index) for index in range(inner.grid.jobs)))
            return
        rows, length = _rows(sizes, self.row_axis), sizes[-1]
        *_, step, class_step = self.read.steps
        if self.direct:
            flat, first = self.read.flat, self.read.at(starts)
            row_step = self.read.steps[self.row_axis] if self.row_axis >= 0 else 0
        else:
            flat, first = self.room("scores", rows * length * channels, self.native), 0
            if abs(self.scores.strides[-1]) < abs(self.scores.strides[-2]):
                row_step, step, class_step = length * channels, channels, 1
                _copy(flat.reshape(*sizes, channels), self.scores[where])
            else:
                row_step, step, class_step = length, 1, rows * length
                _copy(np.moveaxis(flat.reshape(channels, *sizes), 0, -1), self.scores[where])
        if self.buffered:
            out, to, pitch = self.room("out", rows * length, self.unsigned), 0, length
        else:
            out, to = self.write.flat, self.write.at(starts)
            pitch = self.write.steps[self.row_axis] if self.row_axis >= 0 else 0
        contiguous = step == 1
        # fmt: off
        place = (flat.view(self.items), _word(first), _word(row_step), None if contiguous else _word(step))
        result = (out.view(self.unsigned), _word(to), _word(pitch), self.state)
        if self.threshold is not None:
            self.kernels.threshold_kernel(self.items, self.unsigned, self.half, contiguous)(
                *place, rows, length, self.infinity, self.threshold, self.names, *result
            )
        else:
            chunk = _BEST
            if not contiguous:  # all classes of some voxels stay in the first-level cache
                chunk = min(_BEST, max(_LEAST_BEST, _BEST * 8 // (channels * self.items.itemsize)))
            best, line = self.room("best", 2 * chunk, self.items).reshape(2, chunk)
            self.kernels.argmax_kernel(self.items, self.unsigned, self.half, contiguous)(
                *place, _word(class_step), rows, length, self.infinity, self.names, best, line, *result
            )
        # fmt: on
        if self.buffered:
            self.target[where] = out.reshape(sizes)


def _rows(sizes: Sequence[int], row_axis: int) -> int:
    return 1 if row_axis < 0 else sizes[row_axis]


def _copy(target: Array, source: Array) -> None:
    with np.errstate(invalid="ignore"):  # signalling NaNs
        np.copyto(target, source)


def _label_limits(dtype: np.dtype[Any], unsigned: np.dtype[Any], classes: Classes) -> tuple[Any, Array]:
    """Return the largest label that is a class and the ignored values that `dtype` can hold, as kernels take them."""
    assert classes.labels is not None
    most, ignored = classes.labels.size - 1, classes.ignored
    if dtype.kind == "f":
        floats = ignored.astype(dtype)
        held = [int(value) == number for value, number in zip(floats.tolist(), ignored.tolist(), strict=True)]
        return dtype.type(most), floats[np.array(held, bool)]
    low, high = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    held = [low <= number <= high for number in ignored.tolist()]
    return unsigned.type(min(most, high)), ignored[np.array(held, bool)].astype(dtype).view(unsigned)


def _floor(limit: float, dtype: np.dtype[Any], bfloat16: bool) -> Any:
    """Return the largest number of a type that is at most `limit`: the same numbers of that type exceed both."""
    if bfloat16:
        bits = int(_floor(limit, np.dtype(np.float32), False).view(np.uint32))
        return np.uint16((bits + (0xFFFF if bits >> 31 else 0)) >> 16)
    if dtype.kind == "b":
        return np.uint8(min(max(limit, 0), 1))
    if dtype.kind in "iu":
        high = int(np.iinfo(dtype).max)
        return dtype.type(high if limit >= high else max(math.floor(limit), int(np.iinfo(dtype).min)))
    with np.errstate(over="ignore", under="ignore"):
        nearest = dtype.type(limit)
        return np.nextafter(nearest, dtype.type(-np.inf)) if float(nearest) > limit else nearest
