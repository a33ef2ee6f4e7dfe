"""Scores shows what was summed: its table and dict, and `evaluate_scores` in one call."""

from __future__ import annotations

import copy
import json
import math
import re
from typing import Any

import numpy as np
import pytest
from support.score_batches import CASES, C, Data

import fastseg
from fastseg import Evaluator, Scores, losses, sum_scores
from fastseg.api.scores import evaluate_scores
from fastseg.metrics.scores import SCORE_METRICS

P = np.array([[0.5, 0.25, 0.25], [0.5, 0.25, 0.25], [0.25, 0.75, 0.0], [0.125, 0.75, 0.125]])
TRUE = [0, 0, 1, 0]  # class 2 does not occur


def strict(scores: Scores) -> dict[str, Any]:
    return json.loads(json.dumps(scores.to_dict(), allow_nan=False))


def test_the_table_and_dict_of_sums() -> None:
    sums = sum_scores(TRUE, P, quantities="all", bins=4)
    scores = Scores(sums, names={1: "liver"})
    table = [re.split(r"  +", line.strip()) for line in str(scores).splitlines()]
    numbers = "dice", "iou", "precision", "recall", "soft_dice"
    assert table[0] == ["class", "name", *numbers, "true voxels", "pred voxels"]
    soft = 1 - losses.soft_dice_loss(sums, average=None)[0]
    assert table[3] == ["1", "liver", "0.6667", "0.5000", "0.5000", "1.0000", f"{soft[1]:.4f}", "1", "2"]
    assert table[4] == ["2", "2", "-", "-", "-", "-", f"{soft[2]:.4f}", "0", "0"]
    overall = {
        "soft_dice_loss": losses.soft_dice_loss(sums),
        "cross_entropy": losses.cross_entropy(sums),
        "brier_score": SCORE_METRICS["brier_score"](sums),
        "focal_loss": losses.focal_loss(sums),
        "top_k_accuracy": 1.0,
        "expected_calibration_error": SCORE_METRICS["expected_calibration_error"](sums),
    }
    assert scores.overall == overall
    assert [line[0] for line in table[-6:]] == [f"{name}: {value:.4f}" for name, value in overall.items()]
    given = strict(scores)
    assert given["overall"] == overall
    assert given["classes"]["2"]["dice"] is None
    assert given["classes"]["0"]["soft_dice"] == soft[0] == scores["soft_dice"][0]
    assert given["mean"]["soft_dice"] == pytest.approx(soft.mean(), rel=1e-14)
    assert (given["classes"]["0"]["true_voxels"], given["voxels"]["counted"]) == (3, 4)
    frame = scores.to_dataframe()
    assert list(frame.columns) == ["name", *numbers]
    assert frame["soft_dice"].tolist() == soft.tolist()
    assert frame.attrs["overall"] == overall


def test_sums_without_argmax_counts() -> None:
    scores = Scores(sum_scores(TRUE, P, quantities="dice"), names={1: "liver"})
    assert list(scores.values) == ["soft_dice"]
    assert strict(scores)["classes"]["1"] | {"soft_dice": 0} == {
        "name": "liver", "soft_dice": 0, "true_voxels": 1.0, "pred_voxels": 2.0,
    }  # fmt: skip
    assert str(scores).splitlines()[3].split()[-2:] == ["1.0", "2.0"]
    scores = Scores(sum_scores(TRUE, P, quantities="cross_entropy"))
    assert strict(scores)["classes"]["1"] == {"name": "1", "true_voxels": 1.0, "pred_voxels": None}
    assert str(scores).splitlines()[3].split() == ["1", "1", "1.0", "-"]
    millilitres = str(Scores(scores.counts, voxel_ml=0.5))
    assert millilitres.splitlines()[3].split() == ["1", "1", "0.50", "-", "1.0", "-"]
    with pytest.raises(ValueError, match=r"sums: expected the quantities \['argmax', 'dice'\], which were not summed"):
        Scores(sum_scores(TRUE, P, quantities="brier"), metrics=["iou", "brier_score", "soft_dice"])


def test_undefined_values_are_null() -> None:
    nothing = sum_scores(TRUE, P, mask=[0] * 4)
    given = strict(Scores(nothing, metrics=["dice", "cross_entropy"]))
    assert given["overall"] == {"cross_entropy": None}
    assert given["classes"]["0"]["dice"] is None
    assert strict(Scores(nothing, metrics="cross_entropy", zero_division=0))["overall"] == {"cross_entropy": 0}


