"""Metrics of surfaces of folders: those of each pair of files, kept so that another tolerance measures nothing again."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from fastseg import evaluate_files, evaluate_folder, surface_distances
from fastseg.metrics.surface_conventions import SURFACE_CONVENTIONS
from fastseg.metrics.surfaces import SURFACE_METRICS
from fastseg.phantom import phantom_pair
from fastseg.runs import Run
from fastseg.runs.comparison.compare import compare_runs
from fastseg.runs.results.gates import check_gates, parse_gate

TRUE, PRED = phantom_pair((24, 30, 12), 4, foreground=0.4)
METRICS = ["dice", "hd95", "assd", "nsd"]
TOLERANCE = {None: 1, 3: 2}
OPTIONS: dict[str, Any] = {"metrics": METRICS, "tolerance": TOLERANCE}


def write(path: Path, labels: Any, linear: Any = (0.8, 0.9, 3.0)) -> None:
    path.parent.mkdir(exist_ok=True)
    affine = np.eye(4)
    affine[:3, :3] = np.diag(linear) if np.ndim(linear) == 1 else linear
    nib.Nifti1Image(labels, affine).to_filename(path)


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Three cases; in the last one label 2 is missed."""
    for n in range(3):
        write(tmp_path / "true" / f"{n}.nii.gz", np.roll(TRUE, n, axis=0))
        write(tmp_path / "pred" / f"{n}.nii.gz", PRED if n < 2 else np.where(PRED == 2, 0, PRED).astype(np.uint8))
    return tmp_path / "true", tmp_path / "pred"


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return [*csv.DictReader(file)]


