"""How the frames of a DICOM segmentation are compressed, what its background is, and which frame its places refer to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import segmentations

import fastseg
from fastseg.volumes import VolumeError, open_volume

imagecodecs: Any = pytest.importorskip("imagecodecs")
pydicom: Any = segmentations.pydicom

LABELS = np.random.default_rng(0).integers(0, 4, (4, 12, 10)).astype(np.uint8)
EXPECTED = fastseg.count_labels(LABELS, LABELS)


def changed(path: Path, out: Path, change: Callable[[Any], object]) -> Path:
    dataset = pydicom.dcmread(path)
    change(dataset)
    dataset.save_as(out)
    return out


@pytest.mark.parametrize(
    ("syntax", "encode", "found"),
    [
        ("1.2.840.10008.1.2.4.81", lambda f: imagecodecs.jpegls_encode(f, level=2), "near-lossless JPEG-LS"),
        ("1.2.840.10008.1.2.4.50", imagecodecs.jpeg8_encode, "JPEG"),
        (
            "1.2.840.10008.1.2.4.91",
            lambda f: imagecodecs.jpeg2k_encode(f, level=20, codecformat="j2k"),
            "lossy JPEG 2000",
        ),
        (
            "1.2.840.10008.1.2.4.91",
            lambda f: imagecodecs.jpeg2k_encode(f, level=0, reversible=True, codecformat="j2k"),
            None,
        ),
    ],
)
def test_frames_that_lose_labels_are_refused(tmp_path: Path, syntax: str, encode: Any, found: str | None) -> None:
    plain = segmentations.write(tmp_path / "plain.dcm", LABELS, "LABELMAP")

    def compress(dataset: Any) -> None:
        frames = [encode(np.ascontiguousarray(frame)) for frame in dataset.pixel_array]
        dataset.PixelData = pydicom.encaps.encapsulate(frames)
        dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True
        dataset.file_meta.TransferSyntaxUID = syntax

    packed = changed(plain, tmp_path / "packed.dcm", compress)
    if found is None:
        assert fastseg.count_files(plain, packed) == EXPECTED
        return
    with pytest.raises(VolumeError, match=f"a compression that keeps every label as it is, found {found}"):
        fastseg.count_files(plain, packed)


def test_what_the_segmented_image_was_compressed_with_does_not_matter(tmp_path: Path) -> None:
    plain = segmentations.write(tmp_path / "plain.dcm", LABELS)
    said = changed(plain, tmp_path / "said.dcm", lambda dataset: setattr(dataset, "LossyImageCompression", "01"))
    assert fastseg.count_files(plain, said) == EXPECTED


def test_another_background_is_refused(tmp_path: Path) -> None:
    plain = segmentations.write(tmp_path / "plain.dcm", LABELS, "LABELMAP")
    other = changed(plain, tmp_path / "other.dcm", lambda dataset: setattr(dataset, "PixelPaddingValue", 1))
    with pytest.raises(VolumeError, match="expected background of 0, found PixelPaddingValue 1"):
        open_volume(other)


def test_another_frame_of_reference_is_noted(tmp_path: Path) -> None:
    plain = segmentations.write(tmp_path / "plain.dcm", LABELS)
    other = changed(plain, tmp_path / "other.dcm", lambda dataset: setattr(dataset, "FrameOfReferenceUID", "1.2.9"))
    notes: list[str] = []
    assert fastseg.count_files(plain, other, warn=notes.append) == EXPECTED
    assert "its frame of reference is 1.2.9, that of" in notes[0]
    few = np.where(np.arange(4)[:, None, None] == 1, LABELS, 0).astype(np.uint8)  # which leaves planes out
    less = segmentations.write(tmp_path / "less.dcm", few)
    changed(less, less, lambda dataset: setattr(dataset, "FrameOfReferenceUID", "1.2.9"))
    fastseg.count_files(plain, less, warn=notes.append)
    assert "its frame of reference is 1.2.9, that of" in notes[1]
