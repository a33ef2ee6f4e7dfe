"""Folders in the wrong order, from end to end."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from support.cases_on_disk import folders

from fastseg import cli, evaluate_folder


def test_it_is_said_and_the_run_goes_on(tmp_path: Path, capsys: Any, monkeypatch: Any) -> None:
    gt, pred = folders(tmp_path, 2)
    notes: list[str] = []
    assert len(evaluate_folder(gt, pred, note=notes.append).counted) == 2
    assert notes == []
    assert len(evaluate_folder(pred, gt, note=notes.append).counted) == 2
    warning = (
        "warning: reference and prediction may be swapped, which are named in this order: the predictions' folder "
    )
    assert notes == [f"{warning}{gt} has a name that references have"]
    (gt / "case_00.nii.gz").unlink()  # what does not pair is the more reason to say it

    def call(*more: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["fastseg", "evaluate", str(pred), str(gt), *more])
        with pytest.raises(SystemExit) as done:
            cli.main()
        return int(done.value.code or 0), capsys.readouterr().err

    code, err = call()
    assert (code, err.count("\n")) == (3, 4)
    assert err.startswith(f"fastseg: {warning}{gt} has")
    assert call("--missing", "skip", "--quiet") == (0, "")
