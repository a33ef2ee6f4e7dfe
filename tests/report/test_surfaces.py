"""Metrics of surfaces on the page: with their unit, what is infinite, and NSD over tolerances."""

from __future__ import annotations

import re
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

import fastseg
from fastseg import evaluate_folder
from fastseg.phantom import phantom_pair
from fastseg.report import overlays, write_report
from fastseg.runs.results.surfaces import surface_dice_curves

pytest.importorskip("jinja2")
pytest.importorskip("matplotlib")


def test_distances_of_a_run_with_a_missed_class(tmp_path: Path) -> None:
    true, pred = phantom_pair((24, 30, 12), 4, foreground=0.4)
    for n in range(2):
        labels = {"true": np.roll(true, n, axis=0), "pred": np.where(pred == 2, 0, pred) if n else pred}
        for folder, each in labels.items():
            (tmp_path / folder).mkdir(exist_ok=True)
            image = nib.Nifti1Image(each.astype(np.uint8), np.diag([0.8, 0.9, 3, 1]))
            image.to_filename(tmp_path / folder / f"{n}.nii.gz")
    options = {"metrics": ["hd95", "nsd"], "tolerance": {None: 1, 3: 2}}
    run = evaluate_folder(tmp_path / "true", tmp_path / "pred", tmp_path / "out", **options)
    page = write_report(tmp_path / "out", overlays=False).read_text("utf-8")
    assert "<h3>HD95 (mm)</h3>" in page
    assert "1 value of these is infinite" in page
    assert 'data-value="Infinity">∞' in page
    assert "of voxel, outside of the image background, tolerance 1 mm, 3 2 mm" in page
    assert "Surface Dice over tolerances" in page
    assert "Normalised surface Dice of 3 classes over tolerances from 0 to 5 mm" in page

    curves = surface_dice_curves(run.counted, run.classes, run.settings, np.array([0, 1, 2.0]))
    assert np.isnan(curves[0]).all()
    np.testing.assert_allclose(curves[1, 1], run.values("nsd")[:, 1].mean(), rtol=1e-12)
    np.testing.assert_allclose(curves[3, 2], run.values("nsd")[:, 3].mean(), rtol=1e-12)
    dice = evaluate_folder(tmp_path / "true", tmp_path / "pred", tmp_path / "dice", metrics="dice")
    assert dice.settings.surfaces is None
    assert "over tolerances" not in write_report(tmp_path / "dice", overlays=False).read_text("utf-8")


def outlier(tmp_path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Write a case whose prediction has most wrong voxels at one place, and one voxel far away."""
    true = np.zeros((30, 24, 20), np.uint8)
    true[5:20, 5:15, 4:12] = 1
    pred = true.copy()
    pred[15:20, 5:15, 4:12] = 0
    pred[27, 20, 17] = 1
    for folder, each in (("true", true), ("pred", pred)):
        (tmp_path / folder).mkdir()
        nib.Nifti1Image(each, np.diag([0.8, 0.9, 3, 1])).to_filename(tmp_path / folder / "case.nii.gz")
    return true, pred


def test_the_largest_distance_is_marked_on_the_pictures(tmp_path: Path) -> None:
    true, pred = outlier(tmp_path)
    run = evaluate_folder(tmp_path / "true", tmp_path / "pred", tmp_path / "out", metrics="dice,hausdorff_distance")
    (record,) = fastseg.Run.load(tmp_path / "out").records
    found = fastseg.surface_distances(true, pred, spacing=(0.8, 0.9, 3), labels=[1])
    assert record.surfaces == found == run.records[0].surfaces
    assert found.farthest is not None
    assert found.farthest[0, 0, 1].tolist() == [27, 20, 17]
    largest = run.values("hausdorff_distance")[0, 1]
    page = write_report(tmp_path / "out").read_text("utf-8")
    where = rf"largest distance {largest:.2f}\d* mm \(1, prediction to truth, at voxel \(x = 27, y = 20, z = 17\)\)"
    assert re.search(where, page)
    assert "z = 17 of 0–19, largest distance" in page
    assert page.count('<circle class="far"') == 3 + 1  # truth, prediction, disagreement; and in the legend
    seen = overlays.views(record, run.settings, mark=(27, 20, 17)).planes
    assert [(plane.name, plane.extra, plane.mark is None) for plane in seen[1:]] == [
        ("x", False, True),
        ("y", False, True),
        ("z", True, False),
    ]
    mark = seen[-1].mark
    assert mark is not None
    height, width = seen[-1].size
    rows, columns = np.argwhere(seen[-1].pred == 1)[0] + 0.5
    assert mark == pytest.approx((rows * height / seen[-1].pred.shape[0], columns * width / seen[-1].pred.shape[1]))
    images = tmp_path / "images"
    images.mkdir()
    nib.Nifti1Image(true * 100.0, np.diag([0.8, 0.9, 3, 1])).to_filename(images / "case_0000.nii.gz")
    assert write_report(tmp_path / "out", images=images).read_text("utf-8").count('<circle class="far"') == 4 + 1


def test_pages_without_surfaces_have_no_mark(tmp_path: Path) -> None:
    outlier(tmp_path)
    evaluate_folder(tmp_path / "true", tmp_path / "pred", tmp_path / "out", metrics="dice")
    assert "far" not in re.findall(r'class="(\w+)"', write_report(tmp_path / "out").read_text("utf-8"))


def test_figures_mark_it_where_distances_are_given(tmp_path: Path) -> None:
    true, pred = outlier(tmp_path)
    image, spacing = true * 9.0, (0.8, 0.9, 3)
    found = fastseg.surface_distances(true, pred, spacing=spacing)
    figure = fastseg.plot_overlay(image, true, pred, spacing=spacing, surfaces=found)
    marks = [[line for line in axes.lines if line.get_gid() == "farthest"] for axes in figure.axes]
    assert [len(each) for each in marks] == [0] * 9 + [1] * 3
    assert not [line for axes in fastseg.plot_overlay(image, true, pred).axes for line in axes.lines]
    flat = fastseg.surface_distances(true[:, :, 4], pred[:, :, 4], spacing=1)
    figure = fastseg.plot_overlay(image[:, :, 4], true[:, :, 4], pred[:, :, 4], surfaces=flat)
    assert [len(axes.lines) for axes in figure.axes] == [1, 1, 1]
    with pytest.raises(ValueError, match="surfaces: expected those of one case of the shape"):
        fastseg.plot_overlay(image, true, pred, surfaces=flat)
    with pytest.raises(ValueError, match="that know their places"):
        fastseg.plot_overlay(image, true, pred, surfaces=found.pooled())
    with pytest.raises(TypeError, match="surfaces: expected SurfaceDistances, found float"):
        fastseg.plot_overlay(image, true, pred, surfaces=1.0)  # type: ignore[arg-type]
    nothing = fastseg.surface_distances(true, true * 0, spacing=spacing)
    assert len(fastseg.plot_overlay(image, true, pred, surfaces=nothing).axes) == 9
