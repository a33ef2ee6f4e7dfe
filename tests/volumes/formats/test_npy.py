"""NPY and NPZ: what NumPy writes is read back bit by bit, and nothing broken is read."""

from __future__ import annotations

import gzip
import io
import math
import sys
import zipfile
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from support.volume_checks import check_flips, check_reads, check_truncations, load, voxels
from support.volumes_on_disk import write

import fastseg
from fastseg.volumes import VolumeError, open_volume

DTYPES = ["?", "u1", "i1", "<i2", ">i2", "<u2", "<i4", ">u4", "<u8", ">i8", "<f2", ">f4", "<f8"]
ORDERS: list[Literal["C", "F"]] = ["C", "F"]


def npy(header: str | bytes, data: bytes = bytes(60), version: bytes = b"\1\0") -> bytes:
    """Return an .npy file with this header, whatever it says."""
    text = header.encode() if isinstance(header, str) else header
    length = len(text).to_bytes(2 if version[0] == 1 else 4, "little")
    return b"\x93NUMPY" + version + length + text + data


def described(shape: str = "(5, 4, 3)", dtype: str = "'|u1'", order: str = "False") -> str:
    return f"{{'descr': {dtype}, 'fortran_order': {order}, 'shape': {shape}, }}\n"


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", ["npy", "stored", "deflated"])
def test_reads_what_numpy_writes(tmp_path: Path, kind: str, dtype: str, order: Literal["C", "F"]) -> None:
    data = np.asarray(voxels(dtype), order=order)
    path = tmp_path / ("case.npy" if kind == "npy" else "case.npz")
    {"npy": np.save, "stored": np.savez, "deflated": np.savez_compressed}[kind](path, data)
    check_reads(path, data, blocks=kind != "deflated")
    with open_volume(path) as volume:
        assert volume.order == order
        assert volume.geometry.affine is None
        assert volume.geometry.axes == ""
        assert all(math.isnan(step) for step in volume.geometry.spacing)


@pytest.mark.parametrize("shape", [(60,), (12, 5), (5, 4, 3, 1), (2, 3, 1, 2, 5, 1)])
@pytest.mark.parametrize("save", [np.save, np.savez, np.savez_compressed])
def test_any_number_of_axes(tmp_path: Path, save: Any, shape: tuple[int, ...]) -> None:
    path = tmp_path / f"case{'.npy' if save is np.save else '.npz'}"
    save(path, voxels("<i2", shape))
    check_reads(path, voxels("<i2", shape), blocks=save is not np.savez_compressed)


def test_the_second_version_and_that_of_python_2(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path, data = tmp_path / "case.npy", voxels("<i2")
    with path.open("wb") as file:
        np.lib.format.write_array(file, data, version=(2, 0))
    check_reads(path, data, blocks=True)
    path.write_bytes(npy(described("(5L, 4L, 3L)")))
    assert load(path).shape == (5, 4, 3)
    assert capfd.readouterr() == ("", "")


def test_gzip_around_an_npy_file(tmp_path: Path) -> None:
    file = io.BytesIO()
    np.save(file, voxels(">i2"))
    path = tmp_path / "case.npy.gz"
    path.write_bytes(gzip.compress(file.getvalue()))
    check_reads(path, voxels(">i2"), blocks=False)
    check_truncations(path)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_are_chosen_by_name(tmp_path: Path, save: Any) -> None:
    path = tmp_path / "case.npz"
    save(path, probabilities=voxels("<f4"), labels=voxels("u1"))
    for name in ("labels", "labels.npy"):
        check_reads(f"{path}::{name}", voxels("u1"), blocks=save is np.savez)
    np.testing.assert_array_equal(load(f"{path}::probabilities"), voxels("<f4"))
    with pytest.raises(VolumeError, match="expected one array, or .*found the arrays 'probabilities', 'labels'$"):
        open_volume(path)
    with pytest.raises(VolumeError, match="case.npz::mask: expected an array named 'mask'; found the arrays 'prob"):
        open_volume(f"{path}::mask")
    np.savez(path, **{f"a{i}": voxels("u1", (1,)) for i in range(30)})
    with pytest.raises(VolumeError, match="'a19', …$"):
        open_volume(path)
    np.savez(path)
    with pytest.raises(VolumeError, match=r"found a zip archive without arrays \(\.npy\)$"):
        open_volume(path)


def test_names_inside_an_npy_file_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "case.npy", voxels("u1"))
    with pytest.raises(VolumeError, match="case.npy::x: expected an .npz file, whose arrays have names"):
        open_volume(f"{tmp_path / 'case.npy'}::x")


