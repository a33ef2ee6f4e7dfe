"""Arrays in the memory of a GPU, as they pass from the caller to a backend: where they lie, never their numbers."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import Any, NamedTuple

import numpy as np

__all__ = ["Device", "DeviceArray", "Limits", "NoDevice", "Order"]


class NoDevice(RuntimeError):  # noqa: N818 - it says what is missing, not what went wrong
    """Arrays on a GPU cannot be counted here: no driver or package that calls it, no kernel for that GPU, or no memory."""


@dataclass(frozen=True)
class Device:
    """A GPU, and the stream that its caller works on."""

    index: int
    stream: int = field(compare=False, default=0)
    """CUDA's handle of the stream; 0 is the default one."""
    others: tuple[int, ...] = field(compare=False, default=())
    """Streams that some of the arrays are made on, where that is another one."""

    def __str__(self) -> str:
        return f"GPU {self.index}"


class Limits(NamedTuple):
    """What a GPU has."""

    multiprocessors: int
    shared_bytes: int
    """Most shared memory of a block that asks for much."""


class Order:
    """Shape, steps and type of arrays: one object for all that lie alike, by which is kept what was found out of them."""

    __slots__ = ("dtype", "itemsize", "ndim", "shape", "size", "strides")

    def __init__(self, shape: tuple[int, ...], strides: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self.shape, self.strides, self.dtype = shape, strides, dtype
        self.ndim, self.size, self.itemsize = len(shape), prod(shape), dtype.itemsize


@dataclass(eq=False, slots=True)
class DeviceArray:
    """An array in the memory of a GPU."""

    pointer: int
    """The address of the first number."""
    order: Order
    device: Device
    owner: Any = field(default=None, repr=False)
    """What keeps the memory alive."""
    writeable: bool = True

    @property
    def shape(self) -> tuple[int, ...]:
        """Numbers along each axis."""
        return self.order.shape

    @property
    def strides(self) -> tuple[int, ...]:
        """Bytes between neighbours along each axis, as NumPy's."""
        return self.order.strides

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of its numbers."""
        return self.order.dtype

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self.order.ndim

    @property
    def size(self) -> int:
        """The number of numbers."""
        return self.order.size

    @property
    def itemsize(self) -> int:
        """Bytes of a number."""
        return self.order.itemsize

    def __repr__(self) -> str:
        return f"an array of {self.dtype} of shape {self.shape} and strides {self.strides} on {self.device}"
