"""Sums over scores: every backend × dtype × memory order × option agrees with the oracle, and obeys the laws of sums."""

from __future__ import annotations

import copy
import math
import pickle
from collections.abc import Iterator
from dataclasses import fields
from decimal import Decimal, localcontext
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st
from laws.test_label_backends import arrange
from support import score_oracle

import fastseg
from fastseg import sum_scores
from fastseg.counts.scores import QUANTITIES, ScoreSums
from fastseg.kernels import BACKENDS, numpy as reference

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


def softmax(z: Any) -> Any:
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


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


# Every kernel costs a second or more to compile, so here and below few combinations stand for all: each storage with
# each activation, in one of the two memory orders.
# Storage of scores, of the truth, activation, axis of the channels.
MAPS = [
    ("f4", "u1", "softmax", -1),
    ("f4", "i8", None, 0),
    ("f4", "?", "sigmoid", 0),
    ("f2", "u1", "softmax", -1),
    ("f2", "i2", None, -1),
    ("f2", "u1", "sigmoid", 0),
    ("f8", "f4", "softmax", -1),
    ("f8", "i8", None, 0),
    ("f8", "u1", "sigmoid", -1),
    ("bf16", "u1", "softmax", -1),
    ("bf16", "i2", None, 0),
    ("ml bf16", "u1", "sigmoid", -1),
    (">f4", "f8", "softmax", 0),
    (">f2", ">i2", "sigmoid", 0),
    (">f8", ">i2", None, 0),
    ("u1%", "u1", None, -1),
    ("i2%", "f2", None, 0),
    ("i4%", "i4", None, 0),
    ("?", "u1", None, -1),
    ("u1", "?", "sigmoid", 0),
]
SOFT = [
    ("f4", "f4", "softmax", -1),
    ("f4", "f4", None, -1),
    ("f4", "f4", "sigmoid", 0),
    ("f4", "u1", "softmax", 0),
    ("f4", "?", "softmax", 0),
    ("f4", "f2", None, -1),
    ("f2", "f2", "softmax", -1),
    ("f2", "f8", "sigmoid", 0),
    ("f8", "f8", "softmax", -1),
    ("f8", "f8", None, -1),
    ("bf16", "bf16", "softmax", -1),
    ("f4", "ml bf16", "sigmoid", -1),
    (">f4", ">f4", None, 0),
    ("u1%", "f4", None, 0),
]
FORMATS = [
    pytest.param(*row, soft, marks=[pytest.mark.torch] if "bf16" in row else [])
    for rows, soft in ((MAPS, False), (SOFT, True))
    for row in rows
]


def planes_of(array: Any) -> Any:
    """Return values with their channels first, in memory too."""
    if hasattr(array, "movedim"):
        return array.movedim(-1, 0).contiguous()
    return np.ascontiguousarray(np.moveaxis(array, -1, 0))


@every_backend
@pytest.mark.parametrize(("scores", "truth", "activation", "axis", "soft"), FORMATS)
def test_every_format(scores: str, truth: str, activation: str | None, axis: int, soft: bool, backend: str) -> None:
    for channels in (1, 2, 3, 14) if axis == 0 else (2, 3, 14):
        if (channels == 1 and activation == "softmax") or (channels == 1 and soft and truth in ("?", "u1")):
            continue
        y_true, y_score, options = example(
            np.random.default_rng(channels), (3, 37), channels, scores, truth, activation, soft
        )
        given_true, given_score = (planes_of(a) if axis == 0 and a.ndim == 3 else a for a in (y_true, y_score))
        sums = sum_scores(given_true, given_score, channel_axis=axis, **options, **ALL, backend=backend)
        assert sums.binary == (activation == "sigmoid" or channels == 1)
        assert sums.soft == soft
        agree(sums, expected_of(y_true, y_score, soft=soft, **options), activation)


@every_backend
@pytest.mark.parametrize("truth", ["u1", "f4"])
def test_one_class_needs_no_axis(truth: str, backend: str) -> None:
    soft = truth == "f4"
    rng = np.random.default_rng(0)
    y_true, y_score, options = example(rng, (7, 20), 1, "f4", truth, "sigmoid", soft)
    wanted = expected_of(y_true, y_score, soft=soft, activation="sigmoid")
    y_true = y_true[..., 0] if soft else y_true
    sums = sum_scores(y_true, y_score[..., 0], channel_axis=None, **options, **ALL, backend=backend)
    agree(sums, wanted, "sigmoid")


