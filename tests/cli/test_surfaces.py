"""Metrics of surfaces of two files on the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from support.command_line import call

from fastseg import surface_distances
from fastseg.metrics import hd95, normalized_surface_dice
from fastseg.phantom import phantom_pair

SPACING = (0.8, 0.8, 3)


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    paths = (tmp_path / "true.nii.gz", tmp_path / "pred.nii.gz")
    for path, labels in zip(paths, phantom_pair((20, 24, 10), 4, foreground=0.4), strict=True):
        nib.Nifti1Image(labels, np.diag([*SPACING, 1])).to_filename(path)
    return paths


def test_distances_in_mm_and_tolerances_of_classes(files: Any, capsys: Any, monkeypatch: Any, tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("2 liver\n")
    arguments = [
        "--metrics",
        "dice,hd95,nsd",
        "--tolerance",
        1,
        "--tolerance",
        "liver=3",
        "--labels",
        tmp_path / "names.txt",
    ]
    code, out, err = call(capsys, monkeypatch, "evaluate", *files, *arguments)
    assert (code, err) == (0, "")
    assert out.splitlines()[0].split()[2:6] == ["dice", "hd95", "mm", "nsd"]
    found = json.loads(call(capsys, monkeypatch, "evaluate", *files, *arguments, "--json", "-")[1])
    assert found["units"] == {"hd95": "mm"}
    assert found["infinite"] == {"hd95": 0, "nsd": 0}
    arrays = phantom_pair((20, 24, 10), 4, foreground=0.4)
    surfaces = surface_distances(*arrays, spacing=SPACING, labels=[1, 2, 3])
    within = normalized_surface_dice(surfaces, tolerance={1: 1, 2: 3, 3: 1})
    for k, label in enumerate("123"):
        assert found["classes"][label]["hd95"] == pytest.approx(hd95(surfaces)[0, k])
        assert found["classes"][label]["nsd"] == pytest.approx(within[0, k])
    assert found["classes"]["0"]["hd95"] is None


def test_folders_and_gates(files: Any, capsys: Any, monkeypatch: Any, tmp_path: Path) -> None:
    for path, folder in zip(files, ("refs", "preds"), strict=True):
        (tmp_path / folder).mkdir()
        path.rename(tmp_path / folder / "case.nii.gz")
    (tmp_path / "names.txt").write_text("2 liver\n")
    arguments = [tmp_path / "refs", tmp_path / "preds", "--metrics", "dice,hd95,assd,nsd", "--tolerance", 1]
    arguments += ["--tolerance", "liver=2", "--labels", tmp_path / "names.txt", "-o", tmp_path / "out"]
    code, out, err = call(capsys, monkeypatch, "evaluate", *arguments, "--fail-under", "hd95=50", "--quiet")
    assert (code, out, err) == (0, "", "")
    assert (tmp_path / "out" / "surfaces.npz").exists()
    code, out, err = call(capsys, monkeypatch, "evaluate", *arguments, "--fail-under", "liver:hd95=0.01")
    assert code == 1
    assert out.splitlines()[0].split()[2:] == ["dice", "hd95", "mm", "assd", "mm", "nsd", "cases"]
    assert "1 of 1 cases were scored before" in err
    assert "expected at most 0.01" in err
    code, out, _ = call(capsys, monkeypatch, "evaluate", *arguments, "--convention", "medpy", "--json", "-")
    found = json.loads(out)
    assert found["units"]["assd"] == "mm"
    surfaces = surface_distances(*phantom_pair((20, 24, 10), 4, foreground=0.4), spacing=SPACING, labels=[1, 2, 3])
    assert found["mean"]["hd95"]["value"] == pytest.approx(hd95(surfaces, convention="medpy")[0].mean())


def test_files_that_say_no_spacing_are_given_one(capsys: Any, monkeypatch: Any, tmp_path: Path) -> None:
    pytest.importorskip("PIL")
    from PIL import Image

    true, pred = phantom_pair((20, 24, 10), 4, foreground=0.4)
    image = {"true": true[:, :, 5], "pred": pred[:, :, 5]}
    volume = {"true": true, "pred": pred}
    for name in image:
        Image.fromarray(image[name]).save(tmp_path / f"{name}.png")
        np.save(tmp_path / f"{name}.npy", volume[name])
        (tmp_path / f"{name}s").mkdir()
        np.save(tmp_path / f"{name}s" / "case.npy", volume[name])
    for kind, arrays, text, spacing in (
        ("png", image, "0.7", 0.7),
        ("png", image, "0.7, 2", (0.7, 2)),
        ("npy", volume, "0.8,0.8,3", SPACING),
    ):
        paths = [tmp_path / f"{name}.{kind}" for name in ("true", "pred")]
        arguments = ["--metrics", "dice,hd95", "--json", "-"]
        assert "(--spacing) says it" in call(capsys, monkeypatch, "evaluate", *paths, *arguments)[2]
        found = json.loads(call(capsys, monkeypatch, "evaluate", *paths, *arguments, "--spacing", text)[1])
        values = hd95(surface_distances(arrays["true"], arrays["pred"], spacing=spacing, labels=[1, 2, 3]))[0]
        values[np.isinf(values)] = np.nan  # which JSON cannot say
        said = [found["classes"][label]["hd95"] for label in "123"]
        np.testing.assert_allclose(np.array(said, float), values)
    folders = [tmp_path / "trues", tmp_path / "preds"]
    found = json.loads(call(capsys, monkeypatch, "evaluate", *folders, *arguments, "--spacing", text)[1])
    assert found["mean"]["hd95"]["value"] == pytest.approx(values.mean())
    for text, message in (
        ("a", "--spacing: expected a number, or one for each axis such as 0.8,0.8,3; found 'a'"),
        ("1,1", "--spacing: expected a positive number, or 3 (one for each axis of space"),
        ("0", "--spacing: expected a positive number"),
    ):
        code, _, err = call(capsys, monkeypatch, "evaluate", *paths, *arguments, "--spacing", text)
        assert (code, message in err) == (2, True), err
    code, _, err = call(capsys, monkeypatch, "evaluate", *paths, "--metrics", "dice", "--spacing", 1)
    assert (code, "--spacing: of metrics of surfaces (hd95, assd, nsd, ...), found none of them" in err) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--metrics", "nsd"], "--tolerance: nsd needs one"),
        (["--metrics", "nsd", "--tolerance", "a=b"], "--tolerance: expected a number, or CLASS=NUMBER, found 'a=b'"),
        (
            ["--tolerance", "1", "--background"],
            "--tolerance: of metrics of surfaces (hd95, assd, nsd, ...), found none",
        ),
        (
            ["--metrics", "nsd", "--tolerance", "1", "--tolerance", "2"],
            "--tolerance: expected one for all classes, found 1 and 2",
        ),
        (
            ["--metrics", "nsd", "--tolerance", "1=1", "--tolerance", "1=3"],
            "--tolerance: expected one for 1, found 1 and 3",
        ),
        (
            ["--metrics", "dice,boundary_iou"],
            "--metrics: 'boundary_iou' is of arrays alone, and in no table: fastseg.boundary_iou(y_true, y_pred)",
        ),
        (["--metrics", "nsd", "--background"], "--tolerance: nsd needs one"),
        (["--metrics", "hd95", "--convention", "sklearn"], "--convention: 'sklearn' adds up the voxels of all cases"),
        (["--convention", "medpy"], "--convention: 'medpy' is of metrics of surfaces"),
        (
            ["--metrics", "hd95,nsd", "--tolerance", 1, "--convention", "monai", "--surface", "surfel"],
            "--convention: 'monai' has no 'surfel' elements for these: hd95 of 'voxel'; nsd of 'voxel' or 'surfel'",
        ),
        (
            ["--metrics", "nsd", "--tolerance", "livr=1", "--tolerance", 1, "--regions", "liver=1", "--background"],
            "--tolerance: there is no class 'livr'",
        ),
        (
            ["--metrics", "dice", "--fail-under", "hd95=5"],
            "hd95 is made of surfaces, and measured where metrics name it",
        ),
    ],
)
def test_what_is_refused(files: Any, capsys: Any, monkeypatch: Any, arguments: list[str], message: str) -> None:
    code, _, err = call(capsys, monkeypatch, "evaluate", *files, *arguments)
    assert code == 2
    assert message in err
