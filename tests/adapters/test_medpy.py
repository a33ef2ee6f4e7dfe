"""MedPy's overlaps and ours, on the same masks."""

from __future__ import annotations

import functools
import importlib
import pickle
from typing import Any

import numpy as np
import pytest
from support.drop_ins import assert_same_call, outcome, strictly, went

pytestmark = pytest.mark.host("medpy")

NAMES = (
    "dc", "jc", "precision", "recall", "sensitivity", "specificity", "ravd", "true_negative_rate", "true_positive_rate",
    "positive_predictive_value",
)  # fmt: skip
DTYPES = ("?", "u1", "i1", "i2", "u2", "i4", ">i4", "i8", "f2", "f4", "f8", "c8")


@functools.cache
def modules() -> tuple[Any, Any]:
    return importlib.import_module("medpy.metric.binary"), importlib.import_module("fastseg.adapters.medpy")


def both(name: str) -> tuple[Any, Any]:
    theirs, ours = modules()
    return getattr(theirs, name), getattr(ours, name)


def masks(rng: np.random.Generator, shape: tuple[int, ...], dtype: str, most: int) -> tuple[Any, Any]:
    """Return two masks with few or many voxels, which may be empty."""
    given = [rng.integers(0, most + 1, shape) * (rng.random(shape) < rng.choice([0, 0.1, 0.7, 1])) for _ in range(2)]
    return np.asarray(given[0]).astype(dtype), np.asarray(given[1]).astype(dtype)


@pytest.mark.parametrize("name", NAMES)
def test_random_masks(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(len(name))
    theirs, ours = both(name)
    shapes = ((), (1,), (7,), (3, 5), (2, 3, 4), (0,), (4, 0), (16, 17, 18))
    monkeypatch.setattr(importlib.import_module(ours.__module__), "_FEW", 1_000)  # voxels that NumPy counts
    for _ in range(150):
        shape, dtype, most = shapes[rng.integers(len(shapes))], rng.choice(DTYPES), rng.choice([1, 1, 3, 127])
        result, reference = masks(rng, shape, dtype, most)
        if result.ndim and rng.random() < 0.2:  # NumPy's transposition of a scalar is no array
            result, reference = result.T, reference.T
        with strictly(monkeypatch):
            assert_same_call(theirs, ours, result, reference, rtol=0)


@pytest.mark.parametrize("name", NAMES)
def test_what_masks_are_not_covered(name: str) -> None:
    theirs, ours = both(name)
    mask, column = np.array([[1, 0], [1, 1]]), np.array([[1], [0]])
    for result, reference in (
        (mask, column),  # which MedPy broadcasts
        (mask, np.ones(3)),
        (mask.tolist(), mask),
        (np.ma.masked_array(mask, mask == 0), mask),
        (None, mask),
    ):
        with went(f"medpy.{name}", host=1):
            outcome(ours, result, reference)
        assert_same_call(theirs, ours, result, reference)
    assert_same_call(theirs, ours, mask)
    assert_same_call(theirs, ours, result=mask, reference=mask)


@pytest.mark.parametrize("size", [10, 1 << 20])
def test_nan_is_true(size: int) -> None:
    theirs, ours = both("dc")
    mask = np.zeros(size)
    mask[::3] = np.nan
    assert assert_same_call(theirs, ours, mask, np.isnan(mask)).value == 1


def test_the_others_are_medpys_own() -> None:
    theirs, ours = modules()
    assert ours.hd95 is theirs.hd95
    assert {name for name in vars(theirs) if callable(getattr(theirs, name)) and name[0] != "_"} - set(
        ours.__all__
    ) <= {
        *("binary_erosion", "distance_transform_edt", "find_objects", "generate_binary_structure", "label", "pearsonr"),
        *("_ni_support",),
    }
    assert pickle.loads(pickle.dumps(ours.dc)) is ours.dc
