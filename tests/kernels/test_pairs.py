"""Counters of pairs of many labels: tables that grow and are emptied, runs that are sorted and merged."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from fastseg.kernels import counter_of
from fastseg.kernels.protocols.labels import Span
from fastseg.kernels.protocols.pairs import Room, Run, RunStack, TooManyPairs

RNG = np.random.default_rng(3)
NUMBA, NUMPY = counter_of("numba"), counter_of("numpy")


def run_of(size: int, low: int, high: int, dtype: Any, kind: Any) -> Run:
    """Return a random run whose labels are around the ends of their type, too."""
    true, pred = (RNG.integers(low, high, size, dtype=dtype, endpoint=True) for _ in range(2))
    return NUMPY.merge_runs(
        Run(true, pred, RNG.integers(1, 9, size).astype(kind)), Run(true[:0], pred[:0], np.zeros(0, kind))
    )


@pytest.mark.parametrize("kind", [np.int64, np.float64])
@pytest.mark.parametrize(
    ("low", "high", "dtype"),
    [(0, 6, np.uint64), (-3, 3, np.int64), (2**64 - 5, 2**64 - 1, np.uint64), (-(2**63), 2**63 - 1, np.int64)],
)
@pytest.mark.parametrize("sizes", [(0, 5), (40, 30), (200, 1)])
def test_runs_are_merged_as_numpy_does(sizes: tuple[int, int], low: int, high: int, dtype: Any, kind: Any) -> None:
    a, b = (run_of(size, low, high, dtype, kind) for size in sizes)
    for found, expected in zip(NUMBA.merge_runs(a, b), NUMPY.merge_runs(a, b), strict=True):
        assert found.dtype == expected.dtype
        assert np.array_equal(found, expected)


def pairs_of(module: Any, true: Any, pred: Any, mask: Any, rows: int, length: int, strides: Any) -> dict[Any, int]:
    with module.sparse_counter(true.dtype, pred.dtype, False, Room(1 << 30)) as counter:
        for _ in range(2):  # the second time a used table is found empty
            assert counter.update(Span((true, pred, mask, None), rows, length, strides))
            found = counter.take()
        keys = list(zip(found.true.tolist(), found.pred.tolist(), strict=True))
        assert keys == sorted(set(keys))
        return {**dict(zip(keys, found.times.tolist(), strict=True)), "outside": found.outside}


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(
    ("rows", "length"), [(1, 3000), (7, 129), (40, 64), (5, 65), (3, 513), (2, 577), (9, 13), (1, 1)]
)
@pytest.mark.parametrize("dtype", ["i4", "u8", "i8"])
def test_spans_of_every_shape(dtype: str, rows: int, length: int, masked: bool) -> None:
    values = (
        np.array([-(2**31), -1, 0, 1, 255, 2**31 - 1])
        if dtype[0] == "i"
        else np.array([0, 1, 2**63, 2**64 - 1], np.uint64)
    )
    size = rows * (length + 3)
    runs = np.repeat(RNG.choice(values, size), RNG.choice([1, 5, 200], size))[:size]
    true, pred = runs.astype(dtype), np.roll(runs, 2).astype(dtype)
    mask = np.repeat(RNG.random(size) < 0.7, RNG.choice([1, 90], size))[:size] if masked else None
    spans = [slice(r * (length + 3), r * (length + 3) + length) for r in range(rows)]
    kept = [np.concatenate([a[s] for s in spans]) for a in (true, pred, np.ones(size, bool) if mask is None else mask)]
    expected: dict[Any, int] = dict(Counter(zip(kept[0][kept[2]].tolist(), kept[1][kept[2]].tolist(), strict=True)))
    strides = (length + 3,) * 4
    found = pairs_of(NUMBA, true, pred, mask, rows, length, strides)
    assert found == {**expected, "outside": int((~kept[2]).sum())}
    assert found == pairs_of(NUMPY, true, pred, mask, rows, length, strides)


@pytest.mark.parametrize("labels", [10**6, 2**62])
def test_tables_that_grow_and_are_emptied(labels: int) -> None:
    size = 700_000  # tables are emptied at nearly 32,768 pairs, and sorted at 262,144
    true, pred = RNG.integers(0, labels, size).astype(np.uint64), RNG.integers(0, 3, size).astype(np.uint32)
    true[size // 2 :] = true[: size // 2]
    with NUMBA.sparse_counter(true.dtype, pred.dtype, False, Room(1 << 30)) as counter:
        counter.update(Span((true, pred, None, None), 1, size, (0,) * 4))
        found = counter.take()
        assert counter.take().times.size == 0
    codes, times = np.unique(np.stack([true, pred.astype(np.uint64)]), axis=1, return_counts=True)
    assert np.array_equal([found.true, found.pred], codes)
    assert np.array_equal(found.times, times)


def test_runs_that_go_on_where_the_table_is_full() -> None:
    lengths = RNG.choice([1, 3, 900], 6000)
    true, pred = (np.repeat(labels, lengths) for labels in (np.arange(6000, dtype=np.uint64), np.arange(6000)))
    with NUMBA.sparse_counter(true.dtype, pred.dtype, False, Room(1 << 30)) as counter:
        for _ in range(2):
            counter.update(Span((true, pred, None, None), 1, true.size, (0,) * 4))
        found = counter.take()
    assert found.true.tolist() == found.pred.tolist() == [*range(6000)]
    assert np.array_equal(found.times, 2 * lengths)


def test_what_is_kept_has_room_altogether() -> None:
    room = Room(10)
    first, second = (RunStack(NUMPY.merge_runs, room) for _ in range(2))
    labels = np.arange(6)
    first.push(Run(labels, labels, labels))
    first.push(Run(labels, labels, labels))  # the same pairs
    with pytest.raises(TooManyPairs):
        second.push(Run(labels, labels, labels))
    assert first.take().times.tolist() == (2 * labels).tolist()
    second.push(Run(labels[:2], labels[:2], labels[:2]))
