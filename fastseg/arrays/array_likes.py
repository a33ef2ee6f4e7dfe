"""What holds an array, and what NumPy would take apart item by item to make one; bfloat16, which NumPy does not know."""

from __future__ import annotations

import os
import sys
from typing import Any

import numpy as np
import numpy.typing as npt

from fastseg.arrays.blocked import is_blocked, refuse_lazy
from fastseg.arrays.device import bfloat16_on_device

__all__ = ["are_bool", "bfloat16_bits", "check_holds_array", "extra_axis_note", "float32_of_bits", "tensor_memory"]

_PROTOCOLS = ("__array__", "__array_interface__", "__array_struct__", "__dlpack__")


def check_holds_array(value: Any, name: str) -> None:
    """Raise a TypeError for what NumPy cannot turn into an array, or only item by item where that is no list, tuple or range.

    An image that has only a length and items would be flat, without its axes, after a call in Python for each voxel.
    """
    if isinstance(value, (str, os.PathLike)):
        raise TypeError(
            f"{name}: expected an array, found {type(value).__name__}; of files pass the paths to fastseg.evaluate_files "
            "or fastseg.count_files"
        )
    if str(getattr(value, "dtype", "")) == "torch.bfloat16":
        raise TypeError(f"{name}: expected an array of a type that NumPy has, found bfloat16; pass its .float()")
    if not isinstance(value, (list, tuple)):
        _check_item(value, "", name)
        return
    kinds = set(map(type, value)) - {int, float, bool}
    nested = {kind for kind in kinds if issubclass(kind, (list, tuple))}
    for kind in kinds - nested:
        _check_item(next(item for item in value if type(item) is kind), f"{type(value).__name__} of ", name)
    for item in value if nested else ():
        if type(item) in nested:
            check_holds_array(item, name)


def _check_item(value: Any, outer: str, name: str) -> None:
    refuse_lazy(value, name)
    if isinstance(value, (str, bytes, bytearray, range)) or any(hasattr(value, each) for each in _PROTOCOLS):
        return
    if not any(hasattr(value, each) for each in ("__getitem__", "__iter__", "__len__")):
        return  # a number, or what NumPy has its own words for
    try:
        memoryview(value)
    except TypeError:
        raise TypeError(
            f"{name}: expected an array, found {outer}{type(value).__name__}, which offers its items one by one and no array "
            "(DLPack, buffer, __array__); pass a NumPy array made of it"
        ) from None


def extra_axis_note(one: tuple[int, ...], other: tuple[int, ...]) -> str:
    """Say what to do with a map that has an axis of several classes which the other has not; "" where it is not that."""
    short, long = sorted((one, other), key=len)
    extra = any(short == long[:axis] + long[axis + 1 :] and long[axis] > 1 for axis in range(len(long)))
    names = "fastseg.sum_scores takes the scores of each class beside labels, fastseg.count_masks one-hot maps of both"
    return f" (one axis more: {names})" if extra else ""


def are_bool(*arrays: Any) -> bool:
    """Tell whether all of them say that they hold booleans, NumPy's or those of another library."""
    return all(
        array.dtype.kind == "b"
        if type(array) is np.ndarray
        else str(getattr(array, "dtype", "")).rpartition(".")[2] == "bool"
        for array in arrays
    )


def tensor_memory(value: Any) -> npt.NDArray[Any] | None:
    """Return a plain tensor of torch's in the memory of the CPU as an array, quicker than DLPack does; None for others."""
    torch = sys.modules.get("torch")
    if torch is None or type(value) is not torch.Tensor or value.device.type != "cpu":
        return None
    try:
        array: npt.NDArray[Any] = value.detach().numpy()
    except (RuntimeError, TypeError):
        return None  # what it is, or lacks, is said elsewhere
    return array


def bfloat16_bits(value: Any) -> Any:
    """Return an array of bfloat16, torch's or that of ml_dtypes, as its bit patterns of int16; None for all others."""
    if type(value) is np.ndarray and value.dtype.kind in "biuf":
        return None  # the common case, and quick to tell
    kind = str(getattr(value, "dtype", ""))
    if kind == "torch.bfloat16":
        return value.detach().view(sys.modules["torch"].int16)
    if kind == "bfloat16":  # of the package ml_dtypes, as JAX and TensorFlow use it
        if (on_device := bfloat16_on_device(value)) is not None:
            return on_device
        return (value if is_blocked(value) else np.asarray(value)).view(np.int16)
    return None


def float32_of_bits(bits: npt.NDArray[np.int16]) -> npt.NDArray[np.float32]:
    """Return the numbers, each exactly, that bit patterns of bfloat16 stand for."""
    return (np.asarray(bits).astype(np.uint16).astype(np.uint32) << 16).view(np.float32)
