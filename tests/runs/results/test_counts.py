"""A run's counts from its records: equal to those of the matrices, and small where there are many labels."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

from fastseg import LabelCounts, metrics
from fastseg.runs import CaseRecord, Run, Settings
from fastseg.runs.comparison.compare import compare_runs
from fastseg.runs.results import numbers
from fastseg.runs.results.numbers import check_matrix

LABELS = (0, 1, 2, 3, 7)
#: Cases of voxels: true label, and predicted one, -1 for one that is unknown.
CASES = st.lists(st.lists(st.tuples(st.sampled_from(LABELS), st.sampled_from((-1, *LABELS))), max_size=12), max_size=4)
REGIONS = st.dictionaries(st.sampled_from("abc"), st.sets(st.sampled_from((*LABELS, 9)), min_size=1).map(tuple))


def record(name: str, voxels: list[tuple[int, int]]) -> CaseRecord:
    known = [pair for pair in voxels if pair[1] >= 0]
    rows, number = np.unique(np.array(known, np.int64).reshape(-1, 2), axis=0, return_counts=True)
    missed, lost = np.unique([true for true, pred in voxels if pred < 0], return_counts=True)
    return CaseRecord(
        name, "scored", name, name, pairs=np.column_stack([rows, number]).astype(np.int64),
        unknown=np.column_stack([missed, lost]).astype(np.int64), voxels=(len(known), 0, 0, len(voxels) - len(known)),
    )  # fmt: skip


def run_of(cases: list[list[tuple[int, int]]], **settings: Any) -> Run:
    return Run(Settings(**settings), tuple(record(f"{n}", voxels) for n, voxels in enumerate(cases)))


def test_numbers_of_voxels_are_not_taken_for_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numbers, "MAX_CLASSES", 3)  # there would be more
    run = run_of([[(0, 0)] * 5 + [(1, 1)] * 6 + [(2, 1)] * 9])
    assert run.values("accuracy").tolist() == [[pytest.approx(11 / 20)]]


@given(CASES, REGIONS, st.booleans())
def test_counts_of_classes_are_those_of_the_matrices(
    cases: list[list[tuple[int, int]]], regions: dict[str, tuple[int, ...]], declared: bool
) -> None:
    if declared:
        regions = {name: tuple(set(members) - {9}) or (0,) for name, members in regions.items()}
    run = run_of(cases, regions=regions, labels=LABELS if declared else None)
    counts: LabelCounts = run.counts()
    expected = counts.regions({k: each.labels for k, each in enumerate(run.classes)})
    for name in ("tp", "fp", "fn", "tn", "voxels"):
        found = getattr(run.binary, name)
        assert found.dtype == np.int64
        np.testing.assert_array_equal(found, getattr(expected, name))
    assert run.binary.classes == expected.classes
    pooled, summed = run.pooled(), counts.pooled()
    for name in ("labels", "matrix", "unknown", "voxels"):
        np.testing.assert_array_equal(getattr(pooled, name), getattr(summed, name))


@given(CASES.filter(len))
def test_labels_that_a_case_lacks_make_no_difference(cases: list[list[tuple[int, int]]]) -> None:
    run = run_of(cases, labels=LABELS)
    for metric in {metric.name: metric for metric in metrics.REGISTRY.values()}.values():
        if metric.overall is not None:
            np.testing.assert_allclose(run.values(metric.name)[:, 0], metric(run.counts()), rtol=1e-14)


def test_labels_that_occur_and_values_that_are_kept() -> None:
    run = run_of([[(3, 1), (3, 3)], [(7, -1)]])
    assert run.labels.tolist() == [1, 3, 7]
    assert not run.values("dice").flags.writeable
    assert not run.counts().closed
    assert run_of([[(3, 1)]], labels=LABELS).counts().closed


def test_as_many_labels_as_a_matrix_can_have(monkeypatch: pytest.MonkeyPatch) -> None:
    check_matrix(np.arange(4096))
    with pytest.raises(ValueError, match="labels: expected at most 4,096"):
        check_matrix(np.arange(4097))
    monkeypatch.setattr("fastseg.runs.results.numbers.MAX_CLASSES", 3)
    cases = [[(0, 0), (1, 1), (2, 1)], [(2, 2)]]
    assert run_of(cases, convention="sklearn").class_values("accuracy").tolist() == [0.75]
    more = run_of([*cases, [(3, 3)]], convention="sklearn")
    assert np.isnan(more.class_values("accuracy")).tolist() == [True]
    with pytest.raises(ValueError, match="labels: expected at most 3 for a confusion matrix, found 4"):
        more.counts()


def test_a_missing_prediction_has_the_worst_of_the_numbers_for_all_classes() -> None:
    missed, ignored = record("a", [(0, -1), (7, -1)]), replace(record("b", []), voxels=(0, 5, 0, 0))
    run = Run(Settings(labels=LABELS), tuple(replace(each, status="missing") for each in (missed, ignored)))
    for name, worst in (("accuracy", 0), ("cohen_kappa", -1), ("matthews_corrcoef", -1)):
        np.testing.assert_array_equal(run.values(name), [[worst], [np.nan]])


def test_a_label_that_is_only_missed_is_a_label_of_its_case() -> None:
    run = run_of([[(0, 0), (1, 1), (7, -1)]], labels=LABELS)
    assert run.values("cohen_kappa")[:, 0].tolist() == metrics.get("cohen_kappa")(run.counts()).tolist()


def test_more_labels_than_a_matrix_can_have() -> None:
    cases = [[(label, label + (label % 3 == 0)) for label in range(first, first + 2500)] for first in (0, 2500)]
    run = run_of(cases, metrics=("dice", "accuracy"))
    assert len(run.classes) == 5000
    np.testing.assert_array_equal(run.binary.tp.sum(1), [1666, 1667])
    np.testing.assert_array_equal(run.values("accuracy")[:, 0], [1666 / 2500, 1667 / 2500])
    assert run.mean("dice") > 0
    for matrices in (run.counts, run.pooled):
        with pytest.raises(ValueError, match="labels: expected at most 4,096 for a confusion matrix, found 5,000"):
            matrices()
    with pytest.raises(ValueError, match="at most 4,096"):
        compare_runs(run, run, metrics="accuracy")
    assert compare_runs(run, run, metrics="dice", resamples=5).rows[-1].difference == 0
    regions = run_of(cases, regions={"low": tuple(range(100)), "high": (4999,)})
    np.testing.assert_array_equal(regions.binary.tp, [[99, 0], [0, 1]])  # 99 is taken for 100
