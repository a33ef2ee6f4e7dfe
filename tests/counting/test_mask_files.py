"""Masks in files: every count is that of the arrays, whatever holds the masks on either side."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import tifffile
from support.mask_cases import NAMES, SHAPE, found, masks, tallies
from support.volumes_on_disk import write

import fastseg
from fastseg.volumes import VolumeError, open_volume
from fastseg.volumes.masks import source


def save(folder: Path, of: dict[str, Any], dtype: Any = np.uint8, suffix: str = ".nii.gz", times: int = 1) -> Path:
    folder.mkdir()
    for name, mask in of.items():
        if suffix == ".npy":
            np.save(folder / f"{name}.npy", mask)
        else:
            write(folder / f"{name}{suffix}", (mask * times).astype(dtype))
    return folder


@pytest.fixture
def sides(tmp_path: Path) -> tuple[Path, Path, Any, Any]:
    true, pred = masks(7)
    return save(tmp_path / "true", true), save(tmp_path / "pred", pred), true, pred


@pytest.mark.parametrize("threads", [1, 2])
def test_one_file_a_class(sides: Any, threads: int) -> None:
    one, other, true, pred = sides
    counts = fastseg.count_mask_files(one, other, threads=threads)
    assert counts.classes == NAMES
    np.testing.assert_array_equal(found(counts), tallies(true, pred))
    assert counts.voxels.tolist() == [[np.prod(SHAPE), 0, 0, 0]]
    assert (counts.tn[0] == [(~true[name] & ~pred[name]).sum() for name in NAMES]).all()


@pytest.mark.parametrize(
    ("dtype", "suffix", "times"),
    [
        (np.uint8, ".nii", 255),
        (bool, ".npy", 1),
        pytest.param(np.float32, ".nii.gz", 1, marks=pytest.mark.slow),  # a kernel of its own
        pytest.param(">i2", ".nii.gz", 7, marks=pytest.mark.slow),
    ],
)
def test_files_of_other_types_orders_and_values(
    sides: Any, tmp_path: Path, dtype: Any, suffix: str, times: int
) -> None:
    one, _, true, pred = sides
    other = save(tmp_path / "other", pred, dtype, suffix, times)
    counts = fastseg.count_mask_files(one, other, axes="xyz" if suffix == ".npy" else None)
    np.testing.assert_array_equal(found(counts), tallies(true, pred))


def test_only_what_is_in_the_region_of_interest_is_counted(sides: Any, tmp_path: Path) -> None:
    one, other, true, pred = sides
    region = np.random.default_rng(3).random(SHAPE) < 0.5
    roi = write(tmp_path / "roi.nii.gz", region.astype(np.uint8))
    counts = fastseg.count_mask_files(one, other, roi=roi)
    np.testing.assert_array_equal(found(counts), tallies(true, pred, inside=region))
    assert counts.voxels.tolist() == [[region.sum(), 0, (~region).sum(), 0]]


def test_a_label_map_beside_masks(sides: Any, tmp_path: Path) -> None:
    _, other, true, pred = sides
    labels = np.zeros(SHAPE, np.uint8)
    for value, name in ((3, "rib_2"), (1, "liver"), (7, "rib_10")):
        labels[true[name]] = value
    path = write(tmp_path / "labels.nii.gz", labels)
    names = {0: "background", 1: "liver", 3: "rib_2", 7: "rib_10"}
    own = {name: labels == value for value, name in names.items()}
    np.testing.assert_array_equal(found(fastseg.count_mask_files(path, other, labels=names)), tallies(own, pred))
    counts = fastseg.count_mask_files(other, path, labels=names)  # and the other way round
    np.testing.assert_array_equal(found(counts), tallies(pred, own, NAMES))
    with pytest.raises(VolumeError, match="expected names of its labels"):
        fastseg.count_mask_files(path, other)
    renamed = save(tmp_path / "numbers", {"1": pred["liver"], "3": pred["rib_2"], "7": pred["rib_10"]})
    np.testing.assert_array_equal(found(fastseg.count_mask_files(path, renamed)), tallies(own, pred, NAMES))


def test_many_labels_are_compared_with_their_masks_a_few_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {value: f"c{value}" for value in range(1, 8)}
    labels = np.random.default_rng(0).integers(0, 8, SHAPE).astype(np.uint8)
    true = {name: labels == value for value, name in names.items()}
    pred = {name: np.roll(mask, 1, 1) for name, mask in true.items()}
    path, folder = write(tmp_path / "labels.nii.gz", labels), save(tmp_path / "masks", pred)
    opened: list[str] = []
    monkeypatch.setattr("fastseg.counting.mask_plan._TOGETHER", 3)
    monkeypatch.setattr(source, "open_volume", lambda path: opened.append(path) or open_volume(path))
    counts = fastseg.count_mask_files(path, folder, labels=names)
    np.testing.assert_array_equal(found(counts), tallies(true, pred, tuple(names.values())))
    assert len(opened) == 3  # 7 labels, 3 at a time


def test_regions_of_a_label_map_beside_masks_of_them(tmp_path: Path) -> None:
    labels = np.random.default_rng(0).integers(0, 4, SHAPE).astype(np.uint8)
    regions = {"whole tumour": (1, 2, 3), "core": (1, 3)}
    true = {name: np.isin(labels, members) for name, members in regions.items()}
    pred = {name: np.roll(mask, 1, 0) for name, mask in true.items()}
    path, folder = write(tmp_path / "labels.nii.gz", labels), save(tmp_path / "masks", pred)
    counts = fastseg.count_mask_files(path, folder, regions=regions)
    assert counts.classes == tuple(regions)
    np.testing.assert_array_equal(found(counts), tallies(true, pred, tuple(regions)))
    mapped = write(tmp_path / "mapped.nii.gz", np.array([0, 10, 20, 30], np.uint8)[labels])
    scores = fastseg.evaluate_files(
        folder, mapped, regions=regions, map_prediction={10: 1, 20: 2, 30: 3}, metrics="dice"
    )
    np.testing.assert_array_equal(found(scores.counts), tallies(pred, true, tuple(regions)))


def test_a_mask_that_is_missing(sides: Any) -> None:
    one, other, true, pred = sides
    (other / "rib_2.nii.gz").unlink()
    with pytest.raises(VolumeError, match=r"pred: no mask of rib_2 \(missing_mask"):
        fastseg.count_mask_files(one, other)
    empty = {**pred, "rib_2": np.zeros(SHAPE, bool)}
    counts = fastseg.count_mask_files(one, other, missing_mask="empty")
    np.testing.assert_array_equal(found(counts), tallies(true, empty))
    counts = fastseg.count_mask_files(other, one, missing_mask="empty")
    np.testing.assert_array_equal(found(counts), tallies(empty, true, counts.classes))
    counts = fastseg.count_mask_files(one, other, missing_mask="skip")
    assert counts.classes == ("liver", "rib_10")
    with pytest.raises(ValueError, match="missing_mask: expected one of error, empty, skip, found 'guess'"):
        fastseg.count_mask_files(one, other, missing_mask="guess")  # type: ignore[arg-type]


def test_what_is_no_mask_is_refused(sides: Any, tmp_path: Path) -> None:
    one, other, true, _ = sides
    write(other / "rib_2.nii.gz", np.arange(np.prod(SHAPE)).reshape(SHAPE) % 3)
    with pytest.raises(
        VolumeError, match=r"rib_2.nii.gz: expected a mask of rib_2, 0 and one other value, found .* 1, 2"
    ):
        fastseg.count_mask_files(one, other)
    soft = true["rib_2"].astype(np.float32) * 0.5
    write(other / "rib_2.nii.gz", soft)
    with pytest.raises(
        ValueError, match=r"rib_2.nii.gz: expected labels that are whole numbers, found .* the first is 0.5"
    ):
        fastseg.count_mask_files(one, other)
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(VolumeError, match="expected files of masks, one for each class; found none"):
        fastseg.count_mask_files(one, empty)
    (other / "rib_2.nii.gz").write_bytes((other / "liver.nii.gz").read_bytes()[:-20])
    with pytest.raises(VolumeError, match=r"rib_2.nii.gz: truncated"):
        fastseg.count_mask_files(one, other)


def test_all_files_of_a_case_lie_at_one_place(sides: Any) -> None:
    one, other, true, pred = sides
    moved = np.eye(4)
    moved[0, 3] = 2
    for folder, of in ((one, true), (other, pred)):  # each pair agrees
        nibabel.save(nibabel.Nifti1Image(of["rib_10"].astype(np.uint8), moved), folder / "rib_10.nii.gz")
    with pytest.raises(VolumeError, match=r"rib_10.nii.gz: its corners lie up to 2 mm from those of .*liver.nii.gz"):
        fastseg.count_mask_files(one, other)
    notes: list[str] = []
    counts = fastseg.count_mask_files(one, other, geometry="warn", warn=notes.append)
    np.testing.assert_array_equal(found(counts), tallies(true, pred))
    assert len(notes) == 1
    assert "2 mm" in notes[0]
    moved[0, 3] = 0.05  # of a voxel
    for folder, of in ((one, true), (other, pred)):
        nibabel.save(nibabel.Nifti1Image(of["rib_10"].astype(np.uint8), moved), folder / "rib_10.nii.gz")
    fastseg.count_mask_files(one, other, warn=notes.append)
    assert "0.05" in notes[1]
    with pytest.raises(VolumeError, match="rib_10"):
        fastseg.count_mask_files(one, other, geometry_tolerance=0.01)


def test_no_data_in_a_mask_is_refused(tmp_path: Path) -> None:
    mask = (np.indices((6, 5)).sum(0) % 3).astype(np.uint8)
    for side, values in (("true", np.where(mask == 2, 255, mask)), ("pred", mask % 2)):
        (tmp_path / side).mkdir()
        extra = [(42113, "s", 0, "255", True)] if side == "true" else []
        tifffile.imwrite(
            tmp_path / side / "roof.tif", values.astype(np.uint8), photometric="minisblack", extratags=extra
        )
    with pytest.raises(VolumeError, match=r"roof.tif: declares 255 to be no data, which a mask cannot leave out"):
        fastseg.count_mask_files(tmp_path / "true", tmp_path / "pred", warn=lambda _: None)


def test_a_label_map_that_names_its_labels_itself(tmp_path: Path) -> None:
    labels = np.random.default_rng(0).integers(0, 3, SHAPE).astype(np.uint8)
    image = nibabel.Nifti1Image(labels, np.eye(4))
    table = "".join(f'<Label Key="{n}"><![CDATA[{name}]]></Label>' for n, name in ((1, "liver"), (2, "rib_2")))
    text = f"<CaretExtension><VolumeInformation><LabelTable>{table}</LabelTable></VolumeInformation></CaretExtension>"
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension(0, text.encode()))
    nibabel.save(image, tmp_path / "labels.nii.gz")
    with open_volume(tmp_path / "labels.nii.gz") as volume:
        assert volume.names == {1: "liver", 2: "rib_2"}
    true = {"liver": labels == 1, "rib_2": labels == 2}
    folder = save(tmp_path / "masks", {name: np.roll(mask, 1) for name, mask in true.items()})
    counts = fastseg.count_mask_files(tmp_path / "labels.nii.gz", folder, warn=lambda _: None)
    wanted = tallies(true, {name: np.roll(mask, 1) for name, mask in true.items()}, counts.classes)
    np.testing.assert_array_equal(found(counts), wanted)


def test_scores_of_masks(sides: Any) -> None:
    one, other, true, pred = sides
    scores = fastseg.evaluate_files(one, other, metrics=["dice", "iou"])
    expected = fastseg.evaluate_files(
        {name: str(one / f"{name}.nii.gz") for name in NAMES}, {name: str(other / f"{name}.nii.gz") for name in NAMES},
        metrics=["dice", "iou"],
    )  # fmt: skip
    stacked = (np.stack([of[name] for name in NAMES], -1) for of in (true, pred))
    np.testing.assert_array_equal(scores["dice"], fastseg.dice(*stacked, channel_axis=-1))
    np.testing.assert_array_equal(scores["iou"], expected["iou"])
    assert scores.classes == NAMES
    assert "liver" in str(scores)
    for wrong in ({"activation": "softmax"}, {"ignore_index": 1}, {"unknown": "count"}):
        with pytest.raises(ValueError, match=f"{next(iter(wrong))}: for "):
            fastseg.evaluate_files(one, other, **wrong)  # type: ignore[arg-type]
