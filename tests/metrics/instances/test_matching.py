"""Matchings against all that there are, and what must hold of any."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import linear_sum_assignment

import fastseg
from fastseg import InstanceMatching, count_pairs, match_instances
from fastseg.metrics.instances import CRITERIA, MATCHINGS, THRESHOLDS, assignment, match_pairs

Map = np.ndarray[Any, Any]


def maps(highest: int = 4, voxels: int = 24) -> st.SearchStrategy[Map]:
    """Draw a truth and a prediction, (2, voxels)."""
    return arrays(np.int64, (2, voxels), elements=st.integers(0, highest))


def scores(true: Map, pred: Map, criterion: str) -> dict[tuple[int, int], float]:
    """Return the score of each pair that overlaps, voxel by voxel."""
    found = {}
    for t, p in itertools.product(np.unique(true[true > 0]).tolist(), np.unique(pred[pred > 0]).tolist()):
        common, a, b = int(((true == t) & (pred == p)).sum()), int((true == t).sum()), int((pred == p).sum())
        if common:
            found[t, p] = {
                "iou": common / (a + b - common),
                "dice": 2 * common / (a + b),
                "intersection_over_reference": common / a,
                "intersection_over_prediction": common / b,
                "overlap": float(common),
            }[criterion]
    return found


def pairs_of(matching: InstanceMatching) -> list[tuple[int, int]]:
    return list(zip(matching.pairs.true.tolist(), matching.pairs.pred.tolist(), strict=True))


def all_matchings(pairs: list[tuple[int, int]]) -> list[tuple[tuple[int, int], ...]]:
    """Return every set of pairs that share no segment."""
    return [
        chosen
        for size in range(len(pairs) + 1)
        for chosen in itertools.combinations(pairs, size)
        if len({t for t, _ in chosen}) == len({p for _, p in chosen}) == size
    ]


@given(drawn=maps(3, 16), criterion=st.sampled_from(sorted(CRITERIA)), threshold=st.sampled_from([0.0, 0.2, 0.5, 1.0]),
       strict=st.booleans())  # fmt: skip
@settings(max_examples=80, deadline=None)
def test_optimal_is_the_best_of_all(drawn: Map, criterion: str, threshold: float, strict: bool) -> None:
    every = scores(*drawn, criterion)
    good = [pair for pair, score in every.items() if score > threshold or (score == threshold and not strict)]
    matchings = all_matchings(good)
    options: dict[str, Any] = {"criterion": criterion, "strict": strict, "matching": "optimal"}
    found = pairs_of(match_instances(*drawn, threshold, **options))
    assert tuple(found) in matchings
    assert sum(map(every.get, found)) == pytest.approx(max(sum(map(every.get, m)) for m in matchings))
    found = pairs_of(match_instances(*drawn, threshold, objective="count", **options))
    most = max((len(m), sum(map(every.get, m))) for m in matchings)
    assert (len(found), sum(map(every.get, found))) == (most[0], pytest.approx(most[1]))


@given(drawn=maps(3, 14))
@settings(max_examples=50, deadline=None)
def test_objectives_over_all_pairs(drawn: Map) -> None:
    """Pairs that do not qualify take part in the sum, and are dropped."""
    every = scores(*drawn, "iou")
    matchings = all_matchings(list(every))
    good = {pair for pair, score in every.items() if score >= 0.3}
    for objective, value in (
        ("all scores", lambda m: sum(map(every.get, m))),
        ("count, all scores", lambda m: (len(good & set(m)), round(sum(map(every.get, m)), 9))),
    ):
        found = match_instances(*drawn, 0.3, strict=False, matching="optimal", objective=objective)
        best = max(map(value, matchings))
        allowed = [len(good & set(m)) for m in matchings if value(m) == pytest.approx(best)]
        assert set(pairs_of(found)) <= good
        assert found.tp in allowed


def naive(true: Map, pred: Map, matching: str, threshold: float) -> list[tuple[int, int]]:
    """Match step by step, as the texts have it."""
    every = scores(true, pred, "iou")
    chosen: list[tuple[int, int]] = []
    for t, p in sorted(every, key=lambda pair: (-every[pair], *pair)):
        others = [b for a, b in chosen if a == t]
        if matching == "merge" and others and p not in {b for _, b in chosen}:
            before, after = (np.isin(pred, joined) for joined in (others, [*others, p]))
            union = [((true == t) & m).sum() / ((true == t) | m).sum() for m in (before, after)]
            if union[1] > union[0]:
                chosen.append((t, p))
            continue
        if every[t, p] <= threshold:
            continue
        taken_true, taken_pred = t in {a for a, _ in chosen}, p in {b for _, b in chosen}
        if {
            "greedy": not (taken_true or taken_pred),
            "merge": not (taken_true or taken_pred),
            "many_to_one": not taken_pred,
            "one_to_many": not taken_true,
            "all": True,
        }[matching]:
            chosen.append((t, p))
    return sorted(chosen)


@pytest.mark.parametrize("matching", [m for m in MATCHINGS if m != "optimal"])
@given(drawn=maps(), threshold=st.sampled_from([0.0, 0.1, 0.3]))
@settings(max_examples=40, deadline=None)
def test_the_others_are_what_the_texts_say(matching: str, drawn: Map, threshold: float) -> None:
    found = match_instances(*drawn, threshold, matching=matching)
    wanted = naive(*drawn, matching, threshold)
    assert sorted(pairs_of(found)) == wanted
    ends = [p for _, p in wanted] if matching == "one_to_many" else [t for t, _ in wanted]
    true, pred = (set(np.unique(side[side > 0]).tolist()) for side in drawn)
    assert found.tp == len(set(ends))
    assert found.misses.ids.tolist() == sorted(true - {t for t, _ in wanted})
    assert found.false_alarms.ids.tolist() == sorted(pred - {p for _, p in wanted})


@given(drawn=maps(6, 40), threshold=st.sampled_from([0.0, 0.3, 0.5]), matching=st.sampled_from(MATCHINGS))
@settings(max_examples=60, deadline=None)
def test_qualities(drawn: Map, threshold: float, matching: str) -> None:
    found = match_instances(*drawn, threshold, matching=matching)
    product = found.segmentation_quality * found.recognition_quality
    assert found.panoptic_quality == pytest.approx(product, nan_ok=True)
    assert found.recognition_quality == pytest.approx(found.fbeta(1.0), nan_ok=True)
    if found.tp and matching in ("greedy", "optimal"):
        assert found.segmentation_quality == pytest.approx(found.pairs.iou.mean())
        assert found.f1 == pytest.approx(2 / (1 / found.precision + 1 / found.recall))
        assert found.instance_dice == pytest.approx(found.pairs.dice.sum() / (found.tp + found.fp + found.fn))
        assert found.pairs.score == pytest.approx(found.pairs.iou)


@given(drawn=maps(6, 40), strict=st.booleans(), seed=st.integers(0, 9))
@settings(max_examples=60, deadline=None)
def test_names_of_instances_do_not_matter(drawn: Map, strict: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    tables = [np.concatenate([[0], rng.permutation(2**62 + np.arange(6))]) for _ in drawn]
    other = [table[side] for table, side in zip(tables, drawn, strict=True)]
    one, two = (match_instances(*each, strict=strict) for each in (drawn, other))
    assert (one.tp, one.fp, one.fn) == (two.tp, two.fp, two.fn)
    assert one.panoptic_quality == pytest.approx(two.panoptic_quality, nan_ok=True)


SWAPPED = {"greedy": "greedy", "optimal": "optimal", "all": "all", "many_to_one": "one_to_many"}


@pytest.mark.parametrize("matching", SWAPPED)
@given(drawn=maps(6, 40), threshold=st.sampled_from([0.2, 0.5]))
@settings(max_examples=30, deadline=None)
def test_exchanged_maps_exchange_misses_and_false_alarms(matching: str, drawn: Map, threshold: float) -> None:
    if matching in ("greedy", "many_to_one") and threshold < 0.5:
        ranked = list(scores(*drawn, "iou").values())
        if len(set(ranked)) < len(ranked):
            return  # ties, which the order of true ids decides
    one = match_instances(*drawn, threshold, matching=matching)
    two = match_instances(*drawn[::-1], threshold, matching=SWAPPED[matching])
    assert (one.misses.ids.tolist(), one.false_alarms.ids.tolist()) == (
        two.false_alarms.ids.tolist(),
        two.misses.ids.tolist(),
    ) or matching == "optimal"
    assert (one.fp, one.fn) == (two.fn, two.fp)
    if matching != "all":
        assert one.tp == two.tp
        assert one.panoptic_quality == pytest.approx(two.panoptic_quality, nan_ok=True)


@given(drawn=maps(6, 40), cut=st.integers(0, 40))
@settings(max_examples=30, deadline=None)
def test_parts_of_a_volume_merge(drawn: Map, cut: int) -> None:
    parts = count_pairs(*drawn[:, :cut]).merge(count_pairs(*drawn[:, cut:])) if 0 < cut < 40 else count_pairs(*drawn)
    one, two = match_pairs(parts, 0.2), match_instances(*drawn, 0.2)
    assert pairs_of(one) == pairs_of(two)
    assert one.pairs.iou.tolist() == two.pairs.iou.tolist()


@given(drawn=arrays(np.int64, (2, 3, 20), elements=st.integers(0, 4)))
@settings(max_examples=30, deadline=None)
def test_samples_are_matched_apart_and_counted_together(drawn: Map) -> None:
    together = match_instances(*drawn, sample_axis=0)
    alone = [match_instances(drawn[0, n], drawn[1, n]) for n in range(3)]
    assert (together.tp, together.fp, together.fn) == tuple(
        sum(getattr(each, name) for each in alone) for name in ("tp", "fp", "fn")
    )
    assert together.of_cases("f1") == pytest.approx([each.f1 for each in alone], nan_ok=True)
    assert together.misses.case.tolist() == [n for n, each in enumerate(alone) for _ in range(len(each.misses))]


def test_thresholds_of_one_count() -> None:
    true, pred = np.random.default_rng(0).integers(0, 4, (2, 30)) + 10 * (np.arange(30) // 6)
    found = match_instances(true, pred, matching="optimal", strict=False)
    each = [match_instances(true, pred, t, matching="optimal", strict=False).accuracy for t in THRESHOLDS]
    assert THRESHOLDS == (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
    assert [found.at(t).accuracy for t in THRESHOLDS] == each
    assert found.mean_accuracy() == np.mean(each)
    assert found.over("accuracy").tolist() == each
    assert found.over("f1", [0.3, 0.6]).tolist() == [found.at(0.3).f1, found.at(0.6).f1]


def test_another_rule_of_one_count() -> None:
    true, pred = np.random.default_rng(0).integers(0, 4, (2, 30)) + 10 * (np.arange(30) // 6)
    found = match_instances(true, pred)
    for options in ({"criterion": "dice", "threshold": 0.3}, {"matching": "all", "criterion": "overlap", "threshold": 0},
                    {"strict": False}, {"matching": "optimal", "objective": "count", "threshold": 0.1}):  # fmt: skip
        again = match_instances(true, pred, **options)
        assert pairs_of(found.at(**options)) == pairs_of(again)
        assert found.at(**options).rule == again.rule
    with pytest.raises(TypeError, match="region: expected one of threshold, criterion, matching, objective, strict"):
        found.at(region=2)
    with pytest.raises(ValueError, match="criterion: expected 'iou'"):
        found.at(criterion="jaccard")


def test_what_is_printed_is_short() -> None:
    found = match_instances(np.arange(5000), np.arange(5000) // 2 * 2, 0.3)
    assert repr(found) == "<InstanceMatching: 2,499 found, 2,500 missed, 0 invented (iou > 0.3, greedy)>"
    assert repr(found.graph) == "<OverlapGraph of 4,999 true and 2,499 predicted segments, 4,998 overlaps>"
    assert repr(found.pairs) == "<2,499 matched pairs>"
    assert repr(found.misses) == "<2,500 unmatched segments>"


def test_a_threshold_that_is_equalled() -> None:
    assert match_instances([1, 1], [0, 2]).tp == 0
    assert match_instances([1, 1], [0, 2], strict=False).tp == 1
    assert match_instances([1] * 10, [2] + [0] * 9, 0.1, strict=False).tp == 1


def test_ties_go_to_the_lower_true_and_then_the_lower_predicted_id() -> None:
    true, pred = [2, 2, 1, 1], [8, 9, 9, 8]
    assert pairs_of(match_instances(true, pred, 0.1)) == [(1, 8), (2, 9)]
    assert pairs_of(match_instances([3, 3, 3, 5, 5, 5], [7, 7, 7, 7, 7, 7], 0.1)) == [(3, 7)]
    assert pairs_of(match_instances([3, 3], [9, 4], 0.1)) == [(3, 4)]


def test_classes_crowds_and_stuff() -> None:
    true = [1, 1, 2, 2, 3, 3, 3, 3, 0, 0, 6, 7]
    pred = [5, 5, 6, 6, 7, 7, 8, 0, 9, 9, 4, 4]
    of_true, of_pred = {1: 1, 2: 1, 3: 1, 6: 3, 7: 3}, {5: 1, 6: 2, 7: 1, 8: 2, 9: 1, 4: 3}
    found = match_instances(true, pred, true_classes=of_true, pred_classes=of_pred, crowd=3, stuff=3)
    # 5 finds 1; 6 is of another class than 2; 7 lies in a crowd of its class, 8 in one of another; 4 is all of 6 and 7.
    assert pairs_of(found) == [(1, 5), (6, 4)]
    assert found.misses.ids.tolist() == [2]
    assert found.false_alarms.ids.tolist() == [6, 8, 9]
    assert found.classes.tolist() == [1, 2, 3]
    assert found.of_classes("recall").tolist()[::2] == [0.5, 1.0]
    assert found.of_classes("panoptic_quality") == pytest.approx([0.5, 0.0, 1.0])
    assert found.mean("panoptic_quality", [1, 2]) == 0.25
    assert found.panoptic_quality == 0.5


def test_crowds_of_each_sample() -> None:
    maps = np.array([[1, 1, 2, 2], [1, 1, 2, 2]])
    found = match_instances(maps, maps * 0, sample_axis=0, crowd=[[], [1, 2]])
    assert found.misses.case.tolist() == [0, 0]
    assert match_pairs(count_pairs(maps, maps * 0, sample_axis=0), crowd=2).fn == 2
    assert match_pairs(count_pairs(maps[0], maps[0] * 0), crowd={1}, void=2).fn == 0


def test_what_is_void_is_in_no_union_and_no_false_alarm() -> None:
    true, pred = [255, 255, 255, 1, 1, 2, 255], [3, 3, 0, 4, 4, 0, 4]
    found = match_instances(true, pred, void=255)
    assert (found.tp, found.fp, found.fn) == (1, 0, 1)
    assert found.pairs.iou.tolist() == [1.0]
    assert match_instances(true, pred).fp == 1


def test_sizes() -> None:
    true, pred = np.repeat([1, 2, 3, 4], [1, 2, 2, 4]), np.repeat([1, 0, 3, 4], [1, 2, 2, 4])
    found = match_instances(true, pred)
    recall, instances = found.sensitivity_by_size([1, 2, 3, 4])
    assert recall == pytest.approx([1.0, 0.5, np.nan], nan_ok=True)
    assert instances.tolist() == [1, 2, 0]
    assert (found.false_negative_voxels, found.false_positive_voxels) == (2.0, 0.0)
    assert (found.count_difference, found.volume_difference) == (1, 2.0)
    small = match_instances(true, pred, min_voxels=2)
    assert (small.tp, small.fn, small.graph.true.ids.tolist()) == (2, 1, [2, 3, 4])


def test_sizes_in_millilitres() -> None:
    true = np.repeat([1, 2, 0], [3, 7, 2]).reshape(1, 3, 4)
    pred = np.where(true == 1, 5, 0)
    found = match_instances(true, pred, spacing=(1, 1, 0.1))
    recall, instances = found.sensitivity_by_size(
        [0, 0.0003, 0.0007, 1], unit="ml"
    )  # 3 and 7 times 0.0001: bounds belong above
    assert (recall.tolist()[1:], instances.tolist()) == ([1.0, 0.0], [0, 1, 1])
    with pytest.raises(ValueError, match="unit: expected 'voxels' where nobody says how large one is"):
        match_instances(true, pred).sensitivity_by_size([0, 1], unit="ml")
    pairs = match_pairs(count_pairs(true, pred), min_voxels=4, voxel_ml=0.5)
    assert (pairs.tp, pairs.fn, pairs.fp, pairs.false_negative_ml) == (0, 1, 0, 3.5)
    with pytest.raises(ValueError, match="'cremi', which is of metrics of partitions"):
        match_instances(true, pred, convention="cremi")


# ---- Optimal matching of large graphs
def drawn_graph(seed: int, size: int, edges: int, levels: int) -> tuple[Map, Map, Map]:
    draw = np.random.default_rng(seed)
    keys = np.unique(draw.integers(0, size * size, edges))
    return keys // size, keys % size, draw.integers(1, levels, keys.size) / levels


@given(
    seed=st.integers(0, 10**6), size=st.integers(1, 30), edges=st.integers(1, 120), levels=st.sampled_from([3, 10**6])
)
@settings(max_examples=150, deadline=None)
def test_what_outweighs_the_others_is_taken_first(seed: int, size: int, edges: int, levels: int) -> None:
    rows, columns, weights = drawn_graph(seed, size, edges, levels)
    chosen = assignment.optimal(rows, columns, weights)
    matrix = np.zeros((size, size))
    matrix[rows, columns] = weights
    assert weights[chosen].sum() == pytest.approx(matrix[linear_sum_assignment(matrix, maximize=True)].sum())
    assert max(np.bincount(rows[chosen]).max(), np.bincount(columns[chosen]).max()) == 1
    before, assignment._FEW = assignment._FEW, 0  # all is left to the solvers
    try:
        again = assignment.optimal(rows, columns, weights)
    finally:
        assignment._FEW = before
    assert weights[again].sum() == pytest.approx(weights[chosen].sum())


def test_a_block_of_many_segments() -> None:
    """Each segment overlaps its neighbours on both sides, a little more or less: no block is small before any is taken."""
    draw = np.random.default_rng(0)
    ends = np.cumsum(draw.integers(4, 9, 5000))
    true = np.repeat(np.arange(1, 5001), np.diff(ends, prepend=0))
    pred = np.roll(true, 3)
    found = match_instances(true, pred, 0.0, matching="optimal", objective="count", centroids=False)
    assert found.tp == 5000
    greedy = match_instances(true, pred, 0.0, centroids=False)
    best = match_instances(true, pred, 0.0, matching="optimal", centroids=False)
    assert best.pairs.iou.sum() >= greedy.pairs.iou.sum()


# ---- Large, and made to be hard
def test_one_segment_over_everything() -> None:
    true = np.repeat(np.arange(1, 100_001), 2)
    found = match_instances(true, np.ones_like(true), 0.0, matching="optimal", centroids=False)
    assert (found.tp, found.fp, found.fn) == (1, 0, 99_999)
    assert match_instances(true, np.ones_like(true), matching="merge").tp == 0


def test_a_block_too_large_for_a_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    """A chain, where each segment overlaps two: the matching that takes every first is the best, or that of every second."""
    true = np.repeat(np.arange(1, 3001), 5)
    pred = np.roll(np.repeat(np.arange(1, 3001), 5), 2)  # 3 of 5 with its own, 2 with the one before
    monkeypatch.setattr(assignment, "_DENSE", 1000)
    found = match_instances(true, pred, 0.1, matching="optimal")
    assert found.tp == 3000
    assert found.pairs.iou == pytest.approx(3 / 7)


@given(drawn=maps(6, 40))
@settings(max_examples=30, deadline=None)
def test_both_solvers_are_as_good(drawn: Map) -> None:
    dense = match_instances(*drawn, 0.0, matching="optimal")
    before, assignment._DENSE = assignment._DENSE, 0
    try:
        sparse = match_instances(*drawn, 0.0, matching="optimal")
    finally:
        assignment._DENSE = before
    assert sparse.pairs.iou.sum() == pytest.approx(dense.pairs.iou.sum())


def test_ids_beyond_what_is_signed() -> None:
    true = np.array([2**64 - 1, 2**64 - 1, 0], np.uint64)
    found = match_instances(true, np.array([-1, -1, 7]))
    assert pairs_of(found) == [(2**64 - 1, -1)]
    assert found.false_alarms.ids.tolist() == [7]
    for option in ("crowd", "void", "pred_void"):
        left_out = match_instances(true, true, **{option: [2**64 - 1, 5]})
        assert (left_out.tp, left_out.fp, left_out.fn) == (0, 0, 0), option
        with pytest.raises(ValueError, match=f"{option}: expected integers of 64 bits, found "):
            match_instances(true, true, **{option: 2**64})


def test_a_thousand_files_are_matched_as_they_were_counted() -> None:
    counts = count_pairs([1, 1, 0], [1, 0, 2]).concat(count_pairs([3], [3]))
    found = match_pairs(counts, 0.4)
    assert found.of_cases("f1").tolist() == [pytest.approx(2 / 3), 1.0]
    assert fastseg.metrics.instances.match_pairs is match_pairs
