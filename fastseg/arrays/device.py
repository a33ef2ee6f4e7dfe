"""Arrays of other libraries in the memory of a GPU: found, and taken where they lie."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from fastseg.kernels.protocols.device import Device, DeviceArray

__all__ = ["device_array", "device_of", "empty_like"]

#: DLPack's numbers for the memory of CUDA's devices: their own, and that which the CPU shares.
_CUDA = (2, 13)


def device_array(value: Any, name: str) -> DeviceArray | None:
    """Return an array in the memory of an NVIDIA GPU as what it is; None for everything else.

    Raises
    ------
    TypeError
        If it does not say where its numbers lie.
    """
    kind, index = value.__dlpack_device__()
    if int(kind) not in _CUDA:
        return None
    if hasattr(value, "detach"):  # a tensor that is differentiated says nothing of itself
        value = value.detach()
    interface = getattr(value, "__cuda_array_interface__", None)
    if interface is None:
        raise TypeError(
            f"{name}: expected an array with the CUDA array interface on a GPU, found {type(value).__name__} of {value.dtype}"
        )
    dtype, shape = np.dtype(interface["typestr"]), tuple(map(int, interface["shape"]))
    strides = interface.get("strides")
    if strides is None:
        strides = _packed(shape, dtype.itemsize)
    return DeviceArray(
        int(interface["data"][0]),
        shape,
        tuple(map(int, strides)),
        dtype,
        Device(int(index), _stream(value, interface)),
        value,
    )


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
    return place


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


def _stream(value: Any, interface: dict[str, Any]) -> int:
    """Return the stream that the caller works on, by its own library's word."""
    library = _library(value)
    if library == "torch":
        return int(sys.modules["torch"].cuda.current_stream(value.device).cuda_stream)
    if library == "cupy":
        return int(sys.modules["cupy"].cuda.get_current_stream().ptr)
    return int(interface.get("stream") or 0)
