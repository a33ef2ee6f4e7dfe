"""Metrics of partitions: against brute force, against scikit-image and scikit-learn, and the laws that they keep."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from skimage import metrics as skimage
from sklearn import metrics as sklearn

import fastseg
from fastseg import PairCounts, count_pairs, metrics
from fastseg.metrics.pair_conventions import PAIR_CONVENTIONS
from fastseg.metrics.pair_sums import sum_of_squares
from fastseg.metrics.pairs import PAIR_METRICS

NAMES = sorted({metric.name for metric in PAIR_METRICS.values()})
RNG = np.random.default_rng(5)
MAPS = st.lists(st.integers(0, 4), min_size=24, max_size=24).map(lambda values: np.array(values[:12] + values[12:]))


def entropies(t: Any, p: Any) -> tuple[float, float]:
    """Return H(prediction | truth) and H(truth | prediction) in bits, by definition."""
    joint = {pair: np.mean((t == pair[0]) & (p == pair[1])) for pair in set(zip(t.tolist(), p.tolist(), strict=True))}
    split = -sum(c * math.log2(c / np.mean(t == a)) for (a, _), c in joint.items())
    merge = -sum(c * math.log2(c / np.mean(p == b)) for (_, b), c in joint.items())
    return split, merge


def joined(t: Any, p: Any) -> tuple[int, int, int, int]:
    """Return the pairs of voxels that both join, the truth joins, the prediction joins; and all of them."""
    pairs = list(combinations(range(len(t)), 2))
    both = sum(t[i] == t[j] and p[i] == p[j] for i, j in pairs)
    return both, sum(t[i] == t[j] for i, j in pairs), sum(p[i] == p[j] for i, j in pairs), len(pairs)


@settings(max_examples=30)
@given(MAPS, MAPS)
def test_definitions(t: Any, p: Any) -> None:
    split, merge = fastseg.variation_of_information(t, p)
    assert (split, merge) == pytest.approx(entropies(t, p), abs=1e-12)
    both, true, pred, every = joined(t, p)
    found = fastseg.adjusted_rand_error(t, p)
    assert found.precision == (both / pred if pred else pytest.approx(math.nan, nan_ok=True))
    assert found.recall == (both / true if true else pytest.approx(math.nan, nan_ok=True))
    if true + pred:
        assert found.error == float(1 - Fraction(2 * both, true + pred))
    assert fastseg.rand_index(t, p) == float(Fraction(every + 2 * both - true - pred, every))


@settings(max_examples=30)
@given(MAPS, MAPS)
def test_scikit_learn(t: Any, p: Any) -> None:
    pairs = count_pairs(t, p)
    peers = {
        "rand_index": sklearn.rand_score,
        "adjusted_rand_index": sklearn.adjusted_rand_score,
        "fowlkes_mallows": sklearn.fowlkes_mallows_score,
        "mutual_information": sklearn.mutual_info_score,
        "normalized_mutual_information": sklearn.normalized_mutual_info_score,
        "homogeneity": sklearn.homogeneity_score,
        "completeness": sklearn.completeness_score,
        "v_measure": sklearn.v_measure_score,
    }
    assert set(peers) == set(PAIR_CONVENTIONS["sklearn"].verified)
    for name, peer in peers.items():
        found = PAIR_METRICS[name](pairs, convention="sklearn")
        assert found == pytest.approx(peer(t, p), abs=1e-12), name
    assert fastseg.v_measure(t, p, beta=0.5) == pytest.approx(sklearn.v_measure_score(t, p, beta=0.5), abs=1e-12)


@pytest.mark.parametrize("labels", [[], [3]])
def test_scikit_learn_of_nothing_and_of_one_voxel(labels: list[int]) -> None:
    for name, metric in PAIR_METRICS.items():
        if name == "mutual_info_score" and not labels:  # an error there
            assert math.isnan(metric(PairCounts.zeros(), convention="sklearn")[0])
        elif name.endswith("_score"):
            found = getattr(fastseg, name)(np.array(labels, int), np.array(labels, int), convention="sklearn")
            assert found == getattr(sklearn, name)(labels, labels), name
        elif metric.result is float and not labels:
            assert math.isnan(getattr(fastseg, name)(np.zeros(0), np.zeros(0)))


def test_scikit_image() -> None:
    for _ in range(5):
        t, p = RNG.integers(0, 9, (2, 6, 7, 8))
        pairs = count_pairs(t, p)
        split, merge = metrics.variation_of_information(pairs, convention="skimage")
        assert [split[0], merge[0]] == pytest.approx(skimage.variation_of_information(t, p), rel=1e-12)
        found = metrics.adjusted_rand_error(pairs, convention="skimage")
        assert [each[0] for each in found] == pytest.approx(skimage.adapted_rand_error(t, p), rel=1e-12)
        split, merge = fastseg.variation_of_information(t, p, ignore_index=[0, 3])
        assert [split, merge] == pytest.approx(skimage.variation_of_information(t, p, ignore_labels=[0, 3]), rel=1e-12)


def test_the_case_of_scikit_image_6485() -> None:
    found = fastseg.adapted_rand_error([[1, 2], [3, 2]], np.ones((2, 2), int), convention="skimage")
    assert found == pytest.approx((0.7142857142857143, 1.0, 0.16666666666666666))
    ours = fastseg.adjusted_rand_error([[1, 2], [3, 2]], np.ones((2, 2), int))
    assert (ours.error, ours.precision, ours.recall) == (found[0], found[2], found[1])


def dense(t: Any, p: Any) -> Any:
    table = np.zeros((int(t.max()) + 1, int(p.max()) + 1))
    np.add.at(table, (t.ravel(), p.ravel()), 1)
    return table


def test_cremi() -> None:
    """Its own lines, of arrays (cremi_python: evaluation/rand.py, voi.py), where true label 0 is left out."""
    for _ in range(5):
        t, p = RNG.integers(0, 6, (2, 10, 12))
        table = dense(t, p)[1:]
        inside, outside = table[:, 1:], table[:, 0].sum() / t.size
        sum_true, sum_pred = (table.sum(1) ** 2).sum(), (inside.sum(0) ** 2).sum() + outside
        both = (inside**2).sum() + outside
        precision, recall = both / sum_pred, both / sum_true
        error = 1 - 2 * precision * recall / (precision + recall)
        for pairs in (count_pairs(t, p), count_pairs(t, p, ignore_index=0)):
            found = metrics.adjusted_rand_error(pairs, convention="cremi")
            assert [each[0] for each in found] == pytest.approx([error, precision, recall], rel=1e-12)
        kept = t > 0
        found_vi = fastseg.variation_of_information(t, p, convention="cremi")
        assert found_vi == pytest.approx(entropies(t[kept], p[kept]), rel=1e-12)


def test_funlib() -> None:
    """Predicted label 0 is a segment; rand_split is what is recalled, rand_merge how precisely."""
    t, p = RNG.integers(0, 6, (2, 10, 12))
    table = dense(t, p)[1:]
    squares, merge, split = (table**2).sum(), (table.sum(0) ** 2).sum(), (table.sum(1) ** 2).sum()
    found = fastseg.adjusted_rand_error(t, p, convention="funlib")
    assert (found.precision, found.recall) == pytest.approx((squares / merge, squares / split), rel=1e-12)
    kept = t > 0
    assert fastseg.variation_of_information(t, p, convention="funlib") == pytest.approx(
        entropies(t[kept], p[kept]), rel=1e-12
    )


# ---- Laws


@settings(max_examples=40)
@given(MAPS, MAPS, MAPS)
def test_the_variation_of_information_is_a_metric(a: Any, b: Any, c: Any) -> None:
    ab, bc, ac = (sum(fastseg.variation_of_information(*each)) for each in ((a, b), (b, c), (a, c)))
    assert ac <= ab + bc + 1e-12
    assert ab >= 0
    same = len(set(zip(a.tolist(), b.tolist(), strict=True))) == len(set(a.tolist())) == len(set(b.tolist()))
    assert (ab == 0) == same


@settings(max_examples=10)
@given(MAPS, MAPS, st.permutations(range(5)))
def test_labels_mean_nothing_and_exchanging_the_maps_exchanges_split_and_merge(t: Any, p: Any, other: Any) -> None:
    pairs, swapped = count_pairs(t, p), count_pairs(p, t)
    renamed = count_pairs(np.array(other)[t] - 7, (p.astype(np.uint64) * np.uint64(2**61)) + np.uint64(2**63))
    for name in NAMES:
        metric = PAIR_METRICS[name]
        assert np.ravel(metric(renamed)) == pytest.approx(np.ravel(metric(pairs)), abs=1e-12, nan_ok=True)
        if metric.symmetric:
            assert metric(swapped) == pytest.approx(metric(pairs), abs=1e-12, nan_ok=True)
    split, merge = metrics.variation_of_information(pairs)
    assert np.ravel(metrics.variation_of_information(swapped)) == pytest.approx([merge[0], split[0]], abs=1e-12)
    error, precision, recall = metrics.adjusted_rand_error(pairs)
    assert np.array_equal(metrics.adjusted_rand_error(swapped), (error, recall, precision), equal_nan=True)
    assert metrics.completeness(swapped) == pytest.approx(metrics.homogeneity(pairs), abs=1e-12)


def test_cases_are_apart_and_one_call_is_of_arrays() -> None:
    t, p = RNG.integers(0, 5, (2, 3, 40))
    for name in NAMES:
        rows, function = PAIR_METRICS[name](count_pairs(t, p, sample_axis=0)), getattr(fastseg, name)
        each = np.array([function(*maps) for maps in zip(t, p, strict=True)])
        assert np.array_equal(np.array(rows).T, each)
        assert np.array_equal(np.array(function(t, p, sample_axis=0)).T, each)
        assert np.shape(PAIR_METRICS[name](PairCounts.zeros(cases=0)))[-1] == 0
        assert np.isnan(PAIR_METRICS[name](PairCounts.zeros())).all()


def pairs_of(counts: Any) -> PairCounts:
    """Return a table (T, P) as counts."""
    true, pred = np.nonzero(counts)
    found = np.array([counts[i][j] for i, j in zip(true, pred, strict=True)])
    return PairCounts(np.zeros_like(true), true, pred, found, np.array([[int(found.sum()), 0, 0, 0]]))


def test_counts_whose_squares_fit_no_integer() -> None:
    table = [[2**40 + 1, 3], [0, 2**40 - 7], [5, 2**33]]
    n = sum(map(sum, table))
    both = sum(c * c for row in table for c in row) - n
    true = sum(sum(row) ** 2 for row in table) - n
    pred = sum(sum(column) ** 2 for column in zip(*table, strict=True)) - n
    found = metrics.adjusted_rand_error(pairs_of(table))
    expected = (1 - Fraction(2 * both, true + pred), Fraction(both, pred), Fraction(both, true))
    assert tuple(each[0] for each in found) == tuple(map(float, expected))
    assert metrics.rand_index(pairs_of(table))[0] == float(
        Fraction(n * n - n + 2 * (both + n) - true - pred - 2 * n, n * n - n)
    )


@given(st.lists(st.one_of(st.integers(0, 2**62), st.integers(0, 2**21)), max_size=20))
def test_sums_of_squares_are_exact(values: list[int]) -> None:
    assert sum_of_squares(np.array(values, np.int64)) == sum(value * value for value in values)


def test_almost_equal_partitions_of_many_voxels() -> None:
    """One voxel of 10¹² is split off: what is left of large terms that cancel would be noise."""
    n = 10**12
    split, merge = metrics.variation_of_information(pairs_of([[n - 1, 1]]))
    assert split[0] == pytest.approx((math.log2(n) + 1 / math.log(2)) / n, rel=1e-9)
    assert merge[0] == 0


def test_weights() -> None:
    t, p = RNG.integers(0, 4, (2, 50))
    whole = count_pairs(t, p, sample_weight=np.full(50, 0.25))
    for found, expected in zip(*map(metrics.variation_of_information, (whole, count_pairs(t, p))), strict=True):
        assert found == pytest.approx(expected)
    with pytest.raises(ValueError, match="rand_index counts pairs of voxels; found weights"):
        metrics.rand_index(whole)


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (
            lambda: metrics.rand_index([1]),
            TypeError,
            r"pairs: expected PairCounts, found list \(of arrays: fastseg.rand_index",
        ),
        (
            lambda: fastseg.rand_index([1], [1], convention="gala"),
            ValueError,
            "convention: expected one of fastseg, skimage",
        ),
        (lambda: fastseg.rand_index([1], [1], num_classes=2), TypeError, "rand_index.. got an unexpected keyword"),
        (
            lambda: fastseg.v_measure([1], [1], beta=-1),
            ValueError,
            "beta: expected a finite number that is not negative",
        ),
    ],
)
def test_what_is_refused(call: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        call()
