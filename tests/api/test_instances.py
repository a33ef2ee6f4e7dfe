"""Instances of masks, of maps of classes and of images; where they lie; what is refused."""

from __future__ import annotations

from typing import Any

import dask.array as dask_array
import nibabel
import numpy as np
import pytest
import SimpleITK
from hypothesis import given, settings, strategies as st
from hypothesis.extra.numpy import arrays
from support.instance_cases import lesions

import fastseg
from fastseg import label_components, match_instances
from fastseg.counting import centroids, instances


def test_masks_are_taken_apart() -> None:
    true = np.array([[1, 1, 0, 1], [0, 0, 0, 1], [1, 0, 0, 0]], bool)
    pred = np.array([[1, 1, 0, 0], [0, 0, 0, 0], [0, 1, 0, 0]], bool)
    found = match_instances(true, pred)
    assert (found.tp, found.fp, found.fn) == (1, 1, 2)
    assert found.misses.voxels.tolist() == [2, 1]
    again = match_instances(label_components(true), label_components(pred))
    assert again.pairs.iou.tolist() == found.pairs.iou.tolist()
    counted = match_instances(true.astype(np.uint8), pred.astype(np.uint8), connectivity=8)
    assert (counted.tp, counted.fp, counted.fn) == (1, 1, 2)


def test_neighbours_of_conventions_depend_on_the_axes() -> None:
    corner = np.eye(4, dtype=bool)
    assert len(match_instances(corner, corner).pairs) == 1
    assert len(match_instances(corner, corner, convention="panoptica").pairs) == 4
    assert len(match_instances(corner, corner, convention="panoptica", connectivity=8).pairs) == 1


def test_classes_of_a_map_are_those_of_its_components() -> None:
    true = np.array([[1, 1, 2, 2, 0, 3], [1, 1, 2, 2, 0, 3]])
    pred = np.array([[1, 1, 2, 0, 0, 2], [1, 1, 2, 0, 0, 2]])
    found = match_instances(true, pred, connectivity=4, strict=False)
    assert found.classes.tolist() == [1, 2, 3]
    assert found.of_classes("f1") == pytest.approx([1.0, 2 / 3, 0.0])
    assert match_instances(true, pred, labels=[1, 2], strict=False).classes.tolist() == [1, 2]
    union = match_instances(true, pred, region=[1, 2, 3])
    assert (union.tp, union.classes.tolist()) == (2, [1])


def test_samples_of_masks() -> None:
    rng = np.random.default_rng(1)
    true, pred = rng.random((2, 7, 9, 3)) < 0.3
    together = match_instances(true, pred, sample_axis=2, threshold=0.2)
    alone = [match_instances(true[..., n], pred[..., n], threshold=0.2) for n in range(3)]
    assert together.of_cases("f1") == pytest.approx([each.f1 for each in alone], nan_ok=True)
    places = [tuple(place) for each in alone for place in each.misses.centroids]
    assert [tuple(place) for place in together.misses.centroids] == places
    brats = match_instances(true, pred, sample_axis=2, convention="brats-met")
    each = [match_instances(true[..., n], pred[..., n], convention="brats-met") for n in range(3)]
    assert brats.of_cases("instance_dice") == pytest.approx([case.instance_dice for case in each])


@given(labels=arrays(np.int16, st.tuples(*[st.integers(1, 5)] * 3), elements=st.integers(-2, 3)))
@settings(max_examples=40, deadline=None)
def test_centroids_are_means_of_indices(labels: np.ndarray) -> None:
    for each in (labels, labels.transpose(2, 0, 1), labels[:, 0], labels[0, 0]):
        ids = np.unique(each)
        wanted = [np.argwhere(each == label).mean(0) for label in ids]
        found, boxes = centroids.centroids_and_boxes(each, ids)
        assert found == pytest.approx(np.array(wanted))
        ends = [[np.argwhere(each == label).min(0), np.argwhere(each == label).max(0) + 1] for label in ids]
        assert boxes.tolist() == np.array(ends).swapaxes(1, 2).tolist()


