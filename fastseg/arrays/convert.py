"""Anything like an array becomes a NumPy array, without a copy."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fastseg.arrays import array_likes, image_objects
from fastseg.arrays.array_likes import bfloat16_bits
from fastseg.arrays.blocked import blocked_array, blocks_of, refuse_blocks
from fastseg.arrays.device import device_array, tensor_on_device
from fastseg.kernels.protocols.device import DeviceArray

__all__ = ["as_array", "checked_mask", "checked_weight", "label_map_or_bits", "same_shape", "score_array"]

Array = npt.NDArray[Any]
#: What DLPack calls devices by: those of NVIDIA, with memory of their own or managed, of Apple and of AMD.
_DEVICES = {2: "GPU", 13: "GPU", 8: "Metal GPU", 10: "ROCm GPU"}


def as_array(value: Any, name: str, on_device: bool = False, in_blocks: bool = False) -> Any:
    """Return `value` as an array that shares its memory where it can; with `on_device` one of a GPU is a `DeviceArray`.

    With `in_blocks` one of Dask is what it is, and an error without.

    Takes NumPy arrays, anything with DLPack, the buffer protocol or `__array__` in the memory of the CPU, numbers, (nested)
    lists and tuples of numbers, and the images of other libraries that `fastseg.arrays.image_objects` knows.

    Raises
    ------
    TypeError, ValueError
        If it is no array, is masked, or lives on another device; if it is an image that cannot be read.
    """
    if type(value) is np.ndarray or (on_device and type(value) is DeviceArray):
        return value
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"{name}: expected a plain array, found a masked array; pass its data, and mask=~array.mask")
    if isinstance(value, np.ndarray):
        return value.view(np.ndarray)
    if isinstance(value, (bytes, bytearray)):
        return np.frombuffer(value, np.uint8)
    if isinstance(value, (dict, set)) or value is None:
        raise TypeError(f"{name}: expected an array, found {type(value).__name__}")
    tensor = array_likes.tensor_memory(value)
    if tensor is not None:
        return tensor
    image = image_objects.opened(value, name)
    if image is not None:
        return as_array(image.read(), name, on_device, in_blocks)
    if (blocks := blocks_of(value, name)) is not None:
        if not in_blocks:
            raise refuse_blocks(name)
        return blocked_array(blocks, name)
    if hasattr(value, "__dlpack_device__"):
        try:
            kind, number = value.__dlpack_device__()
        except Exception as error:  # such as a torch tensor without memory, on the device "meta"
            raise TypeError(
                f"{name}: expected an array in the memory of the CPU, found {type(value).__name__}: {error}"
            ) from None
        if int(kind) not in (1, 3):  # CPU, or page-locked memory of the CPU
            if on_device and (found := device_array(value, name)) is not None:
                return found
            raise _elsewhere(name, f"{_DEVICES.get(int(kind), f'a device of DLPack kind {int(kind)}')} {number}")
        try:
            return np.from_dlpack(value.detach() if hasattr(value, "detach") else value)
        except (BufferError, RuntimeError, TypeError):
            pass  # a type or a read-only memory that DLPack cannot say: try the other ways
    elif hasattr(value, "__cuda_array_interface__"):
        if on_device:
            return device_array(value, name)
        raise _elsewhere(name, "a GPU")
    array_likes.check_holds_array(value, name)
    try:
        array = np.asarray(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(f"{name}: expected an array, found {type(value).__name__}: {error}") from None
    if array.dtype == object:
        raise TypeError(f"{name}: expected an array of numbers, found {type(value).__name__} (object dtype)")
    return array


def _elsewhere(name: str, device: str) -> TypeError:
    return TypeError(
        f"{name}: expected an array in the memory of the CPU, found one in that of {device}; copy it, as PyTorch's .cpu() does"
    )


def label_map_or_bits(value: Any, name: str, on_device: bool = False) -> tuple[Any, bool]:
    """Return `as_array` of labels, and whether it holds the bit patterns of bfloat16; TypeError where it cannot be labels."""
    found = _array_or_bits(value, name, on_device)
    dtype = found[0].dtype
    if dtype.kind not in "biuf" or dtype.itemsize > 8:
        raise TypeError(f"{name}: expected bool, integers, or floats that hold whole numbers; found dtype {dtype}")
    return found


def _array_or_bits(value: Any, name: str, on_device: bool) -> tuple[Any, bool]:
    """Return `as_array` of a value, and whether it holds the bit patterns of bfloat16, as int16."""
    if on_device and (found := tensor_on_device(value, name)) is not None:
        return found
    bits = bfloat16_bits(value)
    return as_array(value if bits is None else bits, name, on_device, in_blocks=True), bits is not None


def checked_mask(value: Any, shape: tuple[int, ...], on_device: bool = False) -> Any:
    """Return a region of interest of that shape as an array, None where it is None; TypeError or ValueError if it is none."""
    if value is None:
        return None
    array = as_array(value, "mask", on_device, in_blocks=True)
    if array.dtype.kind not in "biu":
        raise TypeError(f"mask: expected bool or integers (not zero: inside), found dtype {array.dtype}")
    _shaped(array, "mask", shape)
    return array


def checked_weight(value: Any, shape: tuple[int, ...], on_device: bool = False) -> Any:
    """Return weights of that shape as an array, None where it is None; TypeError or ValueError if they are none."""
    if value is None:
        return None
    array = as_array(value, "sample_weight", on_device, in_blocks=True)
    if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
        raise TypeError(f"sample_weight: expected real numbers, found dtype {array.dtype}")
    _shaped(array, "sample_weight", shape)
    return array


def _shaped(array: Array, name: str, shape: tuple[int, ...]) -> None:
    if array.shape != shape:
        raise ValueError(f"{name}: expected one value a voxel, shape {shape}; found shape {array.shape}")


def same_shape(a: Array, name_a: str, b: Array, name_b: str, note: str = "") -> None:
    """Raise a ValueError unless two arrays have one shape; `note` may say why they do not."""
    if a.shape != b.shape:
        note = note or array_likes.extra_axis_note(a.shape, b.shape)
        raise ValueError(f"{name_b}: expected the shape of {name_a}, {a.shape}; found {b.shape}{note}")


def score_array(value: Any, name: str, on_device: bool = False) -> tuple[Any, bool]:
    """Return an array of scores, and whether it holds the bit patterns of bfloat16 as int16."""
    found = _array_or_bits(value, name, on_device)
    dtype = found[0].dtype
    if dtype.kind not in "biuf" or dtype.itemsize > 8:
        raise TypeError(f"{name}: expected real numbers, found dtype {dtype}")
    return found
