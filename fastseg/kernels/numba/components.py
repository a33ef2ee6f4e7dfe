"""Connected components as runs, by Numba: a map is read once, and only the runs of its foreground are looked at again."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import types

from fastseg.kernels.numba.jit import device, kernel
from fastseg.kernels.protocols.components import ComponentRuns, TooManyRuns, touching

__all__ = ["component_runs", "paint_runs", "run_overlaps"]

Array = npt.NDArray[Any]
Ints = npt.NDArray[np.int64]

#: Runs that there is room for at first.
_FIRST_ROOM = 1 << 14


@kernel
def find_runs(
    labels: Any, words: Any, shift: Any, width: Any, row: Any, starts: Any, stops: Any, values: Any, firsts: Any, found: Any
) -> Any:  # fmt: skip
    """Append the runs of labels that are not 0, row by row; return the row before which there was no room, and how many.

    `words` are the same bytes, each of which is ``1 << shift`` labels: background is passed over by words.
    """
    size, in_word = labels.size, 1 << shift
    while row * width < size:
        if found + width > starts.size and found + _most(labels, row * width, width) > starts.size:
            return row, found
        firsts[row] = found
        at, end = row * width, (row + 1) * width
        while at < end:
            if at & (in_word - 1) == 0:
                while at + in_word <= end and words[at >> shift] == 0:
                    at += in_word
                if at >= end:
                    break
            value = labels[at]
            if value == 0:
                at += 1
                continue
            start = at
            at += 1
            while at < end and labels[at] == value:
                at += 1
            starts[found], stops[found], values[found] = start, at, value
            found += 1
        row += 1
    firsts[row] = found
    return row, found


@device
def _most(labels: Any, start: Any, width: Any) -> Any:
    """Return how many runs a row has at most: as many as there are changes in it, and one."""
    changes = 1
    for at in range(start + 1, start + width):
        if labels[at] != labels[at - 1]:
            changes += 1
    return changes


@device
def _root(parents: Any, run: Any) -> Any:
    while parents[run] != run:
        parents[run] = parents[parents[run]]
        run = parents[run]
    return run


@device
def _unite(parents: Any, one: Any, other: Any) -> None:
    if parents[one] == parents[other]:
        return
    one, other = _root(parents, one), _root(parents, other)
    if one < other:
        parents[other] = one
    else:
        parents[one] = other


@device
def _join_rows(
    starts: Any, stops: Any, values: Any, parents: Any, i: Any, end: Any, j: Any, other_end: Any, shift: Any, reach: Any
) -> None:
    """Unite the runs of two rows that touch and have the same label; the second row's columns are `shift` behind."""
    while i < end and j < other_end:
        start, stop = starts[j] + shift, stops[j] + shift
        if stop + reach <= starts[i]:
            j += 1
        elif stops[i] + reach <= start:
            i += 1
        else:
            if values[i] == values[j]:
                _unite(parents, i, j)
            if stops[i] < stop:
                i += 1
            else:
                # Runs of other labels may follow at once: the next of one row touches this of the other at a corner.
                if (
                    reach == 1
                    and stops[i] == stop
                    and i + 1 < end
                    and starts[i + 1] == stop
                    and values[i + 1] == values[j]
                ):
                    _unite(parents, i + 1, j)
                j += 1


@kernel
def join_runs(
    starts: Any, stops: Any, values: Any, firsts: Any, rows: Any, width: Any, beside: Any, above: Any, diagonal: Any, ids: Any
) -> Any:  # fmt: skip
    """Number the components that runs are of; return how many there are. There are `rows` rows in a plane."""
    for run in range(starts.size):
        ids[run] = run
    for row in range(firsts.size - 1):
        i, end = firsts[row], firsts[row + 1]
        if i == end:
            continue
        within = row % rows
        if within > 0 and beside >= 0:
            other = row - 1
            _join_rows(starts, stops, values, ids, i, end, firsts[other], firsts[other + 1], width, beside)
        if row >= rows and above >= 0:
            other = row - rows
            _join_rows(starts, stops, values, ids, i, end, firsts[other], firsts[other + 1], rows * width, above)
            if diagonal >= 0:
                if within > 0:
                    other = row - rows - 1
                    _join_rows(
                        starts, stops, values, ids, i, end, firsts[other], firsts[other + 1], (rows + 1) * width, diagonal
                    )  # fmt: skip
                if within < rows - 1:
                    other = row - rows + 1
                    _join_rows(
                        starts, stops, values, ids, i, end, firsts[other], firsts[other + 1], (rows - 1) * width, diagonal
                    )  # fmt: skip
    # A parent comes before its children, so that it has its number already.
    count = 0
    for run in range(starts.size):
        if ids[run] == run:
            count += 1
            ids[run] = count
        else:
            ids[run] = ids[ids[run]]
    return count


