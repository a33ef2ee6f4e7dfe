"""Sums over scores at the ends: far logits, certain probabilities, tiny losses, very many voxels."""

from __future__ import annotations

import math
from decimal import Decimal, localcontext
from typing import Any

import numpy as np
import pytest
from support import score_oracle
from support.score_sums import ALL, INF, agree, every_backend, example, expected_of, storage

from fastseg import sum_scores
from fastseg.counts.scores import QUANTITIES

LOGITS: dict[str, Any] = {
    "far apart": [[1e4, -1e4, 0], [-1e4, 1e4, 1e4], [1e4, 1e4, 1e4], [-1e4, -1e4, -1e4]],
    "equal": [[0, 0, 0], [7, 7, 7], [-3, -3, -3], [1, 1, 0]],
    "masked": [[-INF, 0, 1], [0, -INF, -INF], [-INF, -INF, 5], [2, -INF, 3]],
    "extremes": [[65504, -65504, 0], [65504, 65504, 65504], [-65504, 65504, 65500], [65504, 65472, 0]],
    "tiny": [[1e-7, 0, -1e-7], [6e-8, 1e-3, 0], [0, 0, 6e-8], [-6e-8, -0.0, 0.0]],
}
#: Each compiles kernels of its own for seconds.
EACH_FLOAT = ["f4", *(pytest.param(dtype, marks=pytest.mark.slow) for dtype in ("f2", "f8"))]


@every_backend
@pytest.mark.parametrize("kind", LOGITS)
@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
@pytest.mark.parametrize("dtype", [*EACH_FLOAT, pytest.param("bf16", marks=[pytest.mark.torch, pytest.mark.slow])])
def test_odd_logits(dtype: str, activation: str, kind: str, backend: str) -> None:
    quantities = [q for q in QUANTITIES if kind != "tiny" or q != "bins"]
    for label in range(3):
        y_score = storage(np.tile(LOGITS[kind], (9, 1)), dtype)
        y_true = np.full(y_score.shape[0], label, np.uint8)
        if kind == "masked" and activation == "softmax":
            assert math.inf in expected_of(y_true, y_score, soft=False, activation=activation).arrays["cross_entropy"]
        options = {"activation": activation, "quantities": quantities, "backend": backend}
        options |= {"bins": 10} if "bins" in quantities else {}
        sums = sum_scores(y_true, y_score, **options)
        agree(sums, expected_of(y_true, y_score, soft=False, activation=activation), activation)
        if activation == "softmax" or dtype == "f4":
            soft = storage(np.eye(3)[y_true], dtype)
            again = sum_scores(soft, y_score, **options)
            agree(again, expected_of(soft, y_score, soft=True, activation=activation), activation)


@every_backend
@pytest.mark.parametrize(("channels", "dtype"), [(1, "f4"), (3, "f4"), (3, "f8")])
def test_certain_and_impossible_probabilities(channels: int, dtype: str, backend: str) -> None:
    p = np.array([[0, 1, 0], [1, 0, 0], [0.5, 0.5, 0], [-0.0005, 1, 0], [1.0005, 0, 0], [1e-20, 1, 0], [2e-38, 1, 0]])
    y_score = np.tile(p[:, :channels], (5, 1)).astype(dtype)
    for label in range(max(2, channels)):
        y_true = np.full(len(y_score), label, np.uint8)
        agree(sum_scores(y_true, y_score, **ALL, backend=backend), expected_of(y_true, y_score, soft=False), None)
        soft = (np.eye(channels)[y_true] if channels > 1 else y_true[:, None]).astype(dtype)
        agree(sum_scores(soft, y_score, **ALL, backend=backend), expected_of(soft, y_score, soft=True), None)


