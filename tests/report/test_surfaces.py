"""Metrics of surfaces on the page: with their unit, what is infinite, and NSD over tolerances."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from fastseg import evaluate_folder
from fastseg.phantom import phantom_pair
from fastseg.report import write_report
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
