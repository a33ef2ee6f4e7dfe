"""What the tables of statistics may hold: what is refused of the types and values of arrays, lists and labels."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from fastseg import BinaryCounts, LabelCounts, count_labels, count_masks, count_pairs

LABELS = np.arange(2)
TABLE, ROW, VOXELS = np.zeros((1, 2, 2), np.int64), np.zeros((1, 2), np.int64), np.zeros((1, 4), np.int64)


@pytest.mark.parametrize(
    ("matrix", "unknown", "voxels"),
    [("i4", "i8", "i8"), ("i8", "i4", "i8"), ("f8", "i8", "i8"), ("i8", "f8", "i8"), ("f4", "f4", "i8"), ("i8", "i8", "f8"),
     ("f8", "f8", "f8"), ("i8", "i8", "i4")],
)  # fmt: skip
def test_numbers_that_would_wrap_or_round_are_refused(matrix: str, unknown: str, voxels: str) -> None:
    with pytest.raises(
        TypeError, match="matrix, unknown: expected int64 or float64 arrays alike, and voxels int64; found"
    ):
        LabelCounts(LABELS, True, TABLE.astype(matrix), ROW.astype(unknown), VOXELS.astype(voxels))
    with pytest.raises(
        TypeError, match="tp, fp, fn, tn: expected int64 or float64 arrays alike, and voxels int64; found"
    ):
        BinaryCounts(("a", "b"), *(ROW.astype(d) for d in (matrix, matrix, unknown, unknown)), VOXELS.astype(voxels))


def test_voxels_are_told_apart_in_four() -> None:
    with pytest.raises(ValueError, match=r"voxels: expected shape \(cases, 4\), found \(1, 3\)"):
        BinaryCounts(("a", "b"), ROW, ROW, ROW, ROW, VOXELS[:, :3])


def test_tables_are_arrays() -> None:
    with pytest.raises(TypeError, match=r"expected int64 or float64 arrays alike.*found .*'matrix': <class 'list'>"):
        LabelCounts(LABELS, True, TABLE.tolist(), ROW, VOXELS)


@pytest.mark.parametrize("labels", [[0, 1], LABELS.astype(np.int32), LABELS.reshape(1, 2), np.array(0)])
def test_labels_are_a_row_of_int64(labels: Any) -> None:
    with pytest.raises(TypeError, match="labels: expected a 1-D int64 array, found"):
        LabelCounts(labels, True, TABLE, ROW, VOXELS)
    with pytest.raises(TypeError, match="ignored: expected a 1-D int64 array, found"):
        LabelCounts(LABELS, True, TABLE, ROW, VOXELS, labels)


def test_labels_stand_once_and_those_of_open_counts_in_order() -> None:
    with pytest.raises(ValueError, match=r"labels: expected each label once, found \[1, 1\]"):
        LabelCounts(np.array([1, 1]), True, TABLE, ROW, VOXELS)
    for labels in ([1, 0], [0, 2, 1]):
        with pytest.raises(
            ValueError, match=rf"labels: expected those of open counts sorted, found {re.escape(str(labels))}"
        ):
            LabelCounts(np.array(labels), False, TABLE, ROW, VOXELS)
    for labels in ([1, 1], [0, 2, 1]):
        with pytest.raises(
            ValueError, match=rf"ignored: expected each label once, sorted, found {re.escape(str(labels))}"
        ):
            LabelCounts(LABELS, True, TABLE, ROW, VOXELS, np.array(labels))
    assert LabelCounts(np.array([1, 0]), True, TABLE, ROW, VOXELS).labels.tolist() == [1, 0]


@pytest.mark.parametrize("labels", [[0.0, 1.0], ["0"], [[0, 1]], np.array(3), np.array([2**63], np.uint64), [True]])
def test_labels_that_are_listed_are_integers(labels: Any) -> None:
    with pytest.raises(TypeError, match="labels: expected integers of 64 bits, found"):
        LabelCounts.zeros(labels)
    with pytest.raises(TypeError, match="labels: expected integers of 64 bits, found"):
        LabelCounts.zeros(2).select(labels)
    with pytest.raises(TypeError, match=r"regions\['a'\]: expected integers of 64 bits, found"):
        LabelCounts.zeros(2).regions({"a": labels})


def test_labels_that_are_listed_may_be_none_or_any_iterable_of_integers() -> None:
    assert LabelCounts.zeros([]).labels.dtype == np.int64
    assert LabelCounts.zeros([]).closed
    assert LabelCounts.zeros(np.int8(3)).labels.tolist() == [0, 1, 2]
    assert LabelCounts.zeros(np.array([2**63 - 1], np.uint64)).labels.tolist() == [2**63 - 1]
    assert LabelCounts.zeros(range(2, 0, -1)).labels.tolist() == [2, 1]
    assert LabelCounts.zeros(2).select(iter([1])).labels.tolist() == [1]


def test_names_stand_once_and_are_plain() -> None:
    for classes in (("a", "a"), (1, "1")):
        with pytest.raises(ValueError, match="classes: expected a name for each, found"):
            BinaryCounts(classes, ROW, ROW, ROW, ROW, VOXELS)
    names = BinaryCounts((np.int64(3), "a"), ROW, ROW, ROW, ROW, VOXELS).classes
    assert names == (3, "a")
    assert type(names[0]) is int
    assert BinaryCounts.zeros(np.int8(2), cases=3).tp.shape == (3, 2)
    assert BinaryCounts.zeros(range(1, 3)).classes == (1, 2)


@pytest.mark.parametrize("counts", [LabelCounts.zeros(2), BinaryCounts.zeros(2), LabelCounts.zeros(2, weighted=True)])
def test_dicts_that_lack_something_or_hold_other_values_are_refused(counts: Any) -> None:
    kind, data = type(counts), counts.to_dict()
    name = "matrix" if kind is LabelCounts else "tp"
    without = {key: value for key, value in data.items() if key != name}
    for wrong in (without, {**data, name: [["a", "b"]]}, {**data, name: [[True, True]]}, {**data, "voxels": None}):
        with pytest.raises(ValueError, match=rf"^data: expected counts written by {kind.__name__}.to_dict; \w+Error\("):
            kind.from_dict(wrong)


def test_fractions_are_no_counts() -> None:
    data = LabelCounts.zeros(1).to_dict()
    with pytest.raises(ValueError, match="expected int64 values"):
        LabelCounts.from_dict({**data, "matrix": [[[0.5]]]})
    again = LabelCounts.from_dict(
        {**data, "weighted": True, "matrix": [[[1]]], "unknown": [[0.5]]}
    )  # JSON of 1.0 may be 1
    assert (again.matrix.dtype, again.matrix.item(), again.unknown.item()) == (np.float64, 1.0, 0.5)


def test_statistics_of_unlike_kinds_types_and_values_are_not_equal() -> None:
    counts = LabelCounts.zeros(2)
    assert counts != BinaryCounts.zeros(2)
    assert counts != LabelCounts.zeros(2, weighted=True)
    assert counts != LabelCounts(counts.labels, False, counts.matrix, counts.unknown, counts.voxels)
    assert LabelCounts.__eq__(counts, 3) is NotImplemented


def test_errors_name_the_labels_that_are_missing_and_all_of_a_dozen() -> None:
    with pytest.raises(
        ValueError, match=r"labels: \[14\] are not among the labels of the counts, \[0, 1, 2, .*, 10, 11\]$"
    ):
        LabelCounts.zeros(12).select([0, 14])
    with pytest.raises(ValueError, match=r"'a' names \[14\], .* of the counts, \[0, 1, 2, 3, 4, … 13 labels … 12\]$"):
        LabelCounts.zeros(13).regions({"a": [0, 14]})


def test_what_is_counted_cannot_be_written_to_and_ignores_nothing() -> None:
    labels, masks = count_labels([0, 1], [1, 1]), count_masks([0, 1], [1, 1], channel_axis=None)
    for array in (labels.labels, labels.matrix, labels.unknown, labels.voxels, labels.ignored, masks.tp, masks.voxels):
        assert not array.flags.writeable
    assert labels.ignored.tolist() == LabelCounts.zeros(2).ignored.tolist() == []


def test_regions_of_counts_without_a_label() -> None:
    assert LabelCounts.zeros(cases=2).regions({"a": [1]}).tp.tolist() == [[0], [0]]


def test_sums_of_weights_that_no_pair_adds_to_are_zero() -> None:
    """A union of all labels has neither false positives nor other voxels, whatever the rounding of its sums."""
    rng = np.random.default_rng(0)
    matrix, unknown = rng.random((100, 4, 4)), np.zeros((100, 4))
    voxels = np.full((100, 4), [16, 0, 0, 0])
    counts = LabelCounts(np.arange(4), True, matrix, unknown, voxels).regions({"all": [0, 1, 2, 3]})
    np.testing.assert_allclose(counts.tp[:, 0], matrix.sum((1, 2)), rtol=1e-12)
    assert np.stack([counts.fp, counts.fn, counts.tn]).tolist() == np.zeros((3, 100, 1)).tolist()


def test_weights_of_one_are_counted_as_voxels_are() -> None:
    matrix, unknown = np.ones((1, 2, 2)), np.ones((1, 2))
    weighted = LabelCounts(LABELS, True, matrix, unknown, VOXELS).one_vs_rest()
    plain = LabelCounts(LABELS, True, matrix.astype(np.int64), unknown.astype(np.int64), VOXELS).one_vs_rest()
    for name in ("tp", "fp", "fn", "tn"):
        assert getattr(weighted, name).tolist() == getattr(plain, name).tolist()


@pytest.mark.parametrize("count", [count_labels, count_pairs])
def test_a_region_of_one_label(count: Any) -> None:
    counts = count([0, 1, 2], [0, 2, 2])
    found = counts.regions({"two": 2, "same": np.int64(2), "listed": [2]})
    assert found.tp.tolist() == [[1, 1, 1]]
    for wrong in (2.0, None, "2"):
        with pytest.raises(TypeError, match=rf"regions\['a'\]: expected integers, found {wrong!r}"):
            counts.regions({"a": wrong})
    with pytest.raises(TypeError, match=r"regions: expected a dict of names and labels, found \[2\]"):
        counts.regions([2])
