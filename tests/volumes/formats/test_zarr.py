"""Zarr: what zarr writes is read back value by value, in any form and by any number of threads."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.array_volumes import check_boxes, check_boxes_from_threads, whole
from support.stored_arrays import SHAPE, load, refused, voxels
from support.zarr_files import ZARR_2, ZARR_3, edit, write, zarr, zip_folder

from fastseg.volumes import VolumeError, open_volume, split_suffix

DTYPES = ["?", "u1", "i1", "<u2", ">u2", "<i4", ">i4", "<u8", "<i8", "<f2", "<f4", ">f8"]


FORMS = [f"2: {name}" for name in ZARR_2] + [f"3: {name}" for name in ZARR_3]


@pytest.mark.parametrize(
    ("form", "dtype"),
    [(form, ">i4") for form in FORMS] + [(form, dtype) for form in ("2: blosc lz4", "3: shards") for dtype in DTYPES],
)
def test_reads_what_zarr_writes(tmp_path: Path, form: str, dtype: str) -> None:
    version, _, name = form.partition(": ")
    options = {"2": ZARR_2, "3": ZARR_3}[version][name]
    data = voxels(dtype)
    path = write(tmp_path / "case.zarr", data, zarr_format=int(version), **options)
    with open_volume(path) as volume:
        assert volume.path == str(path)
        assert (volume.geometry.shape, volume.geometry.affine, volume.geometry.axes) == (SHAPE, None, "")
        assert np.isnan(volume.geometry.spacing).all()
        assert (volume.order, volume.streams, volume.scaling, volume.parallel) == ("C", False, None, True)
        assert volume.dtype == (data.dtype if version == "2" else data.dtype.newbyteorder("="))
        found = whole(volume)
        assert found.dtype == volume.dtype
        np.testing.assert_array_equal(found, data)


@pytest.mark.parametrize("options", [{"zarr_format": 2}, {}, {"shards": (8, 10, 8)}], ids=["2", "3", "shards"])
@pytest.mark.parametrize("zipped", [False, True])
def test_boxes_are_slices_also_from_many_threads_at_once(tmp_path: Path, options: Any, zipped: bool) -> None:
    data = voxels("<u2")
    path = write(tmp_path / "case.zarr", data, **options)
    path = zip_folder(path) if zipped else path
    with open_volume(path) as volume:
        check_boxes(volume, data, 0)
        check_boxes_from_threads(volume, data, 8)


def test_zip_stores_that_zarr_writes(tmp_path: Path) -> None:
    data, path = voxels(), tmp_path / "case.zarr.zip"
    with zarr.storage.ZipStore(path, mode="w") as store:
        write(store, data)
    np.testing.assert_array_equal(load(path), data)
    by_content = tmp_path / "case.bin"
    shutil.copy(path, by_content)
    np.testing.assert_array_equal(load(by_content), data)
    with zarr.storage.ZipStore(path, mode="w") as store:
        write(store, data, name="a/b", zarr_format=2)
    np.testing.assert_array_equal(load(path), data)
    np.testing.assert_array_equal(load(f"{path}::a/b"), data)


def test_blocks_are_chunks_or_what_of_a_shard_is_small(tmp_path: Path) -> None:
    def blocks(**options: Any) -> Any:
        path = tmp_path / f"{len(os.listdir(tmp_path))}.zarr"
        zarr.create_array(path, dtype="u1", **options)
        with open_volume(path) as volume:
            return volume.blocks

    assert blocks(shape=(100, 100), chunks=(10, 20)) == (10, 20)
    assert blocks(shape=(100, 100), chunks=(10, 20), shards=(50, 60)) == (50, 60)
    assert blocks(shape=(4096,) * 3, chunks=(64,) * 3, shards=(1024,) * 3) == (64, 1024, 1024)
    assert blocks(shape=(4096,) * 3, chunks=(512,) * 3, shards=(2048,) * 3) == (512, 512, 512)


def test_chunks_that_are_not_stored_are_the_fill_value(tmp_path: Path) -> None:
    for version in (2, 3):
        path = tmp_path / f"{version}.zarr"
        options: Any = {"shape": SHAPE, "chunks": (4, 5, 4), "dtype": "i2", "fill_value": -3, "zarr_format": version}
        array = zarr.create_array(path, **options)
        with pytest.raises(
            VolumeError, match=r"expected 12 chunk\(s\), found none, such as '(0.0.0|c/0/0/0)': .* value -3"
        ):
            load(path)
        array[:4, :5, :4] = 7
        expected = np.full(SHAPE, -3)
        expected[:4, :5, :4] = 7
        np.testing.assert_array_equal(load(path), expected)
        with open_volume(path) as volume:
            assert volume.notes == (f"{path}: 11 of 12 chunks are not stored: their voxels have the fill value -3",)
    document = json.loads((tmp_path / "2.zarr/.zarray").read_text())
    (tmp_path / "2.zarr/.zarray").write_text(json.dumps(document | {"fill_value": None}))
    np.testing.assert_array_equal(load(tmp_path / "2.zarr"), np.where(expected == 7, 7, 0))


def test_chunks_under_other_keys_are_none(tmp_path: Path) -> None:
    """As where a writer nests them, and does not say so (n5-zarr #14)."""
    data, path = voxels("u1"), tmp_path / "case.zarr"
    options: Any = {"zarr_format": 2, "chunk_key_encoding": {"name": "v2", "separator": "/"}}
    write(path, data, **options)
    np.testing.assert_array_equal(load(path), data)
    document = json.loads((path / ".zarray").read_text())
    (path / ".zarray").write_text(json.dumps(document | {"dimension_separator": "."}))
    with pytest.raises(VolumeError, match="found none, such as '0.0.0'"):
        load(path)


def test_codecs_that_no_specification_has_warn_nobody(tmp_path: Path) -> None:
    data, path = voxels("<u2"), tmp_path / "case.zarr"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        more = pytest.importorskip("zarr.codecs.numcodecs", reason="this version of the library cannot write it")
        delta, bz2 = more.Delta(dtype="<u2"), more.BZ2(level=1)
    write(path, data, filters=[delta], compressors=[bz2])
    np.testing.assert_array_equal(load(path), data)
    shutil.rmtree(path)
    write(path, data, compressors=[bz2], shards=(8, 10, 8))
    np.testing.assert_array_equal(load(path), data)
    edit(path, lambda document: document["codecs"][0]["configuration"].update(codecs=["bytes", "numcodecs.blosc"]))
    refused(path)  # as zarr has it: BZ2 is not Blosc


def test_without_zarr_the_message_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "case.zarr", voxels())
    monkeypatch.setitem(sys.modules, "zarr", None)
    refused(path, 'pip install "fastseg-metrics[zarr]"')


def test_importing_loads_nothing_heavy() -> None:
    code = (
        "import sys, fastseg.volumes.formats.zarr; print(sorted({'zarr', 'numcodecs', 'asyncio'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("zipped", [False, True])
def test_a_closed_volume_stays_closed(tmp_path: Path, zipped: bool) -> None:
    path = write(tmp_path / "case.zarr", voxels())
    path = zip_folder(path) if zipped else path
    open_volume(path).close()
    volume = open_volume(path)
    whole(volume)
    volume.close()
    volume.close()
    with pytest.raises(VolumeError, match="closed"):
        whole(volume)


def test_names_of_cases() -> None:
    assert split_suffix("liver_001.zarr.zip") == ("liver_001", ".zarr.zip")
    assert split_suffix("liver_001.zarr") == ("liver_001", ".zarr")