def test_the_numbers_are_those_of_the_files_and_infinite_ones_are_apart(folders: Any, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run = evaluate_folder(*folders, out, **OPTIONS)
    for n in range(3):
        scores = evaluate_files(*(folder / f"{n}.nii.gz" for folder in folders), **OPTIONS)
        for name in METRICS:
            np.testing.assert_array_equal(run.values(name)[n], scores[name])
    hd95 = run.values("hd95")
    assert np.isinf(hd95[2, 2])
    assert np.isnan(hd95[:, 0]).all()
    assert run.values("nsd")[2, 2] == 0
    assert run.class_values("hd95")[2] == hd95[:2, 2].mean()
    assert [run.infinite(name) for name in METRICS] == [None, 1, 1, 0]
    assert run.mean("hd95") == pytest.approx(np.mean([hd95[:, 1].mean(), hd95[:2, 2].mean(), hd95[:, 3].mean()]))
    lines = str(run).splitlines()
    assert lines[0].split()[2:] == ["dice", "hd95", "mm", "assd", "mm", "nsd", "cases"]
    assert next(line for line in lines if line.startswith("infinite")).split() == ["infinite", "values", "1", "1", "0"]

    found = json.loads((out / "run.json").read_text())
    assert found["units"] == {"hd95": "mm", "assd": "mm", "nsd": ""}
    assert found["better"] == {"hd95": "lower", "assd": "lower", "nsd": "higher"}
    assert found["infinite"] == {"hd95": 1, "assd": 1, "nsd": 0}
    rows = {(row["case"], row["class"], row["metric"]): row for row in table(out / "cases.csv")}
    missed, background = rows["2", "2", "hd95"], rows["0", "0", "hd95"]
    assert (missed["value"], missed["reason"], missed["unit"]) == ("inf", "absent from prediction", "mm")
    assert (background["value"], background["reason"]) == ("", "no surface of the background is measured")
    assert float(rows["1", "3", "assd"]["value"]) == run.values("assd")[1, 3]
    classes = {(row["class"], row["metric"]): row for row in table(out / "classes.csv")}
    assert (classes["2", "hd95"]["infinite"], classes["2", "hd95"]["defined"]) == ("1", "2")
    assert classes["mean", "nsd"]["unit"] == ""


def test_another_tolerance_measures_nothing_again_and_other_elements_do(folders: Any, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = evaluate_folder(*folders, out, **OPTIONS)
    assert [each.to_json() for each in Run.load(out).records] == [each.to_json() for each in first.records]
    files = {path.name: path.read_bytes() for path in out.iterdir()}
    Run.load(out).save(tmp_path / "again")
    for path in (tmp_path / "again").iterdir():
        assert path.read_bytes() == files[path.name]
    kept = (out / "surfaces.npz").read_bytes()
    first.save(tmp_path / "another")
    evaluate_folder(*folders, tmp_path / "another", surface="object", **OPTIONS)
    other = (tmp_path / "another" / "surfaces.npz").read_bytes()
    for data, message in (
        (kept[: len(kept) // 2], "expected an archive of distances of surfaces, undamaged"),
        (other, "surfaces.npz beside it is of another run"),
    ):
        (out / "surfaces.npz").write_bytes(data)
        with pytest.raises(ValueError, match=message):
            Run.load(out)
    for tolerance, metrics in ((0.5, ["nsd"]), (0, ["surface_overlap", "masd"])):
        run = evaluate_folder(*folders, out, metrics=metrics, tolerance=tolerance)
        assert run.facts["times"]["scored"] == 0
    scores = evaluate_files(*(folder / "1.nii.gz" for folder in folders), metrics=["masd"])
    np.testing.assert_array_equal(run.values("masd")[1], scores["masd"])
    surfels = evaluate_folder(*folders, out, surface="surfel", **OPTIONS)
    assert surfels.facts["times"]["scored"] == 3
    np.testing.assert_array_equal(Run.load(out).values("assd"), surfels.values("assd"))
    assert evaluate_folder(*folders, out, metrics="dice").facts["times"]["scored"] == 3
    assert not (out / "surfaces.npz").exists()


def test_conventions_sheared_cases_and_gates(folders: Any, tmp_path: Path) -> None:
    shear = np.diag([0.8, 0.9, 3.0])
    shear[0, 2] = 0.5
    for folder in folders:
        write(folder / "sheared.nii.gz", TRUE, shear)
    run = evaluate_folder(*folders, convention="brats", **OPTIONS)
    assert run.failed[0].reason is not None
    assert "expected axes at right angles" in run.failed[0].reason
    assert run.values("hd95")[2, 2] == 373
    monai = evaluate_folder(*folders, convention="monai", **OPTIONS)
    assert np.isnan(monai.values("hd95")[2, 2])
    assert np.isnan(monai.class_values("hd95")[0])
    results = check_gates(monai, [parse_gate(text) for text in ("1:hd95=5", "hd95<=0.1", "nsd=0.5", "assd=9")])
    assert [each.passed for each in results] == [True, False, True, False]
    assert "assd is infinite in 2 (1 of 12 values)" in results[3].message
    with pytest.raises(ValueError, match="lower values of hd95 are better"):
        parse_gate("hd95>=5")


def test_every_convention_of_surfaces_is_that_of_the_metrics(folders: Any, tmp_path: Path) -> None:
    for name, known in SURFACE_CONVENTIONS.items():
        run = evaluate_folder(*folders, tmp_path / "out", convention=name, **OPTIONS)
        how = run.settings.surfaces
        assert how is not None
        assert (how.surface, how.border) == (known.surfaces[0], known.border)
        for n in (0, 2):
            pred = PRED if n == 0 else np.where(PRED == 2, 0, PRED).astype(np.uint8)
            surfaces = surface_distances(
                np.roll(TRUE, n, axis=0),
                pred,
                spacing=(0.8, 0.9, 3),
                labels=[1, 2, 3],
                surface=how.surface,
                border=how.border,
            )
            for metric in ("hd95", "assd"):
                values = SURFACE_METRICS[metric](surfaces, convention=name)[0]
                np.testing.assert_allclose(run.values(metric)[n, 1:], values, rtol=1e-12)


def test_a_missing_prediction_is_infinitely_far(folders: Any) -> None:
    (folders[1] / "1.nii.gz").unlink()
    run = evaluate_folder(*folders, missing="worst", regions={"a": [1, 2], "b": [3]}, metrics="hd95,nsd", tolerance=1)
    np.testing.assert_array_equal(run.values("hd95")[1], [np.inf, np.inf])
    np.testing.assert_array_equal(run.values("nsd")[1], [0, 0])
    for name in ("0", "2"):
        (folders[1] / f"{name}.nii.gz").rename(folders[1] / f"no_{name}.nii.gz")
    nothing = evaluate_folder(*folders, folders[0].parent / "out", missing="worst", metrics="hd95")
    found = json.loads((folders[0].parent / "out" / "run.json").read_text())["mean"]["hd95"]
    assert found == {"value": None, "reason": "infinite wherever it is defined, since surfaces are missing"}
    assert np.array_equal(Run.load(folders[0].parent / "out").values("hd95"), nothing.values("hd95"), equal_nan=True)
    for name in ("0", "2"):
        (folders[1] / f"no_{name}.nii.gz").rename(folders[1] / f"{name}.nii.gz")
    scores = evaluate_files(
        *(folder / "2.nii.gz" for folder in folders), regions={"a": [1, 2], "b": [3]}, metrics="hd95"
    )
    np.testing.assert_array_equal(run.values("hd95")[2], scores["hd95"])


def test_compared_runs(folders: Any, tmp_path: Path) -> None:
    for n in range(3):
        write(tmp_path / "other" / f"{n}.nii.gz", np.roll(TRUE, n + 1, axis=0))
    runs = [evaluate_folder(folders[0], folder, **OPTIONS) for folder in (folders[1], tmp_path / "other")]
    found = compare_runs(*runs)
    assert [*found.metrics] == METRICS
    rows = {row.name: row for row in found.metrics["hd95"]}
    values = [run.values("hd95")[:, 1] for run in runs]
    assert rows["1"].difference == pytest.approx(np.mean(values[1] - values[0]))
    assert (rows["1"].better, rows["1"].wins) == ("lower", int((values[1] < values[0]).sum()))
    assert (rows["2"].n, rows["2"].only_b, rows["0"].n) == (2, 1, 0)
    assert "hd95 (lower is better)" in str(found)
    assert not found.alike
    assert compare_runs(runs[0], runs[0]).alike
    dice = evaluate_folder(*folders, metrics="dice")
    assert compare_runs(runs[0], dice, metrics="dice").rows[0].difference == 0
    with pytest.raises(ValueError, match="'hd95' is made of surfaces, which this run has not measured"):
        compare_runs(runs[0], dice, metrics="hd95")
    assert "dice" in (both := compare_runs(runs[0], dice).metrics)  # what both can answer
    assert "hd95" not in both
    with pytest.raises(ValueError, match=r"the runs differ in what they score: surfaces: .*'tolerance': 1.0"):
        compare_runs(runs[0], evaluate_folder(*folders, metrics="nsd", tolerance=3))


def test_what_is_said_of_folders(folders: Any, tmp_path: Path) -> None:
    for folder in folders:
        for n in range(3):
            np.save(tmp_path / f"arrays_{folder.name}_{n}.npy", np.asarray(nib.load(folder / f"{n}.nii.gz").dataobj))
    pairs = tmp_path / "pairs.csv"
    rows = [f"{n},arrays_true_{n}.npy,arrays_pred_{n}.npy" for n in range(3)]
    pairs.write_text("\n".join(["case,reference,prediction", *rows]))
    run = evaluate_folder(pairs=pairs, spacing=(0.8, 0.9, 3), output=tmp_path / "out", **OPTIONS)
    np.testing.assert_array_equal(run.values("assd"), evaluate_folder(*folders, **OPTIONS).values("assd"))
    assert Run.load(tmp_path / "out").settings == run.settings
    assert "expected a volume that says its spacing" in str(evaluate_folder(pairs=pairs, **OPTIONS).failed[0].reason)
    for options, message in (
        ({"spacing": (0, 1, 1)}, "spacing: expected a finite number that is positive"),
        ({"tolerance": {"livr": 1, None: 1}}, "tolerance: expected a class by its label or name"),
        ({"tolerance": {1: 1}}, "tolerance: expected one for all other classes, too"),
        ({"tolerance": {1: 1}, "num_classes": 4}, "tolerance: expected one for each class, .* none for 2, 3"),
        ({"tolerance": {1: -1}}, "tolerance: expected a finite number that is not negative"),
        ({"border": "extend", "convention": "medpy"}, "border: 'medpy' takes what is outside"),
        ({"convention": "surface-distance", "surface": "voxel"}, "'surface-distance' has no 'voxel' elements"),
        ({"gates": ["hausdorff_distance=3"]}, "is made of surfaces, and measured where metrics name it"),
    ):
        with pytest.raises(ValueError, match=message):
            evaluate_folder(*folders, **{**OPTIONS, **options})


def test_cases_with_surfaces_are_worth_a_process_sooner(folders: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from fastseg.runs.scoring import processes

    monkeypatch.setattr(processes, "LEAST_SHARE", 5)
    started: list[int] = []
    fork = processes.Processes._fork
    monkeypatch.setattr(
        processes.Processes, "_fork", lambda self, share: (started.append(len(share)), fork(self, share))
    )
    monkeypatch.setattr(processes, "can_fork", lambda: True)
    alone = evaluate_folder(*folders, threads=1, **OPTIONS)
    assert not started
    run = evaluate_folder(*folders, threads=2, **OPTIONS)
    assert started == [1, 1]
    assert [each.to_json() for each in run.records] == [each.to_json() for each in alone.records]
    evaluate_folder(*folders, threads=2, metrics="dice")
    assert started == [1, 1]
