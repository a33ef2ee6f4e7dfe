"""What the tests of losses and of metrics of scores share: one made-up case of every kind."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fastseg import sum_scores

N, C, SHAPE = 3, 4, (9, 11)
EVERYTHING = {"quantities": ["dice", "cross_entropy", "brier", "smoothing", "focal", "ranks"], "bins": 60}


def close(expected: Any) -> Any:
    return pytest.approx(np.asarray(expected, np.float64), rel=3e-6, abs=1e-7, nan_ok=True)


def softmax(z: Any) -> Any:
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def one_hot(labels: Any, classes: int = C) -> Any:
    return (labels[..., None] == np.arange(classes)).astype(np.float64)


class Data:
    """Logits, labels and what follows of them; class 3 occurs in the first case alone."""

    def __init__(self, seed: int = 7) -> None:
        rng = np.random.default_rng(seed)
        self.z = rng.normal(0, 2, (N, *SHAPE, C))
        self.labels = rng.integers(0, 3, (N, *SHAPE))
        self.labels[0, :2] = 3
        self.p, self.t = softmax(self.z), one_hot(self.labels)
        self.ignored = np.where(rng.random(self.labels.shape) < 0.2, 255, self.labels)
        self.soft = softmax(rng.normal(0, 1, self.z.shape))
        self.weight = np.array([0.5, 2.0, 0.0, 1.25])
        self.binary = rng.integers(0, 2, self.z.shape).astype(np.float64)

    def sums(self, **options: Any) -> Any:
        return sum_scores(self.labels, self.p, **{"sample_axis": 0, **EVERYTHING, **options})


DATA = Data()
