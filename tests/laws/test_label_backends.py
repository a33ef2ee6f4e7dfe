"""Every backend × dtype × memory order × option gives the counts of the oracle, with ``==``."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st
from support.label_oracle import count_pairs, matrix_of
from support.layouts import arrange

import fastseg
from fastseg.kernels import BACKENDS, numpy as reference

DTYPES = ("?", "u1", "i1", "u2", "i2", ">i2", "u4", "i4", ">u4", "i8", "u8", ">i8", "f2", "f4", ">f4", "f8", ">f8")
ORDERS = ("C", "F", "transposed", "sliced", "reversed", "reversed inside", "unaligned", "broadcast", "read-only")


# Each pair of storage types is a compilation of some seconds: all types with themselves, and some with others.
PAIRS = [(dtype, dtype) for dtype in DTYPES] + [("u1", "i8"), ("f4", "u1"), ("?", ">f8"), ("i2", "i4"), ("f2", "u8")]
PAIRS_WITH_OPTIONS = [("u1", "u1"), ("?", "i1"), ("i2", ">i2"), ("f4", "i8")]


@st.composite
def label_maps(draw: Any, pairs: Any = PAIRS) -> tuple[Any, Any, list[int]]:
    """Draw a pair of maps of the same shape, perhaps of unlike types and orders, and the labels they may hold."""
    shape = tuple(draw(st.lists(st.integers(0, 9), max_size=3)))
    shape = draw(st.sampled_from([shape, (draw(st.integers(0, 700)),), (3, 300), (2, 9, 33)]))
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    pool = draw(
        st.sampled_from([(0, 1), (0, 1, 2, 3), tuple(range(14)), tuple(range(40)), (0, 1, 5, 255), (-1, 0, 7, 100)])
    )
    maps = []
    for dtype in draw(st.sampled_from(pairs)):
        values = np.array(pool)
        if dtype == "?":
            values = values[(values == 0) | (values == 1)]
            values = values if values.size else np.array([0])
        elif dtype[-2] == "u":
            values = values[values >= 0]
        elif dtype == "i1":
            values = values[values < 128]
        array = rng.choice(values, shape).astype(dtype)
        runs = draw(st.integers(1, 90))
        array = np.resize(np.repeat(array.reshape(-1), runs), shape).astype(dtype) if array.size else array
        maps.append(arrange(array, draw(st.sampled_from(ORDERS))))
    return maps[0], maps[1], sorted(pool)


@pytest.mark.parametrize("options", [False, True])
@pytest.mark.parametrize("backend", BACKENDS)
@given(data=st.data())
def test_counts_equal_the_oracle(backend: str, options: bool, data: Any) -> None:
    y_true, y_pred, labels = data.draw(label_maps(PAIRS_WITH_OPTIONS if options else PAIRS))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    mask = data.draw(st.sampled_from([None, "?", "u1", "i4"] if options else [None]))
    mask = (
        None
        if mask is None
        else arrange(np.asarray(rng.random(y_true.shape) < 0.6).astype(mask), data.draw(st.sampled_from(ORDERS)))
    )
    weight = data.draw(st.sampled_from([None, "f4", "f8", "i2", "f2", ">f4"] if options else [None]))
    weight = None if weight is None else arrange(np.asarray(rng.integers(0, 9, y_true.shape)).astype(weight), "C")
    ignored = tuple(data.draw(st.sampled_from([(), (0,), (255, -1)])))
    declared = data.draw(st.sampled_from([None, labels, labels[::-1]]))
    before = y_true.copy(), y_pred.copy()

    counts = fastseg.count_labels(
        y_true, y_pred, labels=declared, ignore_index=ignored, mask=mask, sample_weight=weight, backend=backend
    )
    pairs, sums, voxels = count_pairs(y_true, y_pred, ignored=ignored, mask=mask, weight=weight)
    expected = declared or sorted({label for pair in pairs for label in pair})
    assert counts.labels.tolist() == expected
    assert counts.closed == (declared is not None)
    # Whole weights sum exactly, in whatever order.
    assert counts.matrix[0].tolist() == matrix_of(pairs if weight is None else sums, expected)
    assert counts.voxels[0].tolist() == [*voxels, 0]
    assert np.array_equal(y_true, before[0])
    assert np.array_equal(y_pred, before[1])


@pytest.mark.parametrize("backend", BACKENDS)
@given(maps=label_maps(), data=st.data())
def test_samples_and_unknown_predictions(backend: str, maps: Any, data: Any) -> None:
    y_true, y_pred, labels = maps
    if not y_true.ndim:
        return
    axis = data.draw(st.integers(-y_true.ndim, y_true.ndim - 1))
    kept = labels[: data.draw(st.integers(1, len(labels)))]
    others = tuple(label for label in labels if label not in kept)
    counts = fastseg.count_labels(
        y_true, y_pred, labels=kept, ignore_index=others, unknown="count", sample_axis=axis, backend=backend
    )
    assert counts.num_cases == y_true.shape[axis]
    for n in range(counts.num_cases):
        pairs, _, voxels = count_pairs(np.take(y_true, n, axis), np.take(y_pred, n, axis), ignored=others)
        assert counts.matrix[n].tolist() == matrix_of(pairs, kept)
        missed = [sum(times for (t, p), times in pairs.items() if t == true and p not in kept) for true in kept]
        assert counts.unknown[n].tolist() == missed
        assert counts.voxels[n].tolist() == [voxels[0] - sum(missed), voxels[1], 0, sum(missed)]


@pytest.mark.parametrize("backend", BACKENDS)
@given(data=st.data())
def test_masks_equal_boolean_arithmetic(backend: str, data: Any) -> None:
    channels = data.draw(st.sampled_from([1, 2, 3, 4, 5, 8, 14, 70]))
    spatial = data.draw(st.sampled_from([(0,), (1,), (7, 5), (3, 4, 13), (300,)]))
    axis = data.draw(st.integers(0, len(spatial)))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    density = data.draw(st.sampled_from([0.02, 0.5, 1.0]))
    t, p = (rng.random((*spatial[:axis], channels, *spatial[axis:])) < density for _ in range(2))
    mask = data.draw(st.sampled_from([None, rng.random(spatial) < 0.5]))
    weight = data.draw(st.sampled_from([None, rng.integers(0, 9, spatial).astype("f4")]))
    dtypes = st.sampled_from(["?", "u1", "i1", "i4", "f2", "f4", "f8"])
    orders = st.sampled_from(["C", "F", "reversed inside", "sliced", "read-only"])
    given_true, given_pred = (arrange(a.astype(data.draw(dtypes)), data.draw(orders)) for a in (t, p))
    counts = fastseg.count_masks(
        given_true, given_pred, channel_axis=axis, mask=mask, sample_weight=weight, backend=backend
    )
    t, p = (np.moveaxis(a, axis, -1).reshape(-1, channels) for a in (t, p))
    w = np.ones(len(t)) if weight is None else weight.reshape(-1).astype(float)
    w = w if mask is None else w * mask.reshape(-1)
    for name, both in (("tp", t & p), ("fp", ~t & p), ("fn", t & ~p), ("tn", ~t & ~p)):
        assert getattr(counts, name)[0].tolist() == (both * w[:, None]).sum(0).tolist(), name
    outside = 0 if mask is None else int((~mask).sum())
    assert counts.voxels[0].tolist() == [len(t) - outside, 0, outside, 0]


@pytest.mark.parametrize("order", ["C", "F", "transposed", "reversed", "reversed inside", "sliced", "unaligned"])
@pytest.mark.parametrize("dtype", ["u1", "i2", "i4", "i8", "f4", "f8"])
def test_large_maps_in_every_order(dtype: str, order: str) -> None:
    rng = np.random.default_rng(0)
    t, p = (np.repeat(rng.integers(0, 30, (20, 50, 61)), 47, axis=2) for _ in range(2))  # 2.9 million voxels
    p[5:8] = rng.integers(0, 30, p[5:8].shape)  # a noisy part
    expected = np.bincount((t * 30 + p).reshape(-1), minlength=900).reshape(30, 30)
    for first, second in (("C", order), (order, "C"), (order, order)):
        counts = fastseg.count_labels(arrange(t.astype(dtype), first), arrange(p.astype("u1"), second), num_classes=30)
        assert np.array_equal(counts.matrix[0], expected)


def test_more_pairs_than_the_tables_hold() -> None:
    rng = np.random.default_rng(0)
    t, p = (rng.integers(0, 4096, 200_000).astype(np.int32) for _ in range(2))
    expected = np.bincount(t.astype(np.int64) * 4096 + p, minlength=4096**2).reshape(4096, 4096)
    assert np.array_equal(fastseg.count_labels(t, p, num_classes=4096).matrix[0], expected)
    weight = rng.integers(0, 5, t.size).astype(np.float32)
    weighted = fastseg.count_labels(t[:60_000], p[:60_000], num_classes=4096, sample_weight=weight[:60_000])
    assert weighted.matrix.sum() == weight[:60_000].sum()
    assert weighted.voxels[0].tolist() == [60_000, 0, 0, 0]


def test_a_broken_backend_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sabotage: a backend that is wrong by one voxel in a thousand must fail what the others pass."""

    class Broken(reference.PairCounter):
        def take(self, declared: Any = None) -> Any:
            pairs = super().take(declared)
            if pairs.times.size > 1:
                pairs.times[0] += 1
                pairs.times[1] -= 1
            return pairs

    monkeypatch.setattr(reference, "PairCounter", Broken)
    with pytest.raises((AssertionError, ExceptionGroup)):
        test_counts_equal_the_oracle(backend="numpy", options=False)
