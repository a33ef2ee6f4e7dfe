"""Folders where predictions are probabilities: found, laid as their references, and scored as arrays are."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.cases_on_disk import contents, folders, pair
from support.runs import expected
from support.volumes_on_disk import write

from fastseg.runs import evaluate_folder


def probabilities(n: int) -> np.ndarray:
    """(4, x, y, z) float32 whose most probable labels are the prediction's."""
    pred = pair(n)[1]
    one = (np.arange(4)[:, None, None, None] == pred) * 0.6 + 0.1
    return (one / one.sum(0)).astype(np.float32)


def test_probabilities_as_nnunet_and_nifti_write_them(two: Any, tmp_path: Path) -> None:
    for n in range(8):
        name = two[1] / f"case_{n:02d}.nii.gz"
        name.unlink()
        if n % 2:
            write(name, np.moveaxis(probabilities(n), 0, -1))
        else:
            np.savez_compressed(two[1] / f"case_{n:02d}.npz", probabilities=probabilities(n).transpose(0, 3, 2, 1))
    run = evaluate_folder(*two, tmp_path / "out", num_classes=4)
    assert run.failed == ()
    np.testing.assert_array_equal(run.values("dice"), expected(8))
    assert run["dice"] is run.values("dice")
    for record in run.records:
        assert set(record.scores) == {"soft_dice", "cross_entropy", "brier_score"}
        assert 0 < float(record.scores["brier_score"] or 0) < 1
    contents(tmp_path / "out")
    run = evaluate_folder(*two, num_classes=3)
    assert len(run.failed) == 8
    run = evaluate_folder(*two, map_prediction={1: 2})
    assert all("map_prediction: as prediction_labels, for label volumes" in str(record.reason) for record in run.failed)


def test_predictions_of_labels_that_are_not_declared_are_misses_if_they_are_counted(tmp_path: Path) -> None:
    gt, pred = folders(tmp_path, 1)
    (pred / "case_00.nii.gz").unlink()
    true, found = np.minimum(pair(0)[0], 2), pair(0)[1]
    write(gt / "case_00.nii.gz", true)
    write(pred / "case_00.nii.gz", np.moveaxis(probabilities(0), 0, -1))
    run = evaluate_folder(gt, pred, labels=[0, 1, 2], unknown="count", metrics=["dice", "recall", "precision"])
    for label in range(3):
        a, b = true == label, found == label
        both = (a & b).sum()
        values = {"dice": 2 * both / (a.sum() + b.sum()), "recall": both / a.sum(), "precision": both / b.sum()}
        assert {metric: run.values(metric)[0, label] for metric in values} == pytest.approx(values, rel=1e-15)
    assert run.records[0].voxels[3] == (found == 3).sum() > 0
    assert "expected scores of the labels (0, 1, 2), found [3] too" in reason(gt, pred, labels=[0, 1, 2])
    beyond = reason(gt, pred, labels=[0, 1], unknown="count")
    assert "case_00.nii.gz: expected labels among (0, 1), found [2] too" in beyond


def reason(gt: Path, pred: Path, **options: Any) -> str:
    """Return why the only case failed."""
    (failed,) = evaluate_folder(gt, pred, **options).failed
    return str(failed.reason)


def test_axes_and_reorient_where_files_of_probabilities_are_among_those_of_labels(tmp_path: Path) -> None:
    gt, pred = folders(tmp_path, 5)
    for n in range(5):
        (pred / f"case_{n:02d}.nii.gz").unlink()
    flipped = np.diag([-1.0, 1, 1, 1])
    flipped[0, 3] = 19
    np.save(pred / "case_00.npy", pair(0)[1].T)
    np.save(pred / "case_01.npy", probabilities(1).T)  # (z, y, x, class)
    write(pred / "case_02.nii.gz", np.moveaxis(probabilities(2), 0, -1))
    write(pred / "case_03.nii.gz", pair(3)[1][::-1], flipped)
    np.savez(pred / "case_04.npz", probabilities=probabilities(4).transpose(0, 3, 2, 1))
    run = evaluate_folder(gt, pred, num_classes=4, axes="zyx", reorient=True)
    assert run.failed == ()
    np.testing.assert_array_equal(run.values("dice"), expected(5))
    write(pred / "case_02.nii.gz", np.moveaxis(probabilities(2), 0, -1)[::-1], flipped)
    run = evaluate_folder(gt, pred, num_classes=4, axes="zyx", reorient=True)
    assert run.failed == ()
    np.testing.assert_array_equal(run.values("dice"), expected(5))
    failed = evaluate_folder(gt, pred, num_classes=4, axes="zyx").failed
    assert [record.id for record in failed] == ["case_02", "case_03"]
    assert all("--reorient, resolves that" in str(record.reason) for record in failed)


