"""Rooms of scores are used again: nothing that was in one before shows in what is computed next."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastseg
from fastseg.kernels.numba import score_room


@pytest.fixture(autouse=True)
def no_rooms(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(score_room, "_idle", {})


def pair(voxels: int, channels: int = 3, seed: int = 0) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    return rng.integers(0, channels, voxels), rng.normal(0, 3, (channels, voxels)).astype(np.float32)


def sums(*arrays: Any, **options: Any) -> dict[str, Any]:
    return fastseg.sum_scores(
        *arrays, channel_axis=0, activation="softmax", quantities="all", backend="numba", **options
    ).to_dict()


def rooms() -> int:
    return sum(map(len, score_room._idle.values()))


def test_a_room_is_used_again_and_leaves_no_trace() -> None:
    small, large = pair(37), pair(5000, seed=1)
    fresh = sums(*small)
    assert rooms() == 1
    room = score_room._idle[3][0]
    far = large[1] * np.float32(1e4)
    far[0, ::7] = -np.inf
    sums(large[0], far, mask=np.arange(5000) % 3 == 0)
    sums(large[0], large[1].astype(np.float64))
    for array in (room.p, room.q, room.logs, room.others, room.truth, room.voxel):
        array[...] = np.nan  # the worst that could be left behind
    assert sums(*small) == fresh
    assert rooms() == 1
    assert score_room._idle[3][0] is room


def test_voxels_that_are_not_looked_at_may_be_anything() -> None:
    true, scores = pair(600)
    fresh = sums(true, scores)
    spoiled = scores.copy()
    spoiled[:, ::2] = np.nan
    sums(true, spoiled, mask=np.arange(600) % 2)
    assert sums(true, scores) == fresh


def test_a_room_with_forbidden_scores_is_dropped() -> None:
    true, scores = pair(100)
    fresh = sums(true, scores)
    scores[1, 5] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        sums(true, scores)
    assert rooms() == 0
    scores[1, 5] = pair(100)[1][1, 5]
    assert sums(true, scores) == fresh


def test_only_some_rooms_are_kept() -> None:
    for channels in range(2, 4 + score_room._MOST_KINDS):
        sums(*pair(10, channels))
        assert len(score_room._idle) <= score_room._MOST_KINDS
    room = score_room.ScoreRoom(2)
    for _ in range(score_room._MOST_ROOMS + 3):
        score_room.give_back(room)
    assert len(score_room._idle[2]) == score_room._MOST_ROOMS


def test_gradients_share_the_rooms() -> None:
    true, scores = pair(700)
    options: Any = {"channel_axis": 0, "sample_axis": None, "backend": "numba"}
    loss, gradient = fastseg.losses.dice_cross_entropy_with_gradient(true, scores, **options)
    assert rooms() == 1
    score_room._idle[3][0].q[...] = np.nan
    again, same = fastseg.losses.dice_cross_entropy_with_gradient(true, scores, **options)
    assert again == loss
    np.testing.assert_array_equal(same, gradient)
