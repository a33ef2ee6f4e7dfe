"""NRRD and MetaImage: what SimpleITK writes is read back bit by bit, and nothing broken is read."""

from __future__ import annotations

import gzip
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.volumes_on_disk import write
from volumes.formats.test_mgh import check_flips, check_reads, check_truncations, load, voxels

import fastseg
from fastseg.volumes import VolumeError, compare_geometry, open_volume
from fastseg.volumes.formats import itk

sitk: Any = pytest.importorskip("SimpleITK")

SUFFIXES = [".nrrd", ".nhdr", ".mha", ".mhd"]
DTYPES = ["u1", "i1", "<u2", "<i2", "<u4", "<i4", "<u8", "<i8", "<f4", "<f8"]
OBLIQUE = (0.8, -0.6, 0, 0.6, 0.8, 0, 0, 0, 1)
NRRD = b"NRRD0004\ntype: uchar\ndimension: 3\nsizes: 5 4 3\n"
META = b"ObjectType = Image\nNDims = 3\nDimSize = 5 4 3\nElementType = MET_UCHAR\nBinaryData = True\n"
DATA = voxels("u1", (5, 4, 3))
RAW = DATA.tobytes("F")


def write_itk(path: Path, data: np.ndarray, compress: bool = False) -> Path:
    """Write with SimpleITK, in an oblique position."""
    image = sitk.GetImageFromArray(np.ascontiguousarray(data.T), isVector=False)
    axes = image.GetDimension()
    direction = np.eye(axes)
    if axes > 2:
        direction[:3, :3] = np.array(OBLIQUE).reshape(3, 3)
    image.SetDirection(direction.ravel().tolist())
    image.SetSpacing((0.5, 0.75, 2, 4)[:axes])
    image.SetOrigin((10, -20, 30, 0)[:axes])
    sitk.WriteImage(image, str(path), compress)
    return path


def data_file(path: Path) -> Path:
    """Return the file that has the voxels of a header."""
    (other,) = [each for each in path.parent.iterdir() if each.stem.split(".")[0] == path.stem and each != path]
    return other


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


@pytest.mark.parametrize("names", [b"LIST\na0\na1\n", b"a%d 0 1 1\n", b"LIST\na0\na1\nabsent\n", b"a%d 0 3 1\n"])
@pytest.mark.parametrize("start", [NRRD + b"encoding: raw\ndata file: ", META + b"ElementDataFile = "])
def test_too_few_files_are_refused(tmp_path: Path, start: bytes, names: bytes) -> None:
    for number in range(3):
        (tmp_path / f"a{number}").write_bytes(RAW[20 * number :][:20])
    path = tmp_path / "case.nhdr"
    path.write_bytes(start + names)
    with pytest.raises(VolumeError, match=r"found 40 bytes in 2 file|No such file|but got [24]|couldn't open"):
        load(path)


def test_compressed_voxels_that_simpleitk_would_not_verify_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "case.mha"
    for field in (b"HeaderSize = -1\nElementDataFile = LOCAL\n", b"ElementDataFile = LIST\na\nb\n"):
        path.write_bytes(META + b"CompressedData = True\n" + field)
        with pytest.raises(VolumeError, match="expected compressed voxels in one file right after its header"):
            open_volume(path)


def test_bzip2_is_what_simpleitk_cannot_read(tmp_path: Path) -> None:
    path = tmp_path / "case.nrrd"
    path.write_bytes(NRRD + b"encoding: bzip2\n\n" + RAW)
    with pytest.raises(
        VolumeError, match="case.nrrd: expected a file that SimpleITK can read, found: .*bzip2 encoding not"
    ):
        load(path)