@pytest.mark.parametrize("quantities", ["argmax", "all", ("dice", "cross_entropy"), ("brier", "ranks")])
def test_all_is_all_that_was_summed(quantities: Any) -> None:
    data = Data({})
    sums = sum_scores(data.true, data.score, activation="softmax", sample_axis=0, quantities=quantities)
    scores = Scores(sums, metrics="all")
    functions = {f.name: f for f in {**losses.LOSSES, **SCORE_METRICS}.values() if {*f.needs} <= {*sums.quantities}}
    counting = {m.name for m in fastseg.metrics.REGISTRY.values()} if "argmax" in sums.quantities else set()
    soft = {"soft_dice"} if "dice" in sums.quantities else set()
    assert {*scores.values, *scores.overall} == {*functions, *counting, *soft}
    for name, function in functions.items():
        assert scores[name].shape in ((CASES, C), (CASES,))
        if name in scores.overall:
            np.testing.assert_array_equal(scores[name], [function(sums.cases([n])) for n in range(CASES)])
        else:
            np.testing.assert_array_equal(scores[name], function(sums, average=None))
    assert {"soft_iou_loss", "tversky_loss"} <= {*scores.values} or not soft
    assert "soft_dice_loss" in scores.overall or not soft
    for counted in counting:
        expected = fastseg.metrics.REGISTRY[counted](sums.argmax_counts)
        np.testing.assert_array_equal(scores[counted], expected)
    strict(scores)


@pytest.mark.parametrize("quantities", [None, "dice"])
def test_a_single_class_is_class_one(quantities: Any) -> None:
    p = [[0.25, 0.75, 0.5], [0.0, 0.0, 1.0]]
    sums = sum_scores([[0, 1, 1], [0, 0, 1]], p, channel_axis=None, sample_axis=0, quantities=quantities)
    scores = Scores(sums, names={1: "lesion"})
    assert scores.classes == ((0, 1) if quantities is None else (1,))
    soft = (1 - losses.soft_dice_loss(sums, average=None)).mean()
    given = strict(scores)
    assert given["foreground_mean"]["soft_dice"] == given["classes"]["1"]["soft_dice"] == pytest.approx(soft, rel=1e-14)
    assert given["classes"]["1"]["name"] == "lesion"
    if quantities is None:
        assert given["classes"]["0"]["soft_dice"] is None
        assert math.isnan(scores["soft_dice"][1, 0])
        assert given["classes"]["0"]["true_voxels"] == 3


def test_evaluate_scores() -> None:
    scores = evaluate_scores(TRUE, P, names={1: "liver"})
    assert str(scores) == str(Scores(sum_scores(TRUE, P), names={1: "liver"}))
    asked = evaluate_scores(TRUE, P, metrics=["iou", "brier_score", "expected_calibration_error"], bins=4)
    assert asked.counts.quantities == ("argmax", "brier", "bins")
    assert list(asked.values) == ["iou"]
    assert asked.overall["brier_score"] == SCORE_METRICS["brier_score"](sum_scores(TRUE, P, quantities="brier"))
    assert evaluate_scores(TRUE, P, metrics="soft_dice", zero_division=0).counts.quantities == ("dice",)
    assert evaluate_scores(TRUE, P, metrics=[]).values == {}
    every = evaluate_scores(TRUE, P, metrics="all", quantities="all", bins=4)
    assert "maximum_calibration_error" in every.overall
    with pytest.raises(TypeError, match=r"evaluate_scores\(\) got an unexpected keyword argument 'num_classes'"):
        evaluate_scores(TRUE, P, num_classes=3)
    with pytest.raises(ValueError, match=r"metrics: expected some of .*soft_dice, .*; found 'dices'"):
        evaluate_scores(TRUE, P, metrics="dices")
    with pytest.raises(ValueError, match="bins: expected how many bins there are"):
        evaluate_scores(TRUE, P, metrics="expected_calibration_error")
    with pytest.raises(ValueError, match=r"sums: expected the quantities \['brier'\]"):
        evaluate_scores(TRUE, P, metrics="brier_score", quantities="dice")


def test_an_infinite_loss_survives_a_state() -> None:
    evaluator, restored = (Evaluator(scores=True, metrics="cross_entropy") for _ in "ab")
    evaluator.update([0, 1], [[0.0, 1.0], [0.5, 0.5]])
    restored.load_state_dict(json.loads(json.dumps(evaluator.state_dict())))
    assert restored.compute().overall["cross_entropy"] == math.inf
    assert strict(restored.compute())["overall"] == {"cross_entropy": None}


def test_an_evaluator_sums_what_its_metrics_need() -> None:
    evaluator = Evaluator(scores=True, metrics=["soft_dice", "tversky_loss"])
    evaluator.update(TRUE, P)
    assert evaluator.sums.quantities == ("dice",)
    assert evaluator.counts is None
    assert list(evaluator.compute().values) == ["soft_dice", "tversky_loss"]
    twin = copy.deepcopy(evaluator)
    twin.update(TRUE, P)
    assert evaluator.sums == sum_scores(TRUE, P, quantities="dice")