def test_other_zip_files_are_not_recognised(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "case.docx", "w") as archive:
        archive.writestr("word/document.xml", "<a/>")
    with pytest.raises(VolumeError, match="expected a volume, found a zip archive"):
        open_volume(tmp_path / "case.docx")
    np.savez(tmp_path / "case.npz", voxels("u1"))
    np.testing.assert_array_equal(load((tmp_path / "case.npz").rename(tmp_path / "case")), voxels("u1"))


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_compressions_are_refused(tmp_path: Path, method: int) -> None:
    with zipfile.ZipFile(tmp_path / "case.npz", "w", method) as archive:
        archive.writestr("a.npy", npy(described()))
    with pytest.raises(VolumeError, match=f"expected a stored or deflated array.*found compression method {method}"):
        open_volume(tmp_path / "case.npz")


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_zip64_and_what_writers_put_around_members(tmp_path: Path, method: int) -> None:
    path, data = tmp_path / "case.npz", voxels("<u2", (50, 40, 30))
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("notes.txt", "not an array")
        with archive.open("a.npy", "w", force_zip64=True) as file:
            np.lib.format.write_array(file, data)
        archive.comment = b"a comment"
    check_reads(path, data, blocks=method == zipfile.ZIP_STORED)

    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def seek(self, *_: Any) -> int:
            raise OSError

        tell = seek  # type: ignore[assignment]

    with Pipe() as pipe:  # lengths and checksums follow the members
        np.savez_compressed(pipe, data) if method == zipfile.ZIP_DEFLATED else np.savez(pipe, data)
        path.write_bytes(pipe.getvalue())
    check_reads(path, data, blocks=method == zipfile.ZIP_STORED)


@pytest.mark.parametrize("with_zlib_ng", [True, False])
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_broken_archives_are_refused(
    tmp_path: Path, save: Any, with_zlib_ng: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not with_zlib_ng:
        monkeypatch.setitem(sys.modules, "zlib_ng.zlib_ng", None)
    path = tmp_path / "case.npz"
    save(path, voxels("<i2"))
    check_truncations(path)
    check_flips(path, verified_from=0)


def test_broken_plain_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "case.npy"
    np.save(path, voxels("u1"))
    check_truncations(path)
    check_flips(path)
    path.write_bytes(npy(described()))
    check_flips(path, count=10_000)


@pytest.mark.parametrize("deflated", [False, True])
def test_a_member_is_checked_to_its_end(tmp_path: Path, deflated: bool) -> None:
    path, data = tmp_path / "case.npz", npy(described())
    method = zipfile.ZIP_DEFLATED if deflated else zipfile.ZIP_STORED

    def archive(content: bytes) -> bytearray:
        with zipfile.ZipFile(path, "w", method) as file:
            file.writestr("a.npy", content)
        return bytearray(path.read_bytes())

    for content, found in ((data + b"\0", 61), (data[:-1], 59)):
        path.write_bytes(archive(content))
        with pytest.raises(
            VolumeError, match=rf"expected 60 bytes of voxels for the shape \(5, 4, 3\).* found {found}"
        ):
            open_volume(path)
    broken = archive(data)
    at = broken.index(b"PK\1\2")
    broken[at + 16] ^= 1  # the checksum in the table of contents
    path.write_bytes(broken)
    with open_volume(path) as volume:
        assert volume.read_into(bytearray(100)) == 60
        with pytest.raises(VolumeError, match="expected the CRC"):
            volume.finish()
    with open_volume(path) as volume:
        if deflated:
            with pytest.raises(VolumeError, match="expected the CRC"):
                volume.finish()
        else:  # read in blocks, which have no checksums of their own
            assert not volume.read_block((0, 0, 0), (5, 4, 3)).any()
            volume.finish()
    broken = archive(data)
    at = broken.index(b"PK\1\2")
    broken[at + 8] |= 1
    path.write_bytes(broken)
    with pytest.raises(VolumeError, match="as NumPy writes it, found encryption"):
        open_volume(path)


def test_padding_may_follow_the_voxels(tmp_path: Path) -> None:
    path = tmp_path / "case.npy"
    path.write_bytes(npy(described()) + bytes(100))
    assert load(path).size == 60
    path.write_bytes(npy(described()) + bytes(100) + b"\1")
    with pytest.raises(VolumeError, match="expected the end of the file or zero padding after the last voxel"):
        load(path)


HOSTILE: dict[str, tuple[bytes, str]] = {
    "objects": (npy(described(dtype="'|O'")), "expected real numbers of at most 64 bits, found dtype object"),
    "fields": (npy(described(dtype="[('a', '<i4')]")), "found dtype [('a', '<i4')]"),
    "complex": (npy(described(dtype="'<c8'")), "found dtype complex64"),
    "text": (npy(described(dtype="'<U1'")), "found dtype <U1"),
    "dates": (npy(described(dtype="'<M8[s]'")), "found dtype datetime64[s]"),
    "long double": (npy(described(dtype="'<f16'")), "found dtype float128"),
    "no type": (npy(described(dtype="'hello'")), "truncated, corrupt or not supported: NumPy: "),
    "empty": (npy(described("(5, 0, 3)")), "at least one voxel along each, found the shape (5, 0, 3)"),
    "scalar": (npy(described("()")), "expected 1 to 32 axes with at least one voxel along each, found the shape ()"),
    "negative": (npy(described("(-5, -4, 3)")), "found the shape (-5, -4, 3)"),
    "many axes": (npy(described(f"{(1,) * 33}")), "expected 1 to 32 axes"),
    "18 GB": (npy(described("(2600, 2600, 2600)")), "expected 17576000000 bytes of voxels, found 0: they do not fit"),
    "more than 64 bits": (npy(described(f"({2**70}, {2**70})")), "they do not fit"),
    "one too many": (npy(described("(61,)")), "expected 61 bytes of voxels, found 0: they do not fit"),
    "no header": (npy("", b""), "truncated, corrupt or not supported: NumPy: "),
    "no literal": (npy("__import__('os').abort()\n"), "truncated, corrupt or not supported: NumPy: "),
    "deep": (npy("(" * 9000 + "\n"), "truncated, corrupt or not supported: NumPy: "),
    "long": (npy(described() + " " * 20_000), "truncated, corrupt or not supported: NumPy: "),
    "4 GB header": (b"\x93NUMPY\2\0\xff\xff\xff\xff" + bytes(100_000), "not supported: NumPy: "),
    "version": (npy(described(), version=b"\3\0"), "expected an .npy header of version 1 or 2, found (3, 0)"),
    "no magic": (b"NUMPY", "expected an .npy or .npz file, found the first bytes b'NUMPY'"),
}


@pytest.mark.parametrize("inside", ["npy", "stored", "deflated"])
@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_headers_are_refused(tmp_path: Path, what: str, inside: str) -> None:
    content, expected = HOSTILE[what]
    path = tmp_path / "case.npy"
    path.write_bytes(content)
    if inside != "npy":
        method = zipfile.ZIP_DEFLATED if inside == "deflated" else zipfile.ZIP_STORED
        with zipfile.ZipFile(path, "w", method) as archive:
            archive.writestr("a.npy", content)
    with pytest.raises(VolumeError) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}: ")
    if inside == "npy":
        assert expected in str(caught.value)


