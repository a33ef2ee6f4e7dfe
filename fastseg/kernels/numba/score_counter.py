"""The Numba backend's counter of scores: the room that the kernels of `scores` work in, and what is read from their sums."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import types

from fastseg.kernels.numba import score_rows as k
from fastseg.kernels.numba.score_stages import sum_stages, tile_type
from fastseg.kernels.numba.score_sums_interleaved import PERIOD_ROWS, sum_interleaved
from fastseg.kernels.numba.scores import classify, sum_tiles, weigh
from fastseg.kernels.numba.stages import (
    FLOATS,
    SCORES,
    SHORTS,
    SUMS,
    TILE,
    WORDS,
    given,
    own,
    side_by_side,
    untyped,
)
from fastseg.kernels.numba.switch import WIDTH
from fastseg.kernels.protocols.scores import ScoreOptions, ScoreSpan, ScoreTally

__all__ = ["NO_SCORES", "ScoreCounter", "aligned"]

Array = npt.NDArray[Any]

_WANTED = {
    "dice": k.DICE, "cross_entropy": k.LOSSES, "argmax": k.LABELS,
    "absolute": k.DETAILS, "brier": k.DETAILS,
    "smoothing": k.DETAILS | k.LOGS | k.WANT_NEGATIVE_LOG, "focal": k.DETAILS | k.LOGS | k.WANT_FOCAL,
    "ranks": k.DETAILS | k.WANT_RANKS, "bins": k.DETAILS | k.WANT_BINS,
}  # fmt: skip
_ROWS = {
    "dice": {"true_pred": k.TRUE_PRED, "pred": k.PRED, "pred_squared": k.PRED_SQUARED},
    "cross_entropy": {"cross_entropy": k.CROSS_ENTROPY},
    "absolute": {"absolute": k.ABSOLUTE},
    "brier": {"brier": k.BRIER},
    "smoothing": {"negative_log": k.NEGATIVE_LOG},
    "focal": {"focal": k.FOCAL},
    "ranks": {"ranks": k.RANKS},
}
#: Numbers in a tile: it and what is computed from it stay in the second-level cache, mostly in the first.
_TILE = 1 << 15
_LEAST_TILE, _MOST_TILE = 64, 512
#: Bytes between rows: with a power of two from row to row they would all map to a few sets of the cache.
_PAD = 64
#: What stands for a truth or weights where there are none.
_NOTHING = np.zeros((1, 0), np.float32)
NO_SCORES = untyped(_NOTHING)


def stored(array: Array) -> Array:
    """Return scores as the kernel takes them: bool as bytes, float16 as its bits."""
    code = array.dtype.str[1:]
    return array.view(np.uint16) if code == "f2" else array.view(np.uint8) if code == "b1" else array


def aligned(shape: tuple[int, ...], dtype: Any) -> Array:
    """Return zeros that begin with a cache line: a vector across two lines costs twice."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    room = np.zeros(size + 64, np.uint8)
    first = -room.ctypes.data % 64
    return room[first : first + size].view(dtype).reshape(shape)


