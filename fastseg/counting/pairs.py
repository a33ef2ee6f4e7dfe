"""Pairs of labels that occur, counted: parts are folded into a sparse table, whatever number of labels there are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from fastseg.arrays.diagnosis import Rejected
from fastseg.arrays.labels import LabelInputs, whole_numbers
from fastseg.counting.jobs import check_sums
from fastseg.counting.labels import count_into
from fastseg.counts import COUNTED, IGNORED, OUTSIDE, PairCounts
from fastseg.counts.pairs import among, united
from fastseg.kernels.protocols.labels import Pairs, Square

__all__ = ["PairTotals", "count_pair_inputs"]

Array = npt.NDArray[Any]
Run = tuple[Array, Array, Array]


class PairTotals:
    """Pairs of values folded into sparse counts, each part when it comes.

    Parameters
    ----------
    samples
        N, the number of cases.
    ignored
        True labels that are not counted.
    weighted
        Whether what is added up are weights.
    unsigned
        Of truth and prediction: whether their values of int64 stand for uint64 of the same bits.
    """

    declared = None
    count_unknown = False

    def __init__(
        self,
        samples: int,
        ignored: Sequence[int] = (),
        *,
        weighted: bool = False,
        unsigned: tuple[bool, bool] = (False,) * 2,
    ) -> None:
        self.ignored, self.weighted, self.unsigned = tuple(ignored), weighted, unsigned
        self.voxels = np.zeros((samples, 4), np.int64)
        self._runs: list[list[Run]] = [[] for _ in range(samples)]

    def add(self, sample: int, pairs: Pairs | Square) -> None:
        """Fold in the pairs of a part of one sample; raise `Rejected` if one of them is not allowed."""
        assert isinstance(pairs, Pairs)
        if pairs.bad_weights:
            raise Rejected
        voxels, times = self.voxels[sample], pairs.times
        voxels[OUTSIDE] += pairs.outside
        true, pred = (_labels(*each) for each in zip((pairs.true, pairs.pred), self.unsigned, strict=True))
        values: Array = times if pairs.weights is None else pairs.weights
        if self.ignored and (ignored := among(true, self.ignored)).any():
            voxels[IGNORED] += times[ignored].sum()
            true, pred, times, values = true[~ignored], pred[~ignored], times[~ignored], values[~ignored]
        voxels[COUNTED] += times.sum()
        if true.size:
            self._push(self._runs[sample], _run(true, pred, values))

    def _push(self, runs: list[Run], run: Run) -> None:
        """Keep a run; runs of about one size are made one, so that few are kept, and each pair is seldom moved."""
        runs.append(run)
        while len(runs) > 1 and 2 * runs[-1][0].size >= runs[-2][0].size:
            after, before = runs.pop(), runs.pop()
            runs.append(_run(*(np.concatenate(each) for each in zip(before, after, strict=True))))

    def finish(self, given: int) -> PairCounts:
        """Return the counts, having checked that every voxel of each sample has gone somewhere."""
        whole = [
            _run(*(np.concatenate(each) for each in zip(*runs, strict=True))) if runs else None for runs in self._runs
        ]
        kept = [run for run in whole if run is not None]
        sizes = [0 if run is None else run[0].size for run in whole]
        case = np.repeat(np.arange(len(sizes)), sizes)
        dtypes = (np.int64, np.int64, np.float64 if self.weighted else np.int64)
        true, pred, counts = (
            np.concatenate([run[k] for run in kept]) if kept else np.zeros(0, dtypes[k]) for k in range(3)
        )
        if self.weighted:
            check_sums(counts)
        if (self.voxels.sum(1) != given).any() or not (self.weighted or counts.sum() == self.voxels[:, COUNTED].sum()):
            raise RuntimeError(
                f"voxels were lost or counted twice: {given} a sample were given, {self.voxels.tolist()} counted; "
                "this is a defect in fastseg, please report it"
            )
        return PairCounts(case, true, pred, counts, self.voxels, self.ignored)


def _run(true: Array, pred: Array, values: Array) -> Run:
    """Return pairs sorted, each once."""
    true, pred, values = united(true, pred, values)
    return true, pred, values


def _labels(values: Array, unsigned: bool) -> Array:
    """Return values as labels of int64 or uint64; raise `Rejected` if some are none."""
    if values.dtype.kind == "u" and values.dtype.itemsize == 8:
        return values.astype(np.uint64, copy=False)
    labels, wrong = whole_numbers(values)
    if wrong.any():
        raise Rejected
    return labels.view(np.uint64) if unsigned else labels


def count_pair_inputs(given: LabelInputs, ignored: Sequence[int] = (), *, backend: str = "auto") -> PairCounts:
    """Count the pairs of labels of two maps; the inputs are checked already."""
    if given.device is not None:
        raise TypeError(
            "y_true, y_pred: expected arrays in the memory of the CPU, where pairs are counted; found some of a GPU"
        )
    # Seen as signed numbers all of them are labels, whoever looks; the bits are the same.
    true, pred = _signed(given.y_true), _signed(given.y_pred)
    unsigned = (true.dtype != given.y_true.dtype, pred.dtype != given.y_pred.dtype)
    totals = PairTotals(given.num_samples, ignored, weighted=given.weight is not None, unsigned=unsigned)
    return totals.finish(count_into(totals, replace(given, y_true=true, y_pred=pred), backend))


def _signed(array: Array) -> Array:
    return array.view(array.dtype.str.replace("u8", "i8"))
