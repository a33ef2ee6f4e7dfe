"""Segmentations without their empty planes count as the full arrays, beside each other and beside files that have all."""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import segmentations
from support.segmentations import AXIAL, ORIGIN, SPACING, ct, pydicom
from support.volumes_on_disk import write as write_nifti

import fastseg
from fastseg import cli
from fastseg.arrays.classes import label_classes
from fastseg.counting import score_files
from fastseg.counting.files import count_with_facts
from fastseg.counting.stored_labels import label_blocks
from fastseg.volumes import GeometryError, open_volume
from fastseg.volumes.geometry import turned_affine

SHAPE = (9, 12, 10)  # slices, rows, columns
RNG = np.random.default_rng(3)
OBLIQUE = (0.8, 0.36, 0.48, -0.6, 0.48, 0.64)
ORIENTATIONS = pytest.mark.parametrize(
    "orientation", [AXIAL, OBLIQUE, (0, 1, 0, 0, 0, -1)], ids=["axial", "oblique", "sagittal"]
)


def labels(*planes: int) -> np.ndarray:
    """Return labels of a grid where some planes are not empty, their corners included."""
    data = np.zeros(SHAPE, "u1")
    for plane in planes:
        data[plane] = RNG.integers(0, 4, SHAPE[1:])
        data[plane, 0, 0] = data[plane, -1, -1] = 1
    return data


def seg(
    path: Path, data: np.ndarray, orientation: Sequence[float] = AXIAL, backwards: bool = False, **options: Any
) -> Path:
    """Write a segmentation without its empty planes; the order of its frames says nothing."""
    images = [ct(i, orientation=orientation) for i in range(len(data))]
    turn = slice(None, None, -1 if backwards else 1)
    return segmentations.write(path, data[turn], images=images[turn], **options)


def affine(orientation: Sequence[float] = AXIAL) -> np.ndarray:
    """Return the affine of the (x, y, z) voxels of the whole grid."""
    across, down = np.array(orientation).reshape(2, 3)
    placed = np.eye(4)
    placed[:3, :3] = np.column_stack([across, down, np.cross(across, down)]) * SPACING
    placed[:3, 3] = ORIGIN
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ placed


def changed(path: Path, **values: Any) -> Path:
    """Overwrite what a segmentation says of the distance of its planes; None: it says nothing."""
    dataset = pydicom.dcmread(path)
    measures = dataset.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    for name, value in values.items():
        if value is None:
            delattr(measures, name)
        else:
            setattr(measures, name, value)
    dataset.save_as(path)
    return path


def within(*arrays: np.ndarray) -> list[np.ndarray]:
    """Return arrays without the planes before the first and behind the last that any of them has."""
    there = np.flatnonzero(np.any([array.any(axis=(1, 2)) for array in arrays], axis=0))
    return [array[there[0] : there[-1] + 1] for array in arrays]


@ORIENTATIONS
@pytest.mark.parametrize("kind", ["BINARY", "LABELMAP"])
@pytest.mark.parametrize("backwards", [False, True])
def test_two_segmentations_have_the_planes_of_both(
    tmp_path: Path, orientation: Sequence[float], kind: str, backwards: bool
) -> None:
    a, b = labels(1, 2, 4), labels(3, 4, 7)
    one = seg(tmp_path / "a.dcm", a, orientation, kind=kind)
    other = seg(tmp_path / "b.dcm", b, orientation, backwards, kind=kind)
    for (path, true), (path_too, pred) in itertools.permutations([(one, a), (other, b)]):
        expected = fastseg.count_labels(*within(true, pred))
        for threads in (1, 2):
            assert fastseg.count_files(path, path_too, threads=threads) == expected
        counts, facts, voxel_ml = count_with_facts(path, path_too, classes=label_classes(None, None, None))
        assert counts == expected
        assert facts["shape"] == [10, 12, 7]
        assert facts["spacing_mm"] == pytest.approx(list(SPACING))
        assert facts["geometry"] == "equal"
        assert voxel_ml == pytest.approx(0.00075)


