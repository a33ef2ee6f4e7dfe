"""NRRD and MetaImage: what SimpleITK writes is read back bit by bit, whatever the header says of it."""

from __future__ import annotations

import gzip
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from support.itk_files import DATA, META, NRRD, RAW, SUFFIXES, sitk, write_itk
from support.volume_checks import check_reads, load, voxels
from support.volumes_on_disk import write

import fastseg
from fastseg.volumes import VolumeError, compare_geometry, open_volume

DTYPES = ["u1", "i1", "<u2", "<i2", "<u4", "<i4", "<u8", "<i8", "<f4", "<f8"]


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_reads_what_simpleitk_writes(tmp_path: Path, dtype: str, suffix: str, compress: bool) -> None:
    path = write_itk(tmp_path / f"case{suffix}", voxels(dtype), compress)
    check_reads(path, voxels(dtype), blocks=not compress)
    with open_volume(path) as volume:
        assert volume.order == "F"


@pytest.mark.parametrize("shape", [(5, 4), (5, 4, 1), (5, 4, 3), (5, 4, 3, 2)])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_it_lies_where_the_nifti_file_of_simpleitk_lies(tmp_path: Path, suffix: str, shape: tuple[int, ...]) -> None:
    path = write_itk(tmp_path / f"case{suffix}", voxels("u1", shape))
    with (
        open_volume(path) as volume,
        open_volume(write_itk(tmp_path / "case.nii", voxels("u1", shape))) as nifti,
    ):
        assert compare_geometry(volume.geometry, nifti.geometry) is None
        assert volume.geometry.shape == nifti.geometry.shape == shape
        assert volume.geometry.axes == nifti.geometry.axes == "xyzt"[: len(shape)]
        assert volume.geometry.spacing == pytest.approx(nifti.geometry.spacing)
        assert volume.geometry.spacing == pytest.approx((0.5, 0.75, 2, 4)[: len(shape)])
        np.testing.assert_allclose(volume.geometry.affine, nifti.geometry.affine, atol=1e-5)


def test_trailing_single_axes_are_dropped_beyond_the_third(tmp_path: Path) -> None:
    path = write_itk(tmp_path / "case.nrrd", voxels("u1", (5, 4, 3, 1)))
    with open_volume(path) as volume:
        assert volume.geometry.shape == (5, 4, 3)
        assert volume.geometry.axes == "xyz"


def test_spaces_and_signs(tmp_path: Path) -> None:
    path = tmp_path / "case.nrrd"
    space = b"space: right-anterior-superior\nspace directions: (1,0,0) (0,2,0) (0,0,-3)\nspace origin: (1,2,3)\n"
    path.write_bytes(NRRD + space + b"encoding: raw\n\n" + RAW)
    with open_volume(path) as volume:
        assert volume.geometry.affine is not None
        expected = np.array([[1, 0, 0, 1], [0, 2, 0, 2], [0, 0, -3, 3], [0, 0, 0, 1]])
        np.testing.assert_array_equal(volume.geometry.affine, expected)
        assert volume.geometry.spacing == (1, 2, 3)
    path.write_bytes(META + b"ElementSpacing = -1 2 3\nElementDataFile = LOCAL\n" + RAW)
    with open_volume(path) as volume:
        assert volume.geometry.affine is not None
        np.testing.assert_array_equal(volume.geometry.affine, np.diag([1, -2, 3, 1]))
        assert volume.geometry.spacing == (1, 2, 3)


