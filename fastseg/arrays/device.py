"""Arrays of other libraries in the memory of a GPU: found, and taken where they lie."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from fastseg.arrays.dlpack import DEFAULT_STREAM, described
from fastseg.kernels import device_backend
from fastseg.kernels.protocols.device import Device, DeviceArray, Order

__all__ = ["bfloat16_on_device", "device_array", "device_of", "empty_like", "tensor_on_device"]

#: DLPack's numbers for the memory of CUDA's devices: their own, and that which the CPU shares.
_CUDA = (2, 13)
#: PyTorch's types that NumPy has, by name; bfloat16 as its bits.
_TORCH_TYPES = {name: np.dtype(name) for name in (
    "bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float16", "float32", "float64",
    "complex64", "complex128",
)} | {"bfloat16": np.dtype(np.int16)}  # fmt: skip
#: Calls come again and again with the same arrays, or with others that are alike.
_device = functools.lru_cache(maxsize=256)(Device)


def tensor_on_device(value: Any, name: str) -> tuple[DeviceArray, bool] | None:
    """Return a plain tensor of PyTorch on a GPU, and whether it is of bfloat16 (as bits of int16 then); None for all else.

    It is asked itself, which is quicker than its array interface.

    Raises
    ------
    TypeError
        If its numbers do not lie in memory as they are, or are of a type that NumPy does not have.
    """
    torch = sys.modules.get("torch")
    if torch is None or type(value) is not torch.Tensor:
        return None
    index = _gpu_of(value)
    if index is None or value.layout is not torch.strided:
        return None
    if value.requires_grad:
        value = value.detach()  # so that what is kept keeps no graph
    _check_sign(value, name)
    try:
        pointer = value.data_ptr()
    except RuntimeError:  # of a transformation of functions
        return None
    found = _order_of_tensor(value.shape, value.stride(), value.dtype)
    if found is None:
        raise TypeError(f"{name}: expected an array of a type that NumPy has, found {value.dtype}")
    order, bfloat16 = found
    if not pointer:
        _check_memory(pointer, order, value, name)
    return DeviceArray(pointer, order, _device(index, _stream_of_torch()(index)), value), bfloat16


def device_array(value: Any, name: str) -> DeviceArray | None:
    """Return an array in the memory of an NVIDIA GPU as what it is; None for everything else.

    Raises
    ------
    TypeError
        If it does not say where its numbers lie, or in a way that cannot be read.
    """
    tensor = tensor_on_device(value, name)
    if tensor is not None:
        if tensor[1]:
            raise TypeError(f"{name}: expected an array of a type that NumPy has, found bfloat16; pass its .float()")
        return tensor[0]
    index = _index(value)
    if index is None:
        return None
    if hasattr(value, "detach"):  # a tensor that is differentiated says nothing of itself
        value = value.detach()
    _check_sign(value, name)
    interface = getattr(value, "__cuda_array_interface__", None)
    if interface is None or _says_nothing_of_streams(value, interface):
        found = _by_dlpack(value, index, False, name)
        if found is None:
            raise TypeError(
                f"{name}: expected an array with the CUDA array interface or DLPack on a GPU, found {type(value).__name__} of "
                f"{value.dtype}"
            )
        return found
    if interface.get("mask") is not None:
        raise TypeError(f"{name}: expected a plain array, found a masked one; pass its data, and mask= what is inside")
    strides = interface.get("strides")
    order = _order(
        tuple(map(int, interface["shape"])),
        None if strides is None else tuple(map(int, strides)),
        interface["typestr"],
    )
    if not order.dtype.isnative:
        raise TypeError(
            f"{name}: expected numbers in the order of bytes of the machine on a GPU, found dtype {order.dtype}"
        )
    address, read_only = interface["data"]
    pointer = int(address or 0)
    _check_memory(pointer, order, value, name)
    if index < 0:
        index = device_backend("auto", "a GPU").index_of(pointer)
    return DeviceArray(pointer, order, _device(index, _stream(value, interface, index)), value, not read_only)


def bfloat16_on_device(value: Any) -> DeviceArray | None:
    """Return an array of bfloat16 on a GPU, of a library that has DLPack, as its bit patterns of int16; None for others."""
    index = _index(value)
    return None if index is None or index < 0 else _by_dlpack(value, index, True, "bfloat16")


def device_of(**arrays: Any) -> Device | None:
    """Return the GPU that all arrays lie on, None where they lie in the memory of the CPU; ValueError if they lie apart."""
    kinds = {*map(type, arrays.values())}
    if DeviceArray not in kinds:
        return None
    present = {
        name: array.device if isinstance(array, DeviceArray) else None
        for name, array in arrays.items()
        if array is not None
    }
    first, place = next(iter(present.items()))
    if all(other is place for other in present.values()):
        return place
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
    owner = array.owner[0] if isinstance(array.owner, tuple) else array.owner  # beside its capsule
    library = _library(owner)
    if library == "torch":
        return sys.modules["torch"].empty_like(owner, dtype=getattr(sys.modules["torch"], dtype.name))
    if library == "cupy":
        with sys.modules["cupy"].cuda.Device(array.device.index):
            return sys.modules["cupy"].empty_like(owner, dtype)
    raise TypeError(
        f"{name}: expected an array of shape {array.shape} on {array.device} to write to, as there is no way to make one for "
        f"{type(owner).__name__}; found None"
    )


def _gpu_of(tensor: Any) -> int | None:
    """Return which of NVIDIA's GPUs a tensor of PyTorch lies on, None of others."""
    if not tensor.is_cuda or sys.modules["torch"].version.cuda is None:  # AMD's have the same name there
        return None
    index: int = tensor.get_device()
    return index


