"""Weights of voxels, and labels that nobody has declared, on a GPU: what the reference makes of them."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from support.cuda.on_cpu import Cpu, Tensor

from fastseg import count_labels
from fastseg.kernels.cuda import driver, labels

RNG = np.random.default_rng(11)
TRUE, PRED = (RNG.integers(0, 5, (3, 40, 17)).astype("u1") for _ in range(2))
MASK = RNG.random(TRUE.shape) < 0.8
WEIGHT = RNG.random(TRUE.shape)


def both(true: Any, pred: Any, weight: Any = None, mask: Any = None, **options: Any) -> tuple[Any, Any]:
    given = [None if each is None else Tensor(each) for each in (weight, mask)]
    ours = count_labels(Tensor(true), Tensor(pred), sample_weight=given[0], mask=given[1], **options)
    assert ours.voxels.sum() == true.size
    return ours, count_labels(true, pred, sample_weight=weight, mask=mask, **options, backend="numpy")


def alike(ours: Any, theirs: Any, rel: float = 1e-14) -> None:
    assert ours.voxels.tolist() == theirs.voxels.tolist()
    assert ours.labels.tolist() == theirs.labels.tolist()
    assert ours.matrix.dtype == np.float64
    np.testing.assert_allclose(ours.matrix, theirs.matrix, rtol=rel, atol=0)
    np.testing.assert_allclose(ours.unknown, theirs.unknown, rtol=rel, atol=0)


@pytest.mark.parametrize(
    "dtype", ["f8", pytest.param("f4", marks=pytest.mark.slow), pytest.param("u2", marks=pytest.mark.slow)]
)
def test_weighted_counts(cpu: Cpu, dtype: str) -> None:
    weight = (WEIGHT * 900).astype(dtype)
    alike(*both(TRUE, PRED, weight, sample_axis=0, num_classes=5))
    view = (slice(None), slice(None, None, -1), slice(None, None, 2))
    seen = [each[view] for each in (TRUE, PRED, weight, MASK)]
    alike(*both(*seen, num_classes=4, ignore_index=4, unknown="count"))


def test_weights_of_every_size(cpu: Cpu) -> None:
    """Sums are exact where float64 is: of weights that are alike, and beside one that dwarfs them."""
    same = np.full(TRUE.shape, 0.1)
    alike(*both(TRUE, PRED, same, num_classes=5))
    same[0, 0, 0] = 1e15
    alike(*both(TRUE, PRED, same, num_classes=5), rel=1e-12)
    for size in (0.0, 1e-300, 1e300):
        alike(*both(TRUE, PRED, np.full(TRUE.shape, size), num_classes=5))


def test_launches_change_no_bit() -> None:
    found = []
    for multiprocessors in (1, 5):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(driver, "_driver", Cpu(multiprocessors))
            found.append(both(TRUE, PRED, WEIGHT, num_classes=5)[0].matrix.tolist())
    assert found[0] == found[1]


@pytest.mark.parametrize("wrong", [-1.0, np.nan, np.inf])
def test_bad_weights_are_said_in_the_same_words(cpu: Cpu, wrong: float) -> None:
    weight = WEIGHT.copy()
    weight[1, 7, 3] = wrong
    with pytest.raises(ValueError, match=r"sample_weight: .*\(1, 7, 3\)") as here:
        count_labels(TRUE, PRED, sample_weight=weight, num_classes=5, backend="numpy")
    with pytest.raises(ValueError, match=re.escape(str(here.value))):
        both(TRUE, PRED, weight, num_classes=5)
    alike(*both(TRUE, PRED, weight, np.indices(TRUE.shape)[1] != 7, num_classes=5))


@pytest.mark.parametrize("dtype", ["i8", "f4"])
def test_labels_that_nobody_has_declared(cpu: Cpu, dtype: str) -> None:
    values = np.array([-7, 0, 3, 1000, 2**23], dtype)
    true, pred = values[TRUE], values[PRED]
    ours, theirs = both(true, pred, mask=MASK, sample_axis=0, ignore_index=[3, 12])
    assert ours == theirs
    ours, theirs = both(true, pred.astype("i8"), WEIGHT)
    alike(ours, theirs)


def test_the_ends_of_the_range_and_no_label_at_all(cpu: Cpu) -> None:
    values = np.array([2**63 - 1, -(2**63), -(2**63) + 1, 0, 9])
    ours, theirs = both(values[TRUE], values[PRED])
    assert ours == theirs
    ours, theirs = both(values[TRUE], values[PRED], mask=np.zeros(TRUE.shape, bool))
    assert ours == theirs


def test_labels_that_are_too_many(cpu: Cpu, monkeypatch: pytest.MonkeyPatch) -> None:
    many = np.arange(4097)
    with pytest.raises(ValueError, match="labels: expected at most 4096 distinct labels .* found more"):
        both(many, many)
    with pytest.raises(ValueError, match="first is 1.5"):
        both(np.array([0, 1.5]), np.array([0, 1.0]))
    monkeypatch.setattr(labels, "_SLOTS", 8)
    with pytest.raises(ValueError, match="found more"):
        both(np.arange(20), np.arange(20))
