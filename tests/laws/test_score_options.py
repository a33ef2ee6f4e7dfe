"""Every option of sums over scores agrees with the oracle."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support.score_sums import ALL, agree, alike, every_backend, example, expected_of, planes_of

from fastseg import sum_scores
from fastseg.counts.scores import QUANTITIES, ScoreSums


@every_backend
@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize(("channel_axis", "sample_axis"), [(-1, 0), (1, 0), (0, -1), (0, 1), (2, 1), (1, 2)])
def test_samples(channel_axis: int, sample_axis: int, soft: bool, backend: str) -> None:
    rng = np.random.default_rng(2)
    y_true, y_score, _ = example(rng, (5, 4, 9), 3, "f4", "f4" if soft else "u1", "softmax", soft)
    mask, weight = rng.random((5, 4, 9)) < 0.7, rng.integers(0, 4, (5, 4, 9)).astype("f4")
    # As drawn: sample first, channel last; and then where they are asked for.
    placed = [np.moveaxis(a, (0, -1), (sample_axis, channel_axis)) for a in (y_true if soft else y_score, y_score)]
    plain = sample_axis % 4 - (channel_axis % 4 < sample_axis % 4)
    t = placed[0] if soft else np.moveaxis(y_true, 0, plain)
    m, w = (np.moveaxis(a, 0, plain) for a in (mask, weight))
    options = {"activation": "softmax", "channel_axis": channel_axis, **ALL, "backend": backend}
    sums = sum_scores(t, placed[1], mask=m, sample_weight=w, sample_axis=sample_axis, **options)
    assert sums.num_cases == 5
    for n in range(5):
        wanted = expected_of(y_true[n], y_score[n], soft=soft, activation="softmax", mask=mask[n], weight=weight[n])
        agree(sums, wanted, "softmax", n, weighted=True)
    together = sum_scores(t, placed[1], mask=m, sample_weight=w, **options)
    alike(sums.pooled(), together, near=1e-6)


@every_backend
def test_many_small_samples(backend: str) -> None:
    rng = np.random.default_rng(10)
    y_true, y_score, _ = example(rng, (300, 35), 3, "f4", "u1", "softmax", False)
    sums = sum_scores(y_true, y_score, activation="softmax", sample_axis=0, **ALL, backend=backend)
    for n in (0, 1, 150, 299):
        agree(sums, expected_of(y_true[n], y_score[n], soft=False, activation="softmax"), "softmax", n)
    whole = sum_scores(y_true, y_score, activation="softmax", **ALL, backend="numpy")
    alike(sums.pooled(), whole, near=1e-6)


@every_backend
def test_no_samples_and_no_voxels(backend: str) -> None:
    none = sum_scores(np.zeros((0, 4), "u1"), np.zeros((0, 4, 3)), sample_axis=0, **ALL, backend=backend)
    assert (none.num_cases, none.num_classes) == (0, 3)
    empty = sum_scores(np.zeros((2, 0), "u1"), np.zeros((2, 0, 3)), sample_axis=0, **ALL, backend=backend)
    assert empty == ScoreSums.zeros(3, quantities=sorted(QUANTITIES), cases=2, bins=10, focal_gamma=2.0)


@every_backend
@pytest.mark.parametrize("quantity", QUANTITIES)
def test_each_quantity_alone(quantity: str, backend: str) -> None:
    for activation, soft, channels in (
        ("softmax", False, 3),
        ("sigmoid", True, 1),
        *((("softmax", True, 3), ("sigmoid", False, 1), (None, True, 2)) if backend == "numpy" else ()),
    ):
        if (quantity, channels) == ("ranks", 1):
            continue
        y_true, y_score, options = example(
            np.random.default_rng(3), (2, 65), channels, "f4", "f4" if soft else "u1", activation, soft
        )
        extra: dict[str, Any] = {"bins": 7} if quantity == "bins" else {}
        extra |= {"focal_gamma": 1.5} if quantity == "focal" else {}
        sums = sum_scores(y_true, y_score, quantities=quantity, **options, **extra, backend=backend)
        assert sums.quantities == (quantity,)
        assert {n for n in QUANTITIES[quantity] if getattr(sums, n) is None} == set()
        others = {n for q, names in QUANTITIES.items() if q != quantity for n in names}
        assert {n for n in others if getattr(sums, n) is not None} == set()
        agree(sums, expected_of(y_true, y_score, soft=soft, activation=activation, bins=7, gamma=1.5), activation)


@every_backend
@pytest.mark.parametrize("gamma", [0, 0.5, 1, 3, 5.25])
def test_focal_exponents(gamma: float, backend: str) -> None:
    for activation, soft in (("softmax", False), ("sigmoid", False), (None, True)):
        y_true, y_score, options = example(
            np.random.default_rng(3), (130,), 3, "f4", "f4" if soft else "u1", activation, soft
        )
        sums = sum_scores(y_true, y_score, focal_gamma=gamma, **options, backend=backend)
        assert sums.focal_gamma == gamma
        agree(sums, expected_of(y_true, y_score, soft=soft, activation=activation, gamma=gamma), activation)


@every_backend
@pytest.mark.parametrize("bins", [1, 2, 15, 100, 1000])
@pytest.mark.parametrize("activation", [None, "softmax", "sigmoid"])
def test_bins(activation: str | None, bins: int, backend: str) -> None:
    edges = np.arange(bins + 1) / bins
    exact = np.concatenate([edges, np.nextafter(edges, -1), np.nextafter(edges, 2)])
    for dtype in ("f4", "f8"):
        y_true, y_score, _ = example(np.random.default_rng(3), (300,), 2, dtype, "u1", activation, False)
        if activation is None:
            p = np.resize(exact, (300,)).astype(dtype)
            y_score = np.stack([p, 1 - p], axis=-1)
        options = {"activation": activation, "quantities": ["argmax", "bins"], "bins": bins}
        sums = sum_scores(y_true, y_score, **options, backend=backend)
        agree(sums, expected_of(y_true, y_score, soft=False, activation=activation, bins=bins), activation)


@every_backend
@pytest.mark.parametrize("ignored", [0, 2, 255, -1, (1, 255)])
def test_ignored_labels(ignored: Any, backend: str) -> None:
    dtype = "i2" if ignored == -1 else "u1"
    rng = np.random.default_rng(4)
    for activation in (None, "softmax", "sigmoid"):
        y_true, y_score, _ = example(rng, (4, 50), 3, "f4", dtype, activation, False)
        several = np.atleast_1d(ignored)
        y_true[rng.random(y_true.shape) < 0.3] = several[-1]
        y_score[np.isin(y_true, several)] = np.nan  # not looked at
        sums = sum_scores(y_true, y_score, activation=activation, ignore_index=ignored, **ALL, backend=backend)
        assert sums.voxels[0, 1] > 0
        wanted = expected_of(y_true, y_score, soft=False, activation=activation, ignored=tuple(several.tolist()))
        agree(sums, wanted, activation)
    nothing = sum_scores(np.full(70, 2, "u1"), np.full((70, 3), np.nan), ignore_index=2, **ALL, backend=backend)
    assert nothing.voxels.tolist() == [[0, 70, 0, 0]]
    assert not any(getattr(nothing, name).any() for name in wanted.arrays)


@every_backend
@pytest.mark.parametrize("dtype", ["?", "u1", "i4"])
@pytest.mark.parametrize("soft", [False, True])
def test_mask(soft: bool, dtype: str, backend: str) -> None:
    rng = np.random.default_rng(5)
    for activation in (None, "softmax", "sigmoid"):
        y_true, y_score, _ = example(rng, (4, 50), 3, "f4", "f4" if soft else "u1", activation, soft)
        mask = (rng.random((4, 50)) < 0.6).astype(dtype)
        mask[0] = mask[0] * {"?": 1, "u1": 2, "i4": 256}[dtype]  # any number but zero is inside
        weight = rng.random((4, 50)).astype("f4") if activation == "softmax" else None
        y_score[mask == 0] = np.nan
        if weight is not None:
            weight[mask == 0] = -1
        y_true[mask == 0] = np.nan if soft else 200
        sums = sum_scores(
            y_true, y_score, activation=activation, mask=mask, sample_weight=weight, **ALL, backend=backend
        )
        wanted = expected_of(y_true, y_score, soft=soft, activation=activation, mask=mask, weight=weight)
        agree(sums, wanted, activation, weighted=weight is not None)
        assert sums.voxels[0, 2] == (mask == 0).sum()


@every_backend
@pytest.mark.parametrize("dtype", ["f4", "f8", ">f4", "f2", "i4"])
@pytest.mark.parametrize("soft", [False, True])
def test_weights(soft: bool, dtype: str, backend: str) -> None:
    rng = np.random.default_rng(6)
    activation = "softmax" if dtype.endswith("f4") else "sigmoid"
    y_true, y_score, _ = example(rng, (4, 50), 3, "f4", "f4" if soft else "u1", activation, soft)
    planes = [planes_of(y_true) if soft else y_true, planes_of(y_score)]
    weight = (rng.random((4, 50)) * 9).astype(dtype)
    weight[0, :9] = 0
    for w in (weight, *(np.full((4, 50), size) for size in (1e-30, 1e30) if dtype == "f8")):
        sums = sum_scores(*planes, channel_axis=0, activation=activation, sample_weight=w, **ALL, backend=backend)
        wanted = expected_of(y_true, y_score, soft=soft, activation=activation, weight=w.astype(float))
        agree(sums, wanted, activation, weighted=True)
