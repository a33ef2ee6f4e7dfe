"""Runs of masks that are killed, journals that are torn, files of masks that are damaged."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.mask_cases import folders, masks
from support.volumes_on_disk import write

from fastseg.runs import Settings, evaluate_folder
from fastseg.runs.cases.find import Case
from fastseg.runs.scoring.case import score_case
from fastseg.runs.scoring.records import CaseRecord

FILES = ("cases.csv", "classes.csv", "records.jsonl", "summary.json")


def contents(out: Path) -> dict[str, bytes]:
    return {name: (out / name).read_bytes() for name in FILES}


@pytest.mark.slow  # a program of its own, and a few kills
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_killed_at_any_moment_a_run_of_masks_goes_on(tmp_path: Path) -> None:
    two = folders(tmp_path, "{case}/segmentations/{name}.nii.gz", 6)
    evaluate_folder(*two, tmp_path / "undisturbed")
    program, rng = Path(__file__).parents[2] / "support" / "forked_runs.py", random.Random(1)
    out, log, kills = tmp_path / "out", tmp_path / "log", 0
    with subprocess.Popen(
        [sys.executable, "-W", "error", os.fspath(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        code = -1
        while code:
            job = {
                "arguments": ["evaluate", *map(str, two), "-o", str(out), "--threads", "2"],
                "output": str(tmp_path / "said"), "delay": 0.05, "log": str(log),
            }  # fmt: skip
            server.stdin.write(json.dumps(job) + "\n")
            server.stdin.flush()
            pid = int(server.stdout.readline())
            time.sleep(rng.random() * (0.1 + 0.05 * kills))
            if kills < 6:
                with suppress(ProcessLookupError):  # it has ended
                    os.kill(pid, signal.SIGKILL)
                kills += 1
            code = int(server.stdout.readline().removeprefix("ended "))
            assert code in (0, -signal.SIGKILL)
        server.stdin.close()
    assert contents(out) == contents(tmp_path / "undisturbed")


def test_a_journal_that_is_cut_anywhere_goes_on(tmp_path: Path) -> None:
    two, out = folders(tmp_path, "{case}/segmentations/{name}.nii.gz", 3), tmp_path / "out"
    evaluate_folder(*two, out, hashing="never")
    expected = contents(out)
    journal = expected["records.jsonl"]
    for length in range(0, len(journal), len(journal) // 12):
        (out / "records.jsonl").write_bytes(journal[:length])
        evaluate_folder(*two, out, hashing="never")
        assert contents(out) == expected


def test_records_of_masks_are_read_as_they_were_written() -> None:
    record = CaseRecord(
        "a", "scored", "gt", "pred", masks={"líver": (1, 2, 3), "%s": (0, 0, 0)}, voxels=(9, 0, 0, 0), shape=(3, 3)
    )
    again = CaseRecord.from_json(record.to_json())
    assert again.masks == record.masks
    assert again.to_json() == record.to_json()


@pytest.fixture
def case(tmp_path: Path) -> Case:
    sides = masks(0, ("a", "b"), (5, 4, 3))
    files: list[dict[str, str]] = []
    for side, of in zip(("gt", "pred"), sides, strict=True):
        (tmp_path / side).mkdir()
        files.append({n: str(write(tmp_path / side / f"{n}.nii.gz", mask.astype(np.uint8))) for n, mask in of.items()})
    return Case("case", str(tmp_path / "gt"), str(tmp_path / "pred"), None, *files)


def found(case: Case) -> Any:
    record = score_case(case, Settings(masks=(), geometry="ignore"), hashing="never")
    assert record.status in ("scored", "failed")
    assert record.to_json()
    return None if record.status == "failed" else (record.masks, record.voxels)


def test_a_mask_that_is_cut_or_turned_fails_its_case_or_changes_nothing(case: Case) -> None:
    expected = found(case)
    assert expected is not None
    assert case.pred_masks is not None
    path, rng = Path(case.pred_masks["b"]), random.Random(2)
    content = path.read_bytes()
    for length in range(0, len(content), 3):
        path.write_bytes(content[:length])
        assert found(case) is None
    for _ in range(200):
        place, bit = rng.randrange(10, len(content)), rng.randrange(8)  # not in the header of gzip
        path.write_bytes(content[:place] + bytes([content[place] ^ 1 << bit]) + content[place + 1 :])
        assert found(case) in (None, expected)
    path.unlink()
    assert found(case) is None
