"""Folders of cases, end to end: every number is that of the arrays, every case is counted once, and outputs are the same."""

from __future__ import annotations

import gzip
import hashlib
import itertools
import json
import os
import random
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from support.cases_on_disk import EXACT, contents, folders, pair
from support.volumes_on_disk import write

import fastseg
from fastseg.runs import Run, Settings, evaluate_folder
from fastseg.runs.cases.find import Case, CasesError
from fastseg.runs.results.gates import parse_gate
from fastseg.runs.scoring import threads as running
from fastseg.runs.scoring.case import CancelledError, score_case
from fastseg.runs.scoring.threads import Progress

Counted = list[str]


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    return folders(tmp_path)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counted:
    """The ids of the cases that were counted."""
    ids: Counted = []

    def noted(case: Any, *args: Any, **kwargs: Any) -> Any:
        ids.append(case.id)
        return score_case(case, *args, **kwargs)

    monkeypatch.setattr(running, "score_case", noted)
    return ids


def expected(number: int, metric: str = "dice") -> np.ndarray:
    """(N, C) from the arrays."""
    return np.array([_values(fastseg.evaluate(*pair(n), num_classes=4), metric) for n in range(number)])


def _values(scores: Any, metric: str) -> np.ndarray:
    plain = scores.to_dict()["classes"]
    return np.array([np.nan if each[metric] is None else each[metric] for each in plain.values()], float)


# Numbers


def test_every_number_is_that_of_the_arrays(two: Any, tmp_path: Path) -> None:
    out = tmp_path / "new" / "out"
    run = evaluate_folder(*two, out, num_classes=4, metrics="dice,iou,cohen_kappa")
    assert [record.id for record in run.records] == [f"case_{n:02d}" for n in range(8)]
    assert {record.status for record in run.records} == {"scored"}
    for metric in ("dice", "iou"):
        np.testing.assert_array_equal(run.values(metric), expected(8, metric))
    with np.errstate(all="ignore"):
        assert run.mean("dice") == pytest.approx(np.nanmean(np.nanmean(expected(8), 0)[1:]), abs=1e-12)
    again = Run.load(out)
    np.testing.assert_array_equal(again.values("dice"), run.values("dice"))
    assert str(again) == str(run)
    contents(out)


