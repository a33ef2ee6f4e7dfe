"""Folders of cases, end to end: every number is that of the arrays, and what options and folders say is heeded."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.cases_on_disk import EXACT, contents, folders, pair
from support.runs import expected, values_of
from support.volumes_on_disk import write

import fastseg
from fastseg.runs import Run, evaluate_folder
from fastseg.runs.cases.find import CasesError
from fastseg.runs.results.gates import parse_gate


def test_every_number_is_that_of_the_arrays(two: Any, tmp_path: Path) -> None:
    out = tmp_path / "new" / "out"
    run = evaluate_folder(*two, out, num_classes=4, metrics="dice,iou,cohen_kappa")
    assert [record.id for record in run.records] == [f"case_{n:02d}" for n in range(8)]
    assert {record.status for record in run.records} == {"scored"}
    for metric in ("dice", "iou"):
        np.testing.assert_array_equal(run.values(metric), expected(8, metric))
    with np.errstate(all="ignore"):
        assert run.mean("dice") == pytest.approx(np.nanmean(np.nanmean(expected(8), 0)[1:]), abs=1e-12)
    again = Run.load(out)
    np.testing.assert_array_equal(again.values("dice"), run.values("dice"))
    assert str(again) == str(run)
    contents(out)


def test_without_an_output_nothing_is_written(two: Any, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    run = evaluate_folder(*two)
    np.testing.assert_array_equal(run.values("dice"), expected(8))
    assert sorted(tmp_path.rglob("*")) == before


def test_two_files_are_a_run_of_one_case(two: Any) -> None:
    run = evaluate_folder(two[0] / "case_03.nii.gz", two[1] / "case_05.nii.gz", num_classes=4)
    scores = fastseg.evaluate(pair(3)[0], pair(5)[1], num_classes=4)
    assert [record.id for record in run.records] == ["case_03"]
    np.testing.assert_array_equal(run.values("dice")[0], values_of(scores, "dice"))


def test_ignored_mapped_and_united_labels(two: Any, tmp_path: Path) -> None:
    run = evaluate_folder(*two, num_classes=4, ignore=[2], map_prediction={1: 3, 3: 1})
    for n, record in enumerate(run.records):
        true, pred = pair(n)
        mapped = np.array([0, 3, 2, 1], np.uint8)[pred]
        scores = fastseg.evaluate(true, mapped, num_classes=4, ignore_index=2)
        np.testing.assert_array_equal(run.values("dice")[n], values_of(scores, "dice"))
        assert record.voxels[1] == int((true == 2).sum())
    run = evaluate_folder(*two, regions={"whole": [1, 2, 3], "core": [2, 9]})
    for n in range(8):
        true, pred = pair(n)
        for place, members in enumerate(((1, 2, 3), (2, 9))):
            a, b = np.isin(true, members), np.isin(pred, members)
            assert run.values("dice")[n, place] == 2 * (a & b).sum() / (a.sum() + b.sum())


def test_nnunets_dataset_json_is_found(two: Any, tmp_path: Path) -> None:
    names = {"background": 0, "liver": 1, "cyst": 2, "vessel": 3, "absent": 4}
    (two[0] / "dataset.json").write_text(json.dumps({"labels": names, "file_ending": ".nii.gz"}))
    notes: list[str] = []
    run = evaluate_folder(*two, note=notes.append)
    assert [each.name for each in run.classes] == list(names)
    assert notes == [f"labels from {two[0] / 'dataset.json'}"]


def test_regions_of_interest(two: Any, tmp_path: Path) -> None:
    roi = tmp_path / "roi"
    roi.mkdir()
    for n in range(8):
        mask = np.zeros(pair(n)[0].shape, np.uint8)
        mask[:9] = 1
        write(roi / f"case_{n:02d}.nii.gz", mask)
    run = evaluate_folder(*two, roi=roi, num_classes=4)
    for n in range(8):
        true, pred = (each[:9] for each in pair(n))
        np.testing.assert_array_equal(
            run.values("dice")[n], values_of(fastseg.evaluate(true, pred, num_classes=4), "dice")
        )


def test_pairs_and_patterns(two: Any, tmp_path: Path) -> None:
    table = tmp_path / "pairs.csv"
    table.write_text("case,reference,prediction\nx,gt/case_01.nii.gz,pred/case_02.nii.gz\n")
    run = evaluate_folder(pairs=table, num_classes=4)
    scores = fastseg.evaluate(pair(1)[0], pair(2)[1], num_classes=4)
    np.testing.assert_array_equal(run.values("dice")[0], values_of(scores, "dice"))
    run = evaluate_folder(*two, pattern=r"case_(?P<case>.*)\.nii\.gz")
    assert [record.id for record in run.records] == [f"{n:02d}" for n in range(8)]


def test_flipped_predictions(two: Any) -> None:
    path = two[1] / "case_00.nii.gz"
    affine = np.diag([-1.0, 1, 1, 1])
    affine[0, 3] = pair(0)[1].shape[0] - 1
    write(path, pair(0)[1][::-1], affine)
    run = evaluate_folder(*two, num_classes=4)
    assert [record.id for record in run.failed] == ["case_00"]
    assert "flip" in str(run.failed[0].reason)
    run = evaluate_folder(*two, num_classes=4, reorient=True)
    np.testing.assert_array_equal(run.values("dice"), expected(8))
    run = evaluate_folder(*two, num_classes=4, geometry="warn")
    assert "flip" in run.records[0].geometry


@pytest.mark.parametrize("missing", ["error", "skip", "worst"])
def test_missing_predictions(two: Any, missing: Any, tmp_path: Path) -> None:
    (two[1] / "case_02.nii.gz").unlink()
    out = tmp_path / "out"
    if missing == "error":
        with pytest.raises(CasesError, match="case_02: no prediction"):
            evaluate_folder(*two, out)
        assert not out.exists()
        return
    run = evaluate_folder(*two, out, num_classes=4, missing=missing)
    assert [record.id for record in run.missing] == ["case_02"]
    assert len(run.counted) == (7 if missing == "skip" else 8)
    if missing == "worst":
        occurs = np.isin(np.arange(4), pair(2)[0])
        np.testing.assert_array_equal(run.values("dice")[2][occurs], 0.0)
    before = contents(out)
    evaluate_folder(*two, out, num_classes=4, missing=missing)
    assert contents(out) == before


def test_a_mask_of_a_missing_prediction_is_laid_as_its_reference(two: Any, tmp_path: Path) -> None:
    gt, pred = two
    for path in sorted(gt.iterdir())[1:]:
        path.unlink()
    shutil.rmtree(pred)
    pred.mkdir()
    true = pair(0)[0]
    mask = (np.arange(true.shape[0]) < 9)[:, None, None] * np.ones(true.shape, np.uint8)
    affine = np.diag([-1.0, 1, 1, 1])
    affine[0, 3] = true.shape[0] - 1
    (tmp_path / "roi").mkdir()
    write(tmp_path / "roi" / "case_00.nii.gz", mask[::-1].astype(np.uint8), affine)
    run = evaluate_folder(gt, pred, roi=tmp_path / "roi", missing="worst", reorient=True)
    assert run.records[0].unknown.tolist() == [
        [label, int((true[:9] == label).sum())] for label in np.unique(true[:9]).tolist()
    ]
    run = evaluate_folder(gt, pred, roi=tmp_path / "roi", missing="worst")
    assert "flip" in str(run.failed[0].reason)


def test_arguments(two: Any, tmp_path: Path) -> None:
    for options, message in (
        ({"hashing": "maybe"}, "hashing: expected"),
        ({"threads": 0}, "threads: expected"),
        ({"metrics": "nonsense"}, "metrics: expected"),
        ({"missing": "x"}, "missing: expected"),
    ):
        with pytest.raises(ValueError, match=message):
            evaluate_folder(*two, tmp_path / "out", **options)  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()
    assert set(EXACT) < {*EXACT, "run.json"}


def test_classes_that_only_the_prediction_has_a_name_for(tmp_path: Path) -> None:
    """Their codes had to move, and are the largest there are: they are written, read back and drawn as all others."""
    gt, pred = folders(tmp_path, 2)
    names = {1: "liver", 2: "spleen"}
    theirs = {1: "liver", 2: "kidney", 3: "spleen"}
    run = evaluate_folder(gt, pred, tmp_path / "out", labels=names, prediction_labels=theirs)
    assert run.failed == ()
    assert [run.settings.names.get(label, str(label)) for label in run.labels] == [
        "0",
        "liver",
        "spleen",
        "3",
        "kidney",
    ]
    again = Run.load(tmp_path / "out")
    assert again.labels.tolist() == run.labels.tolist()
    assert "kidney" in (tmp_path / "out" / "classes.csv").read_text()
    found = int(sum((pair(n)[1] == 2).sum() for n in range(2)))
    assert run.counts().matrix[:, :, -1].sum() == found


def test_surplus_predictions_and_regions_of_background(tmp_path: Path) -> None:
    gt, pred = folders(tmp_path, 1)
    shutil.copyfile(pred / "case_00.nii.gz", pred / "old.nii.gz")
    run = evaluate_folder(gt, pred, missing="skip", regions={"nothing": [0], "all": [1, 2]})
    assert [Path(path).name for path in run.facts["extra"]] == ["old.nii.gz"]
    assert run.foreground.tolist() == [False, True]


def test_facts_say_where_labels_come_from(two: Any, tmp_path: Path) -> None:
    table = tmp_path / "names.txt"
    table.write_text("1 liver\n")
    run = fastseg.evaluate_folder(*two, labels=table)
    digest = hashlib.sha256(table.read_bytes()).hexdigest()
    assert run.facts["tables"] == {"labels": {"path": str(table), "sha256": digest}}
    assert run.facts["working_folder"] == os.getcwd()


def test_codes_that_differ_are_said(two: Any) -> None:
    notes: list[str] = []
    pred = pair(1)[1]
    write(two[1] / "case_01.nii.gz", np.where(pred == 3, 255, pred).astype(np.uint8))
    fastseg.evaluate_folder(*two, note=notes.append)
    (note,) = notes
    assert note.startswith(
        "warning: labels in predictions only: 255; where codes differ, map_prediction (--map-prediction)"
    )
    fastseg.evaluate_folder(*two, labels={255: "new"}, note=notes.append)
    fastseg.evaluate_folder(*two, ignore=255, note=notes.append)  # of which only predictions are counted
    assert len(notes) == 1


def test_what_is_not_scored_has_two_names(two: Any) -> None:
    runs = [evaluate_folder(*two, **{name: [1, 2]}) for name in ("ignore_index", "ignore")]
    assert runs[0].settings.ignore == runs[1].settings.ignore == (1, 2)
    assert str(runs[0]) == str(runs[1])
    for name in ("ignore_index", "ignore"):
        with pytest.raises(TypeError, match=rf"^{name}: expected an integer, found 1\.5"):
            evaluate_folder(*two, **{name: 1.5})
    with pytest.raises(TypeError, match="^ignore: expected either ignore_index or ignore"):
        evaluate_folder(*two, ignore=1, ignore_index=1)


def test_gates_as_text(two: Any) -> None:
    run = evaluate_folder(*two, gates=["dice=0.01", parse_gate("2:iou=0.999")])
    assert [gate["passed"] for gate in run.facts["gates"]] == [True, False]
    with pytest.raises(ValueError, match="gate: expected METRIC=NUMBER"):
        evaluate_folder(*two, gates=["dice"])


def test_the_label_table_beside_a_table_of_pairs(two: Any, tmp_path: Path) -> None:
    lines = [f"{two[0]}/case_01.nii.gz,{two[1]}/case_01.nii.gz"]
    (tmp_path / "pairs.csv").write_text("\n".join(["reference,prediction", *lines]) + "\n")
    (tmp_path / "dataset.json").write_text('{"labels": {"background": 0, "a": 1, "b": 2, "c": 3}}')
    run = evaluate_folder(pairs=tmp_path / "pairs.csv")
    assert [each.name for each in run.classes] == ["background", "a", "b", "c"]
