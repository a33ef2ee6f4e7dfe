"""Maps in the memory of a GPU: how they are walked through there, and what is said where a voxel is not allowed."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import as_strided

from fastseg.arrays.label_spans import in_memory_order
from fastseg.arrays.labels import LabelInputs
from fastseg.arrays.masks import MaskInputs
from fastseg.arrays.scores import ScoreInputs
from fastseg.kernels.protocols.device import DeviceArray

__all__ = ["copied_to_host", "lying_on_device", "maps_on_device"]

Given = TypeVar("Given", LabelInputs, MaskInputs, ScoreInputs)
#: Of an array: the axes of samples and of channels, None for those that it has not.
Axes = tuple[int | None, int | None]


def maps_on_device(
    given: LabelInputs | MaskInputs, axes: Sequence[Axes], samples: int, channels: int, module: Any
) -> Any:
    """Return a truth, a prediction, a mask and weights as the backend's kernels walk through them."""
    rows = list(
        zip(
            (given.y_true, given.y_pred, given.mask, given.weight), (*axes, axes[-1]), (*given.bfloat16, False, False),
            strict=True,
        )
    )  # fmt: skip
    arrays, present, bits = zip(*(row for row in rows if row[0] is not None), strict=True)
    lying, sizes = lying_on_device(arrays, present, bits, "y_true, y_pred, mask, sample_weight", module)
    places = iter(lying)
    true, pred, mask, weight = (None if row[0] is None else next(places) for row in rows)
    return module.Maps(true, pred, mask, sizes, samples, channels, weight)


def lying_on_device(
    arrays: Sequence[Any], axes: Sequence[Axes], bfloat16: Sequence[bool], names: str, module: Any
) -> tuple[list[Any], tuple[int, ...]]:
    """Return arrays as the backend's kernels walk through them, and the sizes of the axes: in the order of memory, merged.

    Raises
    ------
    ValueError
        If too many axes are left, or numbers do not lie at multiples of their size.
    """
    described = tuple((array.shape, array.strides, array.dtype) for array in arrays)
    views, sizes = _views(described, tuple(axes))
    if len(sizes) > module.MOST_AXES:
        raise ValueError(
            f"{names}: expected at most {module.MOST_AXES} axes that do not lie in one line on a GPU, found {len(sizes)}"
        )
    lying = []
    for array, (begin, steps, between), bits in zip(arrays, views, bfloat16, strict=True):
        if steps is None or array.pointer % array.itemsize:
            raise ValueError(f"{names}: expected numbers at multiples of their size on a GPU, found {array}")
        lying.append(module.Lying.of(array, array.pointer + begin, steps, between, bits))
    return lying, sizes


@functools.lru_cache(maxsize=1024)
def _views(
    arrays: tuple[tuple[tuple[int, ...], tuple[int, ...], np.dtype[Any]], ...], axes: tuple[Axes, ...]
) -> tuple[list[tuple[int, tuple[int, ...] | None, tuple[int, ...]]], tuple[int, ...]]:
    """Return where the views of arrays of some shapes, steps and types begin, and their steps, in numbers; and their sizes.

    The steps are None where they are no multiples of the size of a number. It takes longer than a call should, and the same
    arrays come again and again.
    """
    # Arrays of the same steps in the memory of the CPU, which nobody reads: NumPy's views are then views of the others.
    shadows = [as_strided(np.empty(1, dtype), shape, strides) for shape, strides, dtype in arrays]
    views = in_memory_order([_first(shadow, own) for shadow, own in zip(shadows, axes, strict=True)])
    found: list[tuple[int, tuple[int, ...] | None, tuple[int, ...]]] = []
    for (_, strides, dtype), shadow, view, own in zip(arrays, shadows, views, axes, strict=True):
        if any(stride % dtype.itemsize for stride in strides):
            found.append((0, None, ()))
            continue
        between = tuple(0 if axis is None else strides[axis] // dtype.itemsize for axis in own)
        steps = tuple(stride // dtype.itemsize for stride in view.strides)
        found.append((_address(view) - _address(shadow), steps, between))
    return found, views[0].shape


def copied_to_host(given: Given, module: Any) -> Given:
    """Return the inputs in the memory of the CPU, to look for what is wrong with them."""
    copies: dict[str, Any] = {
        name: module.on_host(array)
        for name in ("y_true", "y_pred", "y_score", "mask", "weight")
        if isinstance(array := getattr(given, name, None), DeviceArray)
    }
    return replace(given, **copies, device=None)


def _first(array: npt.NDArray[Any], axes: Axes) -> npt.NDArray[Any]:
    """Return the view of the first sample and channel."""
    where: tuple[Any, ...] = (*(0 if axis in axes else slice(None) for axis in range(array.ndim)), ...)
    view: npt.NDArray[Any] = array[where]  # ...: of a single voxel too
    return view


def _address(array: npt.NDArray[Any]) -> int:
    return int(array.__array_interface__["data"][0])
