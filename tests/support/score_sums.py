"""What tests of sums over scores share: examples, what the oracle says of them, and comparisons."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from support import score_oracle
from support.score_examples import softmax

from fastseg.counts.scores import ScoreSums
from fastseg.kernels import BACKENDS

NAMES = [f.name for f in fields(ScoreSums)]
ALL = {"quantities": "all", "bins": 10, "focal_gamma": 2.0}
every_backend = pytest.mark.parametrize("backend", BACKENDS)


def storage(values: Any, dtype: str) -> Any:
    """Return values in a type of NumPy, as bfloat16 of torch ("bf16") or ml_dtypes ("ml bf16"), or as per cent ("u1%")."""
    if dtype == "bf16":
        import torch

        return torch.tensor(np.asarray(values, np.float32)).to(torch.bfloat16)
    if dtype == "ml bf16":
        import ml_dtypes

        return np.asarray(values).astype(ml_dtypes.bfloat16)
    if dtype.endswith("%"):
        return np.round(np.asarray(values) * 100).astype(dtype[:-1])
    return np.asarray(values).astype(dtype)


def numbers(array: Any, scale: float | None = None) -> Any:
    """Return what stored scores mean, as float64; small integers are divided into float32."""
    if "bfloat16" in str(array.dtype):
        return array.float().numpy().astype(float) if hasattr(array, "float") else array.astype(float)
    if scale is None:
        return np.asarray(array, np.float64)
    return np.asarray((array / scale).astype(np.float32 if array.itemsize <= 2 else np.float64), np.float64)


def example(
    rng: Any, shape: tuple[int, ...], channels: int, scores: str, truth: str, activation: str | None, soft: bool
) -> tuple[Any, Any, dict[str, Any]]:
    """Return a truth, scores with the channels last, and options that say how to read them."""
    z = rng.normal(0, 1.5, (*shape, channels))
    classes = max(2, channels)
    labels = rng.integers(0, 2 if truth == "?" else classes, shape)
    if channels > 1:
        z[..., 0] += rng.random(shape) < 0.3  # predictions are somewhat right
    p = softmax(z) if channels > 1 else 1 / (1 + np.exp(-z))
    if scores == "?":
        p = p == p.max(-1, keepdims=True)
    y_score = storage(p if activation is None else z, scores)
    options: dict[str, Any] = {"activation": activation, "scale": 100 if scores.endswith("%") else None}
    if not soft:
        return storage(labels, truth), y_score, options
    t = rng.dirichlet(np.ones(channels), shape) if channels > 1 else rng.random((*shape, 1))
    hard = np.arange(channels) == labels[..., None] if channels > 1 else labels[..., None] == 1
    return (
        storage(hard if truth in ("?", "u1") else np.where(rng.random((*shape, 1)) < 0.5, hard, t), truth),
        y_score,
        options,
    )


def flat(array: Any, channels: int | None = None) -> Any:
    return array.reshape(-1) if channels is None else array.reshape(-1, channels)


def expected_of(y_true: Any, y_score: Any, *, soft: bool, scale: float | None = None, **options: Any) -> Any:
    """Ask the oracle about a single case with the channels last."""
    channels = y_score.shape[-1]
    truth = flat(numbers(y_true), channels if soft else None)
    for name in ("mask", "weight"):
        if options.get(name) is not None:
            options[name] = flat(options[name])
    return score_oracle.sum_scores(truth, flat(numbers(y_score, scale), channels), **options)


def compare(name: str, found: Any, wanted: Any, *, near: float = 0.0, rel: float = 1e-6, least: float = 1e-37) -> None:
    assert found.dtype == np.float64
    assert found.shape == wanted.shape, name
    good = np.isclose(found, wanted, rtol=rel, atol=least + (near if name.endswith("_bins") else 0))
    assert good.all(), (name, found[~good], wanted[~good])


def agree(sums: ScoreSums, wanted: Any, activation: str | None, case: int = 0, weighted: bool = False) -> None:
    """Compare one case of some sums with the oracle's."""
    assert sums.voxels[case].tolist() == wanted.voxels
    near = 0.0 if activation is None else wanted.near
    for name, array in wanted.arrays.items():
        mine = getattr(sums, name)
        if mine is None:
            continue
        compare(name, mine[case], array, near=near, least=1e-37 * (1 + wanted.voxels[0]))
        if not weighted and name == "ranks":
            assert mine[case].tolist() == array.tolist()
        if not weighted and activation is None and name.endswith("_bins"):
            assert mine[case][..., 0].tolist() == array[..., 0].tolist(), name
    if sums.argmax_counts is not None:
        matrix = sums.argmax_counts.matrix[case]
        assert np.allclose(matrix, wanted.matrix, 1e-9) if weighted else matrix.tolist() == wanted.matrix.tolist()


def alike(a: ScoreSums, b: ScoreSums, *, near: float = 0.0, rel: float = 1e-6, least: float = 1e-37) -> None:
    """Compare two sums; bins may differ by a weight of `near`."""
    assert (a.quantities, a.binary, a.soft) == (b.quantities, b.binary, b.soft)
    assert (a.voxels.tolist(), a.ignored.tolist()) == (b.voxels.tolist(), b.ignored.tolist())
    for name in NAMES:
        if isinstance(getattr(a, name), np.ndarray) and name not in ("voxels", "class_weight", "ignored"):
            compare(name, getattr(a, name), getattr(b, name), near=near, rel=rel, least=least)
    if a.argmax_counts is not None:
        assert b.argmax_counts is not None
        assert np.allclose(a.argmax_counts.matrix, b.argmax_counts.matrix, rel if a.weighted else 0, 0)


def planes_of(array: Any) -> Any:
    """Return values with their channels first, in memory too."""
    if hasattr(array, "movedim"):
        return array.movedim(-1, 0).contiguous()
    return np.ascontiguousarray(np.moveaxis(array, -1, 0))


INF = math.inf
