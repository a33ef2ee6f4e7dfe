"""The Numba backend's counter of label pairs: the tables that the kernels of `labels` write to, and what is read from them."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import types

from fastseg.kernels.numba.label_tables import take_square
from fastseg.kernels.numba.labels import NARROW, ROW, SCRATCH_WORDS, SLOTS, STATE_WORDS, count_pairs, fold_noise
from fastseg.kernels.numba.simd.lanes import ALL
from fastseg.kernels.protocols.labels import Declared, Pairs, Span, Square

__all__ = ["PairCounter"]

U = np.uint64


@functools.cache
def _storage_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the type that the kernel reads in place of `dtype`: native float32 and float64, else unsigned bit patterns."""
    if dtype.isnative and dtype.kind == "f" and dtype.itemsize >= 4:
        return dtype
    return np.dtype(f"u{dtype.itemsize}")


@functools.cache
def _plain(dtype: np.dtype[Any]) -> int:
    """Return up to which label a code of the 256×256 table is the label itself."""
    if dtype.kind == "b":  # any byte but 0 is true
        return 2
    if _storage_dtype(dtype).kind == "f" or (dtype.kind == "u" and dtype.isnative):
        return 256
    if dtype.kind != "i" or not dtype.isnative:
        return 0
    return 128 if dtype.itemsize == 1 else 256


