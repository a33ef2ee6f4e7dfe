"""Which metrics a name stands for, and their values of any statistic."""

from __future__ import annotations

import numpy as np
import pytest

import fastseg
from fastseg.metrics.choice import chosen_metrics, values_of

TRUE, PRED = np.array([0, 0, 1, 1, 2]), np.array([0, 1, 1, 1, 0])
COUNTS = fastseg.count_labels(TRUE, PRED)


def test_a_metric_that_there_is_none_of_is_refused_before_anything_is_counted() -> None:
    assert chosen_metrics("dice", COUNTS) == ("dice",)
    with pytest.raises(ValueError, match="dise"):
        chosen_metrics("dise", COUNTS)


@pytest.mark.parametrize(("wrong", "meant"), [("dise", "dice"), ("hd59", "hd95"), ("rand_indx", "rand_index")])
def test_a_wrong_name_is_answered_with_a_near_one_of_any_kind(wrong: str, meant: str) -> None:
    text = rf"^metrics: expected some of accuracy, .*; of surfaces .*; of partitions .*; found '{wrong}' "
    text += rf"\(did you mean '{meant}'\?\)$"
    with pytest.raises(ValueError, match=text):
        chosen_metrics(wrong, COUNTS)
    with pytest.raises(ValueError, match=text):
        fastseg.evaluate_folder("a", "b", metrics=wrong)


def test_names_are_names() -> None:
    with pytest.raises(TypeError, match="metrics: expected names, or 'all', found 3"):
        chosen_metrics(3, COUNTS)  # type: ignore[arg-type]


def test_metrics_of_all_classes_together_stand_beside_those_of_regions() -> None:
    assert values_of("accuracy", COUNTS, 0.0).tolist() == [0.6]
    scores = fastseg.Scores(COUNTS, regions={"both": [1, 2]}, metrics=["dice", "accuracy"])
    assert scores.overall == {"accuracy": 0.6}
    assert scores["dice"].tolist() == [pytest.approx(4 / 6)]


def test_a_single_class_has_no_value_of_its_background() -> None:
    p = np.array([[0.75], [0.5], [0.25]])
    sums = fastseg.sum_scores([[0, 1, 1]] * 2, [p, p], sample_axis=0)
    found = values_of("soft_dice", sums, 0.0)
    assert found.shape == (2, 2)
    assert values_of("cross_entropy", sums, 0.0).shape == (2,)  # of all classes together
    assert np.isnan(found[:, 0]).all()
    assert found[:, 1].tolist() == [pytest.approx(2 * 0.75 / (0.875 + 2), rel=1e-6)] * 2
