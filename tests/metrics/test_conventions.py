"""Conventions against the peers themselves where they are installed, and always against what they once said.

How they are asked, and how their answers are written down, is in support/peers.py.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from support.peers import ASK, LABELS, NAN, PACKAGES, Answer, Pairs, draw, nnunet, remembered

from fastseg import BinaryCounts, count_labels
from fastseg.metrics import REGISTRY, get
from fastseg.metrics.conventions import CONVENTIONS, Convention
from fastseg.runs.run import Run
from fastseg.runs.scoring.records import CaseRecord
from fastseg.runs.scoring.settings import Settings


def scored(pairs: Pairs, classes: int, convention: str, **options: Any) -> Run:
    """Return the run of these cases."""
    records = [
        CaseRecord.with_counts(
            count_labels(truth, pred, num_classes=classes, **options),
            id=f"case {n:02}", status="scored", reference=f"{n}", prediction=f"{n}",
        )
        for n, (truth, pred) in enumerate(pairs)
    ]  # fmt: skip
    return Run(Settings(labels=tuple(range(classes)), convention=convention), tuple(records))


TOLERANCE = {"monai": 1e-6, "torchmetrics": 1e-6, "totalsegmentator": 1e-6}  # float32; an epsilon in the denominator


def compare(convention: Convention, answers: dict[str, Answer], pairs: Pairs, classes: int, **options: Any) -> None:
    """Raise AssertionError where a convention's numbers are not the peer's."""
    run = scored(pairs, classes, convention.name, **options)
    binary = run.binary
    for metric, told in answers.items():
        limits = {"rtol": 0, "atol": TOLERANCE.get(convention.name, 1e-13) * (1e3 if metric == "support" else 1)}
        values = convention.values(metric, binary)
        np.testing.assert_allclose(values, told["values"], **limits, err_msg=metric)
        np.testing.assert_allclose(convention.class_means(metric, values, binary), told["classes"], **limits)
        for mean, background in (("mean", convention.background), ("other_mean", not convention.background)):
            if told[mean] is not None:
                in_means = np.arange(classes) >= (0 if background else 1)
                found = convention.mean(metric, values, binary, in_means)
                np.testing.assert_allclose(found, told[mean], **limits, err_msg=f"{metric} {mean}")


@pytest.mark.parametrize("name", LABELS)
@pytest.mark.parametrize("peer", ASK)
def test_numbers_are_what_the_peer_once_said(peer: str, name: str) -> None:
    run = remembered()["runs"][name]
    assert tuple(run["peers"][peer]) == CONVENTIONS[peer].verified
    compare(CONVENTIONS[peer], run["peers"][peer], run["pairs"], run["classes"])


@pytest.mark.parametrize("name", LABELS)
@pytest.mark.parametrize(
    "peer", [pytest.param(peer, marks=[pytest.mark.torch] if peer in ("monai", "torchmetrics") else []) for peer in ASK]
)
def test_numbers_are_what_the_installed_peer_says(peer: str, name: str) -> None:
    if peer in ("monai", "torchmetrics"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pytest.importorskip(peer)
    pairs, classes = remembered()["runs"][name]["pairs"], LABELS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        answers = ASK[peer](pairs, classes)
    compare(CONVENTIONS[peer], answers, pairs, classes)
    for metric, told in remembered()["runs"][name]["peers"][peer].items():
        for key, value in told.items():
            if value is not None:
                np.testing.assert_allclose(answers[metric][key], value, rtol=0, atol=1e-6)


def test_the_cases_have_what_conventions_differ_in() -> None:
    for name in LABELS:
        pairs = remembered()["runs"][name]["pairs"]
        assert all(
            (a == b).all() for old, new in zip(pairs, draw(name), strict=True) for a, b in zip(old, new, strict=True)
        )
        truth, pred = (
            np.array([[(m == k).any() for k in range(5)] for m in maps]) for maps in zip(*pairs, strict=True)
        )
        for empty in (~truth & ~pred, ~truth & pred, truth & ~pred):
            assert empty.any(0).sum() >= 3
        assert truth.any(0).tolist() == [True] * 4 + [name == "complete"]
        assert pred.any(0).tolist() == [True] * 3 + [name == "complete", True]


def test_nnunet_with_an_ignored_label() -> None:
    pairs = remembered()["runs"]["complete"]["pairs"]
    compare(CONVENTIONS["nnunet"], nnunet(pairs, 5, ignored=4), pairs, 5, ignore_index=4)


CHANGES: list[tuple[str, dict[str, Any]]] = [
    ("monai", {"left_out": "nowhere"}),
    ("monai", {"left_out": "absent"}),
    ("monai", {"left_out_of": None}),
    ("monai", {"left_out_of": ("dice",)}),
    ("monai", {"mean_over": "classes"}),
    ("monai", {"mean_over": "values"}),
    ("monai", {"nothing": NAN}),
    ("monai", {"background": False}),
    ("monai", {"zero_division": 0.0}),
    ("torchmetrics", {"left_out": "without truth"}),
    ("torchmetrics", {"mean_over": "classes"}),
    ("torchmetrics", {"mean_over": "values"}),
    ("torchmetrics", {"mean_over_of": {}}),
    ("torchmetrics", {"background": False}),
    ("torchmetrics", {"zero_division": 1.0}),
    ("sklearn", {"pooled": False}),
    ("sklearn", {"left_out": "nowhere"}),
    ("sklearn", {"left_out": "without truth"}),
    ("sklearn", {"zero_division": NAN}),
    ("sklearn", {"background": False}),
    ("sklearn", {"strict": True}),
    ("nnunet", {"strict": False}),
    ("nnunet", {"left_out": "without truth"}),
    ("nnunet", {"left_out": "absent"}),  # of the true counts, which are then not 0
    ("nnunet", {"mean_over": "cases"}),
    ("nnunet", {"background": True}),
    ("totalsegmentator", {"left_out": "nowhere"}),
    ("totalsegmentator", {"left_out": "absent"}),
    ("totalsegmentator", {"zero_division": 1.0, "left_out": "nowhere"}),
]


@pytest.mark.parametrize(("peer", "change"), CHANGES, ids=str)
def test_a_convention_with_one_rule_changed_is_found_out(peer: str, change: dict[str, Any]) -> None:
    changed, found_out = replace(CONVENTIONS[peer], **change), 0
    for run in remembered()["runs"].values():
        try:
            compare(changed, run["peers"][peer], run["pairs"], run["classes"])
        except AssertionError:
            found_out += 1
    assert found_out


def test_table() -> None:
    assert list(CONVENTIONS) == ["fastseg", "monai", "torchmetrics", "nnunet", "sklearn", "totalsegmentator"]
    for name, convention in CONVENTIONS.items():
        assert convention.name == name
        assert convention.description.endswith(".")
        assert convention.description.count(". ") == 0
        assert convention.background == ("foreground" not in convention.description)
        assert {*convention.verified, *(convention.left_out_of or ()), *convention.mean_over_of} <= {
            metric.name for metric in REGISTRY.values()
        }
        assert name == "fastseg" or not any(get(metric).overall for metric in convention.verified)
        peer = PACKAGES.get(name)
        assert peer is None or f"{peer} {remembered()['versions'][peer]}" in convention.source


def counts(*cells: tuple[int, int, int, int]) -> BinaryCounts:
    """Return one class's counts, a case each: TP, FP, FN, TN."""
    tp, fp, fn, tn = (np.array(column)[:, None] for column in zip(*cells, strict=True))
    return BinaryCounts((1,), tp, fp, fn, tn, np.zeros((len(cells), 4), np.int64))


