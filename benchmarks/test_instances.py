"""Instances matched, against the packages that match them: the same maps in, the same numbers out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from harness import compare
from scipy import ndimage

import fastseg
from fastseg.metrics.instances import THRESHOLDS

GROUP = "Instances: its time / ours"

Map = np.ndarray[Any, Any]


def cells(shape: tuple[int, ...], count: int, radius: float) -> tuple[Map, Map]:
    """Return maps of ids: each pixel is of the nearest of some points, or background; and the same, moved a little."""
    draw = np.random.default_rng(0)
    ids = np.zeros(shape, np.int32)
    ids[tuple(draw.integers(0, size, count) for size in shape)] = np.arange(1, count + 1)
    distance, nearest = ndimage.distance_transform_edt(ids == 0, return_indices=True)
    true = np.where(distance < radius, ids[tuple(nearest)], 0)
    return true, np.roll(true, 3, -1)


def test_torchmetrics_panoptic_quality(benchmark: Any) -> None:
    torch, host = pytest.importorskip("torch"), pytest.importorskip("torchmetrics.functional.detection")
    true, pred = cells((1024, 2048), 100, 1e9)
    classes = {label: 1 + label % 3 for label in range(1, 101)}
    table = np.array([0, *classes.values()])
    pairs = [torch.from_numpy(np.stack([table[side], side], -1)[None]) for side in (pred, true)]
    options: dict[str, Any] = {"true_classes": classes, "pred_classes": classes, "convention": "torchmetrics"}

    def theirs() -> Any:
        return host.panoptic_quality(*pairs, things={1, 2, 3}, stuffs={4}, allow_unknown_preds_category=True)

    def ours() -> float:
        return fastseg.match_instances(true, pred, centroids=False, **options).panoptic_quality

    assert ours() == pytest.approx(float(theirs()), rel=1e-5)
    name = "PQ of 1,024×2,048 pixels, 100 segments of 3 classes: torchmetrics"
    compare(benchmark, name, ours, [theirs], group=GROUP, floor=20, aim=60, rounds=5)


def test_stardist_at_ten_thresholds(benchmark: Any) -> None:
    host = pytest.importorskip("stardist.matching")
    true, pred = cells((2048, 2048), 5000, 12)

    def theirs() -> list[float]:
        return [each.accuracy for each in host.matching(true, pred, thresh=THRESHOLDS)]

    def ours() -> list[float]:
        found = fastseg.match_instances(true, pred, convention="stardist", centroids=False)
        return [found.at(threshold).accuracy for threshold in THRESHOLDS]

    assert ours() == pytest.approx(theirs(), rel=1e-5)
    name = "ten thresholds of 2,048×2,048 pixels, 5,000 cells: StarDist"
    compare(benchmark, name, ours, [theirs], group=GROUP, floor=10, aim=40, rounds=5)


def test_panoptica_of_lesions(benchmark: Any) -> None:
    host = pytest.importorskip("panoptica")
    true, pred = (side > 0 for side in cells((256, 256, 256), 200, 7))
    evaluator = host.Panoptica_Evaluator(
        expected_input=host.InputType.SEMANTIC,
        instance_approximator=host.ConnectedComponentsInstanceApproximator(),
        instance_matcher=host.NaiveThresholdMatching(),
        instance_metrics=[host.Metric.DSC, host.Metric.IOU],
    )
    labels = [side.astype(np.uint8) for side in (pred, true)]

    def theirs() -> Any:
        found = next(iter(evaluator.evaluate(*labels, verbose=False).values()))
        return [found.sq_dsc, found.sq, found.rq, found.pq]

    def ours() -> list[float]:
        found = fastseg.match_instances(true, pred, convention="panoptica", centroids=False)
        return [
            found.segmentation_quality_dice, found.segmentation_quality, found.recognition_quality, found.panoptic_quality
        ]  # fmt: skip

    assert ours() == pytest.approx(theirs())
    name = "sq_dsc, sq, rq, pq of masks of 256³ voxels, 200 lesions: panoptica"
    compare(benchmark, name, ours, [theirs], group=GROUP, floor=20, aim=50, rounds=3)


def published_brats(true: Map, pred: Map) -> list[float]:
    """Return lesion-wise Dice and HD95 step by step, as BraTS 2023 describes them: each lesion in the whole volume."""
    import cc3d
    import surface_distance

    grow = ndimage.generate_binary_structure(3, 2)
    found = cc3d.connected_components(pred, connectivity=26)
    joined = cc3d.connected_components(ndimage.binary_dilation(true, grow, iterations=3), connectivity=26) * true
    dice, distances, used = [], [], set[int]()
    for number in np.unique(joined[joined > 0]).tolist():
        lesion = joined == number
        near = ndimage.binary_dilation(lesion, grow, iterations=3)
        touching = np.unique(found[near & (found > 0)])
        used.update(touching.tolist())
        own = np.isin(found, touching[touching > 0])
        if lesion.sum() <= 50:
            continue
        dice.append(2 * (lesion & own).sum() / (lesion.sum() + own.sum()))
        apart = surface_distance.compute_surface_distances(lesion, own, (1, 1, 1))
        distance = surface_distance.compute_robust_hausdorff(apart, 95)
        distances.append(distance if np.isfinite(distance) else 374.0)
    invented = len(np.unique(found)) - 1 - len(used)
    number = len(dice) + invented
    return [sum(dice) / number, (sum(distances) + 374.0 * invented) / number]


@pytest.mark.filterwarnings("ignore:Please import:DeprecationWarning")  # by the published code
def test_brats_as_published(benchmark: Any) -> None:
    pytest.importorskip("surface_distance")
    pytest.importorskip("cc3d")
    true, pred = (side > 0 for side in cells((240, 240, 155), 40, 9))
    pred[20:24, 20:24, 20:24] ^= True

    def ours() -> list[float]:
        found = fastseg.match_instances(true, pred, convention="brats", spacing=1, surface="surfel", centroids=False)
        return [found.instance_dice, found.instance_distance()]

    def theirs() -> list[float]:
        return published_brats(true, pred)

    assert ours() == pytest.approx(theirs())
    name = "BraTS's lesion-wise Dice and HD95, 240×240×155: as published"
    compare(benchmark, name, ours, [theirs], group=GROUP, floor=20, aim=60, rounds=1, warmup=0)


def test_exacta_brats(benchmark: Any) -> None:
    torch, host = pytest.importorskip("torch"), pytest.importorskip("exacta.lesions")
    true, pred = (side > 0 for side in cells((240, 240, 155), 40, 9))
    masks = [torch.from_numpy(side[None].astype(np.uint8)) for side in (pred, true)]
    options: dict[str, Any] = {"matching": "overlap", "connectivity": 3, "dilation": 3, "dilation_connectivity": 2}

    def theirs() -> float:
        found = host.evaluate(*masks, min_target_volume=50.0, num_classes=2, include_background=False, **options)
        return float(found.lesion_dice)

    def ours() -> float:
        return fastseg.match_instances(true, pred, convention="brats", centroids=False).instance_dice

    assert ours() == pytest.approx(theirs())
    compare(benchmark, "BraTS's lesion-wise Dice, 240×240×155: exacta", ours, [theirs], group=GROUP, rounds=5)
