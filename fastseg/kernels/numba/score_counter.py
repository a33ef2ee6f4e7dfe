"""The Numba backend's counter of scores: what the kernels of `scores` are called with, and what is read from their sums."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import types

from fastseg.kernels.numba import score_rows as k
from fastseg.kernels.numba.score_room import borrow, give_back
from fastseg.kernels.numba.score_stages import sum_stages
from fastseg.kernels.numba.score_sums_interleaved import PERIOD_ROWS, sum_interleaved
from fastseg.kernels.numba.scores import sum_tiles, weigh
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

__all__ = ["NO_SCORES", "ScoreCounter"]

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
    "focal": {"focal": k.FOCAL, "focal_others": k.FOCAL_OTHERS},
    "ranks": {"ranks": k.RANKS},
}
#: What stands for a truth or weights where there are none.
_NOTHING = np.zeros((1, 0), np.float32)
NO_SCORES = untyped(_NOTHING)


class ScoreCounter:
    """Sums scores over spans, in one thread."""

    def __init__(self, options: ScoreOptions) -> None:
        self.options = options
        self.wanted, self.details = _wanted_of(options)

    def __enter__(self) -> ScoreCounter:
        options, c = self.options, self.options.channels
        self.room = borrow(c)
        self.sums = np.zeros((k.SUM_ROWS, c))
        self.total = np.zeros(1)
        self.top_bins, self.class_bins = np.zeros((options.bins, 3)), np.zeros((c, options.bins, 3))
        self.state = np.zeros(k.STATE_WORDS, np.uint64)
        self.voxels = 0
        self.rejected = False
        return self

    def __exit__(self, kind: Any, *_: Any) -> None:
        if kind is None and not self.rejected:  # else the room may hold what no score may be
            give_back(self.room)
        del self.room

    def update(self, span: ScoreSpan) -> tuple[Array | None, Array | None]:
        """Add up a span; return the true labels of a soft truth and the predicted labels, where they are wanted."""
        options, size, room = self.options, span.scores.shape[1], self.room
        if self._interleaved(span):
            return None, None
        scores, soft, codes = room.prepare(span, options)
        argmax = "argmax" in options.quantities
        predicted = room.labels(0, size) if argmax else None
        true_labels = room.labels(1, size) if argmax and options.soft else None
        for labels in (predicted, true_labels):
            if labels is not None and (span.mask is not None or soft is None):
                labels[:] = 0
        weights = _NOTHING if span.weight is None else self._weigh(span.weight, codes)
        tile, truth_tile = room.tile(0, scores), NO_SCORES if soft is None else room.tile(1, soft)
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
        none = room.labels(0, 0)
        _compiled_sum(none.dtype)(
            untyped(scores), NO_SCORES if soft is None else untyped(soft), codes, weights, stages,
            options.activation == "softmax", options.activation == "sigmoid", options.soft, span.weight is not None,
            self.wanted, options.sum_tolerance or 0.0, options.focal_gamma,
            tile, tile, truth_tile, truth_tile, room.tile_codes, room.index,
            room.p, room.p_view, room.q, room.logs, room.others, room.truth, room.voxel, room.best, room.true_best,
            none if predicted is None else predicted, none if true_labels is None else true_labels,
            self.sums, self.total, self.top_bins, self.class_bins, self.state,
        )  # fmt: skip
        self.voxels += size
        return true_labels, predicted

    def _weigh(self, weight: Array, codes: Array) -> Array:
        """Return a span's weights as the kernel takes them, and sum them."""
        weights = self.room.weights(weight.size)
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
        self.rejected = self.rejected or tally.bad > 0
        for array in (self.sums, self.total, self.top_bins, self.class_bins, self.state):
            array[:] = 0
        self.voxels = 0
        return tally


@functools.lru_cache(maxsize=64)
def _wanted_of(options: ScoreOptions) -> tuple[int, bool]:
    """Return what the kernel is asked for, and whether that needs details of every class."""
    wanted = int(np.bitwise_or.reduce([np.uint64(0), *(_WANTED[name] for name in options.quantities)]))
    if "cross_entropy" in options.quantities and (options.soft or options.binary):
        wanted = (wanted | int(k.LOGS | k.LOG_LOSSES)) & ~int(k.LOSSES)
    if options.sum_tolerance is not None:
        wanted |= int(k.UNIT_SUM)
    return wanted, bool(wanted & int(k.DETAILS | k.LOGS)) or (options.soft and "argmax" in options.quantities)


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
