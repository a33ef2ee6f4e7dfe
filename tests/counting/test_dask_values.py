"""Dask arrays in lists and in arrays of xarray, and what of Dask is no array."""

from __future__ import annotations

import gc
from typing import Any

import dask
import dask.array as da
import dask.bag
import numpy as np
import pytest
import xarray

import fastseg
from fastseg.counting import dask_blocks

RNG = np.random.default_rng(61)
TRUE, PRED = (RNG.integers(0, 4, (6, 7, 5)).astype(np.uint8) for _ in range(2))
SCORES = RNG.random((6, 4, 7, 5)).astype(np.float32)
TRUE_BLOCKS, PRED_BLOCKS = da.from_array(TRUE, chunks=3), da.from_array(PRED, chunks=(2, 7, 4))


@pytest.fixture(autouse=True)
def here() -> Any:
    with dask.config.set(scheduler="synchronous"):
        yield


@pytest.mark.parametrize(
    ("items", "true"),
    [
        ([TRUE_BLOCKS, PRED_BLOCKS], np.stack([TRUE, PRED])),
        ((TRUE, xarray.DataArray(PRED_BLOCKS)), np.stack([TRUE, PRED])),
        ([[TRUE_BLOCKS], [PRED_BLOCKS]], np.stack([[TRUE], [PRED]])),
    ],
    ids=["list", "beside others", "nested"],
)
def test_a_list_of_blocks_is_a_batch_of_which_nothing_is_loaded_yet(items: Any, true: Any) -> None:
    pred = np.roll(true, 1, -1)
    later = fastseg.count_labels(items, pred, sample_axis=0, compute=False)
    assert later.compute() == fastseg.count_labels(true, pred, sample_axis=0)


def test_lists_of_unlike_or_unknown_shapes_name_the_argument() -> None:
    with pytest.raises(
        ValueError, match=r"^y_pred: expected Dask arrays of one shape in a list, found \(6, 7, 5\) and \(2,"
    ):
        fastseg.dice([TRUE, TRUE], [PRED_BLOCKS, PRED_BLOCKS[:2]])
    flat = TRUE_BLOCKS.reshape(-1)
    with pytest.raises(ValueError, match=r"^y_true: expected a Dask array that knows the sizes of its chunks"):
        fastseg.dice([flat[flat > 1]], [PRED.ravel()])


@pytest.mark.parametrize("value", [dask.delayed(TRUE), dask.delayed(np.copy)(TRUE), [dask.delayed(TRUE)]])
def test_what_is_delayed_is_no_array(value: Any) -> None:
    with pytest.raises(
        TypeError, match=r"^y_pred: expected an array, found Delayed\w* of Dask; pass dask.array.from_delayed"
    ):
        fastseg.dice(TRUE, value)


def test_counts_that_are_delayed_are_no_counts_yet() -> None:
    counts = fastseg.count_labels(TRUE_BLOCKS, PRED, compute=False)
    with pytest.raises(
        TypeError, match=r"^y_true: dice\(\) takes .* found a Delayed of Dask: .* dask.delayed\(fastseg.dice\)"
    ):
        fastseg.dice(counts)
    np.testing.assert_array_equal(dask.delayed(fastseg.dice)(counts).compute()[0], fastseg.dice(TRUE, PRED))


def test_tables_of_dask_are_not_loaded_whole() -> None:
    class Series:
        """As Dask's tables need pandas and more."""

        __module__ = "dask.dataframe"
        to_dask_array = __array__ = None

    with pytest.raises(
        TypeError, match=r"^mask: expected an array, found Series of Dask; pass its to_dask_array\(lengths"
    ):
        fastseg.dice(TRUE, PRED, mask=Series())
    with pytest.raises(TypeError, match=r"^y_true: expected an array, found Bag of Dask; pass its .compute\(\)"):
        fastseg.dice(dask.bag.from_sequence([0, 1]), [0, 1])


def test_axes_that_xarray_has_numbered_are_no_names() -> None:
    scores = xarray.DataArray(da.from_array(SCORES, chunks=3))
    found = fastseg.sum_scores(xarray.DataArray(TRUE_BLOCKS), scores, channel_axis=1, activation="softmax")
    assert found.argmax_counts == fastseg.count_labels(TRUE, SCORES.argmax(1), num_classes=4)


@pytest.mark.parametrize("chunks", [None, 2, (6, 1, 3, 5), (1, 4, 7, 1)])
def test_the_first_score_that_is_wrong_is_so_by_index(chunks: Any) -> None:
    wrong = SCORES.copy()
    wrong[0, 2, 1, 1] = wrong[0, 1, 6, 4] = wrong[4, 0, 0, 0] = np.nan
    scores = wrong if chunks is None else da.from_array(wrong, chunks=chunks)
    with pytest.raises(ValueError, match=r"found 3 value\(s\) that are not; the first is nan at index \(0, 1, 6, 4\)"):
        fastseg.sum_scores(TRUE, scores, channel_axis=1)


@pytest.mark.parametrize("enabled", [True, False])
def test_unused_objects_are_not_sought_while_tasks_are_made(enabled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    def tasks(*given: Any) -> Any:
        seen.append(gc.isenabled())
        return made(*given)

    seen: list[bool] = []
    made = dask_blocks._tasks
    monkeypatch.setattr(dask_blocks, "_tasks", tasks)
    try:
        if not enabled:
            gc.disable()
        fastseg.count_labels(TRUE_BLOCKS, PRED, compute=False)
        assert (seen, gc.isenabled()) == ([False], enabled)
    finally:
        gc.enable()
