"""One-hot encoding of label maps and its inverse, at the speed of memory and without a copy of the volume."""

from __future__ import annotations

import functools
import importlib
import math
from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from fastseg.arrays.arguments import checked_axis, checked_number
from fastseg.arrays.blocked import require_no_blocks
from fastseg.arrays.classes import label_classes
from fastseg.arrays.convert import as_array, score_array
from fastseg.arrays.option_names import explained
from fastseg.counting.encoding import Chooser, Encoder, run_tiles
from fastseg.counting.encoding_blocks import argmax_blocks, explain_labels, explain_nan, one_hot_blocks
from fastseg.kernels import BACKENDS

__all__ = ["argmax_labels", "one_hot"]

Array = npt.NDArray[Any]


@explained
def one_hot(
    labels: Any,
    num_classes: int,
    *,
    channel_axis: int = -1,
    dtype: npt.DTypeLike = np.uint8,
    ignore_index: int | Sequence[int] | None = None,
    out: Array | None = None,
    backend: str = "auto",
) -> Array:
    """Encode a label map as one channel for each class: 1 in the channel of a voxel's label, 0 in the others.

    Parameters
    ----------
    labels : array_like
        Labels of any shape: bool, integers, or floats that hold whole numbers, in any memory order; also anything with
        DLPack, the buffer protocol or `__array__` on the CPU.
    num_classes
        C: the classes are the labels 0..C-1 (at most 4,096).
    channel_axis
        Where the result has its channels, as in `numpy.expand_dims`: -1 for the last axis, 0 for the first.
    dtype
        Type of the result: bool, any integer, float16, float32 or float64.
    ignore_index
        Labels, inside the classes or not, whose voxels are 0 in all channels.
    out
        Where to write: a C-contiguous array of the result's shape, whose own type then counts. It must not overlap `labels`.
        If an error is raised about labels, part of it has been written.
    backend
        "auto", "numba" or "numpy" (the reference).

    Returns
    -------
    encoded : numpy.ndarray
        C-contiguous, of the shape of `labels` with C inserted at `channel_axis`; `out` if that was given.

    Raises
    ------
    TypeError
        If an argument is of a wrong type.
    ValueError
        If a label is outside the classes and not ignored (the message says how many, and the index and value of the first),
        or `out` does not fit.

    Examples
    --------
    >>> one_hot([0, 2, 255], 3, ignore_index=255).tolist()
    [[1, 0, 0], [0, 0, 1], [0, 0, 0]]
    >>> one_hot([[0, 1], [1, 1]], 2, channel_axis=0, dtype=bool).shape
    (2, 2, 2)
    """
    source = as_array(labels, "labels")
    if source.dtype.kind not in "biuf" or source.dtype.itemsize > 8:
        raise TypeError(
            f"labels: expected bool, integers, or floats that hold whole numbers; found dtype {source.dtype}"
        )
    if num_classes is None:
        raise TypeError("num_classes: expected an integer, found None")
    classes = label_classes(num_classes, None, ignore_index)
    axis = checked_axis(channel_axis, source.ndim + 1, "channel_axis")
    if axis is None:
        raise TypeError("channel_axis: expected an integer, found None")
    assert classes.labels is not None
    shape = (*source.shape[:axis], classes.labels.size, *source.shape[axis:])
    result = _result(out, shape, _checked_dtype(dtype, "biuf"), "biuf", {"labels": source})
    kernels = _kernels(backend)
    target = np.moveaxis(result, axis, -1)
    if kernels is None:
        bad = one_hot_blocks(source, target, classes)
    elif source.size == 0:
        bad = 0
    else:
        bad = run_tiles(lambda: Encoder(kernels, source, target, classes), result.size)
    if bad:
        explain_labels(source, classes)
    return result


