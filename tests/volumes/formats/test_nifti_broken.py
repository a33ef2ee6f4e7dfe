"""Broken NIfTI: hostile headers are errors, and sizes that they claim take no memory."""

from __future__ import annotations

import contextlib
import gzip
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.nifti_files import load, nib, raw_nifti, read_all, write

from fastseg.volumes import VolumeError, check_geometry, open_volume

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
