"""Jobs of a layout on threads, their results folded in order: what counting labels, masks and scores share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from fastseg.arrays.diagnosis import Rejected
from fastseg.arrays.label_spans import TO_BOOL, TO_FLOAT64, Conversion, Pieces
from fastseg.counting.threads import run_jobs
from fastseg.kernels.protocols.labels import Declared

__all__ = [
    "SMALL",
    "LayoutWorker",
    "check_compute",
    "check_sums",
    "inside",
    "mask_conversion",
    "run_layouts",
    "weight_conversion",
]

Array = npt.NDArray[Any]


#: Below this much work the calling thread begins alone, and others join if it takes long: to hand over to another costs 50 to
#: 100 µs. A unit is a byte of a label map, or a score, of which a thread does one to ten in a nanosecond.
SMALL = 1 << 21
#: Samples are handed out together until they make up this much work, or a part of what is small.
_GROUP, _PARTS = 1 << 21, 8


def run_layouts(
    samples: int,
    work: int,
    layout: Callable[[int], Any],
    counter: Callable[[], AbstractContextManager[Any]],
    declared: Declared | None,
    keep: bool,
    fold: Callable[[list[tuple[int, Any]]], None],
    threads: int | None = None,
) -> None:
    """Hand out jobs: parts of a large sample, or several small samples, of so much work each."""
    first, small = layout(0), samples * work <= SMALL
    if samples == first.jobs == 1 and small:
        with counter() as one:
            fold(LayoutWorker(one, declared, keep=False).count(0, first, None))
        return
    group = (-(-samples // _PARTS) if small else max(1, _GROUP // work)) if first.jobs == 1 else 1
    jobs = -(-samples // group) * first.jobs

    spare = [first]  # one worker's: each needs its own, as a layout may have buffers

    @contextmanager
    def open_worker() -> Iterator[_Jobs]:
        with counter() as one:
            yield _Jobs(LayoutWorker(one, declared, keep), layout, samples, group, first.jobs, spare)

    run_jobs(jobs, open_worker, fold, threads=threads, alone=small)


class LayoutWorker:
    """A backend's counter and what it does with a layout."""

    def __init__(self, counter: Any, declared: Declared | None, keep: bool) -> None:
        self.counter, self.declared, self.keep = counter, declared, keep

    def count(self, sample: int, layout: Any, job: int | None) -> list[tuple[int, Any]]:
        """Count a job of a layout, or all of it; with `keep`, what need not come out stays in the tables."""
        results: list[tuple[int, Any]] = []
        for number in range(layout.jobs) if job is None else (job,):
            for span in layout.spans(number):
                while not self.counter.update(span):
                    results.append((sample, self.counter.take()))
        if not self.keep:
            results.append((sample, self.counter.take(self.declared)))
        return results


class _Jobs:
    """Jobs 0, 1, …: `parts` jobs for each sample, or one for each `group` of samples."""

    def __init__(
        self, worker: LayoutWorker, layout: Callable[[int], Any], samples: int, group: int, parts: int, spare: list[Any]
    ) -> None:
        self.worker, self.layout, self.samples, self.group, self.parts = worker, layout, samples, group, parts
        try:
            self.sample, self.current = 0, spare.pop()  # which is atomic
        except IndexError:
            self.sample, self.current = -1, None
        if isinstance(self.current, Pieces):
            spare.append(self.current)  # has no buffers

    def job(self, index: int) -> list[tuple[int, Any]]:
        if self.parts > 1:
            sample, part = divmod(index, self.parts)
            return self.worker.count(sample, self._layout_of(sample), part)
        several = range(index * self.group, min((index + 1) * self.group, self.samples))
        return [result for n in several for result in self.worker.count(n, self._layout_of(n), None)]

    def _layout_of(self, sample: int) -> Any:
        if self.sample != sample:
            self.sample, self.current = sample, self.layout(sample)
        return self.current

    def finish(self) -> list[tuple[int, Any]]:
        counter = self.worker.counter
        if self.worker.keep:
            return [(0, counter.take(self.worker.declared))]
        return [(0, counter.leftover())] if hasattr(counter, "leftover") else []


def inside(region: Array) -> Array:
    """Return where a region of interest is not 0, as kernels take it; raise `Rejected` if it is NaN anywhere."""
    if region.dtype.kind == "f" and np.isnan(region).any():
        raise Rejected
    return region if region.itemsize == 1 else region != 0


def mask_conversion(mask: Array | None) -> Conversion | None:
    """Kernels take a mask of any one-byte type as it is."""
    return None if mask is None or mask.itemsize == 1 else TO_BOOL


def weight_conversion(weight: Array | None) -> Conversion | None:
    """Kernels take native float32 and float64 weights as they are."""
    if weight is None or (weight.dtype.kind == "f" and weight.itemsize >= 4 and weight.dtype.isnative):
        return None
    return TO_FLOAT64


def check_compute(compute: bool) -> None:
    """Raise if nothing is to be computed now, of arrays that are there."""
    if not compute:
        raise ValueError("compute: expected True for arrays in memory, found False, which is for Dask arrays")


def check_sums(sums: Array) -> None:
    """Raise if weights, each of them finite, add up to infinity."""
    if not np.isfinite(sums).all():
        raise ValueError("sample_weight: expected weights whose sums are finite float64, found an infinite sum")
