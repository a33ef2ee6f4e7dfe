"""What is measured in one call is what is measured in stages, whatever there is to count and to sort."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from support.surface_paths import all_ways

from fastseg import surface_distances
from fastseg.kernels.numba import surfaces
from fastseg.kernels.numba.surface_rows import sort_distances

SHAPES = [(17, 70), (3, 130), (130, 3), (9, 8, 7), (1, 40, 41), (2, 66, 9), (40, 2, 3), (1, 1), (5, 1, 9)]


@settings(max_examples=60)
@given(
    shape=st.sampled_from(SHAPES),
    seed=st.integers(0, 999),
    share=st.sampled_from([0.003, 0.05, 0.5, 1.0]),
    surface=st.sampled_from(["voxel", "surfel", "object"]),
    border=st.sampled_from(["background", "extend"]),
    steps=st.sampled_from([(1, 1, 1), (5, 0.3, 0.3), (0.1, 0.7, 1.3), (1e-3, 1, 1e3)]),
    dtype=st.sampled_from(["?", "u1", "i2", "i8", "f4"]),
    masked=st.booleans(),
    most=st.sampled_from([None, 0, 4.5]),
)
def test_one_call_and_stages_agree(
    shape: Any, seed: int, share: float, surface: str, border: str, steps: Any, dtype: str, masked: bool, most: Any
) -> None:
    random = np.random.default_rng(seed)
    true, pred = (random.integers(1, 4, shape) * (random.random(shape) < part) for part in (share, 0.1))
    options: dict[str, Any] = {
        "spacing": steps[: len(shape)],
        "surface": surface,
        "border": border,
        "max_distance": most,
    }
    if masked:
        options["mask"] = random.random(shape) < 0.95
    all_ways(true.astype(dtype), pred.astype(dtype), **options)


@pytest.mark.parametrize("surface", ["voxel", "surfel", "object"])
def test_more_elements_than_are_searched_together(surface: str) -> None:
    random = np.random.default_rng(3)
    true, pred = (random.random((32, 33, 34)) < share for share in (0.6, 0.002))
    pred[20:] = False
    found = all_ways(true, pred, spacing=(0.7, 1, 1), surface=surface)
    assert found.elements[0, 0, 0] > 1 << 14
    all_ways(true, np.zeros_like(pred), spacing=1, surface=surface)


def test_few_elements_that_are_far_apart_are_not_searched_in_one_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their bit maps would be emptied there, which are as large as the image."""
    monkeypatch.setattr(surfaces, "SMALL", -1)
    monkeypatch.setattr(surfaces, "measure_rows", lambda *_: pytest.fail("one call"))
    monkeypatch.setattr(surfaces, "_FEW_WORDS", 70 * 4 * 78)
    true, pred = np.zeros((2, 70, 70, 70), bool)
    true[[0, -1], [0, -1], [0, -1]] = pred[[1, -3], [0, -1], [0, -1]] = True
    found = surface_distances(true, pred, spacing=1)
    assert found.distances.tolist() == [1, 2, 1, 2]
    monkeypatch.undo()
    assert all_ways(true, pred, spacing=1) == found


def test_regions_that_overlap_and_channels_are_measured_together() -> None:
    true, pred = np.random.default_rng(1).integers(0, 4, (2, 3, 20, 30))
    regions = {"a": [1, 2], "b": [2, 3], "all": [1, 2, 3], "none": 9}
    found = all_ways(true, pred, spacing=(1, 0.5), regions=regions, sample_axis=0)
    for name, labels in (("a", [1, 2]), ("b", [2, 3]), ("all", [1, 2, 3])):
        masks = [np.isin(each, labels) for each in (true, pred)]
        assert found.select([name]).rename({name: 1}) == all_ways(*masks, spacing=(1, 0.5), sample_axis=0)
    channels = all_ways(true == 1, pred == 1, spacing=(1, 0.5), channel_axis=0)
    assert channels.elements.shape == (1, 3, 2)
    for k in range(3):
        alone = surface_distances(true[k] == 1, pred[k] == 1, spacing=(1, 0.5))
        assert channels.select([k]).rename({k: 1}) == alone


def test_what_was_measured_before_leaves_nothing_behind() -> None:
    random = np.random.default_rng(0)
    pairs = [random.random((2, 40, 50)) < share for share in (0.5, 0.01, 0.2)]
    first = [surface_distances(*pair, spacing=(1, 0.8)) for pair in pairs]
    assert [surface_distances(*pair, spacing=(1, 0.8)) for pair in pairs[::-1]] == first[::-1]


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 2)), max_size=400), st.integers(0, 3))
def test_sorted_distances_are_there_once_and_in_order(pairs: list[tuple[int, int]], before: int) -> None:
    keys = np.array([(-1, -1)] * before + pairs, np.int64).reshape(-1, 2)
    distances, weights, kinds = keys[:, 0].astype(np.float64), np.ones(len(keys), np.int64), keys[:, 1].astype(np.int16)
    end = sort_distances.py_func(distances, weights, kinds, before, len(keys))  # which only kernels can call compiled
    expected, times = np.unique(keys[before:], axis=0, return_counts=True)
    assert np.transpose([distances[before:end], kinds[before:end]]).tolist() == expected.tolist()
    assert weights[before:end].tolist() == times.tolist()
    assert (distances[:before] == -1).all()
