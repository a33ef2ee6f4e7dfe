"""Masks that are channels of one file, arrays of a group, or soft: each by its name, as they were written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import nibabel
import numpy as np
import pytest
import zarr
from support.mask_cases import found, masks, tallies
from support.volumes_on_disk import write

import fastseg
from fastseg.runs import evaluate_folder
from fastseg.volumes import VolumeError

NAMES = ("WT", "TC", "ET")
SHAPE = (7, 6, 5)


@pytest.fixture
def pair() -> tuple[Any, Any]:
    return masks(9, NAMES, SHAPE)


def stacked(of: dict[str, Any], names: Any = NAMES, axis: int = -1) -> Any:
    return np.stack([of[name] for name in names], axis)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_channels_of_nifti_are_named_in_order(pair: Any, tmp_path: Path, suffix: str) -> None:
    true, pred = pair
    one = write(tmp_path / f"one{suffix}", stacked(true).astype(np.uint8))
    other = write(tmp_path / f"other{suffix}", stacked(pred).astype(np.uint8))
    for channels in ("WT,TC,ET", NAMES):
        counts = fastseg.count_mask_files(one, other, channels=channels)
        assert counts.classes == NAMES
        np.testing.assert_array_equal(found(counts), tallies(true, pred, NAMES))
    fifth = stacked(pred)[:, :, :, None].astype(np.uint8)  # without time, as NIfTI has vectors
    nibabel.save(nibabel.Nifti1Image(fifth, np.eye(4)), tmp_path / "fifth.nii.gz")
    counts = fastseg.count_mask_files(one, tmp_path / "fifth.nii.gz", channels=NAMES)
    np.testing.assert_array_equal(found(counts), tallies(true, pred, NAMES))
    with pytest.raises(VolumeError, match=r"expected one axis of 2 channels .* found the shape \(7, 6, 5, 3\)"):
        fastseg.count_mask_files(one, other, channels="WT,TC")


@pytest.mark.parametrize("axis", [0, -1])
def test_the_axis_of_channels_of_an_array_is_found(pair: Any, tmp_path: Path, axis: int) -> None:
    true, pred = pair
    np.save(tmp_path / "one.npy", stacked(true))
    np.save(tmp_path / "other.npy", stacked(pred, axis=axis))
    counts = fastseg.count_mask_files(tmp_path / "one.npy", tmp_path / "other.npy", channels=NAMES)
    np.testing.assert_array_equal(found(counts), tallies(true, pred, NAMES))


def test_channels_beside_a_label_map_of_regions_and_beside_files(pair: Any, tmp_path: Path) -> None:
    _, pred = pair
    labels = np.random.default_rng(1).integers(0, 4, SHAPE).astype(np.uint8)
    regions = {"WT": [1, 2, 3], "TC": [2, 3], "ET": [3]}
    true = {name: np.isin(labels, members) for name, members in regions.items()}
    path = write(tmp_path / "labels.nii.gz", labels)
    other = write(tmp_path / "other.nii.gz", stacked(pred).astype(np.uint8))
    counts = fastseg.count_mask_files(path, other, regions=regions, channels=NAMES)
    np.testing.assert_array_equal(found(counts), tallies(true, pred, NAMES))
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": {"background": 0, **regions}}))
    scores = fastseg.evaluate_files(path, other, labels=tmp_path / "dataset.json")  # the channels are its regions
    np.testing.assert_array_equal(found(scores.counts), tallies(true, pred, NAMES))
    folder = tmp_path / "files"
    folder.mkdir()
    for name, mask in true.items():
        write(folder / f"{name}.nii.gz", mask.astype(np.uint8))
    counts = fastseg.count_mask_files(folder, other, channels=NAMES)
    order = [counts.classes.index(name) for name in NAMES]
    np.testing.assert_array_equal(found(counts)[order], tallies(true, pred, NAMES))


def test_a_folder_of_files_with_channels(tmp_path: Path) -> None:
    wanted = []
    for case in range(2):
        true, pred = masks(case, NAMES, SHAPE)
        for side, of in (("gt", true), ("pred", pred)):
            (tmp_path / side).mkdir(exist_ok=True)
            write(tmp_path / side / f"{case}.nii.gz", stacked(of).astype(np.uint8))
        wanted.append(tallies(true, pred, NAMES))
    run = evaluate_folder(
        tmp_path / "gt", tmp_path / "pred", channels="WT,TC,ET", metrics="dice", gates=["TC:dice=0.1"]
    )
    assert [each.name for each in run.classes] == [*NAMES]
    np.testing.assert_array_equal(np.stack([run.binary.tp, run.binary.fp, run.binary.fn], 2), wanted)
    with pytest.raises(ValueError, match="channels: expected masks that may overlap, found label maps"):
        evaluate_folder(*_maps(tmp_path), channels="a,b")


def _maps(where: Path) -> tuple[Path, Path]:
    for side in ("a", "b"):
        (where / side).mkdir()
        write(where / side / "x.nii.gz", np.ones(SHAPE, np.uint8))
    return where / "a", where / "b"


def save(path: Path, of: dict[str, Any]) -> str:
    if path.suffix == ".h5":
        with h5py.File(path, "w") as file:
            for name, mask in of.items():
                file[f"masks/{name}"] = mask.astype(np.uint8)
        return f"{path}::/masks"
    if path.suffix == ".npz":
        np.savez(path, **of)
        return str(path)
    group = zarr.open_group(str(path), mode="w").create_group("masks")
    for name, mask in of.items():
        group.create_array(name, data=mask.astype(np.uint8), chunks=(4, 4, 4))
    return f"{path}::masks"


@pytest.mark.parametrize("suffix", [".h5", ".zarr", ".npz"])
def test_the_arrays_of_a_group(pair: Any, tmp_path: Path, suffix: str) -> None:
    true, pred = pair
    one, other = save(tmp_path / f"one{suffix}", true), save(tmp_path / f"other{suffix}", pred)
    for places, asked in (((one, other), suffix == ".npz"), ([p.partition("::")[0] for p in (one, other)], True)):
        scores = fastseg.evaluate_files(*places, masks=asked, metrics="dice")
        order = [[str(name).rpartition("/")[2] for name in scores.classes].index(name) for name in NAMES]
        np.testing.assert_array_equal(found(scores.counts)[order], tallies(true, pred, NAMES))
    if suffix != ".npz":  # one array of the group is a label map, as ever
        single = fastseg.evaluate_files(*(f"{place}/TC" for place in (one, other)), metrics="dice")
        assert single.classes == (0, 1)


def test_the_labels_of_ome_zarr(pair: Any, tmp_path: Path) -> None:
    for side, of in zip(("one", "other"), pair, strict=True):
        root = zarr.open_group(str(tmp_path / f"{side}.zarr"), mode="w", zarr_format=2)
        labels = root.create_group("labels")
        labels.attrs["labels"] = [*of]
        for name, mask in of.items():
            image = labels.create_group(name)
            image.create_array("0", data=mask.astype(np.uint8))
            scales = [{"type": "scale", "scale": [1.0, 1.0, 1.0]}]
            axes = [{"name": axis, "type": "space", "unit": "micrometer"} for axis in "zyx"]
            datasets = [{"path": "0", "coordinateTransformations": scales}]
            image.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": datasets}]
    places = [f"{tmp_path / side}.zarr::labels" for side in ("one", "other")]
    scores = fastseg.evaluate_files(*places, metrics="dice")
    order = [scores.classes.index(name) for name in NAMES]
    np.testing.assert_array_equal(found(scores.counts)[order], tallies(*pair, NAMES))


def test_a_threshold_makes_masks_of_probabilities(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    soft = [{name: rng.random(SHAPE).astype(np.float32) for name in ("GM", "WM")} for _ in range(2)]
    for side, of in zip(("one", "other"), soft, strict=True):
        (tmp_path / side).mkdir()
        for name, values in of.items():
            write(tmp_path / side / f"{name}.nii.gz", values)
    one, other = tmp_path / "one", tmp_path / "other"
    counts = fastseg.count_mask_files(one, other, threshold=0.4)
    binary = [{name: values >= 0.4 for name, values in of.items()} for of in soft]
    np.testing.assert_array_equal(found(counts), tallies(*binary, ("GM", "WM")))
    with pytest.raises(ValueError, match=r"expected labels that are whole numbers.*threshold"):
        fastseg.count_mask_files(one, other)
    for wrong in (0, float("nan"), -1):
        with pytest.raises(ValueError, match="^threshold: "):
            fastseg.count_mask_files(one, other, threshold=wrong)
    values = soft[0]["GM"].copy()
    values[0, 0, 0] = np.nan
    write(one / "GM.nii.gz", values)
    with pytest.raises(VolumeError, match=r"GM.nii.gz: expected numbers to compare with the threshold, found NaN"):
        fastseg.count_mask_files(one, other, threshold=0.4)


@pytest.mark.parametrize("last", [False, True])
def test_lists_of_nrrd_are_channels(pair: Any, tmp_path: Path, last: bool) -> None:
    pytest.importorskip("SimpleITK")
    paths, space = [], ["(1,0,0)", "(0,1,0)", "(0,0,1)"]
    for side, of in zip(("one", "other"), pair, strict=True):
        data = stacked(of, axis=-1 if last else 0).astype(np.uint8)
        kinds = ["domain"] * 3
        directions = [*space, "none"] if last else ["none", *space]
        kinds.insert(3 if last else 0, "list")
        lines = ["NRRD0004", "type: uint8", "dimension: 4", f"sizes: {' '.join(map(str, data.shape))}", "encoding: raw"]
        lines += [
            "space: left-posterior-superior",
            f"space directions: {' '.join(directions)}",
            "space origin: (0,0,0)",
        ]
        path = tmp_path / f"{side}.nrrd"
        path.write_bytes("\n".join([*lines, f"kinds: {' '.join(kinds)}", "", ""]).encode() + data.tobytes(order="F"))
        paths.append(path)
    counts = fastseg.count_mask_files(*paths, channels=NAMES)
    np.testing.assert_array_equal(found(counts), tallies(*pair, NAMES))
    with pytest.raises(VolumeError, match=r"masks that may overlap are read with channels \(--channels\)"):
        fastseg.count_files(*paths)
    with pytest.raises(VolumeError, match=r"expected 2 channels \(channels, --channels\), found 3"):
        fastseg.count_mask_files(*paths, channels="a,b")


@pytest.mark.parametrize("said", [{"masks": True}, {"channels": "A,B"}, {"threshold": 0.5}])
def test_what_is_said_of_masks_is_refused_of_label_maps(tmp_path: Path, said: dict[str, Any]) -> None:
    path = write(tmp_path / "a.nii", np.zeros((3, 4, 5), np.uint8))
    with pytest.raises(ValueError, match=f"{next(iter(said))}: expected masks on one side at least"):
        fastseg.evaluate_files(path, path, **said)
