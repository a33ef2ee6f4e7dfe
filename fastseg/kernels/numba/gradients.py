"""Gradients of losses with respect to scores, by Numba: a tile of voxels at a time, as in `scores`."""

from __future__ import annotations

import functools
from dataclasses import fields
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import types

from fastseg.kernels.numba.focal_gradients import binary_focal, categorical_focal
from fastseg.kernels.numba.jit import device, kernel
from fastseg.kernels.numba.probabilities import TO_PROBABILITIES, gather, softmax_tile, transpose
from fastseg.kernels.numba.score_counter import NO_SCORES
from fastseg.kernels.numba.score_room import borrow, give_back
from fastseg.kernels.numba.score_rows import (
    DETAILS,
    FAR_LOG,
    INVERSE,
    LOGS,
    OTHERS,
    STAGE_DETAILS,
    STAGE_FETCH,
    STAGE_FETCH_TRUTH,
    STAGE_GATHER,
    STAGE_GATHER_TRUTH,
    STAGE_PROBABILITIES,
    STAGE_SUMS,
    STATE_WORDS,
)
from fastseg.kernels.numba.score_stages import copies, probabilities, read_as, tile_type
from fastseg.kernels.numba.simd.vector_memory import load, load_integers, store
from fastseg.kernels.numba.simd.vectors import complement, floats, integers, narrow, select
from fastseg.kernels.numba.stages import (
    FLOATS,
    SCORES,
    SHORTS,
    SUMS,
    TILE,
    WORDS,
    addresses,
    side_by_side,
    stage,
    untyped,
)
from fastseg.kernels.numba.switch import WIDTH
from fastseg.kernels.protocols.scores import GradientTerms, ScoreOptions, ScoreSpan

__all__ = ["GradientWriter"]

Array = npt.NDArray[Any]
U = np.uint64
_ZERO, _ONE, W = U(0), U(1), U(WIDTH)
#: Rows of the terms, in the order of `GradientTerms`; those of the focal loss come next.
SLOPE, CURVE, LEVEL, BASE, HIT = map(U, range(5))


_u64 = types.uint64
#: What `categorical` and `binary` are called with.
_TO_GRADIENTS = (FLOATS, FLOATS, _u64, _u64, SCORES, _u64, SHORTS, _u64, SUMS)


@device
def _truth_of(t: Any, t_at: Any, c: Any, i: Any, code: Any, first: Any, soft: Any) -> Any:
    """Return the truth of class c, from a label map's codes or from t."""
    if soft is None:
        return select(code == integers(c + first), floats(1.0), floats(0.0))
    return narrow(load(t, c, t_at + i))


@device
def _slope(terms: Any, c: Any, u: Any, y: Any) -> Any:
    """Return the derivative of what is made of overlaps, by the probability y of a class whose truth is u."""
    return floats(terms[SLOPE, c]) * u + floats(terms[CURVE, c]) * y + floats(terms[LEVEL, c])


@device
def _loss(terms: Any, c: Any, u: Any) -> Any:
    """Return the factor of -ln y in cross-entropy."""
    return floats(terms[BASE, c]) + floats(terms[HIT, c]) * u


@stage(*_TO_GRADIENTS)
def categorical(
    p: Any,
    q: Any,
    n: Any,
    channels: Any,
    t: Any,
    t_at: Any,
    codes: Any,
    code_at: Any,
    terms: Any,
    logits: Any,
    soft: Any,
) -> None:
    """Replace probabilities p by the derivatives with respect to the logits, or to p itself."""
    zero = floats(0.0)
    i = _ZERO
    while i < n:
        code = load_integers(codes, code_at + i)
        total, losses = zero, zero
        if logits is not None:
            for c in range(channels):
                y, u = load(p, c, i), _truth_of(t, t_at, c, i, code, _ZERO, soft)
                slope = _slope(terms, c, u, y)
                total = total + y * slope
                losses = losses + _loss(terms, c, u)
        for c in range(channels):
            y, u = load(p, c, i), _truth_of(t, t_at, c, i, code, _ZERO, soft)
            slope = _slope(terms, c, u, y)
            loss = _loss(terms, c, u)
            if logits is not None:
                store(p, c, i, y * (slope - total + losses) - loss)
            else:
                store(p, c, i, slope - select(loss == zero, zero, loss / y))
        i += W


