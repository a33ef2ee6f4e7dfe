"""Components: against a flood fill, by both libraries, with every option of protocols."""

from __future__ import annotations

import itertools

import cc3d
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import binary_dilation, generate_binary_structure

import fastseg
from fastseg.counting import components
from fastseg.counting.components import FULL, NEIGHBOURS


def flood(labels: np.ndarray, neighbours: int) -> np.ndarray:
    """Number components one voxel at a time, in the order of their first voxels."""
    reach = NEIGHBOURS[labels.ndim][neighbours]
    steps = [s for s in itertools.product((-1, 0, 1), repeat=labels.ndim) if 0 < np.abs(s).sum() <= reach]
    found = np.zeros(labels.shape, np.int32)
    count = 0
    for start in np.ndindex(labels.shape):
        if labels[start] and not found[start]:
            count += 1
            found[start] = count
            waiting = [start]
            while waiting:
                here = waiting.pop()
                for step in steps:
                    there = tuple(int(a + b) for a, b in zip(here, step, strict=True))
                    inside = all(0 <= a < n for a, n in zip(there, labels.shape, strict=True))
                    if inside and labels[there] == labels[here] and not found[there]:
                        found[there] = count
                        waiting.append(there)
    return found


def maps(dtype: type) -> st.SearchStrategy[np.ndarray]:
    shapes = st.lists(st.integers(1, 6), min_size=2, max_size=3).map(tuple)
    values = st.booleans() if dtype is bool else st.integers(-1, 2)
    return shapes.flatmap(lambda shape: arrays(dtype, shape, elements=values))


@pytest.mark.parametrize("dtype", [bool, np.int16])
@given(data=st.data())
@settings(max_examples=80, deadline=None)
def test_components_are_a_flood_fill(dtype: type, data: st.DataObject) -> None:
    labels = data.draw(maps(dtype))
    neighbours = data.draw(st.sampled_from(sorted(NEIGHBOURS[labels.ndim])))
    assert fastseg.label_components(labels, neighbours).tolist() == flood(labels, neighbours).tolist()


@pytest.mark.parametrize("neighbours", [6, 18, 26])
def test_connected_components_3d_says_the_same(neighbours: int) -> None:
    labels = np.random.default_rng(0).integers(0, 3, (20, 30, 40)).astype(np.uint8)
    theirs = cc3d.connected_components(labels, connectivity=neighbours)
    ours = fastseg.label_components(labels, neighbours)
    assert len(fastseg.count_pairs(ours, theirs).counts) == ours.max() + 1 == theirs.max() + 1


def test_a_single_row() -> None:
    """Of which connected-components-3d 4.1 makes a component of background, too."""
    assert fastseg.label_components([[True, False, False, True]]).tolist() == [[1, 0, 0, 2]]


def test_more_runs_than_there_is_memory_for(monkeypatch: pytest.MonkeyPatch) -> None:
    noise = np.random.default_rng(0).random((40, 60, 50)) < 0.5
    monkeypatch.setattr(components, "available_memory", lambda: 128 * 20_000)
    with pytest.raises(
        ValueError, match=r"at most 20,000 runs of voxels, .* found more in a map of shape \(40, 60, 50\)"
    ):
        fastseg.label_components(noise)
    with pytest.raises(ValueError, match="at most 20,000 runs of voxels"):
        fastseg.match_instances(noise, noise)
    monkeypatch.setattr(components, "available_memory", lambda: None)
    assert fastseg.label_components(noise).max() > 0


def test_neighbours_decide_what_is_one() -> None:
    corner = np.zeros((4, 4, 4), np.uint8)
    corner[:2, :2, :2] = corner[2:, 2:, 2:] = 1
    edge = np.zeros((4, 4, 4), bool)
    edge[:2, :2, :2] = edge[2:, 2:, :2] = True
    assert [int(fastseg.label_components(corner, n).max()) for n in (6, 18, 26)] == [2, 2, 1]
    assert [int(fastseg.label_components(edge, n).max()) for n in (6, 18, 26)] == [2, 1, 1]
    assert fastseg.label_components(corner).max() == 1
    assert fastseg.label_components(corner[:, :, 1][1:3, 1:3], connectivity=4).tolist() == [[1, 0], [0, 0]]


