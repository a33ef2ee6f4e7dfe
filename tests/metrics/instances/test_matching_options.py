"""Options of a matching: how names may be written, and which classes of ids are none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fastseg import count_pairs, match_instances
from fastseg.metrics.instances import match_pairs


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"true_classes": {1: 1.5, 2: 1}, "pred_classes": {1: 1, 2: 1}},
            "true_classes: .* 64-bit .* integers, found 1.5",
        ),
        ({"true_classes": {1: 1, 2: 1}, "pred_classes": {1: 1, 2: 2**63}}, f"pred_classes: .* integers, found {2**63}"),
        (
            {"true_classes": {1: -(2**64), 2: 1}, "pred_classes": {1: 1, 2: 1}},
            "true_classes: .* integers, found -18446",
        ),
        ({"true_classes": {1: 1, 2: 2}}, "pred_classes: expected some beside true_classes"),
        ({"pred_classes": {1: 1, 2: 2}}, "true_classes: expected some beside pred_classes"),
    ],
)
def test_classes_that_are_none(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        match_instances([[1, 2]], [[1, 2]], **options)


def test_labels_of_components_fit_a_class() -> None:
    large = np.array([[0, 2**63 + 1]], np.uint64)
    assert match_instances(large, large).tp == 1
    with pytest.raises(ValueError, match=f"y_true: expected labels below 2\\*\\*63 of what .* found {2**63 + 1}"):
        match_instances(large, large, connectivity=8)


def test_names_with_spaces_and_hyphens() -> None:
    true, pred = np.random.default_rng(0).integers(0, 4, (2, 30))
    found = match_instances(true, pred, 0.2, criterion="Intersection over Reference", matching="many-to-one")
    wanted = match_instances(true, pred, 0.2, criterion="intersection_over_reference", matching="many_to_one")
    assert (found.rule, found.edges.tolist()) == (wanted.rule, wanted.edges.tolist())


@pytest.mark.parametrize("convention", ["brats", "brats-met"])
def test_pairs_cannot_be_grown(convention: str) -> None:
    with pytest.raises(ValueError, match=f"convention: '{convention}' grows lesions before they are matched"):
        match_pairs(count_pairs([0, 1], [0, 1]), convention=convention)
    assert match_pairs(count_pairs([0, 1], [0, 1]), convention="autopet").tp == 1


@pytest.mark.parametrize("convention", ["isles", "brats", "monai", "stardist", "fastseg"])
def test_a_case_of_nothing_is_worth_what_it_is_alone(convention: str) -> None:
    true, pred = np.zeros((2, 3, 6, 6), np.uint8)
    true[0, 1:4, 1:4] = pred[0, 1:4, 2:4] = pred[2, 0, 0] = 1
    together = match_instances(true, pred, sample_axis=0, connectivity=8, convention=convention)
    alone = [match_instances(t, p, connectivity=8, convention=convention) for t, p in zip(true, pred, strict=True)]
    for metric in ("f1", "panoptic_quality", "instance_dice"):
        assert together.of_cases(metric) == pytest.approx([each.mean(metric) for each in alone], nan_ok=True)