@stage(*_TO_GRADIENTS)
def binary(
    p: Any,
    q: Any,
    n: Any,
    channels: Any,
    t: Any,
    t_at: Any,
    codes: Any,
    code_at: Any,
    terms: Any,
    logits: Any,
    soft: Any,
) -> None:
    """Do the same where each class is a question of its own; q is 1 - p."""
    zero = floats(0.0)
    first = _ONE if channels == _ONE else _ZERO
    i = _ZERO
    while i < n:
        code = load_integers(codes, code_at + i)
        for c in range(channels):
            y, rest, u = load(p, c, i), load(q, c, i), _truth_of(t, t_at, c, i, code, first, soft)
            slope = _slope(terms, c, u, y)
            away = select(u == floats(1.0), zero - rest, y - u)
            loss = floats(terms[HIT, c]) * away
            if logits is not None:
                store(p, c, i, y * rest * slope + loss)
            else:
                store(p, c, i, slope + select(loss == zero, zero, loss / (y * rest)))
        i += W


@stage(*TO_PROBABILITIES)
def copy_tile(
    x: Any, at: Any, n: Any, channels: Any, codes: Any, code_at: Any, p: Any, q: Any, logs: Any, others: Any, voxel: Any,
    best: Any, wanted: Any, far: Any, tolerance: Any, state: Any,
) -> None:  # fmt: skip
    """Fill p with scores that are probabilities already, and q with 1 - p."""
    for c in range(channels):
        i = _ZERO
        while i < n:
            z = load(x, c, at + i)
            store(p, c, i, narrow(z))
            store(q, c, i, complement(z))
            i += W


