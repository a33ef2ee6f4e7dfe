"""Two maps on a GPU, and a region of interest: what kernels of labels and of masks are told of them."""

from __future__ import annotations

import functools
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastseg.kernels.cuda.compiler import Specialisation
from fastseg.kernels.cuda.driver import driver
from fastseg.kernels.protocols.device import DeviceArray, Limits, Order

__all__ = [
    "ADDRESS", "ARRAY", "BLOCKS", "FEWER_BLOCKS", "MOST_AXES", "PLANS", "THREADS", "Lying", "Maps", "on_host", "packed",
    "padded",
]  # fmt: skip

#: Axes that kernels know, as in common.cuh.
MOST_AXES = 6
#: Threads of a block.
THREADS = 256
#: Blocks of a multiprocessor at a time: what a thread's registers leave room for, and where they leave less.
BLOCKS, FEWER_BLOCKS = 4, 3
#: Voxels of a block that its counters of 32 bits hold.
_MOST_VOXELS = 1 << 31
#: Most blocks along the second axis of a grid.
_MOST_ROWS = 65535
#: How many ways of launching a kernel are remembered.
PLANS = 1024

_TYPES = {
    "b1": "boolean", "u1": "u8", "i1": "i8", "u2": "u16", "i2": "i16", "u4": "u32", "i4": "i32", "u8": "u64", "i8": "i64",
    "f2": "half", "f4": "float", "f8": "double",
}  # fmt: skip
#: `Array` in common.cuh: where it begins, its steps, and those between samples and channels.
ARRAY = struct.Struct(f"<Q{MOST_AXES + 2}q")
ADDRESS = struct.Struct("<Q")
_NO_ARRAY = bytes(ARRAY.size)
#: The end of `Maps` in maps.cuh: sizes of the axes, voxels, samples, channels and how many axes there are.
_SIZES = struct.Struct(f"<{MOST_AXES + 4}q")


class Lying(NamedTuple):
    """An array as a kernel walks through it."""

    pointer: int
    """The address of the first voxel that is looked at, beyond that of a base which is a multiple of 16."""
    type: str
    """The kernel's name of its type."""
    itemsize: int
    steps: tuple[int, ...]
    """Numbers between neighbours along each of the axes that are left."""
    sample_step: int = 0
    channel_step: int = 0
    """Numbers between samples, and between channels."""

    @classmethod
    def of(cls, order: Order, pointer: int, steps: Sequence[int], between: tuple[int, int], bfloat16: bool) -> Lying:
        """Return an array of that type, which is seen from another place with other axes."""
        kind = "bfloat16" if bfloat16 else _TYPES[order.dtype.str[1:]]
        return cls(pointer, kind, order.itemsize, tuple(steps), *between)

    def packed(self, address: int) -> bytes:
        """Return the structure that kernels read, of an array whose first voxel lies there."""
        return ARRAY.pack(address, *padded(self.steps), self.sample_step, self.channel_step)


def packed(array: Lying | None) -> bytes:
    """Return the structure of an array that may not be there, or whose address is written into it later."""
    return _NO_ARRAY if array is None else array.packed(0)


def padded(numbers: tuple[int, ...]) -> tuple[int, ...]:
    """Return a number for each axis that kernels know."""
    return numbers + (0,) * (MOST_AXES - len(numbers))


@dataclass(frozen=True, eq=False)
class Maps:
    """Maps of N samples and C channels, whose voxels lie alike: one object for all that lie as these do, from other bases."""

    true: Lying
    pred: Lying
    mask: Lying | None
    sizes: tuple[int, ...]
    """Of the axes, in the order of memory."""
    samples: int = 1
    channels: int = 1
    weight: Lying | None = None

    @functools.cached_property
    def voxels(self) -> int:
        """Voxels of a channel of a sample."""
        return prod(self.sizes)

    @functools.cached_property
    def _packed(self) -> bytes:
        """The structure that kernels read, without addresses."""
        sizes = _SIZES.pack(*padded(self.sizes), self.voxels, self.samples, self.channels, len(self.sizes))
        return packed(self.true) + packed(self.pred) + packed(self.mask) + sizes

    def packed(self, bases: tuple[int, ...], more: bytes = b"") -> bytearray:
        """Return the structure that kernels read, of arrays that begin there: truth, prediction and mask; and what follows."""
        job = bytearray(self._packed + more)
        ADDRESS.pack_into(job, 0, bases[0] + self.true.pointer)
        ADDRESS.pack_into(job, ARRAY.size, bases[1] + self.pred.pointer)
        if self.mask is not None:
            ADDRESS.pack_into(job, 2 * ARRAY.size, bases[2] + self.mask.pointer)
        return job

    @functools.cached_property
    def vector(self) -> int:
        """How many voxels are read at once; 0 where each array must be walked through by its steps."""
        present = [self.true, self.pred] if self.mask is None else [self.true, self.pred, self.mask]
        vector = 16 // max([each.itemsize for each in present])
        for each in present:
            if each.steps != (1,):
                return 0
        for each in present:
            size = vector * each.itemsize
            between = each.sample_step if self.samples > 1 else 0, each.channel_step if self.channels > 1 else 0
            if each.pointer % size or between[0] % vector or between[1] % vector:
                return 1
        return vector

    @property
    def of_bytes(self) -> bool:
        """Whether sixteen labels of each map, a byte each, are read at once."""
        return self.vector == 16 and self.true.itemsize == self.pred.itemsize == 1

    @property
    def blocks(self) -> int:
        """How many blocks of the usual kernels a multiprocessor has room for at a time."""
        return FEWER_BLOCKS if self.mask is not None and self.vector in (0, 8) else BLOCKS

    def specialised(
        self, kernel: str, *macros: tuple[str, str | int], threads: int = THREADS, blocks: int | None = None
    ) -> Specialisation:
        """Return a kernel for arrays of these types that lie so."""
        vector, mask = self.vector, self.mask
        blocks = self.blocks if blocks is None else blocks
        return Specialisation(
            kernel,
            (
                ("TRUTH", self.true.type), ("PRED", self.pred.type), ("VECTOR", vector), ("MASKED", int(mask is not None)),
                ("MASK", "u8" if mask is None else mask.type), ("THREADS", threads), ("BLOCKS", blocks), *macros,
            ),
        )  # fmt: skip

    def grid(
        self, limits: Limits, threads: int = THREADS, blocks: int | None = None, parts: int = 1
    ) -> tuple[int, int]:
        """Return how many blocks look at each channel of a sample, and how many channels of samples are looked at at once.

        As many blocks as there are parts look at the same voxels. Not one block more than there is room for, where there are
        enough: it would wait until the others are done.
        """
        blocks = self.blocks if blocks is None else blocks
        rows = min(self.samples * self.channels, _MOST_ROWS)
        useful = -(-self.voxels // (threads * max(1, self.vector)))
        wanted = max(limits.multiprocessors * blocks // (rows * parts), -(-self.voxels // _MOST_VOXELS))
        return parts * max(1, min(useful, wanted)), rows


def on_host(array: DeviceArray) -> npt.NDArray[Any]:
    """Return a copy of an array in the memory of the CPU, of the same steps: for messages about what is in it."""
    spread = [(size - 1) * stride for size, stride in zip(array.shape, array.strides, strict=True)]
    least = sum(min(0, each) for each in spread)
    size = sum(map(abs, spread)) + array.itemsize
    memory = driver().download(array.pointer + least, size, array.device)
    return np.ndarray(array.shape, array.dtype, memory, -least, array.strides)
