"""Cuts the work into jobs, runs a backend's counters on threads and folds their results, in order, into the statistics."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from math import prod
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from fastseg.arrays import labels as inputs
from fastseg.arrays.array_likes import float32_of_bits
from fastseg.arrays.classes import MAX_CLASSES, Classes, too_many
from fastseg.arrays.diagnosis import Rejected, explain_labels
from fastseg.arrays.label_spans import Layout, Pieces, Slabs, layout_of, rows_of_samples, slabs_of
from fastseg.arrays.labels import LabelInputs
from fastseg.counting.device_labels import count_on_device
from fastseg.counting.jobs import check_compute, check_sums, mask_conversion, run_layouts, weight_conversion
from fastseg.counts import COUNTED, IGNORED, OUTSIDE, UNKNOWN, BinaryCounts, LabelCounts, Marginals, positions
from fastseg.counts.late import late
from fastseg.kernels import counter_of
from fastseg.kernels.protocols.labels import Declared, Pairs, Square

__all__ = ["LabelTotals", "count_classes", "count_into", "count_label_inputs"]

Array = npt.NDArray[Any]

#: What is added up of each label.
TRUE, PRED, HITS, MISSED = range(4)
#: Parts whose pairs wait for the matrix, which is large where there are many labels, and seldom asked for.
_MOST_WAITING = 8
#: Numbers of a matrix that can certainly be had later on.
_MOST_LATE = 1 << 26
#: Labels up to which kernels find the place of a pair without a search.
_NARROW = 256
#: Places of a table of all pairs that each thread may have for its own, and for each voxel that is counted into it.
_LARGEST_TABLE, _PLACES_A_VOXEL = 1 << 22, 64


class LabelTotals:
    """Pairs of values folded into counts by the rules for ignored, unknown and open labels.

    What each label amounts to is added up beside the matrix: it comes from the few pairs that occur, where the matrix would
    have to be read as a whole, and it is enough for most metrics. The matrix can be left out then.
    """

    unsigned = False

    def __init__(self, samples: int, classes: Classes, unknown: str, weighted: bool, *, matrix: bool = True) -> None:
        self.classes, self.weighted = classes, weighted
        self.count_unknown = _counts_unknown(unknown)
        self.consecutive = classes.consecutive
        self.labels = np.empty(0, np.int64) if classes.labels is None else classes.labels
        self.dtype: type[np.generic] = np.float64 if weighted else np.int64
        self.voxels = np.zeros((samples, 4), np.int64)
        self.sums = self._zeros(4, samples, self.labels.size)  # as `Marginals`, and missed
        self.with_matrix = matrix or weighted
        self._matrix: Array | None = None
        self._waiting: list[tuple[Array, Array]] = []  # places in the flat matrix, and what is to be added there
        self._lone: Square | None = None  # all that there is so far of a single sample, not folded in yet
        self._begun = samples != 1

    @property
    def declared(self) -> Declared | None:
        """What counts can be taken as a whole: of the classes 0..K-1, without weights. None for all others."""
        if self.consecutive is None or self.weighted:
            return None
        ignored = self.classes.ignored
        narrow = ignored[(ignored >= 0) & (ignored < 256)] if ignored.size else ignored
        return Declared(self.consecutive, narrow.astype(np.uint64), self.with_matrix)

    def _folded(self) -> Array:
        """Return the matrix, (N, K, K), with all that waits for it."""
        if self._matrix is None:
            self._matrix = self._zeros(len(self.voxels), self.labels.size, self.labels.size)
        for places, values in self._waiting:
            np.add.at(self._matrix.reshape(-1), places, values)
        self._waiting.clear()
        return self._matrix

    def _zeros(self, *shape: int) -> Array:
        try:
            return np.zeros(shape, self.dtype)
        except MemoryError:
            raise ValueError(
                f"num_classes, sample_axis: {len(self.voxels)} samples of {self.labels.size} classes need matrices of "
                f"{prod(shape) * 8 / 2**30:,.0f} GiB, which cannot be had"
            ) from None

    def add(self, sample: int, pairs: Pairs | Square) -> None:
        """Fold in the pairs of a part of one sample; raise `Rejected` if one of them is not allowed."""
        if isinstance(pairs, Square) and not self._begun:
            self._begun, self._lone = True, pairs
            return
        self._begun = True
        self._fold_lone()
        if isinstance(pairs, Square):
            self._add_square(sample, pairs)
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
            np.add.at(self.sums[MISSED, sample], rows[missed], values[missed])
            rows, columns, times, values = rows[~missed], columns[~missed], times[~missed], values[~missed]
        voxels[COUNTED] += times.sum()
        if not self.weighted:
            hits = rows == columns
            np.add.at(self.sums[TRUE, sample], rows, values)
            np.add.at(self.sums[PRED, sample], columns, values)
            np.add.at(self.sums[HITS, sample], rows[hits], values[hits])
        if self.with_matrix:
            size = self.labels.size
            self._waiting.append(((sample * size + rows) * size + columns, values))
            if len(self._waiting) == _MOST_WAITING:
                self._folded()

    def _fold_lone(self) -> None:
        """Fold in what was alone so far."""
        if self._lone is not None:
            square, self._lone = self._lone, None
            self._add_square(0, square)

    def _add_square(self, sample: int, square: Square) -> None:
        self.sums[:MISSED, sample] += square.sums[:MISSED]
        self.voxels[sample] += (square.voxels, square.ignored, square.outside, 0)
        if self.with_matrix and self._matrix is None and len(self.voxels) == 1:
            self._matrix = square.counts[None]
        elif self.with_matrix:
            self._folded()[sample] += square.counts

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
            raise too_many(union)
        matrix = self._folded() if self._waiting else self._matrix
        where, sums = np.searchsorted(union, self.labels), self.sums
        self.labels, self._matrix = union, None
        self.sums = self._zeros(4, len(self.voxels), union.size)
        self.sums[:, :, where] = sums
        if matrix is not None:
            self._folded()[:, where[:, None], where[None, :]] = matrix

    def finish(self, given: int) -> LabelCounts:
        """Return the counts, having checked that every voxel of each sample has gone somewhere."""
        if self._lone is not None and self.with_matrix:
            sums = self._lone.sums[:, None]
            sums.flags.writeable = False
            return LabelCounts._trusted(
                labels=self.labels,
                closed=True,
                matrix=self._lone.counts[None],
                unknown=self.sums[MISSED],
                voxels=self._check_lone(self._lone, given),
                ignored=self.classes.without_score,
                marginals=Marginals(sums[TRUE], sums[PRED], sums[HITS]),
            )
        self._fold_lone()
        self._check(given)
        known: dict[str, Any] = {} if self.weighted else {"marginals": self._marginals()}
        waits = self._matrix is None and self.sums[TRUE].size * self.labels.size < _MOST_LATE and not self.weighted
        return LabelCounts._trusted(
            labels=self.labels,
            closed=self.classes.labels is not None,
            unknown=self.sums[MISSED],
            voxels=self.voxels,
            ignored=self.classes.without_score,
            **known,
            **({"_pairs": tuple(self._waiting)} if waits else {"matrix": self._folded()}),
        )

    def finish_classes(self, given: int) -> BinaryCounts:
        """Return what `LabelCounts.one_vs_rest` would of counts without weights; no matrix is needed."""
        if self._lone is not None:
            _, _, tp, fp, fn, tn = self._lone.sums[:, None]
            voxels = self._check_lone(self._lone, given)
            return BinaryCounts._trusted(classes=self.classes.names, tp=tp, fp=fp, fn=fn, tn=tn, voxels=voxels)
        self._check(given)
        return self._marginals().one_vs_rest(self.labels, self.voxels)

    def _marginals(self) -> Marginals:
        self.sums.flags.writeable = False
        true, pred, hits, missed = self.sums
        return Marginals(true + missed if self.count_unknown else true, pred, hits)

    def _check_lone(self, square: Square, given: int) -> npt.NDArray[np.int64]:
        """Return where its voxels have gone, (1, 4), having checked that they are those of its labels, and all."""
        voxels = np.array([[square.voxels, square.ignored, square.outside, 0]], np.int64)
        true, pred, tp, fp, fn, tn = np.add.reduce(square.sums, axis=1).tolist()
        classes, counted = square.sums.shape[1], square.voxels
        conserved = true == pred == counted and tp + fp == tp + fn == counted and tp + fp + fn + tn == classes * counted
        if not conserved or counted + square.ignored + square.outside != given:
            _lost(given, voxels)
        return voxels

    def _check(self, given: int) -> None:
        conserved = all(sum(row) == given for row in self.voxels.tolist())
        if self.weighted:
            check_sums(self._folded())
        else:
            true, pred, _, missed = np.add.reduce(self.sums, axis=2).tolist()
            counted, unknown = self.voxels[:, COUNTED].tolist(), self.voxels[:, UNKNOWN].tolist()
            conserved = conserved and true == pred == counted and missed == unknown
        if not conserved:
            _lost(given, self.voxels)


def _counts_unknown(unknown: str) -> bool:
    if unknown not in ("raise", "count"):
        raise ValueError(f"unknown: expected 'raise' or 'count', found {unknown!r}")
    return unknown == "count"


def _lost(given: int, voxels: npt.NDArray[np.int64]) -> NoReturn:
    raise RuntimeError(
        f"voxels were lost or counted twice: {given} a sample were given, {voxels.tolist()} counted; "
        "this is a defect in fastseg, please report it"
    )


def count_label_inputs(
    given: LabelInputs, *, unknown: str = "raise", backend: str = "auto", compute: bool = True
) -> LabelCounts:
    """Count a pair of label maps; the inputs are checked already. Of Dask arrays, with ``compute=False``, a `Delayed`."""
    if given.device is not None:
        check_compute(compute)
        count = count_on_device(given, _counts_unknown(unknown), backend)

        def make() -> LabelCounts:
            totals = _totals_of(given, unknown)
            count(totals.add)
            return totals.finish(_voxels(given))

        return late(LabelCounts, make)
    if given.in_blocks:
        from fastseg.counting.dask_blocks import count_in_blocks

        counts: LabelCounts = count_in_blocks(
            given, partial(count_label_inputs, unknown=unknown, backend=backend), compute=compute
        )
        return counts
    check_compute(compute)
    return _count(given, unknown, backend).finish(_voxels(given))


def count_classes(
    given: LabelInputs, *, unknown: str = "raise", backend: str = "auto", compute: bool = True
) -> LabelCounts | BinaryCounts:
    """Count each label of a pair of label maps against all others, without a matrix a sample where that can be."""
    if given.in_blocks:
        from fastseg.counting.dask_blocks import count_in_blocks

        # Which labels occur is known at the end, and only counts of pairs can be put together before.
        declared = given.classes.labels is not None
        each = partial(count_classes if declared else count_label_inputs, unknown=unknown, backend=backend)
        found: LabelCounts | BinaryCounts = count_in_blocks(
            given, each, then=None if declared else _each_label, compute=compute
        )
        return found
    check_compute(compute)
    if given.weight is not None or given.classes.without_score.size or given.device is not None:
        # Binary counts do not know weights and ignored classes; of a GPU the matrix comes back in any case.
        return count_label_inputs(given, unknown=unknown, backend=backend)
    return _count(given, unknown, backend, matrix=False).finish_classes(_voxels(given))


def _totals_of(given: LabelInputs, unknown: str, matrix: bool = True) -> LabelTotals:
    """Return room for the counts of a pair of label maps."""
    return LabelTotals(given.num_samples, given.classes, unknown, given.weight is not None, matrix=matrix)


def _voxels(given: LabelInputs) -> int:
    """Return the voxels of a sample."""
    voxels: int = given.y_true.size // max(1, given.num_samples)
    return voxels


def _each_label(counts: LabelCounts) -> LabelCounts | BinaryCounts:
    """Return what `count_classes` does of open counts."""
    return counts if counts.weighted or counts.ignored.size else counts.one_vs_rest()


def _count(given: LabelInputs, unknown: str, backend: str, *, matrix: bool = True) -> LabelTotals:
    """Return what a pair of label maps adds up to."""
    module = counter_of(backend)
    totals = _totals_of(given, unknown, matrix)
    declared = None if any(given.bfloat16) else totals.declared  # values of bit patterns are known only afterwards
    types = given.y_true.dtype, given.y_pred.dtype
    if declared is not None and not totals.count_unknown and _in_one_table(given, declared, module):
        counter = partial(module.DeclaredCounter, *types, declared, given.classes.ignored)
        try:
            count_into(totals.add, given, counter, module.transpose_into, declared)
            return totals
        except Rejected:
            totals = _totals_of(given, unknown, matrix)  # the other counter knows which labels they were
    try:
        count_into(totals.add, given, partial(module.PairCounter, *types), module.transpose_into, declared)
    except Rejected:
        explain_labels(given, count_unknown=totals.count_unknown)
    return totals


def _in_one_table(given: LabelInputs, declared: Declared, module: Any) -> bool:
    """Tell whether labels are so many that pairs of them would be searched, and a table of them all can be had instead."""
    types = given.y_true.dtype, given.y_pred.dtype
    if (
        declared.classes <= _NARROW
        or max(dtype.itemsize for dtype in types) == 1
        or not hasattr(module, "DeclaredCounter")
    ):
        return False
    room = declared.classes**2 <= min(_LARGEST_TABLE, _PLACES_A_VOXEL * _voxels(given)) or not declared.matrix
    return room and all(dtype.kind in "iu" and dtype.isnative for dtype in types)


def count_into(
    add: Callable[[int, Pairs | Square], None],
    given: LabelInputs,
    counter: Callable[[], AbstractContextManager[Any]],
    transpose: Callable[..., None],
    declared: Declared | None = None,
    many: bool = False,
) -> None:
    """Count a pair of maps, of few or `many` labels, in the memory of the CPU by counters of a backend; `add` parts.

    Raises
    ------
    Rejected
        If `add` does, or the counter has met a label that it does not know.
    """
    voxels = _voxels(given)
    if not voxels:
        return
    conversions = (None, None, mask_conversion(given.mask), weight_conversion(given.weight))
    bits = any(given.bfloat16)
    arrays = (given.y_true, given.y_pred, given.mask, given.weight)
    rows = rows_of_samples(arrays, conversions) if given.sample_axis == 0 else None

    def layout(n: int) -> Layout | Pieces | Slabs:
        if rows is not None:
            return Pieces([None if row is None else row[n] for row in rows], given.num_samples)
        sample = given.sample(n)
        slabs = slabs_of(sample[:3], conversions) if many and given.weight is None else None
        return slabs or layout_of(sample, conversions, transpose, samples=given.num_samples)

    def fold(results: list[tuple[int, Pairs | Square | None]]) -> None:
        for sample, pairs in results:
            if pairs is None:
                raise Rejected
            add(sample, _decoded(pairs, given.bfloat16) if bits else pairs)

    keep = given.num_samples == 1 and given.weight is None  # integers may be folded in any order, so at the end
    work = voxels * max(given.y_true.itemsize, given.y_pred.itemsize)
    run_layouts(given.num_samples, work, layout, counter, declared, keep, fold)


def _decoded(pairs: Pairs | Square, bfloat16: tuple[bool, bool]) -> Pairs | Square:
    """Return pairs of the numbers that bit patterns of bfloat16 stand for."""
    assert isinstance(pairs, Pairs)
    true, pred = (
        float32_of_bits(values) if bits else values
        for values, bits in zip((pairs.true, pairs.pred), bfloat16, strict=True)
    )
    return pairs._replace(true=true, pred=pred)