HEADERS: dict[str, tuple[str, bytes, str, bool]] = {
    # What the file is: its header, in which type and byte order, whether it can be read in blocks.
    "little": ("nrrd", b"endian: little\nencoding: raw\n\n", "<i2", True),
    "big": ("nrrd", b"endian: big\nencoding: raw\n\n", ">i2", True),
    "big gzip": ("nrrd", b"endian: big\nencoding: gz\n\n", ">f4", False),
    "no endian": ("nrrd", b"encoding: raw\n\n", "u1", True),
    "upper case": ("nrrd", b"ENDIAN: BIG\nEncoding: RAW\n\n", ">i2", True),
    "comments": (
        "nrrd",
        b"# encoding: hex\nx:=encoding: hex\nencoding:=gzip\nendian: big\nencoding: raw\n\n",
        ">i2",
        True,
    ),
    "meta little": ("mha", b"BinaryDataByteOrderMSB = False\nElementDataFile = LOCAL\n", "<i2", True),
    "meta big": ("mha", b"BinaryDataByteOrderMSB = True\nElementDataFile = LOCAL\n", ">i2", True),
    "meta big, too": ("mha", b"ElementByteOrderMSB=T\nElementDataFile: local\n", ">u4", True),
    "meta big zlib": (
        "mha",
        b"ElementByteOrderMSB = 1\nCompressedData = True\nElementDataFile = Local\n",
        ">i2",
        False,
    ),
}
NRRD_TYPES = {"i2": b"short", "u1": b"uchar", "f4": b"float", "u4": b"uint"}
META_TYPES = {"i2": b"MET_SHORT", "u1": b"MET_UCHAR", "f4": b"MET_FLOAT", "u4": b"MET_UINT"}


@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
@pytest.mark.parametrize("what", HEADERS)
def test_headers(tmp_path: Path, what: str, newline: bytes) -> None:
    kind, header, dtype, blocks = HEADERS[what]
    data, path = voxels(dtype, (5, 4, 3)), tmp_path / f"case.{kind}"
    start = NRRD.replace(b"uchar", NRRD_TYPES[dtype[-2:]]) if kind == "nrrd" else META
    start = start.replace(b"MET_UCHAR", META_TYPES[dtype[-2:]])
    body = data.tobytes("F")
    if not blocks:
        body = gzip.compress(body) if kind == "nrrd" else zlib.compress(body)
    if kind == "mha":
        start += b"CompressedDataSize = %d\n" % len(body)
    path.write_bytes((start + header).replace(b"\n", newline) + body)
    check_reads(path, data, blocks=blocks)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(sitk.ReadImage(str(path))).T, data)
    np.testing.assert_array_equal(load(path.rename(tmp_path / "no_suffix")), data)


def test_a_header_that_begins_otherwise_is_told_by_its_suffix(tmp_path: Path) -> None:
    path = tmp_path / "case.mha"
    path.write_bytes(META.partition(b"\n")[2] + b"ElementDataFile = LOCAL\n" + RAW)
    np.testing.assert_array_equal(load(path), DATA)


