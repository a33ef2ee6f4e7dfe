"""Two files read whole say what two files that are counted say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastseg
from fastseg.counting.stored_labels import label_blocks
from fastseg.counting.whole_maps import read_label_maps
from fastseg.volumes import GeometryError, VolumeError

Image: Any = pytest.importorskip("PIL.Image")
tifffile: Any = pytest.importorskip("tifffile")

TRUE = np.random.default_rng(0).integers(0, 3, (9, 7), "u1")
COLOURS = ((0, 0, 0), (200, 0, 0), (0, 200, 0))


def picture(path: Path, data: np.ndarray, order: tuple[int, ...]) -> Path:
    image = Image.fromarray(data)
    image.putpalette(sum((COLOURS[k] for k in order), ()))
    image.save(path, optimize=False)
    return path


def test_palettes_in_another_order_are_read_by_colour(tmp_path: Path) -> None:
    true = picture(tmp_path / "t.png", TRUE, (0, 1, 2))
    pred = picture(tmp_path / "p.png", np.array([0, 2, 1], "u1")[TRUE], (0, 2, 1))
    maps = read_label_maps(true, pred)
    np.testing.assert_array_equal(maps.true, TRUE)
    np.testing.assert_array_equal(maps.pred, TRUE)
    assert maps.note is not None
    assert "compared by colour" in maps.note
    (block,) = label_blocks(true, pred)
    np.testing.assert_array_equal(block.pred, TRUE)
    as_it_is = read_label_maps(true, pred, map_prediction={0: 0})
    np.testing.assert_array_equal(as_it_is.pred, np.array([0, 2, 1])[TRUE])
    with pytest.raises(VolumeError, match="expected colours"):
        read_label_maps(picture(tmp_path / "o.png", np.minimum(TRUE, 1), (0, 1)), pred)


def test_where_nothing_is_known_there_is_nothing(tmp_path: Path) -> None:
    data = np.where(TRUE == 2, 255, TRUE).astype("u1")
    paths = []
    for name, values, tags in (("t", data, [(42113, 2, 0, "255", True)]), ("p", np.ones_like(TRUE), [])):
        paths.append(tmp_path / f"{name}.tif")
        tifffile.imwrite(paths[-1], values, photometric="minisblack", extratags=tags, metadata=None)
    maps = read_label_maps(*paths)
    np.testing.assert_array_equal(maps.true, np.where(TRUE == 2, 0, TRUE))
    np.testing.assert_array_equal(maps.pred, TRUE != 2)
    assert maps.note == f"{paths[0]}: declares 255 to be no data: nothing is there"


def test_instances_have_the_tolerance_of_counts(tmp_path: Path) -> None:
    nibabel: Any = pytest.importorskip("nibabel")
    moved = np.eye(4)
    moved[0, 3] = 0.05
    for name, affine in (("t", np.eye(4)), ("p", moved)):
        nibabel.save(nibabel.Nifti1Image(TRUE[..., None], affine), tmp_path / f"{name}.nii")
    notes: list[str] = []
    found = fastseg.match_instance_files(tmp_path / "t.nii", tmp_path / "p.nii", region=1, warn=notes.append)
    assert found.tp > 0
    assert "0.05 voxels, which passes for the same place" in notes[0]
    with pytest.raises(GeometryError, match=r"tolerance 0\.01 voxels"):
        fastseg.match_instance_files(tmp_path / "t.nii", tmp_path / "p.nii", region=1, geometry_tolerance=0.01)


def test_ids_of_64_bits_without_a_sign(tmp_path: Path) -> None:
    ids = TRUE.astype("u8") + np.where(TRUE, np.uint64(2**63), np.uint64(0))
    paths = [tmp_path / "t.npy", tmp_path / "p.npy"]
    np.save(paths[0], ids.astype(">u8"))
    np.save(paths[1], TRUE.astype("f4"))
    found = fastseg.match_instance_files(*paths)
    assert found.pairs.true.tolist() == [2**63 + 1, 2**63 + 2]
    assert found.pairs.pred.tolist() == [1, 2]
    with pytest.raises(
        ValueError, match=r"t.npy: expected labels .*; count_pair_files takes labels of 2\*\*63 and more"
    ):
        fastseg.count_files(*paths)
    np.save(paths[1], TRUE + 0.25)
    with pytest.raises(VolumeError, match=r"p.npy: expected whole numbers as labels, found \d.25 at index \(0, 0\)"):
        fastseg.match_instance_files(*paths)
