"""Metrics of surfaces: by brute force, in closed form, where surfaces are missing, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support.surface_cases import SKEW, cases

import fastseg
from fastseg import SurfaceDistances, surface_distances
from fastseg.metrics.surfaces import (
    SURFACE_METRICS,
    average_surface_distance,
    average_symmetric_surface_distance,
    hausdorff_distance,
    hd95,
    mean_average_surface_distance,
    normalized_surface_dice,
    surface_overlap,
)

CASES = cases()
#: HD, HD95 (the larger; pooled), ASSD, MASD, ASD (true to pred; back), NSD at 1 mm, by comparing all pairs of voxels.
KNOWN = {
    "balls": (6.96419413859206, 5.769748694700666, 5.767148342118485, 2.5102785690715543, 2.471882577715027,
              2.795048838299133, 2.1487163171309205, 0.25792079207920793),
    "border": (63.39345392073223, 4.969909455915673, 4.96990945591567, 1.64924181333757, 1.5159830387598867,
               0.9540667611680593, 2.077899316351714, 0.5383228133453561),
    "cube": (1.0, 1.0, 1.0, 0.3360655737704918, 0.3360655737704918, 0.3360655737704918, 0.3360655737704918, 1.0),
}  # fmt: skip


def measured(name: str, **options: Any) -> SurfaceDistances:
    true, pred, spacing = CASES[name]
    return surface_distances(true, pred, spacing=spacing, **options)


def all_values(surfaces: SurfaceDistances) -> list[float]:
    values = (
        hausdorff_distance(surfaces),
        hd95(surfaces),
        hd95(surfaces, combine="pooled"),
        average_symmetric_surface_distance(surfaces),
        mean_average_surface_distance(surfaces),
        average_surface_distance(surfaces, direction="true_to_pred"),
        average_surface_distance(surfaces),
        normalized_surface_dice(surfaces, tolerance=1),
    )
    return [value.item() for value in values]


@pytest.mark.parametrize("name", KNOWN)
def test_values_of_all_pairs_of_voxels(name: str) -> None:
    assert all_values(measured(name)) == pytest.approx(KNOWN[name], rel=1e-12)


def test_where_surfaces_are_missing() -> None:
    for name, value in (("prediction empty", np.inf), ("truth empty", np.inf), ("both empty", np.nan)):
        surfaces = measured(name)
        expected = [value] * 7 + [np.nan if np.isnan(value) else 0.0]
        np.testing.assert_array_equal(all_values(surfaces), expected)
        for metric in SURFACE_METRICS.values():
            own = {"tolerance": 1.0} if "tolerance" in {p.name for p in metric.own} else {}
            found = metric(surfaces, both_empty=0.25, one_empty=374, **own)
            assert found.item() == (0.25 if name == "both empty" else 374), metric.name


def test_means_are_of_finite_values_and_the_others_are_counted() -> None:
    true = np.zeros((1, 9, 9), int)
    true[0, :3, :3], true[0, 4:7, :3], true[0, :3, 5:8] = 1, 2, 3
    pred = np.where(true == 2, 0, true)
    pred[0, 3, 6] = 3
    surfaces = surface_distances(true, pred, spacing=1, num_classes=5)
    values = hausdorff_distance(surfaces)
    assert values.shape == (1, 5)
    np.testing.assert_array_equal(values[0, 1:], [0, np.inf, 1, np.nan])
    options: Any = {"include_background": False}
    assert hausdorff_distance(surfaces, average="macro", **options).tolist() == [0.5]
    assert hausdorff_distance.defined(surfaces, **options).tolist() == [2]
    assert hausdorff_distance.missed(surfaces, **options).tolist() == [1]
    within = normalized_surface_dice(surfaces, tolerance=1.0, **options)
    np.testing.assert_array_equal(within, [[1, 0, 1, np.nan]])
    assert normalized_surface_dice(surfaces, tolerance=1.0, average="macro", **options) == pytest.approx([2 / 3])
    micro = normalized_surface_dice(surfaces, tolerance=1.0, average="micro", **options)
    assert micro == pytest.approx([1 - 9 / (9 * 5 + 1)])


@pytest.mark.parametrize("percentile", [0, 1, 33.3, 50, 95, 99.9, 100])
def test_percentiles_are_those_of_all_elements(percentile: float) -> None:
    surfaces = measured("balls")
    rows = [surfaces.row(0, 1, direction) for direction in ("true_to_pred", "pred_to_true")]
    apart = [np.percentile(np.repeat(*row), percentile) for row in rows]
    pooled = np.percentile(np.concatenate([np.repeat(*row) for row in rows]), percentile)
    assert hausdorff_distance(surfaces, percentile=percentile).item() == max(apart)
    assert hausdorff_distance(surfaces, percentile=percentile, combine="mean").item() == np.mean(apart)
    assert hausdorff_distance(surfaces, percentile=percentile, combine="pooled").item() == pooled
    steps = [row[0][np.argmax(np.cumsum(row[1]) >= percentile / 100 * row[1].sum())] for row in rows]
    assert hausdorff_distance(surfaces, percentile=percentile, interpolation="step").item() == max(steps)


def test_a_distance_that_equals_the_tolerance_is_within() -> None:
    surfaces = measured("cube")
    assert normalized_surface_dice(surfaces, tolerance=np.nextafter(1, 0)).item() == 1 - 0.3360655737704918
    assert surface_overlap(surfaces, tolerance={1: 1.0}).item() == 1
    assert normalized_surface_dice(surfaces, tolerance=[1]).item() == 1
    balls = measured("balls")
    for direction in ("true_to_pred", "pred_to_true"):
        distances, weights = balls.row(0, 1, direction)
        part = weights[distances <= 2].sum() / weights.sum()
        assert surface_overlap(balls, tolerance=2, direction=direction).item() == part


def test_functions_of_arrays() -> None:
    true, pred, _ = CASES["balls"]
    assert fastseg.hd95(true, pred, spacing=SKEW) == pytest.approx(KNOWN["balls"][1])
    maps = (true.astype(np.uint8) * 3, pred.astype(np.int64) * 3)
    assert fastseg.hd95(*maps, spacing=SKEW) == pytest.approx([KNOWN["balls"][1]])
    assert fastseg.hd95(*maps, spacing=SKEW, labels=[2, 3])[1] == pytest.approx(KNOWN["balls"][1])
    both = (np.stack([true, pred]), np.stack([pred, true]))
    found = fastseg.nsd(*both, spacing=SKEW, tolerance=1, sample_axis=0)
    assert found == pytest.approx(np.full((2, 1), KNOWN["balls"][7]))
    assert fastseg.assd(*both, spacing=SKEW, channel_axis=0) == pytest.approx([KNOWN["balls"][3]] * 2)
    surfaces = surface_distances(true, pred, spacing=SKEW)
    assert fastseg.masd(surfaces) == mean_average_surface_distance(surfaces)
    assert fastseg.hd is not fastseg.hausdorff_distance
    assert fastseg.metrics.hd95 is SURFACE_METRICS["hd95"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s: hausdorff_distance(s, percentile=101), "percentile: expected a number from 0 to 100, found 101"),
        (lambda s: hd95(s, combine="min"), "combine: expected 'max', 'mean' or 'pooled', found 'min'"),
        (
            lambda s: hd95(s, interpolation="near"),
            "interpolation: expected 'linear', 'nearest', 'step' or None, found 'near'",
        ),
        (lambda s: average_surface_distance(s, direction="both"), "direction: expected 'true_to_pred' or"),
        (lambda s: normalized_surface_dice(s, tolerance=-1), "tolerance: expected distances that are not negative"),
        (lambda s: normalized_surface_dice(s, tolerance=np.nan), "tolerance: expected distances that are not negative"),
        (lambda s: normalized_surface_dice(s, tolerance=[1, 2]), "tolerance: expected a number, or 1 for [1]; found 2"),
        (lambda s: normalized_surface_dice(s, tolerance={2: 1}), "tolerance: expected one for each class, found none"),
        (lambda s: hd95(s, average="weighted"), "average: expected None, 'macro' or 'micro', found 'weighted'"),
    ],
)
def test_wrong_values_are_refused(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message.replace("[", r"\[").replace("(", r"\(")):
        call(measured("cube"))


def test_wrong_calls_are_refused() -> None:
    true, pred, _ = CASES["cube"]
    with pytest.raises(TypeError, match=r"expected SurfaceDistances, found ndarray \(of arrays: fastseg.hd95\("):
        hd95(true)
    with pytest.raises(TypeError, match=r"spacing: expected a positive number, or 3 .*found None"):
        fastseg.hd95(true, pred)
    with pytest.raises(TypeError, match="missing a required keyword argument: 'tolerance'"):
        fastseg.nsd(true, pred, spacing=1)
    with pytest.raises(TypeError, match="missing a required argument: 'y_pred'"):
        fastseg.hd95(true, spacing=1)
    with pytest.raises(
        TypeError, match="of SurfaceDistances got an unexpected keyword argument 'spacing': it is for arrays"
    ):
        fastseg.hd95(measured("cube"), spacing=1)
    with pytest.raises(TypeError, match="unexpected keyword argument 'num_labels'"):
        fastseg.hd95(true, pred, spacing=1, num_labels=3)
