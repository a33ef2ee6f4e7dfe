"""Cuts pairs of binary maps into blocks of samples, channels, rows and voxels that are counted where they lie."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy.typing as npt
from numpy.lib.stride_tricks import as_strided

from fastseg.arrays import label_spans
from fastseg.arrays.masks import MaskInputs
from fastseg.kernels.protocols.labels import MaskBlock

__all__ = ["MaskBlocks", "mask_blocks"]

Array = npt.NDArray[Any]

#: Bytes of the wider map in one job, at least: an input of twice as much occupies two threads.
_LEAST_JOB_BYTES = 1 << 21
#: Where there are several rows, shorter ones are copied together before they are counted.
_LEAST_ROW = 64


class MaskBlocks:
    """The blocks of four arrays, absent ones None: (N, C, spatial...), C 1 for mask and weights, at least two spatial axes.

    Rows are of the last axis. Channels are not cut where they lie side by side.
    """

    def __init__(self, arrays: Sequence[Array | None], bfloat16: tuple[bool, bool], interleaved: bool) -> None:
        self.arrays, self.bfloat16 = arrays, bfloat16
        first, second = arrays[:2]
        assert first is not None
        assert second is not None
        self.shape = shape = first.shape
        self.grid: tuple[int, ...]
        self.lengths: tuple[int, ...]
        widest = max(first.itemsize, second.itemsize, 8 if arrays[3] is not None else 1)
        size = widest * first.size
        job_bytes = min(label_spans.JOB_BYTES, max(_LEAST_JOB_BYTES, size // 16))
        if size <= job_bytes and len(shape) == 4:
            self.lengths, self.grid, self.jobs = shape, (1, 1, 1, 1), 1
            return
        lengths, room = [1] * len(shape), max(1, job_bytes // widest)
        *outer, row, last = range(2, len(shape))
        whole = [1] if interleaved else []
        inner = [] if outer else [0] if interleaved else [1, 0]
        for axis in (*whole, last, row, *inner):
            lengths[axis] = shape[axis] if axis in whole else _even(shape[axis], room, 64 if axis == last else 1)
            room //= lengths[axis]
        self.lengths = tuple(lengths)
        self.grid = tuple(-(-n // length) for n, length in zip(shape, lengths, strict=True))
        self.jobs = prod(self.grid)

    def block(self, job: int) -> tuple[slice, slice, MaskBlock]:
        """Return the samples, the channels and the arrays of a job."""
        if self.jobs == 1 and len(self.shape) == 4:
            return slice(None), slice(None), _block(self.arrays, self.bfloat16)
        cells = []
        for number in reversed(self.grid):
            job, cell = divmod(job, number)
            cells.append(cell)
        samples, channels, *spatial = (
            slice(cell * length, (cell + 1) * length)
            for cell, length in zip(reversed(cells), self.lengths, strict=True)
        )
        where = tuple(s.start for s in spatial[:-2]) + tuple(spatial[-2:])
        parts = [
            None if array is None else array[(samples, channels if position < 2 else slice(None), *where)]
            for position, array in enumerate(self.arrays)
        ]
        return samples, channels, _block(parts, self.bfloat16)


def _block(arrays: Sequence[Array | None], bfloat16: tuple[bool, bool]) -> MaskBlock:
    true, pred, mask, weight = arrays
    assert true is not None
    assert pred is not None
    return MaskBlock(true, pred, mask, weight, bfloat16)


def mask_blocks(given: MaskInputs) -> MaskBlocks | None:
    """Return the blocks of maps that can be counted where they lie, None of others; there is at least one value."""
    arrays = _plain(given)
    if arrays is None:
        arrays = _in_memory_order(given)
    true, pred, mask, weight = arrays
    sizes = true.shape
    if all(_along(array, -1, array.itemsize) for array in (true, pred) + (() if mask is None else (mask,))):
        if sizes[-1] >= _LEAST_ROW or prod(sizes[2:-1]) == 1:
            return MaskBlocks(arrays, given.bfloat16, False)
    elif mask is None and weight is None:
        size = sizes[1]
        if all(_along(a, 1, a.itemsize) and _along(a, -1, size * a.itemsize) for a in (true, pred)):
            return MaskBlocks(arrays, given.bfloat16, True)
    return None


def _along(array: Array, axis: int, step: int) -> bool:
    """Tell whether `step` bytes lead from one item to the next along an axis."""
    return array.strides[axis] == step or array.shape[axis] == 1


def _even(size: int, room: int, unit: int) -> int:
    """Return into what lengths to cut an axis for equal parts of about `room`, but for the last in multiples of `unit`."""
    parts = max(1, round(size / max(1, room)))
    return size if parts == 1 else -(-size // parts // unit) * unit


def _plain(given: MaskInputs) -> Any:
    """Return (N, C, 1, L) views of arrays in C order whose samples come first and channels next, or last; quick to tell."""
    arrays = (given.y_true, given.y_pred, given.mask, given.weight)
    if not all(array is None or array.flags.c_contiguous for array in arrays):
        return None
    (samples, channels), sample, channel = given.shape, given.sample_axis, given.channel_axis
    lead = 0 if sample is None else 1
    if lead and sample:
        return None
    if channel is None or channel == lead:
        maps = [array.reshape(samples, channels, 1, -1) for array in arrays[:2]]
    elif channel == given.y_true.ndim - 1:
        maps = [array.reshape(samples, 1, -1, channels).transpose(0, 3, 1, 2) for array in arrays[:2]]
    else:
        return None
    return (*maps, *(None if array is None else array.reshape(samples, 1, 1, -1) for array in arrays[2:]))


def _in_memory_order(given: MaskInputs) -> Any:
    """Return views with the spatial axes in the memory order of the truth, merged where all arrays allow it."""
    samples, channels = given.shape
    true, pred, mask, weight = given.sample(0)
    spatial = label_spans.in_memory_order([true[0, ...], pred[0, ...], mask, weight])
    views: list[Array | None] = []
    for position, (view, array) in enumerate(
        zip(spatial, (given.y_true, given.y_pred, given.mask, given.weight), strict=True)
    ):
        if view is None or array is None:
            views.append(None)
            continue
        sample, channel = given.axes(position)
        steps = [0 if axis is None else array.strides[axis] for axis in (sample, channel)]
        inner = view if view.ndim > 1 else view[None]
        shape = (samples, channels if position < 2 else 1, *inner.shape)
        views.append(as_strided(inner, shape, (*steps, *inner.strides), writeable=False))
    return views