@functools.lru_cache(maxsize=4096)
def _order_of_tensor(shape: tuple[int, ...], steps: tuple[int, ...], kind: Any) -> tuple[Order, bool] | None:
    """Return how tensors lie, and whether they are of bfloat16; None of a type that NumPy does not have."""
    name = str(kind).rpartition(".")[2]
    dtype = _TORCH_TYPES.get(name)
    if dtype is None:
        return None
    return Order(tuple(shape), tuple([step * dtype.itemsize for step in steps]), dtype), name == "bfloat16"


@functools.lru_cache(maxsize=4096)
def _order(shape: tuple[int, ...], strides: tuple[int, ...] | None, typestr: str) -> Order:
    """Return how arrays lie; strides are None where they lie in C order without gaps."""
    dtype = np.dtype(typestr)
    return Order(shape, _packed(shape, dtype.itemsize) if strides is None else strides, dtype)


def _check_sign(value: Any, name: str) -> None:
    if getattr(value, "is_neg", bool)():
        raise TypeError(
            f"{name}: expected numbers as they lie in memory, found a view that negates them; pass a .clone()"
        )


def _check_memory(pointer: int, order: Order, value: Any, name: str) -> None:
    """Refuse what says that it lies on a GPU and has no address there, as tensors of many processes."""
    if not pointer and order.size:
        raise TypeError(f"{name}: expected an array with memory on a GPU, found {type(value).__name__} without any")


def _says_nothing_of_streams(value: Any, interface: dict[str, Any]) -> bool:
    """Tell whether only DLPack waits for the work that makes an array: the interface did not before version 3."""
    return int(interface.get("version", 0)) < 3 and hasattr(value, "__dlpack__") and _library(value) is None


def _index(value: Any) -> int | None:
    """Return which GPU an array lies on, -1 where it says only that it lies on one, None where it lies elsewhere."""
    if hasattr(value, "__dlpack_device__"):
        kind, index = value.__dlpack_device__()
        return int(index) if int(kind) in _CUDA else None
    return -1 if hasattr(value, "__cuda_array_interface__") else None


def _by_dlpack(value: Any, index: int, bfloat16: bool, name: str) -> DeviceArray | None:
    """Return an array as its capsule describes it, None where it is of another type."""
    if not hasattr(value, "__dlpack__"):
        return None
    try:
        found = described(value)
    except (BufferError, RuntimeError, TypeError, ValueError) as error:  # sparse, or shared out over GPUs
        raise TypeError(f"{name}: expected a dense array on one GPU, found {type(value).__name__}: {error}") from error
    if found is None or found.bfloat16 != bfloat16:
        return None
    order = _order(found.shape, found.strides, found.dtype.str)
    _check_memory(found.pointer, order, value, name)
    return DeviceArray(found.pointer, order, _device(index, DEFAULT_STREAM), (value, found.capsule), writeable=False)


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
        return _stream_of_torch()(index)
    if library == "cupy":
        with sys.modules["cupy"].cuda.Device(index):  # each GPU has a current stream of its own
            return int(sys.modules["cupy"].cuda.get_current_stream().ptr)
    return int(interface.get("stream") or 0)


@functools.cache
def _stream_of_torch() -> Callable[[int], int]:
    """Return what tells PyTorch's current stream of a GPU: the short way that what it compiles takes, where there is one."""
    torch = sys.modules["torch"]
    raw = getattr(torch._C, "_cuda_getCurrentRawStream", None)
    return raw or (lambda index: int(torch.cuda.current_stream(index).cuda_stream))
