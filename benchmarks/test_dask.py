"""Dask arrays: workers against each other, against one process that reads the same files, and against Dask's own idiom."""

from __future__ import annotations

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

import fastseg
from fastseg.phantom import phantom_pair

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
    with LocalCluster(n_workers=number, **options) as cluster, Client(cluster, set_as_default=False) as client:
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
        files = lambda: fastseg.count_files(*stores, num_classes=CLASSES, threads=1)  # noqa: E731
        race("one worker against count_files, one thread", lambda: counted(one, stores), files, 0.75, 0.95)
        assert (idiom(two, stores) == expected.matrix[0]).all()
        race(
            "da.bincount(t * K + p), two workers",
            lambda: counted(two, stores),
            lambda: idiom(two, stores),
            10,
            25,
            rounds=1,
        )


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
