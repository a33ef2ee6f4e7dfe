"""What a case has to say for itself is in its record, its run and on the screen."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.cases_on_disk import contents, folders, pair

from fastseg import Run, cli, evaluate_folder
from fastseg.runs import CaseRecord


def test_an_infinite_cross_entropy_is_explained(tmp_path: Path, capsys: Any, monkeypatch: Any) -> None:
    gt, pred = folders(tmp_path, 2)
    (pred / "case_01.nii.gz").unlink()
    np.save(pred / "case_01.npy", np.stack([pair(1)[1] == label for label in range(4)]).astype("f2"))

    def call(*more: str) -> tuple[int, str]:
        monkeypatch.setattr(
            sys, "argv", ["fastseg", "evaluate", str(gt), str(pred), "-o", str(tmp_path / "out"), *more]
        )
        with pytest.raises(SystemExit) as done:
            cli.main()
        return int(done.value.code or 0), capsys.readouterr().err

    code, err = call()
    assert (code, err.count("\n")) == (0, 1)
    assert f"warning: case_01: {pred}/case_01.npy: cross-entropy is infinite" in err
    before = contents(tmp_path / "out")
    assert "warning: case_01: " in call()[1]  # also where it was scored before
    assert contents(tmp_path / "out") == before
    assert call("--quiet") == (0, "")
    first, second = Run.load(tmp_path / "out").records
    assert first.notes == ()
    assert second.notes == evaluate_folder(gt, pred).records[1].notes
    assert "float16 has none between 0 and 6e-8" in second.notes[0]


def test_runs_that_were_written_without_notes_are_read(tmp_path: Path) -> None:
    evaluate_folder(*folders(tmp_path, 2), tmp_path / "out")
    path = tmp_path / "out" / "run.json"
    plain = json.loads(path.read_text())
    for case in plain["cases"]:
        assert case.pop("notes") == []
    path.write_text(json.dumps(plain))
    assert [record.notes for record in Run.load(tmp_path / "out").records] == [(), ()]
    line = CaseRecord("a", "failed", "a", "a", reason="x").to_json()
    assert CaseRecord.from_json(line.replace(',"notes":[]', "")).to_json() == line
