"""What a folder of cases holds: linked, hidden, in several files, or in subfolders."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from support.empty_cases import ONE_OF_THEM, find, folder, plain, refused

from fastseg.runs.cases.find import CasesError, find_cases


def test_volumes_in_subfolders_want_a_pattern(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    references, predictions = ["x/notes.txt", "x/1/a.nii.gz", "y/b.nii.gz"], ["x/1/a.png", "y/b.png"]
    problems = refused(tmp_path, references, predictions)
    hint = "; a pattern (--pattern) finds those in subfolders, such as "
    assert problems[0].endswith(rf"found none among 2 others: x, y{hint}'(?P<case>.+)\.nii\.gz' for y/b.nii.gz")
    found = find(tmp_path, [], [], pattern=(r"(?P<case>.+)\.nii\.gz", r"(?P<case>.+)\.png"))
    assert [case.id for case in found.cases] == ["x/1/a", "y/b"]
    assert hint not in refused(tmp_path / "2", ["x/notes.txt"], predictions)[0]
    monkeypatch.setattr("fastseg.runs.cases.folders._GLANCE", 0)
    assert hint not in refused(tmp_path, [], [])[0]


def test_several_files_of_one_case(tmp_path: Path) -> None:
    predictions = ["a.nii.gz", "a.npz", "a.pkl", "b.npz", "b.nii", "b.png", "c.npz"]
    problems = refused(tmp_path, ["a.nii", "b.nii", "c.nii"], predictions)
    assert problems == ["prediction: pred: expected one file for each case, found for one: b.nii, b.png" + ONE_OF_THEM]
    os.remove(tmp_path / "pred/b.png")
    found = find_cases(tmp_path / "gt", tmp_path / "pred")
    assert [Path(str(case.prediction)).name for case in found.cases] == ["a.nii.gz", "b.nii", "c.npz"]


def test_a_pair_of_header_and_voxels_is_one_file(tmp_path: Path) -> None:
    found = find(
        tmp_path, ["a.hdr", "a.img", "b.img.gz", "b.hdr.gz", "c.img"], ["a.mhd", "a.raw", "b.HDR", "b.IMG", "c.nii"]
    )
    names = [(Path(case.reference).name, Path(str(case.prediction)).name) for case in found.cases]
    assert names == [("a.hdr", "a.mhd"), ("b.hdr.gz", "b.HDR"), ("c.img", "c.nii")]
    problems = refused(tmp_path / "2", ["a.hdr", "a.img", "a.nii"], ["a.nii"])
    assert problems[0].endswith("found for one: a.hdr, a.nii" + ONE_OF_THEM)
    assert refused(tmp_path / "3", ["a.npz", "a.NPZ"], ["a.nii"])[0].endswith(
        "found for one: a.NPZ, a.npz" + ONE_OF_THEM
    )


def test_folders_that_are_volumes(tmp_path: Path) -> None:
    found = find(tmp_path, ["a.zarr/", "b.ZARR/", "c/", "c.txt/"], ["a.zarr/", "b.nii"])
    assert [case.id for case in found.cases] == ["a", "b"]
    assert refused(tmp_path / "2", ["a.nii.gz/"], ["a.nii"]) == [
        "reference: gt/a.nii.gz: expected a file, found a folder"
    ]
    deep = find(
        tmp_path / "3",
        ["x/a.zarr/0/c.nii", "x/y.nii/y.nii"],
        ["x/a.zarr/0/c.nii", "x/y.nii/y.nii"],
        pattern=r"(?P<case>.*)",
    )
    assert [case.id for case in deep.cases] == ["x/a.zarr", "x/y.nii/y.nii"]


def test_links(tmp_path: Path) -> None:
    gt, pred = tmp_path / "gt", tmp_path / "pred"
    folder(gt, ["a.nii"]), folder(pred, ["c.zarr/"]), folder(tmp_path / "store", ["b.nii", "c.zarr/", "pred_a.nii"])
    (gt / "b.nii").symlink_to(tmp_path / "store/b.nii")
    (gt / "c.zarr").symlink_to(tmp_path / "store/c.zarr")
    (gt / "dataset.json").symlink_to(tmp_path / "absent")
    (pred / "a.nii").symlink_to("../store/pred_a.nii")
    (pred / "b.nii").symlink_to("../store/pred_a.nii")
    linked = tmp_path / "linked"
    linked.symlink_to(pred)
    assert [case.id for case in find_cases(gt, linked).cases] == ["a", "b", "c"]
    (gt / "d.nii").symlink_to(tmp_path / "absent")
    (pred / "e\n.nii").symlink_to("e\n.nii")
    with pytest.raises(CasesError) as caught:
        find_cases(gt, pred)
    problems = plain(caught.value, tmp_path)
    assert problems[0] == "reference: gt/d.nii: expected a file, found a link that leads nowhere"
    assert "found a link that cannot be followed: Too many levels of symbolic links" in problems[1]
    assert problems[2] == "d: no prediction"
    assert len(problems) == 4  # nobody's reference: e, too


def test_pipes_and_sockets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder(tmp_path / "gt", ["a.nii"])
    os.mkfifo(tmp_path / "gt/b.nii")
    os.mkfifo(tmp_path / "gt/pipe")
    monkeypatch.chdir(tmp_path / "gt")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("c.nii")
        problems = refused(tmp_path, [], ["a.nii", "b.nii", "c.nii"])
    assert problems == [
        f"reference: gt/{name}.nii: expected a file, found a device, a pipe or a socket" for name in "bc"
    ]


def test_folders_that_cannot_be_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def scandir(path: str) -> object:
        if str(path).endswith(("pred", "b")):
            raise PermissionError(13, "Permission denied", path)
        return real(path)

    real = os.scandir
    monkeypatch.setattr(os, "scandir", scandir)
    problems = refused(tmp_path, ["a/s.nii", "b/s.nii"], ["a/s.nii"], pattern="(?P<case>.)/s.nii")
    assert problems[:2] == [
        "reference: gt/b: cannot be listed: Permission denied",
        "prediction: pred: cannot be listed: Permission denied",
    ]


def test_loops_of_links_are_not_followed(tmp_path: Path) -> None:
    gt = tmp_path / "gt"
    folder(gt, ["a/b/s.nii"]), folder(tmp_path / "elsewhere", ["c/s.nii"])
    (gt / "a/b/up").symlink_to(gt)
    (gt / "a/b/same").symlink_to(gt / "a/b")
    (gt / "a/b/higher").symlink_to(tmp_path)
    (gt / "d").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere/c/back").symlink_to(gt)
    found = find(tmp_path, [], ["a/b/s.nii", "d/c/s.nii"], pattern="(?P<case>(a/b|d/c))/s.nii")
    assert [case.id for case in found.cases] == ["a/b", "d/c"]
    (gt / "e").symlink_to(tmp_path / "unmounted")
    assert refused(tmp_path, [], [], pattern="(?P<case>(a/b|d/c))/s.nii") == [
        "reference: gt/e: expected a file or a folder, found a link that leads nowhere"
    ]


def test_many_files_need_no_stat_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"{n:05}.nii" for n in range(300)]
    gt, pred = folder(tmp_path / "gt", names), folder(tmp_path / "pred", names)
    calls: list[object] = []
    real = os.stat
    monkeypatch.setattr(os, "stat", lambda *given, **options: (calls.append(given), real(*given, **options))[1])
    assert len(find_cases(gt, pred).cases) == 300
    assert len(calls) < 30
