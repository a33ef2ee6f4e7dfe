"""Runs that end in the middle: killed, interrupted, out of disk, or fed with damaged files."""

from __future__ import annotations

import itertools
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.cases_on_disk import EXACT, contents, folders, pair
from support.volumes_on_disk import write
from support.waiting import until

from fastseg.runs import Settings
from fastseg.runs.cases.find import Case
from fastseg.runs.merge import merge_runs
from fastseg.runs.scoring.case import score_case
from fastseg.runs.scoring.journal import Journal

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

KILLS = int(os.environ.get("FASTSEG_TEST_KILLS", "8"))
FLIPS = int(os.environ.get("FASTSEG_TEST_FLIPS", "2000"))
CASES = 12


@dataclass
class Child:
    """A run in a process of its own."""

    pid: int
    server: subprocess.Popen[str]
    output: Path

    def signal(self, number: int) -> None:
        with suppress(ProcessLookupError):  # it has ended
            os.kill(self.pid, number)

    def wait(self) -> int:
        """Return the exit code; negative: the signal that ended it."""
        assert self.server.stdout is not None
        return int(self.server.stdout.readline().removeprefix("ended "))

    @property
    def said(self) -> str:
        return self.output.read_text()


@dataclass
class Runs:
    """Starts runs of the same folders."""

    server: subprocess.Popen[str]
    where: Path
    gt: Path
    pred: Path
    expected: dict[str, bytes]

    def start(self, out: Path, *more: str, delay: float = 0.0, threads: int = 2, **job: Any) -> Child:
        output = out.with_name(f"{out.name}.said")
        arguments = ["evaluate", *map(str, (self.gt, self.pred)), "-o", str(out), "--threads", str(threads), *more]
        job = {"arguments": arguments, "output": str(output), "delay": delay, "log": str(self.log(out)), **job}
        assert self.server.stdin is not None
        assert self.server.stdout is not None
        self.server.stdin.write(json.dumps(job) + "\n")
        self.server.stdin.flush()
        while (line := self.server.stdout.readline()).startswith("ended "):  # one that a failed test did not wait for
            pass
        return Child(int(line), self.server, output)

    def log(self, out: Path) -> Path:
        return out.with_name(f"{out.name}.log")

    def counted(self, out: Path) -> list[str]:
        """Return the ids of cases whose counting was begun, of all runs of a folder."""
        return self.log(out).read_text().split()

    def begun(self, out: Path) -> list[str]:
        """Return the same of runs of which the first may not be as far as that."""
        return self.counted(out) if self.log(out).exists() else []


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    where = tmp_path_factory.mktemp("runs")
    gt, pred = folders(where, CASES)
    program = Path(__file__).parents[2] / "support" / "forked_runs.py"
    with subprocess.Popen(
        [sys.executable, "-W", "error", os.fspath(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        found = Runs(server, where, gt, pred, {})
        undisturbed = found.start(where / "undisturbed")
        assert undisturbed.wait() == 0, undisturbed.said
        found.expected = contents(where / "undisturbed")
        yield found
        assert server.stdin is not None
        server.stdin.close()


def kept(out: Path) -> set[str]:
    """Return the ids of the cases whose lines are whole, without touching the file."""
    path = out / "records.jsonl"
    lines = path.read_bytes().split(b"\n")[1:-1] if path.exists() else []
    return {json.loads(line[9:])["id"] for line in lines}


def whole(out: Path, expected: dict[str, bytes]) -> None:
    """Every file that is there is whole: the records apart, it is what an undisturbed run writes."""
    for name in set(EXACT) - {"records.jsonl"}:
        if (out / name).exists():
            assert (out / name).read_bytes() == expected[name]
    if (out / "run.json").exists():
        json.loads((out / "run.json").read_text())


def tidied(out: Path) -> None:
    """Delete what a killed process cannot: temporaries."""
    for path in out.glob(".fastseg-*.part"):
        path.unlink()


# Killed


def test_killed_at_any_moment_no_finished_case_is_lost_or_counted_twice(runs: Runs, tmp_path: Path) -> None:
    rng = random.Random(7)
    kills, rounds = 0, 0
    while kills < KILLS:
        out = tmp_path / f"out{rounds}"
        rounds += 1
        done: set[str] = set()
        for attempt in itertools.count():
            seen = len(runs.begun(out))
            child = runs.start(out, delay=0.04)
            time.sleep(rng.random() * (0.15 + 0.05 * attempt))  # on a slow machine, too, one gets to the end
            child.signal(signal.SIGKILL)
            code = child.wait()
            again = runs.begun(out)[seen:]
            assert done.isdisjoint(again)
            assert len(again) == len(set(again))
            assert done <= kept(out)
            done = kept(out)
            whole(out, runs.expected)
            if code == 0:
                break
            assert code == -signal.SIGKILL
            kills += 1
        tidied(out)
        assert contents(out) == runs.expected
    print(f"{kills} kills, {rounds} runs completed")


def test_shards_that_were_killed_go_on_and_become_the_run(runs: Runs, tmp_path: Path) -> None:
    shards = [tmp_path / str(number) for number in (1, 2)]
    for number, out in enumerate(shards, 1):
        child = runs.start(out, "--shard", f"{number}/2", held=3)
        assert until(lambda out=out: len(kept(out)) == 3)
        child.signal(signal.SIGKILL)
        assert child.wait() == -signal.SIGKILL
        begun = len(runs.counted(out))
        assert begun <= 3 + 2  # those that two threads were at
        assert runs.start(out, "--shard", f"{number}/2").wait() == 0
        assert len(runs.counted(out)) - begun == CASES // 2 - 3
        tidied(out)
    merge_runs(shards, tmp_path / "merged")
    assert contents(tmp_path / "merged") == runs.expected


@pytest.mark.parametrize("function", ["replace", "fsync"])
def test_killed_at_any_call_while_the_results_are_written(runs: Runs, tmp_path: Path, function: str) -> None:
    for number in range(1, 100):
        out = tmp_path / f"{function}{number}"
        child = runs.start(out, end_at=[function, number, "kill"])
        code = child.wait()
        whole(out, runs.expected)
        if code == 0:
            assert number > 5
            assert contents(out) == runs.expected
            return
        assert code == -signal.SIGKILL
        done, begun = kept(out), runs.counted(out)
        assert len(done) == CASES or function == "fsync"  # the journal is flushed twice a second while cases are scored
        assert runs.start(out).wait() == 0
        again = runs.counted(out)[len(begun) :]
        assert sorted([*done, *again]) == sorted(kept(out))
        tidied(out)
        assert contents(out) == runs.expected
    pytest.fail("it does not end")


def test_killed_while_distances_are_written(runs: Runs, tmp_path: Path) -> None:
    asked = ("--metrics", "dice,hd95,nsd", "--tolerance")
    assert runs.start(tmp_path / "expected", *asked, "1").wait() == 0
    expected = contents(tmp_path / "expected")
    for number in (4, 5, 6):  # of surfaces.npz, and what is beside it
        out = tmp_path / f"surfaces{number}"
        assert runs.start(out, *asked, "3", end_at=["replace", number, "kill"]).wait() == -signal.SIGKILL
        begun = len(runs.counted(out))
        assert runs.start(out, *asked, "1").wait() == 0  # another tolerance measures nothing again
        assert len(runs.counted(out)) == begun == CASES
        tidied(out)
        assert contents(out) == expected


# Interrupted


def test_ctrl_c_at_any_moment(runs: Runs, tmp_path: Path) -> None:
    rng = random.Random(3)
    for number in range(6):
        out = tmp_path / f"out{number}"
        child = runs.start(out, delay=0.1, held=CASES - 1)
        assert until(lambda out=out: runs.begun(out))
        time.sleep(rng.random() * 0.6)
        before, asked = kept(out), time.monotonic()
        child.signal(signal.SIGINT)
        assert child.wait() == 130, child.said
        assert time.monotonic() - asked < 30  # far less, but for busy machines; a case that is held takes minutes
        assert child.said.endswith("fastseg: interrupted\n")
        assert "Traceback" not in child.said
        said = re.search(rf"(\d+) of {CASES} cases are kept; the same command goes on with the others", child.said)
        assert said is not None
        assert int(said[1]) == len(kept(out))
        assert before <= kept(out)
        assert {path.name for path in out.iterdir()} == {"records.jsonl"}
        begun = runs.counted(out)
        assert runs.start(out).wait() == 0
        assert set(runs.counted(out)[len(begun) :]).isdisjoint(before)
        assert contents(out) == runs.expected


def test_ctrl_c_cancels_a_case_that_would_take_long(runs: Runs, tmp_path: Path) -> None:
    child = runs.start(tmp_path / "out", held=0)
    assert until(lambda: len(runs.begun(tmp_path / "out")) == 2)
    for _ in range(3):  # impatient
        child.signal(signal.SIGINT)
    asked = time.monotonic()
    assert child.wait() == 130
    assert time.monotonic() - asked < 30
    assert "interrupted" in child.said
    assert "Traceback" not in child.said


def test_an_interrupted_run_leaves_the_results_of_an_older_one(runs: Runs, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert runs.start(out).wait() == 0
    before = {name: (out / name).read_bytes() for name in (*EXACT, "run.json")}
    child = runs.start(out, "--ignore", "3", held=3)
    assert until(lambda: len(runs.counted(out)) == CASES + 5)
    child.signal(signal.SIGINT)
    assert child.wait() == 130
    del before["records.jsonl"]
    assert {name: (out / name).read_bytes() for name in before} == before
    assert {path.name for path in out.iterdir()} == {*EXACT, "run.json"}


# Disks


@pytest.mark.parametrize("function", ["write", "fsync", "replace", "open"])
def test_a_disk_that_is_full_at_any_call(runs: Runs, tmp_path: Path, function: str) -> None:
    """No call fails without a word, none leaves half a file or a temporary, and the next run makes up for it."""
    failed = 0
    for number in range(1, 40):
        out = tmp_path / f"{function}{number}"
        child = runs.start(out, threads=1, end_at=[function, number, "ENOSPC"])
        code = child.wait()
        whole(out, runs.expected)
        if code == 0:
            break
        failed += 1
        assert code == 3, child.said
        assert "No space left on device" in child.said
        assert "Traceback" not in child.said
        assert not list(out.glob(".*"))
        if number % 3 == 1:
            assert runs.start(out).wait() == 0
            assert contents(out) == runs.expected
    assert failed > 4


@pytest.mark.parametrize("limit", [0, 40, 1000, 5000])
def test_a_limit_on_the_size_of_files(runs: Runs, tmp_path: Path, limit: int) -> None:
    out = tmp_path / "out"
    child = runs.start(out, size_limit=limit)
    assert child.wait() in (3, 99)
    whole(out, runs.expected)
    assert not out.exists() or not list(out.glob(".*"))
    assert runs.start(out).wait() == 0
    assert contents(out) == runs.expected


def test_a_file_where_the_folder_should_be(runs: Runs, tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(b"mine")
    child = runs.start(tmp_path / "out")
    assert child.wait() == 2
    assert "expected a folder, found a file" in child.said
    assert (tmp_path / "out").read_bytes() == b"mine"
    assert not runs.log(tmp_path / "out").read_text()  # nothing was counted for nothing


def test_damaged_lines_are_counted_again(runs: Runs, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert runs.start(out).wait() == 0
    path = out / "records.jsonl"
    lines = path.read_bytes().split(b"\n")
    lines[3] = lines[3].replace(b'"scored"', b'"scorec"')
    path.write_bytes(b"\n".join(lines)[:-20])
    assert runs.start(out).wait() == 0
    assert sorted(runs.counted(out)[CASES:]) == ["case_02", f"case_{CASES - 1}"]
    assert contents(out) == runs.expected
    with Journal(out) as journal:
        assert len(journal.records) == CASES


# Damaged files

Score = Callable[[], Any]


@pytest.fixture
def small(tmp_path: Path) -> tuple[Path, Path, Score]:
    """A pair of files of about 200 bytes, and what scores it."""
    paths = []
    for name, voxels in zip(("gt", "pred"), pair(0, 5), strict=True):
        paths.append(write(tmp_path / f"{name}.nii.gz", voxels))
    case = Case("a", os.fspath(paths[0]), os.fspath(paths[1]), None)
    settings = Settings(geometry="ignore")
    return paths[0], paths[1], lambda: score_case(case, settings, hashing="never")


def _counts(record: Any) -> Any:
    return record.pairs.tolist(), record.unknown.tolist(), record.voxels, record.shape, record.spacing_mm


def test_truncated_at_any_byte_a_case_fails(small: Any) -> None:
    *paths, score = small
    expected = score()
    assert expected.status == "scored"
    for path in paths:
        content = path.read_bytes()
        for length in range(len(content)):
            path.write_bytes(content[:length])
            record = score()
            assert record.status == "failed"
            assert record.reason
            assert record.to_json()
        path.write_bytes(content)
    assert _counts(score()) == _counts(expected)


def test_flipped_bits_fail_or_change_nothing(small: Any) -> None:
    *paths, score = small
    expected = _counts(score())
    rng = random.Random(11)
    failed = 0
    originals = [path.read_bytes() for path in paths]
    for n in range(FLIPS):
        path, content = paths[n % 2], originals[n % 2]
        damaged = bytearray(content)
        for _ in range(1 if n % 4 else rng.randint(2, 5)):
            damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
        path.write_bytes(damaged)
        record = score()
        if record.status == "failed":
            failed += 1
            assert record.reason
            assert not np.any(record.voxels)
        else:
            assert _counts(record) == expected
        path.write_bytes(content)
    print(f"{FLIPS} flips, {failed} failed")
    assert 0.8 * FLIPS < failed < FLIPS
