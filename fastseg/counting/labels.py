"""Cuts the work into jobs, runs a backend's counters on threads and folds their results, in order, into the statistics."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fastseg.arrays import labels as inputs
from fastseg.arrays.array_likes import float32_of_bits
from fastseg.arrays.classes import MAX_CLASSES, Classes
from fastseg.arrays.diagnosis import Rejected, explain_labels
from fastseg.arrays.label_spans import Layout
from fastseg.arrays.labels import LabelInputs
from fastseg.counting.jobs import check_sums, mask_conversion, run_layouts, weight_conversion
from fastseg.counts import COUNTED, IGNORED, OUTSIDE, UNKNOWN, LabelCounts, positions
from fastseg.kernels import counter_of
from fastseg.kernels.protocols.labels import Pairs, Square

__all__ = ["LabelTotals", "count_label_inputs"]

Array = npt.NDArray[Any]


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
        conversions = (None, None, mask_conversion(given.mask), weight_conversion(given.weight))

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