def test_axes_say_how_probabilities_lie_in_a_cube(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name in ("gt", "pred"):
        (tmp_path / name).mkdir()
    scores = rng.random((6, 6, 6)).astype("f4")
    write(tmp_path / "gt" / "a.nii.gz", (scores > 0.5).astype("u1"))
    np.save(tmp_path / "pred" / "a.npy", scores.T)
    options: dict[str, Any] = {"activation": "none"}
    assert "axes='xyz' or axes='zyx'" in reason(tmp_path / "gt", tmp_path / "pred", **options)
    assert evaluate_folder(tmp_path / "gt", tmp_path / "pred", axes="zyx", **options).mean("dice") == 1.0
    assert evaluate_folder(tmp_path / "gt", tmp_path / "pred", axes="xyz", **options).mean("dice") < 1.0
    assert "labels that are whole" in reason(tmp_path / "gt", tmp_path / "pred", axes="zyx")


def test_cases_of_probabilities_use_the_threads_that_they_get(two: Any, monkeypatch: Any) -> None:
    from fastseg.counting import score_files

    seen, sum_score_inputs = set(), score_files.sum_score_inputs

    def noted(*args: Any, **options: Any) -> Any:
        seen.add(options["threads"])
        return sum_score_inputs(*args, **options)

    monkeypatch.setattr(score_files, "sum_score_inputs", noted)
    for n in range(8):
        write(two[1] / f"case_{n:02d}.nii.gz", np.moveaxis(probabilities(n), 0, -1))
    assert evaluate_folder(*two, num_classes=4, threads=1).failed == ()
    assert seen == {1}


def test_probabilities_beside_the_labels_are_no_case(two: Any) -> None:
    np.savez_compressed(two[1] / "case_00.npz", probabilities=probabilities(0))
    run = evaluate_folder(*two, num_classes=4)
    assert len(run.records) == 8
    assert run.records[0].scores == {}


def test_arrays_without_a_place(tmp_path: Path) -> None:
    for folder in ("gt", "pred"):
        (tmp_path / folder).mkdir()
    np.save(tmp_path / "gt" / "a.npy", pair(0)[0])
    np.save(tmp_path / "pred" / "a.npy", probabilities(0))
    run = evaluate_folder(tmp_path / "gt", tmp_path / "pred", tmp_path / "out")
    assert run.failed == ()
    assert run.records[0].spacing_mm == (None, None, None)
    np.testing.assert_array_equal(run.values("dice"), expected(1))


def test_a_place_that_is_no_number_is_none_that_json_cannot_hold(two: Any, tmp_path: Path) -> None:
    for n in range(2):
        for folder, voxels in zip(
            two, (pair(n)[0], pair(n)[1] if n else np.moveaxis(probabilities(n), 0, -1)), strict=True
        ):
            path = write(folder / f"case_{n:02d}.nii", voxels)
            data = bytearray(path.read_bytes())
            data[80:96] = np.full(4, np.nan, "<f4").tobytes()  # the spacing
            data[252:256] = bytes(4)  # neither affine
            (folder / f"case_{n:02d}.nii.gz").write_bytes(gzip.compress(data))
            path.unlink()
    run = evaluate_folder(*two, tmp_path / "out", num_classes=4, geometry="ignore")
    assert run.failed == ()
    assert contents(tmp_path / "out")


def test_an_array_of_float_labels_is_no_score(tmp_path: Path) -> None:
    """In the order of SimpleITK, and of a shape that does not tell: refused until somebody says which axis is which."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, (8, 8, 8)).astype("u1")
    for name in ("gt", "pred"):
        (tmp_path / name).mkdir()
    write(tmp_path / "gt" / "a.nii.gz", labels)
    np.save(tmp_path / "pred" / "a.npy", labels.T.astype("f4"))
    refused = evaluate_folder(tmp_path / "gt", tmp_path / "pred")
    assert "may have the axes" in str(refused.failed[0].reason)
    run = evaluate_folder(tmp_path / "gt", tmp_path / "pred", axes="zyx")
    assert run.mean("dice") == 1.0
