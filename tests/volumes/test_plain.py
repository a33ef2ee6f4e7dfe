"""Plain voxels in a file: boxes of them, truncated files, and errors of the system."""

from __future__ import annotations

import importlib.util
import tempfile
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st
from support.array_volumes import whole

from fastseg.volumes import VolumeError, open_volume, plain as plain_module
from fastseg.volumes.errors import StreamError
from fastseg.volumes.plain import PlainVoxels


@pytest.mark.parametrize("gap", [0, 8, 4096])
@pytest.mark.parametrize("reader", [plain_module._read_positioned, plain_module._read_seeking])
def test_boxes_of_plain_voxels(reader: Any, gap: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(plain_module, "_read_at", reader)
    monkeypatch.setattr(plain_module, "_GAP_BYTES", gap)
    monkeypatch.setattr(plain_module, "_PIECE_BYTES", 50)
    path = tmp_path / "voxels"

    @given(
        shape=st.lists(st.integers(1, 7), min_size=1, max_size=4).map(tuple),
        order=st.sampled_from(["F", "C"]),
        dtype=st.sampled_from(["u1", ">i2", "<f8"]),
        offset=st.integers(0, 5),
        data=st.data(),
    )
    def check(shape: tuple[int, ...], order: Any, dtype: str, offset: int, data: st.DataObject) -> None:
        array = (np.arange(prod(shape)) % 251).astype(dtype).reshape(shape)
        path.write_bytes(b"\xff" * offset + array.tobytes(order=order) + b"\xff")
        start = tuple(data.draw(st.integers(0, n)) for n in shape)
        stop = tuple(data.draw(st.integers(a, n)) for a, n in zip(start, shape, strict=True))
        with open(path, "rb", buffering=0) as file:
            file.seek(3)
            box = PlainVoxels(file, offset, shape, np.dtype(dtype), order, "it").read_block(start, stop)
            assert file.tell() == 3
        assert box.dtype == array.dtype
        assert np.array_equal(box, array[tuple(map(slice, start, stop))])
        assert box.base is None or box.base.nbytes == box.nbytes  # nothing is held that was not asked for

    check()


@pytest.mark.parametrize("reader", [plain_module._read_positioned, plain_module._read_seeking])
def test_plain_voxels_of_a_truncated_file(reader: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(plain_module, "_read_at", reader)
    (tmp_path / "voxels").write_bytes(bytes(90))
    with open(tmp_path / "voxels", "rb", buffering=0) as file:
        voxels = PlainVoxels(file, 10, (10, 10), np.dtype("u1"), "C", "it")
        assert voxels.read_block((0, 0), (8, 10)).sum() == 0
        with pytest.raises(StreamError, match="it: truncated or corrupt: expected 10 bytes more at byte 90, found the"):
            voxels.read_block((7, 0), (9, 10))
        with pytest.raises(StreamError, match="at byte 90"):
            voxels.read_block((7, 3), (9, 4))
    with pytest.raises(VolumeError, match="it: the volume is closed"):
        voxels.read_block((0, 0), (1, 1))


def test_errors_of_the_system_are_of_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with tempfile.TemporaryFile() as file:
        voxels = PlainVoxels(file, 0, (4,), np.dtype("u1"), "C", "it")

        def broken(*_: Any) -> int:
            raise OSError(5, "Input/output error")

        monkeypatch.setattr(plain_module, "_read_at", broken)
        with pytest.raises(StreamError, match=r"it: .*Input/output error \(at byte 2\)"):
            voxels.read_block((2,), (3,))


def test_a_closed_volume_does_not_read_another_file(tmp_path: Path) -> None:
    """A file that is opened next gets the descriptor of the one that was closed."""
    array = np.ones((3, 4, 5), "u1")
    for suffix in (".nii", ".npy", ".mgh", ".nrrd", ".tif", ".h5"):
        path = tmp_path / f"voxels{suffix}"
        if not write_plain(path, array):
            continue
        volume = open_volume(path)
        assert whole(volume).all()
        volume.close()
        with (
            open(__file__, "rb"),
            open(__file__, "rb"),
            open(__file__, "rb"),
            pytest.raises(VolumeError, match="closed"),
        ):
            whole(volume)
        volume.close()


def write_plain(path: Path, array: np.ndarray) -> bool:
    """Write an array that is not compressed; say whether the library for that is there."""
    match path.suffix:
        case ".npy":
            np.save(path, array)
        case ".nii" | ".mgh":
            import nibabel

            kind = nibabel.Nifti1Image if path.suffix == ".nii" else nibabel.MGHImage
            nibabel.save(kind(array, np.eye(4)), path)
        case ".nrrd" if itk := library("SimpleITK"):
            itk.WriteImage(itk.GetImageFromArray(array), str(path), False)
        case ".tif" if tifffile := library("tifffile"):
            tifffile.imwrite(path, array, photometric="minisblack")
        case ".h5" if h5py := library("h5py"):
            with h5py.File(path, "w") as file:
                file["labels"] = array
    return path.exists()


def library(name: str) -> Any:
    """Return a library, None if it is not installed."""
    return importlib.import_module(name) if importlib.util.find_spec(name) else None
