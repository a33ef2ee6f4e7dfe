"""Counts files as they are read: chunks go into reused buffers and are counted while they are still in the cache.

Reading a chunk of one file, reading a chunk of the other, and counting a pair of chunks are the kinds of steps; a mask is a
third file. Two threads take whichever can be done next, so that neither waits long for the other, and a few buffers bound
the memory.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fastseg.counting.jobs import inside
from fastseg.counting.threads import submit
from fastseg.kernels import counter_of
from fastseg.kernels.protocols.labels import Declared, Pairs, Span, Square
from fastseg.volumes import Volume, VolumeError

if TYPE_CHECKING:
    from concurrent.futures import Future

__all__ = ["stream_pairs"]

Array = npt.NDArray[Any]
Counter = Callable[[np.dtype[Any], np.dtype[Any]], Any]

#: Bytes of a chunk of the wider file.
CHUNK_BYTES = 1 << 20
#: Chunks of each file that may be in memory.
DEPTH = 3


_buffers: list[
    npt.NDArray[np.uint8]
] = []  # kept for the next pair: touching new memory costs more than reading into old


def _take_buffer() -> npt.NDArray[np.uint8]:
    """Return a buffer of CHUNK_BYTES, perhaps one that was used before."""
    try:
        buffer = _buffers.pop()
    except IndexError:
        buffer = np.empty(CHUNK_BYTES, np.uint8)
    return buffer if buffer.size == CHUNK_BYTES else np.empty(CHUNK_BYTES, np.uint8)


class _Chunks:
    """The chunks of one file: which voxels, and the buffers they are read into."""

    def __init__(self, volume: Volume, chunk_voxels: int, depth: int) -> None:
        self.volume, self.chunk_voxels = volume, chunk_voxels
        self.voxels = prod(volume.geometry.shape)
        self.count = -(-self.voxels // chunk_voxels)
        self.buffers = [_take_buffer() for _ in range(min(depth, self.count))]

    def __enter__(self) -> _Chunks:
        return self

    def __exit__(self, *_: Any) -> None:
        _buffers.extend(self.buffers)

    def length(self, index: int) -> int:
        """Return the voxels of chunk `index`."""
        return min(self.chunk_voxels, self.voxels - index * self.chunk_voxels)

    def read(self, index: int) -> Array:
        """Read chunk `index`, which must be the next; the array is valid until chunk index + depth is read."""
        buffer = self.buffers[index % len(self.buffers)][: self.length(index) * self.volume.dtype.itemsize]
        found = self.volume.read_into(buffer)
        if found != buffer.size:
            have = index * self.chunk_voxels * self.volume.dtype.itemsize + found
            raise VolumeError(
                f"{self.volume.path}: truncated: expected {self.voxels * self.volume.dtype.itemsize} bytes of voxels, "
                f"found {have}"
            )
        return buffer.view(self.volume.dtype)


@contextmanager
def _chunked(volumes: Sequence[Volume], depth: int) -> Iterator[list[_Chunks]]:
    """Open files by chunks of as many voxels as fit a buffer; check their ends afterwards."""
    voxels = CHUNK_BYTES // max(volume.dtype.itemsize for volume in volumes)
    with ExitStack() as stack:
        yield [stack.enter_context(_Chunks(volume, voxels, depth)) for volume in volumes]
    for volume in volumes:
        volume.finish()


def stream_pairs(
    volumes: Sequence[Volume],
    *,
    threads: int,
    declared: Declared | None = None,
    progress: Callable[[int], None] | None = None,
    counter: Counter | None = None,
) -> list[Pairs | Square]:
    """Count the pairs of values of two files of one shape and voxel order, read once.

    Parameters
    ----------
    volumes
        Truth, prediction and, if there is one, the mask: where it is 0, nothing is counted, and it must not be NaN. They are
        read to the end of the file.
    threads
        How many threads to use; more than two bring nothing.
    declared
        Where values are the labels, and these declared, unless nothing is known of them: counts of just these come as a
        Square.
    progress
        Called now and then with the number of voxels counted so far, by either thread but never by both at once; the
        threads wait for it, so it should be quick.
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
    tally = partial(_Tally, volumes, declared, counter)
    if threads < 2:
        return _one_thread(volumes, tally, progress)
    with _chunked(volumes, DEPTH) as files:
        return _Pipeline(files, tally, progress).run()


def _one_thread(
    volumes: Sequence[Volume], new_tally: Callable[[], _Tally], progress: Callable[[int], None] | None
) -> list[Pairs | Square]:
    voxels = 0
    with _chunked(volumes, 1) as files, new_tally() as tally:
        for index in range(files[0].count):
            tally.count([file.read(index) for file in files])
            voxels += files[0].length(index)
            if progress is not None:
                progress(voxels)
        return tally.results()


