"""Instances matched by centre, against voxel by voxel."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra.numpy import arrays

import fastseg
from fastseg import InstanceMatching, match_instances
from fastseg.metrics.instances import match_pairs, parse_match

Map = np.ndarray[Any, Any]


def centred(true: Map, pred: Map) -> dict[int, int]:
    """Return the true instance that the centre of each prediction lies in."""
    found = {}
    for p in np.unique(pred[pred > 0]).tolist():
        voxels = [index for index in np.ndindex(*pred.shape) if pred[index] == p]
        place = tuple(math.floor(sum(axis) / len(voxels) + 0.5) for axis in zip(*voxels, strict=True))
        if true[place] > 0:
            found[p] = int(true[place])
    return found


def pairs_of(matching: InstanceMatching) -> list[tuple[int, int]]:
    return list(zip(matching.pairs.true.tolist(), matching.pairs.pred.tolist(), strict=True))


@given(drawn=arrays(np.int64, st.tuples(st.just(2), st.integers(1, 6), st.integers(1, 6)), elements=st.integers(0, 4)))
@settings(max_examples=80, deadline=None)
def test_centres_voxel_by_voxel(drawn: Map) -> None:
    true, pred = drawn
    wanted = centred(true, pred)
    found = match_instances(true, pred, criterion="centre", matching="all")
    assert sorted(pairs_of(found)) == sorted((t, p) for p, t in wanted.items())
    overlap = [int(((true == t) & (pred == p)).sum()) for t, p in pairs_of(found)]
    assert found.pairs.overlap.tolist() == overlap
    iou = {p: ((true == t) & (pred == p)).sum() / ((true == t) | (pred == p)).sum() for p, t in wanted.items()}
    best = [(t, min((p for p in wanted if wanted[p] == t), key=lambda p: (-iou[p], p))) for t in {*wanted.values()}]
    for matching in ("greedy", "one_to_many"):
        once = match_instances(true, pred, criterion="centre", matching=matching)
        assert pairs_of(once) == sorted(best)
        assert once.misses.ids.tolist() == sorted({*np.unique(true[true > 0]).tolist()} - {*wanted.values()})
    optimal = match_instances(true, pred, criterion="centre", matching="optimal", centroids=False)
    assert optimal.pairs.iou.sum() == pytest.approx(sum(iou[p] for _, p in best))
    assert optimal.tp == len(best)


def test_a_hollow_prediction_finds_what_it_surrounds() -> None:
    true, pred = np.zeros((2, 5, 5), np.uint64)
    true[2, 2], pred[1:4, 1:4] = 2**63 + 1, 2**64 - 1
    pred[2, 2] = 0
    found = match_instances(true, pred, criterion="centre")
    assert (found.tp, found.fp, found.fn, found.instance_dice) == (1, 0, 0, 0.0)
    assert match_instances(true, pred, 0, criterion="overlap").tp == 0


def test_centres_of_samples_classes_and_what_is_left_out() -> None:
    true = np.array([[1, 1, 1, 0, 2, 2], [0, 0, 0, 1, 1, 1]])
    pred = np.array([[5, 5, 0, 0, 6, 0], [0, 0, 0, 0, 5, 0]])
    options: dict[str, Any] = {"sample_axis": 0, "criterion": "centre"}
    assert match_instances(true, pred, **options).pairs.case.tolist() == [0, 0, 1]
    of = {"true_classes": {1: 1, 2: 2}, "pred_classes": {5: 1, 6: 1}}
    assert match_instances(true, pred, **of, **options).tp == 2
    assert match_instances(true, pred, crowd=1, **options).tp == 1
    assert match_instances(true, pred, min_voxels=2, **options).tp == 1
    assert match_instances(true > 0, pred > 0, criterion="centre", connectivity=4).tp == 2
    assert match_instances(true, pred, **options).at(0.9).tp == 3


def test_what_centres_are_not_asked() -> None:
    with pytest.raises(ValueError, match="threshold: expected one between 0 and 1 beside criterion='centre', found 1"):
        match_instances([1], [1], 1, criterion="centre")
    with pytest.raises(ValueError, match="matching: expected another than 'merge'"):
        match_instances([1], [1], criterion="centre", matching="merge")
    with pytest.raises(ValueError, match="stuff: expected no stuff="):
        match_instances([1], [1], criterion="centre", stuff=1)
    with pytest.raises(ValueError, match="only pairs of labels are known, found 'centre'"):
        match_pairs(fastseg.count_pairs([1], [1]), criterion="centre")
    assert parse_match("Centre") == {"criterion": "centre"}
