"""Derivatives of the focal loss, by Numba: of a tile, from probabilities p, q = 1 - p and their logarithms.

F = -q^γ ln p has dF/dp = -q^γ (γ (-ln p) / q + 1 / p). By the logit of p that is times p q, where nothing is divided: it is
-q^γ (γ p (-ln p) + q), exact for p next to 0 and to 1.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from fastseg.kernels.numba.jit import device
from fastseg.kernels.numba.score_sums import power_of
from fastseg.kernels.numba.simd.vector_memory import load, load_integers, store
from fastseg.kernels.numba.simd.vectors import floats, integers, narrow, select
from fastseg.kernels.numba.stages import FLOATS, SCORES, SHORTS, SUMS, stage
from fastseg.kernels.numba.switch import WIDTH

__all__ = ["FOCAL", "FOCAL_OTHERS", "binary_focal", "categorical_focal"]

U = np.uint64
_ZERO, _ONE, W = U(0), U(1), U(WIDTH)
_u64 = types.uint64
#: Rows of the terms.
FOCAL, FOCAL_OTHERS = U(5), U(6)
#: What both stages are called with.
_TO_SLOPES = (FLOATS, FLOATS, FLOATS, FLOATS, _u64, _u64, SCORES, _u64, SHORTS, _u64, SUMS, types.float64)


@device
def _slope(p: Any, q: Any, log: Any, gamma: Any, logits: Any) -> Any:
    """Return dF/dp, or times p q; `log` is -ln p, infinite where p is 0."""
    zero, one = floats(0.0), floats(1.0)
    power = power_of(q, gamma)
    if logits is not None:
        return zero - power * (floats(gamma) * select(p > zero, p * log, zero) + q)
    by_log = select(q == zero, one, log / q)
    return select(p > zero, zero - power * (floats(gamma) * by_log + one / p), floats(-np.inf))


@stage(*_TO_SLOPES)
def categorical_focal(
    p: Any, q: Any, logs: Any, others: Any, n: Any, channels: Any, t: Any, t_at: Any, codes: Any, code_at: Any, terms: Any,
    gamma: Any, logits: Any, soft: Any,
) -> None:  # fmt: skip
    """Write the derivatives by the logits, or by p itself, over `logs`, which are -ln p."""
    zero = floats(0.0)
    at_one = floats(0.0)
    if gamma == 0.0:
        at_one = floats(1.0)
    i = _ZERO
    while i < n:
        if soft is None:  # all is made of the true class
            code = load_integers(codes, code_at + i)
            y, rest, log, weight = zero, zero, zero, zero
            for c in range(channels):
                here = code == integers(c)
                y, rest = select(here, load(p, c, i), y), select(here, load(q, c, i), rest)
                log, weight = select(here, load(logs, c, i), log), select(here, floats(terms[FOCAL, c]), weight)
            slope = select(weight == zero, zero, weight * _slope(y, rest, log, gamma, logits))
            by_log = select(rest > zero, slope / rest, zero - weight * at_one)
            for c in range(channels):
                other = zero
                if logits is not None:
                    other = zero - load(p, c, i) * by_log
                store(logs, c, i, select(code == integers(c), slope, other))
        else:
            total = zero
            for c in range(channels):
                y, rest = load(p, c, i), load(q, c, i)
                weight = floats(terms[FOCAL, c]) * narrow(load(t, c, t_at + i))
                slope = select(weight == zero, zero, weight * _slope(y, rest, load(logs, c, i), gamma, logits))
                if logits is not None:
                    by_log = select(rest > zero, slope / rest, zero - weight * at_one)
                    total = total + by_log
                    store(others, c, i, by_log)
                store(logs, c, i, slope)
            if logits is not None:
                for c in range(channels):
                    store(logs, c, i, load(logs, c, i) - load(p, c, i) * (total - load(others, c, i)))
        i += W


@stage(*_TO_SLOPES)
def binary_focal(
    p: Any, q: Any, logs: Any, others: Any, n: Any, channels: Any, t: Any, t_at: Any, codes: Any, code_at: Any, terms: Any,
    gamma: Any, logits: Any, soft: Any,
) -> None:  # fmt: skip
    """Do the same where each class is a question of its own; `others` are -ln q."""
    zero, one = floats(0.0), floats(1.0)
    first = _ONE if channels == _ONE else _ZERO
    for c in range(channels):
        own, other = floats(terms[FOCAL, c]), floats(terms[FOCAL_OTHERS, c])
        i = _ZERO
        while i < n:
            y, rest = load(p, c, i), load(q, c, i)
            log, other_log = load(logs, c, i), load(others, c, i)
            if soft is None:  # one of the two
                here = load_integers(codes, code_at + i) == integers(c + first)
                weight = select(here, own, zero - other)
                slope = _slope(
                    select(here, y, rest), select(here, rest, y), select(here, log, other_log), gamma, logits
                )
                found = select(weight == zero, zero, weight * slope)
            else:
                u = narrow(load(t, c, t_at + i))
                weight, other_weight = own * u, other * (one - u)
                found = select(weight == zero, zero, weight * _slope(y, rest, log, gamma, logits))
                slope = _slope(rest, y, other_log, gamma, logits)
                found = found - select(other_weight == zero, zero, other_weight * slope)
            store(logs, c, i, found)
            i += W