@every_backend
@pytest.mark.parametrize(
    ("activation", "soft", "channels"),
    [(*row, channels) for row in (("softmax", False), (None, False), ("sigmoid", True)) for channels in (2, 33, 256)]
    + [("softmax", False, 300)],
)
def test_sizes(channels: int, activation: str | None, soft: bool, backend: str) -> None:
    for voxels in (0, 1, 31, 32, 33, 1000) if channels == 2 else (0, 1, 33) if channels < 300 else (33,):
        y_true, y_score, options = example(
            np.random.default_rng(voxels), (voxels,), channels, "f4", "f4" if soft else "u2", activation, soft
        )
        sums = sum_scores(y_true, y_score, **options, **ALL, backend=backend)
        agree(sums, expected_of(y_true, y_score, soft=soft, activation=activation), activation)
        if channels < 300:
            y_true, planes = planes_of(y_true) if soft else y_true, planes_of(y_score)
            again = sum_scores(y_true, planes, channel_axis=0, **options, **ALL, backend=backend)
            alike(again, sums, near=1e-6 + voxels / 99)


@pytest.mark.parametrize("backend", [name for name in BACKENDS if name != "numpy"])
@pytest.mark.parametrize(
    ("scores", "activation", "soft"),
    [
        ("f4", "softmax", False),
        ("f4", "softmax", True),
        ("f4", None, False),
        ("f4", None, True),
        ("f4", "sigmoid", True),
        ("f2", "sigmoid", False),
        ("f8", None, False),
    ],
)
def test_backends_agree_on_more_voxels(scores: str, activation: str | None, soft: bool, backend: str) -> None:
    for channels, voxels in ((2, 70_000), (5, 70_000), (14, 70_001), (64, 9_000)):
        rng = np.random.default_rng(voxels)
        y_true, y_score, options = example(rng, (voxels,), channels, scores, "f4" if soft else "u1", activation, soft)
        options |= {"mask": rng.random(voxels) < 0.8, **ALL}
        for axis in (-1, 0):
            given_true, given_score = (planes_of(a) if axis == 0 and a.ndim == 2 else a for a in (y_true, y_score))
            found, wanted = (
                sum_scores(given_true, given_score, channel_axis=axis, **options, backend=b) for b in (backend, "numpy")
            )
            alike(found, wanted, near=0 if activation is None else 2 + 1e-4 * voxels)
            if activation is None:
                for name in ("ranks", "top_bins", "class_bins"):
                    mine, theirs = getattr(found, name), getattr(wanted, name)
                    first = (...,) if name == "ranks" else (..., 0)
                    assert np.array_equal(mine[first], theirs[first]), name


def views(kind: str, values: Any) -> tuple[Any, int]:
    """Return (24, 5000, C) values in some memory order with long rows, cropped or cut, and the axis of their channels."""
    if kind == "channels last":
        return values.copy()[2:22, 7:4900], 2
    if kind == "channels first":
        return np.ascontiguousarray(values.transpose(2, 0, 1))[:, 2:22, 7:4900], 0
    if kind == "channels between":
        return np.ascontiguousarray(values.transpose(0, 2, 1))[2:22, :, 7:4900], 1
    if kind == "inner channels between":
        return np.ascontiguousarray(values.transpose(1, 2, 0)).transpose(2, 1, 0)[2:22, :, 7:4900], 1
    if kind == "Fortran":
        return np.asfortranarray(values)[2:22, 7:4900], 2
    if kind == "every other":
        return np.repeat(values, 2, axis=1)[2:22, 14:9800:2], 2
    return np.ascontiguousarray(values[::-1, :, ::-1])[::-1, :, ::-1][2:22, 7:4900], 2  # reversed


