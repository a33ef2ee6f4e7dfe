"""Regions and labels of pairs of unlike files: counted as they are stored, and named where they are wrong."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.every_format import INSIDE, WITHIN, P, T, put
from support.volumes_on_disk import write

import fastseg
from fastseg.counting import boxes, streams as streaming
from fastseg.counting.stored_labels import label_blocks
from fastseg.volumes import VolumeError


def test_a_region_is_where_the_stored_value_is_not_zero(tmp_path: Path) -> None:
    a, b = write(tmp_path / "t.nii", T), put(tmp_path / "p-", "c.npy", P)
    roi = write(tmp_path / "roi.nii", INSIDE.astype("i2"))
    raw = bytearray(roi.read_bytes())
    raw[112:120] = np.array([0.5, 0], "<f4").tobytes()
    roi.write_bytes(bytes(raw))
    assert fastseg.count_files(a, b, num_classes=5, axes="xyz", roi=roi) == WITHIN
    raw[112:120] = np.array([1, -1], "<f4").tobytes()
    roi.write_bytes(bytes(raw))
    with pytest.raises(VolumeError, match=r"roi.nii: expected a region of interest, found one whose 0 stands for -1"):
        fastseg.count_files(a, b, num_classes=5, axes="xyz", roi=roi)


@pytest.mark.parametrize("chunk", [64, 1 << 20])
@pytest.mark.parametrize("suffix", [".nii.gz", ".nii", "c.npy"])  # as streams, in boxes, and in boxes of unlike orders
@pytest.mark.parametrize("slope", [0, 0.5])
def test_a_region_that_is_not_a_number_is_refused(
    suffix: str, slope: float, chunk: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "CHUNK_BYTES", chunk)
    monkeypatch.setattr(boxes, "BOX_BYTES", chunk)
    a, b = put(tmp_path / "t-", suffix, T), put(tmp_path / "p-", ".nii.gz", P)
    region = INSIDE.astype("f4")
    region[3, 2, 1] = region[5, 6, 8] = np.nan
    roi = write(tmp_path / "roi.nii", region)
    raw = bytearray(roi.read_bytes())
    raw[112:120] = np.array([slope, 0], "<f4").tobytes()
    roi.write_bytes(bytes(raw))
    for threads in (1, 2):
        message = refusal(a, b, num_classes=5, axes="xyz", roi=roi, threads=threads)
        assert message.startswith(
            f"{roi}: expected numbers in a region of interest, found 2 voxel(s) that are not; the first is nan"
        )
        assert message.endswith(("(3, 2, 1)", "(5, 6, 8)"))  # boxes have an order of their own
    with pytest.raises(
        VolumeError,
        match=r"roi.nii: expected numbers in a region of interest, found NaN at index \((3, 2, 1|5, 6, 8)\)",
    ):
        list(label_blocks(a, b, roi=roi, axes="xyz"))


@pytest.mark.parametrize("box", [40, 4 << 20])
@pytest.mark.parametrize("pred", [".nii.gz", "c.npy", "f.npy", "deflated.npz"])
def test_wrong_labels_are_named_in_unlike_files(
    pred: str, box: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boxes, "BOX_BYTES", box)
    places = [(5, 6, 8), (2, 3, 4), (0, 6, 1)]
    for dtype, value in (("u1", 99), ("i2", -7), ("f4", np.nan), ("f8", 2.5), ("f4", np.inf)):
        wrong = P.astype(dtype)
        for number, place in enumerate(places):
            wrong[place] = value + number
        a, b = write(tmp_path / "t.nii.gz", T), tmp_path / f"{dtype}{value}-"
        b = put(b, pred, wrong)
        message = refusal(a, b, num_classes=5, axes="xyz")
        assert message.startswith(f"{b}: expected labels ")
        assert "found 3 voxel(s)" in message
        index = tuple(int(i) for i in message.partition(" at index (")[2].partition(")")[0].split(","))
        assert index in places
        assert f"the first is {wrong[index].item()} at index {index}" in message
        # What is outside is not judged.
        inside = np.ones(T.shape, "u1")
        inside[places[0]] = inside[places[1]] = 0
        roi = write(tmp_path / "roi.nii", inside)
        message = refusal(a, b, num_classes=5, axes="xyz", roi=roi)
        assert f"found 1 voxel(s) that are not; the first is {wrong[places[2]].item()} at index {places[2]}" in message
        inside[places[2]] = 0
        roi = put(tmp_path / f"{dtype}{value}roi-", "f.npy", inside)
        counts = fastseg.count_files(a, b, num_classes=5, axes="xyz", roi=roi)
        assert counts == fastseg.count_labels(T, P, num_classes=5, mask=inside.astype(bool))


def refusal(*args: Any, **options: Any) -> str:
    with pytest.raises(ValueError, match="voxel") as caught:
        fastseg.count_files(*args, **options)
    return str(caught.value)


def test_one_file_as_both_is_counted_once(tmp_path: Path) -> None:
    a = write(tmp_path / "t.nii", np.where(T == 4, 77, T).astype("u1"))
    assert f"found {(T == 4).sum()} voxel(s)" in refusal(a, a, num_classes=5)


def test_fractions_are_named_as_they_are_scaled(tmp_path: Path) -> None:
    a, b = write(tmp_path / "t.nii.gz", T), tmp_path / "p.nii.gz"
    raw = bytearray(gzip.decompress(write(b, np.where(P == 3, 3, 0).astype("i2")).read_bytes()))
    raw[112:120] = np.array([0.5, 1], "<f4").tobytes()
    b.write_bytes(gzip.compress(bytes(raw)))
    assert f"found {(P == 3).sum()} voxel(s) that are not; the first is 2.5 at" in refusal(a, b, num_classes=5)


@pytest.mark.parametrize("box", [30, 4 << 20])
def test_label_blocks(box: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boxes, "BOX_BYTES", box)
    doubled = write(tmp_path / "p.nii.gz", (P * 2).astype("i8"))
    raw = bytearray(gzip.decompress(doubled.read_bytes()))
    raw[112:120] = np.array([0.5, 0], "<f4").tobytes()
    doubled.write_bytes(gzip.compress(bytes(raw)))
    roi = write(tmp_path / "roi.nii.gz", INSIDE.astype(">i2"), np.diag([1.0, 2, 3, 1]))
    for suffix in ("c.npy", "f.npy", ".nii.gz", ".nii"):
        a = put(tmp_path / "t-", suffix, T.astype("i8"))
        seen = np.zeros(T.shape, int)
        blocks = list(label_blocks(a, doubled, map_prediction={1: 70, 70: 2}, roi=roi, axes="xyz"))  # all are kept
        for block in blocks:
            where = tuple(slice(i, i + n) for i, n in zip(block.start, block.true.shape, strict=True))
            seen[where] += 1
            assert (block.true.dtype, block.pred.dtype) == (np.int64, np.int64)
            assert np.array_equal(block.true, T[where])
            assert np.array_equal(block.pred, np.where(P == 1, 70, P)[where])
            assert block.inside is not None
            assert np.array_equal(block.inside, INSIDE[where])
            assert (block.shape, len(block.spacing)) == (T.shape, 3)
        assert (seen == 1).all()
    assert all(block.inside is None for block in label_blocks(a, doubled))