def test_without_an_output_nothing_is_written(two: Any, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    run = evaluate_folder(*two)
    np.testing.assert_array_equal(run.values("dice"), expected(8))
    assert sorted(tmp_path.rglob("*")) == before


def test_two_files_are_a_run_of_one_case(two: Any) -> None:
    run = evaluate_folder(two[0] / "case_03.nii.gz", two[1] / "case_05.nii.gz", num_classes=4)
    scores = fastseg.evaluate(pair(3)[0], pair(5)[1], num_classes=4)
    assert [record.id for record in run.records] == ["case_03"]
    np.testing.assert_array_equal(run.values("dice")[0], _values(scores, "dice"))


def test_ignored_mapped_and_united_labels(two: Any, tmp_path: Path) -> None:
    run = evaluate_folder(*two, num_classes=4, ignore=[2], map_prediction={1: 3, 3: 1})
    for n, record in enumerate(run.records):
        true, pred = pair(n)
        mapped = np.array([0, 3, 2, 1], np.uint8)[pred]
        scores = fastseg.evaluate(true, mapped, num_classes=4, ignore_index=2)
        np.testing.assert_array_equal(run.values("dice")[n], _values(scores, "dice"))
        assert record.voxels[1] == int((true == 2).sum())
    run = evaluate_folder(*two, regions={"whole": [1, 2, 3], "core": [2, 9]})
    for n in range(8):
        true, pred = pair(n)
        for place, members in enumerate(((1, 2, 3), (2, 9))):
            a, b = np.isin(true, members), np.isin(pred, members)
            assert run.values("dice")[n, place] == 2 * (a & b).sum() / (a.sum() + b.sum())


def test_nnunets_dataset_json_is_found(two: Any, tmp_path: Path) -> None:
    names = {"background": 0, "liver": 1, "cyst": 2, "vessel": 3, "absent": 4}
    (two[0] / "dataset.json").write_text(json.dumps({"labels": names, "file_ending": ".nii.gz"}))
    notes: list[str] = []
    run = evaluate_folder(*two, note=notes.append)
    assert [each.name for each in run.classes] == list(names)
    assert notes == [f"labels from {two[0] / 'dataset.json'}"]


def test_regions_of_interest(two: Any, tmp_path: Path) -> None:
    roi = tmp_path / "roi"
    roi.mkdir()
    for n in range(8):
        mask = np.zeros(pair(n)[0].shape, np.uint8)
        mask[:9] = 1
        write(roi / f"case_{n:02d}.nii.gz", mask)
    run = evaluate_folder(*two, roi=roi, num_classes=4)
    for n in range(8):
        true, pred = (each[:9] for each in pair(n))
        np.testing.assert_array_equal(
            run.values("dice")[n], _values(fastseg.evaluate(true, pred, num_classes=4), "dice")
        )


def test_pairs_and_patterns(two: Any, tmp_path: Path) -> None:
    table = tmp_path / "pairs.csv"
    table.write_text("case,reference,prediction\nx,gt/case_01.nii.gz,pred/case_02.nii.gz\n")
    run = evaluate_folder(pairs=table, num_classes=4)
    scores = fastseg.evaluate(pair(1)[0], pair(2)[1], num_classes=4)
    np.testing.assert_array_equal(run.values("dice")[0], _values(scores, "dice"))
    run = evaluate_folder(*two, pattern=r"case_(?P<case>.*)\.nii\.gz")
    assert [record.id for record in run.records] == [f"{n:02d}" for n in range(8)]


def test_flipped_predictions(two: Any) -> None:
    path = two[1] / "case_00.nii.gz"
    affine = np.diag([-1.0, 1, 1, 1])
    affine[0, 3] = pair(0)[1].shape[0] - 1
    write(path, pair(0)[1][::-1], affine)
    run = evaluate_folder(*two, num_classes=4)
    assert [record.id for record in run.failed] == ["case_00"]
    assert "flip" in str(run.failed[0].reason)
    run = evaluate_folder(*two, num_classes=4, reorient=True)
    np.testing.assert_array_equal(run.values("dice"), expected(8))
    run = evaluate_folder(*two, num_classes=4, geometry="warn")
    assert "flip" in run.records[0].geometry


@pytest.mark.parametrize("missing", ["error", "skip", "worst"])
def test_missing_predictions(two: Any, missing: Any, tmp_path: Path) -> None:
    (two[1] / "case_02.nii.gz").unlink()
    out = tmp_path / "out"
    if missing == "error":
        with pytest.raises(CasesError, match="case_02: no prediction"):
            evaluate_folder(*two, out)
        assert not out.exists()
        return
    run = evaluate_folder(*two, out, num_classes=4, missing=missing)
    assert [record.id for record in run.missing] == ["case_02"]
    assert len(run.counted) == (7 if missing == "skip" else 8)
    if missing == "worst":
        occurs = np.isin(np.arange(4), pair(2)[0])
        np.testing.assert_array_equal(run.values("dice")[2][occurs], 0.0)
    before = contents(out)
    evaluate_folder(*two, out, num_classes=4, missing=missing)
    assert contents(out) == before


def test_a_mask_of_a_missing_prediction_is_laid_as_its_reference(two: Any, tmp_path: Path) -> None:
    gt, pred = two
    for path in sorted(gt.iterdir())[1:]:
        path.unlink()
    shutil.rmtree(pred)
    pred.mkdir()
    true = pair(0)[0]
    mask = (np.arange(true.shape[0]) < 9)[:, None, None] * np.ones(true.shape, np.uint8)
    affine = np.diag([-1.0, 1, 1, 1])
    affine[0, 3] = true.shape[0] - 1
    (tmp_path / "roi").mkdir()
    write(tmp_path / "roi" / "case_00.nii.gz", mask[::-1].astype(np.uint8), affine)
    run = evaluate_folder(gt, pred, roi=tmp_path / "roi", missing="worst", reorient=True)
    assert run.records[0].unknown.tolist() == [
        [label, int((true[:9] == label).sum())] for label in np.unique(true[:9]).tolist()
    ]
    run = evaluate_folder(gt, pred, roi=tmp_path / "roi", missing="worst")
    assert "flip" in str(run.failed[0].reason)


# Files of probabilities


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
    from fastseg.api import score_files

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


# Cases that fail


def test_one_failure_is_nobody_elses(two: Any, tmp_path: Path, counted: Counted, monkeypatch: Any) -> None:
    gt, pred = two
    (pred / "case_00.nii.gz").write_bytes((pred / "case_00.nii.gz").read_bytes()[:-9])
    write(pred / "case_01.nii.gz", np.zeros((3, 4, 5), np.uint8))
    write(pred / "case_02.nii.gz", np.full(pair(2)[0].shape, 77, np.uint8))
    (pred / "case_03.nii.gz").write_bytes(b"not a volume at all\x1b[31m\n")
    write(gt / "case_04.nii.gz", np.full(pair(4)[0].shape, 0.5, np.float32))
    out = tmp_path / "out"
    run = evaluate_folder(*two, out, num_classes=4)
    reasons = {record.id: str(record.reason) for record in run.failed}
    wanted = ("truncated or corrupt", "shape", "first is 77 at index (0, 0, 0)", "348 or 540 bytes", "whole numbers")
    for n, text in enumerate(wanted):
        assert text in reasons[f"case_{n:02d}"]
        assert f"case_{n:02d}.nii.gz" in reasons[f"case_{n:02d}"]
        assert "\n" not in reasons[f"case_{n:02d}"]
    assert len(reasons) == 5
    np.testing.assert_array_equal(run.values("dice"), expected(8)[5:])
    assert sorted(counted) == [f"case_{n:02d}" for n in range(8)]
    for n in (0, 1):  # mended; the others are tried again
        shutil.copy(gt / f"case_{n:02d}.nii.gz", pred / f"case_{n:02d}.nii.gz")
    counted.clear()
    run = evaluate_folder(*two, out, num_classes=4)
    assert sorted(counted) == [f"case_{n:02d}" for n in range(5)]
    assert [record.id for record in run.failed] == ["case_02", "case_03", "case_04"]


def test_whatever_a_case_raises_is_its_reason(two: Any, tmp_path: Path, monkeypatch: Any) -> None:
    from fastseg.runs.scoring import case as scoring

    count, errors = (
        scoring.count_with_facts,
        [MemoryError(), MemoryError("of 18 GB"), ZeroDivisionError("x\n y"), ValueError()],
    )

    def failing(reference: str, *args: Any, **kwargs: Any) -> Any:
        n = int(reference[-9:-7])
        if n < len(errors):
            raise errors[n]
        return count(reference, *args, **kwargs)

    monkeypatch.setattr(scoring, "count_with_facts", failing)
    run = evaluate_folder(*two, tmp_path / "out", num_classes=4)
    wanted = ["not enough memory", "not enough memory: of 18 GB", "ZeroDivisionError: x y", "ValueError"]
    assert [record.reason for record in run.failed] == wanted
    assert len(run.counted) == 4


def test_a_file_that_goes_away(two: Any, tmp_path: Path, monkeypatch: Any) -> None:
    gone = two[1] / "case_01.nii.gz"

    def without(case: Any, *args: Any, **kwargs: Any) -> Any:
        gone.unlink(missing_ok=True)
        return score_case(case, *args, **kwargs)

    monkeypatch.setattr(running, "score_case", without)
    run = evaluate_folder(*two, threads=1)
    assert [record.reason for record in run.failed] == [f"{gone}: No such file or directory"]


def test_when_every_case_fails_there_is_a_run_of_nothing(two: Any, tmp_path: Path) -> None:
    for path in two[1].iterdir():
        path.write_bytes(b"")
    run = evaluate_folder(*two, tmp_path / "out")
    assert len(run.failed) == 8
    assert "0 of 8 cases scored, 8 failed" in str(run)
    assert Run.load(tmp_path / "out").counted == ()


# Going on


def test_nothing_is_counted_twice(two: Any, tmp_path: Path, counted: Counted) -> None:
    out = tmp_path / "out"
    notes: list[str] = []
    evaluate_folder(*two, out)
    before = contents(out)
    assert sorted(counted) == [f"case_{n:02d}" for n in range(8)]
    counted.clear()
    evaluate_folder(*two, out, note=notes.append)
    assert counted == []
    assert notes == ["8 of 8 cases were scored before"]
    assert contents(out) == before
    write(two[1] / "case_03.nii.gz", pair(7)[1])  # another size
    os.utime(two[0] / "case_04.nii.gz")
    evaluate_folder(*two, out)
    assert sorted(counted) == ["case_03", "case_04"]
    counted.clear()
    evaluate_folder(*two, out, resume=False)
    assert len(counted) == 8


def test_what_decides_about_counting_again(two: Any, tmp_path: Path, counted: Counted) -> None:
    out = tmp_path / "out"
    evaluate_folder(*two, out)
    for options in (
        {"metrics": "all"}, {"convention": "nnunet"}, {"regions": {"a": [1, 2]}}, {"background": True}, {"seed": 5},
        {"labels": {1: "liver"}}, {"confidence": 0.5}, {"missing": "worst"}, {"threads": 1}, {"hashing": "never"},
        {"gates": [parse_gate("dice=0.1")]},
    ):  # fmt: skip
        counted.clear()
        run = evaluate_folder(*two, out, **options)
        assert counted == [], options
        fresh = evaluate_folder(*two, **options)
        for metric in ("dice", "accuracy"):
            np.testing.assert_array_equal(run.values(metric), fresh.values(metric))
    for options in (
        {"num_classes": 4}, {"ignore": 2}, {"map_prediction": {1: 2}}, {"geometry": "ignore"}, {"reorient": True},
        {"num_classes": 4, "unknown": "count"}, {"axes": "xyz"},
    ):  # fmt: skip
        counted.clear()
        evaluate_folder(*two, out, **options)
        assert len(counted) == 8, options


def test_another_file_of_the_same_size_and_time_of_modification(two: Any, tmp_path: Path, counted: Counted) -> None:
    """As ``cp -p`` leaves it."""
    for path in (two[1] / "case_00.nii", two[1] / "case_01.nii"):
        write(path, pair(int(path.stem[-1]))[1])
        (path.parent / f"{path.name}.gz").unlink()
    first = evaluate_folder(*two, tmp_path / "out")
    one, other = two[1] / "case_00.nii", two[1] / "case_01.nii"
    status = one.stat()
    one.write_bytes(other.read_bytes())
    os.utime(one, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert (one.stat().st_size, one.stat().st_mtime_ns) == (status.st_size, status.st_mtime_ns)
    counted.clear()
    again = evaluate_folder(*two, tmp_path / "out")
    assert counted == ["case_00"]
    assert again.values("dice")[0].tolist() != first.values("dice")[0].tolist()


def test_files_by_their_content(two: Any, tmp_path: Path, counted: Counted) -> None:
    out = tmp_path / "out"
    evaluate_folder(*two, out, hashing="always")
    for path in two[0].iterdir():
        os.utime(path, ns=(1, 1))
    counted.clear()
    evaluate_folder(*two, out, hashing="always")
    assert counted == []
    path = two[1] / "case_00.nii.gz"
    data = bytearray(path.read_bytes())
    data[4] ^= 1  # the time in gzip's header: another content of the same size
    status = path.stat()
    path.write_bytes(data)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    evaluate_folder(*two, out, hashing="always")
    assert counted == ["case_00"]


def test_hashes_that_were_left_out_before(two: Any, tmp_path: Path, counted: Counted) -> None:
    import hashlib

    out = tmp_path / "out"
    run = evaluate_folder(*two, out, hashing="never")
    assert run.records[0].inputs["reference"]["sha256"] is None
    counted.clear()
    run = evaluate_folder(*two, out)
    assert len(counted) == 8
    content = (two[0] / "case_00.nii.gz").read_bytes()
    assert run.records[0].inputs["reference"] == {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}


@pytest.mark.parametrize("suffix", ["hdr", "mhd", "mhd-other", "zarr"])
@pytest.mark.parametrize("hashing", ["auto", "always"])
def test_volumes_of_several_files(tmp_path: Path, suffix: str, hashing: Any, counted: Counted) -> None:
    """What changes in a file beside the header is seen."""
    gt, pred = tmp_path / "gt", tmp_path / "pred"
    for n, folder in enumerate((gt, pred)):
        folder.mkdir()
        if suffix == "hdr":
            nibabel.save(nibabel.Nifti1Pair(pair(0)[n], np.eye(4)), folder / "a.img")
        elif suffix.startswith("mhd"):
            itk = pytest.importorskip("SimpleITK")
            itk.WriteImage(itk.GetImageFromArray(pair(0)[n]), os.fspath(folder / "a.mhd"))
        else:
            zarr = pytest.importorskip("zarr")
            zarr.create_array(os.fspath(folder / "a.zarr"), data=pair(0)[n], chunks=(7, 19, 18))
    beside = {"hdr": "a.img", "mhd": "a.raw", "mhd-other": "voxels.raw", "zarr": "a.zarr/c/1/0/0"}[suffix]
    if suffix == "mhd-other":
        (pred / "a.raw").rename(pred / beside)
        (pred / "a.mhd").write_text((pred / "a.mhd").read_text().replace("a.raw", beside))
    options: Any = {"hashing": hashing, "num_classes": 4}
    first = evaluate_folder(gt, pred, tmp_path / "out", **options)
    assert first.failed == ()
    np.testing.assert_array_equal(first.values("dice"), expected(1))
    counted.clear()
    evaluate_folder(gt, pred, tmp_path / "out", **options)
    assert counted == []
    if suffix == "zarr":  # as large and as old as before, in another place
        (pred / beside).rename(pred / "a.zarr/c/1/0/x")
        (pred / "a.zarr/c/1/0/x").rename(pred / "a.zarr/c/0/0/0")
    else:
        os.utime(pred / beside)
        with (pred / beside).open("r+b") as file:
            file.write(b"\3" * 999)
    again = evaluate_folder(gt, pred, tmp_path / "out", **options)
    assert counted == ["a"]
    assert again.values("dice").tolist() != first.values("dice").tolist()


def test_what_changes_behind_links_is_seen(tmp_path: Path, counted: Counted) -> None:
    zarr = pytest.importorskip("zarr")
    gt, pred = tmp_path / "gt", tmp_path / "pred"
    for n, folder in enumerate((gt, pred)):
        zarr.create_array(os.fspath(folder / "a.zarr"), data=pair(0)[n], chunks=(7, 19, 18))
    chunks = (pred / "a.zarr/c").rename(tmp_path / "chunks")
    (pred / "a.zarr/c").symlink_to(chunks)
    for up in (pred / "a.zarr/up", chunks / "0/up"):  # without end, if all links were followed
        up.symlink_to(pred / "a.zarr")
    first = evaluate_folder(gt, pred, tmp_path / "out")
    np.testing.assert_array_equal(first.values("dice"), expected(1))
    counted.clear()
    evaluate_folder(gt, pred, tmp_path / "out")
    assert counted == []
    (chunks / "1/0/0").unlink()
    again = evaluate_folder(gt, pred, tmp_path / "out")
    assert counted == ["a"]
    assert again.values("dice").tolist() != first.values("dice").tolist()


# Where results go


@pytest.mark.parametrize("where", ["pred", "pred/out", "gt", "gt/out"])
def test_outputs_beside_the_volumes_are_no_cases(two: Any, where: str, tmp_path: Path, counted: Counted) -> None:
    out = tmp_path / where
    first = evaluate_folder(*two, out)
    counted.clear()
    second = evaluate_folder(*two, out)
    assert counted == []
    assert [record.id for record in first.records] == [record.id for record in second.records]
    third = evaluate_folder(*two, tmp_path / "elsewhere", pattern=r".*?(?P<case>[^/]*)\.n[^/]*")
    assert len(third.records) == 8
    assert len(counted) == 8


def test_two_runs_at_once_in_one_folder(two: Any, tmp_path: Path, monkeypatch: Any) -> None:
    found = []

    def second(now: Progress) -> None:
        with pytest.raises(OSError, match="another fastseg is writing to this folder"):
            evaluate_folder(*two, tmp_path / "out")
        found.append(now)

    evaluate_folder(*two, tmp_path / "out", progress=second)
    assert found


def test_hostile_names(tmp_path: Path) -> None:
    gt, pred = folders(tmp_path, 1)
    for n, name in enumerate(["\x1b[31mred", "two\nlines", "=1+1", "日本", " x ", 'a"b,c', "\u202eabc"]):
        for folder, voxels in zip((gt, pred), pair(n), strict=True):
            write(folder / "t.nii.gz", voxels).rename(folder / f"{name}.nii.gz")
    raw = os.fsencode(gt) + b"/\xff.nii.gz", os.fsencode(pred) + b"/\xff.nii.gz"
    for source, target in zip((gt, pred), raw, strict=True):
        shutil.copy(os.fsencode(source / "case_00.nii.gz"), target)
    run = evaluate_folder(gt, pred, tmp_path / "out")
    assert run.failed == ()
    assert len(run.counted) == 9
    before = contents(tmp_path / "out")
    evaluate_folder(gt, pred, tmp_path / "out")
    assert contents(tmp_path / "out") == before
    again = Run.load(tmp_path / "out")
    assert [record.reference for record in again.records] == [record.reference for record in run.records]


def test_a_class_may_have_any_name(two: Any) -> None:
    run = evaluate_folder(*two, labels={0: "all", 1: "mean", 2: "\x1b[31m", 3: "1"}, metrics="dice,accuracy")
    text = str(run)
    assert text.isascii()
    assert "\x1b" not in text
    assert text.count("accuracy: ") == 1
    assert text.count("all") == 1


# Threads


def test_records_do_not_depend_on_threads_or_their_order(two: Any, tmp_path: Path, monkeypatch: Any) -> None:
    expected = None
    for number in (1, 2, 3, 16):
        rng = random.Random(number)

        def late(*args: Any, rng: random.Random = rng, **kwargs: Any) -> Any:
            time.sleep(rng.random() * 0.02)
            return score_case(*args, **kwargs)

        monkeypatch.setattr(running, "score_case", late)
        out = tmp_path / str(number)
        evaluate_folder(*two, out, threads=number)
        found = contents(out)
        expected = expected or found
        assert found == expected


def test_progress_never_goes_back(two: Any, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(running, "_LOOK_SECONDS", 0.001)
    evaluate_folder(*two, tmp_path / "out")
    (two[1] / "case_02.nii.gz").write_bytes(b"")
    write(two[1] / "case_03.nii.gz", pair(9)[1])
    seen: list[Progress] = []
    evaluate_folder(*two, tmp_path / "out", progress=seen.append, threads=3)
    assert {now.expected for now in seen} == {8}
    assert seen[0].cases >= 6
    assert (seen[-1].cases, seen[-1].failed, seen[-1].voxels) == (8, 1, 20 * 19 * 18)
    for a, b in itertools.pairwise(seen):
        assert a.cases <= b.cases
        assert a.voxels <= b.voxels
        assert a.seconds <= b.seconds


@pytest.mark.parametrize("error", [RuntimeError("of mine"), KeyboardInterrupt()])
def test_what_progress_raises_ends_the_run(two: Any, tmp_path: Path, error: BaseException) -> None:
    def fail(_: Progress) -> None:
        raise error

    before = threading.active_count()
    with pytest.raises(type(error)) as raised:
        evaluate_folder(*two, tmp_path / "out", progress=fail)
    assert raised.value is error
    assert not (tmp_path / "out" / "run.json").exists()
    assert not [t for t in threading.enumerate() if t.name.startswith("fastseg-case")]
    assert threading.active_count() <= before + 2  # those of the shared pool
    evaluate_folder(*two, tmp_path / "out")
    contents(tmp_path / "out")


def test_a_journal_that_cannot_be_written_ends_the_run(two: Any, tmp_path: Path, monkeypatch: Any) -> None:
    from fastseg.runs.scoring.journal import Journal, JournalError

    append: Callable[..., None] = Journal.append
    written: list[str] = []

    def fail(self: Journal, record: Any) -> None:
        if len(written) == 3:
            raise JournalError("no more")
        written.append(record.id)
        append(self, record)

    monkeypatch.setattr(Journal, "append", fail)
    with pytest.raises(JournalError, match="no more"):
        evaluate_folder(*two, tmp_path / "out")
    monkeypatch.undo()
    assert not (tmp_path / "out" / "run.json").exists()
    with Journal(tmp_path / "out") as journal:
        assert sorted(journal.records) == sorted(written)


def test_few_large_cases_use_several_threads_each(two: Any, monkeypatch: Any) -> None:
    given: list[int] = []

    def noted(*args: Any, threads: int, **kwargs: Any) -> Any:
        given.append(threads)
        return score_case(*args, threads=threads, **kwargs)

    monkeypatch.setattr(running, "score_case", noted)
    evaluate_folder(two[0] / "case_00.nii.gz", two[1] / "case_00.nii.gz", threads=5)
    assert given == [5]
    given.clear()
    evaluate_folder(*two, threads=1)
    assert given == [1] * 8
    given.clear()
    evaluate_folder(*two, threads=2)
    assert given[:7] == [1] * 7


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("kind", ["labels", "blocks", "scores", "hashes"])
def test_a_case_that_nobody_waits_for_ends_at_once(tmp_path: Path, threads: int, kind: str) -> None:
    gt, pred = folders(tmp_path, 1, 150)
    case = Case("a", *(os.fspath(folder / "case_00.nii.gz") for folder in (gt, pred)), None)
    if kind == "scores":
        np.savez(tmp_path / "p.npz", probabilities=np.full((2, 148, 149, 150), 0.5, np.float32))
        write(gt / "case_00.nii.gz", np.ones((150, 149, 148), np.uint8))
        case = case._replace(prediction=os.fspath(tmp_path / "p.npz"))
    elif kind == "blocks":
        for folder in (gt, pred):
            write(folder / "a.nii", pair(0, 150)[0])
        case = case._replace(reference=os.fspath(gt / "a.nii"), prediction=os.fspath(pred / "a.nii"))
    calls: list[tuple[int, ...]] = []

    def cancel(*now: int) -> None:
        calls.append(now)
        raise CancelledError

    hashing: Any = "always" if kind == "hashes" else "never"
    with pytest.raises(CancelledError):
        score_case(case, Settings(), hashing=hashing, threads=threads, progress=cancel)
    assert len(calls) == 1
    assert calls[0][0] <= 150 * 149 * 148


def test_threads_that_cannot_be_started(two: Any, tmp_path: Path, monkeypatch: Any) -> None:
    start = threading.Thread.start

    def fail(self: threading.Thread) -> None:
        if self.name == "fastseg-case-1":
            raise RuntimeError("can't start new thread")
        start(self)

    monkeypatch.setattr(running, "_SMALL_BYTES", 0)  # several threads, however small the cases are
    monkeypatch.setattr(threading.Thread, "start", fail)
    with pytest.raises(RuntimeError, match="can't start new thread"):
        evaluate_folder(*two, tmp_path / "out", threads=3)
    assert not [t for t in threading.enumerate() if t.name.startswith("fastseg-case")]
    monkeypatch.undo()
    evaluate_folder(*two, tmp_path / "out", threads=3)
    assert contents(tmp_path / "out")


def _resident() -> int:
    """Bytes of memory that this process has."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")
def test_many_cases_leave_nothing_behind(tmp_path: Path, monkeypatch: Any) -> None:
    gt, pred = folders(tmp_path, 1, 6)
    for n in range(1, 500):
        for folder in (gt, pred):
            os.link(folder / "case_00.nii.gz", folder / f"more_{n:03d}.nii.gz")
    evaluate_folder(gt / "case_00.nii.gz", pred / "case_00.nii.gz")
    memory: list[int] = []
    files, threads = len(os.listdir("/proc/self/fd")), threading.active_count()

    def noted(*args: Any, **kwargs: Any) -> Any:
        memory.append(_resident())
        return score_case(*args, **kwargs)

    monkeypatch.setattr(running, "score_case", noted)
    run = evaluate_folder(gt, pred, tmp_path / "out", resamples=10)
    assert len(run.counted) == 500
    assert memory[-1] - memory[250] < 8 << 20
    assert len(os.listdir("/proc/self/fd")) == files
    assert threading.active_count() <= threads + 2


def test_arguments(two: Any, tmp_path: Path) -> None:
    for options, message in (
        ({"hashing": "maybe"}, "hashing: expected"),
        ({"threads": 0}, "threads: expected"),
        ({"metrics": "nonsense"}, "metrics: expected"),
        ({"missing": "x"}, "missing: expected"),
    ):
        with pytest.raises(ValueError, match=message):
            evaluate_folder(*two, tmp_path / "out", **options)  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()
    assert set(EXACT) < {*EXACT, "run.json"}


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


def test_classes_that_only_the_prediction_has_a_name_for(tmp_path: Path) -> None:
    """Their codes had to move, and are the largest there are: they are written, read back and drawn as all others."""
    gt, pred = folders(tmp_path, 2)
    names = {1: "liver", 2: "spleen"}
    theirs = {1: "liver", 2: "kidney", 3: "spleen"}
    run = evaluate_folder(gt, pred, tmp_path / "out", labels=names, prediction_labels=theirs)
    assert run.failed == ()
    assert [run.settings.names.get(label, str(label)) for label in run.labels] == [
        "0",
        "liver",
        "spleen",
        "3",
        "kidney",
    ]
    again = Run.load(tmp_path / "out")
    assert again.labels.tolist() == run.labels.tolist()
    assert "kidney" in (tmp_path / "out" / "classes.csv").read_text()
    found = int(sum((pair(n)[1] == 2).sum() for n in range(2)))
    assert run.counts().matrix[:, :, -1].sum() == found


def test_surplus_predictions_and_regions_of_background(tmp_path: Path) -> None:
    gt, pred = folders(tmp_path, 1)
    shutil.copyfile(pred / "case_00.nii.gz", pred / "old.nii.gz")
    run = evaluate_folder(gt, pred, missing="skip", regions={"nothing": [0], "all": [1, 2]})
    assert [Path(path).name for path in run.facts["extra"]] == ["old.nii.gz"]
    assert run.foreground.tolist() == [False, True]


def test_a_report_of_other_numbers_does_not_stay(two: Any, tmp_path: Path) -> None:
    from fastseg.report import write_report

    out, notes = tmp_path / "out", []
    fastseg.evaluate_folder(*two, out)
    page = Path(write_report(out, overlays=False))
    fastseg.evaluate_folder(*two, out, note=notes.append)
    assert page.is_file()
    fastseg.evaluate_folder(*two, out, metrics="iou", note=notes.append)
    assert not page.exists()
    assert "report.html" in notes[-1]


def test_facts_say_where_labels_come_from(two: Any, tmp_path: Path) -> None:
    table = tmp_path / "names.txt"
    table.write_text("1 liver\n")
    run = fastseg.evaluate_folder(*two, labels=table)
    digest = hashlib.sha256(table.read_bytes()).hexdigest()
    assert run.facts["tables"] == {"labels": {"path": str(table), "sha256": digest}}
    assert run.facts["working_folder"] == os.getcwd()


def test_results_of_other_predictions_are_an_error(two: Any, tmp_path: Path) -> None:
    out = tmp_path / "out"
    fastseg.evaluate_folder(*two, out)
    journal = (out / "records.jsonl").read_bytes()
    two[1].rename(tmp_path / "others")
    with pytest.raises(ValueError, match="output: .*expected another folder, found the results of other predictions"):
        fastseg.evaluate_folder(two[0], tmp_path / "others", out)
    assert (out / "records.jsonl").read_bytes() == journal
    run = fastseg.evaluate_folder(two[0], tmp_path / "others", out, resume=False)
    assert len(run.counted) == len(run.records)


def test_results_are_ones_own_wherever_one_stands(two: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    reference, prediction = (os.path.relpath(folder) for folder in two)
    fastseg.evaluate_folder(reference, prediction, "out")
    notes: list[str] = []
    monkeypatch.chdir(tmp_path.parent)
    here = tmp_path.name
    fastseg.evaluate_folder(f"{here}/{reference}", f"{here}/{prediction}", f"{here}/out", note=notes.append)
    assert notes == ["8 of 8 cases were scored before"]
    assert fastseg.Run.load(tmp_path / "out").records[0].reference.startswith(f"{here}/")
    shutil.copytree(two[0].parent, tmp_path / "model_b")
    monkeypatch.chdir(tmp_path / "model_b")
    with pytest.raises(ValueError, match="results of other predictions"):  # by the same relative paths
        fastseg.evaluate_folder(two[0].name, two[1].name, "../out")


def test_codes_that_differ_are_said(two: Any) -> None:
    notes: list[str] = []
    pred = pair(1)[1]
    write(two[1] / "case_01.nii.gz", np.where(pred == 3, 255, pred).astype(np.uint8))
    fastseg.evaluate_folder(*two, note=notes.append)
    (note,) = notes
    assert note.startswith(
        "warning: labels in predictions only: 255; where codes differ, map_prediction (--map-prediction)"
    )
    fastseg.evaluate_folder(*two, labels={255: "new"}, note=notes.append)
    assert len(notes) == 1


def test_gates_as_text(two: Any) -> None:
    run = evaluate_folder(*two, gates=["dice=0.01", parse_gate("2:iou=0.999")])
    assert [gate["passed"] for gate in run.facts["gates"]] == [True, False]
    with pytest.raises(ValueError, match="gate: expected METRIC=NUMBER"):
        evaluate_folder(*two, gates=["dice"])


def test_the_label_table_beside_a_table_of_pairs(two: Any, tmp_path: Path) -> None:
    lines = [f"{two[0]}/case_01.nii.gz,{two[1]}/case_01.nii.gz"]
    (tmp_path / "pairs.csv").write_text("\n".join(["reference,prediction", *lines]) + "\n")
    (tmp_path / "dataset.json").write_text('{"labels": {"background": 0, "a": 1, "b": 2, "c": 3}}')
    run = evaluate_folder(pairs=tmp_path / "pairs.csv")
    assert [each.name for each in run.classes] == ["background", "a", "b", "c"]
