"""What is read, and when: each chunk once, where it is counted, several small ones at once, and no task for any of them."""

from __future__ import annotations

from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
from support.stored import Stored

import fastseg
from fastseg.counting import dask_grids
from fastseg.counting.dask_reads import readings_of
from fastseg.counting.dask_sources import Recipe

RNG = np.random.default_rng(3)
TRUE = RNG.integers(0, 5, (12, 14, 10)).astype(np.uint8)
PRED = RNG.integers(0, 5, TRUE.shape).astype(np.uint8)
EXPECTED = fastseg.count_labels(TRUE, PRED)


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Compute in this thread, and count few voxels a task."""
    monkeypatch.setattr(dask_grids, "TASK_VOXELS", 200)
    with dask.config.set(scheduler="synchronous"):
        yield


@pytest.mark.parametrize("options", [{}, {"inline_array": True}, {"asarray": False}, {"lock": True}])
def test_small_chunks_of_a_store_are_read_together(monkeypatch: pytest.MonkeyPatch, options: Any) -> None:
    monkeypatch.setattr(dask_grids, "READ_BYTES", 400)
    true, pred = Stored(TRUE), Stored(PRED)
    later = fastseg.count_labels(true.cut((2, 7, 5), **options), pred.cut((2, 7, 5)), compute=False)
    assert not true.read
    assert later.compute() == EXPECTED
    assert true.read == pred.read == [(2, 14, 10)] * 6
    whole = fastseg.count_labels(true.cut((2, 7, 5)), PRED)
    assert whole == EXPECTED
    assert true.read == [(2, 14, 10)] * 12


def test_no_task_is_made_of_a_chunk() -> None:
    later = fastseg.count_labels(Stored(TRUE).cut(1), Stored(PRED).cut((1, 1, 2)) + 0, compute=False)
    boxes = 1680 // 200
    assert (
        len(later.dask) <= 2 + 1 + boxes + 1 + 1 + 1
    )  # the two that are read, the plan, boxes, what merges them, the result
    assert later.compute() == EXPECTED


def test_unlike_chunks_of_stores_are_read_in_the_pieces_that_are_counted() -> None:
    true, pred = Stored(TRUE), Stored(PRED)
    assert fastseg.count_labels(true.cut((4, 14, 10)), pred.cut((6, 7, 10))) == EXPECTED
    assert true.read == pred.read == [TRUE.shape]


def test_functions_on_top_are_called_chunk_by_chunk() -> None:
    seen: list[Any] = []

    def noted(block: Any, other: Any, block_info: Any = None) -> Any:
        seen.append(block_info[0]["chunk-location"])
        return block + 0 * other

    true, pred = Stored(TRUE), Stored(PRED)
    chunks = (6, 7, 10)
    on_top = da.map_blocks(noted, true.cut(chunks), pred.cut(chunks), dtype=TRUE.dtype, meta=np.empty((0, 0, 0), "u1"))
    later = fastseg.count_labels(on_top, PRED, compute=False)
    assert later.compute() == EXPECTED
    assert sorted(seen) == [(z, y, 0) for z in (0, 1) for y in (0, 1)]
    assert true.read == pred.read == [chunks] * 4


def test_what_two_maps_are_made_of_is_read_once() -> None:
    true = Stored(TRUE)
    chunks = true.cut((6, 7, 10))
    assert fastseg.count_labels(chunks % 3, chunks // 2) == fastseg.count_labels(TRUE % 3, TRUE // 2)
    assert fastseg.count_labels(chunks, chunks) == fastseg.count_labels(TRUE, TRUE)
    assert true.read == [(6, 7, 10)] * 4 + [TRUE.shape]


def test_values_that_are_computed_first_are_part_of_a_recipe() -> None:
    true, shift = Stored(TRUE), dask.delayed(lambda: 1)()
    shifted = true.cut((6, 7, 10)) + da.from_delayed(shift, (), np.uint8)
    expected = fastseg.count_labels(TRUE + 1, PRED)
    assert fastseg.count_labels(shifted, Stored(PRED).cut((6, 7, 10))) == expected
    assert fastseg.count_labels(da.from_array(TRUE, 5) + true.cut(5).max() - TRUE.max(), PRED) == EXPECTED


def test_arrays_that_are_no_recipe() -> None:
    array = Stored(TRUE).cut((6, 7, 10))
    assert Recipe.of(array.name, array.dask) is not None
    assert readings_of([array]).keys() == {array.name}
    for other in (array.rechunk(3), da.concatenate([array, array])):
        assert Recipe.of(other.name, other.dask) is None
        assert other.name not in readings_of([other])
    assert (array + 1).name not in readings_of([array + 1])


def test_arrays_that_others_have_moved_between_workers() -> None:
    """Whatever way of rechunking the configuration says: its tasks are not taken into others."""
    true, pred = Stored(TRUE).cut((12, 2, 10)) + 0, Stored(PRED).cut((2, 14, 10)) + 0
    with dask.config.set({"array.rechunk.method": "p2p"}), pytest.MonkeyPatch.context() as patch:
        patch.setattr(dask_grids, "MOST_BYTES", 600)
        with pytest.warns(UserWarning, match="rechunk the arrays alike"):
            assert fastseg.count_labels(true, pred) == EXPECTED
