"""Edges that a review of the score kernels found: shapes without space, tolerances, weights at their limits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fastseg import sum_scores
from fastseg.kernels import BACKENDS

backends = pytest.mark.parametrize("backend", BACKENDS)
RNG = np.random.default_rng(3)


@backends
def test_samples_without_space(backend: str) -> None:
    z, t = RNG.normal(size=(200, 4)).astype(np.float32), RNG.integers(0, 4, 200)
    options: dict[str, Any] = {"activation": "softmax", "quantities": ["dice"], "backend": backend}
    apart, together = sum_scores(t, z, sample_axis=0, **options).pooled(), sum_scores(t, z, **options)
    for name in ("pred", "true_pred", "pred_squared", "true"):
        np.testing.assert_allclose(getattr(apart, name), getattr(together, name), rtol=1e-9)
    single = sum_scores(np.array(1), np.array([0.25, 0.75]), backend=backend)
    assert single.pred is not None
    assert single.pred.tolist() == [[0.25, 0.75]]


@backends
def test_weights_at_their_limits(backend: str) -> None:
    for dtype in (np.float32, np.float64):
        sums = sum_scores([0], [[0.5, 0.5]], sample_weight=np.array([1e30], dtype), backend=backend)
        assert sums.total[0] == pytest.approx(1e30)
        with pytest.raises(ValueError, match=r"sample_weight: expected 0 or weights from 1e-30 to 1e\+30"):
            sum_scores([0], [[0.5, 0.5]], sample_weight=np.array([1e31], dtype), backend=backend)


@backends
def test_a_truth_may_miss_its_range_a_little(backend: str) -> None:
    truth = np.array([[1.0005, -0.0005]])
    sums = sum_scores(truth, [[0.5, 0.5]], activation="sigmoid", quantities="cross_entropy", backend=backend)
    log, other = -np.log(1 / (1 + np.exp(-0.5))), -np.log(1 / (1 + np.exp(0.5)))
    assert sums.cross_entropy is not None
    np.testing.assert_allclose(sums.cross_entropy[0], truth[0] * log + (1 - truth[0]) * other, rtol=1e-6)


@pytest.mark.parametrize("place", [0, 39])
def test_a_range_does_not_depend_on_the_place(place: int) -> None:
    truth = np.zeros((40, 2))
    truth[:, 0] = 1
    scores = truth.copy()
    scores[place, 0] = 1.0010000001
    sum_scores(truth, scores, quantities=["dice"])
    scores[place, 0] = 1.0011
    with pytest.raises(ValueError, match=rf"y_score: expected probabilities .* 1.0011 at index \({place}, 0\)"):
        sum_scores(truth, scores, quantities=["dice"])


def test_sums_at_the_edge_of_their_tolerance_are_accepted() -> None:
    for _ in range(100):
        q = RNG.random(50).astype(np.float32)
        q = (q / q.sum(dtype=float) * 1.001).astype(np.float32)
        sum_scores([0], q[None])


def test_options_are_named() -> None:
    with pytest.raises(ValueError, match="scale: expected scores of an integer type, found float64"):
        sum_scores([0], [[0.5, 0.5]], scale=1)
    with pytest.raises(TypeError, match="quantities: expected names, found 3"):
        sum_scores([0], [[0.5, 0.5]], quantities=3)  # type: ignore[arg-type]