# A case with both maps, one with neither, one with only a prediction, one with only a truth: Dice 0.5, precision 1/2.
EMPTY = counts((1, 1, 1, 7), (0, 0, 0, 10), (0, 2, 0, 8), (0, 0, 2, 8))


@pytest.mark.parametrize(
    ("convention", "dice", "precision", "value"),
    [
        ("fastseg", [0.5, NAN, 0, 0], [0.5, NAN, 0, NAN], 0.5 / 3),
        ("nnunet", [0.5, NAN, 0, 0], [0.5, NAN, 0, NAN], 0.5 / 3),
        ("torchmetrics", [0.5, NAN, 0, 0], [0.5, NAN, 0, NAN], 0.5 / 3),
        ("monai", [0.5, NAN, NAN, 0], [0.5, NAN, 0, NAN], 0.5 / 2),
        ("totalsegmentator", [0.5, NAN, NAN, 0], [0.5, NAN, NAN, NAN], 0.5 / 2),
        ("sklearn", [0.5, NAN, 0, 0], [0.5, NAN, 0, 0], 2 / (2 + 3 + 3)),
    ],
)
def test_by_hand(convention: str, dice: list[float], precision: list[float], value: float) -> None:
    chosen = CONVENTIONS[convention]
    for metric, expected in (("dice", dice), ("f1", dice), ("precision", precision)):
        np.testing.assert_array_equal(chosen.values(metric, EMPTY)[:, 0], expected)
    values = chosen.values("dice", EMPTY)
    assert chosen.class_means("dice", values, EMPTY) == pytest.approx([value])
    assert chosen.mean("dice", values, EMPTY, np.array([True])) == pytest.approx(value)
    assert chosen.defined_cases(values, EMPTY).tolist() == [4 - int(np.isnan(dice).sum())]