@pytest.mark.parametrize("with_zlib_ng", [True, False])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_broken_compressed_files_are_refused(
    tmp_path: Path, suffix: str, with_zlib_ng: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not with_zlib_ng:
        monkeypatch.setitem(sys.modules, "zlib_ng.zlib_ng", None)
    path = write_itk(tmp_path / f"case{suffix}", DATA, compress=True)
    if suffix in (".nrrd", ".mha"):
        content = path.read_bytes()
        header = content.index(b"\n\n") + 2 if suffix == ".nrrd" else content.index(b"LOCAL\n") + 6
        check_truncations(path, step=7)
        check_flips(path, verified_from=header, count=120)
    else:
        check_truncations(data_file(path), path, step=2)
        check_flips(data_file(path), path, verified_from=0, count=150)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_broken_plain_files_are_refused(tmp_path: Path, suffix: str) -> None:
    path = write_itk(tmp_path / f"case{suffix}", DATA)
    if suffix in (".nhdr", ".mhd"):
        check_truncations(data_file(path), path, step=2)
        check_flips(data_file(path), path, count=50)
    else:
        check_truncations(path, step=7)
    check_flips(path, count=120)


@pytest.mark.parametrize("with_zlib_ng", [True, False])
@pytest.mark.parametrize("kind", ["nrrd", "mha"])
def test_what_may_follow_the_voxels(
    tmp_path: Path, kind: str, with_zlib_ng: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not with_zlib_ng:
        monkeypatch.setitem(sys.modules, "zlib_ng.zlib_ng", None)
    path = tmp_path / f"case.{kind}"
    header = (
        NRRD + b"encoding: gzip\n\n" if kind == "nrrd" else META + b"CompressedData = True\nElementDataFile = LOCAL\n"
    )
    compress: Any = gzip.compress if kind == "nrrd" else zlib.compress
    for body in (compress(RAW) + bytes(300_000), compress(RAW + bytes(100)), gzip.compress(RAW)):
        path.write_bytes(header + body)
        np.testing.assert_array_equal(load(path), DATA)
    for body in (compress(RAW) + bytes(300_000) + b"\1", compress(RAW + b"\1"), compress(RAW) + b"junk", RAW, b""):
        path.write_bytes(header + body)
        with pytest.raises(VolumeError, match=rf"^{path}: "):
            load(path)


def test_big_streams_are_inflated_in_pieces(tmp_path: Path) -> None:
    data = np.zeros((200, 200, 200), "u1")
    data[::7, ::5, ::3] = np.random.default_rng(0).integers(0, 9, data[::7, ::5, ::3].shape)
    path = write_itk(tmp_path / "case.mha", data, compress=True)
    np.testing.assert_array_equal(load(path), data)
    path.write_bytes(META.replace(b"5 4 3", b"3000 300 300") + b"CompressedData = True\nElementDataFile = LOCAL\n")
    with path.open("ab") as file:
        file.write(zlib.compress(bytes(3000 * 300 * 300), 9))
    with open_volume(path) as volume:
        volume.finish()


HOSTILE: dict[str, tuple[bytes, str]] = {
    "vector": (NRRD.replace(b"3\nsizes: ", b"4\nkinds: list domain domain domain\nsizes: 2 ") + b"encoding: raw\n\n",
               "found vector of 8-bit unsigned integer of 2 component(s)"),
    "channels": (META + b"ElementNumberOfChannels = 3\nElementDataFile = LOCAL\n", "of 3 component(s)"),
    "18 GB": (NRRD.replace(b"5 4 3", b"2600 2600 2600") + b"encoding: raw\n\n", "expected 17576000000 bytes of voxels"),
    "18 GB meta": (META.replace(b"5 4 3", b"2600 2600 2600") + b"ElementDataFile = LOCAL\n", "expected 17576000000 bytes"),
    "18 GB gzip": (NRRD.replace(b"5 4 3", b"2600 2600 2600") + b"encoding: gzip\n\n\x1f\x8b", "they do not fit a compressed"),
    "one too many": (NRRD.replace(b"5 4 3", b"131 1 1") + b"encoding: raw\n\n", "expected 131 bytes of voxels, found 0"),
    "no empty line": (NRRD + b"encoding: raw", "expected an NRRD header that ends in an empty line"),
    "no encoding": (NRRD + b"\n", "found: [nrrd] _nrrdHeaderCheck: didn't see required field: encoding"),
    "no endian": (NRRD.replace(b"uchar", b"short") + b"encoding: raw\n\n", "require endian info"),
    "no number": (NRRD.replace(b"5 4 3", b"5 x 3") + b"encoding: raw\n\n", "expected a file that SimpleITK can read, found"),
    "no field": (META, "expected a MetaImage header, found no field ElementDataFile"),
    # The next four are headers that crash or fool SimpleITK 2.5.
    "12 axes": (NRRD.replace(b"3\nsizes: ", b"12\nsizes: " + b"1 " * 9) + b"encoding: raw\n\n", "from 1 to 8, found '12'"),
    "998 axes": (META.replace(b"NDims = 3", b"NDims = 998") + b"ElementDataFile = LOCAL\n", "7 axes in NDims, found '998'"),
    "twice": (META.replace(b"NDims = 3", b"NDims = 998\nNDims = 3") + b"ElementDataFile = LOCAL\n", "field 'NDims' once"),
    "numbers": (META + b"TransformMatrix = 1 0 0\nElementDataFile = LOCAL\n", "expected 9 number(s) in TransformMatrix"),
    "two orders": (META + b"BinaryDataByteOrderMSB = True\nElementByteOrderMSB = False\nElementDataFile = LOCAL\n",
                   "expected one byte order"),
    "no type": (META.replace(b"UCHAR", b"OTHER") + b"ElementDataFile = LOCAL\n", ""),
    "dimensions": (META.replace(b"NDims = 3\nDimSize = 5 4 3", b"NDims = 8\nDimSize = 5 4 3 1 1 1 1 1")
                   + b"ElementDataFile = LOCAL\n", "expected 1 to 7 axes in NDims, found '8'"),
    "no voxels": (META.replace(b"5 4 3", b"5 0 3") + b"ElementDataFile = LOCAL\n", ""),
    "binary": (b"ObjectType = Image" + bytes(range(256)), "found no field NDims, DimSize, ElementType, ElementDataFile"),
}  # fmt: skip


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_headers_are_refused(tmp_path: Path, what: str) -> None:
    content, expected = HOSTILE[what]
    path = tmp_path / "case.mha"
    path.write_bytes(content + (RAW * 2 if content.endswith(b"\n") and what not in ("no field", "no endian") else b""))
    with pytest.raises(VolumeError) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert expected in str(caught.value)


def test_headers_have_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(itk, "_HEADER_BYTES", 1000)
    path = tmp_path / "case.nrrd"
    for comment in (b"# a comment\n" * 100, b"#" * 2000):
        path.write_bytes(NRRD + comment + b"\nencoding: raw\n\n" + RAW)
        with pytest.raises(VolumeError, match="expected a header of at most"):
            open_volume(path)


def test_gzip_around_the_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "case.nrrd.gz"
    path.write_bytes(gzip.compress(NRRD + b"encoding: raw\n\n" + RAW))
    with pytest.raises(VolumeError, match="found one in gzip, which SimpleITK cannot read"):
        open_volume(path)


def test_reading_prints_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    before = sitk.ProcessObject.GetGlobalWarningDisplay()
    for suffix in SUFFIXES:
        load(write_itk(tmp_path / f"case{suffix}", DATA, compress=True))
    for content, _ in HOSTILE.values():
        if content.startswith(b"NRRD"):
            (tmp_path / "case.nrrd").write_bytes(content)
            with pytest.raises(VolumeError):
                load(tmp_path / "case.nrrd")
    assert sitk.ProcessObject.GetGlobalWarningDisplay() == before
    assert capfd.readouterr() == ("", "")


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
