"""Counts and sums of more voxels than 32 bits can number, against what they are by construction."""

from __future__ import annotations

import math
import mmap
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastseg

pytestmark = pytest.mark.slow

SIZES = [2**31 - 1, 2**31, 2**31 + 1, 2**32 + 1, 2**33]
#: Where voxels are marked: around the ends of signed and unsigned 32-bit numbers.
MARKS = [0, 2**31 - 2, 2**31 - 1, 2**31, 2**31 + 5, 2**32 - 1, 2**32, 2**32 + 64, 2**33 - 1]


def zeros(size: int) -> Any:
    """Return bytes that are 0 and take no memory until they are written to: all pages are one until then."""
    no_reserve = getattr(mmap, "MAP_NORESERVE", 0x4000 if sys.platform == "linux" else 0)
    try:
        room = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | no_reserve)
    except (OSError, AttributeError) as error:
        pytest.skip(f"no {size} bytes of addresses: {error}")
    return np.frombuffer(room, np.uint8)


def marked(size: int, values: int) -> tuple[Any, list[int]]:
    """Return zeros with 1 to `values`, again and again, at MARKS and at the last voxel; and where these are."""
    array, places = zeros(size), sorted({*(m for m in MARKS if m < size), size - 1})
    for k, place in enumerate(places):
        array[place] = 1 + k % values
    return array, places


@pytest.mark.parametrize("size", SIZES)
def test_labels(size: int) -> None:
    true, places = marked(size, 3)
    pred = zeros(size)
    pred[places[1::2]] = 2
    expected = np.zeros((4, 4), np.int64)
    np.add.at(expected, (true[places], pred[places]), 1)
    expected[0, 0] = size - len(places)
    counts = fastseg.count_labels(true, pred, num_classes=4)
    assert np.array_equal(counts.matrix[0], expected)
    assert counts.voxels.tolist() == [[size, 0, 0, 0]]
    dice = fastseg.metrics.dice(counts)[0, 0]
    assert dice == 2 * (size - len(places)) / (2 * (size - len(places)) + len(places[::2]))


