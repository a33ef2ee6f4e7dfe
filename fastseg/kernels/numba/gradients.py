"""Gradients of losses with respect to scores, by Numba: a tile of voxels at a time, as in `scores`."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import types

from fastseg.kernels.numba.jit import device, kernel
from fastseg.kernels.numba.probabilities import gather, sigmoid_tile, softmax_tile, transpose
from fastseg.kernels.numba.score_counter import ScoreCounter, aligned, flag, given, own, side_by_side
from fastseg.kernels.numba.score_rows import DETAILS, FAR_LOG, INVERSE
from fastseg.kernels.numba.simd.vector_memory import load, load_integers, store
from fastseg.kernels.numba.simd.vectors import complement, floats, integers, narrow, select
from fastseg.kernels.numba.switch import WIDTH
from fastseg.kernels.protocols.scores import GradientTerms, ScoreOptions, ScoreSpan

__all__ = ["GradientWriter"]

Array = npt.NDArray[Any]
U = np.uint64
_ZERO, _ONE, W = U(0), U(1), U(WIDTH)
#: Rows of the terms, in the order of `GradientTerms`.
SLOPE, CURVE, LEVEL, BASE, HIT = map(U, range(5))


@device
def _truth_of(t: Any, t_at: Any, c: Any, i: Any, code: Any, first: Any) -> Any:
    """Return the truth of class c, from a label map's codes or from t."""
    if t is None:
        return select(code == integers(c + first), floats(1.0), floats(0.0))
    return narrow(load(t, c, t_at + i))


@device
def _categorical(
    p: Any, n: Any, channels: Any, through_softmax: Any, t: Any, t_at: Any, codes: Any, code_at: Any, terms: Any
) -> None:
    """Replace probabilities p by the derivatives with respect to the logits, or to p itself."""
    zero = floats(0.0)
    i = _ZERO
    while i < n:
        code = load_integers(codes, code_at + i)
        total, losses = zero, zero
        if through_softmax is not None:
            for c in range(channels):
                y, u = load(p, c, i), _truth_of(t, t_at, c, i, code, _ZERO)
                slope = floats(terms[SLOPE, c]) * u + floats(terms[CURVE, c]) * y + floats(terms[LEVEL, c])
                total = total + y * slope
                losses = losses + floats(terms[BASE, c]) + floats(terms[HIT, c]) * u
        for c in range(channels):
            y, u = load(p, c, i), _truth_of(t, t_at, c, i, code, _ZERO)
            slope = floats(terms[SLOPE, c]) * u + floats(terms[CURVE, c]) * y + floats(terms[LEVEL, c])
            loss = floats(terms[BASE, c]) + floats(terms[HIT, c]) * u
            if through_softmax is not None:
                store(p, c, i, y * (slope - total + losses) - loss)
            else:
                store(p, c, i, slope - select(loss == zero, zero, loss / y))
        i += W


@device
def _binary(
    p: Any, q: Any, n: Any, channels: Any, through_sigmoid: Any, t: Any, t_at: Any, codes: Any, code_at: Any, terms: Any
) -> None:
    """Do the same where each class is a question of its own; q is 1 - p."""
    zero = floats(0.0)
    first = _ONE if channels == _ONE else _ZERO
    i = _ZERO
    while i < n:
        code = load_integers(codes, code_at + i)
        for c in range(channels):
            y, rest, u = load(p, c, i), load(q, c, i), _truth_of(t, t_at, c, i, code, first)
            slope = floats(terms[SLOPE, c]) * u + floats(terms[CURVE, c]) * y + floats(terms[LEVEL, c])
            away = select(u == floats(1.0), zero - rest, y - u)
            loss = floats(terms[HIT, c]) * away
            if through_sigmoid is not None:
                store(p, c, i, y * rest * slope + loss)
            else:
                store(p, c, i, slope + select(loss == zero, zero, loss / (y * rest)))
        i += W


