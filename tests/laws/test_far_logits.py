"""Logits that lie further apart than float32 reaches: losses and gradients are finite wherever they are in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastseg
from fastseg import losses

V, C = 300, 3  # more than one tile's vectors, with a tail
#: The largest logits of each type that are tried; those of float64 still differ by less than float64's 1.8e308.
LARGEST = {"f4": 3e38, "f8": 8e305, "bf16": 3e38}
QUANTITIES = ["dice", "cross_entropy", "argmax", "absolute", "brier", "smoothing", "focal", "ranks"]
#: Each compiles kernels of its own for seconds.
EACH_KIND = [
    "f4",
    pytest.param("f8", marks=pytest.mark.slow),
    pytest.param("bf16", marks=[pytest.mark.torch, pytest.mark.slow]),
]


def stored(values: Any, kind: str) -> tuple[Any, Any]:
    """Return values in a type, and as float64 what they then are."""
    if kind == "bf16":
        import torch

        tensor = torch.tensor(values.astype(np.float32)).to(torch.bfloat16)
        return tensor, tensor.to(torch.float64).numpy()
    array = values.astype(kind)
    return array, array.astype(np.float64)


def logits(kind: str) -> Any:
    """Return (V, C) logits among which every distance occurs: small ones, far ones, and masked classes."""
    rng = np.random.default_rng(11)
    z = rng.normal(0, 3, (V, C))
    far = rng.random((V, C)) < 0.4
    z[far] = (rng.uniform(-1, 1, (V, C)) * LARGEST[kind])[far]
    z[:6] = LARGEST[kind] * np.array([[1, -1, 0], [-1, 1, 0], [-1, -1, 1], [-1, -1, -1], [1, 1, -1], [0, 0, 1]])
    return z


def in_order(array: Any, first: bool) -> Any:
    """Return (V, C) with the classes first, in memory too, or as it is."""
    if not first:
        return array
    return np.ascontiguousarray(array.T) if isinstance(array, np.ndarray) else array.T.contiguous()


LABELS = np.random.default_rng(12).integers(0, C, V)
SOFT = np.random.default_rng(13).dirichlet(np.ones(C), V)
WEIGHT = np.random.default_rng(14).uniform(0, 3, V)


def log_probabilities(z: Any, activation: str) -> tuple[Any, Any]:
    """Return ln p and ln(1 - p) (of sigmoid only)."""
    if activation == "softmax":
        below = z - z.max(1, keepdims=True)
        return below - np.log(np.exp(below).sum(1, keepdims=True)), np.zeros(())
    away = np.log1p(np.exp(-np.abs(z)))
    return np.minimum(z, 0) - away, np.minimum(-z, 0) - away


def cross_entropy(z: Any, t: Any, activation: str, weight: Any = 1.0) -> Any:
    """Return Σ over voxels of every class's part."""
    log_p, log_q = log_probabilities(z, activation)
    return ((-t * log_p - (1 - t) * log_q) * np.reshape(weight, (-1, 1))).sum(0)


@pytest.mark.parametrize("backend", ["numba", "numpy"])
@pytest.mark.parametrize("kind", ["f4", "f8"])
def test_two_logits_at_the_ends_of_the_range(kind: str, backend: str) -> None:
    z = np.array([[LARGEST[kind], -LARGEST[kind]]], kind)
    for activation in ("softmax", "sigmoid"):
        loss = fastseg.cross_entropy([1], z, activation=activation, backend=backend)
        assert loss == 2.0 * float(z[0, 0]) / (1 if activation == "softmax" else 2)  # sigmoid: the mean of two classes


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
@pytest.mark.parametrize("kind", EACH_KIND)
def test_every_sum_is_that_of_the_reference(kind: str, activation: str, first: bool) -> None:
    scores, z = stored(logits(kind), kind)
    scores = in_order(scores, first)
    axis = 0 if first else -1
    for truth, t in ((LABELS, np.eye(C)[LABELS]), (in_order(SOFT, first), SOFT)):
        given: dict[str, Any] = {"activation": activation, "channel_axis": axis, "quantities": QUANTITIES}
        ours, reference = (fastseg.sum_scores(truth, scores, **given, backend=b) for b in ("numba", "numpy"))
        assert ours.cross_entropy is not None
        assert ours.cross_entropy[0] == pytest.approx(cross_entropy(z, t, activation), rel=1e-6)
        for name in (
            "true_pred",
            "cross_entropy",
            "absolute",
            "brier",
            "negative_log",
            "focal",
            "focal_others",
            "ranks",
        ):
            values, expected = getattr(ours, name), getattr(reference, name)
            assert np.isfinite(values).all(), name
            assert values == pytest.approx(expected, rel=2e-6, abs=1e-5), name


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
@pytest.mark.parametrize("kind", EACH_KIND)
def test_weights_and_voxels_left_out(kind: str, activation: str) -> None:
    scores, z = stored(logits(kind), kind)
    weight = WEIGHT.copy()
    weight[:3] = 100, 0, 1e-30
    mask = np.arange(V) % 7 != 4
    for quantities in (["cross_entropy"], ["cross_entropy", "smoothing"]):
        for truth, t in ((LABELS, np.eye(C)[LABELS]), (SOFT, SOFT)):
            sums = fastseg.sum_scores(
                truth, scores, activation=activation, quantities=quantities, mask=mask, sample_weight=weight
            )
            assert sums.cross_entropy is not None
            expected = cross_entropy(z[mask], t[mask], activation, weight[mask])
            assert sums.cross_entropy[0] == pytest.approx(expected, rel=1e-6)