@explained
def argmax_labels(
    y_score: Any,
    *,
    channel_axis: int | None = -1,
    dtype: npt.DTypeLike | None = None,
    threshold: float | None = None,
    out: Array | None = None,
    backend: str = "auto",
) -> npt.NDArray[Any]:
    """Return the label map of scores: for each voxel the class whose score is the largest, the first of equal ones.

    Parameters
    ----------
    y_score : array_like
        Scores, probabilities or logits, of float16, float32, float64, bfloat16 (torch's, or that of ml_dtypes) or any integer
        type, in any memory order. They may be infinite but not NaN.
    channel_axis
        The axis of the C classes; None where there is one class without such an axis.
    dtype
        Type of the result: an integer type that holds C-1, or bool for at most two labels; default the smallest unsigned one.
    threshold
        For one class only: the label is 1 where the score exceeds it, else 0; default 0.5.
    out
        Where to write: a C-contiguous array of the result's shape, whose own type then counts. It must not overlap `y_score`.
        If an error is raised about scores, part of it has been written.
    backend
        "auto", "numba" or "numpy" (the reference).

    Returns
    -------
    labels : numpy.ndarray
        C-contiguous, of the shape of `y_score` without the channel axis; `out` if that was given.

    Raises
    ------
    TypeError
        If an argument is of a wrong type.
    ValueError
        If a score is NaN (the message says at how many voxels, and the index of the first), there is no class, `threshold` is
        given for several classes, or `out` or `dtype` does not fit.

    Examples
    --------
    >>> argmax_labels([[0.1, 0.7, 0.2], [0.4, 0.2, 0.4]]).tolist()
    [1, 0]
    >>> argmax_labels([0.2, 0.5, 0.8], channel_axis=None).tolist()
    [0, 0, 1]
    """
    require_no_blocks(y_score=y_score)
    scores, bfloat16 = score_array(y_score, "y_score")
    shape = scores.shape
    axis = checked_axis(channel_axis, scores.ndim, "channel_axis")
    scores = scores[..., None] if axis is None else np.moveaxis(scores, axis, -1)
    channels = scores.shape[-1]
    if channels < 1:
        raise ValueError(f"y_score: expected at least one class along channel_axis, found shape {shape}")
    limit = None
    if channels == 1:
        limit = _checked_threshold(0.5 if threshold is None else threshold)
    elif threshold is not None:
        raise ValueError(f"threshold: expected None for {channels} classes, of which the largest is taken")
    most = max(1, channels - 1)
    kind = _checked_dtype(np.min_scalar_type(channels - 1) if dtype is None else dtype, "biu")
    result = _result(out, scores.shape[:-1], kind, "biu", {"y_score": scores})
    if most > (1 if result.dtype.kind == "b" else np.iinfo(result.dtype).max):
        raise ValueError(
            f"{'dtype' if out is None else 'out'}: expected a type that holds {most}, found {result.dtype}"
        )
    kernels = _kernels(backend)
    if kernels is None:
        bad = argmax_blocks(scores, result, bfloat16, limit)
    elif result.size == 0:
        bad = 0
    elif limit is not None and scores.dtype.kind in "biu" and not bfloat16 and limit < _lowest(scores.dtype):
        result.fill(1)
        bad = 0
    else:
        bad = run_tiles(lambda: Chooser(kernels, scores, result, bfloat16, limit), scores.size)
    if bad:
        explain_nan(scores, bfloat16)
    return result


# ---- Arguments


def _checked_dtype(dtype: npt.DTypeLike, kinds: str) -> np.dtype[Any]:
    try:
        found = np.dtype(dtype)
    except TypeError:
        raise TypeError(f"dtype: expected a NumPy type, found {dtype!r}") from None
    if found.kind not in kinds or found.itemsize > 8:
        raise TypeError(f"dtype: expected {_NAMES[kinds]}, found {found}")
    return found


_NAMES = {"biuf": "bool, an integer or a float type of at most 64 bits", "biu": "an integer type or bool"}


def _result(out: Any, shape: tuple[int, ...], dtype: np.dtype[Any], kinds: str, sources: dict[str, Array]) -> Array:
    """Return `out` if it fits, or a new array."""
    if out is None:
        try:
            return np.empty(shape, dtype)
        except (MemoryError, ValueError):
            size = prod(shape) * dtype.itemsize / 2**30
            raise ValueError(f"out: a result of shape {shape} needs {size:,.0f} GiB, which cannot be had") from None
    if not isinstance(out, np.ndarray):
        raise TypeError(f"out: expected a NumPy array, found {type(out).__name__}")
    if out.dtype.kind not in kinds or out.dtype.itemsize > 8:
        raise TypeError(f"out: expected {_NAMES[kinds]}, found dtype {out.dtype}")
    if out.shape != shape:
        raise ValueError(f"out: expected shape {shape}, found shape {out.shape}")
    if not (out.flags.c_contiguous and out.flags.writeable):
        raise ValueError("out: expected a C-contiguous array that can be written to")
    for name, source in sources.items():
        if np.may_share_memory(out, source):
            raise ValueError(f"out: expected memory of its own, found some that it shares with {name}")
    return out.view(np.ndarray) if type(out) is not np.ndarray else out


def _checked_threshold(value: Any) -> float:
    number = checked_number(value, "threshold")
    if math.isnan(number):
        raise ValueError("threshold: expected a number, found nan")
    return number


def _lowest(dtype: np.dtype[Any]) -> int:
    return 0 if dtype.kind == "b" else int(np.iinfo(dtype).min)


def _kernels(backend: str) -> Any:
    """Return the module of kernels, or None for NumPy."""
    name = "numba" if backend == "auto" else backend
    if not isinstance(name, str) or name not in BACKENDS:
        raise ValueError(f"backend: expected 'auto' or one of {sorted(BACKENDS)}, found {backend!r}")
    return None if name == "numpy" else _load("fastseg.kernels.numba.encoding")


_load = functools.cache(importlib.import_module)
