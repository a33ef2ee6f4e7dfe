"""An evaluator of pairs: blocks of a volume or cases, in several processes or one."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from fastseg import PairEvaluator, count_pairs, metrics

RNG = np.random.default_rng(9)
T, P = RNG.integers(0, 30, (2, 4, 10, 20))


def filled(blocks: Any = range(4), **options: Any) -> PairEvaluator:
    evaluator = PairEvaluator(ignore_index=3, **options)
    for k in blocks:
        evaluator.update(T[k], P[k])
    return evaluator


def test_blocks_add_up_to_the_volume() -> None:
    evaluator, whole = filled(), count_pairs(T, P, ignore_index=3)
    assert evaluator.pairs == whole
    found = evaluator.compute()
    assert list(found) == ["variation_of_information", "adjusted_rand_error"]
    assert found["variation_of_information"] == metrics.variation_of_information(whole)
    assert found["adjusted_rand_error"] == metrics.adjusted_rand_error(whole)


def test_cases_are_kept_apart() -> None:
    evaluator = filled(per_case=True, metrics="rand_index", convention="sklearn")
    whole = count_pairs(T, P, ignore_index=3, sample_axis=0)
    assert evaluator.pairs == whole
    assert np.array_equal(evaluator.compute()["rand_index"], metrics.rand_index(whole))
    evaluator.update(T, P, sample_axis=0)
    assert evaluator.pairs == whole.concat(whole)


def test_evaluators_are_merged_saved_and_loaded() -> None:
    first, second = filled([0, 1]), filled([2, 3])
    first.merge(second)
    assert first.pairs == filled().pairs
    again = filled([])
    again.load_state_dict(json.loads(json.dumps(first.state_dict())))
    assert again.pairs == first.pairs
    first.merge(filled([]))
    first.reset()
    assert first.pairs is None
    again.load_state_dict(first.state_dict())
    assert again.pairs is None


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: filled([]).compute(), ValueError, "nothing has been counted yet"),
        (lambda: filled([]).merge(PairEvaluator()), ValueError, r"expected an evaluator with ignore_index=\[3\]"),
        (lambda: filled([]).merge(1), TypeError, "expected a PairEvaluator, found int"),
        (lambda: filled([]).load_state_dict({}), ValueError, "state: expected what PairEvaluator.state_dict returned"),
        (lambda: PairEvaluator(metrics=["dice"]), ValueError, "metrics: expected"),
        (lambda: PairEvaluator(convention="gala"), ValueError, "convention: expected"),
        (lambda: PairEvaluator(num_classes=2), TypeError, "unexpected keyword argument 'num_classes'"),
    ],
)
def test_what_is_refused(call: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        call()


@pytest.mark.parametrize("per_case", [False, True])
def test_labels_that_no_type_holds_are_refused_at_once(per_case: bool) -> None:
    evaluator = PairEvaluator(per_case=per_case)
    high = np.array([2**63, 2**63 + 1], np.uint64)
    for n in range(3):
        evaluator.update([-1, n], [1, 1])
    before = evaluator.pairs
    with pytest.raises(ValueError, match="true: expected labels that one integer type holds"):
        evaluator.update(high, [1, 2])
    assert evaluator.pairs is before
    evaluator.reset()
    for _ in range(2):
        evaluator.update(high, [1, 2])
    with pytest.raises(ValueError, match="true: expected labels that one integer type holds"):
        evaluator.update([-1, 1], [1, 2])
    assert evaluator.pairs.voxels.sum() == 4


def test_many_blocks_are_added_up_now_and_then() -> None:
    rng = np.random.default_rng(0)
    true, pred = rng.integers(0, 30, (2, 150, 40))
    evaluator = PairEvaluator()
    for block in zip(true, pred, strict=True):
        evaluator.update(*block)
    assert evaluator.pairs == count_pairs(true, pred)
