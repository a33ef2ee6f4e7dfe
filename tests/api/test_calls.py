"""What holds for every loss and metric of scores: laws, ranges, refusals, documentation."""

from __future__ import annotations

import inspect
import math
import pickle
from typing import Any

import numpy as np
import pytest
from support.score_examples import DATA, EVERYTHING, C, Data, N, close

import fastseg
from fastseg import (
    brier_score,
    cross_entropy,
    expected_calibration_error,
    focal_loss,
    focal_tversky_loss,
    generalized_dice_loss,
    negative_log_likelihood,
    soft_dice_loss,
    soft_iou_loss,
    sum_scores,
    top_k_accuracy,
    tversky_loss,
)
from fastseg.api.calls import function_of
from fastseg.metrics.losses import LOSSES
from fastseg.metrics.scores import CURVES, SCORE_METRICS

NUMBERS = {entry.name: entry for entry in {**LOSSES, **SCORE_METRICS}.values()}
ENTRIES = {**NUMBERS, **CURVES}


def values(sums: Any) -> dict[str, Any]:
    return {name: entry(sums) for name, entry in NUMBERS.items()}


@pytest.mark.parametrize("options", [{}, {"class_weight": DATA.weight, "label_smoothing": 0.2}])
def test_merged_sums_have_the_loss_of_the_whole(options: Any) -> None:
    whole = values(DATA.sums(**options))
    parts = [
        sum_scores(DATA.labels[:, rows], DATA.p[:, rows], sample_axis=0, **EVERYTHING, **options)
        for rows in (slice(0, 2), slice(2, 3), slice(3, None))
    ]
    merged = values(parts[2].merge(parts[0]).merge(parts[1]))
    assert list(merged.values()) == close(list(whole.values()))
    cases = [
        sum_scores(t[None], p[None], sample_axis=0, **EVERYTHING, **options)
        for t, p in zip(DATA.labels, DATA.p, strict=True)
    ]
    joined = values(cases[0].concat(*cases[1:]))
    assert list(joined.values()) == close(list(whole.values()))


@pytest.mark.parametrize(
    "loss", [soft_dice_loss, soft_iou_loss, generalized_dice_loss, tversky_loss, focal_tversky_loss]
)
def test_the_mean_is_that_of_the_cases(loss: Any) -> None:
    sums = DATA.sums()
    assert loss(sums) == pytest.approx(np.mean([loss(sums.cases([n])) for n in range(N)]), rel=1e-12)


def test_reductions_agree() -> None:
    sums = DATA.sums()
    for function in (cross_entropy, focal_loss, brier_score, negative_log_likelihood, top_k_accuracy):
        mean, total, cases = (function(sums, reduction=r) for r in ("mean", "sum", None))
        assert (mean, total) == close([cases.mean(), cases.sum() * sums.total[0]])  # cases of one size
        assert cases.shape == (N,)
        assert isinstance(mean, float)
        assert isinstance(total, float)
    generalised = generalized_dice_loss(sums, reduction=None)
    assert (generalized_dice_loss(sums), generalized_dice_loss(sums, reduction="sum")) == close(
        [generalised.mean(), generalised.sum()]
    )


@pytest.mark.parametrize("seed", range(5))
def test_ranges_and_one_hot_truths(seed: int) -> None:
    data = Data(seed)
    for name, value in values(data.sums()).items():
        low, high = ENTRIES[name].range
        assert low <= value <= high, name
        assert isinstance(value, float)
    hot = sum_scores(data.t, data.p, sample_axis=0, **EVERYTHING)
    assert list(values(hot).values()) == close(list(values(data.sums()).values()))


def test_perfect_predictions() -> None:
    sums = sum_scores(DATA.labels, DATA.t, sample_axis=0, **EVERYTHING)
    for name, value in values(sums).items():
        assert value == pytest.approx(1.0 if name == "top_k_accuracy" else 0.0, abs=1e-9), name
        assert ENTRIES[name].range[name == "top_k_accuracy"] == round(value), name


def test_the_worst_predictions_reach_the_other_end_of_the_range() -> None:
    wrong = sum_scores(DATA.labels, np.roll(DATA.t, 1, axis=-1), sample_axis=0, **EVERYTHING)
    for name, value in values(wrong).items():
        if name == "top_k_accuracy":
            value, end = top_k_accuracy(wrong, k=1), ENTRIES[name].range[0]
        else:
            end = ENTRIES[name].range[1]
        assert value == pytest.approx(end, rel=1e-5, abs=0), name


def test_nothing_counted() -> None:
    ignored = sum_scores(np.full((2, 5), 9), np.full((2, 5, 3), 1 / 3), sample_axis=0, ignore_index=9, **EVERYTHING)
    for name, value in values(ignored).items():
        if ENTRIES[name].needs == ("dice",):
            assert value == 0.0, name  # nothing true, nothing predicted
        else:
            assert math.isnan(value), name
    assert cross_entropy(ignored, reduction="sum") == 0.0
    assert np.isnan(cross_entropy(ignored, reduction=None)).all()
    none = DATA.sums().cases([])
    assert math.isnan(soft_dice_loss(none))
    assert soft_dice_loss(none, average=None).shape == (0, C)


def test_impossible_outcomes() -> None:
    assert cross_entropy([0], [[0.0, 1.0]]) == math.inf
    assert cross_entropy([0, 1], [[0.0, 1.0], [0.0, 1.0]], class_weight=[0, 1]) == 0.0  # no weight, no loss


# ---- Calls.


