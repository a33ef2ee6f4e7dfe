"""What becomes of a run where its cluster fails: workers out of memory, schedulers that are restarted, others at work."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import dask
import pytest
from distributed import Client
from support.cases_on_disk import contents, folders
from support.clusters import RestartedScheduler, exhaust_memory, small_cluster, wait_for

import fastseg
from fastseg.runs.scoring.case import score_case
from fastseg.runs.scoring.threads import Progress


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    return folders(tmp_path, 5)


def patched_on_workers(client: Client, function: Any) -> None:
    """Put a function in the place of `score_case` on the workers that are there, and on no later ones."""

    def put(function: Any = function) -> None:
        from fastseg.runs.scoring import cluster as there

        there.score_case = function

    client.run(put)


@pytest.mark.slow
def test_a_worker_out_of_memory(two: Any, tmp_path: Path) -> None:
    """Its case has failed with that reason, all others are scored; the next run scores it."""

    def hungry(case: Any, *args: Any, **kwargs: Any) -> Any:
        if case.id == "case_04":
            exhaust_memory()
        return score_case(case, *args, **kwargs)

    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        small_cluster(1, memory_limit="600 MiB") as client,
    ):
        patched_on_workers(client, hungry)
        found = fastseg.evaluate_folder(*two, tmp_path / "out", client=client, retries=0)
        client.wait_for_workers(1, timeout=120)
        again = fastseg.evaluate_folder(*two, tmp_path / "out", client=client)
    (record,) = found.failed
    assert (record.id, len(found.counted)) == ("case_04", 4)
    assert record.reason is not None
    assert record.reason.startswith("the workers that scored it ended while they did (the last was tcp://127.0.0.1:")
    assert record.reason.endswith("): out of memory, or crashed")
    assert len(again.counted) == 5


@pytest.mark.slow
def test_a_scheduler_that_is_restarted(two: Any, tmp_path: Path) -> None:
    """What is not done is handed to the new one; nothing is lost, nothing counted twice."""
    with RestartedScheduler() as scheduler, Client(scheduler.address, timeout=120, set_as_default=False) as client:
        client.wait_for_workers(1, timeout=120)
        killed = tmp_path / "killed"

        def restart(now: Progress) -> None:
            if now.cases and not killed.exists():
                assert now.cases == 1
                scheduler.kill()
                killed.touch()
                scheduler.start()

        def score(case: Any, *args: Any, **kwargs: Any) -> Any:
            if case.id != "case_00":
                wait_for(killed)  # so that the run is not over before
            return score_case(case, *args, **kwargs)

        patched_on_workers(client, score)
        found = fastseg.evaluate_folder(*two, tmp_path / "out", client=client, retries=0, progress=restart)
    assert killed.exists()
    assert [record.status for record in found.records] == ["scored"] * 5
    fastseg.evaluate_folder(*two, tmp_path / "threads")
    assert contents(tmp_path / "out") == contents(tmp_path / "threads")


def test_two_clients_at_once(two: Any, tmp_path: Path) -> None:
    fastseg.evaluate_folder(*two, tmp_path / "threads")
    with small_cluster() as first, Client(first.scheduler.address, set_as_default=False) as second:

        def evaluate(client: Client) -> Path:
            out = tmp_path / client.id
            fastseg.evaluate_folder(*two, out, client=client)
            return out

        with ThreadPoolExecutor(2) as pool:
            found = list(pool.map(evaluate, (first, second)))
    for out in found:
        assert contents(out) == contents(tmp_path / "threads")
