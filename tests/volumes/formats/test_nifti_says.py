"""What a NIfTI file says of its place, its axes and its values is obeyed or refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.nifti_files import nib, raw_nifti
from support.volumes_on_disk import write

import fastseg
from fastseg.volumes import GeometryError, VolumeError, open_volume

RANDOM = np.random.default_rng(0)
TRUE = RANDOM.integers(0, 3, (6, 5, 4)).astype("u1")
PRED = np.where(RANDOM.random(TRUE.shape) < 0.8, TRUE, 1).astype("u1")
EXPECTED = fastseg.count_labels(TRUE, PRED)
NOWHERE = "states no position (its qform_code and sform_code are 0): only shape and spacing are compared"


def with_header(path: Path, data: np.ndarray, **fields: Any) -> Path:
    """Write a file whose header has these fields as they are, whatever nibabel would make of them."""
    header = nib.Nifti1Header(endianness=">" if data.dtype.byteorder == ">" else "<")
    header.set_data_shape(data.shape)
    header.set_data_dtype(data.dtype)
    header.set_sform(np.eye(4), 1)
    for name, value in {"vox_offset": 352, **fields}.items():
        header[name] = value
    path.write_bytes(bytes(header.binaryblock) + bytes(4) + data.tobytes(order="F"))
    return path


@pytest.mark.parametrize("slope", [0, float("nan")])
@pytest.mark.parametrize("intercept", [0, 5, float("nan")])
def test_a_slope_of_zero_or_nan_scales_nothing(tmp_path: Path, slope: float, intercept: float) -> None:
    true = with_header(tmp_path / "t.nii", TRUE * 2, scl_slope=slope, scl_inter=intercept)
    assert fastseg.count_files(true, write(tmp_path / "p.nii", PRED * 2)) == fastseg.count_labels(TRUE * 2, PRED * 2)


def test_a_slope_and_an_intercept_are_obeyed(tmp_path: Path) -> None:
    true = with_header(tmp_path / "t.nii", TRUE * 2 + 10, scl_slope=0.5, scl_inter=-5)
    assert fastseg.count_files(true, write(tmp_path / "p.nii", PRED)) == EXPECTED
    with pytest.raises(VolumeError, match="expected a finite scl_slope and scl_inter"):
        open_volume(with_header(tmp_path / "i.nii", TRUE, scl_slope=float("inf")))


def test_a_file_without_a_position_says_so(tmp_path: Path) -> None:
    nowhere = with_header(tmp_path / "t.nii", TRUE, sform_code=0, pixdim=[1, 2, 2, 2, 0, 0, 0, 0])
    with open_volume(nowhere) as volume:
        assert volume.geometry.affine is None
        assert volume.geometry.spacing == (2, 2, 2)
        assert volume.geometry.voxel_volume_ml == pytest.approx(0.008)
    notes: list[str] = []
    pred = write(tmp_path / "p.nii", PRED, np.diag([-2.0, 2, 2, 1]))
    scores = fastseg.evaluate_files(nowhere, pred, warn=notes.append)
    assert scores.counts == EXPECTED
    assert notes == [f"{nowhere}: {NOWHERE}"]
    assert scores.files is not None
    assert scores.files["geometry"] == "not compared"
    with pytest.raises(GeometryError, match=r"the spacings are \(2, 2, 2\) and \(1, 2, 2\) mm"):
        fastseg.count_files(nowhere, write(tmp_path / "q.nii", PRED, np.diag([1.0, 2, 2, 1])), warn=notes.append)
    (record,) = fastseg.evaluate_folder(nowhere, pred).records
    assert record.notes == (f"{nowhere}: {NOWHERE}",)


def test_a_sheared_header_passes_with_a_note(tmp_path: Path) -> None:
    data, sheared = np.zeros((24, 24, 24), "u1"), np.eye(4)
    sheared[0, 1] = 1e-3
    true, pred = write(tmp_path / "t.nii", data), write(tmp_path / "p.nii", data, sheared)
    notes: list[str] = []
    scores = fastseg.evaluate_files(true, pred, warn=notes.append)
    assert scores.counts == fastseg.count_labels(data, data)
    assert "0.023 mm from those of" in notes[0]
    assert "0.023 voxels, which passes for the same place (geometry_tolerance, --geometry-tolerance: 0.1" in notes[0]
    (record,) = fastseg.evaluate_folder(true, pred).records
    assert record.notes == (notes[0],)
    for options in ({"geometry_tolerance": 0.02}, {"geometry_tolerance": 0}):
        with pytest.raises(GeometryError, match=r"tolerance 0(\.02)? voxels"):
            fastseg.count_files(true, pred, **options)
    (record,) = fastseg.evaluate_folder(true, pred, geometry_tolerance=0.02).records
    assert record.status == "failed"
    with pytest.raises(ValueError, match="geometry_tolerance: expected a finite number that is not negative, found -1"):
        fastseg.count_files(true, pred, geometry_tolerance=-1)


@pytest.mark.parametrize(
    ("code", "step", "unit"),
    [(2, 1, "mm³"), (3, 1, "µm³"), (3, 0.01, "nm³"), (2, 20, "ml"), (1, 1, "ml"), (0, 20, "ml")],
)
def test_volumes_are_in_the_unit_that_fits(tmp_path: Path, code: int, step: float, unit: str) -> None:
    data = np.zeros((4, 4, 4), "u1")
    data[0, 0, :3] = 1
    path = with_header(
        tmp_path / "t.nii", data, xyzt_units=code, pixdim=[1, *(step,) * 3, 0, 0, 0, 0], qform_code=1, sform_code=0
    )
    scores = fastseg.evaluate_files(path, path, warn=lambda _: None)
    header, rows = scores.rows()
    assert [title for title in header if title.startswith("true")] == [f"true {unit}", "true voxels"]
    in_mm = step * {1: 1000, 3: 1e-3}.get(code, 1)
    cell = float(rows[1][header.index(f"true {unit}")].replace(",", ""))
    assert cell == pytest.approx(3 * in_mm**3 * {"ml": 1e-3, "mm³": 1, "µm³": 1e9, "nm³": 1e18}[unit], abs=0.005)
    assert scores.to_dict()["classes"]["1"]["true_ml"] == pytest.approx(3 * in_mm**3 / 1000)


def test_pictures_are_measured_in_square_millimetres(tmp_path: Path) -> None:
    path = write(tmp_path / "t.nii", TRUE[:, :, 0], np.diag([0.5, 2, 3, 1]))
    scores = fastseg.evaluate_files(path, path, warn=lambda _: None)
    assert "true mm²" in str(scores)
    assert scores.to_dict()["classes"]["1"]["true_area"] == (TRUE[:, :, 0] == 1).sum()
    assert "true_ml" not in scores.to_dict()["classes"]["1"]


@pytest.mark.parametrize("dtype", ["u1", "i2", "f4"])
def test_channels_are_never_thrown_together(tmp_path: Path, dtype: str) -> None:
    data = RANDOM.integers(0, 2, (6, 5, 4, 3)).astype(dtype)
    path = write(tmp_path / "t.nii", data)
    for one, other in ((path, path), (path, write(tmp_path / "p.nii", data.astype("u1")))):
        with pytest.raises(
            VolumeError, match=r"shape \(6, 5, 4, 3\).*axes='tzyx' \(--axes tzyx\).*channels \(--channels\)"
        ):
            fastseg.count_files(one, other)
    (record,) = fastseg.evaluate_folder(path, path).records
    assert record.status == "failed"
    for axes in ("tzyx", "xyzt"):
        assert fastseg.count_files(path, path, axes=axes) == fastseg.count_labels(data.astype("u1"), data.astype("u1"))
    np.save(tmp_path / "t.npy", data)
    with pytest.raises(VolumeError, match=r"t\.npy: expected labels along three axes at most"):
        fastseg.count_files(tmp_path / "t.npy", tmp_path / "t.npy")
    slices = write(tmp_path / "s.nii", data[:, :, :1])  # three axes are longer than 1
    assert fastseg.count_files(slices, slices).voxels.sum() == data[:, :, :1].size


def test_analyze_is_named(tmp_path: Path) -> None:
    for suffix in ("hdr", "nii"):
        path = tmp_path / f"case.{suffix}"
        path.write_bytes(raw_nifti(magic=b"", regular=b"r"))
        with pytest.raises(VolumeError, match=r"Analyze 7\.5, whose files do not say which side is left; convert it"):
            open_volume(path)
    image = nib.AnalyzeImage(TRUE.astype("u1"), np.eye(4))
    nib.save(image, tmp_path / "real.img")
    with pytest.raises(VolumeError, match=r"Analyze 7\.5"):
        open_volume(tmp_path / "real.img")


def dlabel(path: Path, data: np.ndarray, names: dict[int, str], surface: str = "CIFTI_STRUCTURE_CORTEX_LEFT") -> Path:
    """Write a CIFTI-2 file of labels of the vertices of a surface."""
    cifti2: Any = pytest.importorskip("nibabel.cifti2")
    table = {key: (name, (0.0, 0.0, 0.0, 1.0)) for key, name in names.items()}
    labels = cifti2.LabelAxis(["parcels"], [table])
    vertices = cifti2.BrainModelAxis.from_surface(np.arange(data.size), data.size, surface)
    cifti2.save(cifti2.Cifti2Image(data[None].astype("f4"), (labels, vertices)), path)
    return path


def test_cifti_labels_are_of_vertices(tmp_path: Path) -> None:
    true, pred = TRUE.reshape(-1), PRED.reshape(-1)
    names = {0: "???", 1: "V1 & V2", 2: "MT"}
    one, other = dlabel(tmp_path / "t.dlabel.nii", true, names), dlabel(tmp_path / "p.dlabel.nii", pred, names)
    scores = fastseg.evaluate_files(one, other)
    assert scores.counts == fastseg.count_labels(true, pred)
    assert scores.names == names
    text = str(scores)
    assert "true vertices" in text
    assert "V1 & V2" in text
    assert " ml" not in text
    for folder, path in (("T", one), ("P", other)):
        (tmp_path / folder).mkdir()
        for case in "ab":
            (tmp_path / folder / f"{case}.dlabel.nii").write_bytes(path.read_bytes())
    run = fastseg.evaluate_folder(tmp_path / "T", tmp_path / "P")
    assert run.settings.names == names
    dlabel(tmp_path / "T" / "b.dlabel.nii", true, {**names, 2: "MST"})
    assert fastseg.evaluate_folder(tmp_path / "T", tmp_path / "P").settings.names == {}
    right = dlabel(tmp_path / "r.dlabel.nii", pred, names, "CIFTI_STRUCTURE_CORTEX_RIGHT")
    with pytest.raises(GeometryError, match=r"systems are 1 models of the brain \(\w{8}\) and 1 models"):
        fastseg.count_files(one, right)


def test_a_label_table_in_an_extension_names_the_classes(tmp_path: Path) -> None:
    """As TotalSegmentator writes it."""
    xml = '<CaretExtension><VolumeInformation Index="0"><LabelTable><Label Key="1" Red="1">liver</Label>'
    xml += '<Label Key="2">left &lt;kidney</Label></LabelTable></VolumeInformation></CaretExtension>'
    image = nib.Nifti1Image(TRUE, np.eye(4))
    image.header.extensions.append(nib.nifti1.Nifti1Extension(0, xml.encode()))
    nib.save(image, tmp_path / "t.nii.gz")
    pred = write(tmp_path / "p.nii", PRED)
    assert fastseg.evaluate_files(tmp_path / "t.nii.gz", pred).names == {1: "liver", 2: "left <kidney"}
    assert fastseg.evaluate_files(tmp_path / "t.nii.gz", pred, labels={1: "mine"}).names == {1: "mine"}


@pytest.mark.parametrize("dtype", [">i2", "<i2", "i1", ">f4", ">u8", "<f8"])
def test_byte_order_and_sign_are_obeyed(tmp_path: Path, dtype: str) -> None:
    data = (TRUE.astype("i4") * (1 if "u" in dtype else -1)).astype(dtype)
    path = with_header(tmp_path / "t.nii", data)
    assert fastseg.count_files(path, path) == fastseg.count_labels(data.astype("i4"), data.astype("i4"))


def test_the_place_of_the_voxels_in_the_file_is_obeyed(tmp_path: Path) -> None:
    path = with_header(tmp_path / "t.nii", TRUE, vox_offset=400)
    content = path.read_bytes()
    path.write_bytes(content[:352] + bytes(48) + content[352:])
    assert fastseg.count_files(path, write(tmp_path / "p.nii", PRED)) == EXPECTED


@pytest.mark.parametrize("fields", [{"pixdim": [-1, 1, 1, 1, 0, 0, 0, 0]}, {"qoffset_x": 5}, {"quatern_b": 1}])
def test_every_part_of_the_qform_counts(tmp_path: Path, fields: dict[str, Any]) -> None:
    true = with_header(tmp_path / "t.nii", TRUE, sform_code=0, qform_code=1)
    pred = with_header(tmp_path / "p.nii", PRED, sform_code=0, qform_code=1, **fields)
    with pytest.raises(GeometryError):
        fastseg.count_files(true, pred)


def test_maps_of_cifti_with_tables_of_their_own_are_refused(tmp_path: Path) -> None:
    cifti2: Any = pytest.importorskip("nibabel.cifti2")
    vertices = cifti2.BrainModelAxis.from_surface(np.arange(8), 8, "CIFTI_STRUCTURE_CORTEX_LEFT")
    data = np.array([[0, 1] * 4, [1, 0] * 4], "f4")
    for names, fine in ((("A", "A"), True), (("A", "B"), False)):
        labels = cifti2.LabelAxis(["one", "two"], [{0: ("?", (0, 0, 0, 0)), 1: (name, (1, 0, 0, 1))} for name in names])
        cifti2.save(cifti2.Cifti2Image(data, (labels, vertices)), tmp_path / "a.dlabel.nii")
        if fine:
            open_volume(tmp_path / "a.dlabel.nii").close()
            continue
        with pytest.raises(VolumeError, match="found maps that have tables of their own"):
            open_volume(tmp_path / "a.dlabel.nii")


def test_two_places_of_one_space_are_noted(tmp_path: Path) -> None:
    for codes, far, noted in (((1, 1), 1.0, True), ((1, 4), 1.0, False), ((1, 1), 0.3, False)):
        image = nib.Nifti1Image(TRUE, np.eye(4))
        moved = np.eye(4)
        moved[0, 3] = far
        image.set_qform(moved, codes[0])
        image.set_sform(np.eye(4), codes[1])
        nib.save(image, tmp_path / "a.nii")
        with open_volume(tmp_path / "a.nii") as volume:
            assert bool(volume.notes) == noted
            assert volume.geometry.affine is not None
            assert volume.geometry.affine[0, 3] == 0
