"""The evaluator: its merge contract under every kind of counts, states that survive, and updates that fail."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from fastseg import Evaluator, LabelCounts, count_labels

KINDS: dict[str, dict[str, Any]] = {
    "classes": {"num_classes": 5},
    "labels": {"labels": [3, 0, -1, 2**40, 1, 2, 4], "ignore_index": [255, 4], "unknown": "count"},
    "open": {"ignore_index": 4},
    "per case": {"num_classes": 5, "per_case": True},
    "open per case": {"per_case": True},
    "scoring": {"num_classes": 5, "metrics": "all", "names": {1: "liver"}, "zero_division": 0.0},
}
KIND = pytest.mark.parametrize("options", KINDS.values(), ids=KINDS)
WEIGHTED = pytest.mark.parametrize("weighted", [False, True])


def batch(number: int) -> tuple[np.ndarray, np.ndarray]:
    """Return two samples; different batches have different classes."""
    rng, classes = np.random.default_rng(number), 2 + number % 4
    true = rng.integers(0, classes, (2, 30))
    true[:, :classes] = range(classes)
    return true, rng.integers(0, classes, (2, 30))


def filled(options: dict[str, Any], numbers: Any, weighted: bool = False) -> Evaluator:
    evaluator = Evaluator(**options)
    for number in numbers:
        true, pred = batch(number)
        evaluator.update(true, pred, sample_weight=true / 4 + 0.25 if weighted else None)
    return evaluator


def same(one: Evaluator, other: Evaluator) -> bool:
    scores, others = one.compute(), other.compute()
    return one.counts == other.counts and str(scores) == str(others) and scores.to_dict() == others.to_dict()


@KIND
@WEIGHTED
def test_merge_contract(options: dict[str, Any], weighted: bool) -> None:
    a, b, c = (filled(options, numbers, weighted) for numbers in ((0, 1), (2,), (3, 4, 5)))
    before, everything = copy.deepcopy([b, c]), filled(options, range(6), weighted)
    fresh = Evaluator(**options)
    fresh.merge(Evaluator(**options))
    assert fresh.counts is None
    fresh.merge(a)  # merge before update
    assert same(fresh, a)
    a.merge(Evaluator(**options))  # nothing to add
    assert same(fresh, a)
    a.merge(b)
    a.merge(c)
    assert same(a, everything)
    assert same(a, a)  # compute changes nothing
    assert same(b, before[0])
    assert same(c, before[1])
    b.merge(c)
    fresh.merge(b)
    assert same(fresh, everything)
    a.update(*batch(6), sample_weight=batch(6)[0] / 4 + 0.25 if weighted else None)  # still takes updates
    assert same(a, filled(options, range(7), weighted))
    assert same(c, before[1])
    a.reset()
    assert a.counts is None
    a.merge(c)
    assert same(a, c)


@KIND
@WEIGHTED
def test_states_and_pickles_restore_everything(options: dict[str, Any], weighted: bool) -> None:
    evaluator = filled(options, range(3), weighted)
    restored = filled(options, [7], weighted)
    state = json.loads(json.dumps(evaluator.state_dict(), allow_nan=False))
    restored.load_state_dict(state)
    for again in (restored, pickle.loads(pickle.dumps(evaluator)), copy.deepcopy(evaluator)):
        assert same(again, evaluator)
        again.merge(filled(options, [3], weighted))
        assert same(again, filled(options, range(4), weighted))
    assert same(evaluator, filled(options, range(3), weighted))
    empty = Evaluator(**options)
    restored.load_state_dict(json.loads(json.dumps(empty.state_dict())))
    assert restored.counts is None
    assert pickle.loads(pickle.dumps(empty)).counts is None


@given(st.lists(st.integers(0, 60), max_size=5), st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=30)
def test_scores_do_not_depend_on_batches_or_ranks(cuts: list[int], random: Any) -> None:
    true, pred = (np.concatenate([batch(number)[k] for number in range(3)], 1).T for k in range(2))
    parts = [slice(a, b) for a, b in zip([0, *sorted(cuts)], [*sorted(cuts), len(true)], strict=True)]
    random.shuffle(parts)
    ranks = [Evaluator(num_classes=5) for _ in range(3)]
    for part in parts:
        random.choice(ranks).update(true[part], pred[part])
    for rank in ranks[1:]:
        ranks[0].merge(rank)
    assert ranks[0].counts == count_labels(true, pred, num_classes=5)


def test_per_case_keeps_a_row_for_each_update_or_sample() -> None:
    options = {"num_classes": 5, "per_case": True, "metrics": ["dice", "accuracy"]}
    updates, samples, pooled = Evaluator(**options), Evaluator(**options), Evaluator(num_classes=5)
    for number in range(3):
        true, pred = batch(number)
        updates.update(true, pred)
        samples.update(true.T, pred.T, sample_axis=1)
        pooled.update(true, pred, sample_axis=0)
    assert updates.counts is not None
    assert samples.counts is not None
    assert pooled.counts is not None
    rows = [count_labels(*pair, num_classes=5) for number in range(3) for pair in zip(*batch(number), strict=True)]
    assert samples.counts == rows[0].concat(*rows[1:])
    assert updates.counts.num_cases == 3
    assert updates.counts.pooled() == samples.counts.pooled() == pooled.counts
    scores = samples.compute()
    assert scores["dice"].shape == (6, 5)
    assert scores["accuracy"].shape == (6,)
    assert scores.overall["accuracy"] == pytest.approx(scores["accuracy"].mean(), rel=1e-14)
    assert scores.class_values["dice"][:4] == pytest.approx(np.nanmean(scores["dice"][:, :4], 0), rel=1e-14)
    assert np.isnan(scores.class_values["dice"][4])  # no batch has it


@pytest.mark.parametrize("per_case", [False, True])
@pytest.mark.parametrize(
    ("true", "pred", "options", "message"),
    [
        ([0, 5], [0, 0], {}, "y_true: expected labels among the 5 classes"),
        ([0, 0], [0, -1], {}, "y_pred: expected labels among the 5 classes"),
        ([0, 0.5], [0, 0], {}, "y_true: expected labels that are whole numbers"),
        ([0, 0], [0, 0, 0], {}, "y_pred: expected the shape of y_true"),
        ([0, 0], [0, 0], {"sample_weight": [1, 2]}, "one is weighted by sample_weight, the other is not"),
        ([0, 0], [0, 0], {"mask": [True]}, "mask: expected one value a voxel"),
    ],
)
def test_a_failed_update_leaves_the_counts_as_they_were(
    per_case: bool, true: Any, pred: Any, options: dict[str, Any], message: str
) -> None:
    evaluator = filled({"num_classes": 5, "per_case": per_case}, range(2))
    before = evaluator.counts
    with pytest.raises(ValueError, match=message):
        evaluator.update(true, pred, **options)
    assert evaluator.counts is before
    assert same(evaluator, filled({"num_classes": 5, "per_case": per_case}, range(2)))


@pytest.mark.parametrize(
    ("option", "other"),
    [
        ("num_classes", {"num_classes": 6}),
        ("num_classes", {"labels": [0, 1, 2, 3, 4]}),
        ("ignore_index", {"num_classes": 5, "ignore_index": [1, 255]}),
        ("unknown", {"num_classes": 5, "ignore_index": 255, "unknown": "count"}),
        ("per_case", {"num_classes": 5, "ignore_index": 255, "per_case": True}),
    ],
)
def test_evaluators_with_other_options_do_not_join(option: str, other: dict[str, Any]) -> None:
    mine = filled({"num_classes": 5, "ignore_index": 255}, [0])
    before, theirs = mine.counts, filled(other, [1])
    with pytest.raises(ValueError, match=f"other: expected an evaluator with {option}=.*, found "):
        mine.merge(theirs)
    with pytest.raises(ValueError, match=f"state: expected an evaluator with {option}=.*, found "):
        mine.load_state_dict(theirs.state_dict())
    assert mine.counts is before
    mine.merge(filled({"num_classes": 5, "ignore_index": [255], "metrics": "iou"}, [1]))  # the same in other words


def test_what_is_refused() -> None:
    evaluator = Evaluator(num_classes=2)
    with pytest.raises(ValueError, match="nothing has been counted yet: call update first"):
        evaluator.compute()
    good = evaluator.state_dict()
    for state in ({}, None, [], {**good, "version": 2}, {"version": 1}):
        with pytest.raises(ValueError, match=r"state: expected what Evaluator.state_dict returned \(version 1\)"):
            evaluator.load_state_dict(state)
    with pytest.raises(ValueError, match=r"data: expected format 'fastseg.LabelCounts', version 1; found"):
        evaluator.load_state_dict({**good, "counts": {}})
    evaluator.update([0, 1], [1, 1])
    evaluator.reset()
    with pytest.raises(ValueError, match="nothing has been counted yet"):
        evaluator.compute()
    evaluator.update([], [])
    assert evaluator.counts == LabelCounts.zeros(2)


@pytest.mark.parametrize(
    "wrong",
    [
        {"num_classes": 2, "labels": [0, 1]},
        {"num_classes": 0},
        {"labels": [1, 1]},
        {"metrics": ["dice", "jacard"]},
        {"unknown": "ignore"},
        {"backend": "nonsense"},
    ],
)
def test_wrong_options_fail_at_once(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"{list(wrong)[-1]}: "):
        Evaluator(**wrong)


def test_cases_are_put_together_once(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    concat = LabelCounts.concat

    def counted(self: Any, *others: Any) -> Any:
        sizes.append(1 + len(others))
        return concat(self, *others)

    monkeypatch.setattr(LabelCounts, "concat", counted)
    evaluator = filled({"num_classes": 5, "per_case": True}, range(6))
    assert sizes == []
    assert evaluator.counts is evaluator.counts
    assert sizes == [6]
    assert same(evaluator, filled({"num_classes": 5, "per_case": True}, range(6)))
