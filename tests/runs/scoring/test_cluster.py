"""Folders on a Dask cluster: the run of threads, whatever becomes of workers; and clusters that will not do."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
import zarr
from distributed import Client
from support.cases_on_disk import contents, folders
from support.clusters import first_time, kill_once, small_cluster, wait_for
from support.command_line import call, run
from support.waiting import until

import fastseg
from fastseg.runs.scoring import clients, cluster
from fastseg.runs.scoring.case import score_case
from fastseg.runs.scoring.threads import Progress


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with small_cluster() as found:
        yield found


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    return folders(tmp_path, 5)


def test_the_run_is_that_of_threads(client: Client, two: Any, tmp_path: Path) -> None:
    (two[1] / "case_02.nii.gz").write_bytes(b"no volume")
    surfaces: dict[str, Any] = {"metrics": ["dice", "hd95", "nsd"], "tolerance": 1}
    fastseg.evaluate_folder(*two, tmp_path / "threads", threads=2, **surfaces)
    seen: list[Progress] = []
    found = fastseg.evaluate_folder(*two, tmp_path / "cluster", client=client, progress=seen.append, **surfaces)
    assert contents(tmp_path / "cluster") == contents(tmp_path / "threads")
    assert found.facts["times"]["threads"] == 2
    assert (seen[-1].cases, seen[-1].failed) == (5, 1)
    assert seen[-1].voxels == sum(sum(record.voxels) for record in found.counted)
    said: list[str] = []
    fastseg.evaluate_folder(*two, tmp_path / "cluster", client=client, note=said.append, **surfaces)
    assert said == ["4 of 5 cases were scored before"]


def test_workers_open_urls_themselves(client: Client, two: Any, tmp_path: Path) -> None:
    rows = [",".join(f"{folder.as_uri()}/case_{n:02d}.nii.gz" for folder in two) for n in range(3)]
    (tmp_path / "pairs.csv").write_text("\n".join(["reference,prediction", *rows]))
    fastseg.evaluate_folder(pairs=tmp_path / "pairs.csv", output=tmp_path / "threads", threads=2)
    found = fastseg.evaluate_folder(pairs=tmp_path / "pairs.csv", output=tmp_path / "cluster", client=client)
    assert contents(tmp_path / "cluster") == contents(tmp_path / "threads")
    assert [record.reason for record in found.records] == [None] * 3


def test_paths_are_kept_as_they_were_given(client: Client, two: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(two[0].parent)  # where the workers are not
    (two[1] / "case_02.nii.gz").write_bytes(b"no volume")
    for folder in two:
        (folder / "case_03.nii.gz").unlink()
    zarr.create_array(two[0] / "case_03.zarr", shape=(20, 20), chunks=(10, 10), dtype="u1", fill_value=0)[:9] = 1
    np.save(two[1] / "case_03.npy", np.ones((20, 20), np.uint8))
    expected = fastseg.evaluate_folder("gt", "pred")
    assert expected.records[3].notes == (
        "gt/case_03.zarr: 2 of 4 chunks are not stored: their voxels have the fill value 0",
    )
    found = fastseg.evaluate_folder("gt", "pred", client=client)
    for one, other in zip(found.records, expected.records, strict=True):
        assert vars(one).keys() == vars(other).keys()
        assert one.to_json() == other.to_json()


def fatal_once(folder: str) -> Any:
    def score(case: Any, *args: Any, **kwargs: Any) -> Any:
        if case.id == "case_03":
            kill_once(folder, case.id)
        return score_case(case, *args, **kwargs)

    return score


def patched_on_workers(client: Client, function: Any) -> None:
    """Put a function in the place of `score_case` on all workers, and on those that come after them."""

    def put(function: Any = function) -> None:
        from fastseg.runs.scoring import cluster as there

        there.score_case = function

    client.run(put)


def test_a_worker_that_is_killed_costs_no_case_and_counts_none_twice(client: Client, two: Any, tmp_path: Path) -> None:
    patched_on_workers(client, fatal_once(str(tmp_path)))
    try:
        found = fastseg.evaluate_folder(*two, tmp_path / "out", client=client)
    finally:
        client.wait_for_workers(2, timeout=120)
        patched_on_workers(client, score_case)
    assert (tmp_path / "case_03").exists()
    fastseg.evaluate_folder(*two, tmp_path / "threads")
    assert contents(tmp_path / "out") == contents(tmp_path / "threads")
    assert [record.status for record in found.records] == ["scored"] * 5


@pytest.mark.slow
def test_results_that_are_lost_with_their_worker_keep_nobody_waiting(client: Client, two: Any, tmp_path: Path) -> None:
    """A worker dies with results that nobody has taken: they are scored again, which is no retry; the others come before."""
    folder = str(tmp_path)
    asked, taken, in_vain, ended = (tmp_path / name for name in ("asked", "taken", "in vain", "ended"))
    ended.mkdir()

    def score(case: Any, *args: Any, **kwargs: Any) -> Any:
        wait_for(asked)  # so that no result is taken before the kill
        again = case.id == "case_03" and not first_time(folder, "first")
        if again and not wait_for(taken):
            in_vain.touch()
        record = score_case(case, *args, **kwargs)
        if not again:
            (ended / f"{case.id} {os.getpid()}").touch()
        return record

    kept: list[str] = []

    def kill(now: Progress) -> None:
        if not asked.exists():
            assert now.cases == 0
            asked.touch()
            assert until(lambda: len(list(ended.iterdir())) == 5)
            time.sleep(0.5)  # until the scheduler knows
            pids = dict(path.name.split() for path in ended.iterdir())
            kept.extend(case for case, pid in pids.items() if pid != pids["case_03"])
            os.kill(int(pids["case_03"]), signal.SIGKILL)
        elif now.cases >= len(kept):
            taken.touch()

    patched_on_workers(client, score)
    try:
        found = fastseg.evaluate_folder(*two, tmp_path / "out", client=client, retries=0, progress=kill)
    finally:
        client.wait_for_workers(2, timeout=120)
        patched_on_workers(client, score_case)
    assert [record.status for record in found.records] == ["scored"] * 5
    assert kept
    assert not in_vain.exists()


@pytest.mark.slow
def test_who_asked_is_killed_and_goes_on(client: Client, two: Any, tmp_path: Path) -> None:
    """What was journalled is not scored again, a damaged file apart, and the run is that of threads."""
    (two[1] / "case_02.nii.gz").write_bytes(b"no volume")
    fastseg.evaluate_folder(*two, tmp_path / "threads")
    out, scored, killed = (tmp_path / name for name in ("out", "scored", "killed"))
    scored.mkdir()

    def score(case: Any, *args: Any, **kwargs: Any) -> Any:
        if case.id != "case_00":
            wait_for(killed)  # so that the run is not over before
        (scored / case.id).touch()
        return score_case(case, *args, **kwargs)

    def journalled() -> list[str]:
        """Return the ids in the lines that are whole."""
        lines = (out / "records.jsonl").read_bytes().split(b"\n")[1:-1] if (out / "records.jsonl").exists() else []
        return [json.loads(line[9:])["id"] for line in lines]

    command = [sys.executable, "-m", "fastseg", "evaluate", *map(str, two), "-o", str(out), "--quiet"]
    command += ["--cluster", client.scheduler.address]
    patched_on_workers(client, score)
    try:
        with subprocess.Popen(command) as asking:
            came = until(journalled)
            asking.kill()
        assert came
        assert journalled() == ["case_00"]
        (scored / "case_00").unlink()
        killed.touch()
        again = subprocess.run(command, check=False, capture_output=True, timeout=300)
    finally:
        patched_on_workers(client, score_case)
    assert again.returncode == 3  # of the damaged file
    assert sorted(path.name for path in scored.iterdir()) == [f"case_{n:02d}" for n in range(1, 5)]
    assert contents(out) == contents(tmp_path / "threads")


class FakeFuture:
    """A future that ends as it is told."""

    def __init__(self, outcome: Any) -> None:
        self.outcome, self.status = outcome, "error" if isinstance(outcome, BaseException) else "finished"

    def add_done_callback(self, function: Any) -> None:
        function(self)

    def exception(self) -> Any:
        return self.outcome

    def result(self) -> Any:
        return self.outcome


class FakeClient:
    """A client whose workers die when they score some cases."""

    status = "running"

    def __init__(self, deaths: int) -> None:
        self.deaths, self.submitted, self.cancelled = deaths, list[str](), 0

    def map(self, function: Any, given: Any, *, key: Any, **options: Any) -> list[FakeFuture]:
        self.submitted += key
        return [self.score(case, options["settings"], options["hashing"]) for case in given]

    def score(self, case: Any, settings: Any, hashing: Any) -> FakeFuture:
        if case.id == "case_01" and self.deaths:
            self.deaths -= 1
            return FakeFuture(type("KilledWorker", (Exception,), {})("died"))
        return FakeFuture(cluster._Scored(score_case(case, settings, hashing=hashing), "tcp://worker:1", ()))

    def sync(self, function: Any) -> Any:
        return asyncio.run(function())

    async def gather(self, futures: Any, errors: str, asynchronous: bool) -> Any:
        assert asynchronous
        assert errors == "skip"
        return {number: future.result() for number, future in futures.items()}

    def cancel(self, futures: Any, force: bool) -> None:
        self.cancelled += len(futures)


def crew(two: Any, deaths: int, retries: int) -> tuple[FakeClient, list[Any]]:
    from fastseg.runs.cases.find import find_cases
    from fastseg.runs.scoring.settings import Settings
    from fastseg.runs.scoring.threads import run_cases

    fake, records = FakeClient(deaths), list[Any]()
    cases = find_cases(*two).cases
    run_cases(cases, Settings(), threads=1, hashing="auto", keep=records.append, client=fake, retries=retries)
    return fake, records


def test_a_case_is_tried_again_and_then_has_failed(two: Any) -> None:
    fake, records = crew(two, deaths=2, retries=2)
    assert len(fake.submitted) == len(set(fake.submitted)) == 7
    assert sorted(record.id for record in records) == [f"case_{n:02d}" for n in range(5)]
    assert {record.status for record in records} == {"scored"}
    fake, records = crew(two, deaths=3, retries=2)
    (failed,) = (record for record in records if record.status == "failed")
    assert failed.id == "case_01"
    assert failed.reason == (
        "the workers that scored it ended while they did (the last was unknown, after 2 retries): out of memory, or crashed"
    )


def test_ctrl_c_cancels_what_is_not_done_and_keeps_the_rest(client: Client, two: Any, tmp_path: Path) -> None:
    said: list[str] = []

    def interrupt(now: Progress) -> None:
        if now.cases:
            signal.raise_signal(signal.SIGINT)

    def slow(case: Any, *args: Any, progress: Any, **kwargs: Any) -> Any:
        import time

        if case.id == "case_00":
            return score_case(case, *args, progress=progress, **kwargs)
        for _ in range(2000):  # as a large case does
            time.sleep(0.05)
            progress(0, 0)
        raise AssertionError

    patched_on_workers(client, slow)
    before = signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # what runs the tests in the background has it ignored
    try:
        with pytest.raises(KeyboardInterrupt):
            fastseg.evaluate_folder(*two, tmp_path / "out", client=client, note=said.append, progress=interrupt)
    finally:
        signal.signal(signal.SIGINT, before)
        patched_on_workers(client, score_case)
    assert said == ["1 of 5 cases are kept; the same command goes on with the others"]
    fastseg.evaluate_folder(*two, tmp_path / "out", client=client, note=said.append)
    assert said[-1] == "1 of 5 cases were scored before"


def test_what_a_worker_does_not_see_is_said(client: Client, two: Any) -> None:
    def blind(case: Any, *args: Any, **kwargs: Any) -> Any:
        from fastseg.runs.scoring import cluster as there

        def blind_once(path: str) -> bool:
            there._is_there = seeing
            return False

        seeing, there._is_there = there._is_there, blind_once
        return score_case(case._replace(reference="/nowhere.nii.gz"), *args, **kwargs)

    patched_on_workers(client, blind)
    try:
        found = fastseg.evaluate_folder(*two, client=client)
    finally:
        patched_on_workers(client, score_case)
    assert len(found.failed) == 5
    assert found.failed[0].reason is not None
    assert "case_00.nii.gz: not there on the worker tcp://" in found.failed[0].reason
    assert "workers need the same folders" in found.failed[0].reason


def test_a_store_that_workers_do_not_see_is_said(client: Client, two: Any, tmp_path: Path) -> None:
    path = two[0] / "case_00.nii.gz"
    with fsspec.open("memory://here.nii.gz", "wb") as file:  # in the memory of this process
        file.write(path.read_bytes())
    (tmp_path / "pairs.csv").write_text(
        f"reference,prediction\nmemory://here.nii.gz,{path}\nmemory://none.nii.gz,{path}\n"
    )
    here, none = fastseg.evaluate_folder(pairs=tmp_path / "pairs.csv", client=client).records
    expected = "memory://here.nii.gz: not there on the worker tcp://"
    assert str(here.reason).startswith(expected)
    assert str(here.reason).endswith(", though it is here: workers need the same stores, and what opens them")
    assert none.reason == "memory://none.nii.gz: there is no such file"


def test_clients_that_will_not_do(client: Client, two: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        TypeError, match=r"^client: expected a distributed.Client .* such as distributed.Client\('tcp://host"
    ):
        fastseg.evaluate_folder(*two, client="tcp://127.0.0.1:1")
    with pytest.raises(TypeError, match="'cluster' .did you mean 'client'"):
        fastseg.evaluate_folder(*two, cluster="local:2")
    with Client(client.scheduler.address) as closed:
        pass
    with pytest.raises(ValueError, match="^client: expected one that is connected, found one that is closed"):
        fastseg.evaluate_folder(*two, client=closed)
    monkeypatch.setattr(clients, "__version__", "99.0")
    with pytest.raises(
        ValueError, match=r"^client: expected fastseg 99.0, as here, on all 2 workers, found other .* on tcp://"
    ):
        fastseg.evaluate_folder(*two, client=client)


def test_a_worker_that_comes_later_with_another_version_scores_nothing(
    client: Client, two: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "__version__", "99.0")
    found = fastseg.evaluate_folder(*two, client=client)
    assert len(found.failed) == 5
    assert str(found.failed[0].reason).startswith("expected fastseg 99.0, as the client has, found ")
    assert "on the worker tcp://" in str(found.failed[0].reason)
    assert str(two[0] / "case_00.nii.gz") == found.failed[0].reference


def test_a_scheduler_that_goes_ends_the_run(two: Any) -> None:
    class Gone(FakeClient):
        def map(self, function: Any, given: Any, **options: Any) -> Any:
            self.status = "closed"
            return [type("Pending", (), {"status": "pending", "add_done_callback": lambda *_: None})() for _ in given]

    from fastseg.runs.cases.find import find_cases
    from fastseg.runs.scoring.settings import Settings
    from fastseg.runs.scoring.threads import run_cases

    with pytest.raises(OSError, match="^cluster: the scheduler is gone"):
        run_cases(
            find_cases(*two).cases,
            Settings(),
            threads=1,
            hashing="auto",
            keep=lambda _: None,
            client=Gone(0),
            retries=1,
        )


def test_on_the_command_line(client: Client, two: Any, capsys: Any, monkeypatch: Any, tmp_path: Path) -> None:
    address = client.scheduler.address
    _, table, _ = call(capsys, monkeypatch, "evaluate", *two)
    assert call(capsys, monkeypatch, "evaluate", *two, "--cluster", address, "--retries", 0) == (0, table, "")
    for where in ("nobody", "local:x", "local:0"):
        code, _, err = call(capsys, monkeypatch, "evaluate", *two, "--cluster", where)
        assert (code, "--cluster: expected" in err) == (2, True), err


@pytest.mark.slow
def test_a_cluster_of_its_own(two: Any, tmp_path: Path) -> None:
    fastseg.evaluate_folder(*two, tmp_path / "threads")
    done = run("evaluate", *two, "--cluster", "local:1", "-o", tmp_path / "cluster")
    assert (done.returncode, done.stderr) == (0, "")
    assert contents(tmp_path / "cluster") == contents(tmp_path / "threads")
