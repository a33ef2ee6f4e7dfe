"""Pairs of labels of arrays: the same as one by one, whatever type, order and values they have."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from support.layouts import arrange

import fastseg
from fastseg import PairCounts, count_labels, count_pairs
from fastseg.arrays import label_spans

RNG = np.random.default_rng(20)
SHAPE = (5, 13, 70)
TRUE, PRED = (np.repeat(RNG.integers(0, 40, (5, 13, 14)), 5, axis=2) for _ in range(2))
PRED[:, :, ::9] += 1


def one_by_one(y_true: Any, y_pred: Any) -> dict[tuple[int, int], int]:
    return dict(Counter(zip(np.ravel(y_true).tolist(), np.ravel(y_pred).tolist(), strict=True)))


def as_dict(pairs: PairCounts) -> dict[tuple[int, int], int]:
    keys = list(zip(pairs.true.tolist(), pairs.pred.tolist(), strict=True))
    assert keys == sorted(set(keys))
    return dict(zip(keys, pairs.counts.tolist(), strict=True))


@pytest.mark.parametrize("backend", ["auto", "numpy"])
@pytest.mark.parametrize("dtype", ["u1", "i2", "u4", "i8", ">u8", "f4", "?"])
def test_types(dtype: str, backend: str) -> None:
    t, p = (each.astype(dtype) for each in (TRUE, PRED))
    assert as_dict(count_pairs(t, p, backend=backend)) == one_by_one(t, p)


EXTREMES = {
    "u8": np.array([0, 1, 2**63 - 1, 2**63, 2**63 + 1, 2**64 - 1], np.uint64),
    "i8": np.array([-(2**63), -1, 0, 1, 2**63 - 1], np.int64),
    "u4": np.array([0, 255, 256, 2**31, 2**32 - 1], np.uint32),
    "f8": np.array([-0.0, 0.0, 3.0, -(2.0**63), 2.0**62]),
}


@pytest.mark.parametrize("backend", ["auto", "numpy"])
@pytest.mark.parametrize(("true", "pred"), [("u8", "u8"), ("i8", "u8"), ("f8", "f8"), ("u4", "u4")])
def test_extreme_labels(true: str, pred: str, backend: str) -> None:
    t, p = (RNG.choice(EXTREMES[dtype], 3000) for dtype in (true, pred))
    found = count_pairs(t, p, backend=backend)
    assert as_dict(found) == one_by_one(t, p)
    assert (found.true.dtype, found.pred.dtype) == tuple(np.uint64 if d == "u8" else np.int64 for d in (true, pred))


def test_more_pairs_than_any_table_has_room_for() -> None:
    t = RNG.permutation(150_000)
    found = count_pairs(t, t[::-1] + 2**40)
    assert found.counts.size == t.size
    assert np.array_equal(found.true, np.arange(t.size))
    assert np.array_equal(found.pred, t[::-1][np.argsort(t)] + 2**40)
    assert found.voxels.tolist() == [[t.size, 0, 0, 0]]


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_samples_are_cases(axis: int) -> None:
    pairs = count_pairs(TRUE, PRED, sample_axis=axis, ignore_index=7)
    parts = [
        count_pairs(t, p, ignore_index=7)
        for t, p in zip(np.moveaxis(TRUE, axis, 0), np.moveaxis(PRED, axis, 0), strict=True)
    ]
    assert pairs == parts[0].concat(*parts[1:])
    assert pairs.pooled() == count_pairs(TRUE, PRED, ignore_index=7)


@pytest.mark.parametrize("order", ["F", "transposed", "sliced", "reversed inside", "unaligned", "read-only"])
def test_memory_orders(order: str) -> None:
    t, p = arrange(TRUE, order), PRED.astype(np.uint64)
    assert count_pairs(t, p) == count_pairs(np.ascontiguousarray(t), p)


@pytest.mark.parametrize("shape", [(40, 70, 33), (9, 64, 5), (33, 97, 1), (100, 65, 70)])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("masked", [False, True])
def test_large_volumes_are_counted_in_slabs(
    shape: tuple[int, ...], order: Any, masked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    spans = label_spans.Slabs.spans
    monkeypatch.setattr(label_spans.Slabs, "spans", lambda self, job: asked.append(job) or spans(self, job))
    monkeypatch.setattr(label_spans, "_LEAST_VOLUME", 1)
    monkeypatch.setattr(label_spans, "_SLAB_BYTES", 1 << 18)
    random = np.random.default_rng(3)
    sizes = shape[::-1] if order == "F" else shape
    t, p = (np.asarray(random.integers(0, 50, sizes), "u8", order=order) for _ in range(2))
    mask = np.asarray(random.random(sizes) < 0.7, order=order) if masked else None
    pairs = count_pairs(t, p, mask=mask)
    seen = Counter(zip(*(a[... if mask is None else mask].ravel().tolist() for a in (t, p)), strict=True))
    found = zip(pairs.true.tolist(), pairs.pred.tolist(), strict=True)
    assert dict(zip(found, pairs.counts.tolist(), strict=True)) == seen
    assert asked


def test_what_is_ignored_and_what_is_outside() -> None:
    t, mask = TRUE.astype(np.uint64), RNG.random(SHAPE) < 0.5
    t[0, 0, :4] = 2**64 - 1
    found = count_pairs(t, PRED, ignore_index=[2**64 - 1, -5, 3], mask=mask)
    kept = mask & (t != 3) & (t != 2**64 - 1)
    assert as_dict(found) == one_by_one(t[kept], PRED[kept])
    assert found.voxels.tolist() == [[kept.sum(), (mask & ~kept).sum(), (~mask).sum(), 0]]
    assert found.ignored == (-5, 3, 2**64 - 1)


def test_weights_are_summed() -> None:
    weight = RNG.random(SHAPE).astype(np.float32)
    found = count_pairs(TRUE, PRED, sample_weight=weight)
    expected = count_labels(TRUE, PRED, sample_weight=weight)
    assert found.to_labels().matrix == pytest.approx(expected.matrix, rel=1e-12)
    assert found.counts.dtype == np.float64
    threads = []
    for number in (1, 2, 5):
        fastseg.set_num_threads(number)
        threads.append(
            count_pairs(np.tile(TRUE, (40, 1, 1)), np.tile(PRED, (40, 1, 1)), sample_weight=np.tile(weight, (40, 1, 1)))
        )
    fastseg.set_num_threads(None)
    assert threads[0] == threads[1] == threads[2]


def test_parts_merge_to_the_whole() -> None:
    whole = count_pairs(TRUE, PRED)
    merged = PairCounts.zeros()
    for plane in range(len(TRUE)):
        merged = merged.merge(count_pairs(TRUE[plane], PRED[plane]))
    assert merged == whole


@pytest.mark.parametrize("shape", [(0,), (3, 0), ()])
def test_no_voxel_or_one(shape: tuple[int, ...]) -> None:
    pairs = count_pairs(np.zeros(shape, np.int64), np.ones(shape, np.int64))
    assert pairs.counts.tolist() == ([1] if shape == () else [])
    assert count_pairs(np.zeros((0, 3)), np.zeros((0, 3)), sample_axis=0).num_cases == 0


@pytest.mark.torch
def test_tensors() -> None:
    import torch

    t, p = torch.from_numpy(TRUE), torch.from_numpy(PRED.astype(np.int32))
    assert count_pairs(t, p) == count_pairs(TRUE, PRED)
    assert count_pairs(t.to(torch.bfloat16), p) == count_pairs(TRUE, PRED)


@pytest.mark.parametrize(
    "options", [{}, {"sample_axis": 1, "ignore_index": 3}, {"mask": True}, {"sample_weight": True}]
)
def test_arrays_of_dask(options: dict[str, Any]) -> None:
    import dask.array as da

    given = {name: RNG.random(SHAPE) < 0.5 if value is True else value for name, value in options.items()}
    t, p = da.from_array(TRUE.astype(np.uint64), chunks=(2, 5, 40)), da.from_array(PRED, chunks=(2, 5, 40))
    found, expected = count_pairs(t, p, **given), count_pairs(TRUE, PRED, **given)
    assert found == expected
    assert found.voxels.dtype == np.int64


@pytest.mark.parametrize(
    ("t", "p", "options", "says"),
    [
        (
            np.array([1.0, 2.5]),
            np.array([1, 2]),
            {},
            r"y_true: expected labels that are whole numbers .* 2.5 at index \(1,\)",
        ),
        (np.array([1.0, 2.0]), np.array([1, np.nan]), {}, r"y_pred: .*the first is nan at index \(1,\)"),
        (np.array([2**64 - 1], np.uint64), np.array([2.0**63]), {}, "y_pred: expected labels that are whole numbers"),
        ([1, 2], [[1, 2]], {}, "y_pred: expected the shape of y_true"),
        ([1, 2], [1, 2], {"sample_weight": [1, -1]}, "sample_weight: expected finite numbers that are not negative"),
        ([1, 2], [1, 2], {"sample_weight": [1e308, 1.7e308]}, None),
        ([1, 1], [2, 2], {"sample_weight": [1e308, 1.7e308]}, "sums are finite"),
        ([1, 2], [1, 2], {"ignore_index": 2**64}, "ignore_index: expected integers of 64 bits"),
        ([1, 2], [1, 2], {"backend": "fortran"}, "backend: expected"),
    ],
)
def test_what_is_refused(t: Any, p: Any, options: dict[str, Any], says: str | None) -> None:
    if says is None:
        assert count_pairs(t, p, **options).weighted
        return
    with pytest.raises(ValueError, match=says):
        count_pairs(t, p, **options)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: count_pairs(["a"], ["b"]), "y_true: expected"),
        (lambda: count_pairs([1], [1], ignore_index="1"), "ignore_index: expected integers"),
        (lambda: count_pairs([1], [1], ignore_index=[1.5]), "ignore_index: expected an integer"),
        (lambda: count_pairs([1], [1], num_classes=2), "unexpected keyword argument 'num_classes'"),
    ],
)
def test_what_is_of_another_type(call: Any, says: str) -> None:
    with pytest.raises(TypeError, match=says):
        call()


def test_too_many_labels_for_a_matrix_are_no_dead_end() -> None:
    labels = np.arange(5000)
    with pytest.raises(ValueError, match=r"count the pairs that occur, of any number of labels \(count_pairs"):
        count_labels(labels, labels)
    assert count_pairs(labels, labels).num_true.tolist() == [5000]


def test_more_pairs_than_there_is_memory_for_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastseg.counting.pairs.MOST_PAIRS", 50_000)
    each = np.arange(200_000).reshape(20, 100, 100)
    with pytest.raises(ValueError, match=r"at most 50,000 distinct pairs .* 200,000 voxels, which would take 0\.0 GiB"):
        count_pairs(each, each)
    assert count_pairs(each, each, mask=each < 50_000).counts.size == 50_000


def test_memory_that_there_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastseg.counting.pairs.available_memory", lambda: 72 * 20_000)
    each = np.arange(20_001)
    with pytest.raises(ValueError, match="at most 20,000 distinct pairs"):
        count_pairs(each, each)
