"""Surfaces of files: measured from the voxels that were counted, with the spacing that the file has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from fastseg import evaluate_files, surface_distances
from fastseg.metrics import hd95, normalized_surface_dice
from fastseg.phantom import phantom_pair
from fastseg.volumes import VolumeError

SPACING = (0.8, 0.9, 3.0)
TRUE, PRED = phantom_pair((24, 30, 12), 4, foreground=0.4)
TURN = np.array([[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, 1.0]])
OPTIONS: dict[str, Any] = {"metrics": ["dice", "hd95", "nsd"], "tolerance": 1}


def affine(linear: Any = None) -> Any:
    found = np.eye(4)
    found[:3, :3] = np.diag(SPACING) if linear is None else linear
    return found


def nifti(path: Path, labels: Any, linear: Any = None, **header: Any) -> Path:
    image = nib.Nifti1Image(labels, affine(linear))
    for name, value in header.items():
        image.header[name] = value
    image.to_filename(path)
    return path


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    return nifti(tmp_path / "true.nii.gz", TRUE), nifti(tmp_path / "pred.nii", PRED.astype(np.int16))


def check(scores: Any, surfaces: Any) -> None:
    np.testing.assert_allclose(scores["hd95"][1:], hd95(surfaces)[0], rtol=1e-12)
    np.testing.assert_allclose(scores["nsd"][1:], normalized_surface_dice(surfaces, tolerance=1)[0], rtol=1e-12)


def test_files_have_the_surfaces_of_their_arrays(pair: tuple[Path, Path]) -> None:
    scores = evaluate_files(*pair, **OPTIONS)
    check(scores, surface_distances(TRUE, PRED, spacing=SPACING, labels=[1, 2, 3]))
    assert np.isnan(scores["hd95"][0])
    assert np.array_equal(scores["dice"], evaluate_files(*pair, metrics="dice")["dice"])
    check(evaluate_files(*pair, spacing=2, **OPTIONS), surface_distances(TRUE, PRED, spacing=2, labels=[1, 2, 3]))
    surfels = surface_distances(TRUE, PRED, spacing=SPACING, labels=[1, 2, 3], surface="surfel")
    check(evaluate_files(*pair, surface="surfel", **OPTIONS), surfels)


def test_a_tolerance_that_equals_the_spacing_has_what_is_next_to_it(pair: tuple[Path, Path], tmp_path: Path) -> None:
    moved = nifti(tmp_path / "moved.nii", np.roll(TRUE == 1, 1, axis=1).astype(np.uint8))
    true = nifti(tmp_path / "one.nii", (TRUE == 1).astype(np.uint8))
    scores = [evaluate_files(true, moved, metrics="nsd", tolerance=t)["nsd"][1] for t in (0.9, 0.89)]
    assert scores[0] == 1
    assert scores[1] < 1


def test_oblique_volumes_give_the_same_and_sheared_ones_are_refused(tmp_path: Path) -> None:
    oblique = [
        nifti(tmp_path / f"{name}.nii.gz", each, TURN @ np.diag(SPACING)) for name, each in (("t", TRUE), ("p", PRED))
    ]
    scores = evaluate_files(*oblique, **OPTIONS)
    found = surface_distances(TRUE, PRED, spacing=SPACING, labels=[1, 2, 3])
    np.testing.assert_allclose(scores["hd95"][1:], hd95(found)[0], rtol=1e-6)
    shear = np.diag(SPACING)
    shear[0, 2] = 0.5
    sheared = [nifti(tmp_path / f"{name}.nii.gz", each, shear) for name, each in (("a", TRUE), ("b", PRED))]
    with pytest.raises(VolumeError, match=r"a.nii.gz: expected axes at right angles .*the cosine of an angle is 0.164"):
        evaluate_files(*sheared, **OPTIONS)
    assert evaluate_files(*sheared, metrics="dice")["dice"].shape == (4,)


@pytest.mark.parametrize("header", ["sform", "qform"])
def test_what_lies_obliquely_has_what_is_next_to_it(header: str, tmp_path: Path) -> None:
    """Lengths of rotated axes are rounded up or down, and a tolerance that equals the spacing must not see it."""
    true = (TRUE == 1).astype(np.uint8)
    draw = np.random.default_rng(0)
    for k in range(8):
        rotation = affine(np.linalg.qr(draw.standard_normal((3, 3)))[0] @ np.diag(SPACING))
        paths = []
        for name, labels in (("true", true), ("pred", np.roll(true, 1, axis=0))):
            image = nib.Nifti1Image(labels, rotation)
            image.set_sform(rotation if header == "sform" else None, int(header == "sform"))
            image.set_qform(rotation if header == "qform" else None, int(header == "qform"))
            image.to_filename(tmp_path / f"{name}{k}.nii")
            paths.append(tmp_path / f"{name}{k}.nii")
        scores = evaluate_files(*paths, metrics=["nsd", "hd95"], tolerance=SPACING[0])
        assert scores.surfaces.spacing.tolist() == [[*SPACING]]
        assert scores["nsd"][1] == 1


def test_files_without_a_spacing_need_one(tmp_path: Path) -> None:
    for name, each in (("t", TRUE), ("p", PRED)):
        np.save(tmp_path / f"{name}.npy", each)
    paths = (tmp_path / "t.npy", tmp_path / "p.npy")
    with pytest.raises(VolumeError, match=r"t.npy: expected a volume that says its spacing"):
        evaluate_files(*paths, **OPTIONS)
    check(
        evaluate_files(*paths, spacing=(3, 1, 1), **OPTIONS),
        surface_distances(TRUE, PRED, spacing=(3, 1, 1), labels=[1, 2, 3]),
    )


def test_regions_roi_mapping_and_scaling(pair: tuple[Path, Path], tmp_path: Path) -> None:
    inside = np.random.default_rng(0).random(TRUE.shape) < 0.95
    roi = nifti(tmp_path / "roi.nii.gz", inside.astype(np.uint8))
    true, _ = pair
    halves = nib.Nifti1Image(PRED, affine())
    halves.header.set_slope_inter(2, 0)
    nib.Nifti1Image(PRED * 2.0, affine(), halves.header).to_filename(tmp_path / "twice.nii.gz")
    scores = evaluate_files(
        true,
        tmp_path / "twice.nii.gz",
        roi=roi,
        map_prediction={2: 1, 4: 2, 6: 3},
        regions={"all": [1, 2, 3], "two": [2]},
        metrics="hd95",
    )
    found = surface_distances(TRUE, PRED, spacing=SPACING, regions={"all": [1, 2, 3], "two": [2]}, mask=inside)
    np.testing.assert_allclose(scores["hd95"], hd95(found)[0], rtol=1e-12)


def test_files_in_unlike_orders_and_of_chunks(pair: tuple[Path, Path], tmp_path: Path) -> None:
    zarr = pytest.importorskip("zarr")
    whole = {"write_empty_chunks": True}  # what is not stored is noted
    array = zarr.create_array(str(tmp_path / "pred.zarr"), shape=PRED.shape, dtype="u1", chunks=(7, 8, 9), config=whole)
    array[:] = PRED
    np.save(tmp_path / "true.npy", np.asfortranarray(TRUE))
    scores = evaluate_files(tmp_path / "true.npy", tmp_path / "pred.zarr", spacing=SPACING, **OPTIONS)
    check(scores, surface_distances(TRUE, PRED, spacing=SPACING, labels=[1, 2, 3]))
    found = evaluate_files(pair[0], tmp_path / "pred.zarr", geometry="ignore", **OPTIONS)
    check(found, surface_distances(TRUE, PRED, spacing=SPACING, labels=[1, 2, 3]))


def test_memory_of_one_pair_serves_the_next(pair: tuple[Path, Path], tmp_path: Path) -> None:
    first = evaluate_files(*pair, **OPTIONS)
    moved = nifti(tmp_path / "moved.nii.gz", np.roll(TRUE, 2, axis=0))
    other = evaluate_files(pair[0], moved, **OPTIONS)
    check(other, surface_distances(TRUE, np.roll(TRUE, 2, axis=0), spacing=SPACING, labels=[1, 2, 3]))
    np.testing.assert_array_equal(evaluate_files(*pair, **OPTIONS)["hd95"], first["hd95"])
    for metrics, name in (("dice", "spacing"), (["iou"], "tolerance")):
        with pytest.raises(ValueError, match=f"{name}: of metrics of surfaces .* found none of them and 1"):
            evaluate_files(*pair, metrics=metrics, **{name: 1})