@pytest.mark.parametrize("backend", [name for name in BACKENDS if name != "numpy"])
@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize(
    "kind",
    [
        "channels last",
        "channels first",
        "channels between",
        "inner channels between",
        "Fortran",
        "every other",
        "reversed",
    ],
)
def test_long_rows(kind: str, soft: bool, backend: str) -> None:
    rng = np.random.default_rng(9)
    y_true, y_score, options = example(rng, (24, 5000), 3, "f4", "f4" if soft else "u1", "softmax", soft)
    weight = rng.integers(0, 3, y_true.shape[:2]).astype("f4")
    cut = (slice(2, 22), slice(7, 4900))
    wanted = sum_scores(y_true[cut], y_score[cut], sample_weight=weight[cut], **options, **ALL, backend="numpy")
    s, axis = views(kind, y_score)
    t = views(kind, y_true)[0] if soft else y_true[cut]
    for w in (weight[cut], np.asfortranarray(weight[cut])):
        found = sum_scores(t, s, channel_axis=axis, sample_weight=w, **options, **ALL, backend=backend)
        alike(found, wanted, near=10)


ORDERS = ["C", "F", "transposed", "sliced", "reversed", "reversed inside", "unaligned", "read-only"]


@every_backend
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(
    ("scores", "activation", "soft"), [("f4", "softmax", False), ("f4", "softmax", True), ("f2", "sigmoid", False)]
)
def test_every_order(scores: str, activation: str | None, soft: bool, order: str, backend: str) -> None:
    rng = np.random.default_rng(0)
    y_true, y_score, options = example(rng, (3, 6, 34), 3, scores, "f4" if soft else "u1", activation, soft)
    weight = rng.integers(0, 5, y_score.shape[:-1]).astype("f4") if scores == "f4" else None
    mask = rng.random(y_score.shape[:-1]) < 0.8
    wanted = sum_scores(y_true, y_score, mask=mask, sample_weight=weight, **options, **ALL, backend="numpy")
    agree(wanted, expected_of(y_true, y_score, soft=soft, activation=activation, mask=mask, weight=weight), activation)
    for axis in (0, 1, -1):
        arrays = [np.moveaxis(y_score, -1, axis), np.moveaxis(y_true, -1, axis) if soft else y_true, mask, weight]
        for other in ("C", order):
            s, t, m, w = (
                None if a is None else arrange(a, o) for a, o in zip(arrays, (order, other, other, order), strict=True)
            )
            before = s.copy()
            sums = sum_scores(t, s, mask=m, sample_weight=w, channel_axis=axis, **options, **ALL, backend=backend)
            alike(sums, wanted, near=1e-6)
            assert np.array_equal(s, before)


@every_backend
def test_broadcast_and_cropped_views(backend: str) -> None:
    rng = np.random.default_rng(1)
    y_true, y_score, _ = example(rng, (9, 40), 3, "f4", "u1", "softmax", False)
    for t, s in (
        (y_true[1:7, 3:39], y_score[1:7, 3:39]),
        (np.broadcast_to(y_true[:1], y_true.shape), y_score),
        (y_true, np.broadcast_to(y_score[:, :1], y_score.shape)),
        (y_true, np.broadcast_to(y_score[..., :1], y_score.shape)),
        (np.broadcast_to(np.uint8(2), y_true.shape), np.broadcast_to(y_score[0, 0], y_score.shape)),
    ):
        wanted = expected_of(t, s, soft=False, activation="softmax")
        agree(sum_scores(t, s, activation="softmax", **ALL, backend=backend), wanted, "softmax")
        planes = np.moveaxis(s, -1, 0)
        agree(sum_scores(t, planes, activation="softmax", channel_axis=0, **ALL, backend=backend), wanted, "softmax")


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


# ---- Adversaries
INF = math.inf
LOGITS: dict[str, Any] = {
    "far apart": [[1e4, -1e4, 0], [-1e4, 1e4, 1e4], [1e4, 1e4, 1e4], [-1e4, -1e4, -1e4]],
    "equal": [[0, 0, 0], [7, 7, 7], [-3, -3, -3], [1, 1, 0]],
    "masked": [[-INF, 0, 1], [0, -INF, -INF], [-INF, -INF, 5], [2, -INF, 3]],
    "extremes": [[65504, -65504, 0], [65504, 65504, 65504], [-65504, 65504, 65500], [65504, 65472, 0]],
    "tiny": [[1e-7, 0, -1e-7], [6e-8, 1e-3, 0], [0, 0, 6e-8], [-6e-8, -0.0, 0.0]],
}


