"""Dask arrays are counted block by block, and amount to what their voxels do in one array."""

from __future__ import annotations

import warnings
import weakref
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
import xarray
import zarr
from hypothesis import given, settings, strategies as st

import fastseg
from fastseg.counting import dask_grids

RNG = np.random.default_rng(16)
TRUE = RNG.integers(0, 5, (12, 14, 10)).astype(np.uint8)
PRED = np.where(RNG.random(TRUE.shape) < 0.8, TRUE, RNG.integers(0, 5, TRUE.shape)).astype(np.uint8)
MASK = RNG.random(TRUE.shape) < 0.7
WEIGHT = RNG.random(TRUE.shape)


@pytest.fixture(autouse=True)
def here() -> Any:
    """Compute in this thread, and count few voxels a task."""
    with pytest.MonkeyPatch.context() as patch, dask.config.set(scheduler="synchronous"), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".* rechunk the arrays alike")
        patch.setattr(dask_grids, "TASK_VOXELS", 200)
        yield


def cut(array: Any, chunks: Any) -> Any:
    return da.from_array(array, chunks=chunks)


@st.composite
def sizes(draw: st.DrawFn, shape: tuple[int, ...] = TRUE.shape) -> tuple[tuple[int, ...], ...]:
    """Draw the sizes of chunks, regular or not."""
    found = []
    for size in shape:
        cuts = sorted(draw(st.sets(st.integers(1, size - 1), max_size=4)))
        found.append(tuple(b - a for a, b in zip([0, *cuts], [*cuts, size], strict=True)))
    return tuple(found)


OPTIONS: list[dict[str, Any]] = [
    {},
    {"num_classes": 5},
    {"labels": [4, 2, 0, 1, 3], "sample_axis": 1},
    {"num_classes": 5, "ignore_index": 3, "sample_axis": 0},
    {"sample_axis": 2, "ignore_index": [0, 7]},
    {"labels": [0, 1, 2, 3], "ignore_index": 4, "unknown": "count"},
]


@settings(max_examples=40)
@given(sizes(), sizes(), sizes(), st.sampled_from(OPTIONS), st.sampled_from("tpmx"), st.booleans())
def test_counts_of_any_chunks_are_those_of_the_array(
    true: Any, pred: Any, mask: Any, options: dict[str, Any], kind: str, masked: bool
) -> None:
    region = MASK if masked else None
    expected = fastseg.count_labels(TRUE, PRED, mask=region, **options)
    y_true = TRUE if kind == "p" else cut(TRUE, true)
    y_pred = PRED if kind == "t" else cut(PRED, pred)
    found = fastseg.count_labels(y_true, y_pred, mask=cut(MASK, mask) if masked and kind != "m" else region, **options)
    assert found == expected


@pytest.mark.parametrize("dtypes", [("int64", "int64"), ("float32", "uint8")])
def test_of_any_types(dtypes: tuple[str, str]) -> None:
    true, pred = (TRUE % 2).astype(dtypes[0]), (PRED % 2).astype(dtypes[1])
    expected = fastseg.count_labels(true, pred)
    assert fastseg.count_labels(cut(true, 5), cut(pred, (5, 6, 10))) == expected


def test_only_one_is_in_blocks_or_only_the_mask() -> None:
    expected = fastseg.count_labels(TRUE, PRED, mask=MASK)
    assert fastseg.count_labels(TRUE, PRED, mask=cut(MASK, 4)) == expected
    assert fastseg.count_labels(TRUE, cut(PRED, 4), mask=MASK) == expected


@pytest.mark.parametrize("name", ["dice", "iou", "accuracy", "cohen_kappa", "specificity"])
@pytest.mark.parametrize("options", [{}, {"num_classes": 5}, {"sample_axis": 1}])
def test_metrics_are_equal(name: str, options: dict[str, Any]) -> None:
    function = getattr(fastseg, name)
    expected = function(TRUE, PRED, **options)
    true, pred = cut(TRUE, (5, 7, 10)), cut(PRED, (5, 7, 10))
    np.testing.assert_array_equal(function(true, pred, **options), expected)
    later = function(true, pred, compute=False, **options)
    np.testing.assert_array_equal(later.compute(), expected)


def test_tables_matrices_and_graphs_of_others_go_on_with_what_is_computed_later() -> None:
    true, pred = cut(TRUE, 5), cut(PRED, 5)
    scores = fastseg.evaluate(true, pred, num_classes=5, compute=False)
    matrix = fastseg.confusion_matrix(true, pred, num_classes=5, compute=False)
    trace = dask.delayed(np.trace)(matrix)
    found, diagonal = dask.compute(scores, trace)
    assert str(found) == str(fastseg.evaluate(TRUE, PRED, num_classes=5))
    assert diagonal == (TRUE == PRED).sum()
    assert str(fastseg.evaluate(true, pred, num_classes=5)) == str(found)


