"""Surfels and whole objects as surfaces: by brute force, by both backends alike, and the same however images are turned."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from support.surface_paths import all_ways
from support.surface_peers import blobs

import fastseg
from fastseg import SurfaceDistances, surface_distances
from fastseg.kernels.surfels import surfel_measures


def brute_force(true: np.ndarray, pred: np.ndarray, spacing: tuple[float, ...], border: str) -> list[Any]:
    """Return sorted (distance, area) of all surfels, from the truth to the prediction and back, by comparing all pairs."""
    found = []
    for mask in (true, pred):
        grid = np.pad(mask, 1) if border == "background" else mask
        corners = {}
        for place in np.ndindex(*[n - 1 for n in grid.shape]):
            block = grid[tuple(slice(x, x + 2) for x in place)].reshape(-1)
            if block.any() and not block.all():
                pattern = sum(int(inside) << bit for bit, inside in enumerate(block))
                corners[place] = surfel_measures(spacing)[pattern]
        found.append(corners)
    rows = []
    for here, there in (found, found[::-1]):
        others = np.array([*there]).reshape(-1, true.ndim) * spacing
        row = [
            (np.sqrt(((np.array(place) * spacing - others) ** 2).sum(1)).min() if there else np.inf, area)
            for place, area in here.items()
        ]
        rows.append(sorted(row))
    return rows


@pytest.mark.parametrize("border", ["background", "extend"])
@pytest.mark.parametrize(
    ("shape", "spacing"), [((7, 9), (1.0, 2.5)), ((5, 6, 7), (2.0, 0.5, 1.0)), ((1, 5, 6), (3.0, 1.0, 1.0))]
)
def test_all_pairs_of_corners(border: str, shape: tuple[int, ...], spacing: tuple[float, ...]) -> None:
    for seed in range(4):
        true, pred = blobs(seed, shape)
        surfaces = surface_distances(true, pred, spacing=spacing, surface="surfel", border=border, backend="numpy")
        for row, expected in enumerate(brute_force(true, pred, spacing, border)):
            where = slice(surfaces.starts[row], surfaces.starts[row + 1])
            kept = [np.repeat(array[where], surfaces.weights[where]) for array in (surfaces.distances, surfaces.areas)]
            np.testing.assert_allclose(np.transpose(kept), np.reshape(expected, (-1, 2)), rtol=1e-12)
            assert surfaces.totals.reshape(-1)[row] == pytest.approx(sum(area for _, area in expected))


@st.composite
def maps(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """Draw two label maps, ragged or in large pieces, and options."""
    shape = tuple(draw(st.lists(st.integers(1, 9), min_size=2, max_size=3)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    step = draw(st.integers(1, 4))
    coarse = rng.integers(0, 4, shape)
    true = coarse[np.ix_(*[np.arange(n) // step for n in shape])]
    pred = np.where(rng.random(shape) < draw(st.sampled_from([0.0, 0.1, 0.9])), rng.integers(0, 4, shape), true)
    options = {
        "spacing": tuple(draw(st.sampled_from([0.3, 1.0, 5.0])) for _ in shape),
        "surface": draw(st.sampled_from(["surfel", "object"])),
        "border": draw(st.sampled_from(["background", "extend"])),
        "labels": [1, 2, 3],
    }
    if draw(st.booleans()):
        options["mask"] = rng.random(shape) < 0.9
    return true.astype(np.uint8), pred.astype(np.uint8), options


@settings(max_examples=80)
@given(maps())
def test_backends_agree(drawn: tuple[np.ndarray, np.ndarray, dict[str, Any]]) -> None:
    true, pred, options = drawn
    numpy = surface_distances(true, pred, backend="numpy", **options)
    assert all_ways(true, pred, **options) == numpy


@settings(max_examples=60)
@given(maps(), st.randoms(use_true_random=False))
def test_turned_mirrored_scaled_and_exchanged(
    drawn: tuple[np.ndarray, np.ndarray, dict[str, Any]], random: Any
) -> None:
    true, pred, options = drawn
    surfaces = surface_distances(true, pred, **options)
    axes = random.sample(range(true.ndim), true.ndim)
    flips = tuple(slice(None, None, random.choice([1, -1])) for _ in axes)
    turned = dict(options, spacing=[options["spacing"][axis] for axis in axes])
    if "mask" in options:
        turned["mask"] = options["mask"][flips].transpose(axes)
    other = surface_distances(true[flips].transpose(axes), pred[flips].transpose(axes), **turned)
    same_numbers(surfaces, other)
    doubled = surface_distances(true, pred, **dict(options, spacing=[2 * step for step in options["spacing"]]))
    np.testing.assert_array_equal(doubled.distances, 2 * surfaces.distances)
    np.testing.assert_array_equal(doubled.weights, surfaces.weights)
    if surfaces.areas is not None:
        np.testing.assert_array_equal(doubled.areas, 2 ** (true.ndim - 1) * surfaces.areas)
    back = surface_distances(pred, true, **options)
    assert (back.elements == surfaces.elements[..., ::-1]).all()
    for name in (1, 2, 3):
        for one, two in zip(back.row(0, name, "true_to_pred"), surfaces.row(0, name, "pred_to_true"), strict=True):
            np.testing.assert_array_equal(one, two)


def same_numbers(one: SurfaceDistances, other: SurfaceDistances) -> None:
    """Raise AssertionError where metrics differ by more than rounding."""
    assert (one.elements == other.elements).all()
    for metric, own in (("hausdorff_distance", {}), ("assd", {}), ("masd", {}), ("nsd", {"tolerance": 1.01})):
        values = [getattr(fastseg, metric)(surfaces, **own) for surfaces in (one, other)]
        np.testing.assert_allclose(*values, rtol=1e-12)


def test_a_translation_inside_a_margin_is_the_distance() -> None:
    true = np.pad(np.ones((3, 3, 3), bool), 4)
    for shift in itertools.product((0, 2), (0, -1), (0, 3)):
        surfaces = surface_distances(true, np.roll(true, shift, (0, 1, 2)), spacing=(1, 2, 0.5), surface="surfel")
        expected = np.linalg.norm(np.multiply(shift, (1, 2, 0.5)))
        assert fastseg.hausdorff_distance(surfaces).item() == pytest.approx(expected)
        assert surfaces.areas is not None
        assert surfaces.elements.tolist() == [[[56, 56]]]  # all corners of the cube, and none inside: 4³ − 2³


def test_objects_overlap_at_no_distance() -> None:
    true, pred = np.zeros((2, 1, 9), bool)
    true[0, 1:5] = pred[0, 3:6] = True
    surfaces = surface_distances(true, pred, spacing=(1, 2), surface="object")
    assert [each.tolist() for each in surfaces.row(0, 1, "true_to_pred")] == [[0, 2, 4], [2, 1, 1]]
    assert [each.tolist() for each in surfaces.row(0, 1, "pred_to_true")] == [[0, 2], [2, 1]]


def test_statistics_with_areas_are_exact_in_any_order_of_cases() -> None:
    cases = [blobs(seed, (9, 11)) for seed in range(5)]
    each = [surface_distances(*pair, spacing=(0.7, 1.3), surface="surfel") for pair in cases]
    forth, back = (first.concat(*rest).pooled() for first, *rest in (each, each[::-1]))
    assert forth == back
    assert forth.concat(back).pooled().elements.tolist() == (2 * forth.elements).tolist()
    assert SurfaceDistances.from_bytes(forth.to_bytes()) == forth
    empty = SurfaceDistances.zeros([1], dimensions=2, surface="surfel", weighted=True)
    assert empty.merge(each[0]) == each[0]
    with pytest.raises(
        ValueError, match="surfaces differ in kind: surface is 'surfel' of one and 'voxel' of the other"
    ):
        forth.concat(surface_distances(*cases[0], spacing=1))
    with pytest.raises(ValueError, match="areas: expected a positive number for each of"):
        SurfaceDistances(**{**forth.__dict__, "areas": -forth.areas})
    with pytest.raises(ValueError, match="distances, weights: expected distances that increase within each row"):
        SurfaceDistances(**{**forth.__dict__, "areas": np.ones_like(forth.areas)})