@every_backend
@pytest.mark.parametrize("kind", LOGITS)
@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
@pytest.mark.parametrize("dtype", ["f2", pytest.param("bf16", marks=pytest.mark.torch), "f4", "f8"])
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
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
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


# ---- Threads
@pytest.fixture
def threads() -> Iterator[Any]:
    yield fastseg.set_num_threads
    fastseg.set_num_threads(None)


@every_backend
@pytest.mark.parametrize("channel_axis", [0, -1])
@pytest.mark.parametrize("soft", [False, True])
def test_threads_do_not_change_a_bit(threads: Any, soft: bool, channel_axis: int, backend: str) -> None:
    rng = np.random.default_rng(8)
    voxels = 1_600_000 if backend == "numba" else 800_000
    y_score = rng.standard_normal((3, voxels) if channel_axis == 0 else (voxels, 3), np.float32)
    y_true = rng.random(y_score.shape, np.float32) if soft else rng.integers(0, 3, voxels, np.uint8)
    options: dict[str, Any] = {"activation": "softmax", "channel_axis": channel_axis, "backend": backend}
    options |= ALL if backend == "numba" else {}
    results = []
    for n in (1, 2, 3, 5):
        threads(n)
        results.append(sum_scores(y_true, y_score, sample_weight=np.ones(voxels, np.float32), **options))
    assert results[0] == results[1] == results[2] == results[3]


# ---- Laws of sums
def some_sums(seed: int, cases: int = 2, **options: Any) -> ScoreSums:
    rng = np.random.default_rng(seed)
    y_true, y_score, _ = example(rng, (cases, int(rng.integers(0, 40))), 3, "f4", "u1", "softmax", False)
    return sum_scores(y_true, y_score, sample_axis=0, activation="softmax", **{**ALL, **options}, backend="numpy")


ZEROS = {"quantities": sorted(QUANTITIES), "bins": 10, "focal_gamma": 2.0}
seeds = st.integers(0, 2**32 - 1)


@given(a=seeds, b=seeds, c=seeds, cases=st.integers(0, 3))
def test_merge_is_a_monoid(a: int, b: int, c: int, cases: int) -> None:
    x, y, z = (some_sums(seed, cases) for seed in (a, b, c))
    zeros = ScoreSums.zeros(3, cases=cases, **ZEROS)
    assert x.merge(zeros) == x == zeros.merge(x)
    assert x.merge(y) == y.merge(x)
    alike(x.merge(y).merge(z), x.merge(y.merge(z)), rel=1e-12, least=0)


@every_backend
@given(seed=seeds, data=st.data())
def test_parts_merge_to_the_whole(backend: str, seed: int, data: Any) -> None:
    rng = np.random.default_rng(seed)
    soft = data.draw(st.booleans())
    activation = data.draw(st.sampled_from([None, "softmax", "sigmoid"]))
    y_true, y_score, options = example(rng, (60, 3), 3, "f4", "f4" if soft else "u1", activation, soft)
    options |= {**ALL, "backend": backend}
    cuts = sorted(data.draw(st.lists(st.integers(0, 60), max_size=4)))
    parts = [sum_scores(y_true[a:b], y_score[a:b], **options) for a, b in zip([0, *cuts], [*cuts, 60], strict=True)]
    merged = parts[0]
    for part in parts[1:]:
        merged = merged.merge(part)
    whole = sum_scores(y_true, y_score, **options)
    alike(merged, whole, rel=1e-12 if backend == "numpy" else 1e-6)


@given(seed=seeds, cases=st.integers(1, 4))
def test_cases(seed: int, cases: int) -> None:
    sums = some_sums(seed, cases)
    singles = [sums.cases([n]) for n in range(cases)]
    assert singles[0].concat(*singles[1:]) == sums
    assert sums.cases(slice(None)) == sums
    assert sums.cases(np.arange(cases)[::-1]).cases(np.arange(cases)[::-1]) == sums
    pooled = singles[0]
    for single in singles[1:]:
        pooled = pooled.merge(single)
    alike(sums.pooled(), pooled, rel=1e-12, least=0)
    assert sums.pooled().num_cases == 1
    assert ScoreSums.zeros(3, cases=0, **ZEROS).concat(sums) == sums


