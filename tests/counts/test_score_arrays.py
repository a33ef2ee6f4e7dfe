"""Sums of scores: what their arrays must be, zeros, and what is said of sums that are missing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fastseg import LabelCounts, ScoreSums, sum_scores
from fastseg.counts.scores import QUANTITIES

N, C, B = 2, 3, 4
ZEROS = ScoreSums.zeros(
    C, cases=N, bins=B, quantities=("dice", "argmax", "bins"), class_weight=np.ones(C), focal_gamma=2.0
)


@pytest.mark.parametrize(
    ("changed", "kind", "message"),
    [
        ({"pred": np.zeros((N, C), np.float32)}, TypeError, "pred: expected a float64 array, found float32"),
        ({"pred": [[0.0] * C] * N}, TypeError, "pred: expected a float64 array, found <class 'list'>"),
        ({"true": None}, TypeError, "true: expected a float64 array, found <class 'NoneType'>"),
        ({"total": None}, TypeError, "total: expected a float64 array, found <class 'NoneType'>"),
        ({"pred": np.zeros((N, C + 1))}, ValueError, r"pred: expected shape \(2, 3\) \(NC\), found \(2, 4\)"),
        ({"total": np.zeros(N + 1)}, ValueError, r"total: expected shape \(2,\) \(N\), found \(3,\)"),
        ({"pred": np.zeros(N)}, ValueError, r"pred: expected shape \(2,\) \(NC\), found \(2,\)"),
        ({"pred": np.zeros((N, C, 1))}, ValueError, r"pred: expected shape \(2, 3\) \(NC\), found \(2, 3, 1\)"),
        ({"top_bins": np.zeros((N, B, 2))}, ValueError, r"top_bins: expected shape \(2, 4, 3\) \(NB3\), found"),
        ({"class_bins": np.zeros((N, C, B + 1, 3))}, ValueError, r"class_bins: expected shape \(2, 3, 4, 3\)"),
        ({"voxels": np.zeros((N, 4))}, ValueError, r"voxels: expected int64 of shape \(2, 4\), found \(2, 4\)"),
        (
            {"voxels": np.zeros((N, 3), np.int64)},
            ValueError,
            r"voxels: expected int64 of shape \(2, 4\), found \(2, 3\)",
        ),
        ({"argmax_counts": LabelCounts.zeros(C)}, ValueError, "argmax_counts: expected 2 cases, found 1"),
        ({"class_weight": np.ones(C - 1)}, ValueError, r"class_weight: expected 3 weights, found \(2,\)"),
    ],
)
def test_arrays_must_fit(changed: dict[str, Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        replace(ZEROS, **changed)


def test_defaults() -> None:
    plain = ScoreSums(true=np.zeros((1, C)), total=np.zeros(1), voxels=np.zeros((1, 4), np.int64), binary=False)
    assert plain == ScoreSums.zeros(C, quantities=())
    assert (plain.soft, plain.label_smoothing, plain.ignored.dtype) == (False, 0.0, np.int64)


def test_no_array_can_be_written_to() -> None:
    zeros = ScoreSums.zeros(C, quantities=list(QUANTITIES), class_weight=np.ones(C))
    arrays = {name: value for name, value in vars(zeros).items() if isinstance(value, np.ndarray)}
    assert {"true", "total", "pred", "top_bins", "voxels", "class_weight", "ignored"} <= arrays.keys()
    assert not [name for name, array in arrays.items() if array.flags.writeable]


def test_zeros() -> None:
    plain = ScoreSums.zeros(C)
    assert plain.quantities == ("dice", "cross_entropy", "argmax")
    assert (plain.num_cases, plain.num_classes, plain.binary, plain.soft, plain.weighted) == (1, C, False, False, False)
    assert (plain.class_weight, plain.label_smoothing, plain.focal_gamma) == (None, 0.0, None)
    assert (plain.voxels.tolist(), plain.ignored.tolist()) == ([[0, 0, 0, 0]], [])
    assert plain.argmax_counts == LabelCounts.zeros(C)
    options = {"binary": True, "soft": True, "label_smoothing": 0.5, "focal_gamma": 3.0, "weighted": True}
    other = ScoreSums.zeros(1, cases=N, **options, class_weight=np.array([2.0]))
    assert {name: getattr(other, name) for name in options} == options
    assert other.argmax_counts == LabelCounts.zeros(2, cases=N, weighted=True)  # one class: against the background
    assert other.class_weight.tolist() == [2.0]
    assert (ZEROS.top_bins.shape, ZEROS.class_bins.shape) == ((N, B, 3), (N, C, B, 3))
    assert ScoreSums.zeros(C, quantities=["bins"]).top_bins.shape == (1, 0, 3)
    assert not ScoreSums.zeros(C, quantities=["dice"], weighted=True).weighted


def test_what_is_missing_can_be_asked_for() -> None:
    ZEROS.require()
    ZEROS.require("dice", "bins")
    message = (
        r"sums: expected the quantities \['brier', 'focal'\], which were not summed; ask for them with "
        r"sum_scores\(..., quantities=\['dice', 'argmax', 'bins', 'brier', 'focal'\]\)"
    )
    with pytest.raises(ValueError, match=message):
        ZEROS.require("brier", "dice", "focal")


def test_dicts() -> None:
    data = ZEROS.to_dict()
    assert (data["num_classes"], data["num_bins"], data["argmax_counts"]["format"]) == (C, B, "fastseg.LabelCounts")
    assert ScoreSums.from_dict(data) == ZEROS
    few = ScoreSums.zeros(C, quantities=["dice"])
    assert (few.to_dict()["num_bins"], few.to_dict()["argmax_counts"]) == (None, None)
    assert ScoreSums.from_dict(few.to_dict()) == few
    assert ScoreSums.from_dict({key: value for key, value in data.items() if key != "ignored"}) == ZEROS
    for wrong in ({key: value for key, value in data.items() if key != "pred"}, {**data, "pred": {}}):
        with pytest.raises(ValueError, match=r"^data: expected counts written by ScoreSums.to_dict; \w+Error\("):
            ScoreSums.from_dict(wrong)


def test_ignored_classes_are_united() -> None:
    one, other = (sum_scores([0, 1], np.eye(2), ignore_index=k) for k in (0, 1))
    assert [sums.ignored.tolist() for sums in (one, one.merge(other), other.concat(one), one.pooled())] == [
        [0], [0, 1], [0, 1], [0],
    ]  # fmt: skip