@kernel
def overlap_runs(
    starts: Any, stops: Any, ids: Any, other_starts: Any, other_stops: Any, other_ids: Any,
    true: Any, pred: Any, counts: Any,
) -> Any:  # fmt: skip
    """Write the components of each two runs that overlap, and by how many voxels; return how many there are."""
    i, j, found = 0, 0, 0
    while i < starts.size and j < other_starts.size:
        start, stop = max(starts[i], other_starts[j]), min(stops[i], other_stops[j])
        if start < stop:
            if found > 0 and true[found - 1] == ids[i] and pred[found - 1] == other_ids[j]:
                counts[found - 1] += stop - start
            else:
                true[found], pred[found], counts[found] = ids[i], other_ids[j], stop - start
                found += 1
        if stops[i] < other_stops[j]:
            i += 1
        else:
            j += 1
    return found


@kernel
def fill_runs(starts: Any, stops: Any, ids: Any, found: Any) -> Any:
    """Write the number of each run where it lies."""
    for run in range(starts.size):
        for at in range(starts[run], stops[run]):
            found[at] = ids[run]


_INTS = types.Array(types.int64, 1, "C")
_GIVEN = types.Array(types.int64, 1, "C", readonly=True, aligned=False)
_N = types.int64
_KINDS = {
    "i1": types.int8, "u1": types.uint8, "i2": types.int16, "u2": types.uint16, "i4": types.int32, "u4": types.uint32,
    "i8": types.int64, "u8": types.uint64,
}  # fmt: skip


@functools.cache
def _find(kind: str) -> Any:
    labels = types.Array(_KINDS[kind], 1, "C", readonly=True, aligned=False)
    words = types.Array(types.uint64, 1, "C", readonly=True, aligned=False)
    return find_runs.specialise(labels, words, _N, _N, _N, _INTS, _INTS, _INTS, _INTS, _N)


@functools.cache
def _join() -> Any:
    return join_runs.specialise(_GIVEN, _GIVEN, _GIVEN, _GIVEN, _N, _N, _N, _N, _N, _INTS)


@functools.cache
def _overlap() -> Any:
    return overlap_runs.specialise(*(_GIVEN,) * 6, _INTS, _INTS, _INTS)


@functools.cache
def _fill() -> Any:
    return fill_runs.specialise(_GIVEN, _GIVEN, _GIVEN, types.Array(types.int32, 1, "C"))


def component_runs(labels: Array, neighbours: int, most: int | None = None) -> ComponentRuns:
    """Return the runs of the components of each label but 0, of a map with two or three axes; TooManyRuns if over `most`."""
    own = np.ascontiguousarray(labels.astype(labels.dtype.newbyteorder("="), copy=False))
    stored = own.view(np.uint8) if own.dtype.kind == "b" else own
    flat, width = stored.reshape(-1), own.shape[-1]
    if not flat.size:
        nothing = np.zeros(0, np.int64)
        return ComponentRuns(nothing, nothing, nothing, np.zeros(0, own.dtype))
    shift = {8: 0, 4: 1, 2: 2, 1: 3}[flat.itemsize]
    words = flat[: flat.size >> shift << shift].view(np.uint64)
    firsts = np.empty(flat.size // width + 1, np.int64)
    starts, stops, values = (np.empty(max(_FIRST_ROOM, width), np.int64) for _ in range(3))
    find = _find(f"{flat.dtype.kind}{flat.itemsize}")
    row = found = 0
    while True:
        row, found = find(flat, words, shift, width, row, starts, stops, values, firsts, found)
        finished = row * width >= flat.size
        if most is not None and found >= most + finished:
            raise TooManyRuns
        if finished:
            break
        room = max(2 * starts.size, found + width)
        starts, stops, values = (np.concatenate([each[:found], np.empty(room - found, np.int64)])
                                 for each in (starts, stops, values))  # fmt: skip
    starts, stops, values = starts[:found], stops[:found], values[:found]
    ids = np.empty(found, np.int64)
    count = _join()(starts, stops, values, firsts, own.shape[-2], width, *touching(neighbours), ids)
    first = np.empty(count, np.int64)
    first[ids[::-1] - 1] = np.arange(found)[::-1]  # the first of several assignments is the last that is made
    return ComponentRuns(starts, stops, ids, values[first].astype(own.dtype))


def run_overlaps(one: ComponentRuns, other: ComponentRuns) -> tuple[Ints, Ints, Ints]:
    """Return the components of both that share voxels, sorted, each pair once, and how many voxels these are."""
    room = one.starts.size + other.starts.size
    true, pred, counts = (np.empty(room, np.int64) for _ in range(3))
    found = _overlap()(*one[:3], *other[:3], true, pred, counts)
    true, pred, counts = true[:found], pred[:found], counts[:found]
    width = other.values.size + 1
    keys, inverse = np.unique(true * width + pred, return_inverse=True)
    sums = np.bincount(inverse.reshape(-1), counts, keys.size).astype(np.int64)
    return keys // width, keys % width, sums


def paint_runs(runs: ComponentRuns, found: Array) -> None:
    """Write the number of each component into a flat map of int32, where its voxels are."""
    _fill()(*runs[:3], found)
