"""Slices of what is read are read themselves: in the pieces that are counted, and with no task for a chunk."""

from __future__ import annotations

import operator
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
import zarr
from dask.highlevelgraph import HighLevelGraph
from hypothesis import given, strategies as st
from support.stored import Stored

import fastseg
from fastseg.counting import dask_grids
from fastseg.counting.dask_reads import Reading, readings_of, with_readings

RNG = np.random.default_rng(3)
TRUE = RNG.integers(0, 5, (12, 14, 10)).astype(np.uint8)
PRED = RNG.integers(0, 5, TRUE.shape).astype(np.uint8)


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Compute in this thread, and count few voxels a task."""
    monkeypatch.setattr(dask_grids, "TASK_VOXELS", 200)
    with dask.config.set(scheduler="synchronous"):
        yield


def reading(array: Any) -> Reading | None:
    return readings_of([array]).get(array.name)


@st.composite
def slices(draw: st.DrawFn, size: int) -> slice | int:
    start, stop = draw(st.integers(0, size - 1)), draw(st.integers(-size, size + 2))
    if draw(st.booleans()):
        return start
    return slice(draw(st.sampled_from([None, start])), stop, draw(st.sampled_from([None, 1, 2, 3, 5])))


@given(st.tuples(slices(12), slices(14), slices(10)), st.tuples(st.integers(0, 4), st.integers(1, 3)))
def test_any_slice_of_a_slice(index: Any, second: tuple[int, int]) -> None:
    array, expected = Stored(TRUE).cut((5, 4, 3))[index], TRUE[index]
    if expected.ndim and expected.shape[-1]:
        further = (..., slice(second[0], None, second[1]))
        array, expected = array[further], expected[further]
    found = reading(array)
    if found is None:
        assert array.size == 0  # where Dask makes tasks of another kind
        return
    assert found.chunks == array.chunks
    graph = with_readings(array, {array.name: found})
    assert len(graph.layers) == 2
    again = da.Array(graph, array.name, array.chunks, array.dtype)
    np.testing.assert_array_equal(again.compute(), expected)
    if array.size:
        other, recut = found.recut(array, tuple((n,) for n in array.shape))
        np.testing.assert_array_equal(recut.compute(), expected)
        assert reading(recut) is None  # it is known already
        assert other.chunks == recut.chunks


def test_slices_have_as_few_tasks_as_the_whole() -> None:
    true, pred = Stored(TRUE), Stored(PRED)
    index = (slice(1, 11), slice(2, None), slice(None, 9))
    cut = true.cut((2, 2, 2))[index], pred.cut((2, 2, 2))[index]
    later = fastseg.count_labels(*cut, compute=False)
    assert len(later.dask) <= 2 + 1 + 1080 // 200 + 1 + 1 + 1 + 1
    assert not true.read
    assert later.compute() == fastseg.count_labels(TRUE[index], PRED[index])
    assert len(true.read) == len(pred.read) < 10


def test_planes_and_samples_of_larger_arrays() -> None:
    true, pred = Stored(TRUE).cut((3, 5, 10)), Stored(PRED).cut((4, 5, 10))
    assert fastseg.count_labels(true[5], pred[5]) == fastseg.count_labels(TRUE[5], PRED[5])
    assert fastseg.count_labels(true[5, 3, 2], PRED[5, 3, 2]) == fastseg.count_labels(TRUE[5, 3, 2], PRED[5, 3, 2])
    expected = fastseg.count_labels(TRUE[:, 3:, ::2], PRED[:, 3:, ::2], sample_axis=0)
    assert fastseg.count_labels(true[:, 3:, ::2], pred[:, 3:, ::2], sample_axis=0) == expected


def test_functions_on_top_of_slices_have_no_tasks_for_chunks_either() -> None:
    true, pred = Stored(TRUE), Stored(PRED)
    cut = true.cut((2, 7, 10))[1:] % 3, (pred.cut((2, 7, 10))[1:] > 2).astype("u1")
    later = fastseg.count_labels(*cut, compute=False)
    assert len(later.dask) <= 2 + 1 + 1540 // 140 + 1 + 1 + 1 + 1
    assert later.compute() == fastseg.count_labels(TRUE[1:] % 3, (PRED[1:] > 2).astype("u1"))


def test_slices_that_need_the_same_chunks_read_them_once() -> None:
    both = Stored(np.stack([TRUE, PRED], -1))
    maps = both.cut((6, 14, 10, 2))
    assert fastseg.count_labels(maps[..., 0], maps[..., 1]) == fastseg.count_labels(TRUE, PRED)
    assert both.read == [(6, 14, 10, 2)] * 2
    apart = Stored(np.stack([TRUE, PRED]))
    maps = apart.cut((1, 6, 14, 10))
    assert readings_of([maps[0], maps[1]]).keys() == {maps[0].name, maps[1].name}
    assert fastseg.count_labels(maps[0], maps[1]) == fastseg.count_labels(TRUE, PRED)
    assert apart.read == [(12, 14, 10)] * 2


def test_what_is_no_slice_of_what_is_read() -> None:
    array = Stored(TRUE).cut((5, 4, 3))
    for other in (
        array[::-1], array[[1, 2, 5]], array[None], array[1:].rechunk(3), da.concatenate([array, array])[1:], array + 1,
        array.T, da.from_array(TRUE, (5, 4, 3))[1:], da.map_blocks(operator.getitem, array, (slice(1),), dtype="u1"),
    ):  # fmt: skip
        assert reading(other) is None
    for other in (array[::-1], array[[1, 2, 5]]):
        assert fastseg.count_labels(other, other.compute()).matrix.sum() == other.size


def test_layers_that_only_look_like_slices() -> None:
    array = Stored(TRUE).cut((6, 14, 10))
    part = array[1:]
    layer = dict(part.dask.layers[part.name])
    first, second = layer
    swapped = {**layer, first: layer[second], second: layer[first]}  # none that Dask makes
    for tasks in (swapped, {**layer, first: "a value"}):
        graph = HighLevelGraph.from_collections(part.name, tasks, dependencies=[array])
        other = da.Array(graph, part.name, ((5, 6), (14,), (10,)), array.dtype)
        assert reading(other) is None


def test_slices_of_zarr(tmp_path: Path) -> None:
    for name, voxels in (("true", TRUE), ("pred", PRED)):
        zarr.create_array(tmp_path / name, data=voxels, chunks=(4, 5, 6))
    true, pred = (da.from_zarr(str(tmp_path / name)) for name in ("true", "pred"))
    for index in ((slice(2, 9),), (3,), (slice(0, 12, 3), slice(4, 9), 2)):
        assert fastseg.count_labels(true[index], pred[index]) == fastseg.count_labels(TRUE[index], PRED[index])
