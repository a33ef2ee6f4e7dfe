"""Many small cases are scored in processes that are forked: the same records, whatever becomes of a process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from support.cases_on_disk import contents, folders
from support.waiting import until

from fastseg.runs import evaluate_folder
from fastseg.runs.scoring import processes
from fastseg.runs.scoring.case import score_case

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="nothing is forked there")


@pytest.fixture
def twelve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    monkeypatch.setattr(processes, "LEAST_SHARE", 2)
    monkeypatch.setattr(processes, "can_fork", lambda: True)  # the threads of pytest's own helpers do no harm
    return folders(tmp_path, 12)


def note_processes(monkeypatch: pytest.MonkeyPatch, folder: Path, dying: str = "") -> None:
    """Let each case note by which process it is scored, in the name of a file, and kill that of the case `dying`."""

    def noted(case: Any, *args: Any, **kwargs: Any) -> Any:
        (folder / f"{case.id}.{os.getpid()}.process").touch()
        if case.id == dying:
            os.kill(os.getpid(), signal.SIGKILL)
        return score_case(case, *args, **kwargs)

    monkeypatch.setattr(processes, "score_case", noted)


def noted_processes(folder: Path) -> set[int]:
    return {int(file.name.split(".")[-2]) for file in folder.glob("*.process")}


def test_the_same_files_as_with_one_thread(twelve: Any, tmp_path: Path, monkeypatch: Any) -> None:
    (twelve[1] / "case_05.nii.gz").write_bytes(b"")
    note_processes(monkeypatch, tmp_path)
    alone = evaluate_folder(*twelve, tmp_path / "alone", threads=1)
    assert not noted_processes(tmp_path)
    seen: list[Any] = []
    run = evaluate_folder(*twelve, tmp_path / "shared", threads=3, progress=seen.append)
    assert contents(tmp_path / "shared") == contents(tmp_path / "alone")
    assert [record.to_json() for record in run.records] == [record.to_json() for record in alone.records]
    assert len(noted_processes(tmp_path) - {os.getpid()}) == 3
    voxels = sum(sum(record.voxels) for record in run.records)
    assert (seen[-1].cases, seen[-1].failed, seen[-1].voxels) == (12, 1, voxels)


def test_a_case_that_ends_its_process_fails_alone(twelve: Any, tmp_path: Path, monkeypatch: Any) -> None:
    note_processes(monkeypatch, tmp_path, dying="case_04")
    run = evaluate_folder(*twelve, threads=2)
    failed = [record for record in run.records if record.status != "scored"]
    assert [(record.id, record.reason) for record in failed] == [
        ("case_04", "the process that scored it ended with SIGKILL")
    ]


@pytest.mark.parametrize("error", [RuntimeError("of mine"), KeyboardInterrupt()])
def test_what_progress_raises_ends_the_processes(
    twelve: Any, tmp_path: Path, error: BaseException, monkeypatch: Any
) -> None:
    note_processes(monkeypatch, tmp_path)
    monkeypatch.setattr("fastseg.runs.scoring.threads._LOOK_SECONDS", 0.0)

    def stop(_: Any) -> None:
        raise error

    with pytest.raises(type(error)):
        evaluate_folder(*twelve, tmp_path / "out", progress=stop, threads=2)
    for process in noted_processes(tmp_path) - {os.getpid()}:
        assert not Path(f"/proc/{process}").exists()


SCRIPT = """
import os, sys, time
from pathlib import Path
from fastseg.runs import evaluate_folder
from fastseg.runs.scoring import processes

scored, parent, seen = processes.score_case, os.getpid(), Path(sys.argv[3])

def noted(case, *args, **kwargs):
    (seen / f"{os.getpid()} {case.id}").touch()
    while os.getpid() != parent == os.getppid():
        time.sleep(0.01)
    return scored(case, *args, **kwargs)

processes.score_case, processes.LEAST_SHARE = noted, 2
evaluate_folder(sys.argv[1], sys.argv[2], threads=3)
"""


def ended(process: int) -> bool:
    """Tell whether a process has ended, also where nobody has asked how."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_the_processes_of_one_that_is_killed_end(tmp_path: Path) -> None:
    """They score nothing before; the one that was forked last, whose pipe nobody else holds, ends with its next record."""
    both, seen = folders(tmp_path / "cases", 60), tmp_path / "seen"
    seen.mkdir()

    def scored() -> Counter[int]:
        return Counter(int(file.name.split()[0]) for file in seen.iterdir())

    with subprocess.Popen([sys.executable, "-c", SCRIPT, *map(str, both), str(seen)]) as parent:
        begun = until(lambda: len(scored()) == 4)
        parent.kill()
    assert begun
    forked = scored().keys() - {parent.pid}
    assert until(lambda: all(map(ended, forked)))
    assert min(scored()[each] for each in forked) == 1


def test_nothing_is_forked_beside_threads_of_others() -> None:
    code = "import threading, fastseg.runs.scoring.processes as p; print(p.can_fork())"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "True\n"
    done = threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    try:
        assert not processes.can_fork()
    finally:
        done.set()
        thread.join()
