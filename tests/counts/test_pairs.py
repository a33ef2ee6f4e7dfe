"""Sparse counts: the laws of statistics, and what they are as a matrix."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

from fastseg import LabelCounts, PairCounts, count_labels, count_pairs

RNG = np.random.default_rng(19)
TRUE, PRED = RNG.integers(-2, 6, (4, 3, 50)), RNG.integers(0, 9, (4, 3, 50))
LARGE = 2**63 + 5


def pairs_of(rows: list[tuple[int, int, int, int]], cases: int = 1, dtype: Any = np.int64, **more: Any) -> PairCounts:
    """Return counts of rows of case, true, predicted, number."""
    case, true, pred, counts = zip(*sorted(rows), strict=True) if rows else ((), (), (), ())
    labels = [np.array(each, np.uint64 if max(each, default=0) >= 2**63 else np.int64) for each in (true, pred)]
    return PairCounts(
        np.array(case, np.int64), *labels, np.array(counts, dtype), np.zeros((cases, 4), np.int64), **more
    )


@st.composite
def counts(draw: Any) -> PairCounts:
    """Draw counts of two cases; truth is never negative where it may be large."""
    label = st.sampled_from([0, 1, 2, 7, 2**40, LARGE, 2**64 - 1])
    keys = draw(st.lists(st.tuples(st.integers(0, 1), label, st.integers(-3, 3)), unique=True, max_size=12))
    ignored = draw(st.sets(st.integers(-2, 2**64 - 1), max_size=2))
    return pairs_of([(*key, draw(st.integers(1, 2**40))) for key in keys], 2, ignored=tuple(sorted(ignored)))


@given(counts(), counts(), counts())
def test_merge_is_associative_and_commutative_with_zeros_as_its_identity(
    a: PairCounts, b: PairCounts, c: PairCounts
) -> None:
    before = a.to_bytes(), b.to_bytes()
    assert a.merge(b) == b.merge(a)
    assert a.merge(b).merge(c) == a.merge(b.merge(c))
    assert a.merge(PairCounts.zeros(cases=2)) == a == PairCounts.zeros(cases=2).merge(a)
    assert (a.to_bytes(), b.to_bytes()) == before
    assert a.merge(b).pooled() == a.pooled().merge(b.pooled())


@given(counts(), counts())
def test_cases_are_appended_and_taken_out_again(a: PairCounts, b: PairCounts) -> None:
    both = a.concat(b, a)
    assert both.num_cases == 6
    assert both.cases(slice(0, 2)) == both.cases([4, 5])
    assert a.cases([1, 0]).cases([1, 0]) == a
    assert both.pooled().counts.sum() == 2 * a.counts.sum() + b.counts.sum()


@given(counts())
def test_saved_and_loaded_they_are_the_same(a: PairCounts) -> None:
    again = [PairCounts.from_bytes(a.to_bytes()), pickle.loads(pickle.dumps(a)), copy.deepcopy(a)]
    again.append(PairCounts.from_dict(json.loads(json.dumps(a.to_dict()))))
    assert all(each == a for each in again)
    assert not any(array.flags.writeable for array in (again[0].true, again[1].counts, again[2].case, a.voxels))


@given(counts())
def test_marginals_are_sums_over_pairs(a: PairCounts) -> None:
    rows = list(zip(a.case.tolist(), a.true.tolist(), a.pred.tolist(), a.counts.tolist(), strict=True))
    for which, sizes in ((1, a.marginals.true), (2, a.marginals.pred)):
        expected: dict[tuple[int, int], int] = {}
        for row in rows:
            expected[row[0], row[which]] = expected.get((row[0], row[which]), 0) + row[3]
        keys = list(zip(sizes.case.tolist(), sizes.labels.tolist(), strict=True))
        assert dict(zip(keys, sizes.counts.tolist(), strict=True)) == expected
        assert keys == sorted(expected)
        assert [keys[k] for k in sizes.places.tolist()] == [(row[0], row[which]) for row in rows]
    for number, sizes in ((a.num_true, a.marginals.true), (a.num_pred, a.marginals.pred)):
        assert number.tolist() == [int((sizes.case == n).sum()) for n in range(2)]


OPTIONS: list[dict[str, Any]] = [
    {},
    {"sample_axis": 1},
    {"ignore_index": [3, -1, 77]},
    {"mask": RNG.random(TRUE.shape) < 0.6, "sample_axis": 0},
    {"sample_weight": RNG.random(TRUE.shape), "sample_axis": 2},
]


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: "-".join(options) or "plain")
def test_as_a_matrix_they_are_what_count_labels_returns(options: dict[str, Any]) -> None:
    pairs, labels = count_pairs(TRUE, PRED, **options), count_labels(TRUE, PRED, **options)
    found = pairs.to_labels()
    assert np.array_equal(found.labels, labels.labels)
    assert np.array_equal(found.voxels, labels.voxels)
    assert np.array_equal(found.ignored, labels.ignored)
    assert found.matrix == pytest.approx(labels.matrix, rel=1e-12)
    assert pairs.weighted or found == labels
    regions = {"some": [1, 3, -2], "one": [5], "none": [99]}
    found_regions, expected = pairs.regions(regions), labels.regions(regions)
    for name in ("tp", "fp", "fn", "tn"):
        assert getattr(found_regions, name) == pytest.approx(getattr(expected, name), rel=1e-12)
    assert found_regions.classes == expected.classes
    assert np.array_equal(found_regions.voxels, expected.voxels)


def test_no_matrix_of_too_many_labels_or_of_too_large_ones() -> None:
    many = count_pairs(np.arange(4097), np.arange(4097))
    with pytest.raises(ValueError, match="at most 4096 labels for a matrix, found 4097"):
        many.to_labels()
    with pytest.raises(ValueError, match=f"pred: expected labels below .* found {LARGE}"):
        pairs_of([(0, 1, LARGE, 1)]).to_labels()
    assert isinstance(count_pairs(np.arange(4096), np.arange(4096)).to_labels(), LabelCounts)
    assert pairs_of([(0, LARGE, 1, 3)]).regions({"large": [LARGE], "small": [1, -1]}).fn.tolist() == [[3, 0]]


@pytest.mark.parametrize("members", ["12", [1.0], [None]])
def test_labels_of_regions_are_integers(members: Any) -> None:
    with pytest.raises(TypeError, match=r"regions\['x'\]: expected integers, found"):
        count_pairs([1], [2]).regions({"x": members})


def test_what_means_different_things_is_not_merged() -> None:
    a = pairs_of([(0, 1, 1, 1)])
    with pytest.raises(ValueError, match="weighted by sample_weight"):
        a.merge(pairs_of([(0, 1, 1, 1)], dtype=np.float64))
    with pytest.raises(ValueError, match="1 and 2 cases"):
        a.merge(PairCounts.zeros(cases=2))
    with pytest.raises(TypeError, match="expected PairCounts, found LabelCounts"):
        a.concat(LabelCounts.zeros(2))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"true: expected labels that one integer type holds"):
        pairs_of([(0, LARGE, 1, 1)]).merge(pairs_of([(0, -1, 1, 1)]))


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"case": np.array([0, 0], np.int32)}, TypeError, "case: expected a 1-D int64"),
        ({"case": np.array([0, 1])}, ValueError, "case: expected 0 to 0"),
        ({"true": np.array([1.0, 2.0])}, TypeError, "true: expected a 1-D array of int64 or uint64"),
        ({"true": np.array([2, 1])}, ValueError, "sorted by case, true and predicted"),
        ({"true": np.array([1, 1])}, ValueError, "each pair once"),
        ({"counts": np.array([1, 2, 3])}, ValueError, "expected shapes"),
        ({"counts": np.array([1, 2], np.int32)}, TypeError, "int64 or float64"),
        ({"ignored": (2, 1)}, ValueError, "ignored: expected a tuple"),
    ],
)
def test_what_is_no_such_table(change: dict[str, Any], error: type[Exception], says: str) -> None:
    fields: dict[str, Any] = {
        "case": np.array([0, 0]), "true": np.array([1, 2]), "pred": np.array([3, 3]), "counts": np.array([1, 2]),
        "voxels": np.array([[3, 0, 0, 0]]),
    }  # fmt: skip
    PairCounts(**fields)
    with pytest.raises(error, match=says):
        PairCounts(**{**fields, **change})


def test_bytes_of_something_else() -> None:
    plain = pairs_of([(0, 1, 1, 1)]).to_dict()
    for change in ({"true": [1.5]}, {"counts": [0.5]}, {"case": None}, {"version": 3}, {"pairs": 2}, {"pairs": "1"}):
        with pytest.raises(ValueError, match="data: expected"):
            PairCounts.from_dict({**plain, **change})


def test_the_form_before_is_read() -> None:
    large = pairs_of([(0, 1, 1, 5), (0, 2, LARGE, 7)], ignored=(9,))
    plain = {name: getattr(large, name).tolist() for name in ("case", "true", "pred", "counts", "voxels")}
    head = {"format": "fastseg.PairCounts", "version": 1, "weighted": False, "ignored": [9]}
    assert PairCounts.from_bytes(json.dumps({**head, **plain}).encode()) == large
    for change in ({"true": [1.5, 2]}, {"counts": [0.5, 1]}, {"case": None}):
        with pytest.raises(ValueError, match="data: expected"):
            PairCounts.from_dict({**head, **plain, **change})


def test_saved_and_sent_they_take_some_bytes_a_pair() -> None:
    labels = np.arange(20_000)
    pairs = count_pairs(np.repeat(labels, 5), np.repeat(labels + 10**12, 5))
    assert len(pairs.to_bytes()) < 2 * pairs.counts.size
    assert len(pickle.dumps(pairs)) < 5 * pairs.counts.size
    weighted = count_pairs(labels % 7, labels % 5, sample_weight=RNG.random(labels.size))
    assert PairCounts.from_bytes(weighted.to_bytes()) == weighted == pickle.loads(pickle.dumps(weighted))


def test_small_unsigned_labels_are_the_same_as_signed_ones() -> None:
    signed, unsigned = (count_pairs(TRUE.astype(dtype) % 5, PRED.astype(dtype)) for dtype in (np.int64, np.uint64))
    assert unsigned.true.dtype == np.int64
    assert np.array_equal(unsigned.pred, signed.pred)
