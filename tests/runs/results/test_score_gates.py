"""Gates of probabilities: soft Dice, cross-entropy and Brier score of a run over files of scores."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.cases_on_disk import folders, pair
from support.example_runs import record
from support.volumes_on_disk import write

from fastseg import cli
from fastseg.runs import CaseRecord, Run, Settings, evaluate_folder
from fastseg.runs.results.gates import Gate, check_gates, parse_gate

NAMES = ("soft_dice", "cross_entropy", "brier_score")


def of_scores(folder: Path, number: int = 3) -> tuple[Path, Path]:
    """Write cases whose predictions are 4-D NIfTI files of probabilities."""
    gt, pred = folders(folder, number)
    for n in range(number):
        found = pair(n)[1]
        one = (np.arange(4)[:, None, None, None] == found) * 0.6 + 0.1
        write(pred / f"case_{n:02d}.nii.gz", np.moveaxis(one / one.sum(0), 0, -1).astype("f4"))
    return gt, pred


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("soft_dice=0.8", ("soft_dice", None, 0.8, True)),
        ("cross_entropy=3.5", ("cross_entropy", None, 3.5, False)),
        ("Brier_Score<=2", ("brier_score", None, 2.0, False)),
    ],
)
def test_what_a_gate_says(text: str, expected: tuple[Any, ...]) -> None:
    assert parse_gate(text) == Gate(text, *expected)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cross_entropy>=0.5", "lower values of cross_entropy are better; expected <="),
        ("soft_dice<=0.5", "higher values of soft_dice are better; expected >="),
        ("liver:brier_score=0.5", "brier_score is one number for all classes; expected no class"),
        ("liver:soft_dice=0.5", "soft_dice is one number for all classes; expected no class"),
        ("liver:cross_entropy=0.5", "cross_entropy is one number for all classes; expected no class"),
        ("soft_dice=1.5", "expected a number from 0 to 1, found '1.5'"),
        ("cross_entropy=inf", "expected a number from 0 to inf, found 'inf'"),
        ("brier_score=2.5", "expected a number from 0 to 2, found '2.5'"),
        ("brier=0.5", "expected one of the metrics .*brier_score.*cross_entropy.*soft_dice.*found 'brier'"),
    ],
)
def test_what_is_no_gate(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^gate: .*{message}"):
        parse_gate(text)


def test_bounds_are_held_to_the_number_that_is_printed(tmp_path: Path) -> None:
    run = evaluate_folder(*of_scores(tmp_path))
    for name in NAMES:
        mean, up = float(np.mean(run.scores[name])), parse_gate(f"{name}=0").at_least
        further = float(np.nextafter(mean, 2 if up else 0))
        passed, failed = check_gates(run, [parse_gate(f"{name}={mean!r}"), parse_gate(f"{name}={further!r}")])
        assert (passed.value, passed.passed, failed.passed) == (mean, True, False)
        assert passed.message == f"{name} is {mean:.6g}, expected at {'least' if up else 'most'} {mean:.6g}"


def test_label_maps_have_none_and_that_is_told_before_they_are_counted(tmp_path: Path) -> None:
    gt, pred = folders(tmp_path, 2)
    with pytest.raises(ValueError, match=r"^gate: cross_entropy is of probabilities; .*found label maps such as .*00"):
        evaluate_folder(gt, pred, tmp_path / "out", gates=["dice=0.1", "cross_entropy=0.3"])
    assert not (tmp_path / "out").exists()
    (result,) = check_gates(evaluate_folder(gt, pred, metrics="dice,iou"), [parse_gate("brier_score=1")])
    assert result.message == (
        "brier_score is of probabilities, and no prediction holds any (there is dice, iou); expected at most 1"
    )
    assert not result.passed


def test_cases_of_labels_among_those_of_probabilities(tmp_path: Path) -> None:
    gt, pred = of_scores(tmp_path)
    write(pred / "case_00.nii.gz", pair(0)[1])
    (pred / "case_01.nii.gz").write_bytes(b"no volume")
    run = evaluate_folder(gt, pred, gates=["soft_dice=0.1"])
    assert run.facts["gates"][0]["passed"]
    assert " (over 1 of 2 cases), expected" in run.facts["gates"][0]["message"]


def scored(*more: CaseRecord, **settings: Any) -> Run:
    found = {"soft_dice": 0.5, "cross_entropy": 0.25, "brier_score": 0.125}
    return Run(Settings(**settings), (record("a", [0, 1], [0, 1], scores=found), *more))


def test_what_has_no_number_does_not_pass_by_being_left_out() -> None:
    """An infinite cross-entropy is no number that JSON could hold, and so none of the record's."""
    gate = parse_gate("cross_entropy=0.3")
    assert check_gates(scored(), [gate])[0].passed
    infinite = record("b", [0, 1], [0, 1], scores={"soft_dice": 0.5, "cross_entropy": None, "brier_score": 0.5})
    (result,) = check_gates(scored(infinite), [gate])
    assert (result.value, result.passed) == (float("inf"), False)
    assert result.message == "cross_entropy is infinite in b (1 of 2 cases); expected at most 0.3"
    missed = record("c", [0, 1], [9, 9], unknown="count", status="missing", prediction=None)
    entropy, dice = check_gates(scored(missed, missing="worst"), [gate, parse_gate("soft_dice=0.25")])
    assert entropy.message.startswith("cross_entropy has no worst value for the cases without a prediction (1 of 2);")
    assert (entropy.passed, dice.value, dice.passed) == (False, 0.25, True)


def test_a_case_of_which_nothing_was_counted_is_left_out() -> None:
    nothing = record("b", [0, 1], [0, 1], ignore_index=[0, 1], scores=dict.fromkeys(NAMES))
    (result,) = check_gates(scored(nothing), [parse_gate("cross_entropy=0.3")])
    assert (result.value, result.passed) == (0.25, True)
    (result,) = check_gates(Run(Settings(), (nothing,)), [parse_gate("cross_entropy=0.3")])
    assert (result.message, result.passed) == ("cross_entropy is undefined in every case; expected at most 0.3", False)


def test_the_command(tmp_path: Path, capsys: Any, monkeypatch: Any) -> None:
    def call(*arguments: Any) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["fastseg", "evaluate", *map(str, arguments), "--quiet"])
        with pytest.raises(SystemExit) as done:
            cli.main()
        return int(done.value.code or 0), capsys.readouterr().err

    two, labels = of_scores(tmp_path / "scores"), folders(tmp_path / "labels", 1)
    assert call(*two, "--fail-under", "cross_entropy=9", "--fail-under", "soft_dice=0.1") == (0, "")
    code, err = call(*two, "--fail-under", "cross_entropy=0.01")
    assert code == 1
    assert err.startswith("fastseg: gate failed: cross_entropy is ")
    code, err = call(*labels, "--fail-under", "brier_score=1")
    assert code == 2
    assert "--fail-under: brier_score is of probabilities; expected predictions that hold them" in err
