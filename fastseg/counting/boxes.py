"""Counts volumes box by box: files of chunks, files in unlike orders, and large files that are not compressed.

How a volume is cut depends on its shape, types, chunks and orders alone, so counts do not depend on the number of threads.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from fastseg.arrays.label_spans import layout_of, trailing_block
from fastseg.counting.jobs import LayoutWorker, inside
from fastseg.counting.threads import run_jobs
from fastseg.kernels import counter_of
from fastseg.kernels.protocols.labels import Pairs
from fastseg.volumes import Volume, VolumeError
from fastseg.volumes.side_by_side import same_stream

__all__ = ["Grid", "block_grid", "count_boxes", "read_boxes", "stream_grid"]

Array = npt.NDArray[Any]
Box = tuple[tuple[int, ...], tuple[int, ...]]

#: Bytes of a box of the widest file: what each thread holds of each file.
BOX_BYTES = 4 << 20


class Grid:
    """A volume cut into boxes of one shape.

    Parameters
    ----------
    shape, lengths : tuple of int
        Of the volume, and of a box; those at the far ends are smaller.
    order : {"F", "C"}
        Which boxes come first.
    """

    def __init__(self, shape: tuple[int, ...], lengths: tuple[int, ...], order: str) -> None:
        self.shape, self.lengths = shape, tuple(max(1, length) for length in lengths)
        self.cells = tuple(-(-n // length) for n, length in zip(shape, self.lengths, strict=True))
        self.order, self.count = order, prod(self.cells)

    def box(self, number: int) -> Box:
        """Return where box `number` begins and ends."""
        cell = np.unravel_index(number, self.cells, order="F" if self.order == "F" else "C") if self.cells else ()
        start = tuple(int(c) * length for c, length in zip(cell, self.lengths, strict=True))
        return start, tuple(min(a + b, n) for a, b, n in zip(start, self.lengths, self.shape, strict=True))


def stream_grid(volumes: Sequence[Volume], most: int | None = None) -> Grid:
    """Cut volumes into boxes that follow one another in their streams, of so many bytes of the widest file (BOX_BYTES)."""
    first = volumes[0]
    shape, flat = first.geometry.shape, first.order == "F"
    lengths = trailing_block(shape[::-1] if flat else shape, _voxels(volumes, most))
    return Grid(shape, lengths[::-1] if flat else lengths, first.order)


def block_grid(volumes: Sequence[Volume], most: int | None = None) -> Grid:
    """Cut volumes into boxes that each file can read well: whole chunks, or long rows."""
    shape, voxels = volumes[0].geometry.shape, _voxels(volumes, most)
    chunks = [volume.blocks for volume in volumes if volume.blocks is not None and prod(volume.blocks) > 1]
    orders = {volume.order for volume in volumes}
    order = volumes[0].order if len(orders) == 1 else "C"
    if chunks:
        lengths = [max(1, min(n, length)) for n, length in zip(shape, max(chunks, key=prod), strict=True)]
        for axis in range(len(shape)) if order == "F" else range(len(shape))[::-1]:
            times = max(1, voxels // prod(lengths))
            lengths[axis] = max(1, min(shape[axis], lengths[axis] * times))
        return Grid(shape, tuple(lengths), order)
    if len(orders) == 1:
        return stream_grid(volumes, most)
    return Grid(shape, _rows_both_ways(shape, voxels), order)


def _rows_both_ways(shape: tuple[int, ...], voxels: int) -> tuple[int, ...]:
    """Return a box with long rows along the first axis and along the last, which are the fastest of the two orders."""
    lengths = list(shape)
    for axis in [*range(1, len(shape) - 1), 0, len(shape) - 1]:
        if prod(lengths) > voxels:
            wanted = lengths[axis] * voxels / prod(lengths)
            last_two = axis in (0, len(shape) - 1)
            least = int(voxels**0.5) if last_two else 1
            lengths[axis] = min(lengths[axis], max(least, int(wanted)))
    return tuple(lengths)


def _voxels(volumes: Sequence[Volume], most: int | None) -> int:
    return max(1, (most or BOX_BYTES) // max(volume.dtype.itemsize for volume in volumes))


def read_boxes(volumes: Sequence[Volume], most: int | None = None) -> Iterator[tuple[tuple[int, ...], list[Array]]]:
    """Yield where each box begins and what each file holds there, on the calling thread, and check the files' ends.

    A box has up to `most` (BOX_BYTES) of the widest file, or is a chunk. The arrays are valid until the next box is asked for.
    """
    if same_stream(volumes):
        grid = stream_grid(volumes, most)
        buffers = [np.empty(prod(grid.lengths) * volume.dtype.itemsize, np.uint8) for volume in volumes]
        for number in range(grid.count):
            start, stop = grid.box(number)
            sizes = [b - a for a, b in zip(start, stop, strict=True)]
            arrays = []
            for volume, buffer in zip(volumes, buffers, strict=True):
                piece = buffer[: prod(sizes) * volume.dtype.itemsize]
                if volume.read_into(piece) != piece.size:
                    raise VolumeError(f"{volume.path}: truncated: expected {piece.size} bytes of voxels at {start}")
                arrays.append(piece.view(volume.dtype).reshape(sizes, order=volume.order))
            yield start, arrays
    else:
        grid = block_grid(volumes, most)
        for number in range(grid.count):
            start, stop = grid.box(number)
            yield start, [volume.read_block(start, stop) for volume in volumes]
    for volume in volumes:
        volume.finish()


def count_boxes(
    volumes: Sequence[Volume],
    *,
    threads: int,
    progress: Callable[[int], None] | None = None,
    counter: Callable[[np.dtype[Any], np.dtype[Any]], Any] | None = None,
) -> list[Pairs]:
    """Count the pairs of values of two files of one shape that can be read in blocks.

    Parameters
    ----------
    volumes
        Truth, prediction and, if there is one, the mask: where it is 0, nothing is counted, and it must not be NaN.
    threads
        How many threads to use.
    progress
        Called now and then with the number of voxels counted so far.
    counter
        Makes a counter of values of two types; default the backend's `PairCounter`.

    Returns
    -------
    pairs
        Parts of the counts, in no particular order.

    Raises
    ------
    Rejected
        If the mask is NaN somewhere.
    """
    grid = block_grid(volumes)
    parts: list[Pairs] = []
    counted = 0

    @contextmanager
    def open_worker() -> Iterator[_Worker]:
        with (counter or counter_of("auto").PairCounter)(volumes[0].dtype, volumes[1].dtype) as one:
            yield _Worker(volumes, grid, one)

    def consume(results: tuple[int, list[Pairs]]) -> None:
        nonlocal counted
        parts.extend(results[1])
        counted += results[0]
        if progress is not None and results[0]:
            progress(counted)

    run_jobs(grid.count, open_worker, consume, threads=threads)
    for volume in volumes:
        volume.finish()
    return parts


class _Worker:
    """One thread's counter; its tables keep what was counted until the end, or until they are full."""

    _serial = threading.Lock()  # for formats whose library reads one block at a time

    def __init__(self, volumes: Sequence[Volume], grid: Grid, counter: Any) -> None:
        self.volumes, self.grid = volumes, grid
        self.worker = LayoutWorker(counter, None, keep=True)

    def job(self, index: int) -> tuple[int, list[Pairs]]:
        start, stop = self.grid.box(index)
        arrays = [self._read(volume, start, stop) for volume in self.volumes]
        mask = inside(arrays[2]) if len(arrays) > 2 else None
        layout = layout_of([arrays[0], arrays[1], mask, None], (None,) * 4, counter_of("auto").transpose_into)
        return arrays[0].size, [pairs for _, pairs in self.worker.count(0, layout, None)]

    def _read(self, volume: Volume, start: tuple[int, ...], stop: tuple[int, ...]) -> Array:
        if volume.parallel:
            return volume.read_block(start, stop)
        with self._serial:
            return volume.read_block(start, stop)

    def finish(self) -> tuple[int, list[Pairs]]:
        return 0, [self.worker.counter.take()]
