"""Cuts scores, their truth, mask and weights into spans, without a copy where their memory allows it.

As in `fastseg.arrays.label_spans` the voxels are looked at in the order of memory. Voxels that lie in one line in every array
are taken where they lie, whether the classes of a voxel lie side by side (channels last) or each class is a volume of its own
(channels first). Everything else is copied, a block at a time, to one row a class.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import as_strided

from fastseg.arrays.label_spans import BLOCK_BYTES, JOB_BYTES, in_memory_order, trailing_block
from fastseg.kernels.protocols.scores import ScoreSpan

__all__ = ["ScoreLayout"]

Array = npt.NDArray[Any]

#: Numbers in one span: its labels stay in the second-level cache between the kernels that look at them.
SPAN_SCORES = 1 << 20
LEAST_SPAN, MOST_SPAN = 1 << 13, 1 << 18
#: Least bytes of scores in a job: a byte of them takes longer than one of labels.
LEAST_JOB_BYTES = 1 << 20
#: Rows at least this long are taken where they lie.
_LEAST_ROW = 1 << 12


class ScoreLayout:
    """One way to walk through a truth and scores of C classes.

    Parameters
    ----------
    scores : (C, spatial...)
    truth : (spatial...) or (C, spatial...)
    mask, weight : (spatial...) or None
    scale
        What integer scores are divided by, or None.
    bfloat16
        Whether scores and truth are the bit patterns of bfloat16.
    out : (C, spatial...) or None
        What is written to; a block that was copied is copied back when the next span is asked for.
    samples
        How many inputs like this there are in all: many need not be cut into small jobs.
    """

    def __init__(
        self,
        scores: Array,
        truth: Array,
        mask: Array | None,
        weight: Array | None,
        scale: float | None = None,
        bfloat16: tuple[bool, bool] = (False, False),
        samples: int = 1,
        out: Array | None = None,
    ) -> None:
        channels = scores.shape[0]
        soft = truth.ndim == scores.ndim
        given = (scores, truth, mask, weight, out)
        planes = [scores[0, ...], truth[0, ...] if soft else truth, mask, weight, None if out is None else out[0, ...]]
        merged = in_memory_order(planes)
        self.shape: tuple[int, ...] = merged[0].shape
        self.arrays: list[Array | None] = [
            _with_channels(a, m) if m is not None and a is not None and a.ndim == scores.ndim else m
            for a, m in zip(given, merged, strict=True)
        ]
        self.types = [
            _score_type(scores, scale, bfloat16[0]),
            _score_type(truth, None, bfloat16[1]) if soft else _label_type(truth),
            None if mask is None else mask.dtype if mask.itemsize == 1 else np.dtype(np.bool_),
            None if weight is None else _weight_type(weight),
            None if out is None else np.dtype(np.float32),
        ]
        self.scale = scale
        self.in_place = [
            a is None or (a.dtype == t and scale in (None, 1.0) and _in_line(a, len(self.shape)))
            for a, t in zip(self.arrays, self.types, strict=True)
        ]
        most = max(LEAST_SPAN, min(MOST_SPAN, SPAN_SCORES // channels // LEAST_SPAN * LEAST_SPAN))
        widest = max(a.itemsize * (channels if a.ndim > len(self.shape) else 1) for a in self.arrays if a is not None)
        if all(self.in_place) and (len(self.shape) == 1 or self.shape[-1] >= _LEAST_ROW):
            self.lengths = (*(1,) * (len(self.shape) - 1), min(self.shape[-1], most))
        else:
            self.in_place = [False] * 5
            self.lengths = trailing_block(self.shape, max(1, BLOCK_BYTES // widest))
        self.buffers: list[Array] = []
        self.grid = tuple(-(-size // length) for size, length in zip(self.shape, self.lengths, strict=True))
        self.blocks = prod(self.grid)
        job_bytes = min(JOB_BYTES, max(LEAST_JOB_BYTES, prod(self.shape) * widest * samples // 64))
        self.per_job = max(1, job_bytes // widest // prod(self.lengths))
        self.jobs = -(-self.blocks // self.per_job)

    def spans(self, job: int) -> Iterator[ScoreSpan]:
        """Return the spans of one job; a span is valid until the next is asked for."""
        for number in range(job * self.per_job, min((job + 1) * self.per_job, self.blocks)):
            cells = np.unravel_index(number, self.grid)
            where = tuple(
                slice(int(c) * length, min(size, (int(c) + 1) * length))
                for c, length, size in zip(cells, self.lengths, self.shape, strict=True)
            )
            index: tuple[Any, ...] = (..., *where)
            parts = [None if a is None else a[index] for a in self.arrays]
            if all(self.in_place):
                flat = [None if p is None else p.reshape(*p.shape[: p.ndim - len(where)], -1) for p in parts]
                yield ScoreSpan(*flat)  # type: ignore[arg-type]
            else:
                copies = self._copies(parts)
                yield ScoreSpan(*copies)  # type: ignore[arg-type]
                if parts[4] is not None and copies[4] is not None:
                    with np.errstate(over="ignore"):  # float16 has infinities for that
                        np.copyto(parts[4], copies[4].reshape(parts[4].shape), casting="unsafe")

    def _copies(self, parts: list[Array | None]) -> list[Array | None]:
        if not self.buffers:
            sizes = [0 if p is None else p.size for p in parts]
            self.buffers = [np.empty(s, t or np.uint8) for s, t in zip(sizes, self.types, strict=True)]
        copies: list[Array | None] = []
        for k, (part, dtype) in enumerate(zip(parts, self.types, strict=True)):
            if part is None or dtype is None:
                copies.append(None)
                continue
            if self.buffers[k].size < part.size:
                self.buffers[k] = np.empty(part.size, dtype)
            copy = self.buffers[k][: part.size].reshape(part.shape)
            if k == 0 and self.scale is not None:
                np.true_divide(part, self.scale, out=copy, casting="unsafe")
            elif k == 4:
                pass  # is written to
            elif k == 2:
                np.not_equal(part, 0, out=copy, casting="unsafe")
            else:
                np.copyto(copy, part, casting="unsafe")
            lead = part.shape[: part.ndim - len(self.shape)]
            copies.append(copy.reshape(*lead, -1))
        return copies


def _with_channels(array: Array, plane: Array) -> Array:
    """Give the merged view of an array's first class all its classes."""
    shape, strides = (array.shape[0], *plane.shape), (array.strides[0], *plane.strides)
    return as_strided(plane, shape, strides)


