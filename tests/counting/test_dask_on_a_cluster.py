"""Dask arrays on workers that are processes: the same counts, also where a worker dies; and no more threads than cores."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
from distributed import Client, get_task_stream
from support.clusters import kill_once, small_cluster

import fastseg
from fastseg.counting import dask_grids, threads
from fastseg.phantom import phantom_pair

TRUE, PRED = phantom_pair((40, 48, 56), num_classes=5, foreground=0.3, seed=4)


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with small_cluster() as found:
        yield found


@pytest.fixture(autouse=True)
def small_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask_grids, "TASK_VOXELS", 10_000)


OPTIONS: list[dict[str, Any]] = [
    {},
    {"num_classes": 5},
    {"sample_axis": 0, "ignore_index": 2},
    {"labels": [3, 0, 1, 2], "unknown": "count", "ignore_index": 4, "sample_axis": 2},
]


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("seed", [0, 1])
def test_counts_are_equal(client: Client, options: dict[str, Any], seed: int) -> None:
    rng = np.random.default_rng(seed)
    chunks = [tuple(rng.integers(10, 40, 3).tolist()) for _ in range(3)]
    mask = rng.random(TRUE.shape) < 0.6
    true, pred, region = (da.from_array(a, c) for a, c in zip((TRUE, PRED, mask), chunks, strict=True))
    expected = fastseg.count_labels(TRUE, PRED, mask=mask, **options)
    assert fastseg.count_labels(true, pred, mask=region, **options) == expected
    assert client.submit(int, 1).result() == 1  # it was this client's cluster that is there still


@pytest.mark.usefixtures("client")
def test_masks_scores_and_errors() -> None:
    maps = np.stack([TRUE == 1, TRUE > 1]), np.stack([PRED == 1, PRED > 1])
    blocks = [da.from_array(each, (1, 20, 48, 30)) for each in maps]
    assert fastseg.count_masks(*blocks, channel_axis=0) == fastseg.count_masks(*maps, channel_axis=0)
    scores = np.stack([k == PRED for k in range(5)], axis=-1).astype(np.float32) * 0.9 + 0.02
    loss = fastseg.soft_dice_loss(da.from_array(TRUE, 24), da.from_array(scores, (24, 24, 24, 5)))
    assert loss == pytest.approx(fastseg.soft_dice_loss(TRUE, scores), rel=1e-12)
    bad = PRED.copy()
    bad[33, 44, 55] = 77
    with pytest.raises(
        ValueError, match=r"^y_pred: .* found 1 voxel\(s\) outside; the first is 77 at index \(33, 44, 55\)"
    ):
        fastseg.count_labels(da.from_array(TRUE, 20), da.from_array(bad, 20), num_classes=5)


def test_all_workers_have_a_share(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """What all tasks need lies on one worker, and does not keep them there."""
    monkeypatch.setattr(dask_grids, "TASK_VOXELS", 8**3)
    client.wait_for_workers(2, timeout=120)  # another test may have killed one
    maps = [da.zeros((64, 64, 32), chunks=8, dtype=np.uint8) for _ in range(2)]
    with get_task_stream(client, plot=False) as stream:
        assert fastseg.count_labels(*maps, num_classes=1).matrix.item() == 64 * 64 * 32
    shares = Counter(each["worker"] for each in stream.data if "-box" in each["key"][0])
    assert shares.total() == 256
    assert len(shares) == 2
    assert min(shares.values()) > 10  # of a worker that the system did not let run for a while


@pytest.mark.usefixtures("client")
def test_a_worker_that_is_killed_costs_nothing_but_time(tmp_path: Path) -> None:
    def fatal(block: Any, block_info: Any = None) -> Any:
        if block_info and block_info[0]["chunk-location"] == (1, 1, 1):
            kill_once(str(tmp_path), "killed")
        return block

    true = da.from_array(TRUE, 20).map_blocks(fatal, dtype=TRUE.dtype, meta=np.empty((0, 0, 0), TRUE.dtype))
    assert fastseg.count_labels(true, da.from_array(PRED, 20)) == fastseg.count_labels(TRUE, PRED)
    assert (tmp_path / "killed").exists()


@pytest.mark.usefixtures("client")
@pytest.mark.parametrize("chunks", [20, (40, 24, 10)])
def test_what_workers_hold_already_is_counted_there(chunks: Any) -> None:
    true, pred = da.from_array(TRUE, 20).persist(), da.from_array(PRED, chunks).persist()
    expected = fastseg.count_labels(TRUE, PRED)
    later = fastseg.count_labels(true, pred, compute=False)
    assert later.compute() == expected
    assert len(later.dask) < 100
    assert fastseg.count_labels(true, true).matrix.trace(axis1=1, axis2=2).item() == TRUE.size


def test_two_clients_at_once(client: Client) -> None:
    first = fastseg.count_labels(da.from_array(TRUE, 20), da.from_array(PRED, 20), compute=False)
    second = fastseg.count_labels(da.from_array(PRED, 20), da.from_array(TRUE, 20), compute=False)
    with Client(client.scheduler.address, set_as_default=False) as other:
        found = client.compute(first), other.compute(second)
        assert found[0].result() == fastseg.count_labels(TRUE, PRED)
        assert found[1].result() == fastseg.count_labels(PRED, TRUE)


def test_tasks_share_the_threads_of_their_worker(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    assert client.submit(threads.share_of, 5, pure=False).result() == 1
    assert client.submit(threads.share_of, 1, pure=False).result() == 1  # of a worker of one thread
    monkeypatch.setattr(threads, "_chosen", 8)
    assert [threads.share_of(tasks) for tasks in (1, 3, 8, 100)] == [8, 2, 1, 1]
    with threads.sharing(3):
        assert fastseg.get_num_threads() == 3
        with threads.sharing(1):
            assert fastseg.get_num_threads() == 1
        assert fastseg.get_num_threads() == 3
    assert fastseg.get_num_threads() == 8
