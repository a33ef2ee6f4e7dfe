"""Folders of masks, end to end: in every layout each number is that of the arrays, and runs go on where they were."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.mask_cases import NAMES, SHAPE, cases, dice, folders, tallies
from support.runs import Counted
from support.volumes_on_disk import write

from fastseg import compare_runs, metrics, surface_distances
from fastseg.report import write_report
from fastseg.runs import Run, evaluate_folder
from fastseg.runs.cases.find import CasesError

SEGMENTATIONS = "{case}/segmentations/{name}.nii.gz"
PATTERN = r"(?P<case>[^/]+)/segmentations/(?P<class>.+)\.nii\.gz"


def expected(number: int = 3) -> Any:
    return np.array([dice(true, pred) for _, true, pred in cases(number)])


def counts(number: int = 3) -> Any:
    return np.array([tallies(true, pred) for _, true, pred in cases(number)])


@pytest.mark.parametrize(
    ("layout", "predictions", "options"),
    [
        (SEGMENTATIONS, None, {}),
        (SEGMENTATIONS, "{case}/{name}.nii.gz", {}),
        (SEGMENTATIONS, None, {"pattern": PATTERN}),
        ("{case}/{name}.nii.gz", None, {"masks": True}),
        ("{name}/{case}.nii.gz", None, {"masks": True}),
        ("{name}/x{case[4]}.nii.gz", None, {"masks": True, "labels": dict(enumerate(NAMES, 1))}),
        ("{name}-{case}.nii.gz", None, {"pattern": r"(?P<class>.+)-(?P<case>.+)\.nii\.gz"}),
        (SEGMENTATIONS, "{name}/{case}.nii.gz", {"pattern": (PATTERN, r"(?P<class>.+)/(?P<case>.+)\.nii\.gz")}),
    ],
)
def test_every_layout_gives_the_numbers_of_the_arrays(
    tmp_path: Path, layout: str, predictions: str | None, options: Any
) -> None:
    two = folders(tmp_path, layout, predictions=predictions)
    run = evaluate_folder(*two, metrics="dice", **options)
    assert [record.id[-1] for record in run.records] == ["0", "1", "2"]
    assert tuple(each.name for each in run.classes) == NAMES
    np.testing.assert_array_equal(run.values("dice"), expected())
    np.testing.assert_array_equal(np.stack([run.binary.tp, run.binary.fp, run.binary.fn], 2), counts())
    assert (run.binary.tp + run.binary.fp + run.binary.fn + run.binary.tn == np.prod(SHAPE)).all()


def test_what_a_run_leaves_is_read_back_compared_and_shown(tmp_path: Path) -> None:
    two, out = folders(tmp_path, SEGMENTATIONS), tmp_path / "out"
    run = evaluate_folder(*two, out, metrics="all", gates=["liver:dice=0.99", "dice=0.1"])
    assert "accuracy" not in run.settings.metrics
    assert [gate["passed"] for gate in run.facts["gates"]] == [False, True]
    again = Run.load(out)
    assert str(again) == str(run)
    np.testing.assert_array_equal(again.values("iou"), run.values("iou"))
    assert sorted(path.name for path in out.iterdir()) == [
        "cases.csv", "classes.csv", "records.jsonl", "run.json", "summary.json",
    ]  # fmt: skip
    plain = json.loads((out / "run.json").read_text())
    assert plain["confusion"]["file"] is None
    assert "may overlap" in plain["confusion"]["reason"]
    assert set(json.loads((out / "summary.json").read_text())["mean"]) == set(NAMES)
    assert (out / "cases.csv").read_text().count("liver,liver") == 3 * len(run.settings.metrics)
    comparison = compare_runs(out, out)
    assert comparison.alike
    assert [row.name for row in comparison.metrics["dice"]] == [*NAMES, "mean"]
    page = write_report(out).read_text()
    assert "There is no confusion of classes: masks may overlap" in page
    with pytest.raises(ValueError, match="expected a run of label maps, found one of masks"):
        run.pooled()
    plain["cases"][0]["masks"]["liver"][0] = 10**6
    (out / "run.json").write_text(json.dumps(plain))
    with pytest.raises(ValueError, match="counts .* of mask 'liver' of case 's0000'"):
        Run.load(out)


@pytest.mark.parametrize("convention", ["monai", "torchmetrics", "nnunet", "sklearn", "totalsegmentator"])
def test_every_convention_takes_masks(tmp_path: Path, convention: str) -> None:
    run = evaluate_folder(*folders(tmp_path, SEGMENTATIONS), convention=convention, metrics="dice")
    if convention == "sklearn":
        tp, fp, fn = np.moveaxis(counts().sum(0), -1, 0)
        np.testing.assert_allclose(run.class_values("dice"), 2 * tp / (2 * tp + fp + fn))
    else:
        np.testing.assert_allclose(run.class_values("dice"), expected().mean(0))
    assert run.mean("dice") == pytest.approx(float(run.class_values("dice").mean()))


def test_a_class_that_a_case_has_no_file_of(tmp_path: Path) -> None:
    true, pred = folders(tmp_path, SEGMENTATIONS)
    (pred / "s0001/segmentations/liver.nii.gz").unlink()
    for folder in (true, pred):
        (folder / "s0002/segmentations/rib_10.nii.gz").unlink()
    with pytest.raises(CasesError) as caught:
        evaluate_folder(true, pred)
    assert caught.value.problems == [
        "s0001: prediction: no mask of liver", "s0002: reference: no mask of rib_10", "s0002: prediction: no mask of rib_10",
    ]  # fmt: skip
    assert "--missing-mask empty" in caught.value.hint
    wanted = expected()
    wanted[1, 0], wanted[2, 2] = 0, np.nan
    run = evaluate_folder(true, pred, missing_mask="empty", metrics="dice")
    np.testing.assert_array_equal(run.values("dice"), wanted)
    wanted[1, 0] = np.nan
    run = evaluate_folder(true, pred, missing_mask="skip", metrics="dice")
    np.testing.assert_array_equal(run.values("dice"), wanted)
    run = evaluate_folder(true, pred, missing_mask="skip", metrics="dice,specificity", convention="sklearn")
    tp, fp, fn = counts()[[0, 2], 0].sum(0)
    assert run.class_values("dice")[0] == pytest.approx(2 * tp / (2 * tp + fp + fn))
    assert run.class_values("specificity")[0] == pytest.approx(1 - fp / (2 * np.prod(SHAPE) - tp - fn))


def test_label_maps_beside_masks(tmp_path: Path) -> None:
    true, pred = folders(tmp_path, SEGMENTATIONS)
    maps, names = tmp_path / "maps", {0: "background", 1: "liver", 2: "rib_2", 3: "rib_10"}
    maps.mkdir()
    wanted = []
    for case, of_true, of_pred in cases():
        labels = np.zeros(SHAPE, np.uint8)
        for value, name in list(names.items())[1:]:
            labels[of_pred[name]] = value
        write(maps / f"{case}.nii.gz", labels)
        wanted.append(dice(of_true, {name: labels == value for value, name in names.items()}))
    run = evaluate_folder(true, maps, labels=names, metrics="dice")
    np.testing.assert_array_equal(run.values("dice"), wanted)
    run = evaluate_folder(true, maps, metrics="dice")
    assert all("expected names of its labels" in str(record.reason) for record in run.failed)
    run = evaluate_folder(true, pred, labels={1: "liver"}, metrics="dice")  # only what has a name
    np.testing.assert_array_equal(run.values("dice"), expected()[:, :1])


def test_cases_that_were_counted_are_not_counted_again(tmp_path: Path, counted: Counted) -> None:
    true, pred = folders(tmp_path, SEGMENTATIONS)
    out = tmp_path / "out"
    evaluate_folder(true, pred, out)
    assert sorted(counted) == ["s0000", "s0001", "s0002"]
    counted.clear()
    evaluate_folder(true, pred, out, metrics="iou", convention="monai")
    assert counted == []
    changed = pred / "s0001/segmentations/liver.nii.gz"
    changed.write_bytes((pred / "s0002/segmentations/liver.nii.gz").read_bytes())
    os.utime(changed, ns=(1, 1))
    run = evaluate_folder(true, pred, out, metrics="dice")
    assert counted == ["s0001"]
    assert run.values("dice")[1, 0] != expected()[1, 0]
    counted.clear()
    evaluate_folder(true, pred, out, missing_mask="empty")
    assert len(counted) == 3


def test_a_broken_mask_fails_its_case_alone(tmp_path: Path) -> None:
    true, pred = folders(tmp_path, SEGMENTATIONS)
    broken, out = pred / "s0001/segmentations/rib_2.nii.gz", tmp_path / "out"
    whole = broken.read_bytes()
    broken.write_bytes(whole[:-9])
    run = evaluate_folder(true, pred, out, metrics="dice")
    assert [record.id for record in run.failed] == ["s0001"]
    assert "rib_2.nii.gz: truncated" in str(run.failed[0].reason)
    np.testing.assert_array_equal(run.values("dice"), expected()[[0, 2]])
    broken.write_bytes(whole)
    np.testing.assert_array_equal(evaluate_folder(true, pred, out, metrics="dice").values("dice"), expected())


def test_a_case_without_predictions(tmp_path: Path) -> None:
    true, pred = folders(tmp_path, SEGMENTATIONS)
    for path in (pred / "s0001/segmentations").iterdir():
        path.unlink()
    with pytest.raises(CasesError, match="s0001: no prediction"):
        evaluate_folder(true, pred)
    run = evaluate_folder(true, pred, missing="worst", metrics="dice")
    np.testing.assert_array_equal(run.values("dice"), np.where([[False], [True], [False]], 0, expected()))
    missed = {name: np.zeros(SHAPE, bool) for name in NAMES}
    np.testing.assert_array_equal(run.binary.fn[1], tallies([*cases()][1][1], missed)[:, 2])
    assert len(evaluate_folder(true, pred, missing="skip", metrics="dice").counted) == 2


def test_two_folders_of_masks_are_one_case(tmp_path: Path) -> None:
    true, pred = folders(tmp_path, SEGMENTATIONS, 1, "{case}/{name}.nii.gz")
    run = evaluate_folder(true / "s0000/segmentations", pred / "s0000", metrics="dice")
    assert [record.id for record in run.records] == ["s0000"]
    with pytest.raises(CasesError, match=r"a pattern .*; masks=True \(--masks\) says that each class"):
        evaluate_folder(pred, pred)
    np.testing.assert_array_equal(run.values("dice"), expected(1))


def test_a_folder_of_files_of_several_arrays(tmp_path: Path) -> None:
    for case, *sides in cases(2):
        for side, of in zip(("gt", "pred"), sides, strict=True):
            (tmp_path / side).mkdir(exist_ok=True)
            np.savez(tmp_path / side / f"{case}.npz", **of)
    run = evaluate_folder(tmp_path / "gt", tmp_path / "pred", masks=True, metrics="dice", gates=["liver:dice=0.1"])
    order = [[each.name for each in run.classes].index(name) for name in NAMES]
    np.testing.assert_array_equal(run.values("dice")[:, order], expected(2))
    assert run.facts["gates"][0]["passed"]


def test_surfaces_of_masks_are_measured_kept_and_read_back(tmp_path: Path, counted: Counted) -> None:
    two, out = folders(tmp_path, SEGMENTATIONS, 2), tmp_path / "out"
    options: dict[str, Any] = {"metrics": "dice,hd95,nsd", "tolerance": {None: 1, "liver": 2}}
    run = evaluate_folder(*two, out, **options, gates=["liver:hd95=9"])
    for n, (_, true, pred) in enumerate(cases(2)):
        for k, name in enumerate(NAMES):
            one = surface_distances(true[name], pred[name], spacing=1)
            np.testing.assert_allclose(run.values("hd95")[n, k], metrics.hd95(one)[0, 0])
            tolerance = 2 if name == "liver" else 1
            np.testing.assert_allclose(run.values("nsd")[n, k], metrics.nsd(one, tolerance=tolerance)[0, 0])
    assert run.facts["gates"][0]["passed"]
    again = evaluate_folder(*two, out, **{**options, "tolerance": 1})  # which measures nothing again
    assert sorted(counted) == ["s0000", "s0001"]
    np.testing.assert_array_equal(Run.load(out).values("nsd"), again.values("nsd"))
    assert "hd95" in write_report(out).read_text()
    assert compare_runs(out, out) is not None
    (tmp_path / "pred" / "s0000" / "segmentations" / "liver.nii.gz").unlink()
    lost = evaluate_folder(*two, metrics="hd95", missing_mask="empty")
    assert lost.values("hd95")[0, 0] == np.inf
    with pytest.raises(ValueError, match="tolerance: .*there is no class 'spleen'"):
        evaluate_folder(*two, metrics="nsd", tolerance={None: 1, "spleen": 2}, missing_mask="empty")


def test_what_only_label_maps_have_is_refused(tmp_path: Path) -> None:
    two = folders(tmp_path, SEGMENTATIONS, 1)
    for name, value in {
        "metrics": "dice,accuracy", "ignore_index": 1, "activation": "softmax", "unknown": "count", "masks": "yes",
        "missing_mask": "no",
    }.items():  # fmt: skip
        with pytest.raises((ValueError, TypeError), match=f"^{name}: "):
            evaluate_folder(*two, **{name: value})
    maps = tmp_path / "maps"
    maps.mkdir()
    write(maps / "a.nii.gz", np.ones(SHAPE, np.uint8))
    run = evaluate_folder(maps, maps, masks=True)  # a folder of files is one case of masks
    assert [(record.id, [*record.masks]) for record in run.records] == [("maps", ["a"])]