def _in_line(array: Array, spatial: int) -> bool:
    """Tell whether kernels can walk along the last axis of (spatial...) or (C, spatial...)."""
    item = array.itemsize
    if not array.dtype.isnative or any(s % item for s in array.strides):
        return False
    step = array.strides[-1] if array.shape[-1] > 1 else item
    channels_last = array.ndim > spatial and array.strides[0] == item and step == item * array.shape[0]
    return step == item or channels_last


def _score_type(array: Array, scale: float | None, bfloat16: bool) -> np.dtype[Any]:
    """Return the type that kernels take for scores of this one."""
    dtype = array.dtype
    if bfloat16 or (dtype.kind == "f"):
        return dtype.newbyteorder("=")
    if dtype.itemsize == 1 and dtype.kind in "bu" and scale in (None, 1.0):
        return dtype
    return np.dtype(np.float64 if dtype.itemsize > 2 else np.float32)


def _label_type(array: Array) -> np.dtype[Any]:
    dtype = array.dtype
    return np.dtype(np.float32) if dtype.kind == "f" and dtype.itemsize == 2 else dtype.newbyteorder("=")


def _weight_type(weight: Array) -> np.dtype[Any]:
    if weight.dtype.kind == "f" and weight.itemsize >= 4:
        return weight.dtype.newbyteorder("=")
    return np.dtype(np.float64)
