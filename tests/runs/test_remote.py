"""Runs of cases at URLs: the same numbers as on disk, kept as long as their store says that they are the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
from support.cases_on_disk import folders
from support.command_line import call

import fastseg
from fastseg.runs.scoring import keys
from fastseg.volumes.remote import Stored


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    return folders(tmp_path / "here", 3)


def table(where: Path, root: str, number: int = 3) -> Path:
    """Write a table of pairs whose references are URLs, and whose predictions are files beside it."""
    rows = [f"{root}/gt/case_{n:02d}.nii.gz,pred/case_{n:02d}.nii.gz" for n in range(number)]
    (where / "here/pairs.csv").write_text("\n".join(["reference,prediction", *rows]))
    return where / "here/pairs.csv"


def test_a_table_of_urls_is_the_run_of_its_files(two: Any, tmp_path: Path) -> None:
    here = fastseg.evaluate_folder(*two)
    for root in ((tmp_path / "here").as_uri(), "memory://runs"):
        fsspec.filesystem("memory").put(f"{tmp_path}/here/", "/runs", recursive=True)
        found = fastseg.evaluate_folder(pairs=table(tmp_path, root))
        assert [record.id for record in found.records] == [record.id for record in here.records]
        for one, other in zip(found.records, here.records, strict=True):
            assert np.array_equal(one.pairs, other.pairs)
            assert one.voxels == other.voxels
    fsspec.filesystem("memory").rm("/runs", recursive=True)


def test_cases_are_kept_while_their_store_says_that_they_are_the_same(
    two: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    pairs, said = table(tmp_path, (tmp_path / "here").as_uri()), []
    for _ in range(2):
        fastseg.evaluate_folder(pairs=pairs, output=tmp_path / "out", note=said.append)
    assert said == ["3 of 3 cases were scored before"]
    path = two[0] / "case_01.nii.gz"
    path.write_bytes((two[0] / "case_02.nii.gz").read_bytes())
    fastseg.evaluate_folder(pairs=pairs, output=tmp_path / "out", note=said.append)
    assert said[1:] == ["2 of 3 cases were scored before"]
    monkeypatch.setattr(keys, "stored_at", lambda url: {str(url): Stored(None, "", 5, None)})
    fastseg.evaluate_folder(pairs=pairs, output=tmp_path / "out", note=said.append)
    assert len(said) == 2


def test_a_url_that_leads_nowhere_fails_its_case(two: Any, tmp_path: Path) -> None:
    found = fastseg.evaluate_folder(pairs=table(tmp_path, "memory://nowhere", 1))
    assert [record.reason for record in found.records] == ["memory://nowhere/gt/case_00.nii.gz: there is no such file"]


def test_no_password_is_kept(two: Any, tmp_path: Path) -> None:
    pairs = table(tmp_path, "http://me:secret@127.0.0.1:9", 1)
    fastseg.evaluate_folder(pairs=pairs, output=tmp_path / "out")
    for path in (tmp_path / "out").iterdir():
        assert b"secret" not in path.read_bytes(), path
    assert "http://127.0.0.1:9/gt/case_00.nii.gz" in (tmp_path / "out/run.json").read_text()


def test_two_urls_at_the_command_line(two: Any, tmp_path: Path, capsys: Any, monkeypatch: Any) -> None:
    one, other = (folder.as_uri() + "/case_00.nii.gz" for folder in two)
    code, out, err = call(capsys, monkeypatch, "evaluate", one, other, "--json", "-", "--quiet")
    assert (code, err) == (0, "")
    paths = [folder / "case_00.nii.gz" for folder in two]
    here = json.loads(call(capsys, monkeypatch, "evaluate", *paths, "--json", "-", "--quiet")[1])
    assert json.loads(out) == here | {"files": here["files"] | {"reference": one, "prediction": other}}
    code, out, err = call(capsys, monkeypatch, "evaluate", one, other, "-o", tmp_path / "out", "--quiet")
    assert code == 0
    assert json.loads((tmp_path / "out/run.json").read_text())["cases"]
    monkeypatch.chdir(tmp_path)
    Path("dataset.json").write_text('{"labels": {"background": 0, "nobody": 9}}')  # which is not beside what follows
    code, out, err = call(capsys, monkeypatch, "evaluate", "memory://a.npy", other)
    assert (code, out) == (3, "")
    assert "memory://a.npy: there is no such file" in err
    assert "labels from" not in err


def test_a_folder_and_a_url_are_no_pair(two: Any) -> None:
    with pytest.raises(ValueError, match="prediction: memory://a/b.nii: expected a folder or a file"):
        fastseg.evaluate_folder(two[0], "memory://a/b.nii")
