"""A limit of distances shortens the search, and where the largest one is is found by the same search."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from support.surface_oracle import elements
from support.surface_paths import all_ways

from fastseg import surface_distances
from fastseg.kernels import BACKENDS
from fastseg.kernels.numba import surface_planes
from fastseg.phantom import phantom_pair

SPACING = (3, 0.8, 0.7)


@settings(max_examples=60)
@given(
    seed=st.integers(0, 999),
    share=st.sampled_from([0.02, 0.2, 0.6]),
    limit=st.sampled_from([0, 0.7, 1, 2.1, 3, 6, 9.5, 1e-170, 1e300]),
    shape=st.sampled_from([(6, 9, 9), (70, 3, 4), (9, 40), (3, 40, 5)]),
)
def test_what_is_beyond_a_limit_is_infinite(seed: int, share: float, limit: float, shape: tuple[int, ...]) -> None:
    random = np.random.default_rng(seed)
    true, pred = (random.random((2, *shape)) < share) & (random.random(shape) < 0.5)
    options: Any = {"spacing": SPACING[-len(shape) :], "labels": [1]}
    whole = surface_distances(true, pred, backend="numpy", **options)
    found = all_ways(true, pred, max_distance=limit, **options)
    assert found == surface_distances(true, pred, max_distance=limit, backend="numpy", **options)
    for direction in ("true_to_pred", "pred_to_true"):
        every = np.repeat(*whole.row(0, 1, direction))
        expected = np.sort(np.where(every <= limit, every, np.inf))
        assert np.repeat(*found.row(0, 1, direction)).tolist() == expected.tolist()


def test_a_limit_near_by_leaves_nothing_to_the_planes(monkeypatch: pytest.MonkeyPatch) -> None:
    true, _ = phantom_pair((40, 50, 60), 4)
    pred = np.roll(true, 30, axis=2)
    expected = surface_distances(true, pred, spacing=SPACING, max_distance=5, backend="numpy")

    def refuse() -> Any:
        raise AssertionError("planes are searched")

    monkeypatch.setattr(surface_planes, "search_planes", refuse)
    assert surface_distances(true, pred, spacing=SPACING, max_distance=5, backend="numba") == expected
    far = np.zeros((2, 100, 20, 20), bool)
    far[0, 0], far[1, 99] = True, True
    found = surface_distances(*far, spacing=1, max_distance=20, backend="numba")
    assert found.row(0, 1, "true_to_pred")[0].tolist() == [np.inf]
    with pytest.raises(AssertionError, match="planes are searched"):
        surface_distances(*far, spacing=1, max_distance=120, backend="numba")


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("shape", [(5, 7, 6), (9, 11)])
def test_the_farthest_element_is_the_first_of_those_with_the_largest_distance(backend: str, shape: Any) -> None:
    spacing = SPACING[-len(shape) :]
    for seed in range(8):
        random = np.random.default_rng(seed)
        true, pred = (random.random((2, *shape)) < 0.2).astype(np.uint8)
        pred[0] = 0
        found = surface_distances(true, pred, spacing=spacing, labels=[1, 2], backend=backend)
        both = [elements(each == 1, np.zeros(shape, bool), "background") for each in (true, pred)]
        assert found.farthest is not None
        for direction, (of, to) in enumerate((both, both[::-1])):
            squares = sum(((of[:, None, a] - to[None, :, a]) * step) ** 2 for a, step in enumerate(spacing))
            first = of[int(np.asarray(squares).min(1).argmax())]
            assert found.farthest[0, 0, direction].tolist() == first.tolist()
        assert (found.farthest[0, 1] == -1).all()


def test_of_surfels_it_is_the_voxel_after_the_corner() -> None:
    true, pred = np.zeros((2, 1, 9), bool)
    true[0, 3:5] = pred[0, 3:8] = True
    for border, backend in ((b, k) for b in ("background", "extend") for k in BACKENDS):
        found = surface_distances(true, pred, spacing=1, surface="surfel", border=border, backend=backend)
        if border == "extend":  # of a single row no corner lies between voxels
            assert found.elements.tolist() == [[[0, 0]]]
            continue
        assert found.farthest is not None
        assert found.farthest[0, 0].tolist() == [[0, 3], [0, 8]]
    wide = [np.repeat(each, 3, axis=0) for each in (true, pred)]
    for backend in BACKENDS:
        found = surface_distances(*wide, spacing=1, surface="surfel", border="extend", backend=backend)
        assert found.farthest is not None
        assert found.farthest[0, 0].tolist() == [[1, 5], [1, 8]]


def test_places_go_with_their_cases_and_classes() -> None:
    true, pred = np.random.default_rng(0).integers(0, 3, (2, 3, 6, 7))
    found = surface_distances(true, pred, spacing=1, labels=[1, 2, 9], sample_axis=0)
    farthest = found.farthest
    assert farthest is not None
    assert farthest.shape == (3, 3, 2, 2)
    assert not farthest.flags.writeable
    chosen = found.cases([2, 0]).select([2])
    np.testing.assert_array_equal(chosen.farthest, farthest[[2, 0]][:, [1]])
    assert found.cases([0]).concat(found.cases([1, 2])) == found
    more = found.with_classes([5, 1])
    assert more.farthest is not None
    assert (more.farthest[:, 0] == -1).all()
    np.testing.assert_array_equal(more.farthest[:, 1], farthest[:, 0])
    assert found.pooled().farthest is None
    assert found.summed().farthest is None
    assert type(found).from_bytes(found.to_bytes()) == found
    turned = found.reversed_axes()
    np.testing.assert_array_equal(turned.farthest, farthest[..., ::-1])
    assert turned.shape.tolist() == [[7, 6]] * 3


def test_noise_has_more_elements_than_there_is_room_for_at_first() -> None:
    true, pred = np.random.default_rng(0).integers(0, 3, (2, 20, 24, 30))
    found = surface_distances(true, pred, spacing=SPACING, labels=[1, 2], backend="numba")
    assert found.elements.min() > 1 << 12
    assert found == surface_distances(true, pred, spacing=SPACING, labels=[1, 2], backend="numpy")