@given(seed=seeds, cases=st.integers(0, 3))
def test_round_trips(seed: int, cases: int) -> None:
    weight = np.array([0.5, 1 / 3, 2.0])
    sums = some_sums(seed, cases, class_weight=weight, label_smoothing=0.1)
    for again in (pickle.loads(pickle.dumps(sums)), copy.deepcopy(sums), ScoreSums.from_bytes(sums.to_bytes())):
        assert again == sums
        assert not again.pred.flags.writeable
    assert ScoreSums.from_dict(sums.to_dict()) == sums


def test_infinite_sums_survive() -> None:
    sums = sum_scores([0, 1], [[0.0, 1], [1.0, 0]], backend="numpy")
    assert sums.cross_entropy.tolist() == [[INF, INF]]
    assert ScoreSums.from_bytes(sums.to_bytes()) == sums
    assert sums.merge(sums).cross_entropy.tolist() == [[INF, INF]]


Y, P = np.array([0, 1, 1], np.uint8), np.array([[0.5, 0.5], [0.25, 0.75], [1, 0]])
DIFFERENT: list[tuple[str, dict[str, Any], str]] = [
    ("quantities", {"quantities": "dice"}, "quantities"),
    ("binary", {"activation": "sigmoid"}, "binary"),
    ("gamma", {"focal_gamma": 3}, "focal_gamma"),
    ("bins", {"bins": 5}, "bins"),
    ("smoothing", {"label_smoothing": 0.1}, "label_smoothing"),
    ("class weight", {"class_weight": [1, 2]}, "class_weight"),
]


@pytest.mark.parametrize(("options", "words"), [d[1:] for d in DIFFERENT], ids=[d[0] for d in DIFFERENT])
def test_different_meanings_do_not_merge(options: dict[str, Any], words: str) -> None:
    sums = sum_scores(Y, P, **ALL, backend="numpy")
    other = sum_scores(Y, P, **{**(ALL if "quantities" not in options else {}), **options}, backend="numpy")
    for join in (sums.merge, sums.concat):
        with pytest.raises(ValueError, match=f"sums differ in .*{words}"):
            join(other)


def test_unlike_sums_do_not_merge() -> None:
    sums = sum_scores(Y, P, backend="numpy")
    for other, words in (
        (sum_scores(Y, np.eye(3)[Y], backend="numpy"), "num_classes: 2 and 3"),
        (sum_scores(np.eye(2)[Y], P, backend="numpy"), "soft: False and True"),
    ):
        with pytest.raises(ValueError, match=words):
            sums.merge(other)
    with pytest.raises(ValueError, match="1 and 3 cases"):
        sums.merge(sum_scores(Y[:, None], P[:, None], sample_axis=0, backend="numpy"))
    with pytest.raises(TypeError, match="ScoreSums"):
        sums.merge(fastseg.count_labels(Y, Y))


