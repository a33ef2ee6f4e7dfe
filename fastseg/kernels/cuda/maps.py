"""Two maps on a GPU, and a region of interest: what kernels of labels and of masks are told of them."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastseg.kernels.cuda.compiler import Specialisation
from fastseg.kernels.cuda.driver import Limits, driver
from fastseg.kernels.protocols.device import DeviceArray

__all__ = ["ARRAY", "MAPS", "MOST_AXES", "THREADS", "Lying", "Maps", "on_host"]

#: Axes that kernels know, as in common.cuh.
MOST_AXES = 6
#: Threads of a block.
THREADS = 256
#: Blocks of a multiprocessor at a time: what a thread's registers leave room for, with few of them and with many.
_BLOCKS, _FEWER_BLOCKS = 4, 3
#: Voxels of a block that its counters of 32 bits hold.
_MOST_VOXELS = 1 << 31
#: Most blocks along the second axis of a grid.
_MOST_ROWS = 65535

_TYPES = {
    "b1": "boolean", "u1": "u8", "i1": "i8", "u2": "u16", "i2": "i16", "u4": "u32", "i4": "i32", "u8": "u64", "i8": "i64",
    "f2": "half", "f4": "float", "f8": "double",
}  # fmt: skip
#: `Array` in common.cuh.
ARRAY = np.dtype([("data", "u8"), ("steps", "i8", MOST_AXES), ("sample_step", "i8"), ("channel_step", "i8")])
#: `Maps` in maps.cuh.
MAPS = np.dtype(
    [
        ("truth", ARRAY), ("pred", ARRAY), ("mask", ARRAY), ("sizes", "i8", MOST_AXES),
        ("voxels", "i8"), ("samples", "i8"), ("channels", "i8"), ("axes", "i8"),
    ]
)  # fmt: skip


class Lying(NamedTuple):
    """An array as a kernel walks through it."""

    pointer: int
    type: str
    """The kernel's name of its type."""
    itemsize: int
    steps: tuple[int, ...]
    """Numbers between neighbours along each of the axes that are left."""
    sample_step: int = 0
    channel_step: int = 0
    """Numbers between samples, and between channels."""

    @classmethod
    def of(
        cls, array: DeviceArray, pointer: int, steps: Sequence[int], between: tuple[int, int], bfloat16: bool
    ) -> Lying:
        """Return an array of that type, which is seen from another place with other axes."""
        kind = "bfloat16" if bfloat16 else _TYPES[array.dtype.str[1:]]
        return cls(pointer, kind, array.itemsize, tuple(steps), *between)

    def packed(self) -> tuple[int, list[int], int, int]:
        """Return it as a row of the structure that the kernel reads."""
        return self.pointer, [*self.steps, *[0] * (MOST_AXES - len(self.steps))], self.sample_step, self.channel_step


class Maps(NamedTuple):
    """Maps of N samples and C channels, whose voxels lie alike."""

    true: Lying
    pred: Lying
    mask: Lying | None
    sizes: tuple[int, ...]
    """Of the axes, in the order of memory."""
    samples: int = 1
    channels: int = 1
    weight: Lying | None = None

    @property
    def voxels(self) -> int:
        """Voxels of a channel of a sample."""
        return prod(self.sizes)

    def packed(self) -> npt.NDArray[Any]:
        """Return the structure that kernels read."""
        found = np.zeros((), MAPS)
        found["truth"], found["pred"] = self.true.packed(), self.pred.packed()
        if self.mask is not None:
            found["mask"] = self.mask.packed()
        found["sizes"][: len(self.sizes)] = self.sizes
        found["voxels"], found["axes"] = self.voxels, len(self.sizes)
        found["samples"], found["channels"] = self.samples, self.channels
        return found

    @property
    def vector(self) -> int:
        """How many voxels are read at once; 0 where each array must be walked through by its steps."""
        present = [each for each in (self.true, self.pred, self.mask) if each is not None]
        if any(each.steps != (1,) for each in present):
            return 0
        vector = 16 // max(each.itemsize for each in present)
        for each in present:
            places = [each.pointer]
            places += [each.sample_step * each.itemsize] if self.samples > 1 else []
            places += [each.channel_step * each.itemsize] if self.channels > 1 else []
            if any(place % (vector * each.itemsize) for place in places):
                return 1
        return vector

    def specialised(self, kernel: str, *macros: tuple[str, str | int]) -> Specialisation:
        """Return a kernel for arrays of these types that lie so."""
        vector, mask = self.vector, self.mask
        return Specialisation(
            kernel,
            (
                ("TRUTH", self.true.type), ("PRED", self.pred.type), ("VECTOR", vector), ("MASKED", int(mask is not None)),
                ("MASK", "u8" if mask is None else mask.type), ("THREADS", THREADS),
                ("BLOCKS", _BLOCKS if vector > 4 and mask is None else _FEWER_BLOCKS), *macros,
            ),
        )  # fmt: skip

    def grid(self, limits: Limits) -> tuple[int, int]:
        """Return how many blocks look at each channel of a sample, and how many channels of samples are looked at at once."""
        rows = min(self.samples * self.channels, _MOST_ROWS)
        useful = -(-self.voxels // (THREADS * max(1, self.vector)))
        wanted = max(-(-limits.multiprocessors * _BLOCKS // rows), -(-self.voxels // _MOST_VOXELS))
        return max(1, min(useful, wanted)), rows


def on_host(array: DeviceArray) -> npt.NDArray[Any]:
    """Return a copy of an array in the memory of the CPU, of the same steps: for messages about what is in it."""
    spread = [(size - 1) * stride for size, stride in zip(array.shape, array.strides, strict=True)]
    least = sum(min(0, each) for each in spread)
    size = sum(map(abs, spread)) + array.itemsize
    memory = driver().download(array.pointer + least, size, array.device)
    return np.ndarray(array.shape, array.dtype, memory, -least, array.strides)
