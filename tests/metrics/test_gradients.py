"""Losses with gradients, of sums."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fastseg import losses, sum_scores
from fastseg.counts import ScoreSums
from fastseg.metrics.gradients import cross_entropy_of, focal_loss_of, soft_dice_loss_of


@pytest.mark.parametrize("squared", [True, False])
def test_a_batch_without_cases_has_no_loss_and_no_terms(squared: bool) -> None:
    sums = ScoreSums.zeros(3, quantities=["dice"], cases=0)
    value, by_value = soft_dice_loss_of(sums, 1e-6, squared, True)(sums)
    assert value == 0
    assert by_value(np.ones(())).terms(0, 3) == []


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
@pytest.mark.parametrize("weights", [None, [1.0, 0.0, 2.5]])
def test_they_are_the_losses(activation: str, weights: Any) -> None:
    rng = np.random.default_rng(4)
    y_true, z = rng.integers(0, 3, (2, 60)), rng.normal(size=(2, 60, 3))
    smoothing = 0.0 if activation == "sigmoid" else 0.1
    options: dict[str, Any] = {"sample_axis": 0, "class_weight": weights, "label_smoothing": smoothing}
    quantities = ["dice", "cross_entropy", "focal"]
    sums = sum_scores(y_true, z, activation=activation, quantities=quantities, **options)
    for ours, wanted in [
        (soft_dice_loss_of(sums, 1e-3, True, True), losses.soft_dice_loss(sums, epsilon=1e-3)),
        (
            soft_dice_loss_of(sums, 0.5, False, False),
            losses.soft_dice_loss(sums, epsilon=0.5, squared=False, include_background=False),
        ),
        (cross_entropy_of(sums), losses.cross_entropy(sums)),
        (focal_loss_of(sums, 0.25), losses.focal_loss(sums, alpha=0.25)),
    ]:  # fmt: skip
        assert float(ours(sums)[0]) == pytest.approx(wanted, rel=1e-12)


def test_a_mean_over_no_voxels_or_no_weights_is_undefined() -> None:
    sums = sum_scores([255], [[0.5, 0.5]], ignore_index=255, quantities=["cross_entropy", "focal"])
    for loss in (cross_entropy_of(sums), focal_loss_of(sums, None)):
        assert np.isnan(loss(sums)[0])
    sums = sum_scores([0], [[0.5, 0.5]], class_weight=[0, 0], quantities=["dice"])
    assert np.isnan(soft_dice_loss_of(sums, 1e-6, True, True)(sums)[0])
