"""Files of scores on the command line: what it prints is what arrays give."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.command_line import call
from support.score_files import ALL, EXPECTED, P, T, Z, save
from support.volumes_on_disk import write

import fastseg
from fastseg import sum_scores
from fastseg.api.score_files import evaluate_score_files
from fastseg.volumes.sources import holds_scores

pytestmark = pytest.mark.usefixtures("slab")


def check(found: dict[str, Any], sums: Any, *, left_out: int = -1) -> None:
    counts = sums.argmax_counts
    dice = fastseg.metrics.dice(counts)[0, counts.labels != left_out]
    assert found["mean"]["dice"] == pytest.approx(float(np.nanmean(dice)))
    assert found["classes"]["1"]["pred_voxels"] == int(counts.matrix[0, :, 1].sum())
    wanted = {
        "soft_dice": 1 - fastseg.soft_dice_loss(sums),
        "cross_entropy": fastseg.cross_entropy(sums),
        "brier_score": fastseg.brier_score(sums),
    }
    assert found["scores"] == pytest.approx(wanted, rel=1e-6)


def test_json_is_what_arrays_give(tmp_path: Path, reference: Path, capsys: Any, monkeypatch: Any) -> None:
    prediction = write(tmp_path / "p.nii.gz", P)
    code, out, err = call(capsys, monkeypatch, "evaluate", reference, prediction, "--json", "-")
    assert (code, err) == (0, "")
    check(json.loads(out), EXPECTED)
    logits = save(tmp_path / "z.npy", np.moveaxis(Z, -1, 0))
    arguments = ["--activation", "softmax", "--ignore", 2, "--threads", 1, "--channel-axis", 0]
    code, out, err = call(capsys, monkeypatch, "evaluate", reference, logits, *arguments, "--json", "-")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert [*found["classes"]] == ["0", "1", "3"]  # an ignored label is no class
    check(found, sum_scores(T, Z, activation="softmax", ignore_index=2, **ALL), left_out=2)
    assert found["voxels"]["ignored"] == int((T == 2).sum())
    assert (found["files"]["activation"], found["files"]["channel_axis"]) == ("softmax", 0)


def test_table(tmp_path: Path, reference: Path, capsys: Any, monkeypatch: Any) -> None:
    names = tmp_path / "names.txt"
    names.write_text("1 liver\n2 spleen\n")
    prediction = write(tmp_path / "p.nii", P)
    code, out, err = call(capsys, monkeypatch, "evaluate", reference, prediction, "--labels", names)
    assert (code, err) == (0, "")
    assert "liver" in out
    assert out.splitlines()[-3:] == [
        f"soft Dice: {1 - fastseg.soft_dice_loss(EXPECTED):.4f}",
        f"cross-entropy: {fastseg.cross_entropy(EXPECTED):.4f}",
        f"Brier score: {fastseg.brier_score(EXPECTED):.4f}",
    ]


def test_a_volume_of_another_shape_is_no_file_of_scores(
    tmp_path: Path, reference: Path, capsys: Any, monkeypatch: Any
) -> None:
    prediction = write(tmp_path / "p.nii", P[:, :, 1:])
    assert not holds_scores(reference, prediction)
    code, out, err = call(capsys, monkeypatch, "evaluate", reference, prediction)
    assert (code, out) == (3, "")
    assert "expected the shape (7, 6, 9)" in err


def test_undefined_scores_are_null(tmp_path: Path, reference: Path) -> None:
    scores = evaluate_score_files(reference, write(tmp_path / "p.nii", P), ignore_index=[0, 1, 2, 3])
    assert scores.to_dict()["scores"] == dict.fromkeys(["soft_dice", "cross_entropy", "brier_score"])
    assert "soft Dice: -" in str(scores)
    (tmp_path / "dataset.json").write_text('{"labels": {"background": 0, "liver": 1, "ignore": 3}}')
    names = {"background": 0, "liver": 1, "lung": 2, "ignore": 3}
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": names}))
    with pytest.raises(ValueError, match=r"p.nii: expected scores of the labels \(0, 1, 2\), found \[3\] too"):
        evaluate_score_files(reference, tmp_path / "p.nii", labels=tmp_path / "dataset.json")
    scores = evaluate_score_files(reference, tmp_path / "p.nii", labels=tmp_path / "dataset.json", unknown="count")
    assert scores.counts.voxels[0, 1] == (T == 3).sum()
    assert scores.classes == (0, 1, 2)
    with pytest.raises(ValueError, match=r"t.nii.gz: expected labels among \(0, 1\), found \[2, 3\] too"):
        evaluate_score_files(reference, tmp_path / "p.nii", labels=[0, 1], unknown="count")
    wide = evaluate_score_files(reference, tmp_path / "p.nii", labels=[5, 0, 1, 2, 3], regions={"r": [3, 5]})
    assert wide.counts.labels.tolist() == [5, 0, 1, 2, 3]
    assert wide["dice"][0] == evaluate_score_files(reference, tmp_path / "p.nii")["dice"][3]
    with pytest.raises(TypeError, match="labels: expected names"):
        evaluate_score_files(reference, tmp_path / "p.nii", labels=3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="unknown: expected"):
        evaluate_score_files(reference, tmp_path / "p.nii", unknown="skip")  # type: ignore[arg-type]


def test_regions_of_scores(tmp_path: Path, reference: Path) -> None:
    prediction = write(tmp_path / "p.nii", P)
    counts = evaluate_score_files(reference, prediction).counts
    united = evaluate_score_files(reference, prediction, regions="all=1,2,3;two=2")
    assert united.counts == counts
    expected = fastseg.metrics.dice(counts.regions({"all": [1, 2, 3], "two": [2]}))[0]
    assert np.array_equal(united["dice"], expected)
    assert united.classes == ("all", "two")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["{z}"], 3, "z.npy: expected probabilities in [0, 1] (or activation='softmax'"),
        (["{z}", "--activation", "tanh"], 2, "'tanh' is not one of"),
        (["{z}", "--channel-axis", "x"], 2, "not a valid integer"),
        (["{z}", "--activation", "softmax", "--channel-axis", "7"], 2, "--channel-axis: expected an axis"),
        (["{z}", "--activation", "softmax", "--map-prediction", "1=2"], 2, "--map-prediction: as "),
        (["missing.npy"], 3, "missing.npy: no such file"),
    ],
)
def test_exit_codes(
    tmp_path: Path, reference: Path, arguments: list[str], code: int, message: str, capsys: Any, monkeypatch: Any
) -> None:
    logits = save(tmp_path / "z.npy", Z)
    found, out, err = call(capsys, monkeypatch, "evaluate", reference, *(a.format(z=logits) for a in arguments))
    assert (found, out) == (code, "")
    assert message in err.strip().splitlines()[-1]
