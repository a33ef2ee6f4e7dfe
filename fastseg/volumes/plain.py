"""Voxels that lie uncompressed in a file, one after another: any box of them, read by several threads at once."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fastseg.volumes.base import StreamError

#: Boxes whose rows are shorter than this are read together with what lies between the rows.
_GAP_BYTES = 4096
_lock = threading.Lock()  # where there is no read at a position


class PlainVoxels:
    """Read boxes of an array that lies in an open file.

    Reads are bounded and never mapped into memory: a mapped file that somebody truncates kills the process.

    Parameters
    ----------
    descriptor : int
        Of the open file; it stays the caller's to close.
    offset : int
        Bytes before the first voxel.
    shape, dtype, order
        Of the array, as in `Volume`.
    name : str
        Of the file, for messages.
    """

    def __init__(
        self,
        descriptor: int,
        offset: int,
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        order: Literal["F", "C"],
        name: str,
    ) -> None:
        self._descriptor, self._offset, self._dtype, self._order, self._name = descriptor, offset, dtype, order, name
        self._shape = shape if order == "C" else shape[::-1]
        steps = [dtype.itemsize]
        for size in self._shape[:0:-1]:
            steps.append(steps[-1] * size)
        self._steps = steps[::-1]  # bytes from one index to the next along each axis, slowest first

    def read_block(self, start: tuple[int, ...], stop: tuple[int, ...]) -> NDArray[Any]:
        """Return the box from `start` up to `stop`; raise StreamError where the file ends before."""
        if self._order == "F":
            start, stop = start[::-1], stop[::-1]
        sizes = [b - a for a, b in zip(start, stop, strict=True)]
        if not self._shape or not math.prod(sizes):
            values = np.empty(sizes, self._dtype)
            if not self._shape:
                self._fill(values.reshape(1).view(np.uint8).data, self._offset)
            return values.T if self._order == "F" else values
        # Axes from `whole` on are read in one go: all of them but the first are whole, or so short that the gaps between
        # what is wanted are read too.
        whole = len(sizes) - 1
        while whole > 0 and (
            sizes[whole] == self._shape[whole] or (self._shape[whole] - sizes[whole]) * self._steps[whole] < _GAP_BYTES
        ):
            whole -= 1
        first = [a if axis <= whole else 0 for axis, a in enumerate(start)]
        lengths = [n if axis <= whole else self._shape[axis] for axis, n in enumerate(sizes)]
        values = np.empty(lengths, self._dtype)
        run = math.prod(lengths[whole:]) * self._dtype.itemsize
        target = memoryview(values.reshape(-1).view(np.uint8))  # type: ignore[arg-type]
        origin = self._offset + sum(a * step for a, step in zip(first, self._steps, strict=True))
        for number, index in enumerate(np.ndindex(*lengths[:whole])):
            at = origin + sum(i * step for i, step in zip(index, self._steps[:whole], strict=True))
            self._fill(target[number * run : (number + 1) * run], at)
        inner = tuple(
            slice(None) if axis <= whole else slice(start[axis], stop[axis]) for axis in range(len(sizes))
        )
        box: NDArray[Any] = values[inner]
        return box.T if self._order == "F" else box

    def _fill(self, view: memoryview, position: int) -> None:
        filled = 0
        while filled < len(view):
            try:
                count = _read_at(self._descriptor, view[filled:], position + filled)
            except OSError as error:
                raise StreamError(self._name, f"{error.strerror} (at byte {position + filled})") from error
            if not count:
                raise StreamError(
                    self._name, f"expected {len(view) - filled} bytes more at byte {position + filled}, found the end"
                )
            filled += count


def _read_seeking(descriptor: int, view: memoryview, position: int) -> int:
    with _lock:
        os.lseek(descriptor, position, os.SEEK_SET)
        block = os.read(descriptor, len(view))
    view[: len(block)] = block
    return len(block)


def _read_positioned(descriptor: int, view: memoryview, position: int) -> int:
    return os.preadv(descriptor, [view], position)


_read_at: Callable[[int, memoryview, int], int] = _read_positioned if hasattr(os, "preadv") else _read_seeking
