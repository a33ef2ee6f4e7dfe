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

from fastseg.pairs import Span

__all__ = ["JOB_BYTES", "TO_BITS", "TO_BOOL", "TO_FLOAT64", "Conversion", "Layout"]

Array = npt.NDArray[Any]


class Conversion(NamedTuple):
    """What is done to each block of an array whose type no kernel takes."""

    dtype: np.dtype[Any]
    into: Callable[[Array, Array], object]
    """Writes a converted block into an array of `dtype`."""


def _write_bits(block: Array, out: Array) -> None:
    np.not_equal(block, 0, out=out, casting="unsafe")
    out[(block != 0) & (block != 1)] = 2  # neither: the counter reports it


TO_BOOL = Conversion(np.dtype(np.bool_), lambda block, out: np.not_equal(block, 0, out=out))
TO_BITS = Conversion(np.dtype(np.int8), _write_bits)
TO_FLOAT64 = Conversion(np.dtype(np.float64), lambda block, out: np.copyto(out, block))

#: Bytes of the widest array in one job: large enough that hand-overs do not count, small enough to answer Ctrl-C.
JOB_BYTES = 1 << 24
#: Bytes of the widest array in one block that is copied before it is counted: it stays in the second-level cache.
BLOCK_BYTES = 1 << 18
#: Shorter rows than this are copied together before they are counted.
_LEAST_ROW = 256


