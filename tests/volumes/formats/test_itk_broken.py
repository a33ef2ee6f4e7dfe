"""Broken NRRD and MetaImage: too few files, damaged or hostile ones are refused."""

from __future__ import annotations

import gzip
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.itk_files import DATA, META, NRRD, RAW, SUFFIXES, sitk, write_itk
from support.volume_checks import check_flips, check_truncations, load

from fastseg.volumes import VolumeError, open_volume
from fastseg.volumes.formats import itk


def data_file(path: Path) -> Path:
    """Return the file that has the voxels of a header."""
    (other,) = [each for each in path.parent.iterdir() if each.stem.split(".")[0] == path.stem and each != path]
    return other


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
