"""Arrays in the memory of a GPU, as they pass from the caller to a backend: where they lie, never their numbers."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np

__all__ = ["Device", "DeviceArray", "NoDevice"]


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


@dataclass(frozen=True, eq=False)
class DeviceArray:
    """An array in the memory of a GPU."""

    pointer: int
    """The address of the first number."""
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    """Bytes between neighbours along each axis, as NumPy's."""
    dtype: np.dtype[Any]
    device: Device
    owner: Any = field(default=None, repr=False)
    """What keeps the memory alive."""
    writeable: bool = True

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of numbers."""
        return prod(self.shape)

    @property
    def itemsize(self) -> int:
        """Bytes of a number."""
        return self.dtype.itemsize
