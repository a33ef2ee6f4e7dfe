"""Pairs of files in unlike orientations: resolved where flips and permutations do, and else refused."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.every_format import EXPECTED, INSIDE, WITHIN, P, T, library, put
from support.volumes_on_disk import write

import fastseg
from fastseg.arrays.classes import label_classes
from fastseg.counting.files import count_with_facts
from fastseg.counting.stored_labels import label_blocks
from fastseg.volumes import GeometryError, geometry
from fastseg.volumes.geometry import turned_affine
from fastseg.volumes.side_by_side import open_aligned

OBLIQUE = np.array([[1.2, 0.1, -0.3, 5], [-0.15, 0.9, 0.2, -6], [0.3, 0.1, 2.5, 7], [0, 0, 0, 1.0]])


@pytest.mark.parametrize("affine", [np.diag([0.5, 1.0, 3.0, 1.0]), OBLIQUE], ids=["boxes", "oblique"])
def test_every_orientation_counts_as_the_original(affine: np.ndarray, tmp_path: Path) -> None:
    nibabel = library("nibabel")
    a = write(tmp_path / "t.nii.gz", T, affine)
    image, inside = (nibabel.Nifti1Image(v, affine) for v in (P, INSIDE.astype("u1")))
    for number, (axes, signs) in enumerate(
        itertools.product(itertools.permutations(range(3)), itertools.product((1, -1), repeat=3))
    ):
        turn = np.array(list(zip(axes, signs, strict=True)))
        b = tmp_path / f"p{number}{('.nii', '.nii.gz', '.mgz')[number % 3]}"
        roi = tmp_path / f"i{number}.nii"
        turned = image.as_reoriented(turn)
        nibabel.save(nibabel.MGHImage(np.asarray(turned.dataobj), turned.affine) if number % 3 == 2 else turned, b)
        nibabel.save(inside.as_reoriented(turn[::-1] if number % 2 else turn), roi)
        note: list[str] = []
        counts, files, _ = count_with_facts(a, b, classes=label_classes(5, None, None), reorient=True, warn=note.append)
        assert counts == EXPECTED, turn
        assert (files["geometry"], files["shape"]) == ("equal", list(T.shape))
        if number % 4 == 0:
            assert fastseg.count_files(a, b, num_classes=5, reorient=True, roi=roi) == WITHIN
            joined = np.full((2, *T.shape), -1)
            for block in label_blocks(a, b, reorient=True, map_prediction={1: 2, 2: 1}):
                box = tuple(slice(i, i + n) for i, n in zip(block.start, block.true.shape, strict=True))
                assert (joined[(0, *box)] == -1).all()
                joined[(0, *box)], joined[(1, *box)] = block.true, block.pred
            assert np.array_equal(joined[0], T)
            assert np.array_equal(joined[1], np.array([0, 2, 1, 3, 4])[P])
        if number:
            with pytest.raises(GeometryError, match="flip or permutation of axes|shape"):
                fastseg.count_files(a, b)


def test_what_lies_as_it_should_is_left_alone(tmp_path: Path) -> None:
    a, b = write(tmp_path / "t.nii", T, OBLIQUE), write(tmp_path / "p.nii", P, OBLIQUE)
    with open_aligned([a, b], reorient=True) as (volumes, note):
        assert [type(volume).__name__ for volume in volumes] == ["NiftiVolume", "NiftiVolume"]
        assert note is None


def test_only_flips_and_permutations_are_resolved(tmp_path: Path) -> None:
    moved = np.diag([-1.0, 1, 1, 1])
    moved[0, 3] = T.shape[0] - 1
    a, flipped = write(tmp_path / "t.nii", T), write(tmp_path / "flipped.nii", P[::-1], moved)
    assert fastseg.count_files(a, flipped, num_classes=5, reorient=True) == EXPECTED
    moved[0, 3] += 1
    for policy, message in (("error", "translation|affines differ"), ("warn", "")):
        b = write(tmp_path / "p.nii", P[::-1], moved)
        if policy == "error":
            with pytest.raises(GeometryError, match=message):
                fastseg.count_files(a, b, reorient=True)
        else:
            notes: list[str] = []
            fastseg.count_files(a, b, reorient=True, geometry="warn", warn=notes.append)
            assert len(notes) == 1
    b = write(tmp_path / "cut.nii", P[:-1])
    with pytest.raises(GeometryError, match=r"cut.nii: expected the shape \(6, 7, 9\) of .*t.nii, found \(5, 7, 9\)"):
        fastseg.count_files(a, b, reorient=True, geometry="ignore")


@pytest.mark.parametrize("angle", [30.0, 44.0, 45.0, 46.0, 60.0, 90.0])
def test_any_angle_is_resolved(angle: float) -> None:
    """At 45 degrees an axis is as near to one axis of space as to another."""
    cosine, sine = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    affine = np.eye(4)
    affine[:3, :3] = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]]) @ np.diag([1.0, 1.0, 2.0])
    shape = (6, 7, 9)
    reference = geometry.Geometry(shape, affine, (1.0, 1.0, 2.0))
    for axes in itertools.permutations(range(3)):
        for flips in itertools.product((False, True), repeat=3):
            turned = turned_affine(affine, shape, axes, flips)
            other = geometry.Geometry(tuple(shape[axis] for axis in axes), turned, (1.0, 1.0, 1.0))
            found = geometry.reorientation(reference, other)
            inverse = tuple(int(axis) for axis in np.argsort(axes))
            expected = (inverse, tuple(flips[axis] for axis in inverse))
            assert found == (None if expected == ((0, 1, 2), (False,) * 3) else expected)


@pytest.mark.parametrize("kind", ["nan", "zero", "singular"])
def test_affines_that_place_nothing(kind: str, tmp_path: Path) -> None:
    bad = {"nan": np.full((4, 4), np.nan), "zero": np.zeros((4, 4)), "singular": np.ones((4, 4))}[kind]
    a = write(tmp_path / "t.nii", T)
    b = write(tmp_path / "p.nii", P)
    header = bytearray(b.read_bytes())  # nibabel would repair it
    header[254:256] = np.int16(1).tobytes()
    header[280:328] = bad[:3].astype("<f4").tobytes()
    b.write_bytes(bytes(header))
    for first, second in ((a, b), (b, a), (b, b)):
        for reorient in (False, True):
            with pytest.raises(GeometryError, match="an affine that places voxels, found one that is"):
                fastseg.count_files(first, second, reorient=reorient)
            with pytest.warns(UserWarning, match="affine that places voxels"):
                fastseg.count_files(first, second, reorient=reorient, geometry="warn")
            fastseg.count_files(first, second, reorient=reorient, geometry="ignore")


@pytest.mark.parametrize("shape", [(54, 7), (378,), (9, 7, 3, 2)])
def test_other_numbers_of_axes(shape: tuple[int, ...], tmp_path: Path) -> None:
    t, p = T.reshape(shape), P.reshape(shape)
    flip = np.diag([-1.0, 1, 1, 1])
    flip[0, 3] = shape[0] - 1
    a, b = write(tmp_path / "t.nii.gz", t), write(tmp_path / "p.nii.gz", p)
    flipped = write(tmp_path / "flipped.nii.gz", p[::-1], flip)
    options: dict[str, Any] = {"num_classes": 5, "axes": "tzyx" if len(shape) == 4 else None}
    assert fastseg.count_files(a, b, reorient=True, **options) == EXPECTED
    assert fastseg.count_files(a, flipped, reorient=True, **options) == EXPECTED
    array = put(tmp_path / "p-", "zyx.npy", p)
    assert fastseg.count_files(a, array, **options) == EXPECTED
    other = write(tmp_path / "other.nii.gz", T)
    with pytest.raises(GeometryError, match=r"expected the shape"):
        fastseg.count_files(a, other, reorient=True, geometry="ignore")


@pytest.mark.parametrize("options", [{}, {"imagej": True}, {"ome": True}], ids=["plain", "imagej", "ome"])
def test_axes_are_not_those_of_a_tiff_which_names_its_own(tmp_path: Path, options: dict[str, Any]) -> None:
    """Also where the shape would allow both."""
    t, p = T[:, :6, :6], P[:, :6, :6]
    reference, prediction = put(tmp_path / "t-", ".nii.gz", t), tmp_path / "p.tif"
    metadata = {"metadata": {"axes": "ZYX"}} if options else {}
    library("tifffile").imwrite(prediction, p.T.copy(), photometric="minisblack", **options, **metadata)
    expected = fastseg.count_labels(t, p, num_classes=5)
    for axes in (None, "zyx", "xyz"):
        assert fastseg.count_files(reference, prediction, num_classes=5, axes=axes) == expected
    array = put(tmp_path / "t-", "c.npy", t)  # of x, y and z, while the TIFF is of z, y and x
    assert fastseg.count_files(array, prediction, num_classes=5, axes="xyz") == expected
