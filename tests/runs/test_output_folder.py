"""Where results of a run go: nothing foreign is overwritten, and no results are taken for a case."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from support.cases_on_disk import contents, folders, pair
from support.runs import Counted
from support.volumes_on_disk import write

import fastseg
from fastseg.runs import Run, evaluate_folder
from fastseg.runs.scoring.threads import Progress


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


def test_a_url_is_no_folder_of_this_name(two: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    evaluate_folder(*two, "shard", shard=(1, 1))
    wrong = "^output: expected a folder that this machine can write to, found the URL s3://bucket/out"
    with pytest.raises(ValueError, match=wrong):
        evaluate_folder(*two, "s3://bucket/out")
    with pytest.raises(ValueError, match=wrong):
        fastseg.merge_runs(["shard"], "s3://bucket/out")
    assert not (tmp_path / "s3:").exists()


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