@kernel
def write_tiles(
    scores: Any, truth: Any, codes: Any, stages: Any, softmax: Any, soft: Any, tile: Any, tile_view: Any, truth_tile: Any,
    truth_view: Any, tile_codes: Any, index: Any, p: Any, q: Any, logs: Any, others: Any, voxel: Any, best: Any, state: Any,
    terms: Any, gamma: Any, out: Any, out_direct: Any,
) -> None:  # fmt: skip
    """Write the gradient of a span of V voxels with C classes to out (C, V); the other arguments are as in `sum_tiles`."""
    channels, size, room = U(scores.shape[0]), U(scores.shape[1]), U(index.size)
    focal = stages[STAGE_DETAILS] != _ZERO
    wanted = DETAILS | LOGS if focal else DETAILS
    start = _ZERO
    while start < size:
        n = min(room, size - start)
        count = n
        low = codes[start]
        for j in range(start, start + n):
            low = min(low, codes[j])
        whole = low >= 0 and n % W == _ZERO
        row = _ZERO if whole else OTHERS
        t, t_at = truth_view, _ZERO
        x, at = tile_view, _ZERO
        c, c_at = tile_codes, _ZERO
        if whole:
            c, c_at = codes, start
            if stages[STAGE_FETCH] == _ZERO:
                x, at = scores, start
            else:
                transpose(stages[STAGE_FETCH], scores, start, n, channels, tile)
            if soft:
                if stages[STAGE_FETCH_TRUTH] == _ZERO:
                    t, t_at = truth, start
                else:
                    transpose(stages[STAGE_FETCH_TRUTH], truth, start, n, channels, truth_tile)
        else:
            count = _ZERO
            for j in range(n):
                index[count] = j
                tile_codes[count] = codes[start + j]
                count += _ONE if codes[start + j] >= 0 else _ZERO
            for j in range(count, (count + W - _ONE) // W * W):
                tile_codes[j] = -1
            gather(stages[STAGE_GATHER], scores, start, index, count, channels, tile)
            if soft:
                gather(stages[STAGE_GATHER_TRUTH], truth, start, index, count, channels, truth_tile)
            for k in range(channels):
                for j in range(n):
                    out[k, start + j] = 0
        softmax_tile(
            stages[row + STAGE_PROBABILITIES], x, at, count, channels, c, c_at, p, q, logs, others, voxel, best, wanted,
            FAR_LOG, 0.0, state,
        )  # fmt: skip
        if softmax:
            for k in range(channels):
                i = _ZERO
                while i < count:
                    store(p, k, i, load(p, k, i) * load(voxel, INVERSE, i))
                    i += W
        if focal:
            categorical_focal(
                stages[row + STAGE_DETAILS], p, q, logs, others, count, channels, t, t_at, c, c_at, terms, gamma
            )
        categorical(stages[row + STAGE_SUMS], p, q, count, channels, t, t_at, c, c_at, terms)
        if focal:
            for k in range(channels):
                i = _ZERO
                while i < count:
                    store(p, k, i, load(p, k, i) + load(logs, k, i))
                    i += W
        if whole:
            if out_direct:
                for k in range(channels):
                    i = _ZERO
                    while i < count:
                        store(out, k, start + i, load(p, k, i))
                        i += W
            else:
                for j in range(count):
                    for k in range(channels):
                        out[k, start + j] = p[k, j]
        else:
            for k in range(channels):
                for j in range(count):
                    out[k, start + index[j]] = p[k, j]
        start += n


class GradientWriter:
    """Writes gradients over spans, in one thread."""

    def __init__(self, options: ScoreOptions) -> None:
        self.options = options

    def __enter__(self) -> GradientWriter:
        self.room, self.state = borrow(self.options.channels), np.zeros(STATE_WORDS, np.uint64)
        return self

    def __exit__(self, kind: Any, *_: Any) -> None:
        if kind is None:
            give_back(self.room)
        del self.room

    def write(self, span: ScoreSpan, terms: GradientTerms) -> None:
        """Write the gradient of a span to span.out."""
        options, room = self.options, self.room
        scores, soft, codes = room.prepare(span, options)
        out = span.out
        assert out is not None
        tile, truth_tile = room.tile(0, scores), NO_SCORES if soft is None else room.tile(1, soft)
        table = np.stack([getattr(terms, field.name) for field in fields(terms)]).astype(np.float64)
        stages = _stages(
            scores.dtype, side_by_side(scores), None if soft is None else soft.dtype,
            soft is not None and side_by_side(soft), options.activation, options.binary, "focal" in options.quantities,
        )  # fmt: skip
        _compiled()(
            untyped(scores), NO_SCORES if soft is None else untyped(soft), codes, stages,
            options.activation == "softmax", options.soft, tile, tile, truth_tile, truth_tile, room.tile_codes, room.index,
            room.p, room.q, room.logs, room.others, room.voxel, room.best, self.state, table, options.focal_gamma,
            out, side_by_side(out),
        )  # fmt: skip


@functools.cache
def _compiled() -> Any:
    return write_tiles.specialise(
        SCORES, SCORES, SHORTS, WORDS, types.boolean, types.boolean, *(TILE, SCORES) * 2, SHORTS, WORDS,
        *(FLOATS,) * 5, SHORTS, WORDS, SUMS, types.float64, types.Array(types.float32, 2, "A"), types.boolean,
    )  # fmt: skip


@functools.cache
def _stages(
    scores: np.dtype[Any],
    scores_direct: bool,
    truth: np.dtype[Any] | None,
    truth_direct: bool,
    activation: str | None,
    independent: bool,
    focal: bool,
) -> Any:
    """Return the stages of `write_tiles`, compiled for arrays of these types."""
    soft = truth is not None
    both = ((scores, scores_direct), (truth or np.dtype(np.float32), truth_direct))

    how = {"logits": activation is not None, "soft": soft}

    def of_tile(x: np.dtype[Any], t: np.dtype[Any]) -> tuple[Any, ...]:
        if activation is None and not focal:
            into = copy_tile.address(x)
        else:
            into = probabilities(x, activation, focal or activation == "sigmoid")
        return (
            into,
            (binary if independent else categorical).address(t, **how),
            *(0,) * (int(STAGE_DETAILS - STAGE_SUMS) - 1),
            (binary_focal if independent else categorical_focal).address(t, **how) if focal else 0,
        )

    x, t = (read_as(*given, False) for given in both)
    return addresses(
        *copies(*both[0], False),
        *(copies(*both[1], False) if soft else (0, 0)),
        *of_tile(x, t),
        *of_tile(tile_type(x), tile_type(t)),
    )
