"""Cuts the work into jobs, runs a backend's counters on threads and folds their results, in order, into the statistics."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from fastseg.arrays import labels as inputs
from fastseg.arrays.array_likes import float32_of_bits
from fastseg.arrays.diagnosis import Rejected, explain_labels, explain_masks
from fastseg.arrays.label_spans import TO_BITS, TO_BOOL, TO_FLOAT64, Conversion, Layout
from fastseg.arrays.labels import MAX_CLASSES, Classes, LabelInputs, MaskInputs
from fastseg.counting.threads import run_jobs
from fastseg.counts import COUNTED, IGNORED, OUTSIDE, UNKNOWN, BinaryCounts, LabelCounts, positions
from fastseg.kernels import BACKENDS
from fastseg.kernels.protocols.labels import MaskTally, Pairs, Square

__all__ = [
    "SMALL",
    "LabelTotals",
    "LayoutWorker",
    "check_sums",
    "count_label_inputs",
    "count_mask_inputs",
    "counter_of",
    "inside",
    "mask_conversion",
    "run_layouts",
]

Array = npt.NDArray[Any]

#: Below this many voxels the calling thread does the work alone: a hand-over to another costs 50 to 100 µs.
SMALL = 1 << 21
#: Samples are handed out together until they make up this many voxels.
_GROUP_VOXELS = 1 << 21


def counter_of(backend: str) -> Any:
    """Return the module of a backend, which has a `PairCounter` and a `MaskCounter`.

    Raises
    ------
    ValueError
        If there is no such backend.
    """
    name = "numba" if backend == "auto" else backend
    if not isinstance(name, str) or name not in BACKENDS:
        raise ValueError(f"backend: expected 'auto' or one of {sorted(BACKENDS)}, found {backend!r}")
    return _load(BACKENDS[name])


_load = functools.cache(importlib.import_module)


class LabelTotals:
    """Pairs of values folded into matrices by the rules for ignored, unknown and open labels."""

    def __init__(self, samples: int, classes: Classes, unknown: str, weighted: bool) -> None:
        if unknown not in ("raise", "count"):
            raise ValueError(f"unknown: expected 'raise' or 'count', found {unknown!r}")
        self.classes, self.weighted = classes, weighted
        self.count_unknown = unknown == "count"
        self.consecutive = classes.consecutive
        self.labels = np.empty(0, np.int64) if classes.labels is None else classes.labels
        dtype, size = np.float64 if weighted else np.int64, self.labels.size
        try:
            self.matrix = np.zeros((samples, size, size), dtype)
            self.missed = np.zeros((samples, size), dtype)
            self.voxels = np.zeros((samples, 4), np.int64)
        except MemoryError:
            raise ValueError(
                f"num_classes, sample_axis: {samples} samples of {size} classes need matrices of "
                f"{samples * size * size * 8 / 2**30:,.0f} GiB, which cannot be had"
            ) from None

    @property
    def square(self) -> int | None:
        """K where the classes are 0..K-1 and nothing is ignored, so that counts of just those labels need no rules."""
        return None if self.classes.ignored.size else self.consecutive

    def add(self, sample: int, pairs: Pairs | Square) -> None:
        """Fold in the pairs of a part of one sample; raise `Rejected` if one of them is not allowed."""
        if isinstance(pairs, Square):
            self.matrix[sample] += pairs.counts
            self.voxels[sample] += (pairs.voxels, 0, pairs.outside, 0)
            return
        if pairs.bad_weights:
            raise Rejected
        voxels, times = self.voxels[sample], pairs.times
        voxels[OUTSIDE] += pairs.outside
        true, bad_true = inputs.whole_numbers(pairs.true)
        pred, bad_pred = inputs.whole_numbers(pairs.pred)
        if bad_true.any() or bad_pred.any():
            raise Rejected
        values: Array = times if pairs.weights is None else pairs.weights
        if self.classes.ignored.size:
            ignored = np.isin(true, self.classes.ignored)
            if ignored.any():
                voxels[IGNORED] += times[ignored].sum()
                true, pred, times, values = true[~ignored], pred[~ignored], times[~ignored], values[~ignored]
        if self.classes.labels is None:
            self._admit(np.concatenate([true, pred]))
        rows, columns = self._places(true), self._places(pred)
        if (rows < 0).any():
            raise Rejected
        missed = columns < 0
        if missed.any():
            if not self.count_unknown:
                raise Rejected
            voxels[UNKNOWN] += times[missed].sum()
            np.add.at(self.missed[sample], rows[missed], values[missed])
            rows, columns, times, values = rows[~missed], columns[~missed], times[~missed], values[~missed]
        voxels[COUNTED] += times.sum()
        np.add.at(self.matrix[sample], (rows, columns), values)

    def _places(self, values: npt.NDArray[np.int64]) -> npt.NDArray[np.intp]:
        if self.consecutive is not None:
            return np.where((values >= 0) & (values < self.consecutive), values, -1)
        return positions(self.labels, values)

    def _admit(self, values: npt.NDArray[np.int64]) -> None:
        """Make room for labels that have not occurred before (open counts)."""
        union = np.union1d(self.labels, values)
        if union.size == self.labels.size:
            return
        if union.size > MAX_CLASSES:
            raise ValueError(
                f"labels: expected at most {MAX_CLASSES} distinct labels of truth and prediction together, found more "
                f"(such as {union[[0, 1, -2, -1]].tolist()}); declare those that are meant (labels=)"
            )
        where = np.searchsorted(union, self.labels)
        samples = self.matrix.shape[0]
        matrix = np.zeros((samples, union.size, union.size), self.matrix.dtype)
        matrix[:, where[:, None], where[None, :]] = self.matrix
        missed = np.zeros((samples, union.size), self.missed.dtype)
        missed[:, where] = self.missed
        self.labels, self.matrix, self.missed = union, matrix, missed

    def finish(self, given: int) -> LabelCounts:
        """Return the counts, having checked that every voxel of each sample has gone somewhere."""
        gone = self.voxels.tolist()
        conserved = all(sum(row) == given for row in gone)
        if not self.weighted:
            conserved = conserved and np.add.reduce(self.matrix, axis=(1, 2)).tolist() == [row[COUNTED] for row in gone]
            conserved = conserved and (
                not self.count_unknown or np.array_equal(self.missed.sum(1), self.voxels[:, UNKNOWN])
            )
        if self.weighted:
            check_sums(self.matrix)
        if not conserved:
            raise RuntimeError(
                f"voxels were lost or counted twice: {given} a sample were given, {gone} counted; "
                "this is a defect in fastseg, please report it"
            )
        return LabelCounts._trusted(
            labels=self.labels,
            closed=self.classes.labels is not None,
            matrix=self.matrix,
            unknown=self.missed,
            voxels=self.voxels,
            ignored=self.classes.without_score,
        )


def count_label_inputs(given: LabelInputs, *, unknown: str = "raise", backend: str = "auto") -> LabelCounts:
    """Count a pair of label maps; the inputs are checked already."""
    module = counter_of(backend)
    totals = LabelTotals(given.num_samples, given.classes, unknown, given.weight is not None)
    voxels = given.y_true.size // max(1, given.num_samples)
    if voxels:
        conversions = (None, None, mask_conversion(given.mask), _weight_conversion(given.weight))

        bits = any(given.bfloat16)

        def counter() -> Any:
            return module.PairCounter(given.y_true.dtype, given.y_pred.dtype)

        def layout(n: int) -> Layout:
            return Layout(given.sample(n), conversions, module.transpose_into, samples=given.num_samples)

        def fold(results: list[tuple[int, Pairs | Square]]) -> None:
            for sample, pairs in results:
                totals.add(sample, _decoded(pairs, given.bfloat16) if bits else pairs)

        square = None if bits else totals.square  # the values of bit patterns are known only afterwards
        keep = given.num_samples == 1 and given.weight is None  # integers may be folded in any order, so at the end
        try:
            run_layouts(given.num_samples, voxels, layout, counter, square, keep, fold)
        except Rejected:
            explain_labels(given, count_unknown=totals.count_unknown)
    return totals.finish(voxels)


def _decoded(pairs: Pairs | Square, bfloat16: tuple[bool, bool]) -> Pairs | Square:
    """Return pairs of the numbers that bit patterns of bfloat16 stand for."""
    assert isinstance(pairs, Pairs)
    true, pred = (
        float32_of_bits(values) if bits else values
        for values, bits in zip((pairs.true, pairs.pred), bfloat16, strict=True)
    )
    return pairs._replace(true=true, pred=pred)


def run_layouts(
    samples: int,
    voxels: int,
    layout: Callable[[int], Any],
    counter: Callable[[], AbstractContextManager[Any]],
    classes: int | None,
    keep: bool,
    fold: Callable[[list[tuple[int, Any]]], None],
    threads: int | None = None,
) -> None:
    """Hand out jobs: parts of a large sample, or several small samples."""
    if samples == 1 and voxels <= SMALL:
        with counter() as one:
            fold(LayoutWorker(one, classes, keep=False).count(0, layout(0), None))
        return
    first = layout(0)
    group = max(1, _GROUP_VOXELS // voxels) if first.jobs == 1 else 1
    jobs = -(-samples // group) * first.jobs

    @contextmanager
    def open_worker() -> Iterator[_Jobs]:
        with counter() as one:
            yield _Jobs(LayoutWorker(one, classes, keep), layout, samples, group, first.jobs)

    run_jobs(jobs, open_worker, fold, threads=1 if samples * voxels <= SMALL else threads)


class LayoutWorker:
    """A backend's counter and what it does with a layout."""

    def __init__(self, counter: Any, classes: int | None, keep: bool) -> None:
        self.counter, self.classes, self.keep = counter, classes, keep

    def count(self, sample: int, layout: Any, job: int | None) -> list[tuple[int, Any]]:
        """Count a job of a layout, or all of it; with `keep`, what need not come out stays in the tables."""
        results: list[tuple[int, Any]] = []
        for number in range(layout.jobs) if job is None else (job,):
            for span in layout.spans(number):
                while not self.counter.update(span):
                    results.append((sample, self.counter.take()))
        if not self.keep:
            results.append((sample, self.counter.take(self.classes)))
        return results


