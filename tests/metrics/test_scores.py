"""Metrics of scores: scikit-learn as an independent oracle, and calibration bin by bin."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import sklearn.metrics as sk
from support.score_examples import DATA, C, N, close

from fastseg import (
    brier_score,
    expected_calibration_error,
    maximum_calibration_error,
    negative_log_likelihood,
    threshold_curve,
    top_k_accuracy,
)


def test_scores_are_scikit_learns() -> None:
    labels, p = DATA.labels.reshape(-1), DATA.p.reshape(-1, C)
    weight = np.random.default_rng(1).random(labels.size)
    for w in (None, weight):
        options = {"labels": np.arange(C), "sample_weight": w}
        assert negative_log_likelihood(labels, p, sample_weight=w) == close(sk.log_loss(labels, p, **options))
        expected = sk.brier_score_loss(labels, p, scale_by_half=False, **options)
        assert brier_score(labels, p, sample_weight=w) == close(expected)
        for k in (1, 2, 3):
            expected = sk.top_k_accuracy_score(labels, p, k=k, **options)
            assert top_k_accuracy(labels, p, k, sample_weight=w) == close(expected)
        yes = labels == 1
        single = brier_score(yes, p[:, 1], channel_axis=None, sample_weight=w)
        assert single == close(sk.brier_score_loss(yes, p[:, 1], sample_weight=w))
    assert top_k_accuracy(labels, p, k=C) == top_k_accuracy(labels, p, k=99) == 1.0
    sigmoid = 1 / (1 + np.exp(-DATA.z))
    loss = brier_score(DATA.binary, DATA.z, activation="sigmoid")
    assert loss == close(np.square(sigmoid - DATA.binary).mean())


@pytest.mark.parametrize("weighted", [False, True])
def test_curves_are_scikit_learns_of_scores_rounded_to_bins(weighted: bool) -> None:
    bins = 64
    p = (np.floor(DATA.p * bins) + 0.5) / bins
    weight = np.random.default_rng(2).random(DATA.labels.shape) if weighted else None
    curve = threshold_curve(DATA.t, p, bins=bins, sample_axis=0, sample_weight=weight)
    assert curve.thresholds.tolist() == [k / bins for k in range(bins)]
    for n in range(N):
        w = None if weight is None else weight[n].reshape(-1)
        for c in range(C):
            yes, score = DATA.t[n, ..., c].reshape(-1), p[n, ..., c].reshape(-1)
            if not yes.any():
                assert np.isnan(curve.average_precision[n, c])
                assert np.isnan(curve.recall[n, c]).all()
                continue
            assert curve.average_precision[n, c] == close(sk.average_precision_score(yes, score, sample_weight=w))
            best = 0.0
            for k in range(0, bins, 7):
                over = score >= k / bins
                dice, iou, recall = (
                    f(yes, over, sample_weight=w) for f in (sk.f1_score, sk.jaccard_score, sk.recall_score)
                )
                precision = sk.precision_score(yes, over, sample_weight=w, zero_division=np.nan)
                assert curve.dice[n, c, k] == close(dice)
                assert curve.iou[n, c, k] == close(iou)
                assert curve.precision[n, c, k] == close(precision)
                assert curve.recall[n, c, k] == close(recall)
                best = max(best, dice)
            assert curve.dice[n, c].max() >= best - 1e-6
            place = int(curve.best_threshold()[n, c] * bins)
            assert curve.dice[n, c, place] == curve.dice[n, c].max()
    total = curve.tp + curve.fp + curve.fn + curve.tn
    assert total == close(np.broadcast_to(total[:, :, :1], total.shape))
    halves = threshold_curve(DATA.sums(bins=bins), bins=bins // 2)
    assert halves.tp == close(threshold_curve(DATA.labels, DATA.p, bins=bins // 2, sample_axis=0).tp)


def test_a_curve_has_256_thresholds_unless_another_number_is_said() -> None:
    rng = np.random.default_rng(0)
    truth, scores = rng.integers(0, 2, 50), rng.random(50)
    assert threshold_curve(truth, scores, channel_axis=None).thresholds.tolist() == [k / 256 for k in range(256)]
    assert threshold_curve(truth, scores, channel_axis=None, bins=3).thresholds.tolist() == [0, 1 / 3, 2 / 3]
    with pytest.raises(ValueError, match="bins: expected a divisor of the 7 bins"):
        threshold_curve(DATA.sums(bins=7), bins=3)


def test_of_the_most_probable_classes_two_count_unless_another_number_is_said() -> None:
    p = [[0.5, 0.3, 0.2], [0.5, 0.3, 0.2], [0.5, 0.3, 0.2]]
    assert [top_k_accuracy([0, 1, 2], p, **k) for k in ({"k": 1}, {}, {"k": 3})] == [1 / 3, 2 / 3, 1]


def test_best_threshold_where_no_threshold_has_a_value() -> None:
    curve = threshold_curve([0, 0], [0.0, 0.2], channel_axis=None, bins=4)
    assert np.isnan(curve.best_threshold("recall")).all()
    assert curve.best_threshold("precision").tolist() == [[0.0]]
    with pytest.raises(ValueError, match="metric: expected 'dice', 'iou', 'precision' or 'recall', found 'f1'"):
        curve.best_threshold("f1")  # type: ignore[arg-type]


# ---- Calibration, bin by bin.


def naive_calibration(p: Any, hits: Any, place: Any) -> tuple[float, float]:
    gaps, counts = [], []
    for b in np.unique(place):
        inside = place == b
        gaps.append(abs(hits[inside].mean() - p[inside].mean()))
        counts.append(inside.sum())
    return float(np.dot(gaps, counts) / sum(counts)), max(gaps)


def both_errors(*args: Any, **options: Any) -> list[Any]:
    return [error(*args, **options) for error in (expected_calibration_error, maximum_calibration_error)]


def test_calibration_is_the_naive_one() -> None:
    labels, p = DATA.labels.reshape(-1), DATA.p.reshape(-1, C)
    top, hits = p.max(1), p.argmax(1) == labels
    assert both_errors(labels, p) == close(naive_calibration(top, hits, np.floor(top * 15)))
    assert both_errors(labels, p, bins=20) == close(naive_calibration(top, hits, np.floor(top * 20)))
    united = [error(DATA.sums(), bins=20) for error in (expected_calibration_error, maximum_calibration_error)]
    assert united == close(naive_calibration(top, hits, np.floor(top * 20)))
    each = [naive_calibration(p[:, c], labels == c, np.floor(p[:, c] * 15)) for c in range(C)]
    assert both_errors(labels, p, per="class") == close(np.mean(each, axis=0))
    assert np.array(both_errors(labels, p, per="class", reduction=None)) == close(np.transpose(each)[:, None])
    cases = [naive_calibration(top[i], hits[i], np.floor(top[i] * 60)) for i in np.arange(labels.size).reshape(N, -1)]
    assert np.array(both_errors(DATA.sums(), reduction=None)) == close(np.transpose(cases))
    sigmoid = 1 / (1 + np.exp(-DATA.z))
    right = (sigmoid > 0.5) == (DATA.binary > 0.5)
    confidence = np.maximum(sigmoid, 1 - sigmoid)
    binary = naive_calibration(confidence.reshape(-1), right.reshape(-1), np.floor(confidence.reshape(-1) * 15))
    assert both_errors(DATA.binary, DATA.z, activation="sigmoid") == close(binary)


def test_bins_of_equal_mass() -> None:
    count = 4096
    top = (np.arange(count) + 0.5) / count  # one voxel in each fine bin of p, in the upper half of a two-class problem
    top = np.sort(np.maximum(top, 1 - top))[::2]
    hits = np.random.default_rng(3).random(top.size) < top**2
    p, labels = np.stack([top, 1 - top], axis=1), np.where(hits, 0, 1)
    groups = np.arange(top.size) * 16 // top.size
    assert both_errors(labels, p, binning="mass", bins=16) == close(naive_calibration(top, hits, groups))
    fine = both_errors(DATA.sums(bins=count), binning="mass", bins=7)
    assert both_errors(DATA.labels, DATA.p, binning="mass", bins=7, sample_axis=0) == fine
    # A third of all voxels share a value: their bin is one group, and nothing is lost.
    top = np.concatenate([np.full(100, 0.9), np.linspace(0.51, 0.89, 200)])
    p, labels = np.stack([top, 1 - top], axis=1), np.zeros(300, int)
    error = expected_calibration_error(labels, p, binning="mass", bins=3)
    assert error == close((1 - top).mean())
    with pytest.raises(ValueError, match="bins: expected at most the 60 bins that were summed, found 61"):
        expected_calibration_error(DATA.sums(), binning="mass", bins=61)


def test_a_bin_goes_where_the_middle_of_its_mass_lies() -> None:
    """Eight of ten voxels share a bin, whose middle is in the lower half; the others, all wrong, have the upper half."""
    top, labels = np.repeat([0.6, 0.9], [8, 2]), np.repeat([0, 1], [8, 2])
    p = np.stack([top, 1 - top], axis=1)
    errors = both_errors(labels, p, binning="mass", bins=2)
    assert errors == close([(8 * 0.4 + 2 * 0.9) / 10, 0.9])
    weight = np.where(top > 0.8, 1e-20, 1.0)  # beyond all of the mass, as far as float64 can tell
    assert both_errors(labels, p, binning="mass", bins=2, sample_weight=weight) == close([0.4, 0.4])


@pytest.mark.parametrize("per", ["top", "class"])
def test_bins_of_equal_mass_are_those_of_each_case_and_class(per: Any) -> None:
    sums = DATA.sums()
    options: dict[str, Any] = {"binning": "mass", "bins": 4, "per": per}
    for together, *apart in zip(
        both_errors(sums, reduction=None, **options),
        *(both_errors(sums.cases([n]), **options) for n in range(N)),
        strict=True,
    ):
        assert (together if per == "top" else together.mean(1)) == close(apart)


def test_one_bin_is_of_any_width_and_mass() -> None:
    sums = DATA.sums()
    one = both_errors(sums, bins=1)
    assert both_errors(sums, bins=1, binning="mass") == close(one)
    assert both_errors(DATA.sums(bins=1), bins=1, binning="mass") == close(one)
    for binning in ("width", "mass"):
        with pytest.raises(ValueError, match="bins: expected an integer of at least 1, found 0"):
            expected_calibration_error(sums, bins=0, binning=binning)
    with pytest.raises(ValueError, match="reduction: expected 'mean' or None, found 'sum'"):
        expected_calibration_error(sums, reduction="sum")  # type: ignore[arg-type]
