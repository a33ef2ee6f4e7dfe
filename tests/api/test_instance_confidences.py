"""Confidences of instances, against voxel by voxel."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from fastseg import instance_confidences, label_components, match_instances


@pytest.mark.parametrize("shape", [(9, 11), (5, 6, 7)])
def test_confidences_voxel_by_voxel(shape: tuple[int, ...]) -> None:
    scores = np.random.default_rng(len(shape)).random(shape)
    components = label_components(scores > 0.6)
    ids = np.arange(1, components.max() + 1)
    for reduction, of in (("max", ndimage.maximum), ("mean", ndimage.mean)):
        found = instance_confidences(components, scores, reduction)
        assert list(found) == ids.tolist()
        assert list(found.values()) == pytest.approx(of(scores, components, ids))
    assert instance_confidences(components, scores) == instance_confidences(components, scores, "max")
    named = np.where(components > 0, components.astype(np.uint64) + 2**63, 0)
    assert list(instance_confidences(named, scores.astype(np.float16))) == [2**63 + k for k in ids.tolist()]


def test_the_ids_are_those_of_the_matching() -> None:
    draw = np.random.default_rng(0)
    scores = ndimage.gaussian_filter(draw.random((2, 12, 14, 10)), (0, 1.5, 1.5, 1.5))
    true, pred = scores[[1, 0]] > 0.51, scores > 0.51
    found = match_instances(true, pred, 0.0, sample_axis=0, connectivity=6)
    given = instance_confidences(np.stack([label_components(each, 6) for each in pred]), scores, sample_axis=0)
    assert [list(each) for each in given] == [
        found.graph.pred.ids[found.graph.pred.case == n].tolist() for n in range(2)
    ]
    assert 0 <= found.ranked(given).average_precision <= 1


def test_nothing_there() -> None:
    nothing = np.zeros((3, 4), int)
    assert instance_confidences(nothing, np.full((3, 4), np.nan)) == {}
    assert instance_confidences(nothing, nothing, sample_axis=1) == [{}] * 4


@pytest.mark.torch
def test_bfloat16() -> None:
    import torch

    assert instance_confidences(torch.tensor([[1, 2]]), torch.tensor([[0.5, 2.0]], dtype=torch.bfloat16)) == {
        1: 0.5,
        2: 2.0,
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([[1, 0]], [[0.5, 0.5, 0.5]]), "y_score: expected the shape of instances"),
        (([[1, 0]], [[0.5, 0.5]], "median"), "reduction: expected 'max' or 'mean', found 'median'"),
        (([[1, 7]], [[0.5, np.nan]]), "y_score: expected numbers, found NaN in instance 7"),
        (([[0.5, 0]], [[0.5, 0.5]]), "instances: expected whole numbers"),
        (([[True, False]], [[0.5, 0.5]]), "instances: expected ids, which fastseg.label_components makes of a mask"),
    ],
)
def test_what_is_refused(arguments: tuple, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        instance_confidences(*arguments)
