"""Runs that go on: what is counted again, and what is not."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from support.cases_on_disk import contents, pair
from support.runs import Counted, expected
from support.volumes_on_disk import write

from fastseg.runs import evaluate_folder
from fastseg.runs.results.gates import parse_gate


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
