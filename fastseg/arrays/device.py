"""Arrays of other libraries in the memory of a GPU: found, and taken where they lie."""

from __future__ import annotations

import functools
import sys
from dataclasses import replace
from typing import Any

import numpy as np

from fastseg.arrays.dlpack import DEFAULT_STREAM, described
from fastseg.kernels import device_backend
from fastseg.kernels.protocols.device import Device, DeviceArray

__all__ = ["bfloat16_on_device", "device_array", "device_of", "empty_like"]

#: DLPack's numbers for the memory of CUDA's devices: their own, and that which the CPU shares.
_CUDA = (2, 13)


def device_array(value: Any, name: str) -> DeviceArray | None:
    """Return an array in the memory of an NVIDIA GPU as what it is; None for everything else.

    Raises
    ------
    TypeError
        If it does not say where its numbers lie, or in a way that cannot be read.
    """
    index = _index(value)
    if index is None:
        return None
    if hasattr(value, "detach"):  # a tensor that is differentiated says nothing of itself
        value = value.detach()
    if getattr(value, "is_neg", bool)():
        raise TypeError(
            f"{name}: expected numbers as they lie in memory, found a view that negates them; pass a .clone()"
        )
    interface = getattr(value, "__cuda_array_interface__", None)
    if interface is None:
        found = _by_dlpack(value, index, bfloat16=False)
        if found is None:
            raise TypeError(
                f"{name}: expected an array with the CUDA array interface or DLPack on a GPU, found {type(value).__name__} of "
                f"{value.dtype}"
            )
        return found
    if interface.get("mask") is not None:
        raise TypeError(f"{name}: expected a plain array, found a masked one; pass its data, and mask= what is inside")
    dtype, shape = np.dtype(interface["typestr"]), tuple(map(int, interface["shape"]))
    if not dtype.isnative:
        raise TypeError(f"{name}: expected numbers in the order of bytes of the machine on a GPU, found dtype {dtype}")
    strides = interface.get("strides")
    if strides is None:
        strides = _packed(shape, dtype.itemsize)
    pointer, read_only = interface["data"]
    if index < 0:
        index = device_backend("auto", "a GPU").index_of(int(pointer or 0))
    device = Device(index, _stream(value, interface, index))
    return DeviceArray(int(pointer or 0), shape, tuple(map(int, strides)), dtype, device, value, not read_only)


def bfloat16_on_device(value: Any) -> DeviceArray | None:
    """Return an array of bfloat16 on a GPU, of a library that has DLPack, as its bit patterns of int16; None for others."""
    index = _index(value)
    return None if index is None or index < 0 else _by_dlpack(value, index, bfloat16=True)


def device_of(**arrays: Any) -> Device | None:
    """Return the GPU that all arrays lie on, None where they lie in the memory of the CPU; ValueError if they lie apart."""
    if DeviceArray not in map(type, arrays.values()):
        return None
    present = {
        name: array.device if isinstance(array, DeviceArray) else None
        for name, array in arrays.items()
        if array is not None
    }
    first, place = next(iter(present.items()))
    for name, other in present.items():
        if other != place:
            raise ValueError(
                f"{name}: expected an array in the memory of {_memory(place)}, where {first} lies; found one in that of "
                f"{_memory(other)}"
            )
    assert place is not None
    others = {each.stream or DEFAULT_STREAM for each in present.values() if each is not None}
    others -= {place.stream or DEFAULT_STREAM}
    return replace(place, others=tuple(sorted(others))) if others else place


def empty_like(array: DeviceArray, dtype: np.dtype[Any], name: str) -> Any:
    """Return a new array of the library that one on a GPU is of, of its shape, place and memory order.

    Raises
    ------
    TypeError
        If it is not known how that library makes one; the message names the argument that takes one.
    """
    library = _library(array.owner)
    if library == "torch":
        return sys.modules["torch"].empty_like(array.owner, dtype=getattr(sys.modules["torch"], dtype.name))
    if library == "cupy":
        with sys.modules["cupy"].cuda.Device(array.device.index):
            return sys.modules["cupy"].empty_like(array.owner, dtype)
    raise TypeError(
        f"{name}: expected an array of shape {array.shape} on {array.device} to write to, as there is no way to make one for "
        f"{type(array.owner).__name__}; found None"
    )


def _tensor(value: Any, index: int, name: str) -> DeviceArray:
    """Return a tensor of PyTorch, asked itself: quicker than by its array interface, which says nothing of some."""
    value = value.detach()
    if value.is_neg():
        raise TypeError(
            f"{name}: expected numbers as they lie in memory, found a view that negates them; pass a .clone()"
        )
    dtype = _torch_dtype(value.dtype)
    if dtype is None:
        raise TypeError(f"{name}: expected an array of a type that NumPy has, found {value.dtype}")
    strides = tuple(step * dtype.itemsize for step in value.stride())
    device = Device(index, _stream(value, {}, index))
    return DeviceArray(value.data_ptr(), tuple(value.shape), strides, dtype, device, value)


@functools.cache
def _torch_dtype(kind: Any) -> np.dtype[Any] | None:
    """Return NumPy's type of PyTorch's, None where it has none."""
    try:
        return np.dtype(str(kind).rpartition(".")[2])
    except TypeError:
        return None


def _index(value: Any) -> int | None:
    """Return which GPU an array lies on, -1 where it says only that it lies on one, None where it lies elsewhere."""
    if hasattr(value, "__dlpack_device__"):
        kind, index = value.__dlpack_device__()
        return int(index) if int(kind) in _CUDA else None
    return -1 if hasattr(value, "__cuda_array_interface__") else None


def _by_dlpack(value: Any, index: int, bfloat16: bool) -> DeviceArray | None:
    """Return an array as its capsule describes it, None where it is of another type."""
    found = described(value) if hasattr(value, "__dlpack__") else None
    if found is None or found.bfloat16 != bfloat16:
        return None
    strides = _packed(found.shape, found.dtype.itemsize) if found.strides is None else found.strides
    device = Device(index, DEFAULT_STREAM)
    return DeviceArray(
        found.pointer, found.shape, strides, found.dtype, device, (value, found.capsule), writeable=False
    )


def _memory(device: Device | None) -> str:
    return "the CPU" if device is None else str(device)


def _packed(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    strides = []
    for size in reversed(shape):
        strides.append(itemsize)
        itemsize *= size
    return tuple(reversed(strides))


def _library(value: Any) -> str | None:
    """Return which library an array, or what its class is made of, comes from; None for those that are not asked anything."""
    names = (kind.__module__.partition(".")[0] for kind in type(value).__mro__)
    return next((name for name in names if name in ("torch", "cupy")), None)


def _stream(value: Any, interface: dict[str, Any], index: int) -> int:
    """Return the stream that the caller works on, by its own library's word; 0 is CUDA's default one."""
    library = _library(value)
    if library == "torch":
        return int(sys.modules["torch"].cuda.current_stream(value.device).cuda_stream)
    if library == "cupy":
        with sys.modules["cupy"].cuda.Device(index):  # each GPU has a current stream of its own
            return int(sys.modules["cupy"].cuda.get_current_stream().ptr)
    return int(interface.get("stream") or 0)