@pytest.mark.parametrize("geometry", ["error", "warn", "ignore"])
def test_as_many_planes_elsewhere_are_not_taken_for_the_same(tmp_path: Path, geometry: Any) -> None:
    a, b = labels(0, 1, 2), labels(6, 7, 8)
    one, other = seg(tmp_path / "a.dcm", a), seg(tmp_path / "b.dcm", b)
    assert fastseg.count_files(one, other, geometry=geometry) == fastseg.count_labels(a, b)
    assert fastseg.count_files(other, one, geometry=geometry) == fastseg.count_labels(b, a)


@ORIENTATIONS
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_beside_a_file_that_has_all_planes(tmp_path: Path, orientation: Sequence[float], suffix: str) -> None:
    a, b = labels(*range(9)), labels(2, 3, 6)
    full = write_nifti(tmp_path / f"a{suffix}", a.T, affine(orientation))
    for backwards in (False, True):
        part = seg(tmp_path / "b.dcm", b, orientation, backwards)
        for threads in (1, 2):
            assert fastseg.count_files(full, part, threads=threads) == fastseg.count_labels(a, b)
            assert fastseg.count_files(part, full, threads=threads) == fastseg.count_labels(b, a)
    facts = count_with_facts(part, full, classes=label_classes(None, None, None))[1]
    assert (facts["shape"], facts["geometry"]) == ([10, 12, 9], "equal")


@ORIENTATIONS
@pytest.mark.parametrize(
    ("axes", "flips"),
    [((0, 1, 2), (False, False, True)), ((2, 0, 1), (False, True, False)), ((1, 2, 0), (True, False, True))],
)
def test_beside_a_file_whose_axes_run_otherwise(
    tmp_path: Path, orientation: Sequence[float], axes: tuple[int, ...], flips: tuple[bool, ...]
) -> None:
    a, b = labels(*range(9)), labels(2, 3, 6)
    place = turned_affine(affine(orientation), a.T.shape, axes, flips)
    turned = a.T.transpose(axes)[tuple(slice(None, None, -1 if flip else 1) for flip in flips)]
    full = write_nifti(tmp_path / "a.nii.gz", turned, place)
    part = seg(tmp_path / "b.dcm", b, orientation)
    assert fastseg.count_files(full, part, reorient=True) == fastseg.count_labels(a, b)
    assert fastseg.count_files(part, full, reorient=True) == fastseg.count_labels(b, a)
    with pytest.raises(GeometryError, match="a pure flip or permutation of axes"):
        fastseg.count_files(full, part)


