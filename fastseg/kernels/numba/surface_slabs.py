"""Planes of a map, one voxel of padding around them, in the few types that elements are searched in."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastseg.kernels.numba.surface_elements import Slab
from fastseg.kernels.protocols.surfaces import Layer

__all__ = ["Slabs", "solid"]

Array = npt.NDArray[Any]

#: Voxels of a slab, in whole planes: with its padding it stays in a cache.
_VOXELS = 1 << 21
#: Bytes beyond a buffer's end that 64 lanes may reach.
_SPARE = 128


def solid(array: Array) -> Array:
    """Return an image with three axes: one of two gets a middle one, across which nothing is compared."""
    return array if array.ndim == 3 else array[:, None, :]


class Encoding(NamedTuple):
    """How labels become the few types that elements are searched in, such that other values are of other classes."""

    dtype: np.dtype[Any]
    classes: Array
    """The class of each value there, -1 for none."""
    outside: int
    """A value that is in no class."""
    values: Array
    """Those labels that are in a class, increasing where there is a table."""
    table: Array | None
    """What each of these becomes, and at the end all others; None where values stay as they are."""


@functools.lru_cache(maxsize=8)
def _encoding(values_bytes: bytes, classes_bytes: bytes) -> Encoding:
    values, classes = np.frombuffer(values_bytes, np.int64), np.frombuffer(classes_bytes, np.intp)
    largest = int(values.max(initial=0))
    single = len({*classes.tolist()}) == classes.size and int(values.min(initial=0)) >= 0
    width = next((n for n in (256, 65536) if single and largest < n and values.size < n), 0)
    if width:  # values as they are: what differs in them differs in class
        of = np.full(width, -1, np.int32)
        of[values] = classes
        return Encoding(np.dtype(np.uint8 if width == 256 else np.uint16), of, int(np.argmin(of)), values, None)
    dtype = np.dtype(np.uint8 if classes.max(initial=0) < 255 else np.uint16)
    order = np.argsort(values)
    table = np.append(classes[order] + 1, 0).astype(dtype)
    return Encoding(dtype, np.arange(-1, 2 ** (8 * dtype.itemsize) - 1).astype(np.int32), 0, values[order], table)


class Slabs:
    """Both maps of a layer in slabs, or each as a whole. `classes` has the class of each value there, -1 for none."""

    def __init__(
        self, layer: Layer, unknown: Array | None, axes: int, surface: str, border: str, whole: bool = False
    ) -> None:
        self.maps = (solid(layer.y_true), solid(layer.y_pred))
        self.unknown = None if unknown is None else solid(unknown).view(np.uint8)
        self.border, self.across = border, int(axes == 3)
        self.planes, self.rows, self.columns = self.maps[0].shape
        self.step = self.planes if whole else max(1, _VOXELS // max(1, self.rows * self.columns))
        self.dtype, self.classes, self.outside, self._values, self._table = _encoding(
            layer.values.tobytes(), layer.classes.tobytes()
        )
        self.pitch = self.columns + 2
        self.plane = self.pitch * (self.rows + 2 * self.across)
        start = self.plane + self.pitch * self.across + 1
        self.flags = np.array([1, self.across, 1, start, surface == "object", self.classes[0] < 0, 0, 0], np.int64)
        self._spare: list[tuple[Array, Array]] = []
        copied = whole or surface == "surfel"
        self._flat = [None if copied else self._as_it_lies(each) for each in self.maps]
        self._spans = list(self._cut())
        self.number = len(self._spans)

    def slab(self, which: int, number: int) -> Slab:
        """Return a slab of the truth (0) or the prediction (1); it is in use until it is given back."""
        first, last, inner = self._spans[number]
        shape = (last - first, self.rows, self.columns)
        flat = self._flat[which]
        if inner and flat is not None:
            plane = self.rows * self.columns
            flags = np.append(self.flags[:6], [1, self.border == "extend"])
            flags[3] = first * plane
            return Slab(flat, np.empty(0, np.uint8), shape, first, flags, plane, self.columns)
        try:
            labels, unknown = self._spare.pop()
        except IndexError:  # all are in use
            labels, unknown = self._buffers()
        self._fill(labels, self.maps[which], first, last, self.outside)
        if self.unknown is not None:
            self._fill(unknown, self.unknown, first, last, 0)
        return Slab(labels, unknown, shape, first, self.flags, self.plane, self.pitch)

    def give_back(self, slab: Slab) -> None:
        """Let others use the buffers of a slab."""
        if slab.flags is self.flags:
            self._spare.append((slab.labels, slab.unknown))

    def _as_it_lies(self, source: Array) -> Array | None:
        """Return a map that can be scanned without a copy, as one row; None for others."""
        if source.dtype.kind == "b":
            source = source.view(np.uint8)
        whole = source.dtype == self.dtype and self._table is None and self.unknown is None
        return source.reshape(-1) if whole and source.flags.c_contiguous and source.flags.aligned else None

    def _cut(self) -> Iterator[tuple[int, int, bool]]:
        """Yield the planes of each slab, and whether 64 lanes beside each of their voxels are in the map, too."""
        last = self.planes - 2 if any(each is not None for each in self._flat) and self.rows * self.columns >= 64 else 0
        first = 0
        while first < self.planes:
            inner = 1 <= first < last
            end = 1 if first == 0 and last > 1 else min(first + self.step, last if inner else self.planes)
            yield first, end, inner
            first = end

    def _buffers(self) -> tuple[Array, Array]:
        size = (min(self.step, self.planes) + 2) * self.plane + _SPARE
        return np.zeros(size, self.dtype), np.zeros(0 if self.unknown is None else size, np.uint8)

    def _fill(self, flat: Array, source: Array, first: int, last: int, outside: int) -> None:
        """Copy planes `first` to `last` and those beside them, and what lies outside of the image."""
        buffer = flat[: (last - first + 2) * self.plane].reshape(last - first + 2, -1, self.pitch)
        rows, columns = slice(self.across, self.across + self.rows), slice(1, 1 + self.columns)
        low, high = max(first - 1, 0), min(last + 1, self.planes)
        start = 1 - (first - low)
        inner = buffer[start : start + high - low, rows, columns]
        if source.dtype == np.uint8 and outside == 0 and flat.dtype == np.uint8 and source is self.unknown:
            np.copyto(inner, source[low:high])
        else:
            self._convert(source[low:high], inner)
        extend = self.border == "extend" and source is not self.unknown
        if self.across:
            buffer[:, 0, :] = buffer[:, 1, :] if extend else outside
            buffer[:, -1, :] = buffer[:, -2, :] if extend else outside
        buffer[:, :, 0] = buffer[:, :, 1] if extend else outside
        buffer[:, :, -1] = buffer[:, :, -2] if extend else outside
        if low == first:
            buffer[0] = buffer[1] if extend else outside
        if high == last:
            buffer[-1] = buffer[-2] if extend else outside

    def _convert(self, source: Array, target: Array) -> None:
        """Copy values as they are where they are narrow, else as the numbers of their classes."""
        if source.dtype.kind == "b":
            source = source.view(np.uint8)
        if self._table is None:
            if source.dtype == target.dtype or source.dtype == np.uint8:
                np.copyto(target, source)
                return
            with np.errstate(invalid="ignore"):  # what does not fit differs afterwards
                np.copyto(target, source, casting="unsafe")
                target[target != source] = self.outside
            return
        place = np.searchsorted(self._values, source)
        found = self._values[np.minimum(place, self._values.size - 1)] == source
        target[...] = self._table[np.where(found, place, -1)]
