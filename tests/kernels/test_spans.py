"""What every backend makes of single spans, as `fastseg.kernels.protocols` has it: also what calls refuse or hide."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from fastseg.kernels import BACKENDS, counter_of
from fastseg.kernels.numpy.encoding import argmax_block
from fastseg.kernels.protocols.labels import MaskBlock, Span
from fastseg.kernels.protocols.scores import RANGE_TOLERANCE, GradientTerms, ScoreOptions, ScoreSpan, ScoreTally

every_backend = pytest.mark.parametrize("backend", BACKENDS)
#: Weights, and which of them are good.
WEIGHTS = np.array([0.5, -1.0, np.nan, np.inf, 0.0, 2.0])
GOOD = np.array([True, False, False, False, True, True])


# ---- Labels and masks


@every_backend
def test_bad_weights_are_counted(backend: str) -> None:
    labels = np.arange(6, dtype="u1")
    with counter_of(backend).PairCounter(labels.dtype, labels.dtype) as counter:
        assert counter.update(Span((labels, labels, None, WEIGHTS), 1, 6, (0, 0, 0, 0)))
        pairs = counter.take()
    assert pairs.bad_weights == 3
    found = dict(zip(pairs.true.tolist(), pairs.weights.tolist(), strict=True))
    assert [found.get(label, 0) for label in (0, 4, 5)] == [0.5, 0, 2]


@every_backend
def test_no_span_has_no_weights(backend: str) -> None:
    with counter_of(backend).PairCounter(np.dtype("u1"), np.dtype("u1")) as counter:
        pairs = counter.take()
    assert pairs.weights is None
    assert (pairs.true.size, pairs.outside, pairs.bad_weights) == (0, 0, 0)


@every_backend
def test_a_block_of_masks_with_bad_weights(backend: str) -> None:
    ones = np.ones((1, 1, 1, 6), bool)
    for inside, bad in ((np.ones(6, bool), True), (GOOD, False)):
        block = MaskBlock(ones, ones, inside.reshape(1, 1, 1, 6), WEIGHTS.reshape(1, 1, 1, 6), (False, False))
        tally = counter_of(backend).MaskCounter().count(block)
        assert tally.bad == bad
        assert tally.inside.tolist() == [inside.sum()]
        if not bad:
            assert tally.sums.tolist() == [[[2.5, 0, 0, 0]]]


# ---- Scores


def sums(backend: str, options: ScoreOptions, span: ScoreSpan) -> tuple[ScoreTally, Any]:
    with counter_of(backend).ScoreCounter(options) as counter:
        labels = counter.update(span)
        return counter.take(), tuple(None if each is None else each.tolist() for each in labels)


def options(channels: int, *quantities: str, activation: str | None = None, soft: bool = False, **more: Any) -> Any:
    return ScoreOptions(channels, activation, soft, frozenset(quantities), **more)


@every_backend
def test_how_far_outside_probabilities_may_be(backend: str) -> None:
    edges = np.array([-RANGE_TOLERANCE, 1 + RANGE_TOLERANCE])
    beyond = edges + [-1e-6, 1e-6]
    for values, bad in ((edges, 0), (beyond, 2)):
        tally, _ = sums(backend, options(1, "absolute"), ScoreSpan(values[None], np.zeros(2, "u1"), None, None))
        assert tally.bad == bad
        truth = np.clip(values, 0, 1)[None]
        tally, _ = sums(backend, options(1, "absolute", soft=True), ScoreSpan(truth, values[None], None, None))
        assert tally.bad == bad


@every_backend
def test_how_far_from_one_probabilities_may_sum(backend: str) -> None:
    for value, bad in ((0.75, 0), (0.765625, 1)):
        scores = np.array([[0.75], [value]])
        wanted = options(2, "absolute", sum_tolerance=0.5)
        assert sums(backend, wanted, ScoreSpan(scores, np.zeros(1, "u1"), None, None))[0].bad == bad


@every_backend
def test_labels_of_no_class_are_not_looked_at(backend: str) -> None:
    scores = np.full((3, 5), 0.25, "f4")
    for truth in (np.array([0, 3, 2, 1, 200], "u1"), np.array([0, 3, -1, 2, 1.5], "f8")):
        looked_at = np.isin(truth, [0, 2])
        tally, _ = sums(backend, options(3, "dice", ignored=(1,)), ScoreSpan(scores, truth, None, None))
        assert tally.sums["pred"].tolist() == [0.25 * looked_at.sum()] * 3
        assert tally.sums["true_pred"].tolist() == [0.25, 0, 0.25]


@every_backend
def test_differences_keep_their_digits_where_probabilities_are_near_one(backend: str) -> None:
    logits = np.array([[50.0], [0.0]])
    rest = np.exp(-50.0)
    span = ScoreSpan(logits, np.zeros(1, "u1"), None, None)
    tally, _ = sums(backend, options(2, "absolute", activation="softmax"), span)
    np.testing.assert_allclose(tally.sums["absolute"], [rest, rest], rtol=1e-6)


@every_backend
def test_a_half_is_neither_true_nor_predicted(backend: str) -> None:
    halves = np.array([[0.5, 0.5, 0.75]])
    truth = np.array([[0.5, 0.75, 0.5]])
    _, labels = sums(backend, options(1, "argmax", soft=True), ScoreSpan(halves, truth, None, None))
    assert labels == ([0, 1, 0], [0, 0, 1])


@every_backend
@pytest.mark.parametrize("channels", [256, 257])
def test_predicted_labels_are_as_wide_as_the_classes_need(backend: str, channels: int) -> None:
    scores = np.zeros((channels, 2), "f4")
    scores[channels - 1, 0] = scores[3, 1] = 1
    span = ScoreSpan(scores, np.zeros(2, "u2"), None, None)
    _, labels = sums(backend, options(channels, "argmax"), span)
    assert labels == (None, [channels - 1, 3])


# ---- Gradients


TERMS = GradientTerms(
    *(np.array(values, np.float32) for values in ([2, 3], [5, 7], [0.5, -1], [0.25, 0.5], [1, 2], [9, 9], [9, 9]))
)


def gradient(backend: str, wanted: ScoreOptions, span: ScoreSpan, terms: GradientTerms = TERMS) -> Any:
    out = np.full(span.scores.shape, np.nan, np.float32)
    with counter_of(backend).GradientWriter(wanted) as writer:
        writer.write(span._replace(out=out), terms)
    return out


@every_backend
def test_no_gradient_where_a_label_is_not_looked_at(backend: str) -> None:
    scores = np.array([[0.5] * 5, [0.25] * 5], "f4")
    truth = np.array([0, 2, -1, 1, 255], "i2")
    found = gradient(backend, options(2, ignored=(1,)), ScoreSpan(scores, truth, None, None))
    # slope·t + curve·p + level − (base + hit·t) / p
    assert found.tolist() == [[2.5 + 2 + 0.5 - 2.5, *[0.0] * 4], [1.75 - 1 - 2, *[0.0] * 4]]


@every_backend
def test_gradients_of_one_class_go_by_label_one(backend: str) -> None:
    one = GradientTerms(*(values[:1] for values in dataclasses.astuple(TERMS)))
    scores = np.array([[0.25, 0.25]], "f4")
    found = gradient(backend, options(1), ScoreSpan(scores, np.array([0, 1], "u1"), None, None), one)
    # slope·t + curve·p + level − hit·(t − p) / (p (1 − p))
    np.testing.assert_allclose(found, [[1.75 + 0.25 / 0.1875, 3.75 - 0.75 / 0.1875]], rtol=1e-6)


@every_backend
def test_gradients_of_probabilities_at_zero(backend: str) -> None:
    """Without a term of cross-entropy there is nothing that would be infinite, nor where truth and prediction agree."""
    still = GradientTerms(*(np.array([value], np.float32) for value in (2, 5, 0.5, 0, 0, 0, 0)))
    scores, truth = np.array([[0.0, 0.0, 0.25]], "f4"), np.array([0, 1, 1], "u1")
    found = gradient(backend, options(1), ScoreSpan(scores, truth, None, None), still)
    assert found.tolist() == [[0.5, 2.5, 3.75]]
    steep = GradientTerms(*(np.array([value], np.float32) for value in (2, 5, 0.5, 0, 1, 0, 0)))
    found = gradient(backend, options(1), ScoreSpan(scores, truth, None, None), steep)
    np.testing.assert_allclose(found, [[0.5, -np.inf, 3.75 - 4]], rtol=1e-6)


def bits(values: Any) -> Any:
    """Return numbers that bfloat16 has as it has them, as int16."""
    return (np.asarray(values, np.float32).view(np.uint32) >> 16).astype(np.uint16).view(np.int16)


@every_backend
def test_bits_of_bfloat16_are_scores_and_truths(backend: str) -> None:
    scores, truth = np.array([[0.75, 0.5], [0.25, 0.5]], "f4"), np.array([[0.5, 1], [0.5, 0]], "f4")
    for own, true in ((bits(scores), truth), (scores, bits(truth)), (bits(scores), bits(truth))):
        kinds = {"score_bfloat16": own.dtype == "i2", "true_bfloat16": true.dtype == "i2"}
        span = ScoreSpan(own, true, None, None)
        tally, _ = sums(backend, options(2, "dice", soft=True, **kinds), span)
        assert tally.sums["true_pred"].tolist() == [0.875, 0.125]
        found = gradient(backend, options(2, soft=True, **kinds), span)
        expected = gradient("numpy", options(2, soft=True), ScoreSpan(scores, truth, None, None))
        np.testing.assert_allclose(found, expected, rtol=1e-6)


# ---- One-hot and argmax, where they are NumPy's for all


@pytest.mark.parametrize(
    ("scores", "limit", "expected"),
    [
        (np.array([0.25, 0.5, 0.75], "f4"), 0.5, [0, 0, 1]),
        (np.array([-1.25, -1.0, -0.75], "f8"), -1.0, [0, 0, 1]),
        (np.array([2**53, 2**53 + 1, 2**53 + 2], "i8"), 2.0**53, [0, 1, 1]),
        (np.array([1, 2, 3], "i4"), np.inf, [0, 0, 0]),
        (np.array([1, 2, 3], "u1"), 1.5, [0, 1, 1]),
        (np.array([False, True]), 0.5, [0, 1]),
    ],
)
def test_one_class_against_a_limit(scores: Any, limit: float, expected: list[int]) -> None:
    target = np.full(len(scores), 9, "u1")
    assert argmax_block(scores[:, None], target, limit) == 0
    assert target.tolist() == expected