@pytest.mark.parametrize(("suffix", "field"), [("nhdr", b"encoding: raw\ndata file: "), ("mhd", b"ElementDataFile = ")])
def test_detached_voxels(tmp_path: Path, suffix: str, field: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / f"case.{suffix}"
    start = NRRD if suffix == "nhdr" else META
    like_gzip = b"\x1f\x8b" + RAW[2:]
    (tmp_path / "my voxels.raw").write_bytes(like_gzip)
    expected = np.frombuffer(like_gzip, "u1").reshape((5, 4, 3), order="F")
    for name in (b"my voxels.raw", b"./my voxels.raw"):
        path.write_bytes(start + field + name + b"\n")
        check_reads(path, expected, blocks=True)
    monkeypatch.chdir(tmp_path)
    np.testing.assert_array_equal(load(path.name), expected)
    (tmp_path / "my voxels.raw").write_bytes(RAW[:-1])
    with pytest.raises(VolumeError, match=r"^\S*case\.\w+: \S*my voxels.raw: truncated or corrupt: expected 60 bytes"):
        open_volume(path)
    names = [
        b"/etc/passwd",
        b"../case.raw",
        b"..",
        b"a/b.raw",
        b"a\\b.raw",
        b"C:b.raw",
        b"",
        b"./",
        b"LIST",
        b"a%s 1 2 3",
        b"a%d",
    ]
    for name in [*names, b"/a%d.raw 1 9 1", b"LIST\nz.raw\n/etc/passwd", b"LIST\n../x.raw\n", b"a\0b"]:
        path.write_bytes(start + field + name + b"\n")
        with pytest.raises(VolumeError, match="expected the name of a data file beside the header, found"):
            open_volume(path)
    path.write_bytes(start + field + b"absent.raw\n")
    with pytest.raises(VolumeError, match="absent.raw: no such file|No such file|couldn't open"):
        open_volume(path)


WHOLE: dict[str, tuple[str, bytes]] = {
    "hex": ("nrrd", NRRD + b"encoding: hex\n\n" + RAW.hex().encode()),
    "ascii": ("nrrd", NRRD + b"encoding: ascii\n\n" + b" ".join(b"%d" % i for i in RAW)),
    "bytes to skip": ("nrrd", NRRD + b"byte skip: -1\nencoding: raw\n\nxxxx" + RAW),
    "lines to skip": ("nrrd", NRRD + b"line skip: 1\nencoding: raw\n\nxxxx\n" + RAW),
    "list": ("nhdr", NRRD + b"encoding: raw\ndata file: LIST\na0\na1\na2\n"),
    "pattern": ("nhdr", NRRD + b"encoding: raw\ndata file: a%d 0 2 1\n"),
    "gzip list": ("nhdr", NRRD + b"encoding: gzip\ndata file: LIST\nz0\nz1\nz2\n"),
    "meta, voxels at the end": ("mha", META + b"HeaderSize = -1\nElementDataFile = LOCAL\n" + RAW),
    "meta list": ("mhd", META + b"ElementDataFile = LIST\na0\na1\na2\n"),
    "meta text": (
        "mha",
        META.replace(b"True", b"False") + b"ElementDataFile = LOCAL\n" + b"%d " * 60 % tuple(RAW) + b"\n",
    ),
    "meta pattern": ("mhd", META + b"ElementDataFile = a%d 0 2 1\n"),
}


@pytest.mark.parametrize("what", WHOLE)
def test_what_only_simpleitk_finds_is_read_whole(tmp_path: Path, what: str) -> None:
    suffix, content = WHOLE[what]
    for number in range(3):
        (tmp_path / f"a{number}").write_bytes(RAW[20 * number :][:20])
        (tmp_path / f"z{number}").write_bytes(gzip.compress(RAW[20 * number :][:20]))
    path = tmp_path / f"case.{suffix}"
    path.write_bytes(content)
    check_reads(path, DATA, blocks=True)
    path.write_bytes(content.replace(b"5 4 3", b"9999 9999 9999"))
    with pytest.raises(VolumeError, match=r"expected (999700029999 bytes of voxels|a file that SimpleITK can)"):
        open_volume(path)


def test_without_simpleitk_the_message_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_itk(tmp_path / "case.nrrd", DATA)
    monkeypatch.setitem(sys.modules, "SimpleITK", None)
    with pytest.raises(VolumeError, match=r'pip install "fastseg-metrics\[itk\]"'):
        open_volume(path)


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_counts_beside_nifti(tmp_path: Path, suffix: str, compress: bool) -> None:
    true, pred = voxels("u1") % 4, voxels("<i2")[::-1] % 4
    with open_volume(write_itk(tmp_path / f"pred{suffix}", pred, compress)) as volume:
        affine = volume.geometry.affine
    paths = write(tmp_path / "true.nii.gz", true, affine), tmp_path / f"pred{suffix}"
    assert fastseg.count_files(*paths, num_classes=4) == fastseg.count_labels(true, pred, num_classes=4)


def test_a_closed_volume_stays_closed(tmp_path: Path) -> None:
    volume = open_volume(write_itk(tmp_path / "case.mha", DATA))
    volume.close()
    volume.close()
    with pytest.raises(VolumeError, match="closed"):
        volume.read_into(bytearray(1))
