"""MGH: what nibabel writes is read back bit by bit, and nothing broken is read."""

from __future__ import annotations

import gzip
import math
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.volume_checks import SHAPE, check_flips, check_reads, check_truncations, load, voxels
from support.volumes_on_disk import write
from support.writers import skipped_if_not_written

import fastseg
from fastseg.volumes import VolumeError, compare_geometry, open_volume

nib: Any = pytest.importorskip("nibabel")
AFFINE = np.array([[-0.5, 0.1, 0, 10], [0, 0.75, 0, -20], [0, 0, 2, 30], [0, 0, 0, 1]])


def write_mgh(path: Path, data: np.ndarray) -> Path:
    nib.MGHImage(data, AFFINE).to_filename(path)
    return path


def raw_mgh(data: bytes = bytes(210), **fields: Any) -> bytes:
    """Return an uncompressed file of 7 x 6 x 5 uint8 voxels, its header fields overwritten unchecked."""
    header = nib.freesurfer.mghformat.MGHHeader()
    header["dims"], header["type"] = (*SHAPE, 1), 0
    for name, value in fields.items():
        header[name] = value
    return bytes(header.binaryblock[:90]) + bytes(194) + data


@pytest.mark.parametrize("suffix", [".mgh", ".mgz", ".mgh.gz"])
@pytest.mark.parametrize("dtype", [">u1", ">i2", ">u2", ">i4", ">f4"])
def test_reads_what_nibabel_writes(tmp_path: Path, dtype: str, suffix: str) -> None:
    data = voxels(dtype)
    with skipped_if_not_written(nib.freesurfer.mghformat.MGHError):
        path = write_mgh(tmp_path / "case.mgz", data)
    content = gzip.decompress(path.read_bytes())
    path = path.rename(tmp_path / f"case{suffix}")
    if suffix == ".mgh":
        path.write_bytes(content)
    check_reads(path, data, blocks=suffix == ".mgh")
    with open_volume(path) as volume:
        assert volume.order == "F"
        assert volume.geometry.axes == "xyz"
        np.testing.assert_allclose(volume.geometry.affine, AFFINE, rtol=1e-6, atol=1e-6)
        assert volume.geometry.spacing == pytest.approx(np.linalg.norm(AFFINE[:3, :3], axis=0))
        with open_volume(write(tmp_path / "same.nii", data.astype("u1"), AFFINE)) as nifti:
            assert compare_geometry(volume.geometry, nifti.geometry) is None


@pytest.mark.parametrize("suffix", [".mgh", ".mgz"])
def test_frames(tmp_path: Path, suffix: str) -> None:
    data = voxels(">i2", (*SHAPE, 3))
    path = write_mgh(tmp_path / f"case{suffix}", data)
    check_reads(path, data, blocks=suffix == ".mgh")
    with open_volume(path) as volume:
        assert volume.geometry.axes == "xyzt"
        assert math.isnan(volume.geometry.spacing[3])


def test_a_slice_has_three_axes(tmp_path: Path) -> None:
    path = tmp_path / "case.mgh"
    path.write_bytes(raw_mgh(dims=[70, 3, 1, 1]))
    with open_volume(path) as volume:
        assert volume.geometry.shape == (70, 3, 1)
        assert volume.geometry.axes == "xyz"


def test_a_header_without_a_position_has_freesurfers(tmp_path: Path) -> None:
    path, content = tmp_path / "case.mgh", raw_mgh(goodRASFlag=0, delta=7)
    path.write_bytes(content)
    with open_volume(path) as volume:
        expected = nib.freesurfer.mghformat.MGHHeader(content[:284]).get_affine()
        np.testing.assert_allclose(volume.geometry.affine, expected)
        assert volume.geometry.spacing == (1, 1, 1)


def test_tags_may_follow_the_voxels_and_are_verified(tmp_path: Path) -> None:
    content, path = raw_mgh() + struct.pack(">5f", 1, 2, 3, 4, 5) + b"\1tags" * 1000, tmp_path / "case.mgz"
    path.write_bytes(content)
    check_reads(path, np.zeros(SHAPE, ">u1"), blocks=True)
    path.write_bytes(gzip.compress(content))
    check_reads(path, np.zeros(SHAPE, ">u1"), blocks=False)
    path.write_bytes(gzip.compress(content)[:-8] + bytes(8))
    with pytest.raises(VolumeError, match="truncated or corrupt"):
        load(path)
    path.write_bytes(gzip.compress(content)[:-1])
    with open_volume(path) as volume, pytest.raises(VolumeError, match="truncated or corrupt"):
        volume.finish()