@pytest.mark.parametrize("said", [True, False])
@pytest.mark.parametrize("planes", [(1, 3, 4), (1, 3, 6), (0, 3, 8), (2, 4, 6)])
def test_planes_may_be_left_out_between_others(tmp_path: Path, planes: tuple[int, ...], said: bool) -> None:
    a, b = labels(*range(9)), labels(*planes)
    part = seg(tmp_path / "b.dcm", b)
    if not said:
        changed(part, SpacingBetweenSlices=None)
    step = 2 if planes == (2, 4, 6) and not said else 1  # nothing but the other file says that there are more
    with open_volume(part) as volume:
        assert volume.planes is not None
        assert volume.planes.places == tuple((plane - planes[0]) // step for plane in planes)
        assert volume.geometry.spacing == pytest.approx((0.5, 0.75, step * 2.0))
        found = volume.read_block((0, 0, 0), volume.geometry.shape)
        np.testing.assert_array_equal(found.T, within(b)[0][::step])
    full = write_nifti(tmp_path / "a.nii.gz", a.T, affine())
    assert fastseg.count_files(full, part) == fastseg.count_labels(a, b)
    assert fastseg.count_files(part, part) == fastseg.count_labels(*[within(b)[0][::step]] * 2)
    c = labels(5)
    third = seg(tmp_path / "c.dcm", c)  # a single plane, on the lattice that the others say or have
    if step == 1:
        assert fastseg.count_files(third, part) == fastseg.count_labels(*within(c, b))
        assert fastseg.count_files(part, third) == fastseg.count_labels(*within(b, c))


def test_two_files_that_say_no_step_have_the_one_that_fits_both(tmp_path: Path) -> None:
    a, b = labels(0, 4, 8), labels(2, 5, 8)
    one, other = (
        changed(seg(tmp_path / name, data), SpacingBetweenSlices=None) for name, data in (("a.dcm", a), ("b.dcm", b))
    )
    assert fastseg.count_files(one, other) == fastseg.count_labels(a, b)
    assert fastseg.count_files(other, one) == fastseg.count_labels(b, a)


@pytest.mark.parametrize("said", [None, 1.0, 2.0])
def test_a_single_plane_lies_on_the_lattice_of_the_other_file(tmp_path: Path, said: float | None) -> None:
    """Of a single image, highdicom says that the next is at 1 mm."""
    a, b = labels(*range(9)), labels(6)
    part = changed(seg(tmp_path / "b.dcm", b), SpacingBetweenSlices=said)
    full = write_nifti(tmp_path / "a.nii", a.T, affine())
    assert fastseg.count_files(full, part) == fastseg.count_labels(a, b)
    c = labels(2, 3)
    other = seg(tmp_path / "c.dcm", c)
    assert fastseg.count_files(part, other) == fastseg.count_labels(*within(b, c))
    assert fastseg.count_files(other, part) == fastseg.count_labels(*within(c, b))


def test_files_that_have_all_their_planes_get_none(tmp_path: Path) -> None:
    a, b = labels(*range(9)), labels(0, 4, 8)
    part = seg(tmp_path / "b.dcm", b)
    place = affine()
    place[:3, 3] += 2 * place[:3, 2]
    full = write_nifti(tmp_path / "a.nii.gz", a[2:7].T, place)
    message = r"b\.dcm: expected its planes among the 5 of .*a\.nii\.gz, found 2 beyond them"
    for pair in ((full, part), (part, full)):
        with pytest.raises(GeometryError, match=message):
            fastseg.count_files(*pair, geometry="ignore")
    other = write_nifti(tmp_path / "c.nii.gz", a.T, affine())
    with pytest.raises(GeometryError, match=r"expected the shape \(10, 12, 5\)"):
        fastseg.count_files(full, other)


def test_planes_of_equal_number_that_lie_elsewhere_are_a_matter_of_the_policy(tmp_path: Path) -> None:
    a, b = labels(*range(9)), labels(*range(3, 8))
    full = write_nifti(tmp_path / "a.nii.gz", a[:5].T, affine())
    part = seg(tmp_path / "b.dcm", b)
    with pytest.raises(GeometryError, match="a pure translation by"):
        fastseg.count_files(full, part)
    assert fastseg.count_files(full, part, geometry="ignore") == fastseg.count_labels(a[:5], b[3:8])


@pytest.mark.parametrize("what", ["orientation", "spacing", "within a plane", "size", "half a plane", "step"])
def test_planes_of_other_lattices_are_not_brought_together(tmp_path: Path, what: str) -> None:
    a, b = labels(0, 1, 2), labels(3, 4)
    one, other = seg(tmp_path / "a.dcm", a), tmp_path / "b.dcm"
    images = [ct(i) for i in range(9)]
    for image in images:
        if what == "within a plane":
            image.ImagePositionPatient[0] += 0.5
        elif what == "half a plane":
            image.ImagePositionPatient[2] += 1
        elif what == "spacing":
            image.PixelSpacing = [0.75, 0.51]
    if what == "orientation":
        images = [ct(i, orientation=OBLIQUE) for i in range(9)]
    elif what == "size":
        b = np.zeros((9, 13, 10), "u1")
        b[3:5] = 1
        images = [ct(i, size=(13, 10)) for i in range(9)]
    elif what == "step":
        images = [ct(i, distance=1.0) for i in range(9)]
    segmentations.write(other, b, images=images)
    for policy in ("error", "ignore"):
        for pair in ((one, other), (other, one)):
            with pytest.raises(GeometryError, match="expected the shape"):
                fastseg.count_files(*pair, geometry=policy)  # type: ignore[arg-type]


@pytest.mark.parametrize("geometry", ["warn", "ignore"])
@pytest.mark.parametrize("what", ["orientation", "half a plane", "step"])
@pytest.mark.filterwarnings("ignore:.*its corners lie up to")
def test_planes_without_a_counterpart_are_refused_under_every_policy(tmp_path: Path, what: str, geometry: Any) -> None:
    """There are as many in both files, but which of the grid they are nobody knows."""
    a, b = labels(0, 1, 2), labels(3, 4, 5)
    images = [ct(i) for i in range(9)]
    if what == "orientation":
        images = [ct(i, orientation=(1, 0, 0, 0, 0.6, 0.8)) for i in range(9)]
    elif what == "half a plane":
        for image in images:
            image.ImagePositionPatient[2] -= 5
    elif what == "step":
        images = [ct(i, distance=1.0) for i in range(9)]
    one, other = seg(tmp_path / "a.dcm", a), segmentations.write(tmp_path / "b.dcm", b, images=images)
    for pair in ((one, other), (other, one)):
        with pytest.raises(
            GeometryError, match=r"its planes lie up to [\d.]+ mm from those of .*\.dcm; expected them on"
        ):
            fastseg.count_files(*pair, geometry=geometry)
    full = write_nifti(tmp_path / "a.nii.gz", a[:3].T, affine())  # which has as many, so that none can be left out
    for pair in ((full, other), (other, full)):
        arrays = [{full: a[:3], other: b[3:6]}[path] for path in pair]
        assert fastseg.count_files(*pair, geometry=geometry) == fastseg.count_labels(*arrays)


@pytest.mark.parametrize("shift", [(0.0, 0.0, 0.9), (3.0, 0.0, 0.0), (0.0, 0.0, 1.1)])
def test_planes_less_than_half_a_step_apart_have_a_counterpart(tmp_path: Path, shift: tuple[float, ...]) -> None:
    a, b = labels(1, 2, 4), labels(1, 3, 4)
    images = [ct(i) for i in range(9)]
    for image in images:
        image.ImagePositionPatient = [float(at + by) for at, by in zip(image.ImagePositionPatient, shift, strict=True)]
    one, other = seg(tmp_path / "a.dcm", a), segmentations.write(tmp_path / "b.dcm", b, images=images)
    with pytest.raises(GeometryError, match="a pure translation"):
        fastseg.count_files(one, other)
    if shift[2] > 1:
        with pytest.raises(GeometryError, match="its planes lie up to 1.1 mm"):
            fastseg.count_files(one, other, geometry="ignore")
    else:
        assert fastseg.count_files(one, other, geometry="ignore") == fastseg.count_labels(a[1:5], b[1:5])


def test_a_region_of_interest_that_leaves_planes_out(tmp_path: Path) -> None:
    a, b, inside = labels(1, 2, 4), labels(3, 4, 7), labels(2, 3)
    one, other, roi = (seg(tmp_path / f"{name}.dcm", data) for name, data in (("a", a), ("b", b), ("roi", inside)))
    expected = fastseg.count_labels(*within(a, b), mask=inside[1:8] != 0)
    assert fastseg.count_files(one, other, roi=roi) == expected
    full = write_nifti(tmp_path / "roi.nii.gz", inside.T, affine())
    assert fastseg.count_files(one, other, roi=full) == fastseg.count_labels(a, b, mask=inside != 0)
    blocks = list(label_blocks(one, other, roi=full))
    assert sum(int(block.inside.sum()) for block in blocks if block.inside is not None) == (inside != 0).sum()


@ORIENTATIONS
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("single", [False, True])
def test_beside_a_file_of_probabilities(
    tmp_path: Path, orientation: Sequence[float], suffix: str, single: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    a = labels(2, 3, 6)
    scores = RNG.dirichlet(np.ones(4), SHAPE).astype("f4")
    if single:
        a, scores = (a > 0).astype("u1"), scores[..., 1]
    axes = (2, 1, 0) if single else (2, 1, 0, 3)
    pred = write_nifti(tmp_path / f"p{suffix}", scores.transpose(axes), affine(orientation))
    options: dict[str, Any] = {"quantities": ["dice", "cross_entropy", "argmax"]}
    expected = fastseg.sum_scores(a, scores, channel_axis=None if single else -1, **options)
    for slab, backwards in ((300, False), (16 << 20, True)):
        monkeypatch.setattr(score_files, "SLAB_BYTES", slab)
        true = seg(tmp_path / "a.dcm", a, orientation, backwards)
        found = fastseg.sum_files(true, pred, **options)
        assert found.argmax_counts == expected.argmax_counts
        assert found.voxels.tolist() == expected.voxels.tolist()
        np.testing.assert_allclose(found.cross_entropy, expected.cross_entropy, rtol=1e-6)
        inside = RNG.random(SHAPE) < 0.5
        part = fastseg.sum_files(true, pred, mask=inside.T, **options)
        assert (
            part.argmax_counts
            == fastseg.sum_scores(a, scores, channel_axis=None if single else -1, mask=inside, **options).argmax_counts
        )
    if not single:
        wanted = fastseg.evaluate(a, scores.argmax(-1).astype("u1")).mean["dice"]
        found = fastseg.evaluate_files(true, pred)
        assert found.mean["dice"] == pytest.approx(wanted, rel=1e-15)
        assert (found.files["shape"], found.files["geometry"]) == ([10, 12, 9], "equal")
        assert "soft_dice" in found.extra
        (record,) = fastseg.evaluate_folder(true, pred).records
        assert (record.status, record.shape, record.scores) == ("scored", (10, 12, 9), found.extra)


def test_beside_probabilities_whose_axes_run_otherwise(tmp_path: Path) -> None:
    a, scores = labels(2, 3, 6), RNG.dirichlet(np.ones(4), SHAPE).astype("f4")
    axes, flips = (2, 0, 1), (False, True, False)
    place = turned_affine(affine(), a.T.shape, axes, flips)
    turned = scores.transpose(2, 1, 0, 3).transpose(*axes, 3)[:, ::-1]
    pred, true = write_nifti(tmp_path / "p.nii.gz", turned, place), seg(tmp_path / "a.dcm", a)
    assert fastseg.sum_files(true, pred, reorient=True).argmax_counts == fastseg.sum_scores(a, scores).argmax_counts
    with pytest.raises(GeometryError, match="a pure flip or permutation of axes"):
        fastseg.sum_files(true, pred)


def test_probabilities_of_fewer_planes_are_refused(tmp_path: Path) -> None:
    a, scores = labels(0, 4, 8), RNG.dirichlet(np.ones(4), SHAPE).astype("f4")
    pred = write_nifti(tmp_path / "p.nii", scores[:5].transpose(2, 1, 0, 3), affine())
    with pytest.raises(
        GeometryError, match=r"a\.dcm: expected its planes among the 5 of .*p\.nii, found 1 beyond them"
    ):
        fastseg.evaluate_files(seg(tmp_path / "a.dcm", a), pred)


def test_folders_and_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    references, predictions = tmp_path / "references", tmp_path / "predictions"
    references.mkdir()
    predictions.mkdir()
    pairs = {"a": (labels(1, 2, 4), labels(3, 4, 7)), "b": (labels(*range(9)), labels(2, 3, 6))}
    seg(references / "a.dcm", pairs["a"][0])
    write_nifti(references / "b.nii.gz", pairs["b"][0].T, affine())
    for name, (_, predicted) in pairs.items():
        seg(predictions / f"{name}.dcm", predicted)
    run = fastseg.evaluate_folder(references, predictions, tmp_path / "results", threads=2)
    assert [record.status for record in run.records] == ["scored", "scored"]
    assert [(record.shape, record.geometry) for record in run.records] == [
        ((10, 12, 7), "equal"),
        ((10, 12, 9), "equal"),
    ]
    expected = [fastseg.count_labels(*within(*pairs[name]), num_classes=4) for name in "ab"]
    for number, counts in enumerate(expected):
        assert (run.counts().matrix[number] == counts.matrix[0]).all()
    for one, other, counts in (("a.dcm", "a.dcm", expected[0]), ("b.nii.gz", "b.dcm", expected[1])):
        paths = [str(references / one), str(predictions / other)]
        monkeypatch.setattr(sys, "argv", ["fastseg", "evaluate", *paths, "--json", str(tmp_path / "scores.json")])
        with pytest.raises(SystemExit) as done:
            cli.main()
        assert not done.value.code
        assert capsys.readouterr().err == ""
        written = json.loads((tmp_path / "scores.json").read_text())
        assert written["files"]["geometry"] == "equal"
        assert written["voxels"]["counted"] == counts.matrix.sum()
        assert written["files"]["shape"] == [10, 12, 7 if one == "a.dcm" else 9]
        for label in (1, 2, 3):
            row = written["classes"][str(label)]
            assert row["true_voxels"] == counts.matrix[0, label].sum()
            assert row["pred_voxels"] == counts.matrix[0, :, label].sum()
            assert row["dice"] == pytest.approx(
                2 * counts.matrix[0, label, label] / (row["true_voxels"] + row["pred_voxels"]), rel=1e-15
            )
