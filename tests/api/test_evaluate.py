"""`evaluate` and `Evaluator` of regions and of masks: what the counts, the surfaces and the metrics say of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastseg
from fastseg import Evaluator, evaluate, metrics

RNG = np.random.default_rng(3)
TRUE = np.kron(RNG.integers(0, 4, (2, 3, 3)), np.ones((1, 4, 5), int))
PRED = np.where(RNG.random(TRUE.shape) < 0.1, 0, TRUE)
REGIONS = {"whole": [1, 2, 3], "core": 2}
NAMES = ["dice", "iou", "accuracy", "hd95"]


def masks(labels: Any) -> Any:
    return np.stack([labels == k for k in (1, 2, 3)], 1)


def test_regions_are_the_classes() -> None:
    counts = fastseg.count_labels(TRUE, PRED, num_classes=4, sample_axis=0)
    scores = evaluate(TRUE, PRED, num_classes=4, sample_axis=0, regions=REGIONS, metrics=NAMES, spacing=1)
    assert scores.classes == ("whole", "core")
    np.testing.assert_array_equal(scores["dice"], metrics.dice(counts.regions({"whole": [1, 2, 3], "core": [2]})))
    np.testing.assert_array_equal(scores["accuracy"], metrics.accuracy(counts))
    surfaces = fastseg.surface_distances(TRUE, PRED, spacing=1, sample_axis=0, regions=REGIONS)
    np.testing.assert_array_equal(scores["hd95"], metrics.hd95(surfaces))


def test_masks_are_the_classes() -> None:
    true, pred = masks(TRUE), masks(PRED)
    options: Any = {"channel_axis": 1, "sample_axis": 0}
    scores = evaluate(true, pred, metrics=NAMES, spacing=1, classes=["a", "b", "c"], **options)
    assert scores.classes == ("a", "b", "c")
    for name in NAMES:
        own = {"spacing": 1} if name == "hd95" else {}
        np.testing.assert_array_equal(scores[name], getattr(fastseg, name)(true, pred, **options, **own))
    assert evaluate(true, pred, channel_axis=1).counts == fastseg.count_masks(true, pred, channel_axis=1)
    assert "liver" in str(evaluate(true, pred, channel_axis=1, names={1: "liver"}))


def test_what_is_refused() -> None:
    with pytest.raises(TypeError, match=r"regions: expected a dict of names and labels, found \[1\]"):
        evaluate(TRUE, PRED, regions=[1])  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"regions\['a'\]: expected an integer, found 1.5"):
        evaluate(TRUE, PRED, regions={"a": [1.5]})  # type: ignore[list-item]
    with pytest.raises(ValueError, match="regions: 'a' names \\[9\\], which are not among the labels"):
        evaluate(TRUE, PRED, num_classes=4, regions={"a": [9]})
    with pytest.raises(ValueError, match="regions: unions of labels, which masks with a channel_axis have not"):
        evaluate(masks(TRUE), masks(PRED), channel_axis=1, regions=REGIONS)
    with pytest.raises(TypeError, match="labels: expected the classes as integers, found dict .*names= names them"):
        evaluate(TRUE, PRED, labels={1: "liver"})
    with pytest.raises(TypeError, match="labels: expected the classes as integers, found str .*evaluate_files"):
        fastseg.dice(TRUE, PRED, labels="labels.txt")  # type: ignore[arg-type]


@pytest.mark.parametrize("options", [{}, {"surfaces": True, "spacing": 1, "num_classes": 4}])
def test_an_evaluator_has_regions(options: dict[str, Any]) -> None:
    chosen = NAMES[:3] if not options else NAMES
    evaluator = Evaluator(per_case=True, regions=REGIONS, metrics=chosen, **options)
    for true, pred in zip(TRUE, PRED, strict=True):
        evaluator.update(true, pred)
    whole = evaluate(TRUE, PRED, sample_axis=0, num_classes=4, regions=REGIONS, metrics=chosen, spacing=1)
    assert str(evaluator.compute()) == str(whole)
    again = Evaluator(per_case=True, regions=REGIONS, metrics=chosen, **options)
    again.load_state_dict(evaluator.state_dict())
    assert str(again.compute()) == str(whole)


def test_an_evaluator_refuses_regions_of_others() -> None:
    with pytest.raises(ValueError, match="regions: 'core' names"):
        Evaluator(num_classes=2, regions={"core": [2]})
    with pytest.raises(TypeError, match="regions: expected counts of labels, found ScoreSums"):
        Evaluator(scores=True, regions=REGIONS)
    options: Any = {"surfaces": True, "spacing": 1, "num_classes": 4}
    with pytest.raises(ValueError, match="expected an evaluator with measuring="):
        Evaluator(regions=REGIONS, **options).merge(Evaluator(**options))