def test_a_single_voxel_counts() -> None:
    one = counts((0, 0, 1, 9), (1, 0, 0, 9))
    np.testing.assert_array_equal(CONVENTIONS["monai"].values("dice", one)[:, 0], [0, 1])
    assert CONVENTIONS["sklearn"].defined_cases(np.zeros((2, 1)), one).tolist() == [2]


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_missed_cases_have_the_worst_value_where_the_reference_has_the_class(convention: str) -> None:
    cells, missed = counts((0, 3, 0, 7), (0, 0, 1, 9), (2, 0, 0, 8)), np.array([True, True, False])
    values = {name: CONVENTIONS[convention].values(name, cells, missed)[:, 0] for name in ("dice", "miss_rate")}
    np.testing.assert_array_equal(values["dice"], [NAN, 0, 1])
    np.testing.assert_array_equal(values["miss_rate"], [NAN, 1, 0])


def test_fastsegs_own_values_are_the_metrics() -> None:
    for metric in REGISTRY:
        np.testing.assert_array_equal(CONVENTIONS["fastseg"].values(metric, EMPTY), get(metric)(EMPTY))


@pytest.mark.parametrize(
    ("convention", "mean", "defined"),
    [
        # Values of three cases and classes 0, 1, 2:  [1, 0.5, -], [0.5, -, -], [1, 1, 0]
        ("fastseg", (0.75 + 0) / 2, 2),
        ("torchmetrics", (0.75 + 0.5 + 2 / 3) / 3, 3),
        ("nnunet", (0.75 + 0) / 2, 2),
    ],
)
def test_every_mean_says_over_how_many_it_is(convention: str, mean: float, defined: int) -> None:
    # Dice 1: TP 1; 0.5: TP 1, FP 2; 0: FN 1
    tp = np.array([[1, 1, 0], [1, 0, 0], [1, 1, 0]])
    fp = np.array([[0, 2, 0], [2, 0, 0], [0, 0, 0]])
    fn = np.array([[0, 0, 0], [0, 0, 0], [0, 0, 1]])
    binary = BinaryCounts((0, 1, 2), tp, fp, fn, np.ones((3, 3), np.int64), np.zeros((3, 4), np.int64))
    chosen = CONVENTIONS[convention]
    in_means = np.array([chosen.background, True, True])
    values = chosen.values("dice", binary)
    assert chosen.mean("dice", values, binary, in_means) == pytest.approx(mean)
    assert chosen.defined("dice", values, binary, in_means) == defined
    assert chosen.defined_cases(values, binary).tolist() == [3, 2, 1]
    assert chosen.over("dice") == ("cases" if convention == "torchmetrics" else "classes")
    fewer = np.array([True, True, False])  # classes than cases
    assert chosen.defined("dice", values, binary, fewer) == (3 if convention == "torchmetrics" else 2)
    if convention == "torchmetrics":  # IoU 1, 1/3, 1/3, 1, 1, 0
        values = chosen.values("jaccard", binary)
        assert chosen.over("jaccard") == "values"
        assert chosen.defined("jaccard", values, binary, in_means) == 6
        assert chosen.mean("jaccard", values, binary, in_means) == pytest.approx(11 / 18)


def test_pooled_counts_say_how_many_cases_have_the_class() -> None:
    chosen = CONVENTIONS["sklearn"]
    values = chosen.values("dice", EMPTY)
    assert chosen.defined_cases(values, EMPTY).tolist() == [3]
    assert chosen.defined("dice", values, EMPTY, np.array([True])) == 1
    nowhere = counts((0, 0, 0, 5), (0, 0, 0, 5))
    values = chosen.values("dice", nowhere)
    assert np.isnan(chosen.class_means("dice", values, nowhere)).all()
    assert chosen.defined("dice", values, nowhere, np.array([True])) == 0


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_no_case_and_no_class(convention: str) -> None:
    chosen = CONVENTIONS[convention]
    for cases, classes in ((0, 3), (0, 0), (2, 0)):
        binary = BinaryCounts.zeros(classes, cases=cases)
        values = chosen.values("dice", binary)
        none = np.zeros(classes, bool)
        for in_means in (~none, none):
            assert np.isnan(chosen.mean("dice", values, binary, in_means))
            assert chosen.defined("dice", values, binary, in_means) == 0
        assert np.isnan(chosen.class_means("dice", values, binary)).tolist() == [True] * classes
        assert chosen.defined_cases(values, binary).tolist() == [0] * classes


def test_one_number_for_all_classes_is_meaned_over_cases() -> None:
    values = np.array([[0.5], [NAN], [1.0]])
    for convention in CONVENTIONS.values():
        assert convention.class_means("accuracy", values, None).tolist() == [0.75]
        assert convention.defined_cases(values, None).tolist() == [2]