class _Jobs:
    """Jobs 0, 1, …: `parts` jobs for each sample, or one for each `group` of samples."""

    def __init__(
        self, worker: LayoutWorker, layout: Callable[[int], Any], samples: int, group: int, parts: int
    ) -> None:
        self.worker, self.layout, self.samples, self.group, self.parts = worker, layout, samples, group, parts
        self.current: tuple[int, Any] | None = None

    def job(self, index: int) -> list[tuple[int, Any]]:
        if self.parts > 1:
            sample, part = divmod(index, self.parts)
            if self.current is None or self.current[0] != sample:
                self.current = (sample, self.layout(sample))
            return self.worker.count(sample, self.current[1], part)
        several = range(index * self.group, min((index + 1) * self.group, self.samples))
        return [result for n in several for result in self.worker.count(n, self.layout(n), None)]

    def finish(self) -> list[tuple[int, Any]]:
        counter = self.worker.counter
        if self.worker.keep:
            return [(0, counter.take(self.worker.classes))]
        return [(0, counter.leftover())] if hasattr(counter, "leftover") else []


def inside(region: Array) -> Array:
    """Return where a region of interest is not 0, as kernels take it; raise `Rejected` if it is NaN anywhere."""
    if region.dtype.kind == "f" and np.isnan(region).any():
        raise Rejected
    return region if region.itemsize == 1 else region != 0


