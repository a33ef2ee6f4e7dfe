"""Sums over scores as values: they merge, keep their cases, and go through every format unchanged."""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st
from support.score_sums import ALL, INF, alike, every_backend, example

import fastseg
from fastseg import sum_scores
from fastseg.counts.scores import QUANTITIES, ScoreSums


def some_sums(seed: int, cases: int = 2, **options: Any) -> ScoreSums:
    rng = np.random.default_rng(seed)
    y_true, y_score, _ = example(rng, (cases, int(rng.integers(0, 40))), 3, "f4", "u1", "softmax", False)
    return sum_scores(y_true, y_score, sample_axis=0, activation="softmax", **{**ALL, **options}, backend="numpy")


ZEROS = {"quantities": sorted(QUANTITIES), "bins": 10, "focal_gamma": 2.0}
seeds = st.integers(0, 2**32 - 1)


@given(a=seeds, b=seeds, c=seeds, cases=st.integers(0, 3))
def test_merge_is_a_monoid(a: int, b: int, c: int, cases: int) -> None:
    x, y, z = (some_sums(seed, cases) for seed in (a, b, c))
    zeros = ScoreSums.zeros(3, cases=cases, **ZEROS)
    assert x.merge(zeros) == x == zeros.merge(x)
    assert x.merge(y) == y.merge(x)
    alike(x.merge(y).merge(z), x.merge(y.merge(z)), rel=1e-12, least=0)


@every_backend
@given(seed=seeds, data=st.data())
def test_parts_merge_to_the_whole(backend: str, seed: int, data: Any) -> None:
    rng = np.random.default_rng(seed)
    soft = data.draw(st.booleans())
    activation = data.draw(st.sampled_from([None, "softmax", "sigmoid"]))
    y_true, y_score, options = example(rng, (60, 3), 3, "f4", "f4" if soft else "u1", activation, soft)
    options |= {**ALL, "backend": backend}
    cuts = sorted(data.draw(st.lists(st.integers(0, 60), max_size=4)))
    parts = [sum_scores(y_true[a:b], y_score[a:b], **options) for a, b in zip([0, *cuts], [*cuts, 60], strict=True)]
    merged = parts[0]
    for part in parts[1:]:
        merged = merged.merge(part)
    whole = sum_scores(y_true, y_score, **options)
    alike(merged, whole, rel=1e-12 if backend == "numpy" else 1e-6)


@given(seed=seeds, cases=st.integers(1, 4))
def test_cases(seed: int, cases: int) -> None:
    sums = some_sums(seed, cases)
    singles = [sums.cases([n]) for n in range(cases)]
    assert singles[0].concat(*singles[1:]) == sums
    assert sums.cases(slice(None)) == sums
    assert sums.cases(np.arange(cases)[::-1]).cases(np.arange(cases)[::-1]) == sums
    pooled = singles[0]
    for single in singles[1:]:
        pooled = pooled.merge(single)
    alike(sums.pooled(), pooled, rel=1e-12, least=0)
    assert sums.pooled().num_cases == 1
    assert ScoreSums.zeros(3, cases=0, **ZEROS).concat(sums) == sums


@given(seed=seeds, cases=st.integers(0, 3))
def test_round_trips(seed: int, cases: int) -> None:
    weight = np.array([0.5, 1 / 3, 2.0])
    sums = some_sums(seed, cases, class_weight=weight, label_smoothing=0.1)
    for again in (pickle.loads(pickle.dumps(sums)), copy.deepcopy(sums), ScoreSums.from_bytes(sums.to_bytes())):
        assert again == sums
        assert not again.pred.flags.writeable
    assert ScoreSums.from_dict(sums.to_dict()) == sums


def test_infinite_sums_survive() -> None:
    sums = sum_scores([0, 1], [[0.0, 1], [1.0, 0]], backend="numpy")
    assert sums.cross_entropy.tolist() == [[INF, INF]]
    assert ScoreSums.from_bytes(sums.to_bytes()) == sums
    assert sums.merge(sums).cross_entropy.tolist() == [[INF, INF]]


Y, P = np.array([0, 1, 1], np.uint8), np.array([[0.5, 0.5], [0.25, 0.75], [1, 0]])
DIFFERENT: list[tuple[str, dict[str, Any], str]] = [
    ("quantities", {"quantities": "dice"}, "quantities"),
    ("binary", {"activation": "sigmoid"}, "binary"),
    ("gamma", {"focal_gamma": 3}, "focal_gamma"),
    ("bins", {"bins": 5}, "bins"),
    ("smoothing", {"label_smoothing": 0.1}, "label_smoothing"),
    ("class weight", {"class_weight": [1, 2]}, "class_weight"),
]


@pytest.mark.parametrize(("options", "words"), [d[1:] for d in DIFFERENT], ids=[d[0] for d in DIFFERENT])
def test_different_meanings_do_not_merge(options: dict[str, Any], words: str) -> None:
    sums = sum_scores(Y, P, **ALL, backend="numpy")
    other = sum_scores(Y, P, **{**(ALL if "quantities" not in options else {}), **options}, backend="numpy")
    for join in (sums.merge, sums.concat):
        with pytest.raises(ValueError, match=f"sums differ in .*{words}"):
            join(other)


def test_unlike_sums_do_not_merge() -> None:
    sums = sum_scores(Y, P, backend="numpy")
    for other, words in (
        (sum_scores(Y, np.eye(3)[Y], backend="numpy"), "num_classes: 2 and 3"),
        (sum_scores(np.eye(2)[Y], P, backend="numpy"), "soft: False and True"),
    ):
        with pytest.raises(ValueError, match=words):
            sums.merge(other)
    one = sum_scores([0], [[0.5]], class_weight=[0.0], backend="numpy")
    for left, right in ((one, replace(one, class_weight=None)), (one, replace(one, class_weight=np.array([2.0])))):
        for pair in ((left, right), (right, left)):
            with pytest.raises(ValueError, match="sums differ in class_weight"):
                pair[0].merge(pair[1])
    for quantities in (None, "dice"):  # with an argmax matrix, which would complain too, and without
        one = sum_scores(Y, P, quantities=quantities, backend="numpy")
        with pytest.raises(ValueError, match="1 and 3 cases"):
            one.merge(sum_scores(Y[:, None], P[:, None], sample_axis=0, quantities=quantities, backend="numpy"))
    with pytest.raises(TypeError, match="ScoreSums"):
        sums.merge(fastseg.count_labels(Y, Y))
