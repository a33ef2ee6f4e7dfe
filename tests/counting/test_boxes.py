"""Volumes counted box by box: every voxel once, whatever the shapes, the chunks, the orders and the threads."""

from __future__ import annotations

import itertools
import threading
import time
from math import prod
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st
from support.array_volumes import ArrayVolume

import fastseg
from fastseg.arrays.classes import label_classes
from fastseg.counting import boxes
from fastseg.counting.boxes import Grid, block_grid, count_boxes, read_boxes, stream_grid
from fastseg.counting.labels import LabelTotals
from fastseg.volumes import VolumeError

SHAPES = st.lists(st.integers(1, 12), min_size=1, max_size=4).map(tuple)
ORDERS = st.sampled_from(["F", "C"])


def labels_of(parts: Any, voxels: int) -> Any:
    totals = LabelTotals(1, label_classes(None, None, None), "raise", weighted=False)
    for part in parts:
        totals.add(0, part)
    return totals.finish(voxels)


def times_covered(grid: Grid) -> np.ndarray:
    seen = np.zeros(grid.shape, int)
    for number in range(grid.count):
        start, stop = grid.box(number)
        assert all(a < b for a, b in zip(start, stop, strict=True))
        seen[tuple(map(slice, start, stop))] += 1
    return seen