def test_labels_regions_and_each_label_apart() -> None:
    labels = np.array([[1, 2, 0, 3], [1, 2, 0, 3]])
    assert fastseg.label_components(labels).tolist() == [[1, 2, 0, 3], [1, 2, 0, 3]]
    assert fastseg.label_components(labels, labels=[3, 1]).tolist() == [[1, 0, 0, 2], [1, 0, 0, 2]]
    assert fastseg.label_components(labels, region=[1, 2]).tolist() == [[1, 1, 0, 0], [1, 1, 0, 0]]
    assert fastseg.label_components(labels.astype(np.float32)).dtype == np.int32
    assert fastseg.label_components(np.asfortranarray(labels > 0)).tolist() == [[1, 1, 0, 2], [1, 1, 0, 2]]


def test_what_meets_once_it_is_grown_is_one() -> None:
    gap = np.array([[1, 0, 0, 1, 0, 0, 0, 1, 2]])
    assert fastseg.label_components(gap, 4, dilation=1).tolist() == [[1, 0, 0, 1, 0, 0, 0, 2, 3]]
    assert fastseg.label_components(gap, 4, dilation=2).tolist() == [[1, 0, 0, 1, 0, 0, 0, 1, 2]]
    diagonal = np.zeros((6, 6), bool)
    diagonal[0, 0] = diagonal[3, 3] = True
    assert fastseg.label_components(diagonal, 8, dilation=1).max() == 1
    assert fastseg.label_components(diagonal, 8, dilation=1, dilation_connectivity=4).max() == 2


@given(mask=maps(bool), steps=st.integers(1, 3), data=st.data())
@settings(max_examples=40, deadline=None)
def test_growing_is_that_of_scipy(mask: np.ndarray, steps: int, data: st.DataObject) -> None:
    neighbours, reach = data.draw(st.sampled_from(sorted(NEIGHBOURS[mask.ndim].items())))
    structure = generate_binary_structure(mask.ndim, reach)
    wanted = binary_dilation(mask, structure, iterations=steps)
    assert components._dilated(mask, steps, neighbours).tolist() == wanted.tolist()


def test_small_ones_and_holes() -> None:
    mask = np.array([[1, 0, 1, 1, 0, 1, 1, 1]], bool)[None]
    assert fastseg.label_components(mask, min_voxels=2).tolist() == [[[0, 0, 1, 1, 0, 2, 2, 2]]]
    assert fastseg.label_components(mask, min_ml=0.003, spacing=1).tolist() == [[[0, 0, 0, 0, 0, 1, 1, 1]]]
    assert fastseg.label_components(mask, min_ml=0.008, spacing=(1, 2, 2)).tolist() == [[[0, 0, 1, 1, 0, 2, 2, 2]]]
    ring = np.full((3, 3), 7)
    ring[1, 1] = 0
    assert fastseg.label_components(ring, fill_holes=True).tolist() == np.ones((3, 3), int).tolist()
    ring[1, 1] = 2  # what is something else is no hole
    assert fastseg.label_components(ring, fill_holes=True)[1, 1] == 2


@pytest.mark.parametrize("shape", [(0, 3), (2, 0, 2), (1, 1)])
def test_nothing_there(shape: tuple[int, ...]) -> None:
    found = fastseg.label_components(np.zeros(shape, bool), FULL[len(shape)], dilation=1)
    assert (found.shape, found.dtype, found.any()) == (shape, np.int32, False)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ([np.zeros(3, bool)], {}, r"mask_or_labels: expected two or three axes, found shape \(3,\)"),
        ([np.zeros((2, 2), bool), 26], {}, "connectivity: expected 4 or 8 of maps with 2 axes, found 26"),
        ([np.zeros((2, 2, 2), bool), 8], {}, "connectivity: expected 6 or 18 or 26 of maps with 3 axes, found 8"),
        ([[[0.5, 1.0]]], {}, r"mask_or_labels: expected whole numbers, found 1 .* the first is 0.5 at index \(0, 0\)"),
        ([np.eye(2)], {"labels": 1, "region": 1}, "region: expected labels= or region=, found both"),
        ([np.eye(2)], {"min_ml": 1.0}, "min_ml: expected spacing= of three axes in mm"),
        ([np.eye(2)], {"spacing": (1, 2, 3)}, "spacing: expected a number for each of 2 axes, found 3"),
        ([np.eye(2)], {"dilation": -1}, "dilation: expected an integer of at least 0"),
    ],
)
def test_what_is_refused(arguments: list, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fastseg.label_components(*arguments, **options)
