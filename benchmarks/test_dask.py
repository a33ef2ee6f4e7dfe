"""Dask arrays: workers against each other, against one process that reads the same files, and against Dask's own idiom."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
import zarr
from distributed import Client, LocalCluster
from harness import record, timed
from test_folders import folders

import fastseg
from fastseg.phantom import phantom_pair
from fastseg.runs.scoring.clients import _MEMORY

GROUP = "Dask arrays"
CLASSES = 14
SHAPE, CHUNK = (512, 1024, 1024), 128


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Write a pair of 2 × 512 MiB in chunks of 128³, compressed as Zarr does unless it is told."""
    folder = tmp_path_factory.mktemp("zarr")
    paths = [str(folder / name) for name in ("true.zarr", "pred.zarr")]
    block = phantom_pair((512, 512, 512), CLASSES)
    for path, part in zip(paths, block, strict=True):
        array = zarr.create_array(path, shape=SHAPE, chunks=(CHUNK,) * 3, dtype="u1")
        for y in (0, 512):
            for x in (0, 512):
                array[:, y : y + 512, x : x + 512] = part
    return paths


@contextmanager
def workers(number: int) -> Iterator[Client]:
    options = {"threads_per_worker": 1, "dashboard_address": "127.0.0.1:0", "silence_logs": 50}
    with (
        dask.config.set(_MEMORY),  # as the guide says, and --cluster local:2 does
        LocalCluster(n_workers=number, **options) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client


def stub(shape: tuple[int, ...], chunk: int) -> list[Any]:
    """Return two arrays of zeros that nobody has seen before."""
    return [da.zeros(shape, chunks=chunk, dtype=np.uint8, name=f"zeros-{time.perf_counter_ns()}") for _ in range(2)]


def counted(client: Client, paths: list[str]) -> Any:
    """Count the pair on the workers of a client; no result of an earlier call is taken."""
    arrays = [da.from_zarr(path, name=f"{Path(path).stem}-{time.perf_counter_ns()}") for path in paths]
    later = fastseg.count_labels(*arrays, num_classes=CLASSES, compute=False)
    return client.compute(later).result()


def idiom(client: Client, paths: list[str]) -> Any:
    """Count it as people do with Dask alone."""
    true, pred = (da.from_zarr(path, name=f"{Path(path).stem}-{time.perf_counter_ns()}") for path in paths)
    pairs = true.astype(np.int64).ravel() * CLASSES + pred.ravel()
    return client.compute(da.bincount(pairs, minlength=CLASSES**2)).result().reshape(CLASSES, CLASSES)


def race(
    name: str, ours: Callable[[], Any], other: Callable[[], Any], floor: float, aim: float, rounds: int = 3
) -> None:
    """Record how much longer the other takes, by turns."""
    ours()
    pairs = [(timed(other), timed(ours)) for _ in range(rounds)]
    record(name, [a / b for a, b in pairs], min(b for _, b in pairs), group=GROUP, floor=floor, aim=aim)


@pytest.mark.filterwarnings("ignore:.*chunks are not stored")  # those of zeros only
def test_workers_against_each_other_and_one_process(stores: list[str]) -> None:
    with workers(1) as one, workers(2) as two:
        expected = fastseg.count_files(*stores, num_classes=CLASSES)
        for client in (one, two):
            assert (counted(client, stores).matrix == expected.matrix).all()
        race("two workers against one", lambda: counted(two, stores), lambda: counted(one, stores), 1.6, 1.9)
        assert (idiom(two, stores) == expected.matrix[0]).all()
        race(
            "da.bincount(t * K + p), two workers",
            lambda: counted(two, stores),
            lambda: idiom(two, stores),
            10,
            25,
            rounds=1,
        )


def pinned() -> None:
    """Keep all threads of this process, and those that they start, on one processor."""
    first = min(os.sched_getaffinity(0))
    for thread in os.listdir("/proc/self/task"):
        os.sched_setaffinity(int(thread), {first})


def test_one_worker_against_a_plain_call(stores: list[str]) -> None:
    """Both in the same process on one processor: Zarr decodes the chunks of a plain call in several threads of its own."""
    with workers(1) as one:
        one.run(pinned)

        def plain() -> Any:
            return one.submit(fastseg.count_files, *stores, num_classes=CLASSES, pure=False).result()

        assert (counted(one, stores).matrix == plain().matrix).all()
        race("one worker against count_files, one processor", lambda: counted(one, stores), plain, 0.75, 0.95, rounds=5)


def memory(name: str) -> int:
    """Return what the kernel says of the memory of this process, in bytes."""
    with open("/proc/self/status") as file:
        return int(next(line for line in file if line.startswith(name)).split()[1]) << 10


def forget_peak() -> None:
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")


def test_memory_of_a_worker(tmp_path: Path) -> None:
    """Beyond what it takes to count some voxels, in blocks of 64 MiB, of which a task has one of each array."""
    side, paths = 400, [str(tmp_path / name) for name in ("true.zarr", "pred.zarr")]
    for path, part in zip(paths, phantom_pair((side,) * 3, CLASSES), strict=True):
        array = zarr.create_array(path, shape=(2 * side, side, side), chunks=(side,) * 3, dtype="u1")
        array[:side], array[side:] = part, part
    peaks = []
    for _ in range(3):
        with workers(1) as one:
            small = [da.from_zarr(path)[:32, :32, :32] for path in paths]
            one.compute(
                fastseg.count_labels(*(each.rechunk(16) for each in small), num_classes=CLASSES, compute=False)
            ).result()
            (before,) = one.run(memory, "VmRSS:").values()
            one.run(forget_peak)
            counted(one, paths)
            (after,) = one.run(memory, "VmHWM:").values()
            peaks.append((after - before) / side**3)
    name = "memory of a worker beyond Dask's own, in blocks"
    record(name, peaks, 0, group=GROUP, floor=3, aim=2, unit=" blocks", at_most=True)


def test_a_folder_on_two_workers(tmp_path: Path) -> None:
    both = folders(tmp_path, 36, (512, 512, 100), 4)
    with workers(2) as two:

        def score(**how: Any) -> Any:
            return fastseg.evaluate_folder(*both, tmp_path / "out", num_classes=CLASSES, resume=False, **how)

        expected = score(threads=2).counts().matrix
        assert (score(client=two).counts().matrix == expected).all()
        name = "36 .nii.gz pairs, 512×512×100: two threads / two workers of one thread"
        race(name, lambda: score(client=two), lambda: score(threads=2), 0.8, 1.0)


def test_a_graph_of_a_hundred_thousand_blocks() -> None:
    shape = (47 * CHUNK,) * 3
    blocks = 47**3
    true, pred = stub(shape, CHUNK)
    times = []
    for _ in range(3):
        start = time.perf_counter()
        later = fastseg.count_labels(true, pred, num_classes=CLASSES, compute=False)
        times.append(time.perf_counter() - start)
    assert len(later.dask) < 20_000
    name = f"seconds to build a graph of {blocks:,} blocks ({len(later.dask):,} tasks)"
    record(name, times, min(times), group=GROUP, floor=5, aim=1, unit="s", at_most=True)


def test_what_a_block_costs_the_scheduler() -> None:
    """A worker's time for many small blocks, less what they take without a scheduler."""
    chunk, blocks = 64, 20**3
    times = []
    with workers(1) as client, dask.config.set(scheduler="synchronous"):
        for _ in range(3):
            later = fastseg.count_labels(*stub((20 * chunk,) * 3, chunk), num_classes=CLASSES, compute=False)
            whole = timed(lambda later=later: client.compute(later).result())
            times.append((whole - timed(later.compute)) / blocks * 1e3)
    record("scheduling a block", times, min(times), group=GROUP, floor=1, aim=0.3, unit="ms", at_most=True)


@pytest.mark.filterwarnings("ignore:Sending large graph")  # which it is meant to be
def test_a_million_blocks(monkeypatch: pytest.MonkeyPatch, quick: bool) -> None:
    """Simulated: blocks so small that they take no time, in as few tasks as of any size, through the real scheduler."""
    chunk, side = 4, 46 if quick else 100
    monkeypatch.setattr("fastseg.counting.dask_grids.TASK_VOXELS", 1)
    with workers(2) as client:
        start = time.perf_counter()
        later = fastseg.count_labels(*stub((side * chunk,) * 3, chunk), num_classes=CLASSES, compute=False)
        built = time.perf_counter() - start
        counts = client.compute(later).result()
        whole = time.perf_counter() - start
    tasks = len(later.dask)
    assert counts.matrix[0, 0, 0] == (side * chunk) ** 3
    record(f"graph of {side**3:,} blocks, simulated ({tasks:,} tasks)", [built], built, group=GROUP, unit="s")
    record(f"{side**3:,} blocks, simulated, on two workers", [whole], whole, group=GROUP, unit="s")
    record(f"of these, for each of {tasks:,} tasks", [whole / tasks * 1e3], whole, group=GROUP, unit="ms")