@kernel
def write_tiles(
    scores: Any, direct: Any, truth: Any, truth_direct: Any, codes: Any, softmax: Any, sigmoid: Any, single: Any, once: Any,
    tile: Any, tile_view: Any, truth_tile: Any, truth_view: Any, tile_codes: Any, index: Any, p: Any, q: Any, logs: Any,
    voxel: Any, best: Any, state: Any, terms: Any, out: Any, out_direct: Any,
) -> None:  # fmt: skip
    """Write the gradient of a span of V voxels with C classes to out (C, V); the other arguments are as in `sum_tiles`."""
    channels, size, room = U(scores.shape[0]), U(scores.shape[1]), U(index.size)
    start = _ZERO
    while start < size:
        n = min(room, size - start)
        count = n
        low = codes[start]
        for j in range(start, start + n):
            low = min(low, codes[j])
        whole = low >= 0 and n % W == _ZERO
        t, t_at = truth_view, _ZERO
        x, at = tile_view, _ZERO
        c, c_at = tile_codes, _ZERO
        if whole:
            c, c_at = codes, start
            if direct is not None:
                x, at = scores, start
            else:
                transpose(scores, start, n, channels, tile)
            if truth is not None:
                if truth_direct is not None:
                    t, t_at = truth, start
                else:
                    transpose(truth, start, n, channels, truth_tile)
        else:
            count = _ZERO
            for j in range(n):
                index[count] = j
                tile_codes[count] = codes[start + j]
                count += _ONE if codes[start + j] >= 0 else _ZERO
            for j in range(count, (count + W - _ONE) // W * W):
                tile_codes[j] = -1
            gather(scores, start, index, count, channels, tile)
            if truth is not None:
                gather(truth, start, index, count, channels, truth_tile)
            for k in range(channels):
                for j in range(n):
                    out[k, start + j] = 0
        if softmax is not None:
            softmax_tile(x, at, count, channels, c, c_at, p, None, logs, voxel, best, once, _ZERO, FAR_LOG, state)
            for k in range(channels):
                i = _ZERO
                while i < count:
                    store(p, k, i, load(p, k, i) * load(voxel, INVERSE, i))
                    i += W
        elif sigmoid is not None:
            sigmoid_tile(x, at, count, channels, p, q, logs, logs, best, DETAILS, FAR_LOG, state)
        else:
            for k in range(channels):
                i = _ZERO
                while i < count:
                    z = load(x, k, at + i)
                    store(p, k, i, narrow(z))
                    store(q, k, i, complement(z))
                    i += W
        if sigmoid is not None or single is not None:
            if truth is None:
                _binary(p, q, count, channels, sigmoid, None, _ZERO, c, c_at, terms)
            else:
                _binary(p, q, count, channels, sigmoid, t, t_at, c, c_at, terms)
        else:
            if truth is None:
                _categorical(p, count, channels, softmax, None, _ZERO, c, c_at, terms)
            else:
                _categorical(p, count, channels, softmax, t, t_at, c, c_at, terms)
        if whole:
            if out_direct is not None:
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
        self.counter = ScoreCounter(self.options).__enter__()
        self.q = aligned(self.counter.p.shape, np.float32)
        return self

    def __exit__(self, *_: Any) -> None:
        return None

    def write(self, span: ScoreSpan, terms: GradientTerms) -> None:
        """Write the gradient of a span to span.out."""
        options, room = self.options, self.counter
        scores, soft, codes = room.prepare(span)
        out = span.out
        assert out is not None
        tile, truth_tile = room.tile(0, scores), None if soft is None else room.tile(1, soft)
        table = np.stack([terms.slope, terms.curve, terms.level, terms.base, terms.hit]).astype(np.float64)
        soft_direct = soft is not None and side_by_side(soft)
        compiled = _compiled(
            scores.dtype, side_by_side(scores), None if soft is None else soft.dtype, soft_direct,
            options.activation, options.channels == 1, side_by_side(out),
        )  # fmt: skip
        compiled(
            scores, flag(side_by_side(scores)), soft, flag(soft_direct), codes, flag(options.activation == "softmax"),
            flag(options.activation == "sigmoid"), flag(options.channels == 1), flag(scores.dtype.kind != "f"),
            tile, tile, truth_tile, truth_tile, room.tile_codes, room.index, room.p, self.q, room.logs,
            room.voxel, room.best, room.state, table, out, flag(side_by_side(out)),
        )  # fmt: skip


@functools.cache
def _compiled(
    scores: np.dtype[Any],
    scores_direct: bool,
    truth: np.dtype[Any] | None,
    truth_direct: bool,
    activation: str | None,
    single: bool,
    out_direct: bool,
) -> Any:
    """Return the kernel compiled for arrays of these types."""

    def maybe(value: bool) -> Any:
        return types.boolean if value else types.none

    truths = (types.none, types.none, types.none)
    if truth is not None:
        truths = (given(truth, 2), own(truth, 2), given(truth, 2))
    matrix, shorts = own(np.float32, 2), own(np.int16, 1)
    return write_tiles.specialise(
        given(scores, 2), maybe(scores_direct), truths[0], maybe(truth_direct), shorts,
        maybe(activation == "softmax"), maybe(activation == "sigmoid"), maybe(single), maybe(scores.kind != "f"),
        own(scores, 2), given(scores, 2), truths[1], truths[2], shorts, own(np.uint64, 1), matrix, matrix, matrix,
        matrix, shorts, own(np.uint64, 1), own(np.float64, 2), types.Array(types.float32, 2, "A"), maybe(out_direct),
    )  # fmt: skip
