"""Losses with derivatives by their sums: against the losses themselves, and finite differences."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fastseg import losses, sum_scores
from fastseg.metrics.loss_derivatives import CrossEntropy, Derivatives, Focal, GeneralizedDice, Overlap, Power, Weighted

RNG = np.random.default_rng(11)
LABELS = RNG.integers(0, 3, (2, 50))
LOGITS = RNG.normal(size=(2, 50, 3))
QUANTITIES = ("dice", "cross_entropy", "smoothing", "focal")
FIELDS = Derivatives._fields
JACCARD = {"both": 2.0, "pred": 2.0, "true": 2.0, "overlap": -2.0}


def sums_of(activation: str = "softmax") -> Any:
    return sum_scores(LABELS, LOGITS, sample_axis=0, activation=activation, quantities=QUANTITIES)


LOSSES: dict[str, Any] = {
    "Dice": Overlap(),
    "squared, of pooled cases": Overlap(squared=True, pooled=True, class_weight=[1.0, 2.0, 0.5]),
    "Jaccard, none": Overlap(**JACCARD, reduction="none", first=1, class_weight=[2.0, 0.5]),
    "Tversky, sum": Overlap(1.0, 0.3, 0.9, -0.2, numerator=0.5, denominator=2.0, reduction="sum"),
    "pooled, none": Overlap(pooled=True, first=1, reduction="none"),
    "logarithm": Overlap(log=1e-7, numerator=0.0, least=1e-7, pooled=True, present=True, class_weight=[1.0, 2.0, 0.5]),
    "logarithm of least": Overlap(log=0.35, reduction="none"),
    "least denominator": Overlap(denominator=0.0, least=40.0, reduction="none"),
    "power": Power(Overlap(squared=True), 1.5),
    "generalised": GeneralizedDice(),
    "generalised, none": GeneralizedDice(power=1, first=1, reduction="none"),
    "generalised, pooled": GeneralizedDice(power=0, pooled=True, first=1),
    "cross-entropy": CrossEntropy(label_smoothing=0.2, class_weight=[1.0, 2.0, 0.5]),
    "cross-entropy, sum": CrossEntropy(reduction="sum"),
    "cross-entropy, true classes weighted": CrossEntropy(true_weight=[2.0, 3.0, 0.5]),
    "focal": Focal(),
    "focal, sum": Focal((np.array([1.0, 2.0, 0.5]), np.array([0.5, 1.0, 0.0])), first=1, reduction="sum"),
    "both": Weighted([(0.3, Overlap(squared=True)), (2.0, CrossEntropy(label_smoothing=0.1))]),
}


@pytest.mark.parametrize("name", LOSSES)
def test_finite_differences(name: str) -> None:
    loss, sums = LOSSES[name], sums_of()
    values, by_values = loss(sums)
    upstream = RNG.normal(size=np.shape(values))
    found = by_values(upstream)
    for field, derivatives in zip(FIELDS, found, strict=True):
        derivatives = np.broadcast_to(derivatives, (2, 3))
        for place in np.ndindex(2, 3):
            sides = []
            for step in (1e-4, -1e-4):
                moved = getattr(sums, field).copy()
                moved[place] += step
                sides.append((np.asarray(loss(replace(sums, **{field: moved}))[0]) * upstream).sum())
            assert derivatives[place] == pytest.approx((sides[0] - sides[1]) / 2e-4, rel=1e-5, abs=1e-8)


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_they_are_the_losses(activation: str) -> None:
    sums = sums_of(activation)
    epsilon = {"numerator": 1e-6, "denominator": 1e-6}
    weight = [1.0, 2.0, 0.5]
    found = [
        Overlap(**epsilon), Overlap(**epsilon, squared=True, first=1), Overlap(**JACCARD, numerator=2e-6, denominator=2e-6),
        Overlap(1.0, 0.2, 0.7, 0.1, **epsilon), GeneralizedDice(**epsilon), GeneralizedDice(0, **epsilon),
        CrossEntropy(weight),
    ]  # fmt: skip
    wanted = [
        losses.soft_dice_loss(sums, squared=False), losses.soft_dice_loss(sums, include_background=False),
        losses.soft_iou_loss(sums), losses.tversky_loss(sums, alpha=0.2, beta=0.7), losses.generalized_dice_loss(sums),
        losses.generalized_dice_loss(sums, weights="uniform"), losses.cross_entropy(sums, class_weight=weight),
    ]  # fmt: skip
    for loss, value in zip(found, wanted, strict=True):
        assert float(loss(sums)[0]) == pytest.approx(value, rel=1e-12)
    share = 1 if activation == "sigmoid" else 3  # here the mean is over the classes too
    assert float(Focal()(sums)[0]) * share == pytest.approx(losses.focal_loss(sums), rel=1e-12)
    assert float(Focal(reduction="sum")(sums)[0]) == pytest.approx(float(Focal()(sums)[0]) * 6, rel=1e-12)
    assert float(CrossEntropy(reduction="sum")(sums)[0]) == pytest.approx(losses.cross_entropy(sums, reduction="sum"))
    some = (sums.focal + sums.focal_others)[:, 1:].sum() / sums.total.sum()
    assert float(Focal(first=1)(sums)[0]) == pytest.approx(some / 2, rel=1e-12)
    assert float(Focal(first=1, per_class=False)(sums)[0]) == pytest.approx(some, rel=1e-12)


def test_an_absent_class_has_the_largest_weight() -> None:
    sums = sums_of()
    absent = replace(sums, true=sums.true * [1, 1, 0], true_pred=sums.true_pred * [1, 1, 0])
    w = 1 / absent.true[:, :2] ** 2
    w = np.concatenate([w, w.max(1, keepdims=True)], 1)
    wanted = 1 - 2 * (w * absent.true_pred).sum(1) / (w * (absent.true + absent.pred)).sum(1)
    none = {"numerator": 0.0, "denominator": 0.0}
    np.testing.assert_allclose(GeneralizedDice(**none, reduction="none")(absent)[0][:, 0], wanted)
    empty = replace(sums, true=sums.true * 0, true_pred=sums.true_pred * 0)
    assert float(GeneralizedDice()(empty)[0]) == 0
    little = replace(sums, true=sums.true * [1, 1, 0.01])
    w = little.true**-2.0
    wanted = 1 - 2 * (w * little.true_pred).sum(1) / (w * (little.true + little.pred)).sum(1)
    np.testing.assert_allclose(GeneralizedDice(**none, reduction="none")(little)[0][:, 0], wanted)


def test_empty_and_undefined() -> None:
    sums = sums_of()
    empty = replace(sums, true=sums.true * 0, true_pred=sums.true_pred * 0, pred=sums.pred * 0)
    values, by_values = Overlap(numerator=0.0, denominator=0.0)(empty)
    assert np.isnan(values)
    assert np.isnan(by_values(np.ones(())).true_pred).all()
    assert float(Overlap()(empty)[0]) == 0


def test_classes_without_truth_lose_nothing() -> None:
    sums = sums_of()
    absent = replace(sums, true=sums.true * [1, 0, 1], true_pred=sums.true_pred * [1, 0, 1])
    values, by_values = Overlap(reduction="none", present=True)(absent)
    everywhere = Overlap(reduction="none")(absent)[0]
    assert values.tolist() == (everywhere * [1, 0, 1]).tolist()
    assert (by_values(np.ones((2, 3))).pred != 0).tolist() == [[True, False, True]] * 2
    little = replace(sums, true=sums.true * 0.01)
    assert (Overlap(reduction="none", present=True)(little)[0] > 0).all()


def test_logarithms_and_least_denominators_are_flat_beyond_their_limits_only() -> None:
    """As PyTorch's clamp is, which has a slope at the limit itself."""
    sums = sum_scores([1, 0], [[0.5], [0.5]], quantities=["dice"])  # Σt and Σp are 1, Σpt is a half
    for least, slope in ((1.5, -1.0), (2.0, -1.0), (2.5, -0.8)):
        _, by_values = Overlap(numerator=0.0, denominator=0.0, least=least)(sums)
        assert by_values(np.ones(())).true_pred == pytest.approx(slope)
        assert (by_values(np.ones(())).pred == 0) == (least > 2)
    for limit, slope in ((0.25, -2.0), (0.5, -2.0), (0.75, 0.0)):
        value, by_values = Overlap(numerator=0.0, denominator=0.0, log=limit)(sums)
        assert float(value) == pytest.approx(-np.log(max(limit, 0.5)))
        assert by_values(np.ones(())).true_pred == pytest.approx(slope)


def test_weights_of_true_voxels_in_binary_cross_entropy() -> None:
    p = np.array([[0.5], [0.25], [0.75]])
    sums = sum_scores([1, 0, 1], p, quantities=["focal"], focal_gamma=0.0)
    wanted = -(3 * np.log(0.5) + np.log(0.75) + 3 * np.log(0.75))
    assert float(CrossEntropy(true_weight=[3.0])(sums)[0]) == pytest.approx(wanted / 3)
    assert float(CrossEntropy(true_weight=[3.0], reduction="sum")(sums)[0]) == pytest.approx(wanted)


def test_terms() -> None:
    terms = Derivatives(1.0, np.array([2.0, 3.0]), np.array([[4.0], [5.0]]), 6.0, 7.0, 8.0, 9.0).terms(2, 2)
    rows = [(t.slope, t.level, t.curve, t.hit, t.base, t.focal, t.focal_others) for t in terms]
    assert [[each.tolist() for each in row] for row in rows] == [
        [[1, 1], [2, 3], [8, 8], [6, 6], [7, 7], [8, 8], [9, 9]],
        [[1, 1], [2, 3], [10, 10], [6, 6], [7, 7], [8, 8], [9, 9]],
    ]
    assert terms[0].slope.dtype == np.float32
