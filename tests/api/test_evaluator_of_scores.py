"""Scores in batches: an evaluator of them has the sums of the whole."""

from __future__ import annotations

import json
import pickle
from typing import Any

import numpy as np
import pytest
from support.score_batches import CASES, C, Data

from fastseg import Evaluator, ScoreSums, losses, sum_scores

ALL = {"quantities": "all", "bins": 16}
KINDS: dict[str, dict[str, Any]] = {
    "softmax": {"activation": "softmax", "num_classes": C},
    "everything": {"activation": "softmax", "focal_gamma": 1.5, **ALL},
    "weights": {
        "activation": "softmax",
        "class_weight": [0.5, 1, 2, 0],
        "label_smoothing": 0.1,
        "ignore_index": [3, 255],
    },
    "sigmoid": {"activation": "sigmoid", "quantities": ("dice", "brier")},
    "one class": {"activation": "sigmoid", "channel_axis": None, "num_classes": 1},
    "per case": {"activation": "softmax", "per_case": True, **ALL},
    "metrics": {"activation": "softmax", "metrics": ["iou", "soft_dice", "tversky_loss", "cross_entropy"]},
}
KIND = pytest.mark.parametrize("options", KINDS.values(), ids=KINDS)
WEIGHTED = pytest.mark.parametrize("weighted", [False, True])


def state(evaluator: Evaluator) -> dict[str, Any]:
    return json.loads(json.dumps(evaluator.state_dict(), allow_nan=False))


def assert_same(one: Evaluator, other: Evaluator) -> None:
    """Counts are equal, sums are to 1e-12."""
    assert one.counts == other.counts or one.counts.weighted
    mine, theirs = (vars(evaluator.sums) for evaluator in (one, other))
    for name, value in mine.items():
        if isinstance(value, np.ndarray):
            np.testing.assert_allclose(value, theirs[name], rtol=1e-12, atol=1e-12)
        elif name != "argmax_counts":
            assert value == theirs[name]
    if one.counts is not None:
        np.testing.assert_allclose(one.counts.matrix, other.counts.matrix, rtol=1e-12)
        assert (one.counts.voxels == other.counts.voxels).all()


@pytest.mark.slow
@KIND
@WEIGHTED
def test_batches_merges_and_states_are_the_whole(options: dict[str, Any], weighted: bool) -> None:
    data = Data(options)
    whole, batches, other = data.filled(options, weighted=weighted), *(Evaluator(scores=True, **options) for _ in "ab")
    assert batches.sums is batches.counts is None
    for part in (slice(0, 1), slice(1, 3), slice(3, 4)):
        data.update(batches, part, weighted, sample_axis=0)
    data.update(other, slice(4, 6), weighted, sample_axis=0)
    before = other.sums
    restored = data.filled(options, slice(2), weighted)
    restored.load_state_dict(state(batches))
    again = pickle.loads(pickle.dumps(batches))
    for evaluator in (batches, restored, again):
        evaluator.merge(Evaluator(scores=True, **options))
        evaluator.merge(other)
        assert_same(evaluator, whole)
        assert state(evaluator) == state(batches)
    assert other.sums is before
    assert str(batches.compute()) == str(whole.compute())
    assert isinstance(whole.sums, ScoreSums)
    assert whole.sums.num_cases == (CASES if options.get("per_case") else 1)
    batches.reset()
    assert batches.sums is batches.counts is None
    with pytest.raises(ValueError, match="nothing has been counted yet: call update first"):
        batches.compute()
    batches.load_state_dict(state(Evaluator(scores=True, **options)))
    assert batches.sums is None


@KIND
def test_sums_are_those_of_sum_scores(options: dict[str, Any]) -> None:
    data = Data(options)
    evaluator = data.update(Evaluator(scores=True, **options), slice(None))
    summing = {name: value for name, value in options.items() if name not in ("num_classes", "per_case", "metrics")}
    if "metrics" in options:
        summing["quantities"] = ["argmax", "dice", "cross_entropy"]
    assert evaluator.sums == sum_scores(data.true, data.score, mask=data.mask, **summing)


def test_per_case_is_the_soft_dice_of_each_volume() -> None:
    options = {"activation": "softmax"}
    data = Data(options)
    updates, pooled = (Evaluator(scores=True, per_case=per_case, **options) for per_case in (True, False))
    for n in range(CASES):
        for evaluator in (updates, pooled):
            data.update(evaluator, slice(n, n + 1))
    sums = sum_scores(data.true, data.score, mask=data.mask, sample_axis=0, **options)
    scores = updates.compute()
    assert scores["soft_dice"].shape == (CASES, C)
    assert scores["soft_dice_loss"].shape == (CASES,)
    assert scores.overall["soft_dice_loss"] == pytest.approx(losses.soft_dice_loss(sums), rel=1e-12)
    expected = losses.soft_dice_loss(sums.pooled())
    assert pooled.compute().overall["soft_dice_loss"] == pytest.approx(expected, rel=1e-12)


def test_layouts_join_and_types_of_scores_too() -> None:
    data = Data({})
    last, first = (Evaluator(scores=True, activation="softmax", channel_axis=axis) for axis in (-1, 1))
    data.update(last, slice(None))
    first.update(data.true, np.moveaxis(data.score, -1, 1), mask=data.mask)
    assert_same(first, last)
    first.merge(last)
    percent = Evaluator(scores=True, scale=100, quantities="dice")
    percent.update([0, 1], np.array([[75, 25], [50, 50]], np.uint8))
    percent.merge(fractions := Evaluator(scores=True, quantities=["dice"]))
    fractions.update([0, 1], [[0.75, 0.25], [0.5, 0.5]])
    assert percent.sums == fractions.sums


