"""Maps in the memory of a GPU: how they are walked through there, and what is said where a voxel is not allowed."""

from __future__ import annotations

import functools
from contextvars import ContextVar
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import as_strided

from fastseg.arrays.label_spans import in_memory_order
from fastseg.arrays.labels import LabelInputs
from fastseg.arrays.masks import MaskInputs
from fastseg.arrays.scores import ScoreInputs
from fastseg.kernels.protocols.device import DeviceArray, Order

__all__ = ["EXPLAINED", "Axes", "bases_of", "copied_to_host", "maps_on_device", "orders_of", "places_on_device"]

Given = TypeVar("Given", LabelInputs, MaskInputs, ScoreInputs)
#: Of an array: the axes of samples and of channels, None for those that it has not.
Axes = tuple[int | None, int | None]
#: Whether maps are copied to say what is wrong with them: not for callers that only want to know that something is.
EXPLAINED: ContextVar[bool] = ContextVar("EXPLAINED", default=True)
#: Bytes that are read at once at most, and how many ways in which arrays lie are remembered: the same come again and again.
_ALIGNED, _MOST_KEPT = 16, 1024


def maps_on_device(
    given: LabelInputs | MaskInputs, axes: tuple[Axes, Axes, Axes], samples: int, channels: int, module: Any
) -> tuple[Any, tuple[int, ...]]:
    """Return a truth, a prediction, a mask and weights as the backend's kernels walk through them, and their bases."""
    arrays = (given.y_true, given.y_pred, given.mask, given.weight)
    return _maps(*orders_of(arrays), (*axes, axes[2]), given.bfloat16, samples, channels, module), bases_of(arrays)


@functools.lru_cache(maxsize=_MOST_KEPT)
def _maps(
    orders: tuple[Order | None, ...],
    begins: tuple[int, ...],
    axes: tuple[Axes, ...],
    bfloat16: tuple[bool, bool],
    samples: int,
    channels: int,
    module: Any,
) -> Any:
    names = "y_true, y_pred, mask, sample_weight"
    (true, pred, mask, weight), sizes = places_on_device(orders, begins, axes, (*bfloat16, False, False), names, module)
    return module.Maps(true, pred, mask, sizes, samples, channels, weight)


def orders_of(arrays: tuple[Any, ...]) -> tuple[tuple[Order | None, ...], tuple[int, ...]]:
    """Return how some arrays lie, None of those that are not there, and where they begin, beyond their bases."""
    return (
        tuple([None if array is None else array.order for array in arrays]),
        tuple([0 if array is None else array.pointer % _ALIGNED for array in arrays]),
    )


def bases_of(arrays: tuple[Any, ...]) -> tuple[int, ...]:
    """Return the multiples of the widest reads that arrays lie behind."""
    return tuple([0 if array is None else array.pointer // _ALIGNED * _ALIGNED for array in arrays])


def places_on_device(
    orders: tuple[Order | None, ...],
    begins: tuple[int, ...],
    axes: tuple[Axes, ...],
    bfloat16: tuple[bool, ...],
    names: str,
    module: Any,
) -> tuple[list[Any], tuple[int, ...]]:
    """Return arrays as the backend's kernels walk through them, and the sizes of the axes: in the order of memory, merged.

    Raises
    ------
    ValueError
        If too many axes are left, or numbers do not lie at multiples of their size.
    """
    present = [place for place, order in enumerate(orders) if order is not None]
    found: list[Any] = [None] * len(orders)
    views, sizes = _views([orders[place] for place in present], [axes[place] for place in present])
    if len(sizes) > module.MOST_AXES:
        raise ValueError(
            f"{names}: expected at most {module.MOST_AXES} axes that do not lie in one line on a GPU, found {len(sizes)}"
        )
    for place, (begin, steps, between) in zip(present, views, strict=True):
        order: Any = orders[place]
        if steps is None or begins[place] % order.itemsize:
            raise ValueError(
                f"{names}: expected numbers at multiples of their size on a GPU, found {order.dtype} with strides "
                f"{order.strides} at an address of {begins[place]} modulo {_ALIGNED}"
            )
        found[place] = module.Lying.of(order, begins[place] + begin, steps, between, bfloat16[place])
    return found, sizes


def _views(
    orders: list[Any], axes: list[Axes]
) -> tuple[list[tuple[int, tuple[int, ...] | None, tuple[int, ...]]], tuple[int, ...]]:
    """Return where the views of arrays of some shapes, steps and types begin, and their steps, in numbers; and their sizes.

    The steps are None where they are no multiples of the size of a number.
    """
    # Arrays of the same steps in the memory of the CPU, which nobody reads: NumPy's views are then views of the others.
    shadows = [as_strided(np.empty(1, order.dtype), order.shape, order.strides) for order in orders]
    views = in_memory_order([_first(shadow, own) for shadow, own in zip(shadows, axes, strict=True)])
    found: list[tuple[int, tuple[int, ...] | None, tuple[int, ...]]] = []
    for order, shadow, view, own in zip(orders, shadows, views, axes, strict=True):
        size = order.itemsize
        if any(stride % size for stride in order.strides):
            found.append((0, None, ()))
            continue
        between = tuple(0 if axis is None else order.strides[axis] // size for axis in own)
        found.append((_address(view) - _address(shadow), tuple(stride // size for stride in view.strides), between))
    return found, views[0].shape


def copied_to_host(given: Given, module: Any) -> Given:
    """Return the inputs in the memory of the CPU, to look for what is wrong with them; ValueError where nobody asks."""
    if not EXPLAINED.get():
        raise ValueError("values on a GPU: expected others")
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
