"""Counts are sent between processes as what is not zero of them, whole, and with the version of their format."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

import fastseg
from fastseg.counts import LabelCounts, labels as module
from fastseg.counts.packing import packed, unpacked


@given(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=12), st.sampled_from([1, 2]))
def test_arrays_come_back_as_they_were(values: list[int], rows: int) -> None:
    array = np.array(values * rows + [0] * 20 * (rows - 1), np.int64).reshape(rows, -1)
    back = unpacked(packed(array))
    assert back.dtype == array.dtype
    np.testing.assert_array_equal(back, array)
    floats = array.astype(np.float64) / 3
    np.testing.assert_array_equal(unpacked(packed(floats)), floats)


def maps(labels: int, seed: int = 0) -> Any:
    true = np.random.default_rng(seed).integers(0, labels, 5000)
    return true, np.where(np.arange(5000) % 9, true, 0)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"num_classes": 300, "ignore_index": 5},
        {"labels": list(range(250, -1, -1)), "unknown": "count", "ignore_index": list(range(251, 300))},
        {"sample_weight": np.linspace(0, 1, 5000)},
    ],
)
def test_counts_come_back_as_they_were_whether_or_not_their_matrix_was_made(options: dict[str, Any]) -> None:
    true, pred = maps(300)
    counts = fastseg.count_labels(true, pred, **options)
    before = pickle.loads(pickle.dumps(counts))
    assert counts.matrix.shape[1] >= 250
    assert before == counts
    assert pickle.loads(pickle.dumps(counts)) == counts
    assert copy.deepcopy(counts) == counts
    assert not before.matrix.flags.writeable


def test_what_is_sparse_is_small() -> None:
    counts = fastseg.count_labels(*maps(2000), num_classes=2000)
    assert len(pickle.dumps(counts)) < 40_000  # the matrix has 32 MB
    assert "matrix" not in vars(counts)  # and is not made for that


def test_a_pickle_of_another_version_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    data = pickle.dumps(LabelCounts.zeros(3))
    monkeypatch.setattr(module, "_PICKLE", 2)
    with pytest.raises(ValueError, match="^pickle of LabelCounts: expected version 2, found 1"):
        pickle.loads(data)


def test_pickles_that_called_the_constructor_are_read() -> None:
    """As fastseg wrote them before."""

    class Old:
        def __reduce__(self) -> Any:
            counts = LabelCounts.zeros([2, 5])
            return LabelCounts, (counts.labels, True, counts.matrix, counts.unknown, counts.voxels, counts.ignored)

    assert pickle.loads(pickle.dumps(Old())) == LabelCounts.zeros([2, 5])


TRUE, PRED = (each[:4500].reshape(2, 15, 150) for each in maps(3))
SCORES = np.stack([k == PRED for k in range(3)], axis=-1).astype(np.float32)
STATISTICS: dict[str, Any] = {
    "LabelCounts": lambda: fastseg.count_labels(TRUE, PRED, sample_axis=0),
    "BinaryCounts": lambda: fastseg.count_masks(TRUE == 1, PRED == 1),
    "PairCounts": lambda: fastseg.count_pairs(TRUE, PRED),
    "ScoreSums": lambda: fastseg.sum_scores(TRUE, SCORES, sample_axis=0, ignore_index=2),
    "SurfaceDistances": lambda: fastseg.surface_distances(TRUE, PRED, num_classes=3, spacing=1),
    "BoundaryCounts": lambda: fastseg.count_boundaries(TRUE, PRED, num_classes=3),
    "CenterlineCounts": lambda: fastseg.count_centerlines(TRUE, PRED, num_classes=3),
}


@pytest.mark.parametrize("kind", STATISTICS)
def test_every_statistic_says_its_version(kind: str) -> None:
    counts = STATISTICS[kind]()
    assert type(counts).__name__ == kind
    again = pickle.loads(pickle.dumps(counts))
    assert again == counts
    assert not any(value.flags.writeable for value in vars(again).values() if isinstance(value, np.ndarray))
    rebuild, arguments = counts.__reduce__()
    for other in (0, 99):
        with pytest.raises(
            ValueError, match=rf"^pickle of {kind}: expected version \d, found {other}, of another fastseg"
        ):
            rebuild(*(other if type(each) is int else each for each in arguments))


def test_masks_that_are_empty_nearly_everywhere_are_small() -> None:
    masks = np.zeros((200, 50, 100), bool)
    masks[3, 4] = True
    counts = fastseg.count_masks(masks, masks, sample_axis=0, channel_axis=1)
    assert len(pickle.dumps(counts)) < 20_000  # of 4 × 200 × 50 numbers, most of them 0 or 100
