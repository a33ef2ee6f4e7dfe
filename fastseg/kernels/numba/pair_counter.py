"""The Numba backend's counter of pairs of many labels: tables that grow, and the sorted runs that come out of them."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import types

from fastseg.counts.pairs import united
from fastseg.kernels.numba import pair_runs, pairs
from fastseg.kernels.numba.label_counter import PairCounter
from fastseg.kernels.protocols.labels import Declared, Pairs, Span
from fastseg.kernels.protocols.pairs import Room, Run, RunStack

__all__ = ["merge_runs", "sparse_counter"]

Array = npt.NDArray[Any]
U = np.uint64

_FIRST_SLOTS, _MOST_SLOTS = 1 << 12, 1 << 14
#: Where most of what a table is emptied of comes again: slower to ask, but seldom emptied.
_LARGE_SLOTS = 1 << 18
#: Pairs that are sorted together.
_BUFFER = 1 << 18

_WORDS, _BATCH = types.Array(types.uint64, 1, "C"), types.Array(types.uint64, 2, "C")
_FLIPS = types.UniTuple(types.uint64, 2)
_NUMBERS = {"i": types.int64, "f": types.float64}


def _read(kind: Any, dimensions: int = 1) -> types.Array:
    return types.Array(kind, dimensions, "C", readonly=True, aligned=False)


@functools.cache
def _count(true: str, pred: str, masked: bool) -> Any:
    kinds = {"u4": types.uint32, "u8": types.uint64}
    mask = _read(types.uint8) if masked else types.none
    strides = types.UniTuple(types.uint64, 4)
    return pairs.count_runs.specialise(
        _read(kinds[true]), _read(kinds[pred]), mask, types.uint64, types.uint64, strides, _WORDS, _WORDS, _BATCH
    )


@functools.cache
def _rehash() -> Any:
    return pairs.rehash.specialise(_WORDS, _WORDS, types.uint64)


@functools.cache
def _drain() -> Any:
    return pairs.drain.specialise(_WORDS, types.uint64, _WORDS, _WORDS, types.Array(types.int64, 1, "C"))


@functools.cache
def _sort() -> Any:
    columns = (_WORDS, _WORDS, types.Array(types.int64, 1, "C"))
    return pair_runs.sort_run.specialise(*columns, *columns, _WORDS, _FLIPS)


@functools.cache
def _merge(kind: str) -> Any:
    number = _NUMBERS[kind]
    runs = (_read(types.uint64), _read(types.uint64), _read(number)) * 2
    return pair_runs.merge_runs.specialise(*runs, _WORDS, _WORDS, types.Array(number, 1, "C"), _FLIPS)


def _flip(dtype: np.dtype[Any]) -> int:
    """Return the bits that order labels as unsigned numbers once they are turned."""
    return 1 << (8 * dtype.itemsize - 1) if dtype.kind == "i" else 0


def merge_runs(a: Run, b: Run) -> Run:
    """Return two runs as one; labels are int64 or uint64, those of both of one type."""
    size = a.true.size + b.true.size
    true, pred, times = np.empty(size, U), np.empty(size, U), np.empty(size, a.times.dtype)
    runs = [column for run in (a, b) for column in (run.true.view(U), run.pred.view(U), run.times)]
    used = _merge(times.dtype.kind)(*runs, true, pred, times, (_flip(a.true.dtype), _flip(a.pred.dtype)))
    return Run(_first(true.view(a.true.dtype), used), _first(pred.view(a.pred.dtype), used), _first(times, used))


def _first(column: Array, used: int) -> Array:
    """Return what is used of a column; the rest is not kept where it is much, though it was never touched."""
    return column[:used] if used > column.size // 2 else column[:used].copy()


def _empty_table(slots: int) -> Array:
    """Return a table whose pairs of slots are lines of the cache, in words."""
    words = np.zeros(4 * slots + 8, U)
    first = -words.ctypes.data // 8 % 8
    return words[first : first + 4 * slots]


class _Workspace:
    """The table and the columns of one running counter; the table is always handed back empty."""

    def __init__(self) -> None:
        self.table = _empty_table(_FIRST_SLOTS)
        self.state = np.zeros(pairs.STATE_WORDS, U)
        self.batch = np.empty(pairs.BATCH_SHAPE, U)
        self.columns, self.others = (
            (np.empty(_BUFFER, U), np.empty(_BUFFER, U), np.empty(_BUFFER, np.int64)) for _ in range(2)
        )
        self.places = np.empty(pair_runs.DIGITS, U)
        self.most = _MOST_SLOTS


_idle: list[_Workspace] = []  # list.pop and list.append are atomic


class _WideCounter:
    """Counts pairs of integers of 32 or 64 bits."""

    def __init__(self, true_dtype: np.dtype[Any], pred_dtype: np.dtype[Any], room: Room) -> None:
        self._dtypes, self._room = (true_dtype, pred_dtype), room
        self._storage = tuple(np.dtype(f"u{d.itemsize}") for d in self._dtypes)
        self._wide = tuple(np.dtype(np.uint64 if d.kind == "u" else np.int64) for d in self._dtypes)
        self._flips = (_flip(true_dtype), _flip(pred_dtype))
        self._kernel: Any = None

    def __enter__(self) -> _WideCounter:
        try:
            self._space = _idle.pop()
        except IndexError:
            self._space = _Workspace()
        self._stack = RunStack(merge_runs, self._room)
        self._waiting = 0  # pairs in the columns
        return self

    def __exit__(self, kind: Any, *_: Any) -> None:
        space = self._space
        if kind is None:  # after an error the table may hold anything: drop it
            if space.most > _MOST_SLOTS:
                space.most, space.table = _MOST_SLOTS, _empty_table(_MOST_SLOTS)
            _idle.append(space)
        del self._space, self._stack

    def update(self, span: Span) -> bool:
        """Count one span; always True."""
        t, p, mask, _ = span.arrays
        t, p = t.view(self._storage[0]), p.view(self._storage[1])
        mask = None if mask is None else mask.view(np.uint8)
        if self._kernel is None:
            self._kernel = _count(t.dtype.str[1:], p.dtype.str[1:], mask is not None)
        space = self._space
        state = space.state
        while True:
            self._kernel(t, p, mask, span.rows, span.length, span.strides, space.table, state, space.batch)
            if state[pairs.ROW] == span.rows:
                state[pairs.ROW] = 0
                return True
            self._make_room()

    def _make_room(self) -> None:
        """Take a larger table, or empty the largest."""
        space = self._space
        slots = space.table.size // 4
        if slots < space.most:
            larger = _empty_table(4 * slots)
            _rehash()(space.table, larger, space.state[pairs.USED])
            space.table = larger
        else:
            self._drain()

    def _drain(self) -> None:
        space = self._space
        used = int(space.state[pairs.USED])
        if self._waiting + used > _BUFFER:
            self._sort()
        _drain()(space.table, used, *(column[self._waiting :] for column in space.columns))
        space.state[pairs.USED] = 0
        self._waiting += used

    def _sort(self) -> None:
        """Make the columns a run."""
        space, size = self._space, self._waiting
        columns = [column[:size] for column in space.columns]
        used = _sort()(*columns, *(column[:size] for column in space.others), space.places, self._flips)
        true, pred = (
            column[:used].astype(storage).view(dtype).astype(wide)
            for column, storage, dtype, wide in zip(columns, self._storage, self._dtypes, self._wide, strict=False)
        )
        if 2 * used < size:
            space.most = _LARGE_SLOTS
        self._waiting = 0
        self._stack.push(Run(true, pred, columns[2][:used].copy()))

    def take(self, declared: Declared | None = None) -> Pairs:
        """Return what was counted since the last call, sorted; pairs are int64 or uint64."""
        self._drain()
        self._sort()
        state, run = self._space.state, self._stack.take()
        outside = int(state[pairs.OUTSIDE])
        state[pairs.OUTSIDE] = 0
        return Pairs(run.true, run.pred, run.times, None, outside, 0)


class _NarrowCounter:
    """Counts pairs of all other integers and bool, a few at a time by the tables of `label_counter`."""

    def __init__(self, true_dtype: np.dtype[Any], pred_dtype: np.dtype[Any], room: Room) -> None:
        self._inner, self._room = PairCounter(true_dtype, pred_dtype), room
        self._wide = tuple(
            np.uint64 if d.kind == "u" and d.itemsize == 8 else np.int64 for d in (true_dtype, pred_dtype)
        )

    def __enter__(self) -> _NarrowCounter:
        self._inner.__enter__()
        self._stack, self._outside = RunStack(merge_runs, self._room), 0
        return self

    def __exit__(self, *exc_info: Any) -> None:
        self._inner.__exit__(*exc_info)

    def update(self, span: Span) -> bool:
        """Count one span; always True."""
        while not self._inner.update(span):
            self._push()
        return True

    def _push(self) -> None:
        pairs = self._inner.take()
        assert isinstance(pairs, Pairs)
        true, pred = pairs.true.astype(self._wide[0]), pairs.pred.astype(self._wide[1])
        self._stack.push(Run(*united(true, pred, pairs.times)))
        self._outside += pairs.outside

    def take(self, declared: Declared | None = None) -> Pairs:
        """Return what was counted since the last call, sorted; pairs are int64 or uint64."""
        self._push()
        run, outside, self._outside = self._stack.take(), self._outside, 0
        return Pairs(run.true, run.pred, run.times, None, outside, 0)


def sparse_counter(true_dtype: np.dtype[Any], pred_dtype: np.dtype[Any], weighted: bool, room: Room) -> Any:
    """Return a counter of pairs, however many there are; of weights and floats that of `label_counter`, which is soon full."""
    dtypes = (true_dtype, pred_dtype)
    if weighted or any(d.kind == "f" for d in dtypes):
        return PairCounter(*dtypes)
    if all(d.kind in "iu" and d.itemsize >= 4 and d.isnative for d in dtypes):
        return _WideCounter(*dtypes, room)
    return _NarrowCounter(*dtypes, room)
