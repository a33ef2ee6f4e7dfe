"""Threads of a run and the progress that it tells: neither changes a result."""

from __future__ import annotations

import itertools
import os
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.cases_on_disk import contents, folders, pair
from support.volumes_on_disk import write

from fastseg.runs import Settings, evaluate_folder
from fastseg.runs.cases.find import Case
from fastseg.runs.scoring import threads as running
from fastseg.runs.scoring.case import CancelledError, score_case
from fastseg.runs.scoring.threads import Progress


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
    run = evaluate_folder(gt, pred, tmp_path / "out", resamples=10, threads=1)
    assert len(run.counted) == 500
    assert memory[-1] - memory[250] < 8 << 20
    assert len(os.listdir("/proc/self/fd")) <= files  # clusters of other tests may still be closing theirs
    assert threading.active_count() <= threads + 2
