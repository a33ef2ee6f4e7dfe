"""The NumPy backend's gradients: float64, one formula after the other."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fastseg.kernels.numpy.scores import probabilities, product
from fastseg.kernels.protocols.scores import GradientTerms, ScoreOptions, ScoreSpan

__all__ = ["GradientWriter"]

Array = npt.NDArray[Any]


def _numbers(values: Array, bfloat16: bool) -> Array:
    if bfloat16:
        values = (values.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
    return values.astype(np.float64)


class GradientWriter:
    """Writes gradients by the chain rule."""

    def __init__(self, options: ScoreOptions) -> None:
        self.options = options

    def __enter__(self) -> GradientWriter:
        return self

    def __exit__(self, *_: Any) -> None:
        return None

    def write(self, span: ScoreSpan, terms: GradientTerms) -> None:
        """Write the gradient of a span to span.out."""
        options, out = self.options, span.out
        assert out is not None
        inside = np.ones(span.scores.shape[1], bool) if span.mask is None else span.mask != 0
        if not options.soft:
            inside &= (span.truth < options.labels) & (span.truth >= 0) & ~np.isin(span.truth, options.ignored)
        z = _numbers(span.scores[:, inside], options.score_bfloat16)
        if options.soft:
            t = _numbers(span.truth[:, inside], options.true_bfloat16)
        else:
            first = 1 if options.channels == 1 else 0
            t = (span.truth[inside] == np.arange(first, first + options.channels)[:, None]).astype(np.float64)
        out[:] = 0
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            gradient = _binary if options.binary else _categorical
            out[:, inside] = gradient(options, terms, z, t)


def _categorical(options: ScoreOptions, terms: GradientTerms, z: Array, t: Array) -> Array:
    p, q, log, _ = probabilities(z, options.activation)
    along, loss = _overlap(terms, p, t), _column(terms.base) + _column(terms.hit) * t
    if options.activation is None:
        found = along - np.where(loss == 0, 0, loss / p)
    else:
        found = p * (along - (p * along).sum(0) + loss.sum(0)) - loss
    if "focal" in options.quantities:
        weight, gamma = _column(terms.focal) * t, options.focal_gamma
        slope = product(weight, _focal_slope(p, q, -log, gamma, options.activation))
        if options.activation is None:
            return found + slope
        # By the logarithm of each probability; to the others' logits that is less p times it.
        by_log = np.where(q > 0, slope / q, -weight * 0.0**gamma * (gamma + 1))
        found = found + slope - p * (by_log.sum(0) - by_log)
    return np.asarray(found)


def _binary(options: ScoreOptions, terms: GradientTerms, z: Array, t: Array) -> Array:
    p, q, log, other_log = probabilities(z, options.activation)
    along, loss = _overlap(terms, p, t), _column(terms.hit) * (p - t)
    if options.activation is None:
        found = along + np.where(loss == 0, 0, loss / (p * q))
    else:
        found = p * q * along + loss
    if "focal" in options.quantities:
        how = (options.focal_gamma, options.activation)
        found = found + product(_column(terms.focal) * t, _focal_slope(p, q, -log, *how))
        found = found - product(_column(terms.focal_others) * (1 - t), _focal_slope(q, p, -other_log, *how))
    return np.asarray(found)


def _column(values: Array) -> Array:
    return np.asarray(values, np.float64)[:, None]


def _overlap(terms: GradientTerms, p: Array, t: Array) -> Array:
    return np.asarray(_column(terms.slope) * t + _column(terms.curve) * p + _column(terms.level))


def _focal_slope(p: Array, q: Array, log: Array, gamma: float, activation: str | None) -> Array:
    """Return the derivative of −q^γ ln p, q = 1 − p and `log` = −ln p, by p, or times p q: by the logit of p."""
    power = np.maximum(q, 0) ** gamma
    if activation is not None:
        return np.asarray(-power * (gamma * product(p, log) + q))
    ratio = np.where(q == 0, 1.0, log / q)  # infinite where p is 0, which the next line sees to
    return np.asarray(np.where(p > 0, -power * (gamma * ratio + 1 / p), -np.inf))
