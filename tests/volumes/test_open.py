"""Opening a volume: its content goes before its name, and what is no volume is refused."""

from __future__ import annotations

import gzip
import subprocess
import sys
from pathlib import Path

import pytest
from support.nifti_files import SHAPE, load, raw_nifti

from fastseg.volumes import VolumeError, open_volume


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
