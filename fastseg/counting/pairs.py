"""Pairs of labels that occur, counted: parts are folded into a sparse table, whatever number of labels there are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from fastseg.arrays.diagnosis import Rejected, explain_labels
from fastseg.arrays.labels import LabelInputs, whole_numbers
from fastseg.counting.jobs import check_compute, check_sums
from fastseg.counting.labels import count_into
from fastseg.counting.memory import available_memory
from fastseg.counts import COUNTED, IGNORED, OUTSIDE, PairCounts
from fastseg.counts.pairs import united
from fastseg.counts.segment_ids import among
from fastseg.kernels import counter_of
from fastseg.kernels.protocols.labels import Pairs, Square
from fastseg.kernels.protocols.pairs import Room, Run, RunStack, TooManyPairs

__all__ = ["PairTotals", "count_pair_inputs", "room_for_pairs", "too_many"]

Array = npt.NDArray[Any]

#: Most pairs that are kept while a call counts, by all of its threads together.
MOST_PAIRS = 1 << 26
#: What each takes at most, while runs are merged and when counts are made of them.
BYTES_PER_PAIR = 72
#: Pairs for which nobody asks how much memory there is, which takes longer than to count a small picture: a mebibyte.
_CERTAIN = 1 << 14


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
    module
        The backend, which merges runs.
    room
        How many pairs may be kept.
    """

    declared = None
    unsigned = True

    def __init__(self, samples: int, ignored: Sequence[int], *, weighted: bool, module: Any, room: Room) -> None:
        self.ignored, self.weighted = tuple(ignored), weighted
        self.voxels = np.zeros((samples, 4), np.int64)
        self._stacks = [RunStack(module.merge_runs, room) for _ in range(samples)]

    def add(self, sample: int, pairs: Pairs | Square) -> None:
        """Fold in the pairs of a part of one sample; raise `Rejected` if one of them is not allowed."""
        assert isinstance(pairs, Pairs)
        if pairs.bad_weights:
            raise Rejected
        voxels, times = self.voxels[sample], pairs.times
        voxels[OUTSIDE] += pairs.outside
        true, pred = _labels(pairs.true), _labels(pairs.pred)
        values: Array = times if pairs.weights is None else pairs.weights
        if self.ignored and (ignored := among(true, self.ignored)).any():
            voxels[IGNORED] += times[ignored].sum()
            true, pred, times, values = true[~ignored], pred[~ignored], times[~ignored], values[~ignored]
        voxels[COUNTED] += times.sum()
        if true.size:
            self._stacks[sample].push(Run(*united(true, pred, values)))

    def finish(self, given: int) -> PairCounts:
        """Return the counts, having checked that every voxel of each sample has gone somewhere."""
        runs = [stack.take() if stack else None for stack in self._stacks]
        kept = [run for run in runs if run is not None]
        case = np.repeat(np.arange(len(runs)), [0 if run is None else run.true.size for run in runs])
        dtypes = (np.int64, np.int64, np.float64 if self.weighted else np.int64)
        true, pred, counts = (_joined([run[k] for run in kept], dtypes[k]) for k in range(3))
        if self.weighted:
            check_sums(counts)
        if (self.voxels.sum(1) != given).any() or not (self.weighted or counts.sum() == self.voxels[:, COUNTED].sum()):
            raise RuntimeError(
                f"voxels were lost or counted twice: {given} a sample were given, {self.voxels.tolist()} counted; "
                "this is a defect in fastseg, please report it"
            )
        return PairCounts(case, true, pred, counts, self.voxels, self.ignored)


def _joined(parts: list[Array], dtype: Any) -> Array:
    return parts[0] if len(parts) == 1 else np.concatenate(parts) if parts else np.zeros(0, dtype)


def _labels(values: Array) -> Array:
    """Return values as labels of int64 or uint64; raise `Rejected` if some are none."""
    if values.dtype.kind == "u" and values.dtype.itemsize == 8:
        return values.astype(np.uint64, copy=False)
    labels, wrong = whole_numbers(values)
    if wrong.any():
        raise Rejected
    return labels


def count_pair_inputs(
    given: LabelInputs, ignored: Sequence[int] = (), *, backend: str = "auto", compute: bool = True
) -> PairCounts:
    """Count the pairs of labels of two maps; the inputs are checked already."""
    if given.in_blocks:
        from fastseg.counting.dask_blocks import count_in_blocks

        each = partial(count_pair_inputs, ignored=tuple(ignored), backend=backend)
        counts: PairCounts = count_in_blocks(given, each, compute=compute)
        return counts
    check_compute(compute)
    if given.device is not None:
        raise TypeError(
            f"y_true, y_pred: expected arrays in the memory of the CPU, where pairs are counted; found some of {given.device}"
        )
    module, weighted, room = counter_of(backend), given.weight is not None, room_for_pairs()
    totals = PairTotals(given.num_samples, ignored, weighted=weighted, module=module, room=room)
    dtypes = (given.y_true.dtype, given.y_pred.dtype)
    try:
        counter = partial(module.sparse_counter, *dtypes, weighted, room)
        count_into(totals.add, given, counter, module.transpose_into, many=True)
    except Rejected:
        # Seen as signed numbers all integers are labels, of the same bits.
        signed = {name: _signed(getattr(given, name)) for name in ("y_true", "y_pred")}
        explain_labels(replace(given, **signed), count_unknown=False)  # type: ignore[arg-type]
    except TooManyPairs:
        raise ValueError(too_many(room, "y_true, y_pred", given.y_true.size)) from None
    return totals.finish(int(given.y_true.size) // max(1, given.num_samples))


def room_for_pairs() -> Room:
    """Return room for as many pairs as the memory that there is has."""
    return Room(_most_pairs, min(_CERTAIN, MOST_PAIRS))


def _most_pairs() -> int:
    free = available_memory()
    return MOST_PAIRS if free is None else min(MOST_PAIRS, max(1, free // BYTES_PER_PAIR))


def _signed(array: Array) -> Array:
    return array.view(array.dtype.str.replace("u8", "i8"))


def too_many(room: Room, whose: str, voxels: int | None = None) -> str:
    """Say what counting would take."""
    most, gib = room.most, BYTES_PER_PAIR / 2**30
    each = f"the {voxels:,} voxels, which would take {voxels * gib:,.1f} GiB" if voxels else "the voxels"
    return (
        f"{whose}: expected at most {most:,} distinct pairs of labels, which take {most * gib:,.1f} GiB, found more; "
        f"there may be a pair for each of {each} (a region of interest counts a part of the maps)"
    )
