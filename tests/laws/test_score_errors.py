"""Scores, truths and weights that are wrong are named with their place, by every backend."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support.score_sums import ALL, every_backend, storage

from fastseg import sum_scores


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