@pytest.mark.parametrize("name", sorted(ENTRIES))
def test_a_missing_quantity_is_refused(name: str) -> None:
    function, sums = function_of(name), DATA.sums(quantities=["absolute"], bins=None)
    for call in (function, ENTRIES[name]):
        with pytest.raises(ValueError, match=r"sums: expected the quantities .* ask for them with sum_scores"):
            call(sums)
    with pytest.raises(TypeError, match=f"{name}\\(\\) got an unexpected keyword argument 'axis'"):
        function(DATA.labels, DATA.p, axis=1)
    with pytest.raises(TypeError, match=f"{name}\\(\\) got an unexpected keyword argument 'quantities'"):
        function(DATA.labels, DATA.p, quantities=["dice"])
    with pytest.raises(TypeError, match=f"{name}\\(\\) missing a required argument: 'y_"):
        function(DATA.labels)
    with pytest.raises(TypeError, match="of ScoreSums takes no y_"):
        function(sums, DATA.p)
    with pytest.raises(
        TypeError, match="of ScoreSums got an unexpected keyword argument 'activation': it is for arrays"
    ):
        function(sums, activation="softmax")
    with pytest.raises(TypeError, match=rf"expected ScoreSums, found ndarray \(of arrays: fastseg.{name}\(y_true, y_"):
        ENTRIES[name](DATA.labels)
    assert pickle.loads(pickle.dumps(function)) is function


def test_label_smoothing_needs_its_quantity() -> None:
    with pytest.raises(ValueError, match="smoothing"):
        cross_entropy(DATA.sums(quantities=["cross_entropy"], bins=None), label_smoothing=0.1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda s: soft_dice_loss(s, average="weighted"),
            "average: expected 'macro', 'micro' or None, found 'weighted'",
        ),
        (lambda s: soft_dice_loss(s, epsilon=-1), "epsilon: expected a finite number that is not negative, found -1"),
        (lambda s: soft_dice_loss(s, class_weight=[1, 2]), "class_weight: expected a weight for each of 4 classes"),
        (lambda s: soft_dice_loss(s, class_weight=[1, 2, 3, -1]), "class_weight: expected finite numbers"),
        (lambda s: tversky_loss(s, alpha=math.nan), "alpha: expected a finite number"),
        (lambda s: focal_tversky_loss(s, gamma=0), "gamma: expected a finite number that is positive, found 0"),
        (lambda s: generalized_dice_loss(s, weights="inverse"), "weights: expected 'square', 'simple' or 'uniform'"),
        (lambda s: cross_entropy(s, reduction="none"), "reduction: expected 'mean', 'sum' or None, found 'none'"),
        (lambda s: cross_entropy(s, label_smoothing=2), "label_smoothing: expected a number from 0 to 1, found 2"),
        (lambda s: focal_loss(s, gamma=3), "gamma: expected 2.0, which was summed, found 3"),
        (lambda s: expected_calibration_error(s, bins=7), "bins: expected a divisor of the 60 bins that were summed"),
        (lambda s: expected_calibration_error(s, per="voxel"), "per: expected 'top' or 'class', found 'voxel'"),
        (lambda s: expected_calibration_error(s, binning="log"), "binning: expected 'width' or 'mass', found 'log'"),
        (lambda s: top_k_accuracy(s, k=0), "k: expected an integer of at least 1, found 0"),
        (lambda s: top_k_accuracy([0, 1], [0.1, 0.2], channel_axis=None), "expected scores of at least two classes"),
    ],
)
def test_wrong_values_are_refused(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        call(DATA.sums())


def test_types_are_refused() -> None:
    with pytest.raises(TypeError, match="epsilon: expected a number, found '1'"):
        soft_dice_loss(DATA.sums(), epsilon="1")


def test_what_is_known_of_each() -> None:
    assert LOSSES["jaccard_loss"] is LOSSES["soft_iou_loss"]
    differentiable = ("soft_dice_loss", "cross_entropy", "dice_cross_entropy", "focal_loss", "dice_focal_loss")
    gradients = {f"{name}_with_gradient" for name in differentiable}
    assert set(dir(fastseg.losses)) == {"LOSSES", *LOSSES, *gradients}
    metrics = {"SCORE_METRICS", "CURVES", "ThresholdCurve", *SCORE_METRICS, *CURVES}
    assert set(fastseg.metrics.scores.__all__) == metrics
    for name, entry in ENTRIES.items():
        function = function_of(name)
        assert getattr(fastseg, name) is function
        signature = inspect.signature(function)
        assert list(signature.parameters)[:2] == ["y_true", "y_pred" if name in LOSSES else "y_score"]
        assert {"channel_axis", "activation", "mask", "sample_weight", "backend"} <= set(signature.parameters)
        assert ("class_weight" in signature.parameters) == ("class_weight" in {p.name for p in entry.own})
        assert function.__name__ == name
        assert entry.reference.split()[0] in function.__doc__
    assert list(inspect.signature(soft_dice_loss).parameters)[:3] == ["y_true", "y_pred", "epsilon"]
    assert inspect.signature(soft_dice_loss).parameters["sample_axis"].default == 0
    assert inspect.signature(cross_entropy).parameters["sample_axis"].default is None


def test_names_that_are_none() -> None:
    with pytest.raises(ValueError, match="expected the name of a metric or loss, found 'dise'"):
        function_of("dise")
    for module in (fastseg, fastseg.losses, fastseg.api.functions):
        with pytest.raises(AttributeError, match=f"module '{module.__name__}' has no attribute 'dise'"):
            _ = module.dise
