"""The NumPy backend of scores: slow, obvious, normative. Everything is computed and summed in float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import expit, log_expit, softmax

from fastseg.kernels.protocols.scores import (
    LEAST_WEIGHT,
    MOST_WEIGHT,
    RANGE_TOLERANCE,
    ScoreOptions,
    ScoreSpan,
    ScoreTally,
)

__all__ = ["ScoreCounter", "probabilities", "product"]

Array = npt.NDArray[Any]


def _numbers(array: Array, bfloat16: bool) -> npt.NDArray[np.float64]:
    if bfloat16:
        array = (array.view(np.uint16).astype(np.uint32) << np.uint32(16)).view(np.float32)
    return array.astype(np.float64)


def _in_range(values: Array) -> npt.NDArray[np.bool_]:
    return (values >= -RANGE_TOLERANCE) & (values <= 1 + RANGE_TOLERANCE)


def product(a: Array, b: Array) -> Array:
    """Return a · b, where zero times infinity is zero."""
    return np.where((a == 0) | (b == 0), 0.0, a * b)


def _log_softmax(z: Array) -> Array:
    """Return ln p of (C, V) logits; exact for p near 1 too, where it is -log1p of what the other classes have."""
    below = z - z.max(0)
    others = np.exp(below)
    np.put_along_axis(others, z.argmax(0)[None], 0, axis=0)
    return below - np.log1p(others.sum(0))


def probabilities(z: Array, activation: str | None) -> tuple[Array, Array, Array, Array]:
    """Return p, 1 - p and their logarithms of (C, V) scores; of a softmax ln(1 - p) is not needed, and 0."""
    if activation == "softmax":
        log_p = _log_softmax(z)
        return softmax(z, axis=0), -np.expm1(log_p), log_p, np.zeros_like(log_p)
    if activation == "sigmoid":
        return expit(z), expit(-z), log_expit(z), log_expit(-z)
    return z, 1 - z, np.log(np.maximum(z, 0)), np.log(np.maximum(1 - z, 0))


class ScoreCounter:
    """Sums over scores by array arithmetic; `fastseg.counts.ScoreSums` says what each sum is."""

    def __init__(self, options: ScoreOptions) -> None:
        self._options = options

    def __enter__(self) -> ScoreCounter:
        c, b = self._options.channels, self._options.bins
        shapes: dict[str, dict[str, tuple[int, ...]]] = {
            "dice": dict.fromkeys(("true_pred", "pred", "pred_squared", "true_squared"), (c,)),
            "cross_entropy": {"cross_entropy": (c,)},
            "absolute": {"absolute": (c,)},
            "brier": {"brier": (c,)},
            "smoothing": {"negative_log": (c,)},
            "focal": {"focal": (c,), "focal_others": (c,)},
            "ranks": {"ranks": (c,)},
            "bins": {"top_bins": (b, 3), "class_bins": (c, b, 3)},
        }
        wanted = {name: shape for q in self._options.quantities for name, shape in shapes.get(q, {}).items()}
        if self._options.soft:
            wanted |= {"true": (c,), "total": (), "counted": (), "outside": ()}
        self._sums: dict[str, npt.NDArray[np.float64]] = {name: np.zeros(shape) for name, shape in wanted.items()}
        self._bad = 0
        return self

    def __exit__(self, *_: Any) -> None:
        return None

    def _add(self, name: str, values: Any) -> None:
        self._sums[name] = np.asarray(self._sums[name] + values, np.float64)

    def update(self, span: ScoreSpan) -> tuple[Array | None, Array | None]:
        """Add up a span; return the true labels of a soft truth and the predicted labels."""
        with np.errstate(all="ignore"):  # NaN, infinities and their logarithms are meant
            return self._update(span)

    def _update(self, span: ScoreSpan) -> tuple[Array | None, Array | None]:
        options = self._options
        voxels = span.scores.shape[1]
        looked_at = np.ones(voxels, bool) if span.mask is None else span.mask != 0
        if options.soft:
            self._add("outside", voxels - looked_at.sum())
            self._add("counted", looked_at.sum())
        else:
            label = span.truth
            looked_at = looked_at & (label >= 0) & (label < options.labels) & (label == np.floor(label))
            for ignored in options.ignored:
                looked_at &= label != ignored

        z = _numbers(span.scores[:, looked_at], options.score_bfloat16)
        w = np.ones(z.shape[1]) if span.weight is None else span.weight[looked_at]
        if options.soft:
            t = _numbers(span.truth[:, looked_at], options.true_bfloat16)
        else:
            classes = np.arange(options.channels) if options.channels > 1 else np.ones(1)
            t = (span.truth[looked_at] == classes[:, None]).astype(np.float64)
        good = self._good(z) & _in_range(t).all(0) & ((w == 0) | ((w >= LEAST_WEIGHT) & (w <= MOST_WEIGHT)))
        self._bad += int((~good).sum())
        z, t, w = z[:, good], t[:, good], w[good].astype(np.float64)

        over = z > (0 if options.activation == "sigmoid" else 0.5)
        true, predicted = (t > 0.5, over) if options.channels == 1 else (t.argmax(0), z.argmax(0))
        true, predicted = true.reshape(-1), predicted.reshape(-1)
        self._sum(z, t, w, over, true, predicted)
        if "argmax" not in options.quantities:
            return None, None
        where = np.flatnonzero(looked_at)[good]
        labels = np.zeros((2, voxels), np.uint8 if options.labels <= 256 else np.uint16)
        labels[0, where], labels[1, where] = true, predicted
        return (labels[0] if options.soft else None), labels[1]

    def _good(self, z: Array) -> Array:
        """Return which voxels have scores that are allowed."""
        if self._options.activation == "softmax":
            return np.asarray((z < np.inf).all(0) & (z > -np.inf).any(0))
        if self._options.activation == "sigmoid":
            return np.asarray((z < np.inf).all(0))
        good = np.asarray(_in_range(z).all(0))
        if self._options.sum_tolerance is not None:
            good &= np.abs(z.sum(0) - 1) <= self._options.sum_tolerance
        return good

    def _sum(self, z: Array, t: Array, w: Array, over: Array, true: Array, predicted: Array) -> None:
        """Add up good voxels: (C, V) scores and truths, (V,) weights, true and predicted labels."""
        options = self._options
        p, q, log_p, log_q = probabilities(z, options.activation)
        miss = np.where(t > 0.5, (1 - t) - q, p - t)  # p - t, without cancellation where both are near 1
        gamma = options.focal_gamma
        terms: dict[str, Callable[[], Array]] = {
            "true": lambda: t,
            "true_pred": lambda: p * t,
            "pred": lambda: p,
            "pred_squared": lambda: p * p,
            "true_squared": lambda: t * t,
            "absolute": lambda: np.abs(miss),
            "brier": lambda: miss * miss,
            "focal": lambda: -product(t * np.maximum(q, 0) ** gamma, log_p),
        }
        if options.binary:
            terms |= {
                "cross_entropy": lambda: -product(t, log_p) - product(1 - t, log_q),
                "negative_log": lambda: -log_p / 2 - log_q / 2,
                "focal_others": lambda: -product((1 - t) * np.maximum(p, 0) ** gamma, log_q),
            }
        else:
            terms |= {
                "cross_entropy": lambda: -product(t, log_p),
                "negative_log": lambda: -log_p,
                "focal_others": lambda: np.zeros_like(p),
            }
        for name, term in terms.items():
            if name in self._sums:
                self._add(name, product(term(), w).sum(1))
        if options.soft:
            self._add("total", w.sum())
        if "ranks" in self._sums:
            place = true.astype(np.intp)
            own = np.take_along_axis(z, place[None], axis=0)
            before = (z > own) | ((z == own) & (np.arange(options.channels)[:, None] < place))
            self._add("ranks", np.bincount(before.sum(0), w, options.channels))
        if "top_bins" in self._sums:
            every = np.broadcast_to(w, p.shape)
            if options.binary:
                self._add("top_bins", self._binned(np.maximum(p, q), over == (t > 0.5), every))
            else:
                self._add("top_bins", self._binned(p.max(0), true == predicted, w))
            self._add("class_bins", [self._binned(*row) for row in zip(p, t, every, strict=True)])

    def _binned(self, p: Array, hits: Array, w: Array) -> Array:
        """Return (B, 3) sums of w, w · p and w · hits over the values of each bin of p."""
        p, hits, w = p.reshape(-1), hits.reshape(-1), w.reshape(-1)
        count = self._options.bins
        places = np.clip(np.floor(p * count), 0, count - 1).astype(np.intp)
        return np.stack([np.bincount(places, values, count) for values in (w, w * p, w * hits)], axis=1)

    def take(self) -> ScoreTally:
        """Return what was summed since the last call."""
        tally = ScoreTally(self._sums, self._bad)
        self.__enter__()
        return tally
