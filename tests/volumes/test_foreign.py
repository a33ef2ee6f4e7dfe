"""Files that are not what their names say: the error says what they are, and what to do."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import nibabel
import numpy as np
import pytest

from fastseg.volumes import VolumeError, open_volume

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize 12345\n" % (b"4d" * 32)
PAGE = b"\xef\xbb\xbf\r\n<!DOCTYPE html>\n<html><head><title>Sign in</title></head></html>"
NAMES = [
    "case.nii.gz",
    "case.nii",
    "case.npy",
    "case.mgz",
    "case.tif",
    "case.png",
    "case.h5",
    "case.nrrd",
    "case.dcm",
    "case",
]


def archive(kind: str) -> bytes:
    buffer = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(buffer, "w") as zipped:
            zipped.writestr("case.nii", bytes(400))
    else:
        with tarfile.open(fileobj=buffer, mode="w") as tarred:
            member = tarfile.TarInfo("case.nii")
            member.size = 400
            tarred.addfile(member, io.BytesIO(bytes(400)))
    return buffer.getvalue()


FILES = {
    "Git LFS": (POINTER, "a pointer of Git LFS in its place: `git lfs pull` fetches it"),
    "git-annex": (b"/annex/objects/MD5E-s12345--0cc175b9c0f1b6a831c399e269772661.nii.gz\n", "`git annex get`"),
    "HTML": (PAGE, "an HTML page, perhaps of a server, such as a login or an error: download the file again"),
    "XML": (b'<?xml version="1.0"?>\n<Error><Code>AccessDenied</Code></Error>', "an XML document, perhaps of a server"),
    "HTML in gzip": (gzip.compress(PAGE), "an HTML page"),
    "gzip twice": (gzip.compress(gzip.compress(bytes(400))), "compressed twice with gzip: unpack it once"),
    "bzip2": (bz2.compress(bytes(400)), "a bzip2 file: unpack it with bunzip2"),
    "xz": (lzma.compress(bytes(400)), "an xz file: unpack it with unxz"),
    "Zstandard": (b"\x28\xb5\x2f\xfd" + bytes(400), "a Zstandard file"),
    "LZ4": (b"\x04\x22\x4d\x18" + bytes(400), "an LZ4 file"),
    "7-Zip": (b"7z\xbc\xaf\x27\x1c" + bytes(400), "a 7-Zip archive"),
    "RAR": (b"Rar!\x1a\x07\x01\0" + bytes(400), "a RAR archive"),
    "tar": (archive("tar"), "a tar archive: unpack it, and name the file in it"),
    "tar in gzip": (gzip.compress(archive("tar")), "a tar archive: unpack it, and name the file in it"),
    "PDF": (b"%PDF-1.7\n" + bytes(400), "a PDF document"),
}


def refused(path: Path, expected: str) -> None:
    with pytest.raises(VolumeError) as caught:
        open_volume(path)
    assert str(caught.value).startswith(f"{path}: expected "), caught.value
    assert expected in str(caught.value)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("what", FILES)
def test_the_error_says_what_the_file_is(tmp_path: Path, what: str, name: str) -> None:
    content, expected = FILES[what]
    (tmp_path / name).write_bytes(content)
    refused(tmp_path / name, expected)


def test_zip_archives(tmp_path: Path) -> None:
    for name in NAMES:
        (tmp_path / name).write_bytes(archive("zip"))
        expected = (
            "a zip archive without arrays" if name == "case.npy" else "a zip archive: unpack it, and name the file"
        )
        refused(tmp_path / name, expected)
    pytest.importorskip("zarr")
    (tmp_path / "case.zarr.zip").write_bytes(archive("zip"))
    refused(tmp_path / "case.zarr.zip", "expected zarr.json or .zarray or .zgroup")


def test_a_zip_archive_that_begins_with_something_else_is_read(tmp_path: Path) -> None:
    buffer, data = io.BytesIO(), np.arange(60, dtype="u1").reshape(3, 4, 5)
    np.save(buffer, data)
    with zipfile.ZipFile(tmp_path / "case.npz", "w") as zipped:
        zipped.writestr("README", "labels")
        zipped.writestr("labels.npy", buffer.getvalue())
    with open_volume(tmp_path / "case.npz") as volume:
        assert volume.geometry.shape == data.shape


HEADERS = {
    "case.nhdr": "NRRD0004\ntype: uint8\ndimension: 3\nsizes: 9 9 9\nencoding: raw\ndata file: case.raw\n\n",
    "case.mhd": "NDims = 3\nDimSize = 9 9 9\nElementType = MET_UCHAR\nElementDataFile = case.raw\n",
}


@pytest.mark.parametrize("name", HEADERS)
def test_files_of_voxels_beside_a_header(tmp_path: Path, name: str) -> None:
    pytest.importorskip("SimpleITK")
    (tmp_path / name).write_text(HEADERS[name])
    (tmp_path / "case.raw").write_bytes(POINTER)
    with pytest.raises(
        VolumeError, match=r"expected 729 bytes .*case.raw is a pointer of Git LFS in its place: `git lfs pull`"
    ):
        open_volume(tmp_path / name)


def test_an_analyze_image_beside_its_header(tmp_path: Path) -> None:
    nibabel.save(nibabel.Nifti1Pair(np.zeros((9, 9, 9), np.uint8), np.eye(4)), tmp_path / "case.hdr")
    (tmp_path / "case.img").write_bytes(POINTER)
    with pytest.raises(VolumeError, match=r"expected 729 bytes .*case.img is a pointer of Git LFS in its place"):
        open_volume(tmp_path / "case.hdr")


def test_links_to_nothing_say_where_they_lead(tmp_path: Path) -> None:
    (tmp_path / "plain.nii.gz").symlink_to("elsewhere.nii.gz")
    (tmp_path / "annexed.nii.gz").symlink_to("../.git/annex/objects/Kk/0Z/MD5E-s1--c4.nii.gz")
    with pytest.raises(VolumeError, match=r"plain.nii.gz: no such file, but a link to 'elsewhere.nii.gz'$"):
        open_volume(tmp_path / "plain.nii.gz")
    with pytest.raises(
        VolumeError, match=r"a link to '\S*MD5E-s1--c4.nii.gz' of git-annex: `git annex get`, or `datalad get`"
    ):
        open_volume(tmp_path / "annexed.nii.gz")


def test_the_command_says_it_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "case.nii.gz").write_bytes(POINTER)
    command = [
        sys.executable,
        "-m",
        "fastseg",
        "evaluate",
        str(tmp_path / "case.nii.gz"),
        str(tmp_path / "case.nii.gz"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode != 0
    assert "a pointer of Git LFS in its place: `git lfs pull` fetches it" in done.stderr
    assert "Traceback" not in done.stderr
