"""The dumbest possible sums over scores: a voxel at a time, in plain Python, added up with `math.fsum`."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Any, NamedTuple

import numpy as np


class Sums(NamedTuple):
    arrays: dict[str, Any]
    """What `ScoreSums` has of that name, for one case."""
    voxels: list[int]
    matrix: Any
    near: float
    """Weight of the probabilities that lie so near an edge of bins that rounding can move them across."""


def log(x: float) -> float:
    return math.log(x) if x > 0 else -math.inf


def times(a: float, b: float) -> float:
    return 0.0 if a == 0 or b == 0 else a * b


def softmax(z: list[float]) -> tuple[list[float], list[float], list[float]]:
    """Return p, 1 - p and ln p."""
    top = max(z)
    parts = [math.exp(x - top) for x in z]
    whole = math.fsum(parts)
    others = [math.fsum(parts[:c] + parts[c + 1 :]) for c in range(len(z))]
    first = z.index(top)
    log_whole = math.log1p(others[first])
    return [x / whole for x in parts], [x / whole for x in others], [x - top - log_whole for x in z]


def sigmoid(x: float) -> tuple[float, float]:
    """Return p and ln p."""
    if x >= 0:
        return 1 / (1 + math.exp(-x)), -math.log1p(math.exp(-x))
    return math.exp(x) / (1 + math.exp(x)), x - math.log1p(math.exp(x))


def probabilities(z: list[float], activation: str | None) -> tuple[list[float], ...]:
    """Return p, 1 - p, ln p and ln(1 - p)."""
    if activation == "softmax":
        p, q, log_p = softmax(z)
        return p, q, log_p, [log(x) for x in q]
    if activation == "sigmoid":
        both = [(*sigmoid(x), *sigmoid(-x)) for x in z]
        return tuple([b[k] for b in both] for k in (0, 2, 1, 3))
    return z, [1 - x for x in z], [log(x) for x in z], [log(1 - x) for x in z]


def sum_scores(
    truth: Any,
    scores: Any,
    *,
    activation: str | None = None,
    ignored: tuple[int, ...] = (),
    mask: Any = None,
    weight: Any = None,
    bins: int = 10,
    gamma: float = 2.0,
) -> Sums:
    """Sum (V, C) scores against a (V,) label map or a (V, C) truth."""
    channels = scores.shape[1]
    soft = truth.ndim == 2
    binary = activation == "sigmoid" or channels == 1
    terms: dict[tuple[Any, ...], list[float]] = defaultdict(list)
    voxels = [0, 0, 0, 0]
    labels = max(2, channels)
    matrix = [[0.0] * labels for _ in range(labels)]
    near = 0.0

    def add_bin(name: tuple[Any, ...], p: float, w: float, hit: float) -> None:
        nonlocal near
        clipped = min(max(p, 0.0), 1.0)
        b = min(math.floor(clipped * bins), bins - 1)
        if abs(clipped * bins - round(clipped * bins)) < 1e-6 * bins and 0 < round(clipped * bins) < bins:
            near += w
        for k, value in enumerate((1.0, p, hit)):
            terms[*name, b, k].append(w * value)

    for v in range(len(scores)):
        if mask is not None and not mask[v]:
            voxels[2] += 1
            continue
        if soft:
            t = [float(x) for x in truth[v]]
        else:
            label = int(truth[v])
            if label in ignored:
                voxels[1] += 1
                continue
            t = [float(label == c) for c in range(channels)] if channels > 1 else [float(label)]
        voxels[0] += 1
        z = [float(x) for x in scores[v]]
        w = 1.0 if weight is None else float(weight[v])
        p, q, log_p, log_q = probabilities(z, activation)
        over = [x > (0 if activation == "sigmoid" else 0.5) for x in z]
        true = t.index(max(t)) if channels > 1 else int(t[0] > 0.5)
        guess = z.index(max(z)) if channels > 1 else int(over[0])
        matrix[true][guess] += w
        terms["total",].append(w)
        for c in range(channels):
            miss = q[c] - (1 - t[c]) if t[c] > 0.5 else p[c] - t[c]
            no, not_t = (log_q[c], 1 - t[c]) if binary else (0.0, 0.0)
            yes = (max(q[c], 0.0) ** gamma * t[c], max(p[c], 0.0) ** gamma * not_t)
            values = {
                "true": t[c],
                "true_pred": p[c] * t[c],
                "pred": p[c],
                "pred_squared": p[c] ** 2,
                "true_squared": t[c] ** 2,
                "absolute": abs(miss),
                "brier": miss**2,
                "cross_entropy": -times(t[c], log_p[c]) - times(not_t, no),
                "negative_log": -(log_p[c] + log_q[c]) / 2 if binary else -log_p[c],
                "focal": -times(yes[0], log_p[c]),
                "focal_others": -times(yes[1], no),
            }
            for name, value in values.items():
                terms[name, c].append(times(value, w))
            add_bin(("class_bins", c), p[c], w, t[c])
            if binary:
                add_bin(("top_bins",), max(p[c], q[c]), w, float(over[c] == (t[c] > 0.5)))
        if not binary:
            add_bin(("top_bins",), max(p), w, float(guess == true))
        if channels > 1:
            rank = sum(x > z[true] or (x == z[true] and c < true) for c, x in enumerate(z))
            terms["ranks", rank].append(w)

    shapes: dict[str, tuple[int, ...]] = {"top_bins": (bins, 3), "class_bins": (channels, bins, 3), "total": ()}
    names = ["true", "true_pred", "pred", "pred_squared", "true_squared", "absolute", "brier", "cross_entropy"]
    shapes |= dict.fromkeys([*names, "negative_log", "focal", "focal_others"], (channels,))
    if channels > 1:
        shapes["ranks"] = (channels,)
    arrays = {
        name: np.array([math.fsum(terms[name, *i]) for i in np.ndindex(shape)]).reshape(shape)
        for name, shape in shapes.items()
    }
    return Sums(arrays, voxels, np.array(matrix), near)