@every_backend
@pytest.mark.parametrize("activation", [None, "softmax", "sigmoid"])
def test_scores_that_only_float64_tells_apart(activation: str | None, backend: str) -> None:
    scores = 0.25 + np.random.default_rng(11).integers(0, 3, (200, 4)) * 2.0**-50
    y_true = np.arange(200, dtype=np.uint8) % 4
    sums = sum_scores(y_true, scores, activation=activation, quantities=["argmax", "ranks"], backend=backend)
    agree(sums, expected_of(y_true, scores, soft=False, activation=activation), activation)
    one = 0.5 + np.array([-(2.0**-53), 0, 2.0**-52]) - (0.5 if activation else 0)
    if activation != "softmax":
        sums = sum_scores(
            [1, 1, 1], one, channel_axis=None, activation=activation, quantities=["argmax", "brier"], backend=backend
        )
        assert sums.argmax_counts.matrix.tolist() == [[[0, 0], [2, 1]]]


@every_backend
def test_one_class_only(backend: str) -> None:
    _, y_score, _ = example(np.random.default_rng(7), (100,), 5, "f4", "u1", "softmax", False)
    for label in (0, 4):
        y_true = np.full(100, label, np.uint8)
        sums = sum_scores(y_true, y_score, activation="softmax", **ALL, backend=backend)
        agree(sums, expected_of(y_true, y_score, soft=False, activation="softmax"), "softmax")
        assert np.flatnonzero(sums.true[0]).tolist() == np.flatnonzero(sums.cross_entropy[0]).tolist() == [label]


def exact_loss(margin: float, others: int) -> float:
    with localcontext(prec=60):
        return float((1 + others * (-Decimal(margin)).exp()).ln())


@every_backend
@pytest.mark.parametrize("dtype", EACH_FLOAT)
@pytest.mark.parametrize("margin", [0.5, 4, 12, 16, 20, 33, 47, 60, 80])
def test_tiny_losses(margin: float, dtype: str, backend: str) -> None:
    quantities = ["cross_entropy", "argmax", *(["brier"] if dtype != "f4" else [])]
    for channels, voxels in ((2, 2), (3, 100), (14, 33)):
        y_score = np.zeros((voxels, channels), dtype)
        y_score[:, 1] = margin
        y_true = np.ones(voxels, np.uint8)
        wanted = exact_loss(margin, channels - 1) * voxels
        sums = sum_scores(y_true, y_score, activation="softmax", quantities=quantities, backend=backend)
        assert sums.cross_entropy[0, 1] == pytest.approx(wanted, rel=1e-6, abs=0)
        soft = np.eye(channels, dtype=dtype)[y_true]
        sums = sum_scores(soft, y_score, activation="softmax", quantities=quantities, backend=backend)
        assert sums.cross_entropy[0, 1] == pytest.approx(wanted, rel=1e-6, abs=0)
    for t, z in ((1, margin), (0, -margin)):
        sums = sum_scores(
            np.full(50, t, np.uint8), np.full(50, z, dtype), channel_axis=None, activation="sigmoid", backend=backend
        )
        assert sums.cross_entropy[0, 0] == pytest.approx(50 * exact_loss(margin, 1), rel=1e-6, abs=0)


@every_backend
def test_a_sum_of_a_hundred_million_voxels(backend: str) -> None:
    """In closed form: one voxel's terms, many times over, as naive float32 sums would get wrong."""
    voxels = 100_000_000 if backend == "numba" else 1_000_000
    z = np.array([0.3, -1.7, 2.1], np.float32)
    for label in (0, 1):
        one = score_oracle.sum_scores(np.array([label]), z[None].astype(float), activation="softmax")
        sums = sum_scores(
            np.broadcast_to(np.uint8(label), voxels),
            np.broadcast_to(z, (voxels, 3)),
            activation="softmax",
            backend=backend,
        )
        assert sums.argmax_counts.matrix[0, label, 2] == sums.total[0] == voxels
        for name in ("cross_entropy", "pred", "pred_squared", "true_pred"):
            np.testing.assert_allclose(getattr(sums, name)[0], one.arrays[name] * voxels, rtol=1e-6)
