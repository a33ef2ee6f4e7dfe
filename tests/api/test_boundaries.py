"""Boundary IoU and centreline Dice: as other packages have them, by hand, and what is refused."""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy import ndimage
from support.surface_cases import cases
from support.surface_peers import blobs, said

import fastseg
from fastseg import boundary_iou, centerline_dice, count_boundaries, count_centerlines, metrics

CASES = cases()


@pytest.mark.parametrize("case", CASES)
def test_boundary_iou_is_what_the_packages_said(case: str) -> None:
    true, pred, _ = CASES[case]
    for package, number in (("boundary-iou-api", "biou_erosion26_d2"), ("metrics-reloaded", "biou_d2_voxels")):
        found = boundary_iou(true, pred, distance=2, convention=package)
        assert found == pytest.approx(said()[package][case][number], rel=1e-12)


@pytest.mark.parametrize("case", CASES)
def test_centerline_dice_is_what_the_package_said(case: str) -> None:
    true, pred, _ = CASES[case]
    assert centerline_dice(true, pred) == pytest.approx(said()["metrics-reloaded"][case]["cldice"], nan_ok=True)


@settings(max_examples=40)
@given(st.integers(0, 10**6), st.integers(1, 4), st.sampled_from([(9, 14), (6, 7, 8), (1, 9, 9)]))
def test_bands_are_eroded_step_by_step(seed: int, steps: int, shape: tuple[int, ...]) -> None:
    true, pred = blobs(seed, shape)
    bands = []
    for mask in (true, pred):
        inner = ndimage.binary_erosion(np.pad(mask, 1), np.ones([3] * mask.ndim), iterations=steps)
        bands.append(mask & ~inner[(slice(1, -1),) * mask.ndim])
    counts = count_boundaries(true, pred, distance=steps)
    expected = fastseg.count_masks(*bands, channel_axis=None)
    for name in ("tp", "fp", "fn", "tn", "voxels"):
        assert (getattr(counts, name) == getattr(expected, name)).all()


def test_the_width_is_of_the_diagonal() -> None:
    true, pred = blobs(3, (90, 120))  # 2% of 150
    assert count_boundaries(true, pred) == count_boundaries(true, pred, distance=3)
    three = np.stack([true, true]), np.stack([pred, pred])
    assert count_boundaries(*three, sample_axis=0).tp.tolist() == [count_boundaries(true, pred).tp[0].tolist()] * 2
    assert count_boundaries(*three, channel_axis=0).tp.tolist() == [[count_boundaries(true, pred).tp.item()] * 2]


def test_euclidean_bands_are_nearer_than_the_distance() -> None:
    true = np.ones((5, 9), bool)
    near = count_boundaries(true, true, band="euclidean", distance=1.0).tp.item()
    assert near == 2 * 9 + 2 * 3  # the border itself
    assert count_boundaries(true, true, band="euclidean", distance=1.01).tp.item() == near + 2 * 7 + 2
    wide = count_boundaries(true, true, band="euclidean", distance=1.0, spacing=(0.5, 1)).tp.item()
    assert wide == near + 2 * 7  # the second rows


def test_classes_regions_samples_and_averages() -> None:
    rng = np.random.default_rng(0)
    true, pred = (np.kron(rng.integers(0, 4, (2, 4, 5)), np.ones((1, 4, 9), int)) for _ in range(2))
    for function in (boundary_iou, centerline_dice):
        values = function(true, pred, labels=[1, 2, 3], sample_axis=0)
        assert values.shape == (2, 3)
        assert len({*values.ravel()}) == 6
        for n in range(2):
            np.testing.assert_array_equal(function(true[n], pred[n], labels=[1, 2, 3]), values[n])
            for k in (1, 2, 3):
                alone = function(true[n] == k, pred[n] == k)
                assert isinstance(alone, float)
                assert alone == pytest.approx(values[n, k - 1], nan_ok=True)
        regions = function(true[0], pred[0], regions={"all": [1, 2, 3], "one": 1})
        expected = [function(true[0] > 0, pred[0] > 0), values[0, 0]]
        np.testing.assert_array_equal(regions, expected)
        np.testing.assert_array_equal(
            function(true[0], pred[0], num_classes=4, include_background=False), function(true[0], pred[0])
        )
        assert function(true[0], pred[0], num_classes=4).shape == (4,)
        macro = function(true[0], pred[0], average="macro")
        assert macro == pytest.approx(np.nanmean(values[0]))
        hot = [fastseg.one_hot(each[0], 4, channel_axis=0, dtype=bool)[1:] for each in (true, pred)]
        np.testing.assert_array_equal(function(*hot, channel_axis=0), values[0])


