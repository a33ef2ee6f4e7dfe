"""The NumPy backend's gradients: float64, one formula after the other."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special

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
        slope, curve, level, base, hit = (
            np.asarray(a, np.float64)[:, None] for a in (terms.slope, terms.curve, terms.level, terms.base, terms.hit)
        )
        p = z
        if options.activation == "softmax":
            p = special.softmax(z, axis=0)
        elif options.activation == "sigmoid":
            p = special.expit(z)
        along = slope * t + curve * p + level
        out[:] = 0
        with np.errstate(divide="ignore", invalid="ignore"):
            if options.binary:
                rest = special.expit(-z) if options.activation else 1 - p
                loss = hit * (p - t)
                if options.activation:
                    out[:, inside] = p * rest * along + loss
                else:
                    out[:, inside] = along + np.where(loss == 0, 0, loss / (p * rest))
                return
            loss = base + hit * t
            if options.activation:
                out[:, inside] = p * (along - (p * along).sum(0) + loss.sum(0)) - loss
            else:
                out[:, inside] = along - np.where(loss == 0, 0, loss / p)
