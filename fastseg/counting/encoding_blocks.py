"""Encoding and decoding a block of voxels after another, as the NumPy backend does it; and what was wrong, where."""

from __future__ import annotations

import functools
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from fastseg.arrays.array_likes import float32_of_bits
from fastseg.arrays.classes import Classes
from fastseg.arrays.labels import whole_numbers
from fastseg.arrays.search import blocks, find_voxels
from fastseg.kernels.numpy.encoding import argmax_block, one_hot_block

__all__ = ["argmax_blocks", "explain_labels", "explain_nan", "one_hot_blocks"]

Array = npt.NDArray[Any]

#: Items of a block that is encoded at once.
_ITEMS = 1 << 20


def one_hot_blocks(source: Array, target: Array, classes: Classes) -> int:
    """Write the encoding of labels into (..., C); return how many are outside the classes and not ignored."""
    bad = 0
    for block in blocks(source.shape, max(1, _ITEMS // target.shape[-1])):
        values, outside, ignored = _classified(source[block], classes)
        bad += int(np.count_nonzero(outside))
        one_hot_block(np.where(outside | ignored, target.shape[-1], values), _room(target, block))
    return bad


def argmax_blocks(scores: Array, target: Array, bfloat16: bool, limit: float | None) -> int:
    """Write the labels of (..., C) scores; return how many voxels have NaN."""
    bad = 0
    for block in blocks(target.shape, max(1, _ITEMS // scores.shape[-1])):
        bad += argmax_block(_widened(scores[block], bfloat16), _room(target, block), limit)
    return bad


def _room(target: Array, block: tuple[slice, ...]) -> Array:
    """Return the view of a block that is written to, also of an array without axes, whose block has none either."""
    return target[block] if block else target


def _classified(part: Array, classes: Classes) -> tuple[npt.NDArray[np.int64], Array, Array]:
    """Return labels as int64, which are outside the classes and not ignored, and which are ignored."""
    part = np.asarray(part)
    values, wrong = whole_numbers(part)
    ignored = np.isin(values, classes.ignored) & ~wrong
    assert classes.labels is not None
    return values, ((values < 0) | (values >= classes.labels.size) | wrong) & ~ignored, ignored


def _widened(part: Array, bfloat16: bool) -> Array:
    """Return bfloat16, which NumPy does not know, as float32."""
    part = np.asarray(part)
    return float32_of_bits(part) if bfloat16 else part


def explain_labels(source: Array, classes: Classes) -> NoReturn:
    """Raise a ValueError that says how many labels are no classes, and which is the first."""
    if source.dtype.kind == "f":
        total, index, values = find_voxels((source,), lambda part: whole_numbers(np.asarray(part))[1])
        if total:
            raise ValueError(
                f"labels: expected whole numbers, found {total} voxel(s) that are not; "
                f"the first is {values[0]} at index {index}"
            )
    total, index, values = find_voxels((source,), lambda part: _classified(part, classes)[1])
    if total:
        raise ValueError(
            f"labels: expected labels among {classes.describe()}, found {total} voxel(s) outside; "
            f"the first is {int(values[0])} at index {index} (ignore_index= leaves such voxels zero)"
        )
    raise ValueError("labels: the array changed while it was encoded")


def explain_nan(scores: Array, bfloat16: bool) -> NoReturn:
    """Raise a ValueError that says at how many voxels a score is NaN, and where the first is."""

    def wrong(*channels: Any) -> Array:
        return functools.reduce(np.logical_or, (np.isnan(_widened(channel, bfloat16)) for channel in channels))

    total, index, _ = find_voxels([scores[..., k] for k in range(scores.shape[-1])], wrong)
    if total:
        raise ValueError(f"y_score: expected numbers, found NaN at {total} voxel(s); the first is at index {index}")
    raise ValueError("y_score: the array changed while it was looked at")
