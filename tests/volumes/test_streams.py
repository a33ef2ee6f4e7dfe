"""Volumes read as streams: to their very end, through any buffer, and no damage goes unnoticed."""

from __future__ import annotations

import gzip
import sys
from pathlib import Path

import numpy as np
import pytest
from support.nifti_files import SHAPE, load, raw_nifti, write

from fastseg.volumes import VolumeError, bytes as volume_bytes, open_volume


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