def test_pairs_and_their_metrics_can_be_computed_later() -> None:
    true, pred = cut(TRUE, 5), cut(PRED, (5, 7, 10))
    pairs = fastseg.count_pairs(true, pred, ignore_index=3, compute=False)
    found, error = dask.compute(pairs, fastseg.adapted_rand_error(true, pred, compute=False))
    assert found == fastseg.count_pairs(TRUE, PRED, ignore_index=3) == fastseg.count_pairs(true, pred, ignore_index=3)
    assert error == fastseg.adapted_rand_error(TRUE, PRED)
    several = fastseg.mutual_information(true, pred, sample_axis=0, compute=False).compute()
    np.testing.assert_array_equal(several, fastseg.mutual_information(TRUE, PRED, sample_axis=0))
    with pytest.raises(ValueError, match="^compute: expected True for arrays in memory"):
        fastseg.variation_of_information(TRUE, PRED, compute=False)


def test_what_is_in_memory_is_not_computed_later() -> None:
    with pytest.raises(ValueError, match="^compute: expected True for arrays in memory"):
        fastseg.count_labels(TRUE, PRED, compute=False)


@settings(max_examples=12)
@given(sizes((3, 12, 14)), sizes((3, 12, 14)), st.sampled_from([None, 1, 2]))
def test_masks_with_channels(true: Any, pred: Any, sample_axis: int | None) -> None:
    maps = RNG.random((2, 3, 12, 14)) < 0.5
    region = maps[0, 0] | maps[1, 1]
    options: dict[str, Any] = {"channel_axis": 0, "sample_axis": sample_axis}
    expected = fastseg.count_masks(*maps, mask=region, classes=["a", "b", "c"], **options)
    found = fastseg.count_masks(
        cut(maps[0], true), cut(maps[1], pred), mask=cut(region, 5), classes=["a", "b", "c"], **options
    )
    assert found == expected
    assert (fastseg.dice(cut(maps[0], true), maps[1], **options) == fastseg.dice(*maps, **options)).all()


@pytest.mark.parametrize("sample_axis", [None, 1])
@pytest.mark.parametrize("soft", [False, True])
def test_sums_and_losses_of_scores(sample_axis: int | None, soft: bool) -> None:
    scores = RNG.random((4, 12, 14)).astype(np.float32)
    scores /= scores.sum(0)
    true: Any = (scores > 0.4) if soft else TRUE[..., 0] % 4
    options: dict[str, Any] = {"channel_axis": 0, "sample_axis": sample_axis, "class_weight": [1, 2, 3, 4]}
    expected = fastseg.sum_scores(true, scores, **options)
    blocks = cut(true, 5), cut(scores, (2, 4, 14))
    found = fastseg.sum_scores(*blocks, **options)
    assert found.argmax_counts == expected.argmax_counts
    assert (found.voxels == expected.voxels).all()
    np.testing.assert_allclose(found.true_pred, expected.true_pred, rtol=1e-12)
    np.testing.assert_allclose(found.cross_entropy, expected.cross_entropy, rtol=1e-12)
    assert fastseg.sum_scores(*blocks, **options) == found  # bit by bit
    loss = fastseg.soft_dice_loss(*blocks, channel_axis=0, sample_axis=1, compute=False)
    assert loss.compute() == pytest.approx(
        fastseg.soft_dice_loss(true, scores, channel_axis=0, sample_axis=1), rel=1e-12
    )


def test_weights_are_added_in_the_order_of_the_blocks() -> None:
    expected = fastseg.count_labels(TRUE, PRED, sample_weight=WEIGHT, num_classes=5)
    with dask.config.set(scheduler="threads", num_workers=4):
        found = [fastseg.count_labels(cut(TRUE, 3), PRED, sample_weight=WEIGHT, num_classes=5) for _ in range(3)]
    assert found[0] == found[1] == found[2]
    np.testing.assert_allclose(found[0].matrix, expected.matrix, rtol=1e-12)


def test_xarray_on_dask_with_axes_by_name() -> None:
    true = xarray.DataArray(cut(TRUE, 5), dims=("z", "y", "x"))
    pred = xarray.DataArray(cut(PRED.transpose(2, 0, 1), 4), dims=("x", "z", "y"))
    expected = fastseg.count_labels(TRUE, PRED, sample_axis=1)
    assert fastseg.count_labels(true, pred, sample_axis="y") == expected


