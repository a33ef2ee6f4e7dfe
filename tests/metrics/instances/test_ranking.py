"""Average precision and FROC, against sums by hand, scikit-learn and exacta."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import average_precision_score

from fastseg import label_components, match_instances


def test_by_hand() -> None:
    true = [1, 1, 2, 2, 3, 3, 0, 0]
    pred = [1, 1, 2, 0, 0, 0, 4, 5]
    curve = match_instances(true, pred, 0.4).ranked({1: 0.9, 4: 0.8, 2: 0.7, 5: 0.1})
    assert curve.thresholds.tolist() == [np.inf, 0.9, 0.8, 0.7, 0.1]
    assert (curve.tp.tolist(), curve.fp.tolist()) == ([0, 1, 1, 2, 2], [0, 0, 1, 1, 2])
    assert curve.recall == pytest.approx([0, 1 / 3, 1 / 3, 2 / 3, 2 / 3])
    assert curve.average_precision == pytest.approx(1 / 3 + 2 / 9)
    # Recalls 0 to 0.33 at precision 1, and 0.34 to 0.66 at 2/3.
    assert curve.interpolated_average_precision == pytest.approx((34 + 33 * 2 / 3) / 101)
    assert [curve.sensitivity_at(n) for n in (0, 0.5, 1, 9)] == pytest.approx([1 / 3, 1 / 3, 2 / 3, 2 / 3])
    assert curve.froc_score([0, 1]) == pytest.approx(0.5)


def test_a_second_prediction_of_the_same_is_a_false_alarm_however_well_it_fits() -> None:
    matching = match_instances([1] * 8, [5] * 5 + [6] * 3, 0.2)
    assert matching.ranked({5: 0.1, 6: 0.9}).fp.tolist() == [0, 0, 1]
    assert matching.ranked({5: 0.1, 6: 0.9}, rematch=False).fp.tolist() == [0, 1, 1]


def test_void_and_nothing() -> None:
    curve = match_instances([9, 9, 1], [3, 3, 4], void=9).ranked({3: 0.9, 4: 0.5})
    assert (curve.tp.tolist(), curve.fp.tolist()) == ([0, 1], [0, 0])
    empty = match_instances([0, 0], [0, 3]).ranked({3: 0.2})
    assert np.isnan([empty.average_precision, empty.interpolated_average_precision, empty.froc_score()]).all()
    assert match_instances([1, 1], [0, 0]).ranked({}).average_precision == 0


@given(
    maps=arrays(np.int64, (2, 40), elements=st.integers(0, 6)),
    confidences=st.lists(st.sampled_from([0.1, 0.2, 0.5, 0.8]), min_size=6, max_size=6),
)
@settings(max_examples=60, deadline=None)
def test_scikit_learn_where_everything_is_found(maps: np.ndarray, confidences: list[float]) -> None:
    matching = match_instances(*maps, 0.0)
    found = set(matching.pairs.pred.tolist())
    given = {k: confidences[k - 1] for k in np.unique(maps[1]).tolist() if k}
    if found:
        curve = matching.ranked(given, rematch=False)
        wanted = average_precision_score([k in found for k in given], list(given.values()))
        assert curve.average_precision == pytest.approx(wanted * matching.recall)


@pytest.mark.torch
@given(maps=arrays(np.uint8, (2, 2, 5, 6, 4), elements=st.sampled_from([0, 0, 1])), seed=st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_exacta(maps: np.ndarray, seed: int) -> None:
    import torch
    from exacta.detection import lesion_detection

    components = np.stack([label_components(case) for case in maps[1]])
    given = [dict(enumerate(np.random.default_rng(seed + n).integers(0, 8, 200) / 8)) for n in range(2)]
    scores = np.stack([np.vectorize(own.get)(case) for own, case in zip(given, components, strict=True)])
    wanted = lesion_detection(
        *(torch.tensor(each) for each in (maps[1], maps[0], scores)), connectivity=3, iou_threshold=0.2, num_classes=2
    ).curves[0]
    matching = match_instances(maps[0] > 0, maps[1] > 0, 0.2, strict=False, sample_axis=0)
    curve = matching.ranked(given)
    assert curve.tp.tolist() == wanted.true_positives.tolist()
    assert curve.fp.tolist() == wanted.false_positives.tolist()
    assert curve.average_precision == pytest.approx(float(wanted.average_precision), nan_ok=True)
    for budget in (0, 0.5, 2):
        assert curve.sensitivity_at(budget) == pytest.approx(float(wanted.sensitivity_at(budget)), nan_ok=True)


@pytest.mark.parametrize(
    ("confidences", "message"),
    [
        ({1: 0.5}, "confidences: expected one for each predicted id, found none for 2 of case 0"),
        ({1: 0.5, 2: np.nan}, "confidences: expected numbers, found NaN for 2"),
        ([0.5, 0.7], "confidences: expected a mapping from ids, or a sequence of one for each case, found list"),
        ([{1: 0.5, 2: 0.5}] * 2, r"confidences: expected a mapping for each of 1 case\(s\), found 2"),
    ],
)
def test_what_is_refused(confidences: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        match_instances([1, 2], [1, 2]).ranked(confidences)


def test_what_does_not_count_is_neither_found_nor_missed() -> None:
    """A lesion that is too small for the convention, and the prediction that finds it."""
    true, pred = np.zeros((2, 12, 12, 12), bool)
    true[:4, :4, :4] = pred[:4, :4, :4] = True
    true[9, 9, 9] = pred[9, 9, 9] = pred[0, 11, 11] = True
    found = match_instances(true, pred, convention="brats")
    assert (found.tp, found.fp, found.fn) == (1, 1, 0)
    for rematch in (True, False):
        curve = found.ranked({1: 0.9, 2: 0.5, 3: 0.2}, rematch=rematch)
        assert (curve.num_true, curve.tp.tolist(), curve.fp.tolist()) == (1, [0, 1, 1], [0, 0, 1])