class ScoreCounter:
    """Sums scores over spans, in one thread."""

    def __init__(self, options: ScoreOptions) -> None:
        self.options = options
        self.wanted = int(np.bitwise_or.reduce([np.uint64(0), *(_WANTED[name] for name in options.quantities)]))
        if "cross_entropy" in options.quantities and (options.soft or options.binary):
            self.wanted = (self.wanted | int(k.LOGS | k.LOG_LOSSES)) & ~int(k.LOSSES)
        if options.sum_tolerance is not None:
            self.wanted |= int(k.UNIT_SUM)

    def __enter__(self) -> ScoreCounter:
        options, c = self.options, self.options.channels
        size = self.size = max(_LEAST_TILE, min(_MOST_TILE, _TILE // c // 32 * 32))
        self.details = bool(self.wanted & int(k.DETAILS | k.LOGS)) or (options.soft and "argmax" in options.quantities)
        label = np.uint8 if options.labels <= 256 else np.uint16
        self.ignored = np.array([i for i in options.ignored if 0 <= i < options.labels], np.int64)
        room = size + _PAD // 4
        self.p = aligned((c, room), np.float32)
        self.p_view = untyped(self.p)
        self.q, self.logs, self.others, self.truth = (
            aligned((c, room if self.details else 1), np.float32) for _ in range(4)
        )
        self.voxel = aligned((k.VOXEL_ROWS, room), np.float32)
        self.best, self.true_best, self.tile_codes = (aligned((size,), np.int16) for _ in range(3))
        self.index = np.zeros(size, np.uint64)
        self.codes = np.empty(0, np.int16)
        self.weights = np.empty(0, np.float32)
        self.labels = [np.empty(0, label), np.empty(0, label)]
        self.tiles: list[Array | None] = [None, None]
        self.sums = np.zeros((k.SUM_ROWS, c))
        self.total = np.zeros(1)
        self.top_bins, self.class_bins = np.zeros((options.bins, 3)), np.zeros((c, options.bins, 3))
        self.state = np.zeros(k.STATE_WORDS, np.uint64)
        self.voxels = 0
        return self

    def __exit__(self, *_: Any) -> None:
        return None

    def update(self, span: ScoreSpan) -> tuple[Array | None, Array | None]:
        """Add up a span; return the true labels of a soft truth and the predicted labels, where they are wanted."""
        options, size = self.options, span.scores.shape[1]
        if self._interleaved(span):
            return None, None
        scores, soft, codes = self.prepare(span)
        argmax = "argmax" in options.quantities
        predicted = self._labels(0, size) if argmax else None
        true_labels = self._labels(1, size) if argmax and options.soft else None
        for labels in (predicted, true_labels):
            if labels is not None and (span.mask is not None or soft is None):
                labels[:] = 0
        weights = _NOTHING if span.weight is None else self._weigh(span.weight, codes)
        tile, truth_tile = self.tile(0, scores), NO_SCORES if soft is None else self.tile(1, soft)
        stages = sum_stages(
            scores.dtype,
            side_by_side(scores),
            None if soft is None else soft.dtype,
            soft is not None and side_by_side(soft),
            options.activation,
            span.weight is not None,
            self.details,
            self.wanted,
        )
        none = self.labels[0][:0]
        _compiled_sum(none.dtype)(
            untyped(scores), NO_SCORES if soft is None else untyped(soft), codes, weights, stages,
            options.activation == "softmax", options.activation == "sigmoid", options.soft, span.weight is not None,
            self.wanted, options.sum_tolerance or 0.0, options.focal_gamma,
            tile, tile, truth_tile, truth_tile, self.tile_codes, self.index,
            self.p, self.p_view, self.q, self.logs, self.others, self.truth, self.voxel, self.best, self.true_best,
            none if predicted is None else predicted, none if true_labels is None else true_labels,
            self.sums, self.total, self.top_bins, self.class_bins, self.state,
        )  # fmt: skip
        self.voxels += size
        return true_labels, predicted

    def _weigh(self, weight: Array, codes: Array) -> Array:
        """Return a span's weights as the kernel takes them, and sum them."""
        if self.weights.size < weight.size:
            self.weights = aligned((weight.size,), np.float32)
        weights = self.weights[None, : weight.size]
        _compiled_weigh(weight.dtype)(weight[None], codes, weights, self.total, self.state)
        return weights

    def _interleaved(self, span: ScoreSpan) -> bool:
        """Add up a span where the classes of a voxel lie side by side and only soft Dice is wanted; tell whether it was."""
        options, both = self.options, (span.scores, span.truth)
        if (
            options.channels < 2
            or options.quantities != {"dice"}
            or options.activation is not None
            or not options.soft
            or span.mask is not None
            or span.weight is not None
            or any(a.dtype.str[1:] not in ("f4", "f8") or not a.T.flags.c_contiguous for a in both)
        ):
            return False
        scores, truth = (a.T.reshape(-1) for a in both)
        compiled = _compiled_interleaved(scores.dtype, truth.dtype)
        period = np.zeros((PERIOD_ROWS, options.channels * WIDTH))
        compiled(scores, truth, options.channels, scores.size, period, self.state)
        sums = period.reshape(PERIOD_ROWS, WIDTH, options.channels).sum(1)
        for row, values in zip((k.TRUE_PRED, k.PRED, k.PRED_SQUARED, k.TRUE, k.TRUE_SQUARED), sums, strict=True):
            self.sums[row] += values
        voxels = scores.size // options.channels
        self.state[k.SEEN] += np.uint64(voxels)
        self.total[0] += voxels
        self.voxels += voxels
        return True

    def prepare(self, span: ScoreSpan) -> tuple[Array, Array | None, Array]:
        """Return the scores and the soft truth as kernels take them, and each voxel's label, -1 where it is not looked at."""
        scores, soft = stored(span.scores), stored(span.truth) if self.options.soft else None
        size = scores.shape[1]
        if self.codes.size < size:
            self.codes = aligned((size,), np.int16)
        codes = self.codes[:size]
        labels = np.broadcast_to(np.uint8(0), (size,)) if soft is not None else span.truth
        labels = labels.view(np.uint8) if labels.dtype.kind == "b" else labels
        mask = None if span.mask is None else span.mask.view(np.uint8)
        compiled = _compiled_classify(labels.dtype, mask is not None)
        compiled(labels, mask, self.ignored, self.options.labels, codes)
        return scores, soft, codes

    def _labels(self, which: int, size: int) -> Array:
        if self.labels[which].size < size:
            self.labels[which] = np.zeros(size, self.labels[which].dtype)
        return self.labels[which][:size]

    def tile(self, which: int, like: Array) -> Array:
        """Return room for a tile of the scores (0) or of the truth (1)."""
        tile = self.tiles[which]
        if tile is None:
            dtype = tile_type(like.dtype)
            shape = (-(-like.shape[0] // 16) * 16, self.size + _PAD // dtype.itemsize)
            tile = self.tiles[which] = untyped(np.zeros(shape, dtype))
        return tile

    def take(self) -> ScoreTally:
        """Return what was summed since the last call."""
        options = self.options
        sums = {
            field: self.sums[row].copy() for name in options.quantities for field, row in _ROWS.get(name, {}).items()
        }
        if options.soft:
            sums["true"] = self.sums[k.TRUE].copy()
            sums["total"] = np.array(self.total[0])
            sums["counted"] = np.array(float(self.state[k.SEEN]))
            sums["outside"] = np.array(self.voxels - float(self.state[k.SEEN]))
        if "dice" in options.quantities:
            sums["true_squared"] = self.sums[k.TRUE_SQUARED].copy()
        if "bins" in options.quantities:
            sums["top_bins"], sums["class_bins"] = self.top_bins.copy(), self.class_bins.copy()
        tally = ScoreTally(sums, int(self.state[k.BAD]))
        for array in (self.sums, self.total, self.top_bins, self.class_bins, self.state):
            array[:] = 0
        self.voxels = 0
        return tally


@functools.cache
def _compiled_classify(labels: np.dtype[Any], masked: bool) -> Any:
    mask = given(np.uint8, 1) if masked else types.none
    return classify.specialise(given(labels, 1), mask, own(np.int64, 1), types.int64, own(np.int16, 1))


@functools.cache
def _compiled_interleaved(scores: np.dtype[Any], truth: np.dtype[Any]) -> Any:
    sizes = (types.uint64, types.uint64)
    return sum_interleaved.specialise(given(scores, 1), given(truth, 1), *sizes, own(np.float64, 2), own(np.uint64, 1))


@functools.cache
def _compiled_weigh(weight: np.dtype[Any]) -> Any:
    return weigh.specialise(given(weight, 2), SHORTS, FLOATS, own(np.float64, 1), WORDS)


@functools.cache
def _compiled_sum(labels: np.dtype[Any]) -> Any:
    """Return the kernel compiled for predicted labels of this type."""
    return sum_tiles.specialise(
        SCORES, SCORES, SHORTS, FLOATS, WORDS, *(types.boolean,) * 4,
        types.uint64, types.float64, types.float64, *(TILE, SCORES) * 2, SHORTS, WORDS,
        FLOATS, SCORES, *(FLOATS,) * 5, *(SHORTS,) * 2, *(own(labels, 1),) * 2,
        SUMS, own(np.float64, 1), SUMS, own(np.float64, 3), WORDS,
    )  # fmt: skip