def test_arrays_of_no_voxels_and_of_one() -> None:
    nothing = np.zeros((0, 4), np.uint8)
    assert fastseg.count_labels(cut(nothing, 2), nothing) == fastseg.count_labels(nothing, nothing)
    one = np.uint8(1)
    assert fastseg.count_labels(da.asarray(one), one) == fastseg.count_labels(one, one)


@settings(max_examples=15)
@given(sizes(), st.integers(0, TRUE.size - 1), st.integers(0, TRUE.size - 1), st.booleans())
def test_what_is_wrong_is_said_with_its_place_in_the_whole(true: Any, first: int, second: int, of_pred: bool) -> None:
    bad, other = TRUE.copy(), PRED.copy()
    (other if of_pred else bad).reshape(-1)[[first, second]] = 9, 8
    with pytest.raises(ValueError, match="outside") as expected:
        fastseg.count_labels(bad, other, num_classes=5)
    with pytest.raises(ValueError, match="outside") as found:
        fastseg.count_labels(cut(bad, true), cut(other, 6), num_classes=5)
    assert str(found.value) == str(expected.value)


def test_the_first_thing_that_is_wrong_anywhere_is_what_is_said() -> None:
    """A label out of range in the first block, a fraction in the last: of arrays the fraction is said."""
    true, pred = TRUE.astype(np.float32), PRED.copy()
    true[0, 0, 0], true[-1, -1, -1] = 99, 0.5
    with pytest.raises(ValueError, match="whole numbers") as expected:
        fastseg.count_labels(true, pred, num_classes=5)
    with pytest.raises(ValueError, match="whole numbers") as found:
        fastseg.count_labels(cut(true, 4), cut(pred, 4), num_classes=5)
    assert str(found.value) == str(expected.value)


def test_scores_and_weights_that_are_wrong() -> None:
    scores = np.full((12, 2, 14), 0.5, np.float32)
    scores[7, 1, 9] = np.nan
    true = np.zeros((12, 14), np.uint8)
    for blocks in (cut(scores, (5, 1, 5)), scores):
        with pytest.raises(ValueError, match=r"found 1 value\(s\) that are not; the first is nan at index \(7, 1, 9\)"):
            fastseg.sum_scores(cut(true, 4), blocks, channel_axis=1)
    weight = WEIGHT.copy()
    weight[3, 4, 5] = -1
    with pytest.raises(
        ValueError, match=r"sample_weight: .* found 1 that are not; the first is -1.0 at index \(3, 4, 5\)"
    ):
        fastseg.count_labels(cut(TRUE, 4), PRED, sample_weight=weight)


def test_chunks_of_unknown_sizes_name_the_argument() -> None:
    flat = cut(TRUE.reshape(-1), 100)
    unknown = flat[flat > 2]
    with pytest.raises(ValueError, match=r"^y_pred: .* sizes of its chunks, found unknown ones along axis 0"):
        fastseg.count_labels(TRUE.reshape(-1), unknown)
    with pytest.raises(ValueError, match=r"^mask: .* sizes of its chunks, found unknown ones along axis 0"):
        fastseg.count_labels(TRUE.reshape(-1), flat, mask=xarray.DataArray(unknown))


def test_blocks_that_are_not_what_their_array_says() -> None:
    lying = cut(TRUE, 4).map_blocks(lambda block: block.astype(np.int64), dtype=np.uint8)
    with pytest.raises(TypeError, match=r"^y_true: expected a block of uint8 and shape .* found one of int64"):
        fastseg.count_labels(lying, PRED)


def test_too_many_labels_in_all_blocks_together() -> None:
    many = np.arange(6000)
    with pytest.raises(ValueError, match=r"^labels: expected at most 4096 distinct labels .* \(count_pairs; of files"):
        fastseg.count_labels(cut(many, 2000), many)


@pytest.mark.parametrize(
    "call",
    [
        lambda a: fastseg.one_hot(a, 5),
        lambda a: fastseg.argmax_labels(a),
        lambda a: fastseg.argmax_labels(xarray.DataArray(a)),
        lambda a: fastseg.label_components(xarray.DataArray(a)),
        lambda a: fastseg.hd95([a, a], [TRUE, TRUE], spacing=1),
        lambda a: fastseg.losses.cross_entropy_with_gradient(a[..., 0], a.astype("f4")),
        lambda a: fastseg.surface_distances(a, TRUE, spacing=1),
        lambda a: fastseg.hd95(TRUE, xarray.DataArray(a), spacing=1),
        lambda a: fastseg.evaluate(TRUE, a, metrics=["dice", "hd95"], spacing=1),
        lambda a: fastseg.count_boundaries(a > 0, a > 1),
        lambda a: fastseg.centerline_dice(a > 0, TRUE > 0),
        lambda a: fastseg.match_instances(a, TRUE),
    ],
)
def test_what_cannot_be_done_in_blocks_says_so(call: Any) -> None:
    with pytest.raises(
        TypeError, match=r"expected an array in memory, found a Dask array, of which this cannot be done"
    ):
        call(cut(TRUE, 6))