def test_weights_make_a_loss_too_large_for_float32() -> None:
    z = np.array([[1e9, 0.0], [0.0, 1e9]], np.float32)
    for truth in ([1, 1], [[0.0, 1.0], [0.0, 1.0]]):
        sums = fastseg.sum_scores(
            truth, z, activation="softmax", sample_weight=[1e30, 1], quantities=["cross_entropy", "focal", "smoothing"]
        )
        for values in (sums.cross_entropy, sums.focal):
            assert values is not None
            assert values.tolist() == [[0.0, pytest.approx(1e39)]]
        assert sums.negative_log is not None
        assert sums.negative_log.tolist() == [[pytest.approx(1e9), pytest.approx(1e39)]]


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_a_masked_class_is_still_infinitely_wrong(activation: str) -> None:
    z = np.array([[-np.inf, 0.0, 3e38], [0.0, -3e38, 3e38]], np.float32)
    for truth in ([1, 1], [[0.0, 1.0, 0.0], [0.0, 1.0, 0.0]]):
        right = fastseg.sum_scores(truth, z, activation=activation, quantities=["cross_entropy", "focal"])
        assert right.cross_entropy is not None
        assert np.isfinite(right.cross_entropy).all()
    wrong = fastseg.sum_scores([0, 1], z, activation=activation, quantities=["cross_entropy", "smoothing"])
    assert wrong.cross_entropy is not None
    assert np.isinf(wrong.cross_entropy).tolist() == [[True, False, False]]
    assert wrong.negative_log is not None
    assert np.isinf(wrong.negative_log).tolist() == [[True, False, False]]


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
@pytest.mark.parametrize("kind", EACH_KIND)
def test_gradients_are_finite_and_right(kind: str, activation: str, first: bool) -> None:
    scores, z = stored(logits(kind), kind)
    options: dict[str, Any] = {"activation": activation, "sample_axis": None, "channel_axis": 0 if first else -1}
    loss, gradient = losses.cross_entropy_with_gradient(
        LABELS, in_order(scores, first), **options, dtype=np.float32, backend="numba"
    )
    t = np.eye(C)[LABELS]
    log_p = log_probabilities(z, activation)[0]
    terms = V if activation == "softmax" else V * C
    expected = (np.exp(log_p) - t) / terms
    assert loss == pytest.approx(cross_entropy(z, t, activation).sum() / terms, rel=1e-6)
    assert (gradient.T if first else gradient) == pytest.approx(expected, abs=1e-8)
    both = [
        losses.dice_cross_entropy_with_gradient(
            LABELS, in_order(scores, first), **options, dtype=np.float32, backend=backend
        )
        for backend in ("numba", "numpy")
    ]
    assert both[0][0] == pytest.approx(both[1][0], rel=1e-6)
    assert np.isfinite(both[0][1]).all()
    assert both[0][1] == pytest.approx(both[1][1], abs=1e-8)


def test_losses_of_far_logits_on_threads_are_those_of_one() -> None:
    z = np.tile(logits("f4").astype(np.float32), (9000, 1))
    truth = np.tile(LABELS, 9000)
    quantities = ["cross_entropy", "smoothing"]
    before = fastseg.get_num_threads()
    sums = []
    try:
        for threads in (1, 3):
            fastseg.set_num_threads(threads)
            sums.append(fastseg.sum_scores(truth, z, activation="softmax", quantities=quantities))
    finally:
        fastseg.set_num_threads(before)
    assert sums[0] == sums[1]
    assert sums[0].cross_entropy is not None
    one = fastseg.sum_scores(LABELS, logits("f4").astype(np.float32), activation="softmax", quantities=quantities)
    assert one.cross_entropy is not None
    assert sums[0].cross_entropy == pytest.approx(9000 * one.cross_entropy, rel=1e-12)
