"""Weights of the voxels of scores, and scores that are integers, on a GPU: what the reference makes of them."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from support.cuda.on_cpu import Cpu, Tensor
from support.score_examples import softmax
from support.score_sums import alike

from fastseg import sum_scores
from fastseg.kernels.cuda import driver

RNG = np.random.default_rng(7)
LOGITS = RNG.normal(0, 3, (2, 5, 9, 83)).astype("f4")
LABELS = RNG.integers(0, 5, (2, 9, 83)).astype("u1")
SOFT = np.ascontiguousarray(RNG.dirichlet(np.ones(5), (2, 9, 83)).astype("f4").transpose(0, 3, 1, 2))
WEIGHT = RNG.random((2, 9, 83)) * 900
MASK = RNG.random((2, 9, 83)) < 0.7
OPTIONS: dict[str, Any] = {"channel_axis": 1, "sample_axis": 0}


def both(true: Any, score: Any, weight: Any, mask: Any = None, **options: Any) -> tuple[Any, Any]:
    given = {"mask": None if mask is None else Tensor(mask), "sample_weight": Tensor(weight)}
    ours = sum_scores(Tensor(true), Tensor(score), **given, **(OPTIONS | options))
    return ours, sum_scores(true, score, mask=mask, sample_weight=weight, **(OPTIONS | options), backend="numpy")


@pytest.mark.parametrize(
    ("soft", "activation", "dtype"),
    [(False, "softmax", "f8"), *(pytest.param(*each, marks=pytest.mark.slow) for each in (
        (True, "softmax", "f4"), (False, "sigmoid", "u2")))],
)  # fmt: skip
def test_weighted_sums(cpu: Cpu, soft: bool, activation: str, dtype: str) -> None:
    weight = WEIGHT.astype(dtype)
    weight[:, 0] = 0
    truth, ignored = (SOFT, None) if soft else (LABELS, [1, 9])
    for mask, view in ((None, (...,)), (MASK, (..., slice(None, None, -1), slice(None, None, 3)))):
        seen = [each[view] for each in (truth, LOGITS, weight)]
        ours, theirs = both(*seen, None if mask is None else mask[view], activation=activation, ignore_index=ignored)
        alike(ours, theirs)
        found, wanted = ours.argmax_counts, theirs.argmax_counts
        np.testing.assert_allclose(found.matrix, wanted.matrix, rtol=1e-6 if dtype == "f4" else 1e-13, atol=0)


def test_launches_change_no_bit() -> None:
    found = []
    for multiprocessors in (1, 7):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(driver, "_driver", Cpu(multiprocessors))
            found.append(both(LABELS, LOGITS, WEIGHT, activation="softmax")[0])
    alike(*found, rel=0, least=0)
    assert found[0].argmax_counts.matrix.tolist() == found[1].argmax_counts.matrix.tolist()


@pytest.mark.parametrize("wrong", [-1.0, np.nan, np.inf, 1e31, 1e-31])
def test_weights_that_are_not_allowed(cpu: Cpu, wrong: float) -> None:
    weight = WEIGHT.copy()
    weight[1, 2, 3] = wrong
    with pytest.raises(ValueError, match=r"sample_weight: .*\(1, 2, 3\)") as here:
        sum_scores(LABELS, LOGITS, sample_weight=weight, activation="softmax", **OPTIONS, backend="numpy")
    with pytest.raises(ValueError, match=re.escape(str(here.value))):
        _ = both(LABELS, LOGITS, weight, activation="softmax")[0].total
    mask = np.ones(WEIGHT.shape, bool)
    mask[1, 2, 3] = False
    alike(*both(LABELS, LOGITS, weight, mask, activation="softmax"))


def test_scores_that_are_integers(cpu: Cpu) -> None:
    percent = np.floor(100 * softmax(np.moveaxis(LOGITS, 1, -1))).astype("u1")
    percent[..., 0] += (100 - percent.sum(-1)).astype("u1")
    ours = sum_scores(Tensor(LABELS), Tensor(percent), scale=100)
    alike(ours, sum_scores(LABELS, percent, scale=100, backend="numpy"))