class Layout:
    """One way to walk through up to four arrays of the same shape (absent ones are None).

    Parameters
    ----------
    arrays
        The arrays, the first two never None.
    conversions
        What turns each array into a type that the kernel takes, or None where it has one.
    unit
        Length of what must not be cut: every span of flat arrays starts at a multiple of it.
    """

    def __init__(self, arrays: Sequence[Array | None], conversions: Sequence[Conversion | None], unit: int = 1) -> None:
        self.conversions = conversions
        present = [a for a in arrays if a is not None]
        self.voxels = present[0].size
        widest = max(a.itemsize for a in present)
        self.job_voxels = max(1, JOB_BYTES // widest // unit) * unit
        block_voxels = BLOCK_BYTES // widest
        self._buffers: list[Array | None] = [None] * len(arrays)
        flat = _flat(present)
        views = iter(flat if flat is not None else _in_memory_order(present))
        self.views = [None if a is None else next(views) for a in arrays]
        self.direct = all(c is None for c in self.conversions) and self._can_be_direct()
        shape = next(v for v in self.views if v is not None).shape
        if not self.direct:
            self.block = _copied_block([v for v in self.views if v is not None], block_voxels)
        elif len(shape) == 1:
            self.block = (min(shape[0], self.job_voxels),)
        else:
            row = min(shape[-1], self.job_voxels)
            self.block = (1,) * (len(shape) - 2) + (min(shape[-2], max(1, self.job_voxels // row)), row)
        self.shape = shape
        self.grid = tuple(-(-size // length) for size, length in zip(shape, self.block, strict=True))
        self.per_job = max(1, self.job_voxels // max(1, prod(self.block)))
        self.jobs = -(-prod(self.grid) // self.per_job)

    def spans(self, job: int) -> Iterator[Span]:
        """Return the spans of one job; a span is valid until the next is asked for."""
        for number in range(job * self.per_job, min((job + 1) * self.per_job, prod(self.grid))):
            index = np.unravel_index(number, self.grid)
            where = tuple(
                slice(int(i) * length, min((int(i) + 1) * length, size))
                for i, length, size in zip(index, self.block, self.shape, strict=True)
            )
            parts = [None if v is None else v[where] for v in self.views]
            yield self._direct(parts) if self.direct else self._copied(parts)

    def _can_be_direct(self) -> bool:
        """Tell whether rows can be counted where they lie: contiguous in every array, at forward distances."""
        for view in self.views:
            if view is None:
                continue
            if view.shape[-1] > 1 and view.strides[-1] != view.itemsize:
                return False
            if view.ndim > 1 and (
                view.shape[-1] < _LEAST_ROW or view.strides[-2] < 0 or view.strides[-2] % view.itemsize
            ):
                return False
        return True

    def _direct(self, parts: Sequence[Array | None]) -> Span:
        arrays: list[Array | None] = []
        strides: list[int] = []
        rows = length = 0
        for part in parts:
            if part is None:
                arrays.append(None)
                strides.append(0)
                continue
            length = part.shape[-1]
            if part.ndim == 1:
                rows = 1
                arrays.append(part)
                strides.append(0)
                continue
            rows, step = part.shape[-2], part.strides[-2] // part.itemsize
            # One flat view from the first row's start to the last row's end; the kernel steps from row to row.
            flat = as_strided(part, ((rows - 1) * step + length,), (part.itemsize,), writeable=False)
            arrays.append(flat)
            strides.append(step)
        return Span(tuple(arrays), rows, length, tuple(strides))  # type: ignore[arg-type]

    def _copied(self, parts: Sequence[Array | None]) -> Span:
        arrays: list[Array | None] = []
        for k, part in enumerate(parts):
            if part is None:
                arrays.append(None)
            elif self.conversions[k] is None and part.flags.c_contiguous:
                arrays.append(part.reshape(-1))
            else:
                arrays.append(self._copy(k, part))
        length = next(a.size for a in arrays if a is not None)
        return Span(tuple(arrays), 1, length, (0, 0, 0, 0))  # type: ignore[arg-type]

    def _copy(self, k: int, part: Array) -> Array:
        conversion, buffer = self.conversions[k], self._buffers[k]
        if buffer is None:
            buffer = np.empty(prod(self.block), part.dtype if conversion is None else conversion.dtype)
            self._buffers[k] = buffer
        flat = buffer[: part.size]
        target = flat.reshape(part.shape)
        if conversion is not None:
            conversion.into(part, target)
        elif (axis := _own_axis(part)) is not None:
            from fastseg.kernels.transpose import transpose_into

            transpose_into(part, axis, target)
        else:
            np.copyto(target, part)
        return flat


def _flat(arrays: list[Array]) -> list[Array] | None:
    """Return 1-D views where all arrays are contiguous in one order; the common case, and quick to tell."""
    if all(a.flags.c_contiguous for a in arrays):
        return [a.reshape(-1) for a in arrays]
    if all(a.flags.f_contiguous for a in arrays):
        return [a.T.reshape(-1) for a in arrays]
    return None


def _in_memory_order(arrays: list[Array]) -> list[Array]:
    """Return views with the axes in the memory order of the first array, merged where all arrays allow it."""
    first = arrays[0]
    flips = tuple(slice(None, None, -1) if s < 0 else slice(None) for s in first.strides)
    arrays = [a[flips] for a in arrays]
    axes = [axis for axis in range(first.ndim) if first.shape[axis] != 1]
    # Largest step first, by the first array's steps and then by the others'; a broadcast axis (step 0) goes outermost.
    axes.sort(key=lambda axis: [-abs(a.strides[axis]) or -(2**62) for a in arrays])
    arrays = [a.transpose(axes + [axis for axis in range(first.ndim) if axis not in axes]) for a in arrays]
    arrays = [a.reshape(a.shape[: len(axes)]) if a.ndim > len(axes) else a for a in arrays]
    if not axes:
        return [a.reshape(1) for a in arrays]
    axis = arrays[0].ndim - 2
    while axis >= 0:
        size = arrays[0].shape[axis + 1]
        if all(a.strides[axis] == a.strides[axis + 1] * size for a in arrays):
            arrays = [_merge(a, axis) for a in arrays]
        axis -= 1
    return arrays


def _merge(array: Array, axis: int) -> Array:
    """Make one axis of `axis` and the next; their steps allow it."""
    shape = (*array.shape[:axis], array.shape[axis] * array.shape[axis + 1], *array.shape[axis + 2 :])
    strides = (*array.strides[:axis], *array.strides[axis + 1 :])
    return as_strided(array, shape, strides, writeable=False)


def _own_axis(part: Array) -> int | None:
    """Return the axis along which a block is contiguous, where that is not the last and it pays to go along it."""
    if (
        part.ndim < 2
        or part.strides[-1] == part.itemsize
        or part.shape[-1] < 8
        or part.dtype.itemsize not in (1, 2, 4, 8)
    ):
        return None
    for axis in range(part.ndim - 1):
        if part.strides[axis] == part.itemsize and part.shape[axis] >= 8:
            return axis if all(s % part.itemsize == 0 and s >= 0 for s in part.strides) else None
    return None


def _copied_block(views: list[Array], voxels: int) -> tuple[int, ...]:
    """Return the shape of the blocks to copy: long along each array's own contiguous axis, then filled up from the last."""
    shape = views[0].shape
    block = [1] * len(shape)
    own = {
        int(np.argmin([abs(s) if n > 1 and s else 2**62 for s, n in zip(v.strides, v.shape, strict=True)]))
        for v in views
    }
    own.add(len(shape) - 1)
    share = max(8, int(voxels ** (1.0 / len(own)))) if len(own) > 1 else voxels
    for axis in sorted(own, reverse=True):
        block[axis] = min(shape[axis], share)
    for axis in (*sorted(own, reverse=True), *range(len(shape) - 1, -1, -1)):
        room = max(1, voxels // max(1, prod(block)))
        block[axis] = min(shape[axis], block[axis] * room)
    return tuple(block)
