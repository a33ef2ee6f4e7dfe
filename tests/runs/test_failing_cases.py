"""Cases that fail: each says why, and is nobody else's failure."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
from support.cases_on_disk import pair
from support.runs import Counted, expected
from support.volumes_on_disk import write

from fastseg.runs import Run, evaluate_folder
from fastseg.runs.scoring import threads as running
from fastseg.runs.scoring.case import score_case


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
