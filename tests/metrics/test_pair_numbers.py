"""Numbers of partitions: what each metric is, taken apart, and under which names."""

from __future__ import annotations

import numpy as np
import pytest

import fastseg
from fastseg.metrics.choice import chosen_metrics, known_metric, of_partitions
from fastseg.metrics.pair_conventions import PAIR_CONVENTIONS
from fastseg.metrics.pair_numbers import PAIR_NUMBERS, numbers_of
from fastseg.metrics.pairs import PAIR_METRICS

RNG = np.random.default_rng(5)
PAIRS = fastseg.count_pairs(*RNG.integers(0, 6, (2, 3, 40)), sample_axis=0)


def test_a_metric_of_several_numbers_means_all_of_them_once() -> None:
    assert numbers_of(
        ["variation_of_information_merge", "variation_of_information", "adapted_rand_error", "rand_score"]
    ) == [
        "variation_of_information_merge",
        "variation_of_information",
        "variation_of_information_split",
        "adjusted_rand_error",
        "adjusted_rand_error_precision",
        "adjusted_rand_error_recall",
        "rand_index",
    ]
    assert set(PAIR_METRICS) <= set(PAIR_NUMBERS)


@pytest.mark.parametrize("convention", PAIR_CONVENTIONS)
def test_numbers_are_those_of_the_metrics(convention: str) -> None:
    def found(name: str) -> list[float]:
        return PAIR_NUMBERS[name].of(PAIRS, convention).tolist()

    voi = fastseg.metrics.variation_of_information(PAIRS, convention=convention)
    assert found("variation_of_information") == (voi.split + voi.merge).tolist()
    assert found("variation_of_information_split") == voi.split.tolist()
    assert found("variation_of_information_merge") == voi.merge.tolist()
    rand = fastseg.metrics.adjusted_rand_error(PAIRS, convention=convention)
    assert found("adjusted_rand_error") == found("adapted_rand_error") == rand.error.tolist()
    assert found("adjusted_rand_error_recall") == rand.recall.tolist()
    assert found("v_measure") == fastseg.metrics.v_measure(PAIRS, convention=convention).tolist()


def test_which_values_are_better() -> None:
    better = {name: known_metric(name).better for name in PAIR_NUMBERS}
    assert {name for name, value in better.items() if value == "lower"} == {
        "variation_of_information",
        "variation_of_information_split",
        "variation_of_information_merge",
        "adjusted_rand_error",
        "adapted_rand_error",
    }
    assert known_metric("variation_of_information_split").range == (0.0, np.inf)


def test_a_matrix_has_none_of_them() -> None:
    assert of_partitions(["dice", "rand_index"]) == ["rand_index"]
    with pytest.raises(ValueError, match=r"'variation_of_information' is made of the pairs .*PairEvaluator"):
        chosen_metrics(["variation_of_information"], fastseg.count_labels([0, 1], [1, 1]))