def _decode(codes: npt.NDArray[np.uint64], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Turn pair codes back into values of `dtype`."""
    storage = _storage_dtype(dtype)
    if storage.kind == "u":
        return codes.astype(storage).view(dtype)
    bits = (codes - U(256)).astype(f"u{storage.itemsize}")
    bits[codes == ALL] = np.array(np.nan, storage).view(bits.dtype)
    return np.where(codes < 256, codes.astype(storage), bits.view(storage))


@functools.cache
def _fold_noise() -> Any:
    return fold_noise.specialise(_STATE_TYPES[1], _COUNTS, types.uint64)


@functools.cache
def _take_square() -> Any:
    ignored = types.Array(types.uint64, 1, "C", readonly=True)
    return take_square.specialise(_COUNTS, types.uint64, ignored, types.int64, *(types.Array(types.int64, 2, "C"),) * 2)


def _array_type(dtype: Any) -> types.Array:
    return types.Array(dtype, 1, "C", readonly=True, aligned=False)


_STATE_TYPES = (
    types.Array(types.uint64, 2, "C"),
    types.Array(types.uint64, 1, "C"),
    types.Array(types.uint64, 1, "C"),
)
_COUNTS, _SUMS, _STRIDES = (
    types.Array(types.int64, 1, "C"),
    types.Array(types.float64, 1, "C"),
    types.UniTuple(types.uint64, 4),
)


@functools.cache
def _specialise(*dtypes: np.dtype[Any] | None) -> Any:
    """Return the kernel compiled for arrays of these types (true, predicted, mask or None, weight or None)."""
    spans = tuple(types.none if d is None else _array_type(_NUMBA_TYPES[d.str[1:]]) for d in dtypes)
    sums = types.none if dtypes[3] is None else _SUMS
    return count_pairs.specialise(*spans, types.uint64, types.uint64, _STRIDES, _COUNTS, sums, *_STATE_TYPES)


_NUMBA_TYPES = {
    "u1": types.uint8, "u2": types.uint16, "u4": types.uint32, "u8": types.uint64, "f4": types.float32, "f8": types.float64,
}  # fmt: skip


class _Workspace:
    """The tables of one running counter, about 2.5 MB; always handed back cleared."""

    def __init__(self) -> None:
        self.counts = np.zeros(NARROW + SLOTS, np.int64)
        self.sums: npt.NDArray[np.float64] | None = None
        self.keys = np.zeros((SLOTS, 4), np.uint64)
        self.scratch = np.zeros(SCRATCH_WORDS, np.uint64)
        self.state = np.zeros(STATE_WORDS, np.uint64)


_idle: list[_Workspace] = []  # list.pop and list.append are atomic


class PairCounter:
    """Counts pairs over spans, in one thread. Use as a context manager: its tables are lent."""

    def __init__(self, true_dtype: np.dtype[Any], pred_dtype: np.dtype[Any]) -> None:
        self._dtypes = (true_dtype, pred_dtype)
        self._storage = (_storage_dtype(true_dtype), _storage_dtype(pred_dtype))
        self._kernel: Any = None
        self._weighted = False
        self._voxels = 0
        self._plain = min(_plain(true_dtype), _plain(pred_dtype))

    def __enter__(self) -> PairCounter:
        try:
            self._space = _idle.pop()
        except IndexError:
            self._space = _Workspace()
        return self

    def __exit__(self, kind: Any, *_: Any) -> None:
        if kind is None:  # after an error the tables may hold anything: drop them
            _idle.append(self._space)
        del self._space

    def update(self, span: Span) -> bool:
        """Count one span; return False if the tables are full: then `take` and `update` with the same span again."""
        space = self._space
        (true_storage, pred_storage), (t, p, mask, weight) = self._storage, span.arrays
        t, p = t.view(true_storage), p.view(pred_storage)
        mask = None if mask is None else mask.view(np.uint8)
        if self._kernel is None:
            self._kernel = _specialise(*(None if a is None else a.dtype for a in (t, p, mask, weight)))
            self._weighted = weight is not None
            if self._weighted and space.sums is None:
                space.sums = np.zeros(NARROW + SLOTS, np.float64)
        state, sums = space.state, space.sums if self._weighted else None
        self._kernel(
            t,
            p,
            mask,
            weight,
            span.rows,
            span.length,
            span.strides,
            space.counts,
            sums,
            space.keys,
            space.scratch,
            state,
        )
        if state[ROW] < span.rows:
            self._voxels = -1  # unknown, so `take` looks everywhere
            return False
        state[ROW] = 0
        self._voxels += span.rows * span.length
        return True

    def take(self, declared: Declared | None = None) -> Pairs | Square:
        """Return what was counted since the last call, and clear the tables.

        A Square where all labels are those declared: the other 98,000 places are then not searched.
        """
        space, weighted = self._space, self._weighted
        counts, state, sums = space.counts, space.state, space.sums
        used, outside, bad, noisy, _, _ = state.tolist()
        if noisy:
            _fold_noise()(space.scratch, counts, noisy)
        voxels = self._voxels - outside
        state[:ROW] = 0
        self._voxels = 0
        if declared is not None and not (used or weighted) and declared.classes <= self._plain:
            size = declared.classes
            totals = np.zeros((6, size), np.int64)
            matrix = np.empty((size, size) if declared.matrix else (0, 0), np.int64)
            ignored = _take_square()(counts, size, declared.ignored, voxels, totals, matrix)
            if ignored >= 0:
                return Square(totals, matrix, voxels - ignored, ignored, outside)
        where = np.flatnonzero(counts[:NARROW] != 0)  # of booleans: ten times as fast as of the counts themselves
        times = counts[where]
        counts[where] = 0
        codes = tuple(axis.astype(U) for axis in np.divmod(where, 256))
        weights = None
        if weighted and sums is not None:
            weights = sums[where]
            sums[where] = 0.0
        if used:
            slots = np.sort(space.keys[:used, 3]).astype(np.intp)
            codes = tuple(np.concatenate([low, space.keys[slots, k]]) for k, low in enumerate(codes))
            times = np.concatenate([times, counts[NARROW + slots]])
            if weights is not None and sums is not None:
                weights = np.concatenate([weights, sums[NARROW + slots]])
                sums[NARROW + slots] = 0.0
            counts[NARROW + slots] = 0
            space.keys[slots] = 0
            seen = times > 0  # a pair is entered before its voxels are counted, and the entry may be all there is
            codes, times = tuple(c[seen] for c in codes), times[seen]
            weights = None if weights is None else weights[seen]
        true, pred = (_decode(c, d) for c, d in zip(codes, self._dtypes, strict=True))
        return Pairs(true, pred, times, weights, outside, bad)