def test_counts_are_kept_and_added_up() -> None:
    pairs = [blobs(seed, (20, 22)) for seed in range(3)]
    for count, metric, function in (
        (count_boundaries, metrics.boundary_iou, boundary_iou),
        (count_centerlines, metrics.centerline_dice, centerline_dice),
    ):
        each = [count(*pair) for pair in pairs]
        joined = each[0].concat(*each[1:])
        np.testing.assert_array_equal(metric(joined)[:, 0], [function(*pair) for pair in pairs])
        assert type(joined).from_bytes(joined.to_bytes()) == joined
        assert metric(joined.pooled()).shape == (1, 1)
        assert (metric(joined, average="micro") == metric(joined)[:, 0]).all()
        with pytest.raises(ValueError, match="counts differ in their classes"):
            joined.concat(count(*pairs[0], regions={"a": 1}))


def test_missed_lines_are_0_and_no_lines_undefined() -> None:
    true, pred = np.zeros((2, 9, 20), bool)
    true[2, 2:18], pred[6, 2:18] = True, True
    assert centerline_dice(true, pred) == 0.0
    assert math.isnan(centerline_dice(true, np.zeros_like(true)))
    assert centerline_dice(true, np.zeros_like(true), zero_division=0) == 0.0
    assert math.isnan(boundary_iou(pred & true, pred & true))
    one, none = np.array([[[0, 0]]]), np.array([[[0, 1]]])
    assert metrics.centerline_dice(fastseg.CenterlineCounts((1,), one, one + 1)) == 0.0
    assert np.isnan(metrics.centerline_dice(fastseg.CenterlineCounts((1,), one, none)))


def test_what_is_known_of_the_two_is_so() -> None:
    for metric in metrics.PART_METRICS.values():
        assert metric.symmetric
        assert metric.better == "higher"
        assert metric.range == (0, 1)
    for function in (boundary_iou, centerline_dice):
        for seed in range(4):
            true, pred = blobs(seed, (20, 22))
            assert function(true, pred) == pytest.approx(function(pred, true), rel=1e-15)
            assert 0 < function(true, pred) < 1
            assert function(true, true) == 1


REFUSED: list[tuple[Any, type[Exception], str]] = [
    (lambda a: boundary_iou(a, a, distance=0), ValueError, "distance: expected an integer of at least 1, found 0"),
    (lambda a: boundary_iou(a, a, distance=1.5), TypeError, "distance: expected an integer, found 1.5"),
    (
        lambda a: boundary_iou(a, a, band="square"),
        ValueError,
        "band: expected 'chebyshev' or 'euclidean', found 'square'",
    ),
    (lambda a: boundary_iou(a, a, band="euclidean"), TypeError, "distance: expected a number for band='euclidean'"),
    (lambda a: boundary_iou(a, a, convention="monai"), ValueError, "convention: expected 'boundary-iou-api' or"),
    (lambda a: boundary_iou(a, a[:1]), ValueError, "shape"),
    (lambda a: centerline_dice(a[0], a[0]), ValueError, "expected two or three axes of space"),
    (lambda a: centerline_dice(a, a, average="weighted"), ValueError, "average: expected None, 'macro' or 'micro'"),
    (lambda a: metrics.boundary_iou(fastseg.count_labels(a, a)), TypeError, "counts: expected BoundaryCounts, found"),
    (lambda a: metrics.boundary_iou(fastseg.count_masks(a, a)), TypeError, "counts: expected BoundaryCounts, found"),
    (
        lambda a: metrics.centerline_dice(fastseg.count_masks(a, a)),
        TypeError,
        "counts: expected CenterlineCounts, found",
    ),
    (
        lambda a: count_boundaries(a, a).merge(fastseg.count_masks(a, a, channel_axis=None)),
        TypeError,
        "other: expected BoundaryCounts, found BinaryCounts",
    ),
    (
        lambda a: fastseg.CenterlineCounts((1,), np.array([[[2, 0]]]), np.array([[[1, 1]]])),
        ValueError,
        "inside: expected numbers from 0 to those of total",
    ),
]


@pytest.mark.parametrize(("call", "error", "message"), REFUSED)
def test_what_is_refused(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message.replace("(", r"\(")):
        call(np.eye(6, dtype=bool))


def test_without_scikit_image_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "skimage.morphology", None)
    with pytest.raises(ImportError, match=r"pip install 'fastseg-metrics\[skeleton\]'"):
        centerline_dice(np.eye(6, dtype=bool), np.eye(6, dtype=bool))


def test_without_a_spacing_it_is_that_of_the_images_else_one() -> None:
    nibabel = pytest.importorskip("nibabel")
    true, pred = blobs(4, (12, 14))
    options: Any = {"band": "euclidean", "distance": 0.9}
    assert boundary_iou(true, pred, **options) == boundary_iou(true, pred, spacing=1, **options)
    volumes = [np.stack([each] * 5).astype(np.uint8) for each in (true, pred)]
    images = [nibabel.Nifti1Image(each, np.diag([3.0, 0.5, 0.5, 1])) for each in volumes]
    found = boundary_iou(*images, labels=[1], **options)
    assert found == boundary_iou(*volumes, labels=[1], spacing=(3, 0.5, 0.5), **options)
    assert found != boundary_iou(*volumes, labels=[1], **options)
    steps = boundary_iou(*images, labels=[1], distance=1)
    assert steps == boundary_iou(*volumes, labels=[1], distance=1)
