"""Cases without a prediction that are scored as the worst possible ones: numbers worked out by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from fastseg.metrics import REGISTRY
from fastseg.metrics.conventions import CONVENTIONS
from fastseg.runs import CaseRecord, Run, Settings
from fastseg.runs.comparison.compare import compare_runs
from fastseg.runs.results.gates import check_gates, parse_gate
from fastseg.runs.results.statistics import summarise

NAN = float("nan")
SCORED = [(0, 0, 6), (0, 1, 2), (1, 1, 2)]
MISSED = [(0, 7), (1, 3)]  # the reference has labels 0 and 1, and not 2


def scored(name: str, pairs: list[tuple[int, int, int]] = SCORED) -> CaseRecord:
    voxels = (sum(pair[2] for pair in pairs), 0, 0, 0)
    return CaseRecord(name, "scored", name, name, pairs=np.array(pairs, np.int64).reshape(-1, 3), voxels=voxels)


def missing(name: str, unknown: list[tuple[int, int]] = MISSED, ignored: int = 0) -> CaseRecord:
    voxels = (0, ignored, 0, sum(pair[1] for pair in unknown))
    table = np.array(unknown, np.int64).reshape(-1, 2)
    return CaseRecord(name, "missing", name, None, unknown=table, voxels=voxels)


def run_of(*records: CaseRecord, **settings: Any) -> Run:
    return Run(Settings(**{"labels": (0, 1, 2), "missing": "worst", **settings}), records)


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_every_metric_of_a_missing_prediction_has_its_worst_value(convention: str) -> None:
    run = run_of(scored("a"), missing("b"), convention=convention)
    for name, metric in REGISTRY.items():
        values = run.values(name)[1].tolist()
        if metric.overall is not None:
            expected = [-1.0 if metric.name in ("cohen_kappa", "matthews_corrcoef") else 0.0]
        elif metric.better == "higher":
            expected = [0.0, 0.0, NAN]
        elif metric.better == "lower":
            expected = [1.0, 1.0, NAN]
        else:
            continue
        np.testing.assert_array_equal(values, expected, err_msg=name)
    # what has no worst value keeps what the counts give: 7 and 3 voxels of 10, all of them missed
    np.testing.assert_array_equal(run.values("support")[1, :2], [7, 3])
    np.testing.assert_array_equal(run.values("relative_volume_difference")[1, :2], [-1, -1])


def test_the_means_fall_with_a_missing_prediction() -> None:
    """Specificity of the scored case is 1 of label 0 and 6/8 of label 1; precision 1 and 2/4."""
    alone, both = run_of(scored("a")), run_of(scored("a"), missing("b"))
    np.testing.assert_array_equal(alone.class_values("specificity")[:2], [1, 0.75])
    np.testing.assert_array_equal(both.class_values("specificity")[:2], [0.5, 0.375])
    np.testing.assert_array_equal(both.class_values("precision")[:2], [0.5, 0.25])
    np.testing.assert_array_equal(both.class_values("false_positive_rate")[:2], [0.5, (2 / 8 + 1) / 2])
    assert both.class_values("specificity")[2] == 1  # of the scored case alone: the other has no label 2
    assert both.mean("accuracy") == (8 / 10 + 0) / 2
    assert both.mean("mcc") == (alone.mean("mcc") - 1) / 2
    precision = next(row for row in summarise(both, ["precision"]) if row.key == 1)
    assert (precision.mean, precision.min, precision.max, precision.defined) == (0.25, 0, 0.5, 2)
    assert not check_gates(both, [parse_gate("1:precision=0.5")])[0].passed
    assert check_gates(alone, [parse_gate("1:precision=0.5")])[0].passed


def test_regions_too() -> None:
    run = run_of(scored("a"), missing("b"), regions={"one": (1, 2), "two": (2,)})
    np.testing.assert_array_equal(run.values("precision")[1], [0, NAN])


def test_of_pooled_counts_the_voxels_are_misses() -> None:
    """Label 1: TP 2, FP 2, FN 3. Accuracy: 8 of 20."""
    run = run_of(scored("a"), missing("b"), convention="sklearn")
    assert run.class_values("precision")[1] == 2 / 4
    assert run.class_values("recall")[1] == 2 / 5
    assert run.mean("accuracy") == 8 / 20


def test_a_reference_that_is_ignored_everywhere_is_no_worst_case() -> None:
    run = run_of(scored("a"), missing("b", [], ignored=10))
    assert len(run.counted) == 2
    assert np.isnan(run.values("dice")[1]).all()
    assert math.isnan(run.values("accuracy")[1, 0])


def test_a_comparison_takes_the_worst_values() -> None:
    a, b = run_of(scored("a"), scored("b", [(0, 0, 7), (1, 1, 3)])), run_of(scored("a"), missing("b"))
    row = next(row for row in compare_runs(a, b, metrics="precision").rows if row.key == 1)
    assert (row.n, row.only_a, row.mean_a, row.mean_b) == (2, 0, 0.75, 0.25)
    assert (row.pooled_a, row.pooled_b) == (5 / 7, 0.5)
