"""Instances of masks that may overlap, such as BraTS' regions: each mask's components, as of arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.instance_cases import lesions
from support.segments import write as write_segments
from support.volumes_on_disk import write

import fastseg
from fastseg import match_instances
from fastseg.runs import Run

NAMES = ("WT", "ET")
SPACING = (1.0, 1.0, 2.0)
AFFINE = np.diag([*SPACING, 1.0])
LIKE: dict[str, Any] = {"spacing": SPACING, "convention": "brats-met", "surface": "surfel"}
HOW: dict[str, Any] = {
    "instances": "WT,ET", "match": "brats-met", "metrics": "dice,lesion_hd95", "resamples": 2,
}  # fmt: skip


def masks() -> dict[str, tuple[Any, Any]]:
    """Return truth and prediction of each mask: the second lies within the first."""
    true, pred = lesions()
    inner = np.arange(24)[None, :, None] < 12
    return {"WT": (true, pred), "ET": (true * inner, pred * inner)}


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    """Return folders of two cases of a file for each mask; in the second case all is predicted as it is."""
    for name, pair in masks().items():
        for number, (side, mask) in enumerate(zip(("true", "pred"), pair, strict=True)):
            for case, own in (("a", mask), ("b", pair[0])):
                (tmp_path / side / case).mkdir(parents=True, exist_ok=True)
                write(tmp_path / side / case / f"{name}.nii.gz", own * (number + 1), AFFINE)
    return tmp_path / "true", tmp_path / "pred"


def test_each_mask_has_components_of_its_own(two: Any, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run = fastseg.evaluate_folder(*two, out, masks=True, **HOW)
    assert not run.failed
    found = run.instances
    assert found is not None
    wanted = [match_instances(*masks()[name], **LIKE) for name in NAMES]
    same = [match_instances(true, true, **LIKE) for true, _ in masks().values()]
    for metric, of in {
        "matched": lambda each: each.tp,
        "invented": lambda each: each.fp,
        "lesion_dice": lambda each: each.instance_dice,
        "lesion_hd95": lambda each: each.instance_distance(),
    }.items():
        values = found.values(metric)
        np.testing.assert_allclose(values, [[of(each) for each in row] for row in (wanted, same)], err_msg=metric)
    rows = [row for row in found.rows or () if row["case"] == "a" and row["region"] == "ET"]
    assert len(rows) == len(wanted[1].rows())
    assert rows[0]["true_ml"] == wanted[1].rows()[0]["true_ml"]
    loaded = Run.load(out)
    assert str(loaded) == str(run)
    assert loaded.instances is not None
    assert loaded.instances.rows == found.rows
    again = fastseg.evaluate_folder(*two, out, masks=True, gates=["WT:missed=9", "lesion_hd95=0.1"], **HOW)
    assert again.facts["times"]["scored"] == 0
    assert [each["passed"] for each in again.facts["gates"]] == [True, False]


def test_channels_and_label_maps(two: Any, tmp_path: Path) -> None:
    wanted = fastseg.evaluate_folder(*two, masks=True, **HOW).instances
    for side, number in (("true", 0), ("pred", 1)):
        (tmp_path / "4d" / side).mkdir(parents=True)
        stacked = np.stack([pair[number] for pair in masks().values()], -1)
        write(tmp_path / "4d" / side / "a.nii.gz", stacked, AFFINE)
        (tmp_path / "maps" / side).mkdir(parents=True)
        write(tmp_path / "maps" / side / "a.nii.gz", stacked.sum(-1), AFFINE)  # ET is 2, and WT all that is not 0
    channels = fastseg.evaluate_folder(tmp_path / "4d/true", tmp_path / "4d/pred", channels="WT,ET", **HOW)
    regions = {"WT": [1, 2], "ET": [2]}
    maps = fastseg.evaluate_folder(tmp_path / "maps/true", tmp_path / "maps/pred", regions=regions, **HOW)
    mixed = fastseg.evaluate_folder(tmp_path / "maps/true", tmp_path / "4d/pred", regions=regions, **HOW)
    assert wanted is not None
    for run in (channels, maps, mixed):
        assert run.instances is not None, run.failed
        for metric in ("matched", "missed", "lesion_dice", "lesion_hd95"):
            assert run.instances.values(metric)[0].tolist() == wanted.values(metric)[0].tolist()


def test_outside_of_the_region_of_interest_there_is_nothing(two: Any, tmp_path: Path) -> None:
    inside = np.zeros((16, 24, 24), np.uint8)
    inside[:9] = 1
    (tmp_path / "roi").mkdir()
    for case in "ab":
        write(tmp_path / "roi" / f"{case}.nii.gz", inside, AFFINE)
    run = fastseg.evaluate_folder(*two, masks=True, roi=tmp_path / "roi", **HOW)
    assert run.instances is not None
    wanted = match_instances(*(each * inside for each in masks()["WT"]), **LIKE)
    assert run.instances.values("missed")[0, 0] == wanted.fn
    assert run.instances.values("lesion_hd95")[0, 0] == pytest.approx(wanted.instance_distance())


def test_masks_that_are_missing(two: Any) -> None:
    (two[1] / "a" / "ET.nii.gz").unlink()
    empty = fastseg.evaluate_folder(*two, masks=True, missing_mask="empty", **HOW)
    skip = fastseg.evaluate_folder(*two, masks=True, missing_mask="skip", **HOW)
    assert empty.instances is not None
    assert skip.instances is not None
    nothing = match_instances(masks()["ET"][0], masks()["ET"][1] * 0, **LIKE)
    assert empty.instances.values("missed")[0, 1] == nothing.fn > 0
    assert np.isnan(skip.instances.values("missed")[0, 1])
    assert skip.instances.scores("ET")["cases"] == 1
    for path in two:
        (path / "a" / "ET.nii.gz").unlink(missing_ok=True)
    neither = fastseg.evaluate_folder(*two, masks=True, missing_mask="empty", **HOW)
    assert neither.instances is not None
    assert not neither.failed
    assert neither.instances.values("lesion_dice")[0, 1] == 1  # nothing is worth that to BraTS
    for file in (two[1] / "b").iterdir():
        file.unlink()
    (two[1] / "b").rmdir()
    worst = fastseg.evaluate_folder(*two, masks=True, missing="worst", missing_mask="empty", **HOW)
    assert worst.instances is not None
    assert not worst.failed
    assert worst.instances.values("lesion_hd95")[1].tolist() == [374, 374]


def test_names_that_are_no_masks(two: Any) -> None:
    with pytest.raises(ValueError, match=r"instances: expected names of masks \(ET, WT\), found 'TC'"):
        fastseg.evaluate_folder(*two, masks=True, instances="TC")


def test_masks_that_only_files_name(tmp_path: Path) -> None:
    """Of 3D Slicer: what one case lacks is nothing there, and what all lack is none."""
    for number, side in enumerate(("true", "pred")):
        (tmp_path / side).mkdir()
        for case, names in (("a", NAMES), ("b", ("WT",))):
            layers = [masks()[name][number].transpose(2, 1, 0) for name in names]
            segments = [(name, layer, 1, name) for layer, name in enumerate(names)]
            write_segments(tmp_path / side / f"{case}.seg.nrrd", layers, segments)
    two = tmp_path / "true", tmp_path / "pred"
    run = fastseg.evaluate_folder(*two, masks=True, **HOW)
    assert not run.failed
    assert run.instances is not None
    assert run.instances.values("lesion_dice")[1, 1] == 1  # nothing, to BraTS
    with pytest.raises(ValueError, match=r"instances: expected names of masks \(WT, ET\), found 'TC'"):
        fastseg.evaluate_folder(*two, masks=True, instances="WT,TC", match="brats")


def test_what_they_are_called(two: Any) -> None:
    """By their names, as in the rows of voxels, and in what is said of names that are none."""
    run = fastseg.evaluate_folder(*two, masks=True, **HOW)
    rows = fastseg.compare_runs(run, run).rows
    assert {(row.key, row.name) for row in rows if row.name != "mean"} == {("WT", "WT"), ("ET", "ET")}
    with pytest.raises(ValueError, match=r"there is no class 'TC'; expected one of: WT, ET; found 'TC:missed=0'"):
        fastseg.evaluate_folder(*two, masks=True, gates=["TC:missed=0"], **HOW)