def test_centroids_over_slabs(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = np.random.default_rng(2).integers(0, 3, (9, 5, 4))
    whole, boxes = centroids.centroids_and_boxes(labels, np.arange(4))
    monkeypatch.setattr(centroids, "_SLAB", 8)
    again = centroids.centroids_and_boxes(labels, np.arange(4))
    assert again[0] == pytest.approx(whole, nan_ok=True)
    assert again[1][:3].tolist() == boxes[:3].tolist()
    assert np.isnan(whole[3]).all()


def test_places_in_mm() -> None:
    true = np.zeros((4, 5, 6), np.uint8)
    true[1:3, 2, 3:6] = 1
    nothing = np.zeros_like(true)
    assert match_instances(true, nothing).misses.centroids.tolist() == [[1.5, 2.0, 4.0]]
    spaced = match_instances(true, nothing, spacing=(2, 1, 0.5))
    assert spaced.misses.centroids.tolist() == [[3.0, 2.0, 2.0]]
    assert spaced.voxel_ml == 0.001
    assert match_instances(true, nothing, centroids=False).misses.centroids is None
    affine = np.diag([2.0, 3, 4, 1])
    affine[:3, 3] = 10, 20, 30
    images = (nibabel.Nifti1Image(each, affine) for each in (true, nothing))
    placed = match_instances(*images)
    assert placed.misses.centroids == pytest.approx(np.array([[13.0, 26.0, 46.0]]))
    assert placed.voxel_ml == pytest.approx(0.024)
    images = (SimpleITK.GetImageFromArray(each.transpose(2, 1, 0)) for each in (true, nothing))
    itk = match_instances(*(_placed(image) for image in images))
    assert itk.misses.centroids == pytest.approx(np.array([[-13.0, -26.0, 46.0]]))  # RAS: ITK's x and y the other way


def test_volumes_in_ml() -> None:
    true, pred = np.zeros((2, 4, 5, 6), bool)
    true[0, 0, :3] = pred[3, 4, 4:] = True
    found = match_instances(true, pred, spacing=(10, 1, 1))
    volumes = found.false_negative_ml, found.false_positive_ml, found.volume_difference_ml
    assert volumes == pytest.approx((0.03, 0.02, 0.01))
    assert np.isnan(match_instances(true, pred).false_negative_ml)
    assert match_instances(true, pred, min_ml=0.025, spacing=(10, 1, 1)).fp == 0
    with pytest.raises(ValueError, match="min_ml: expected spacing="):
        match_instances(true, pred, min_ml=0.025)


def test_boxes() -> None:
    true, pred = np.zeros((2, 4, 5, 6), bool)
    true[1:3, 2, 3:6] = pred[0, 0, 0] = True
    for maps in ((true, pred), (true * 7, pred * 9)):
        found = match_instances(*maps)
        assert found.misses.boxes.tolist() == [[[1, 3], [2, 3], [3, 6]]]
        assert [row["box"] for row in found.rows()] == [[[1, 3], [2, 3], [3, 6]], [[0, 1], [0, 1], [0, 1]]]


def test_ids_beyond_what_floats_hold() -> None:
    """Neighbours of 2⁵³ are one number as floats."""
    true = np.array([[2**53, 2**53 + 1, 2**53 + 1]], np.uint64)
    found = match_instances(true, true, surface="voxel", spacing=1)
    assert found.centroids is not None
    assert found.centroids[0].tolist() == [[0, 0], [0, 1.5]]
    assert found.surfaces is not None
    assert found.surfaces.elements[:, 0].tolist() == [[1, 1], [2, 2]]


@pytest.mark.torch
def test_bfloat16_is_read_as_numbers() -> None:
    import torch

    true, pred = torch.tensor([[3, 3, 0, 5, 5]]).bfloat16(), torch.tensor([[2, 2, 0, 0, 5]]).bfloat16()
    found = match_instances(true, pred, strict=False)
    assert (found.pairs.true.tolist(), found.pairs.pred.tolist()) == ([3, 5], [2, 5])
    assert match_instances(true, pred, region=[2, 5], strict=False).tp == 1
    assert match_instances(true, pred, connectivity=4, strict=False).classes.tolist() == [2, 3, 5]
    assert fastseg.component_dice(true, pred, region=5) == pytest.approx(2 / 3)


def test_stuff_lies_nowhere() -> None:
    classes = {1: 1, 2: 1, 3: 2}
    found = match_instances([[1, 2, 3]], [[1, 2, 0]], true_classes=classes, pred_classes=classes, stuff=1)
    stuff, thing = found.rows()
    assert (stuff["true_voxels"], stuff["centroid"], stuff["box"]) == (2, None, None)
    assert (thing["centroid"], thing["box"]) == ([0.0, 2.0], [[0, 1], [2, 3]])


def _placed(image: SimpleITK.Image) -> SimpleITK.Image:
    image.SetSpacing((2.0, 3.0, 4.0))
    image.SetOrigin((10.0, 20.0, 30.0))
    return image


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threshold": -0.1}, "threshold: expected a finite number that is not negative, found -0.1"),
        ({"criterion": "jaccard"}, "criterion: expected 'iou', .* found 'jaccard'"),
        ({"matching": "hungarian"}, "matching: expected 'greedy', .* found 'hungarian'"),
        ({"objective": "sum"}, "objective: expected 'score'"),
        ({"strict": 2}, "strict: expected True or False, found 2"),
        ({"dilation": 1}, "dilation: expected masks, or connectivity= beside"),
        ({"dilation": 1, "connectivity": 8}, r"y_true: expected a mask, or region= .*, found \[1, 2\]"),
        ({"connectivity": 26}, "connectivity: expected 4 or 8 of maps with 2 axes, found 26"),
        ({"connectivity": 4, "true_classes": {1: 1}}, "true_classes, pred_classes: expected maps of ids"),
        ({"true_classes": {1: 1}}, "true_classes: expected a class for each id, found none for 2 of case 0"),
        ({"spacing": (1, 1, 1)}, "spacing: expected a number for each of 2 axes, found 3"),
        ({"min_voxels": -1}, "min_voxels: expected an integer of at least 0"),
        ({"threshold": 50}, "threshold: expected at most 1, which no iou exceeds, found 50"),
        ({"region": []}, "region: expected at least one label, found none"),
        ({"convention": "pq"}, "convention: expected one of fastseg, panoptica"),
        ({"void": 2, "connectivity": 4}, "void: expected maps of ids beside it, found masks or connectivity="),
        ({"crowd": 2, "region": 1}, "crowd: expected maps of ids beside it"),
        ({"stuff": 1, "region": 1, "dilation": 1}, "stuff: expected no stuff= beside lesions that are grown"),
        ({"crowd": [[1], [2]]}, r"crowd: expected ids of each of 1 case\(s\), found 2"),
        ({"crowd": [[1.5]]}, "crowd: expected an integer, found 1.5"),
        ({"convention": ["brats"]}, r"convention: expected one of .* found \['brats'\]"),
        ({"pred_classes": [{1: 1}] * 2}, r"pred_classes: expected a mapping for each of 1 case\(s\), found 2"),
        (
            {"true_classes": 5},
            "true_classes: expected a mapping from ids, or a sequence of one for each case, found int",
        ),
    ],
)
def test_what_is_refused(options: dict, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        match_instances([[1, 2]], [[1, 0]], **options)
    with pytest.raises(ValueError, match="y_pred: expected the shape of y_true"):
        match_instances([[1, 2]], [[1, 0, 0]])


@pytest.mark.parametrize("shape", [(4,), (2, 2, 2, 2), (0,)])
def test_masks_of_other_axes_are_no_single_instance(shape: tuple[int, ...]) -> None:
    mask = np.ones(shape, bool)
    with pytest.raises(ValueError, match=r"y_true: expected two or three axes, found shape"):
        match_instances(mask, mask)
    with pytest.raises(ValueError, match=r"y_true: expected two or three axes, found shape"):
        match_instances(mask.astype(int), mask.astype(int), connectivity=4)


def test_a_single_voxel_has_no_axis() -> None:
    with pytest.raises(ValueError, match=r"y_true: expected a map with at least one axis, found shape \(\)"):
        match_instances(1, 1)


def test_what_is_asked_of_a_matching_and_is_not_there() -> None:
    found = match_instances([1], [1])
    with pytest.raises(ValueError, match="metric: expected 'panoptic_quality'"):
        found.of_classes("pq")
    with pytest.raises(ValueError, match="edges: expected two or more sizes that rise"):
        found.sensitivity_by_size([3, 1])
    with pytest.raises(ValueError, match="beta: expected a finite number"):
        found.fbeta(-1)


def test_surfaces_of_each_instance_are_those_of_it_alone() -> None:
    draw = np.random.default_rng(4)
    true, pred = (draw.random((2, 8, 9, 10)) < 0.35 for _ in range(2))
    options = {"sample_axis": 0, "spacing": (1, 2, 0.5), "threshold": 0.0, "connectivity": 6}
    found = match_instances(true, pred, matching="many_to_one", surface="voxel", **options)
    maps = [np.stack([label_components(case, 6) for case in side]) for side in (true, pred)]
    assert len(found.groups) == found.tp > 20
    for n, (case, own, theirs) in enumerate(found.groups):
        masks = [np.isin(side[case], ids) for side, ids in zip(maps, (own, theirs), strict=True)]
        alone = fastseg.surface_distances(*masks, spacing=(1, 2, 0.5))
        assert fastseg.hd95(found.surfaces)[n, 0] == fastseg.hd95(alone)[0]
    values = fastseg.metrics.normalized_surface_dice(found.surfaces, tolerance=1.0)[:, 0]
    total = found.tp + found.fp + found.fn
    nsd = found.instance_distance(fastseg.metrics.normalized_surface_dice, missed=0, tolerance=1.0)
    assert nsd == pytest.approx(values.sum() / total)
    assert found.instance_distance(missed=100) == pytest.approx(
        (fastseg.hd95(found.surfaces).sum() + 100 * (found.fp + found.fn)) / total
    )


def test_surfaces_of_nothing_and_without_being_asked_for() -> None:
    nothing = np.zeros((4, 4, 4), bool)
    some = ~nothing
    wanted = {"brats": 0.0, "fastseg": np.nan}
    for convention, value in wanted.items():
        empty = match_instances(nothing, nothing, convention=convention, surface="surfel", spacing=1)
        assert empty.instance_distance() == pytest.approx(value, nan_ok=True)
    assert match_instances(some, nothing, convention="brats", surface="surfel").instance_distance() == 374
    with pytest.raises(ValueError, match="surfaces: expected a matching with surface="):
        match_instances(some, some).instance_distance()
    with pytest.raises(ValueError, match="spacing: expected spacing= beside surface="):
        match_instances(some, some, surface="voxel")
    with pytest.raises(ValueError, match="surface: expected 'voxel', 'surfel' or None"):
        match_instances(some, some, surface="object")
    with pytest.raises(ValueError, match="stuff: expected no stuff= beside surface="):
        match_instances([[1]], [[1]], stuff=1, surface="voxel", spacing=1)


def test_more_instances_than_there_is_memory_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every voxel its own segment."""
    ids = np.arange(1, 50**3 + 1).reshape(50, 50, 50)
    monkeypatch.setattr(instances, "available_memory", lambda: 2**26)
    with pytest.raises(ValueError, match=r"memory, 0\.06 GiB, has room for, found 125,000 pairs"):
        match_instances(ids, ids)
    with pytest.raises(ValueError, match="y_true, y_pred: expected instances that the free memory"):
        match_instances(np.indices((64, 64, 64)).sum(0) % 2 > 0, np.ones((64, 64, 64), bool), connectivity=6)
    monkeypatch.setattr(instances, "available_memory", lambda: None)
    assert match_instances(ids, ids, centroids=False).tp == 50**3


def test_dask_arrays_are_refused_by_name() -> None:
    blocks = dask_array.from_array(np.eye(4, dtype=bool), chunks=2)
    message = "expected an array in memory, found a Dask array"
    for call in (match_instances, fastseg.component_dice):
        with pytest.raises(TypeError, match=f"y_true: {message}"):
            call(blocks, blocks)
    with pytest.raises(TypeError, match=f"mask_or_labels: {message}"):
        label_components(blocks)


@pytest.mark.parametrize("options", [{"region": 1}, {"convention": "brats"}])
def test_sheared_images_have_no_distances(options: dict[str, Any]) -> None:
    sheared = np.eye(4)
    sheared[0, 1] = 0.5
    image = nibabel.Nifti1Image(lesions()[0], sheared)
    with pytest.raises(ValueError, match="y_true: expected axes at right angles for distances of surfaces"):
        match_instances(image, image, surface="voxel", **options)
    assert match_instances(image, image, surface="voxel", spacing=1, **options).instance_distance() == 0


@pytest.mark.parametrize("name", ["hd95", "nsd", "mean_average_surface_distance"])
def test_metrics_of_surfaces_by_name_and_function(name: str) -> None:
    options = {"tolerance": 1.0, "missed": 0} if name == "nsd" else {}
    entry = fastseg.metrics.surfaces.SURFACE_METRICS[name]
    for pair, convention in ((lesions(), "brats"), ([np.zeros((3, 3, 3), bool)] * 2, "brats-met")):
        found = match_instances(*pair, convention=convention, surface="voxel", spacing=1)
        wanted = found.instance_distance(entry, **options)
        assert found.instance_distance(name, **options) == wanted
        assert found.instance_distance(getattr(fastseg, entry.name), **options) == wanted
    for wrong in ("dice", "x", np.mean, 3):
        with pytest.raises(ValueError, match="metric: expected one of hausdorff_distance, "):
            found.instance_distance(wrong)
    with pytest.raises(TypeError, match="missed: expected a number, found 'far'"):
        found.instance_distance(missed="far")


def test_each_id_of_a_group_stands_in_it_once() -> None:
    """A lesion of a thousand parts was looked up a thousand times, by all memory that there was."""
    whole = np.ones((1, 7), bool)
    parts = whole & (np.arange(7) % 2 == 0)
    for pair, matching in (((whole, parts), "many_to_one"), ((whole, parts), "all"), ((parts, whole), "one_to_many")):
        found = match_instances(*pair, criterion="overlap", threshold=0, matching=matching, surface="voxel", spacing=1)
        few, many = ((1,), (1, 2, 3, 4)) if pair[0] is whole else ((1, 2, 3, 4), (1,))
        assert [tuple(each) for each in found.groups] == [(0, few, many)]
        assert found.instance_distance() == 1.0