@pytest.mark.parametrize("with_zlib_ng", [True, False])
def test_broken_files_are_refused(tmp_path: Path, with_zlib_ng: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not with_zlib_ng:
        monkeypatch.setitem(sys.modules, "zlib_ng.zlib_ng", None)
    path = write_mgh(tmp_path / "case.mgz", voxels(">u1", (5, 4, 3)))
    check_truncations(path)
    check_flips(path, verified_from=0)
    path = tmp_path / "case.mgh"
    path.write_bytes(raw_mgh())
    check_truncations(path)
    check_flips(path)


def test_a_plain_file_that_shrinks_meanwhile_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "case.mgh"
    path.write_bytes(raw_mgh())
    with open_volume(path) as volume:
        path.write_bytes(raw_mgh()[:300])
        with pytest.raises(VolumeError, match="expected 210 bytes of voxels, found 16: the file ends there"):
            volume.read_into(bytearray(500))
        with pytest.raises(VolumeError, match="truncated or corrupt"):
            volume.read_block((0, 0, 0), SHAPE)


HOSTILE: dict[str, tuple[dict[str, Any], str]] = {
    "version": ({"version": 2}, "begins with version 1, found 284 bytes that begin with b'\\x00\\x00\\x00\\x02'"),
    "no voxels": ({"dims": [7, 0, 5, 1]}, "at least one voxel along every axis, found the shape (7, 0, 5, 1)"),
    "negative": ({"dims": [7, 6, 5, -1]}, "found the shape (7, 6, 5, -1)"),
    "type": ({"type": 2}, "expected a known MGH type, found the code 2"),
    "another type": ({"type": -1}, "found the code -1"),
    "18 GB": ({"dims": [2600, 2600, 2600, 1]}, "expected 17576000000 bytes of voxels, found 0: they do not fit a "),
    "more than 64 bits": ({"dims": [2**31 - 1] * 4}, "they do not fit a "),
    "one too many": ({"dims": [211, 1, 1, 1]}, "expected 211 bytes of voxels, found "),
}


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_headers_are_refused(tmp_path: Path, what: str, compressed: bool) -> None:
    fields, expected = HOSTILE[what]
    path, content = tmp_path / "case.mgz", raw_mgh(**fields)
    path.write_bytes(gzip.compress(content) if compressed else content)
    with pytest.raises(VolumeError) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert expected in str(caught.value)


def test_odd_affines_are_kept_without_a_word(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "case.mgh"
    for fields in ({"delta": math.nan}, {"delta": 0}, {"Mdc": 3e38}, {"Pxyz_c": math.inf}):
        path.write_bytes(raw_mgh(**fields))
        assert load(path).size == 210
    assert capfd.readouterr() == ("", "")


def test_without_nibabel_the_message_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_mgh(tmp_path / "case.mgz", voxels(">u1"))
    monkeypatch.setitem(sys.modules, "nibabel.freesurfer.mghformat", None)
    with pytest.raises(VolumeError, match=r'pip install "fastseg-metrics\[cli\]"'):
        open_volume(path)


@pytest.mark.parametrize("suffix", [".mgh", ".mgz"])
def test_counts_beside_nifti(tmp_path: Path, suffix: str) -> None:
    true, pred = voxels("u1") % 4, voxels("u1")[::-1] % 4
    paths = write(tmp_path / "true.nii.gz", true, AFFINE), write_mgh(tmp_path / f"pred{suffix}", pred.astype(">i2"))
    assert fastseg.count_files(*paths, num_classes=4) == fastseg.count_labels(true, pred, num_classes=4)


def test_a_closed_volume_stays_closed(tmp_path: Path) -> None:
    path = tmp_path / "case.mgh"
    path.write_bytes(raw_mgh())
    volume = open_volume(path)
    volume.close()
    volume.close()
    with pytest.raises(VolumeError, match="closed"):
        volume.read_into(bytearray(1))