def test_labels_beside_a_mask_and_in_samples() -> None:
    size = 2**32 + 2
    true, places = marked(size, 1)
    mask = zeros(size)
    mask[places], mask[7] = 1, 1
    counts = fastseg.count_labels(true, true, num_classes=2, mask=mask)
    assert counts.matrix.tolist() == [[[1, 0], [0, len(places)]]]
    assert counts.voxels.tolist() == [[1 + len(places), 0, size - 1 - len(places), 0]]
    halves = fastseg.count_labels(true.reshape(2, -1), mask.reshape(2, -1), num_classes=2, sample_axis=0)
    first = sum(place < size // 2 for place in places)
    assert halves.matrix.tolist() == [
        [[size // 2 - first - 1, 1], [0, first]],
        [[size // 2 - len(places) + first, 0], [0, len(places) - first]],
    ]


def test_noise_again_and_again() -> None:
    rng = np.random.default_rng(3)
    times, row = 2**11 + 3, 2**20
    true, pred = (rng.integers(0, 40, row).astype(np.uint8) for _ in range(2))
    one = fastseg.count_labels(true, pred, num_classes=40)
    many = fastseg.count_labels(*(np.broadcast_to(a, (times, row)) for a in (true, pred)), num_classes=40)
    assert np.array_equal(many.matrix, times * one.matrix)
    weight = np.broadcast_to(rng.integers(0, 5, 2**16).astype(np.float32), (2**15 + 1, 2**16))
    labels = np.broadcast_to(true[: 2**16], weight.shape)
    sums = fastseg.count_labels(labels, labels, num_classes=40, sample_weight=weight).matrix[0]
    assert np.array_equal(np.diag(sums), np.bincount(true[: 2**16], weight[0], 40) * weight.shape[0])


@pytest.mark.parametrize("size", SIZES)
def test_masks(size: int) -> None:
    true, places = marked(size, 1)
    pred = zeros(size)
    pred[places[::2]] = pred[3] = 1
    counts = fastseg.count_masks(true, pred, channel_axis=None)
    both = len(places[::2])
    assert counts.tp.tolist() == [[both]]
    assert counts.fp.tolist() == [[1]]
    assert counts.fn.tolist() == [[len(places) - both]]
    assert counts.tn.tolist() == [[size - len(places) - 1]]


def test_masks_whose_channels_lie_side_by_side() -> None:
    size = 2**32 + 2
    true, places = marked(size, 1)
    true[1] = 1
    channels = true.reshape(-1, 2)
    counts = fastseg.count_masks(channels, np.broadcast_to(np.uint8(1), channels.shape))
    hits = [sum(place % 2 == c for place in {*places, 1}) for c in (0, 1)]
    assert counts.tp.tolist() == [hits]
    assert counts.fp.tolist() == [[size // 2 - hit for hit in hits]]
    assert counts.tn.tolist() == [[0, 0]]
    alone = fastseg.count_masks(channels, zeros(size).reshape(-1, 2))
    assert alone.fn.tolist() == [hits]
    assert alone.tn.tolist() == [[size // 2 - hit for hit in hits]]


def test_scores_of_one_byte_where_they_lie() -> None:
    size = 2**31 + 1
    true, places = marked(size, 1)
    scores = zeros(2 * size).view(bool).reshape(2, size)
    scores[1, places[:-1]] = scores[0, 2] = True
    sums = fastseg.sum_scores(true, scores, channel_axis=0, quantities=["dice"])
    assert sums.true.tolist() == [[size - len(places), len(places)]]
    assert sums.true_pred is not None
    assert sums.pred is not None
    assert sums.true_pred.tolist() == [[1, len(places) - 1]]
    assert sums.pred.tolist() == [[1, len(places) - 1]]
    assert sums.voxels.tolist() == [[size, 0, 0, 0]]


def test_logits_again_and_again() -> None:
    row = 2**16
    times = 2**31 // row + 1
    z = np.random.default_rng(4).normal(0, 2, (2, row)).astype(np.float32)
    labels = np.arange(row, dtype=np.uint8) % 2
    one = fastseg.sum_scores(labels, z, channel_axis=0, activation="softmax")
    many = fastseg.sum_scores(
        np.broadcast_to(labels, (times, row)),
        np.broadcast_to(z[:, None], (2, times, row)),
        channel_axis=0,
        activation="softmax",
    )
    assert many.argmax_counts is not None
    assert one.argmax_counts is not None
    assert np.array_equal(many.argmax_counts.matrix, times * one.argmax_counts.matrix)
    assert many.total.tolist() == [times * row]
    for name in ("true_pred", "pred", "pred_squared", "cross_entropy"):
        assert getattr(many, name) == pytest.approx(times * getattr(one, name), rel=1e-12), name
    below = np.abs(z[0].astype(np.float64) - z[1])
    loss = np.log1p(np.exp(-below)) + np.where(z.argmax(0) == labels, 0, below)
    assert fastseg.cross_entropy(many) == pytest.approx(math.fsum(loss) / row, rel=1e-6)


def test_wrong_voxels_are_found_where_they_are() -> None:
    place = 2**31 + 5
    true, _ = marked(place + 1, 1)
    pred = zeros(true.size)
    pred[place] = 7
    with pytest.raises(
        ValueError, match=rf"y_pred: .* found 1 voxel\(s\) outside; the first is 7 at index \({place},\)"
    ):
        fastseg.count_labels(true, pred, num_classes=2)
    with pytest.raises(ValueError, match=rf"y_pred: .* found 1 value\(s\) .*; the first is 7 at index \({place},\)"):
        fastseg.count_masks(true, pred, channel_axis=None)


def test_files(tmp_path: Path) -> None:
    place, paths = 2**31 + 5, []
    for name, label in (("true", 1), ("pred", 3)):
        paths.append(tmp_path / f"{name}.npy")
        array = np.lib.format.open_memmap(
            paths[-1], "w+", np.uint8, (1, 2, place // 2 + 1)
        )  # holes take no room on disk
        array.reshape(-1)[place] = label
        array.flush()
        del array
    counts = fastseg.count_files(*paths)
    assert counts.labels.tolist() == [0, 1, 3]
    assert counts.matrix.tolist() == [[[place, 0, 0], [0, 0, 1], [0, 0, 0]]]
    with pytest.raises(ValueError, match=rf"1 voxel\(s\) .*the first is 3 at index \(0, 1, {place - place // 2 - 1}\)"):
        fastseg.count_files(*paths, num_classes=2)