def test_an_evaluator_adds_batches_of_dask() -> None:
    of_blocks, of_arrays = fastseg.Evaluator(num_classes=5), fastseg.Evaluator(num_classes=5)
    of_blocks.update(cut(TRUE, 5), PRED)
    of_arrays.update(TRUE, PRED)
    assert of_blocks.counts == of_arrays.counts


def test_much_that_is_moved_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    planes, columns = cut(TRUE, (1, 14, 10)), cut(PRED, (12, 1, 1))
    monkeypatch.setattr(dask_grids, "MOST_BYTES", 100)  # all of it in one block is too much
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UserWarning, match=r"^y_\w+: chunks of .* each is brought to \d+\.\d tasks on average"):
            fastseg.count_labels(planes, columns)


def test_nothing_is_read_before_it_is_asked_for() -> None:
    read: list[Any] = []

    def noted(block: Any) -> Any:
        read.append(block.shape)
        return block

    true = cut(TRUE, (6, 7, 10)).map_blocks(noted, dtype=TRUE.dtype, meta=np.empty((0, 0, 0), np.uint8))
    later = fastseg.count_labels(true, PRED, compute=False)
    assert not read
    later.compute()
    assert read == [(6, 7, 10)] * 4  # each once


def test_there_is_one_task_for_a_box_and_it_makes_its_chunks_one_after_another(monkeypatch: pytest.MonkeyPatch) -> None:
    blocks: list[Any] = []
    alive: list[int] = []

    def made(block: Any) -> Any:
        block = block.copy()
        blocks.append(weakref.ref(block))
        alive.append(sum(each() is not None for each in blocks))
        return block

    true = cut(TRUE, (2, 14, 10)).map_blocks(made, dtype=TRUE.dtype, meta=np.empty((0, 0, 0), np.uint8))
    monkeypatch.setattr(dask_grids, "TASK_VOXELS", TRUE.size)
    later = fastseg.count_labels(true, cut(PRED, (2, 14, 10)), compute=False)
    assert len(later.dask) == 3 + 6  # what tasks have in common, the box, the result; and what from_array holds of PRED
    assert later.compute() == fastseg.count_labels(TRUE, PRED)
    assert alive == [1] * 6


def test_a_graph_of_a_million_blocks_has_less_than_a_hundred_thousand_tasks() -> None:
    true, pred = (da.zeros((100 * 256,) * 3, chunks=256, dtype=np.uint8, name=name) for name in ("true", "pred"))
    assert 10_000 < len(fastseg.count_labels(true, pred, num_classes=2, compute=False).dask) < 100_000


def test_a_map_beside_itself_is_read_once() -> None:
    read: list[int] = []

    def noted(block: Any) -> Any:
        read.append(1)
        return block

    true = cut(TRUE, (6, 14, 10)).map_blocks(noted, dtype=TRUE.dtype, meta=np.empty((0, 0, 0), np.uint8))
    fastseg.count_labels(true, true)
    assert len(read) == 2


@pytest.mark.parametrize("options", [{"zarr_format": 2}, {"zarr_format": 3}, {"zarr_format": 3, "shards": (8, 14, 10)}])
def test_stores_of_zarr_also_where_chunks_are_missing(tmp_path: Path, options: dict[str, Any]) -> None:
    true, pred = TRUE.copy(), PRED.copy()
    true[:4], pred[4:8] = 0, 0  # what is only the fill value is not written
    blocks = []
    for name, array in (("true", true), ("pred", pred)):
        store = zarr.create_array(
            tmp_path / name,
            shape=array.shape,
            chunks=(4, 14, 10),
            dtype="u1",
            config={"write_empty_chunks": False},
            **options,
        )
        store[:] = array
        blocks.append(da.from_zarr(str(tmp_path / name)))
    later = fastseg.count_labels(*blocks, compute=False)
    assert later.compute() == fastseg.count_labels(true, pred)
    assert fastseg.count_labels(blocks[0], blocks[1].rechunk(5)) == fastseg.count_labels(true, pred)
