"""Conventions of metrics of surfaces against the packages that are installed, on ragged masks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from support.surface_peers import pairs

import fastseg

ASD, ASSD, MASD = (f"{word}_surface_distance" for word in ("average", "average_symmetric", "mean_average"))
PAIRS = [*pairs().values()]


def ours(convention: str, metric: str, pair: Any, **own: Any) -> float:
    true, pred, spacing = pair
    return getattr(fastseg, metric)(true, pred, spacing=spacing, convention=convention, **own)


def compare(convention: str, answers: Callable[..., list[tuple[str, dict[str, Any], float]]], limit: float) -> None:
    for pair in PAIRS:
        for metric, own, told in answers(*pair):
            assert ours(convention, metric, pair, **own) == pytest.approx(told, rel=limit, abs=limit), (metric, own)


def test_the_masks_touch_the_edge_and_differ() -> None:
    assert sum(pair[0][0].any() or pair[0][..., -1].any() for pair in PAIRS) > len(PAIRS) / 2
    assert all((pair[0] != pair[1]).any() and pair[0].any() and pair[1].any() for pair in PAIRS)


@pytest.mark.torch
@pytest.mark.host("monai")
@pytest.mark.filterwarnings("ignore")
def test_monai() -> None:
    import torch
    from monai import metrics

    def answers(true: np.ndarray, pred: np.ndarray, spacing: tuple[float, ...]) -> list[Any]:
        given = {
            "y_pred": torch.tensor(pred)[None, None].float(),
            "y": torch.tensor(true)[None, None].float(),
            "include_background": True,
            "spacing": spacing,
        }
        return [
            ("hausdorff_distance", {}, metrics.compute_hausdorff_distance(**given).item()),
            ("hd95", {}, metrics.compute_hausdorff_distance(**given, percentile=95).item()),
            (ASD, {}, metrics.compute_average_surface_distance(**given).item()),
            (ASSD, {}, metrics.compute_average_surface_distance(**given, symmetric=True).item()),
            ("nsd", {"tolerance": 1.1}, metrics.compute_surface_dice(**given, class_thresholds=[1.1]).item()),
            (
                "nsd",
                {"tolerance": 1.1, "surface": "surfel"},
                metrics.compute_surface_dice(**given, class_thresholds=[1.1], use_subvoxels=True).item(),
            ),
        ]

    compare("monai", answers, 1e-6)


@pytest.mark.torch
@pytest.mark.host("monai")
@pytest.mark.filterwarnings("ignore")
def test_monai_says_nothing_of_a_percentile_where_a_class_is_missing() -> None:
    import torch
    from monai import metrics

    true, pred = np.zeros((2, 5, 6, 7), bool)
    true[1:4, 2:4, 2:5] = True
    images = [torch.from_numpy(mask[None, None]).float() for mask in (pred, true)]
    for percentile in (50.0, 95.0, None):
        told = metrics.compute_hausdorff_distance(*images, include_background=True, percentile=percentile).item()
        own = {} if percentile is None else {"percentile": percentile}
        found = ours("monai", "hausdorff_distance", (true, pred, 1.0), **own)
        assert [told, found] == pytest.approx([np.inf if percentile is None else np.nan] * 2, nan_ok=True)


@pytest.mark.host("medpy")
def test_medpy() -> None:
    from medpy.metric import binary

    def answers(true: np.ndarray, pred: np.ndarray, spacing: tuple[float, ...]) -> list[Any]:
        return [
            ("hausdorff_distance", {}, binary.hd(pred, true, spacing)),
            ("hd95", {}, binary.hd95(pred, true, spacing)),
            (ASD, {}, binary.asd(pred, true, spacing)),
            (ASSD, {}, binary.assd(pred, true, spacing)),
        ]

    compare("medpy", answers, 1e-13)


def test_simpleitk() -> None:
    import SimpleITK as itk

    def answers(true: np.ndarray, pred: np.ndarray, spacing: tuple[float, ...]) -> list[Any]:
        images = [itk.GetImageFromArray(mask.astype(np.uint8)) for mask in (true, pred)]
        for image in images:
            image.SetSpacing(spacing[::-1])
        measured = itk.HausdorffDistanceImageFilter()
        measured.Execute(*images)
        return [
            ("hausdorff_distance", {}, measured.GetHausdorffDistance()),
            (MASD, {}, measured.GetAverageHausdorffDistance()),
        ]

    compare("simpleitk", answers, 1e-5)  # its distances are float32


@pytest.mark.torch
@pytest.mark.parametrize(("surface", "theirs"), [("voxel", "voxels"), ("surfel", "surfels")])
def test_exacta(surface: str, theirs: str) -> None:
    package = pytest.importorskip("exacta.functional", reason="needs a host of drop-ins: pip install exacta")

    def number(found: Any) -> float:
        return float(np.asarray(found).item())

    def answers(true: np.ndarray, pred: np.ndarray, spacing: tuple[float, ...]) -> list[Any]:
        given = {"spacing": spacing, "surface": theirs, "num_classes": 2, "include_background": False}
        pair, own = (pred[None].astype(np.int64), true[None].astype(np.int64)), {"surface": surface}
        return [
            ("hausdorff_distance", own, number(package.hausdorff_distance(*pair, **given))),
            ("hd95", own, number(package.hd95(*pair, **given))),
            ("hd95", {**own, "combine": "pooled"}, number(package.hd95(*pair, combine="pooled", **given))),
            ("hd95", {**own, "combine": "mean"}, number(package.hd95(*pair, combine="mean", **given))),
            (ASSD, own, number(package.assd(*pair, **given))),
            (MASD, own, number(package.assd(*pair, combine="mean", **given))),
            ("nsd", {**own, "tolerance": 1.1}, number(package.nsd(*pair, tolerance=1.1, **given))),
        ]

    compare("exacta", answers, 1e-12)
