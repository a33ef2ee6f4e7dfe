"""How chunks are united and grouped, as arithmetic."""

from __future__ import annotations

import itertools
from math import prod
from typing import Any

import pytest
from hypothesis import given, strategies as st

from fastseg.counting import dask_grids
from fastseg.counting.dask_grids import Chunked, boxes, coarser, reads, united


def regular(shape: tuple[int, ...], chunk: tuple[int, ...], itemsize: int = 1) -> Chunked:
    sizes = ((min(c, n - start) for start in range(0, n, c)) for n, c in zip(shape, chunk, strict=True))
    return Chunked(dict(enumerate(map(tuple, sizes))), itemsize)


SHAPE = (512, 512, 512)


def largest(grid: dask_grids.Grid) -> tuple[int, ...]:
    return tuple(map(max, grid))


def test_equal_chunks_stay_as_they_are() -> None:
    assert largest(united([regular(SHAPE, (128, 128, 128))] * 2, SHAPE)) == (128, 128, 128)


def test_unlike_chunks_are_put_together_where_bounds_are_common_and_read_once() -> None:
    arrays = [regular(SHAPE, (128, 128, 128)), regular(SHAPE, (64, 256, 256))]
    grid = united(arrays, SHAPE)
    assert largest(grid) == (128, 256, 256)
    assert [reads(array, grid) for array in arrays] == [1, 1]


def test_where_that_needs_too_much_memory_the_array_is_rechunked_that_moves_fewer_bytes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    arrays = [regular(SHAPE, (128, 128, 128)), regular(SHAPE, (64, 256, 256))]
    monkeypatch.setattr(dask_grids, "MOST_BYTES", 10 << 20)
    grid = united(arrays, SHAPE)
    assert largest(grid) == (
        64,
        256,
        256,
    )  # each chunk of the first is brought to two cells; the other way it would be four
    assert [reads(array, grid) for array in arrays] == [2, 1]
    heavy = [regular(SHAPE, (128, 128, 128), 4), arrays[1]]
    monkeypatch.setattr(dask_grids, "MOST_BYTES", 10 << 21)
    assert largest(united(heavy, SHAPE)) == (128, 128, 128)  # bytes, not voxels: 4 + 4 against 8 + 1


def test_an_axis_that_is_not_to_be_cut_and_one_that_an_array_lacks() -> None:
    scores = regular((4, 64, 64), (1, 32, 64))
    mask = Chunked({1: (16,) * 4, 2: (64,)}, 1)
    assert united([scores, mask], (4, 64, 64), whole=0) == ((4,), (32, 32), (64,))
    assert united([mask], (4, 64, 64), whole=0) == ((4,), (16,) * 4, (64,))


@given(
    st.lists(st.lists(st.integers(1, 4), min_size=1, max_size=5).map(tuple), min_size=1, max_size=3),
    st.booleans(),
    st.integers(1, 60),
)
def test_boxes_have_each_cell_once_and_samples_in_order(grid: Any, samples: bool, voxels: int) -> None:
    last = 0 if samples else None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dask_grids, "TASK_VOXELS", voxels)
        found = boxes(tuple(grid), last)
    cells = [cell for box in found for cell in box]
    assert sorted(cells) == list(itertools.product(*(range(len(sizes)) for sizes in grid)))
    if samples:
        rows = [box.cells[0] for box in found]
        assert sorted(rows, key=lambda row: row.start) == rows
        for row in rows:
            if len(row) > 1:  # together along samples: all of them
                assert all(len(box.cells[axis]) == len(grid[axis]) for box in found for axis in range(1, len(grid)))


def test_a_task_covers_sixteen_million_voxels() -> None:
    grid = ((128,) * 8,) * 3
    found = boxes(grid)
    assert len(found) == 64
    assert all(sum(prod((128, 128, 128)) for _ in box) >= 1 << 24 for box in found)
    assert len(boxes(grid, elements=8)) == 512  # scores of eight classes


def test_there_are_no_more_tasks_than_a_scheduler_can_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask_grids, "MOST_TASKS", 50)
    found = boxes(((128,) * 16, (256,) * 8, (256,) * 8))
    assert len(found) <= 50
    assert sum(1 for box in found for _ in box) == 16 * 8 * 8


@pytest.mark.parametrize("numbers", [(100, 100, 100), (204, 100, 100), (396, 100, 100), (1_000_000,), (7, 3, 80_001)])
@pytest.mark.parametrize("last", [None, 0])
def test_numbers_of_blocks_that_leave_a_remainder_make_no_more_tasks(
    numbers: tuple[int, ...], last: int | None
) -> None:
    assert len(boxes(tuple((256,) * number for number in numbers), last)) <= dask_grids.MOST_TASKS


def test_many_chunks_of_one_axis_are_quickly_done() -> None:
    line = Chunked({0: (10,) * 100_000}, 1)
    assert reads(line, united([line, Chunked({0: (1000,) * 1000}, 1)], (1_000_000,))) == 1


def test_small_cells_are_put_together_until_they_are_worth_a_call(monkeypatch: pytest.MonkeyPatch) -> None:
    grid = ((16,) * 5, (16,) * 4, (16, 16, 8))
    monkeypatch.setattr(dask_grids, "READ_BYTES", 1 << 14)
    assert coarser(grid, [(range(3), 1)]) == ((16,) * 5, (16,) * 4, (40,))
    assert coarser(grid, [(range(3), 1), (range(3), 2)]) == ((16,) * 5, (16,) * 4, (32, 8))
    assert coarser(grid, [(range(3), 4)]) == grid
    monkeypatch.setattr(dask_grids, "READ_BYTES", 1 << 16)
    assert coarser(grid, [(range(3), 1)]) == ((16,) * 5, (64,), (40,))
