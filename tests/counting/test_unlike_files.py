"""Pairs of files that differ in format, memory order or axes count as the arrays that they hold."""

from __future__ import annotations

import gc
import importlib.util
import itertools
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.every_format import EXPECTED, INSIDE, PICTURES, WITHIN, WRITERS, P, T, library, put, there
from support.volumes_on_disk import write

import fastseg
from fastseg.counting import boxes
from fastseg.counting.stored_labels import label_blocks
from fastseg.volumes import GeometryError, VolumeError, open_volume, views as views_module


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("formats")


UNNAMED = (".npy", ".npz", ".zarr", ".h5")


@pytest.mark.parametrize("true", there(WRITERS))
def test_every_pair_of_formats(true: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a = put(folder / "t-", true, T)
    roi = put(folder / "i-", "f.npy", INSIDE.astype("i2"))
    for number, pred in enumerate(there(WRITERS)):
        b = put(folder / "p-", pred, P)
        monkeypatch.setattr(boxes, "BOX_BYTES", (50, 4 << 20)[number % 2])
        monkeypatch.setattr(views_module, "_UNPACKED_IN_MEMORY", (0, 1 << 20)[number // 2 % 2])
        reversed_ones = [true, pred].count("zyx.npy")
        if reversed_ones == 1 and true.endswith(UNNAMED) and pred.endswith(UNNAMED):
            with pytest.raises(GeometryError, match=r"expected the shape \(\d, 7, \d\)"):
                fastseg.count_files(a, b)
            continue
        assert fastseg.count_files(a, b, num_classes=5, threads=1 + number % 3) == EXPECTED, (true, pred)
        if not reversed_ones:
            assert fastseg.count_files(a, b, num_classes=5, axes="xyz", roi=roi) == WITHIN, (true, pred)


def test_every_pair_of_pictures(tmp_path: Path) -> None:
    t, p = T[:, :, 0], P[:, :, 0]
    expected = fastseg.count_labels(t, p, num_classes=5)
    single = {
        name: WRITERS[name] for name in (".nii", ".nii.gz", ".mgz", ".nrrd", ".tif", "c.npy", "zyx.npy", "3.zarr")
    }
    for one, other in itertools.product(there(PICTURES), there(PICTURES | single)):
        slab = other in (".nii", ".nii.gz", ".mgz")
        a, b = put(tmp_path / "t-", one, t), put(tmp_path / "p-", other, p[..., None] if slab else p)
        assert fastseg.count_files(a, b, num_classes=5) == expected, (one, other)
        back = fastseg.count_files(b, a, num_classes=5)
        assert np.array_equal(back.matrix[0], expected.matrix[0].T), (other, one)


def test_a_picture_says_where_slices_are_looked_at(tmp_path: Path) -> None:
    """The mask has fewer axes than the two before it."""
    library("PIL.Image")
    t, p, inside = T[:, :, :1], P[:, :, :1], INSIDE[:, :, 0].astype("u1")
    expected = fastseg.count_labels(t, p, num_classes=5, mask=INSIDE[:, :, :1])
    roi = put(tmp_path / "i-", ".png", inside)
    for one, other in itertools.product((".nii.gz", ".nii", "c.npy", "zyx.npy"), repeat=2):
        a, b = put(tmp_path / "t-", one, t), put(tmp_path / "p-", other, p)
        if {one, other} == {"c.npy", "zyx.npy"}:
            continue  # two plain arrays that differ in shape
        assert fastseg.count_files(a, b, num_classes=5, roi=roi) == expected, (one, other)


@pytest.mark.parametrize("limit", [1 << 20, 0])
@pytest.mark.parametrize("names", [(".nii.gz", "c.npy"), ("deflated.npz", ".nii.gz"), (".mgz", "deflated.npz")])
def test_what_is_unpacked_is_gone_afterwards(
    names: tuple[str, str], limit: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(views_module, "_UNPACKED_IN_MEMORY", limit)
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    a, b = put(tmp_path / "t-", names[0], T), put(tmp_path / "p-", names[1], P)
    opened = descriptors()
    assert fastseg.count_files(a, b, num_classes=5) == EXPECTED
    with pytest.raises(ValueError, match=r"expected labels among the 3 classes 0..2, found \d+ voxel"):
        fastseg.count_files(a, b, num_classes=3)
    blocks = label_blocks(a, b)
    next(blocks)
    blocks.close()

    def broken(*_: Any) -> None:
        raise RuntimeError("the bar broke")

    with pytest.raises(RuntimeError, match="the bar broke"):
        fastseg.count_files(a, b, progress=broken, threads=2)
    gc.collect()
    assert descriptors() <= opened
    assert not list(temporary.iterdir())


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0


@pytest.mark.parametrize("pred", ["c.npy", "f.npy"])
def test_damage_is_found_whichever_way_it_is_read(pred: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good, b = write(tmp_path / "t.nii.gz", T), put(tmp_path / "p-", pred, P)
    data = good.read_bytes()
    for limit, broken in itertools.product((1 << 20, 0), (data[:-1], data[:-8] + b"\1" + data[-7:], data[:100])):
        monkeypatch.setattr(views_module, "_UNPACKED_IN_MEMORY", limit)
        good.write_bytes(broken)
        for first, second in ((good, b), (b, good)):
            with pytest.raises(VolumeError, match=r"t\.nii\.gz: "):
                fastseg.count_files(first, second, num_classes=5)


@pytest.mark.parametrize("suffix", there(WRITERS) + there(PICTURES))
@pytest.mark.parametrize("turned", [False, True])
def test_a_closed_volume_is_not_read(suffix: str, turned: bool, folder: Path) -> None:
    path = put(folder / "closed-", suffix, T[..., 0] if suffix in PICTURES else T)
    volume = open_volume(path)
    shape = volume.geometry.shape
    if turned:
        volume = views_module.Turned(volume, tuple(range(len(shape))), (False,) * len(shape))
    if volume.streams:
        volume.read_into(bytearray(3))  # of which a decompressor has more
    volume.close()
    volume.close()
    calls: list[Callable[[], Any]] = []
    if volume.streams:
        calls += [lambda: volume.read_into(bytearray(3)), volume.finish]
    if volume.blocks is not None:
        calls.append(lambda: volume.read_block((0,) * len(shape), shape))
    for call in calls:
        with pytest.raises(VolumeError, match=rf"^{path}: (\S+: )?the volume is closed$"):
            call()
    assert calls


@pytest.mark.parametrize("shape", [(3, 0, 4), (), (0,)])
@pytest.mark.parametrize("suffix", there({name: WRITERS[name] for name in ("c.npy", ".npz", ".h5", "3.zarr")}))
def test_files_without_voxels_are_refused_or_count_nothing(suffix: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    a, path = write(tmp_path / "t.nii", T), tmp_path / f"empty{suffix}"
    if suffix == "3.zarr":
        chunks = (1,) * len(shape)
        importlib.import_module("zarr").create_array(str(path), shape=shape, chunks=chunks, dtype="u1")
    else:
        WRITERS[suffix](path, np.zeros(shape, "u1"))
    for pair in ((a, path), (path, a)):
        with pytest.raises(VolumeError, match="expected"):
            fastseg.count_files(*pair)
    try:
        assert fastseg.count_files(path, path, roi=path).voxels.sum() == 0
        assert list(label_blocks(path, path)) == []
    except VolumeError as error:
        assert "expected" in str(error)


def test_unpacking_to_a_file_can_be_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views_module, "_UNPACKED_IN_MEMORY", 0)
    labels = np.arange(60, dtype=np.uint8).reshape(3, 4, 5)
    reference, prediction = write(tmp_path / "a.nii.gz", labels), tmp_path / "b.npz"
    np.savez_compressed(prediction, labels)
    calls = []

    def stop(done: int, total: int) -> None:
        calls.append((done, total))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fastseg.count_files(reference, prediction, axes="xyz", progress=stop)
    assert calls == [(0, 60)]
    assert fastseg.count_files(reference, prediction, axes="xyz").matrix[0].trace() == 60
