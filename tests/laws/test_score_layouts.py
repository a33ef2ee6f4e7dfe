"""Sums over scores do not depend on how arrays lie in memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support.layouts import arrange
from support.score_sums import ALL, agree, alike, every_backend, example, expected_of

from fastseg import sum_scores
from fastseg.kernels import BACKENDS


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