@pytest.mark.parametrize("per_case", [False, True])
@pytest.mark.parametrize(
    ("true", "score", "options", "message"),
    [
        ([0, 5], np.zeros((2, C)), {}, "y_true: expected labels among the 4 classes"),
        ([0, 1], [[np.nan] * C] * 2, {}, "y_score: "),
        ([0, 1], np.zeros((3, C)), {}, "y_true: expected a label map of shape"),
        ([0, 1], np.zeros((2, C + 1)), {}, "sums differ in num_classes: 4 and 5"),
        (np.eye(C), np.zeros((C, C)), {}, "sums differ in soft"),
        ([0, 1], np.zeros((2, C)), {"sample_weight": [1, 2]}, "one is weighted by sample_weight, the other is not"),
        ([0, 1], np.zeros((2, C)), {"mask": [True]}, "mask: expected one value a voxel"),
    ],
)
def test_a_rejected_batch_leaves_the_sums(
    per_case: bool, true: Any, score: Any, options: dict[str, Any], message: str
) -> None:
    evaluator = Data({}).filled({"activation": "softmax", "per_case": per_case}, slice(2))
    before, plain = evaluator.sums, evaluator.state_dict()
    with pytest.raises(ValueError, match=message):
        evaluator.update(true, score, **options)
    assert evaluator.sums is before
    assert evaluator.state_dict() == plain
    strict = Evaluator(scores=True, num_classes=3, activation="softmax")
    with pytest.raises(ValueError, match="y_score: expected 3 classes along channel_axis, found 4"):
        strict.update([0, 1], np.zeros((2, C)))
    assert strict.sums is None


@pytest.mark.parametrize(
    ("option", "other"),
    [
        ("num_classes", {"num_classes": None}),
        ("activation", {"activation": None}),
        ("ignore_index", {"ignore_index": 2}),
        ("class_weight", {"class_weight": [1, 1, 1, 2]}),
        ("label_smoothing", {"label_smoothing": 0.5, "quantities": ["dice", "smoothing", "bins"]}),
        ("quantities", {"quantities": ["dice", "brier"]}),
        ("bins", {"bins": 5}),
        ("focal_gamma", {"quantities": ["dice", "smoothing", "focal", "bins"], "focal_gamma": 3}),
        ("per_case", {"per_case": True}),
    ],
)
def test_evaluators_with_other_options_do_not_join(option: str, other: dict[str, Any]) -> None:
    base: dict[str, Any] = {
        "num_classes": C, "activation": "softmax", "ignore_index": 255, "class_weight": np.ones(C),
        "label_smoothing": 0.25, "quantities": iter(["smoothing", "dice"]), "bins": 10,
    }  # fmt: skip
    if option == "focal_gamma":
        base["quantities"] = ["dice", "smoothing", "focal"]
    theirs = Evaluator(scores=True, **{**base, "quantities": ["dice", "smoothing"], **other})
    mine = Evaluator(scores=True, **base)
    with pytest.raises(ValueError, match=f"other: expected an evaluator with {option}=.*, found "):
        mine.merge(theirs)
    with pytest.raises(ValueError, match=f"state: expected an evaluator with {option}=.*, found "):
        mine.load_state_dict(state(theirs))


def test_labels_and_scores_do_not_join() -> None:
    labels, scores = Evaluator(num_classes=2), Evaluator(scores=True, num_classes=2)
    for one, other, flag in ((labels, scores, False), (scores, labels, True)):
        with pytest.raises(ValueError, match=f"other: expected an evaluator with scores={flag}, found {not flag}"):
            one.merge(other)
        with pytest.raises(ValueError, match=f"state: expected an evaluator with scores={flag}, found {not flag}"):
            one.load_state_dict(state(other))
    assert labels.sums is None
    good = state(scores)
    for wrong in ({}, None, {**good, "version": 2}):
        with pytest.raises(ValueError, match="state: expected what Evaluator.state_dict returned"):
            scores.load_state_dict(wrong)
    for counts in ({}, labels._batches.empty.to_dict()):
        with pytest.raises(ValueError, match="data: expected format 'fastseg.ScoreSums', version 1; found"):
            scores.load_state_dict({**good, "counts": counts})
    of_three = sum_scores([0, 1], np.full((2, 3), 1 / 3)).to_dict()
    with pytest.raises(ValueError, match="sums differ in num_classes: 2 and 3"):
        scores.load_state_dict({**good, "counts": of_three})
    assert scores.sums is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"activation": "softmax"},
        {"channel_axis": 1},
        {"channel_axis": None},
        {"class_weight": np.ones(2)},
        {"label_smoothing": 0.5},
        {"quantities": "all"},
        {"bins": 3},
        {"focal_gamma": 2},
        {"scale": 255},
        {"scores": True, "num_classes": None, "labels": [0, 1]},
        {"scores": True, "unknown": "count"},
        {"scores": True, "activation": "softplus"},
        {"scores": True, "class_weight": [1, 2, 3]},
        {"scores": True, "label_smoothing": 2},
        {"scores": True, "quantities": ["dices"]},
        {"scores": True, "bins": 0},
        {"scores": True, "scale": 0},
        {"scores": True, "channel_axis": None, "num_classes": 2},
        {"scores": True, "metrics": ["dice", "soft dice"]},
        {"scores": True, "quantities": "dice", "metrics": "cross_entropy"},
        {"scores": True, "backend": "nonsense"},
    ],
    ids=str,
)
def test_wrong_options_fail_at_once(wrong: dict[str, Any]) -> None:
    name = "sums" if wrong.get("quantities") == "dice" else list(wrong)[-1]
    with pytest.raises(ValueError, match=f"{name}: "):
        Evaluator(**{"num_classes": 2, **wrong})