@pytest.mark.parametrize(
    "name", ["pred", "true_pred", "cross_entropy", "absolute", "brier", "negative_log", "focal", "ranks", "top_bins"]
)
def test_a_broken_backend_is_caught(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sabotage: a backend that is off by ten parts in a million must fail what the others pass."""

    class Broken(reference.ScoreCounter):
        def take(self) -> Any:
            tally = super().take()
            tally.sums[name] *= 1 + 1e-5
            return tally

    monkeypatch.setattr(reference, "ScoreCounter", Broken)
    with pytest.raises(AssertionError):
        test_every_format("f4", "u1", "softmax", -1, False, "numpy")


# ---- Errors
def broken(array: Any, value: float, *places: Any) -> Any:
    array = np.array(array)
    for place in places:
        array[place] = value
    return array


GOOD = np.full((4, 50, 2), 0.5, np.float32)
TRUE = np.zeros((4, 50), np.uint8)
WEIGHTED = {"activation": "softmax", "quantities": ["argmax", "brier"]}
ERRORS: dict[str, tuple[dict[str, Any], str]] = {
    "NaN logit": (
        {"y_score": broken(GOOD, np.nan, (2, 7, 1), (3, 0, 0)), "activation": "softmax"},
        r"y_score: .*2 .*nan.*\(2, 7, 1\)",
    ),
    "infinite logit": (
        {"y_score": broken(GOOD, np.inf, (2, 7, 1)), "activation": "sigmoid"},
        r"y_score: .*1 .*inf.*\(2, 7, 1\)",
    ),
    "infinite logit, softmax": (
        {"y_score": broken(GOOD, np.inf, (0, 49, 0)), "activation": "softmax"},
        r"y_score: .*1 .*inf.*\(0, 49, 0\)",
    ),
    "no logit": (
        {"y_score": broken(GOOD, -np.inf, (2, 7), (2, 8), (3, 1)), "activation": "softmax"},
        r"y_score: .*3 .*-inf.*\(2, 7\)",
    ),
    "NaN probability": ({"y_score": broken(GOOD, np.nan, (1, 2, 0))}, r"y_score: .*1 .*nan.*\(1, 2, 0\)"),
    "above one": (
        {"y_score": broken(GOOD, 1.5, (1, 2, 0), (1, 3, 1)), "quantities": ["dice", "argmax"]},
        r"y_score: .*\[0, 1\].*2 .*1\.5.*\(1, 2, 0\)",
    ),
    "below zero": (
        {"y_score": broken(GOOD, -0.5, (3, 2, 1)), "quantities": "argmax"},
        r"y_score: .*\[0, 1\].*1 .*-0\.5.*\(3, 2, 1\)",
    ),
    "sum": ({"y_score": broken(GOOD, 0.75, (1, 2, 0), (3, 3, 1))}, r"y_score: .*sum to one.*2 .*1\.25.*\(1, 2\)"),
    "soft truth": (
        {"y_true": broken(GOOD, 1.25, (1, 2, 0))},
        r"y_true: .*\[0, 1\].*1 .*1\.25.*\(1, 2, 0\)",
    ),
    "NaN truth": ({"y_true": broken(GOOD, np.nan, (1, 2, 0))}, r"y_true: .*1 .*nan.*\(1, 2, 0\)"),
    "negative weight": (
        {"sample_weight": broken(GOOD[..., 0], -2, (1, 2), (3, 3)), **WEIGHTED},
        r"sample_weight: .*2 .*-2.*\(1, 2\)",
    ),
    "NaN weight": ({"sample_weight": broken(GOOD[..., 0], np.nan, (1, 2)), **WEIGHTED}, r"sample_weight: .*1 .*nan.*\(1, 2\)"),
    "huge weight": ({"sample_weight": broken(GOOD[..., 0], 2e30, (1, 2)), **WEIGHTED}, r"sample_weight: .*e\+30.*\(1, 2\)"),
    "label": ({"y_true": broken(TRUE, 2, (1, 2), (1, 9))}, r"y_true: .*2 voxel.*2.*\(1, 2\)"),
    "fraction": ({"y_true": broken(TRUE.astype("f4"), 0.5, (1, 2))}, r"y_true: .*1 voxel.*0\.5.*\(1, 2\)"),
}  # fmt: skip


@every_backend
@pytest.mark.parametrize("kind", ERRORS)
def test_bad_values_are_named(kind: str, backend: str) -> None:
    given, message = ERRORS[kind]
    given = {"y_true": TRUE, "y_score": GOOD, **given}
    with pytest.raises(ValueError, match=message):
        sum_scores(**given, backend=backend)
    mask = np.zeros(TRUE.shape, bool)
    assert sum_scores(**given, mask=mask, backend=backend).voxels.tolist() == [[0, 0, 200, 0]]


@every_backend
def test_bad_values_in_percentages(backend: str) -> None:
    percent = np.full((10, 2), 50, np.int16)
    percent[3] = (150, -50)
    with pytest.raises(ValueError, match=r"y_score: .*2 .*1\.5.*\(3, 0\)"):
        sum_scores(np.zeros(10, "u1"), percent, scale=100, **ALL, backend=backend)


@pytest.mark.torch
@every_backend
def test_bad_values_in_bfloat16(backend: str) -> None:
    half = storage(broken(GOOD, np.nan, (0, 3, 1)), "bf16")
    with pytest.raises(ValueError, match=r"y_score: .*1 .*nan.*\(0, 3, 1\)"):
        sum_scores(TRUE, half, activation="softmax", **ALL, backend=backend)
