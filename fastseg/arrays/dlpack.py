"""What a DLPack capsule says of an array on a GPU; NumPy reads those of the CPU alone."""

from __future__ import annotations

import ctypes
from typing import Any, NamedTuple

import numpy as np

__all__ = ["Described", "described"]

#: The stream that producers let theirs wait for: CUDA's default one, by DLPack's number of it.
DEFAULT_STREAM = 1

_KINDS = {0: "i", 1: "u", 2: "f", 6: "b"}
_BFLOAT = 4


class _Tensor(ctypes.Structure):
    """`DLTensor` of dlpack.h."""

    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32), ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8), ("bits", ctypes.c_uint8), ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)), ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    )  # fmt: skip


class Described(NamedTuple):
    """An array in the memory of a GPU, as its capsule describes it."""

    pointer: int
    shape: tuple[int, ...]
    strides: tuple[int, ...] | None
    """Bytes; None where the numbers lie in C order without gaps."""
    dtype: np.dtype[Any]
    bfloat16: bool
    """Whether it holds bfloat16, whose bits `dtype` is for."""
    capsule: Any
    """What keeps the memory alive."""


def described(value: Any) -> Described | None:
    """Return what an array with DLPack says of itself, None of other types; CUDA's default stream waits for its work."""
    capsule = value.__dlpack__(stream=DEFAULT_STREAM)
    pointer_of = ctypes.pythonapi.PyCapsule_GetPointer
    pointer_of.restype, pointer_of.argtypes = ctypes.c_void_p, (ctypes.py_object, ctypes.c_char_p)
    tensor = _Tensor.from_address(pointer_of(capsule, b"dltensor"))
    bfloat16 = tensor.code == _BFLOAT and tensor.bits == 16
    kind = "i" if bfloat16 else _KINDS.get(tensor.code)
    if kind is None or tensor.lanes != 1 or tensor.bits not in (8, 16, 32, 64):
        return None
    dtype = np.dtype(f"{kind}{tensor.bits // 8}")
    shape = tuple(tensor.shape[: tensor.ndim])
    strides = None if not tensor.strides else tuple(step * dtype.itemsize for step in tensor.strides[: tensor.ndim])
    return Described((tensor.data or 0) + tensor.byte_offset, shape, strides, dtype, bfloat16, capsule)