class _Tally:
    """A backend's counter, and what it had to hand out on the way."""

    def __init__(self, volumes: Sequence[Volume], declared: Declared | None, counter: Counter | None) -> None:
        self._declared = declared
        self._counter = (counter or counter_of("auto").PairCounter)(volumes[0].dtype, volumes[1].dtype)
        self._parts: list[Pairs | Square] = []

    def __enter__(self) -> _Tally:
        self._counter.__enter__()
        return self

    def __exit__(self, *exc_info: Any) -> None:
        self._counter.__exit__(*exc_info)

    def count(self, chunks: Sequence[Array]) -> None:
        true, pred, *masks = chunks
        mask = inside(masks[0]) if masks else None
        span = Span((true, pred, mask, None), 1, true.size, (0, 0, 0, 0))
        while not self._counter.update(span):
            self._parts.append(self._counter.take())

    def results(self) -> list[Pairs | Square]:
        return [*self._parts, self._counter.take(self._declared)]


#: Something to do with a tally; it returns how to note that it is done.
Step = Callable[[_Tally], Callable[[], None]]


class _Pipeline:
    """The state that two threads share: which chunks are read, being counted, or still to come."""

    def __init__(
        self, files: Sequence[_Chunks], new_tally: Callable[[], _Tally], progress: Callable[[int], None] | None
    ) -> None:
        self.files, self.new_tally, self.progress = files, new_tally, progress
        self.total = files[0].count
        self.changed = threading.Condition()
        self.idle = 0  # threads that wait for a change
        self.ready: list[dict[int, Array]] = [{} for _ in files]  # chunks read and not yet being counted
        self.next_read = [0] * len(files)
        self.reading = [False] * len(files)
        self.next_count = 0
        self.counting: set[int] = set()
        self.counted = 0  # voxels
        self.results: list[Pairs | Square] = []
        self.error: BaseException | None = None
        self.other: Future[None] | None = None

    def run(self) -> list[Pairs | Square]:
        waiting: list[Callable[[], object]] = [self.start, self.work, self.wait]
        while waiting:
            try:
                waiting[0]()
                del waiting[0]
            except BaseException as error:  # Ctrl-C: the other stops after its step, and is still waited for
                self.stop(error)
        if self.error is not None:
            raise self.error
        return self.results

    def start(self) -> None:
        self.other = submit(self.work)

    def wait(self) -> None:
        if self.other is not None and not self.other.cancel():
            self.other.result()

    def stop(self, error: BaseException) -> None:
        with self.changed:
            self.error = self.error or error
            self.changed.notify_all()

    def work(self) -> None:
        try:
            with self.new_tally() as tally:
                step = self.next_step(lambda: None)
                while step is not None:
                    step = self.next_step(step(tally))
                results = tally.results()
            with self.changed:
                self.results.extend(results)
        except BaseException as error:
            self.stop(error)

    def next_step(self, done: Callable[[], None]) -> Step | None:
        """Note what has been done, and wait for something to do: a step, or None at the end."""
        with self.changed:
            try:
                if self.error is None:
                    done()
            except BaseException as error:
                self.stop(error)  # while the other thread cannot come to report what it has counted
            if self.idle:
                self.changed.notify_all()
            while self.error is None and self.next_count < self.total:
                step = self.claim()
                if step is not None:
                    return step
                self.idle += 1
                self.changed.wait()
                self.idle -= 1
            return None

    def claim(self) -> Step | None:
        """Take the next chunks if all are there, else the file that is most behind if it has room for a chunk."""
        index = self.next_count
        if all(index in chunks for chunks in self.ready):
            self.next_count += 1
            self.counting.add(index)
            return partial(self.count, index, [chunks.pop(index) for chunks in self.ready])
        oldest = min(self.counting, default=index)
        for which in sorted(range(len(self.files)), key=self.next_read.__getitem__):
            index = self.next_read[which]
            if not self.reading[which] and index < self.total and index < oldest + DEPTH:
                self.reading[which] = True
                self.next_read[which] += 1
                return partial(self.read, which, index)
        return None

    def read(self, which: int, index: int, _: _Tally) -> Callable[[], None]:
        chunk = self.files[which].read(index)

        def done() -> None:
            self.reading[which] = False
            self.ready[which][index] = chunk

        return done

    def count(self, index: int, chunks: list[Array], tally: _Tally) -> Callable[[], None]:
        tally.count(chunks)

        def done() -> None:
            self.counting.discard(index)
            self.counted += chunks[0].size
            if self.progress is not None:
                self.progress(self.counted)

        return done