def mask_conversion(mask: Array | None) -> Conversion | None:
    """Kernels take a mask of any one-byte type as it is."""
    return None if mask is None or mask.itemsize == 1 else TO_BOOL


def _weight_conversion(weight: Array | None) -> Conversion | None:
    """Kernels take native float32 and float64 weights as they are."""
    if weight is None or (weight.dtype.kind == "f" and weight.itemsize >= 4 and weight.dtype.isnative):
        return None
    return TO_FLOAT64


def _bit_conversion(array: Array) -> Conversion | None:
    """Kernels take maps of any one-byte type as they are; wider ones are narrowed a block at a time."""
    return None if array.itemsize == 1 else TO_BITS


def check_sums(sums: Array) -> None:
    """Raise if weights, each of them finite, add up to infinity."""
    if not np.isfinite(sums).all():
        raise ValueError("sample_weight: expected weights whose sums are finite float64, found an infinite sum")


def count_mask_inputs(
    given: MaskInputs, *, classes: tuple[str | int, ...] | None = None, backend: str = "auto"
) -> BinaryCounts:
    """Count a pair of binary maps with channels; the inputs are checked already."""
    module = counter_of(backend)
    samples, channels = given.shape
    names = tuple(range(channels)) if classes is None else tuple(classes)
    if len(names) != channels:
        raise ValueError(f"classes: expected a name for each of {channels} channels, found {len(names)}")
    dtype = np.float64 if given.weight is not None else np.int64
    sums = np.zeros((samples, channels, 4), dtype)  # tp, fp, fn, tn
    voxels = np.zeros((samples, 4), np.int64)
    spatial = given.y_true.size // max(1, samples * channels)
    conversions = (
        _bit_conversion(given.y_true),
        _bit_conversion(given.y_pred),
        mask_conversion(given.mask),
        _weight_conversion(given.weight),
    )
    strict = tuple(array.dtype.kind != "b" for array in (given.y_true, given.y_pred))

    def fold(results: list[tuple[int, MaskTally]]) -> None:
        for unit, tally in results:
            if tally.bad:
                raise Rejected
            sample, channel = divmod(unit, units) if units > 1 else (unit, slice(None))
            sums[sample, channel] += tally.sums.reshape(sums[sample, channel].shape)
            if units == 1 or channel == 0:
                voxels[sample, OUTSIDE] += tally.outside
                voxels[sample, COUNTED] += tally.voxels - tally.outside

    interleaved = (
        samples > 0 and channels > 1 and given.mask is None and given.weight is None and _channels_innermost(given)
    )
    units = 1 if interleaved else channels

    def layout(unit: int) -> Layout:
        sample, channel = divmod(unit, units)
        true, pred, mask, weight = given.sample(sample)
        if interleaved:
            return Layout(
                [np.moveaxis(a, 0, -1).reshape(-1) for a in (true, pred)] + [None, None], conversions, None, channels
            )
        arrays = [true[channel], pred[channel], mask, weight]
        return Layout(arrays, conversions, module.transpose_into, samples=samples * units)

    def counter() -> Any:
        return module.MaskCounter(channels if interleaved else 1, strict)

    if spatial and channels and samples:
        try:
            run_layouts(samples * units, spatial * channels // units, layout, counter, None, False, fold)
        except Rejected:
            explain_masks(given)
    counted = sums.sum(2) if given.weight is None else voxels[:, :1]
    if given.weight is not None:
        check_sums(sums)
    if (voxels.sum(1) != (spatial if channels else 0)).any() or (counted != voxels[:, :1]).any():
        raise RuntimeError("voxels were lost or counted twice; this is a defect in fastseg, please report it")
    tp, fp, fn, tn = np.moveaxis(sums, 2, 0)
    return BinaryCounts(names, tp, fp, fn, tn, voxels)


def _channels_innermost(given: MaskInputs) -> bool:
    """Tell whether both maps lie in memory with the channels of a voxel side by side and nothing in between."""
    true, pred, _, _ = given.sample(0)
    return all(a.itemsize == 1 and np.moveaxis(a, 0, -1).flags.c_contiguous for a in (true, pred))