@given(shape=SHAPES, box=st.integers(1, 500), orders=st.tuples(ORDERS, ORDERS), data=st.data())
def test_a_grid_covers_every_voxel_once(shape: tuple[int, ...], box: int, orders: Any, data: st.DataObject) -> None:
    array = np.zeros(shape, data.draw(st.sampled_from(["u1", "i4"])))
    chunks = [data.draw(st.none() | st.tuples(*(st.integers(1, 13) for _ in shape))) for _ in orders]
    volumes = [ArrayVolume(array, o, blocks=c or (1,) * len(shape)) for o, c in zip(orders, chunks, strict=True)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(boxes, "BOX_BYTES", box)
        voxels = max(1, box // array.itemsize)
        grid = block_grid(volumes)
        assert (times_covered(grid) == 1).all()
        largest = max((prod(map(min, shape, c)) for c in chunks if c), default=1)
        assert prod(grid.lengths) <= max(voxels, largest)
        # Boxes begin where the largest chunks begin, so that those are decoded once.
        real = [c for c in chunks if c and prod(c) > 1]
        if real:
            each = max(real, key=prod)
            assert all(a % c == 0 or a >= n for a, c, n in zip(grid.lengths, each, shape, strict=True))
        same = [ArrayVolume(array, orders[0]) for _ in range(2)]
        grid = stream_grid(same)
        assert (times_covered(grid) == 1).all()
        assert prod(grid.lengths) <= voxels
        # ... and each box begins where the one before it ends.
        number = np.arange(prod(shape)).reshape(shape, order=orders[0])
        follow = [number[tuple(map(slice, *grid.box(i)))].ravel(order=orders[0]) for i in range(grid.count)]
        assert np.array_equal(np.concatenate(follow), np.arange(prod(shape)))


@given(shape=SHAPES, box=st.integers(1, 300), orders=st.tuples(ORDERS, ORDERS), streams=st.booleans())
def test_boxes_are_read_side_by_side(shape: tuple[int, ...], box: int, orders: Any, streams: bool) -> None:
    """Streams are read in boxes as well, cut within a slice where a slice is large."""
    arrays = [np.arange(prod(shape), dtype=dtype).reshape(shape) for dtype in ("<u2", ">i4")]
    one_by_one = (1,) * len(shape)
    volumes = [
        ArrayVolume(a, o, streams=streams, blocks=None if streams and orders[0] == orders[1] else one_by_one)
        for a, o in zip(arrays, orders, strict=True)
    ]
    found = [np.full(shape, -1), np.full(shape, -1)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(boxes, "BOX_BYTES", box)
        for start, parts in read_boxes(volumes):
            for target, part in zip(found, parts, strict=True):
                assert part.nbytes <= max(box, part.itemsize)
                target[tuple(slice(a, a + n) for a, n in zip(start, part.shape, strict=True))] = part
    for target, array in zip(found, arrays, strict=True):
        assert np.array_equal(target, array)
    assert all(volume.finished == 1 for volume in volumes)


def test_a_stream_that_is_short_is_refused() -> None:
    volumes = [ArrayVolume(np.zeros((3, 4), "u1"), name=name) for name in ("one", "other")]
    volumes[1].left = volumes[1].left[:-1]
    with pytest.raises(VolumeError, match="other: truncated"):
        list(read_boxes(volumes))


RNG = np.random.default_rng(3)
T = RNG.integers(0, 4, (9, 14, 11))
P = np.where(RNG.random(T.shape) < 0.3, RNG.integers(0, 4, T.shape), T)
INSIDE = RNG.random(T.shape) < 0.6
EXPECTED, WITHIN = fastseg.count_labels(T, P), fastseg.count_labels(T, P, mask=INSIDE)
DTYPES = ["u1", "i1", "?", "<i2", ">u2", "<i4", ">i4", "<u8", "<i8", "<f2", "<f4", ">f4", "<f8"]


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("box", [64, 1000, 4 << 20])
@pytest.mark.parametrize("orders", ["CC", "FF", "CF", "FC"])
def test_counts_of_boxes_are_those_of_arrays(
    orders: str, box: int, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boxes, "BOX_BYTES", box)
    chunkings: list[Any] = [(1, 1, 1), (4, 5, 3), (9, 1, 11), (20, 20, 20)]
    for number, (one, other) in enumerate(zip(DTYPES, [*DTYPES[3:], *DTYPES[:3]], strict=True)):
        arrays = [array.astype(d) for array, d in ((T, one), (P, other))]
        volumes = [
            ArrayVolume(np.asarray(a, order=o), o, blocks=chunkings[(number >> 2 * i) % 4])  # type: ignore[call-overload]
            for i, (a, o) in enumerate(zip(arrays, orders, strict=True))
        ]
        counts = labels_of(count_boxes(volumes, threads=threads), T.size)
        assert counts == (
            EXPECTED if "?" not in (one, other) else fastseg.count_labels(*(a.astype(int) for a in arrays))
        )
        assert all(volume.finished == 1 for volume in volumes)


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("mask", ["?", "u1", "i1", "<i2", ">i2", "<f4", "<f8", "<f2", "<i8"])
def test_only_what_is_inside_counts(mask: str, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boxes, "BOX_BYTES", 700)
    inside = np.where(INSIDE, 0.5 if "f" in mask else -3 if "i" in mask else 1, 0).astype(mask)
    for orders in itertools.product("FC", repeat=3):
        for blocks in ((1, 1, 1), (4, 5, 3)):
            volumes = [
                ArrayVolume(np.asarray(a, order=o), o, blocks=blocks)  # type: ignore[call-overload]
                for a, o in zip((T.astype("u1"), P.astype(">i2"), inside), orders, strict=True)
            ]
            assert labels_of(count_boxes(volumes, threads=threads), T.size) == WITHIN


@given(shape=SHAPES, box=st.integers(1, 4000), orders=st.tuples(ORDERS, ORDERS), data=st.data())
def test_any_shape_and_chunks(shape: tuple[int, ...], box: int, orders: Any, data: st.DataObject) -> None:
    rng = np.random.default_rng(prod(shape))
    arrays = [rng.integers(0, 3, shape, "u1") for _ in orders]
    chunks = [data.draw(st.tuples(*(st.integers(1, 13) for _ in shape))) for _ in orders]
    volumes = [ArrayVolume(a, o, blocks=c) for a, o, c in zip(arrays, orders, chunks, strict=True)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(boxes, "BOX_BYTES", box)
        counts = labels_of(count_boxes(volumes, threads=data.draw(st.integers(1, 3))), prod(shape))
    assert counts == fastseg.count_labels(*arrays)


class Watched(ArrayVolume):
    """Counts how many threads read it at once, and how much."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.lock, self.within, self.most, self.largest = threading.Lock(), 0, 0, 0
        self.fails_after = 1 << 30

    def read_block(self, start: Any, stop: Any) -> Any:
        with self.lock:
            self.within += 1
            self.fails_after -= 1
            self.most = max(self.most, self.within)
        time.sleep(0.001)
        with self.lock:
            self.within -= 1
        if self.fails_after < 0:
            raise VolumeError(f"{self.path}: truncated")
        box = super().read_block(start, stop)
        self.largest = max(self.largest, box.nbytes)
        return box


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boxes, "BOX_BYTES", 64)


@pytest.mark.usefixtures("small")
def test_formats_of_one_lock_are_read_by_one_thread() -> None:
    serial, other = (Watched(a.astype("u1"), blocks=(1, 1, 1)) for a in (T, P))
    serial.parallel = False
    seen: list[int] = []
    parts = count_boxes([serial, other], threads=4, progress=seen.append)
    assert labels_of(parts, T.size) == EXPECTED
    assert serial.most == 1
    assert seen == sorted(seen)
    assert seen[-1] == T.size
    assert max(serial.largest, other.largest) <= 64


@pytest.mark.usefixtures("small")
def test_a_chunk_that_is_larger_than_a_box_is_read_whole() -> None:
    chunked, other = (Watched(a.astype("u1"), blocks=b) for a, b in ((T, (4, 5, 6)), (P, (1, 1, 1))))
    assert labels_of(count_boxes([chunked, other], threads=1), T.size) == EXPECTED
    assert chunked.largest == other.largest == 4 * 5 * 6


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("threads", [1, 2, 4])
def test_errors_come_out_and_nothing_goes_on(threads: int) -> None:
    volumes = [Watched(a.astype("u1"), blocks=(1, 1, 1), name="it") for a in (T, P)]
    volumes[1].fails_after = 5
    with pytest.raises(VolumeError, match="it: truncated"):
        count_boxes(volumes, threads=threads)
    assert not volumes[1].within
    assert -threads <= volumes[1].fails_after < 0
    for error in (KeyboardInterrupt, RuntimeError("cancelled")):
        volumes = [Watched(a.astype("u1"), blocks=(1, 1, 1)) for a in (T, P)]
        calls = 0

        def cancelled(_: int, error: Any = error) -> None:
            nonlocal calls
            calls += 1
            if calls == 3:
                raise error

        with pytest.raises(type(error) if isinstance(error, Exception) else error):
            count_boxes(volumes, threads=threads, progress=cancelled)
        assert calls < 3 + threads
        assert not volumes[0].within
        assert not volumes[1].within


def test_what_has_no_voxels_has_no_boxes() -> None:
    for shape in ((0,), (3, 0, 2), (0, 0)):
        for blocks in ((1,) * len(shape), (2,) * len(shape)):
            volumes = [ArrayVolume(np.zeros(shape, "u1"), blocks=blocks) for _ in range(2)]
            assert block_grid(volumes).count == 0
            assert list(read_boxes(volumes)) == []
            volumes[0].order = "F"
            assert block_grid(volumes).count == 0
            assert labels_of(count_boxes(volumes, threads=2), 0).matrix.sum() == 0
