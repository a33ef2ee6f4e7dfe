"""Counts two files as they are read: chunks go into reused buffers and are counted while they are still in the cache.

Reading a chunk of one file, reading a chunk of the other, and counting a pair of chunks are the three kinds of steps. Threads
take whichever can be done next, so two compressed files are decompressed side by side, and a few buffers bound the memory.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fastseg.counting import counter_of
from fastseg.pairs import Pairs, Span
from fastseg.threads import _submit
from fastseg.volumes import Volume, VolumeError

if TYPE_CHECKING:
    from concurrent.futures import Future

__all__ = ["stream_chunks", "stream_pairs"]

Array = npt.NDArray[Any]

#: Bytes of a chunk of the wider file.
CHUNK_BYTES = 1 << 20
#: Chunks of each file that may be in memory.
DEPTH = 4


class _Chunks:
    """The chunks of one file: which voxels, and the buffers they are read into."""

    def __init__(self, volume: Volume, chunk_voxels: int) -> None:
        self.volume, self.chunk_voxels = volume, chunk_voxels
        self.voxels = prod(volume.geometry.shape)
        self.count = -(-self.voxels // chunk_voxels)
        size = min(chunk_voxels, self.voxels) * volume.dtype.itemsize
        self.buffers = [np.empty(size, np.uint8) for _ in range(min(DEPTH, self.count))]

    def read(self, index: int) -> Array:
        """Read chunk `index`, which must be the next; the array is valid until chunk index + DEPTH is read."""
        voxels = min(self.chunk_voxels, self.voxels - index * self.chunk_voxels)
        buffer = self.buffers[index % len(self.buffers)][: voxels * self.volume.dtype.itemsize]
        found = self.volume.read_into(buffer)
        if found != buffer.size:
            have = index * self.chunk_voxels * self.volume.dtype.itemsize + found
            raise VolumeError(
                f"{self.volume.path}: truncated: expected {self.voxels * self.volume.dtype.itemsize} bytes of voxels, "
                f"found {have}"
            )
        return buffer.view(self.volume.dtype)


def _both(reference: Volume, prediction: Volume) -> tuple[_Chunks, _Chunks]:
    voxels = CHUNK_BYTES // max(reference.dtype.itemsize, prediction.dtype.itemsize)
    return _Chunks(reference, voxels), _Chunks(prediction, voxels)


def stream_chunks(reference: Volume, prediction: Volume) -> Any:
    """Yield pairs of chunks one after another, on the calling thread, and check the ends of the files."""
    true, pred = _both(reference, prediction)
    for index in range(true.count):
        yield true.read(index), pred.read(index)
    reference.finish()
    prediction.finish()


def stream_pairs(
    reference: Volume, prediction: Volume, *, threads: int, progress: Callable[[int], None] | None = None
) -> list[Pairs]:
    """Count the pairs of values of two files of one shape and voxel order, read once.

    Parameters
    ----------
    reference, prediction
        Open volumes; they are read to the end of the file.
    threads
        How many threads to use; more than three bring nothing.
    progress
        Called now and then, by any thread but never by two at once, with the number of voxels counted so far.

    Returns
    -------
    pairs
        Parts of the counts, in no particular order.
    """
    return _Pipeline(_both(reference, prediction), progress).run(min(threads, 3))


def _wait(future: Future[None]) -> None:
    """Wait until a thread that has started has ended."""
    if not future.cancel():
        future.result()


class _Pipeline:
    def __init__(self, files: tuple[_Chunks, _Chunks], progress: Callable[[int], None] | None) -> None:
        self.files, self.progress = files, progress
        self.total = files[0].count
        self.changed = threading.Condition()
        self.ready: list[dict[int, Array]] = [{}, {}]  # chunks read and not yet being counted
        self.next_read = [0, 0]
        self.reading = [False, False]
        self.counting: set[int] = set()
        self.next_count = 0
        self.counted = 0  # voxels
        self.results: list[Pairs] = []
        self.error: BaseException | None = None

    def run(self, threads: int) -> list[Pairs]:
        others = [future for future in (_submit(self.work) for _ in range(threads - 1)) if future is not None]
        waiting: list[Callable[[], object]] = [self.work, *(partial(_wait, future) for future in others)]
        while waiting:
            try:
                waiting[0]()
                del waiting[0]
            except BaseException as error:  # Ctrl-C: the others stop after their step, and are still waited for
                self.stop(error)
        if self.error is not None:
            raise self.error
        for file in self.files:
            file.volume.finish()
        return self.results

    def stop(self, error: BaseException) -> None:
        with self.changed:
            self.error = self.error or error
            self.changed.notify_all()

    def work(self) -> None:
        try:
            true, pred = (file.volume for file in self.files)
            with counter_of("auto").PairCounter(true.dtype, pred.dtype) as counter:
                results = []
                while (step := self.claim()) is not None:
                    which, index, chunks = step
                    if which is not None:
                        self.done_reading(which, index, self.files[which].read(index))
                    else:
                        span = Span((*chunks, None, None), 1, chunks[0].size, (0, 0, 0, 0))
                        while not counter.update(span):
                            results.append(counter.take())
                        self.done_counting(index, chunks[0].size)
                results.append(counter.take())
            with self.changed:
                self.results.extend(results)
        except BaseException as error:
            self.stop(error)

    def claim(self) -> tuple[int | None, int, Any] | None:
        """Wait for something to do: (file, chunk, None) to read, or (None, chunk, arrays) to count; None at the end."""
        with self.changed:
            while self.error is None and self.next_count < self.total:
                if self.next_count in self.ready[0] and self.next_count in self.ready[1]:
                    index = self.next_count
                    self.next_count += 1
                    self.counting.add(index)
                    return None, index, (self.ready[0].pop(index), self.ready[1].pop(index))
                oldest = min(self.counting, default=self.next_count)
                for which in sorted((0, 1), key=lambda k: self.next_read[k]):
                    index = self.next_read[which]
                    if not self.reading[which] and index < self.total and index < oldest + DEPTH:
                        self.reading[which] = True
                        self.next_read[which] += 1
                        return which, index, None
                self.changed.wait()
            return None

    def done_reading(self, which: int, index: int, chunk: Array) -> None:
        with self.changed:
            self.reading[which] = False
            self.ready[which][index] = chunk
            self.changed.notify_all()

    def done_counting(self, index: int, voxels: int) -> None:
        with self.changed:
            self.counting.discard(index)
            self.counted += voxels
            if self.progress is not None:
                self.progress(self.counted)
            self.changed.notify_all()
