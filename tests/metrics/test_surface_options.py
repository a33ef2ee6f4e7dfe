"""Percentiles by each interpolation, curves over tolerances, and how two directions are joined."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st
from support.surface_peers import blobs

import fastseg
from fastseg import surface_distances
from fastseg.metrics.surface_percentiles import row_percentiles
from fastseg.metrics.surfaces import (
    SURFACE_METRICS,
    average_symmetric_surface_distance,
    hausdorff_distance,
    mean_average_surface_distance,
    normalized_surface_dice,
    surface_overlap,
)

rows = st.lists(
    st.tuples(st.integers(0, 60).map(lambda square: square**0.5), st.integers(1, 40)), min_size=1, max_size=12
)
percentiles = st.one_of(st.sampled_from([0, 5, 25, 50, 90, 95, 99, 100]), st.floats(0, 100))


def percentile_distance(distances: Any, counts: Any, kinds: Any, percent: float, interpolation: Any) -> float:
    """Return the percentile of a single row."""
    starts = np.array([0, distances.size])
    return float(row_percentiles(distances, counts, kinds, starts, percent, interpolation)[0])


def row(pairs: list[tuple[float, int]]) -> tuple[np.ndarray, np.ndarray]:
    kept = dict(sorted(pairs))
    return np.array([*kept]), np.array([*kept.values()])


@given(rows, percentiles)
def test_linear_is_numpys_of_all_elements(pairs: list[tuple[float, int]], percentile: float) -> None:
    distances, counts = row(pairs)
    every = np.repeat(distances, counts)
    assert percentile_distance(distances, counts, None, percentile, "linear") == np.percentile(every, percentile)
    nearest = percentile_distance(distances, counts, None, percentile, "nearest")
    low, high = (np.percentile(every, percentile, method=way) for way in ("lower", "higher"))
    part = (len(every) - 1) * percentile / 100 % 1
    assert nearest == (low if part <= 0.5 else high)


@given(rows, percentiles, st.lists(st.sampled_from([0.1, 0.7, 1.3]), min_size=12, max_size=12))
def test_step_is_the_first_element_that_reaches(
    pairs: list[tuple[float, int]], percentile: float, areas: list[float]
) -> None:
    distances, counts = row(pairs)
    each = np.array(areas[: distances.size])
    for kinds, interpolation in ((None, "step"), (each, "step"), (each, None)):
        measures = np.repeat(np.ones(distances.size) if kinds is None else kinds, counts)
        reached = np.cumsum(measures) / np.sum(measures)
        element = next((n for n, part in enumerate(reached) if part >= percentile / 100), measures.size - 1)
        expected = np.repeat(distances, counts)[element]
        assert percentile_distance(distances, counts, kinds, percentile, interpolation) == expected


def test_what_a_percentile_is_of_infinite_distances_and_of_nothing() -> None:
    distances, counts = np.array([0.5, 2.0, np.inf]), np.array([2, 1, 1])
    expected = {"linear": (0.8, 1.7), "nearest": (0.5, 2.0), "step": (0.5, 2.0), None: (0.8, 1.7)}  # ranks 1.2 and 1.8
    for interpolation in ("linear", "nearest", "step", None):
        found = [percentile_distance(distances, counts, None, q, interpolation) for q in (0, 40, 60, 100)]
        assert found == pytest.approx([0.5, *expected[interpolation], np.inf])
        assert np.isnan(percentile_distance(distances[:0], counts[:0], None, 95, interpolation))
    assert percentile_distance(distances, counts, None, 90, "linear") == np.inf


@pytest.mark.parametrize("surface", ["voxel", "surfel"])
def test_a_curve_is_all_of_its_tolerances(surface: str) -> None:
    true, pred = (np.stack(maps) for maps in zip(blobs(1, (9, 12)), blobs(2, (9, 12)), strict=True))
    surfaces = surface_distances(
        true * np.array([1, 2])[:, None, None],
        pred * np.array([1, 2])[:, None, None],
        spacing=(1, 1, 0.5),
        labels=[1, 2],
        surface=surface,
    )
    assert surfaces.elements.all(2).all()
    tolerances = np.linspace(0, 3, 7)
    options: list[Any] = [(normalized_surface_dice, {}), (normalized_surface_dice, {"combine": "mean"})]
    options += [(surface_overlap, {"direction": way}) for way in ("true_to_pred", "pred_to_true")]
    for metric, own in options:
        curve = metric(surfaces, tolerance=tolerances[:, None], **own)
        assert curve.shape == (1, 2, 7)
        for n, tolerance in enumerate(tolerances):
            np.testing.assert_array_equal(curve[..., n], metric(surfaces, tolerance=tolerance, **own))
        assert (np.diff(curve) >= 0).all()
        each = np.stack([tolerances, tolerances[::-1]], axis=1)
        np.testing.assert_array_equal(metric(surfaces, tolerance=each, **own)[0, 0], curve[0, 0])
        np.testing.assert_array_equal(metric(surfaces, tolerance=each.tolist(), **own)[0, 1], curve[0, 1, ::-1])
        by_name = metric(surfaces, tolerance={1: 0.5, 2: 1.0}, **own)
        np.testing.assert_array_equal(by_name[0], [curve[0, 0, 1], curve[0, 1, 2]])
        macro = metric(surfaces, tolerance=tolerances[:, None], average="macro", **own)
        np.testing.assert_allclose(macro, curve.mean(1))
        assert metric(surfaces, tolerance=tolerances[:, None], average="micro", **own).shape == (1, 7)


def test_curves_of_missing_classes_and_of_arrays() -> None:
    true = np.zeros((8, 8), bool)
    true[2:5, 2:5] = True
    curve = [[0.0], [1.0]]
    assert fastseg.nsd(true, true, spacing=1, tolerance=curve).tolist() == [1, 1]
    assert fastseg.nsd(true, ~true & False, spacing=1, tolerance=curve).tolist() == [0, 0]
    assert np.isnan(fastseg.nsd(~true & False, ~true & False, spacing=1, tolerance=curve)).tolist() == [True, True]
    labels = true.astype(int)
    assert fastseg.nsd(labels, labels, spacing=1, tolerance=curve).tolist() == [[1, 1]]
    assert fastseg.nsd(labels, labels, spacing=1, tolerance=curve, average="macro").tolist() == [1, 1]


@pytest.mark.parametrize(
    ("tolerance", "message"),
    [
        ([1, 2, 3], "expected a number, or 1 for [1]; found 3 (a curve is rows of one, or of 1)"),
        ([[1, 2], [3, 4]], "expected a number, or 1 for [1]; found 2"),
        ([[[1]]], "expected a number, or 1 for [1]; found 1"),
        ([[1], [-1]], "expected distances that are not negative"),
        ([[1], [np.nan]], "expected distances that are not negative"),
    ],
)
def test_tolerances_that_are_none(tolerance: Any, message: str) -> None:
    surfaces = surface_distances([[True, False]], [[True, True]], spacing=1)
    with pytest.raises(
        ValueError, match="tolerance: " + message.replace("[", r"\[").replace("(", r"\(").replace(")", r"\)")
    ):
        normalized_surface_dice(surfaces, tolerance=tolerance)
    with pytest.raises(TypeError, match="tolerance: expected a number, found 'a'"):
        normalized_surface_dice(surfaces, tolerance=["a"])


def test_how_directions_are_joined() -> None:
    true, pred = blobs(7, (11, 13))
    surfaces = surface_distances(true, pred, spacing=(1, 0.7))
    directions = [np.repeat(*surfaces.row(0, 1, way)) for way in ("true_to_pred", "pred_to_true")]
    for q in (50, 95, 100):
        each = [np.percentile(values, q) for values in directions]
        expected = {"max": max(each), "mean": np.mean(each), "pooled": np.percentile(np.concatenate(directions), q)}
        for combine, value in expected.items():
            assert hausdorff_distance(surfaces, percentile=q, combine=combine).item() == pytest.approx(value, rel=1e-15)
    mean = average_symmetric_surface_distance(surfaces, combine="mean")
    assert mean == mean_average_surface_distance(surfaces)
    assert mean.item() == pytest.approx(np.mean([values.mean() for values in directions]))
    pooled = average_symmetric_surface_distance(surfaces)
    assert pooled.item() == pytest.approx(np.concatenate(directions).mean())
    for metric, options in ((average_symmetric_surface_distance, {}), (normalized_surface_dice, {"tolerance": 1})):
        with pytest.raises(ValueError, match="combine: expected 'pooled' or 'mean', found 'max'"):
            metric(surfaces, combine="max", **options)


def test_nothing_within_the_tolerance_is_0() -> None:
    true, pred = np.zeros((2, 3, 20), bool)
    true[1, 2:5] = pred[1, 12:15] = True
    for metric, own in ((fastseg.nsd, {}), (fastseg.surface_overlap, {}), (fastseg.nsd, {"combine": "mean"})):
        assert metric(true, pred, spacing=1, tolerance=7, **own) == 0.0
        assert metric(true, pred, spacing=1, tolerance=[[7], [8]], **own).tolist() == pytest.approx([0, 1 / 3])


def test_what_is_known_of_each_metric_is_so() -> None:
    pairs = [blobs(seed, (9, 11)) for seed in range(6)]
    for metric in SURFACE_METRICS.values():
        own = {"tolerance": 0.8} if "tolerance" in {p.name for p in metric.own} else {}
        forth, back = (
            np.concatenate([metric(surface_distances(*pair[::way], spacing=(1, 0.7)), **own) for pair in pairs])
            for way in (1, -1)
        )
        assert (np.abs(forth - back).max() < 1e-12) == metric.symmetric
        low, high = metric.range
        assert low == 0
        assert ((forth >= low) & (forth <= high)).all()
        assert (high == 1) == (metric.unit == "") == (metric.better == "higher") == (metric.worst == 0)
        assert high in (1, np.inf)
        same = metric(surface_distances(pairs[0][0], pairs[0][0], spacing=1), **own).item()
        assert same == (high if metric.better == "higher" else low)


def test_a_surface_of_one_element_is_there() -> None:
    true, pred = np.zeros((2, 3, 6), bool)
    true[1, 1] = pred[1, 4] = True
    assert fastseg.hausdorff_distance(true, pred, spacing=2) == fastseg.assd(true, pred, spacing=2) == 6
    with pytest.raises(ValueError, match="direction: expected 'true_to_pred' or 'pred_to_true', found 'both'"):
        fastseg.surface_overlap(true, pred, spacing=2, tolerance=1, direction="both")


def test_slices_are_samples() -> None:
    true, pred = blobs(3, (4, 9, 10))
    found = fastseg.hd95(true, pred, spacing=(1, 0.5), sample_axis=0)
    for n in range(4):
        np.testing.assert_array_equal(found[n, 0], fastseg.hd95(true[n], pred[n], spacing=(1, 0.5)))


def test_a_tolerance_is_not_beyond_what_was_measured() -> None:
    true = np.zeros((9, 20), bool)
    true[2:7, 2:7] = True
    pred = np.roll(true, 5, 1)
    near = surface_distances(true, pred, spacing=1, max_distance=2)
    whole = surface_distances(true, pred, spacing=1)
    for tolerance in (0, 2, [[0.5], [2]], np.inf):
        assert (
            normalized_surface_dice(near, tolerance=tolerance) == normalized_surface_dice(whole, tolerance=tolerance)
        ).all()
    for metric in (normalized_surface_dice, surface_overlap):
        with pytest.raises(
            ValueError, match="tolerance: expected at most 2, beyond which nothing was measured .* found 5"
        ):
            metric(near, tolerance=[[1], [5]])
    with pytest.raises(ValueError, match="tolerance: expected at most 2"):
        fastseg.nsd(true, pred, spacing=1, tolerance=5, max_distance=2)
