"""DICOM segmentations by segment: those that overlap, and fractional ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import segmentations
from support.mask_cases import found, masks, tallies

import fastseg
from fastseg.volumes import VolumeError

NAMES = ("liver", "spleen", "left kidney")
SHAPE = (4, 12, 10)


def overlapping(path: Path, of: dict[str, Any]) -> Path:
    return segmentations.write(path, np.stack([of[name] for name in NAMES], -1).astype(np.uint8))


def test_segments_that_overlap_are_masks(tmp_path: Path) -> None:
    true, pred = masks(4, NAMES, SHAPE)
    true["spleen"][1] = pred["spleen"][3] = False  # planes that the file leaves out
    one, other = overlapping(tmp_path / "one.dcm", true), overlapping(tmp_path / "other.dcm", pred)
    scores = fastseg.evaluate_files(one, other, metrics="dice")
    assert scores.classes == NAMES
    np.testing.assert_array_equal(found(scores.counts), tallies(true, pred, NAMES))
    names = dict(enumerate(NAMES, 1))
    apart = {name: np.array(mask) for name, mask in pred.items()}
    apart["spleen"] &= ~apart["liver"]
    apart["left kidney"] &= ~(apart["liver"] | apart["spleen"])
    labels = sum(apart[name] * number for number, name in names.items())
    plain = segmentations.write(tmp_path / "plain.dcm", np.asarray(labels, np.uint8), "LABELMAP")
    counts = fastseg.count_mask_files(one, plain, labels=names)  # a label map of segments
    np.testing.assert_array_equal(found(counts), tallies(true, apart, NAMES))


def numbered(path: Path, labels: Any, names: Any) -> Path:
    """Write a label map whose segments 1, 2 and 3 have these names."""
    segmentations.write(path, labels)
    dataset = segmentations.pydicom.dcmread(path)
    for item, name in zip(dataset.SegmentSequence, names, strict=True):
        item.SegmentLabel = name
    dataset.save_as(path)
    return path


def test_segments_of_other_numbers_are_matched_by_name(tmp_path: Path) -> None:
    labels = [np.random.default_rng(n).integers(0, 4, SHAPE).astype(np.uint8) for n in range(2)]
    one = numbered(tmp_path / "one.dcm", labels[0], NAMES)
    same = numbered(tmp_path / "same.dcm", labels[1], NAMES)
    other = numbered(tmp_path / "other.dcm", labels[1], NAMES[::-1])
    scores = fastseg.evaluate_files(one, same)  # a label map, with its confusion
    assert scores.counts.matrix.tolist() == fastseg.count_labels(*labels, num_classes=4).matrix.tolist()
    scores = fastseg.evaluate_files(one, other)
    true = {name: labels[0] == k for k, name in enumerate(NAMES, 1)}
    pred = {name: labels[1] == k for k, name in enumerate(NAMES[::-1], 1)}
    np.testing.assert_array_equal(found(scores.counts), tallies(true, pred, NAMES))
    for side, path in (("gt", one), ("pred", other)):
        (tmp_path / side).mkdir()
        (tmp_path / side / "b.dcm").write_bytes(path.read_bytes())
        (tmp_path / side / "a.dcm").write_bytes(one.read_bytes())
    run = fastseg.evaluate_folder(tmp_path / "gt", tmp_path / "pred")
    assert [record.status for record in run.records] == ["scored", "failed"]
    assert "liver 1 and 3, left kidney 3 and 1 (masks=True" in str(run.records[1].reason)
    run = fastseg.evaluate_folder(tmp_path / "gt", tmp_path / "pred", masks=True)
    np.testing.assert_array_equal(run.binary.tp[1], tallies(true, pred, NAMES)[:, 0])


def test_fractional_segments_need_a_threshold(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    soft = [rng.random((*SHAPE, 3)) for _ in range(2)]
    paths = [
        segmentations.write(tmp_path / f"{n}.dcm", of, "FRACTIONAL", fractional_type="PROBABILITY")
        for n, of in enumerate(soft)
    ]
    with pytest.raises(VolumeError, match=r"found fractional segments \(probability\): a threshold"):
        fastseg.evaluate_files(*paths)
    counts = fastseg.count_mask_files(*paths, threshold=0.5)
    stored = [np.around(of * 255) >= 0.5 * 255 for of in soft]
    binary = [{name: of[..., k] for k, name in enumerate(NAMES)} for of in stored]
    np.testing.assert_array_equal(found(counts), tallies(*binary, NAMES))


def test_a_segment_that_one_side_lacks_is_empty_among_the_planes_of_both(tmp_path: Path) -> None:
    true, pred = masks(6, NAMES, SHAPE)
    for mask in true.values():
        mask[0] = False  # the first plane is in no frame
    for mask in pred.values():
        mask[3] = False
    one = overlapping(tmp_path / "one.dcm", true)
    other = segmentations.write(
        tmp_path / "other.dcm", np.stack([pred["liver"], pred["spleen"], np.zeros(SHAPE)], -1).astype(np.uint8)
    )
    dataset = segmentations.pydicom.dcmread(other)
    dataset.SegmentSequence = dataset.SegmentSequence[:2]
    dataset.save_as(other)
    counts = fastseg.count_mask_files(one, other, missing_mask="empty")
    pred["left kidney"] = np.zeros(SHAPE, bool)
    np.testing.assert_array_equal(found(counts), tallies(true, pred, NAMES))
    assert counts.voxels.sum() == np.prod(SHAPE)


def test_a_threshold_that_no_fraction_reaches_is_refused(tmp_path: Path) -> None:
    soft = np.random.default_rng(0).random((*SHAPE, 3))
    path = segmentations.write(tmp_path / "a.dcm", soft, "FRACTIONAL")
    with pytest.raises(VolumeError, match="expected a threshold from 0 to 1 for fractional segments, found 1.5"):
        fastseg.count_mask_files(path, path, threshold=1.5)


def test_a_series_of_images_is_no_folder_of_masks(tmp_path: Path) -> None:
    for number in range(2):
        segmentations.ct(number).save_as(tmp_path / f"{number}.dcm", enforce_file_format=True)
    with pytest.raises(
        VolumeError, match=r"0.dcm: expected a DICOM Segmentation, found the SOP class CT Image Storage"
    ):
        fastseg.count_mask_files(tmp_path, tmp_path)