def test_a_zip_bomb_is_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "case.npz"
    np.savez_compressed(path, voxels("u1"))
    broken = bytearray(path.read_bytes())
    at = broken.index(b"PK\1\2")
    broken[at + 24 : at + 28] = (1 << 31).to_bytes(4, "little")
    path.write_bytes(broken)
    with pytest.raises(VolumeError, match="truncated or corrupt: 2147483648 bytes do not fit"):
        open_volume(path)


def test_an_empty_mask_may_compress_as_far_as_deflate_goes(tmp_path: Path) -> None:
    path = tmp_path / "case.npz"
    np.savez_compressed(path, np.zeros((300, 300, 300), "u1"))
    assert not load(path).any()


def test_a_file_that_shrinks_meanwhile_is_an_error(tmp_path: Path) -> None:
    for name, save in (("case.npy", np.save), ("case.npz", np.savez)):
        path = tmp_path / name
        save(path, voxels("u1"))  # type: ignore[operator]
        with open_volume(path) as volume:
            path.write_bytes(path.read_bytes()[:200])
            with pytest.raises(VolumeError, match="truncated or corrupt"):
                volume.read_block((0, 0, 0), volume.geometry.shape)
            with pytest.raises(VolumeError, match="truncated or corrupt: expected 210 bytes of voxels, found"):
                volume.read_into(bytearray(1000))


@pytest.mark.parametrize("dtype", ["?", "<f2", ">u4"])
@pytest.mark.parametrize("save", [np.save, np.savez, np.savez_compressed])
def test_counts(tmp_path: Path, save: Any, dtype: str) -> None:
    true, pred = voxels("u1") % 2, (voxels("u1") % 3 > 0).astype(dtype)
    suffix = ".npy" if save is np.save else ".npz"
    save(tmp_path / f"a{suffix}", true)
    save(tmp_path / f"b{suffix}", pred)
    save(tmp_path / f"f{suffix}", np.asfortranarray(pred))
    write(tmp_path / "a.nii.gz", true)
    expected = fastseg.count_labels(true, pred.astype("u1"), num_classes=2)
    for a, b in ((f"a{suffix}", f"b{suffix}"), ("a.nii.gz", f"f{suffix}")):
        assert fastseg.count_files(tmp_path / a, tmp_path / b, num_classes=2, geometry="ignore") == expected
