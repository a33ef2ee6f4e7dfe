"""DICOM Segmentation: what highdicom writes comes back as labels in the place where NIfTI would have them."""

from __future__ import annotations

import contextlib
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.segmentations import ORIGIN, SPACING, ct, write, write_slide

from fastseg.volumes import Volume, VolumeError, compare_geometry, open_volume

pydicom: Any = pytest.importorskip("pydicom")
nib: Any = pytest.importorskip("nibabel")

SLICES, ROWS, COLUMNS = 5, 12, 10


def labels() -> np.ndarray:
    """Return labels (slices, rows, columns), asymmetric along every axis."""
    data = np.zeros((SLICES, ROWS, COLUMNS), "u1")
    data[0, 0, 0], data[-1, -2, 1] = 3, 1
    data[1:4, 2:9, 4:6], data[2:, 3:5, 7] = 1, 2
    return data


@pytest.fixture(scope="module")
def binary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("dicom") / "case.dcm", labels())


def stream(volume: Volume) -> np.ndarray:
    parts, buffer = [], bytearray(77)
    while count := volume.read_into(buffer):
        parts.append(bytes(buffer[:count]))
    volume.finish()
    return np.frombuffer(b"".join(parts), volume.dtype).reshape(volume.geometry.shape, order=volume.order)


@pytest.mark.parametrize("kind", ["BINARY", "LABELMAP"])
@pytest.mark.parametrize("name", ["case.dcm", "no_suffix"])
def test_reads_what_highdicom_writes(tmp_path: Path, kind: str, name: str) -> None:
    expected = labels().transpose(2, 1, 0)
    with open_volume(write(tmp_path / name, labels(), kind)) as volume:
        assert volume.geometry.shape == (COLUMNS, ROWS, SLICES)
        assert volume.geometry.axes == "xyz"
        assert volume.geometry.spacing == pytest.approx(SPACING)
        assert volume.dtype == np.uint8
        assert volume.order == "F"
        assert volume.names == {1: "liver", 2: "spleen", 3: "left kidney"}  # type: ignore[attr-defined]
        np.testing.assert_array_equal(stream(volume), expected)
        np.testing.assert_array_equal(volume.read_block((1, 2, 1), (9, 3, 4)), expected[1:9, 2:3, 1:4])


def test_frames_need_not_begin_with_a_byte(tmp_path: Path) -> None:
    data = np.random.default_rng(0).integers(0, 4, (4, 5, 7), "u1")
    with open_volume(write(tmp_path / "case.dcm", data)) as volume:
        np.testing.assert_array_equal(stream(volume), data.transpose(2, 1, 0))


def test_a_segment_that_all_frames_share(tmp_path: Path) -> None:
    dataset = pydicom.dcmread(write(tmp_path / "case.dcm", (labels() == 2).astype("u1") * 2))
    frames = dataset.PerFrameFunctionalGroupsSequence
    dataset.SharedFunctionalGroupsSequence[0].SegmentIdentificationSequence = frames[0].SegmentIdentificationSequence
    for frame in frames:
        del frame.SegmentIdentificationSequence
    dataset.save_as(tmp_path / "case.dcm")
    with open_volume(tmp_path / "case.dcm") as volume:
        np.testing.assert_array_equal(stream(volume), (labels() == 2).transpose(2, 1, 0)[..., 2:] * 2)


@pytest.mark.parametrize("kind", ["BINARY", "LABELMAP"])
def test_a_slide(tmp_path: Path, kind: str) -> None:
    data = np.random.default_rng(0).integers(0, 4, (1, 12, 20), "u1")
    with open_volume(write_slide(tmp_path / "case.dcm", data, kind)) as volume, ThreadPoolExecutor(1) as thread:
        assert volume.geometry.shape == (20, 12, 1)
        assert volume.geometry.affine is None
        assert volume.geometry.spacing[:2] == pytest.approx((0.02, 0.01))
        np.testing.assert_array_equal(thread.submit(stream, volume).result(60), data.transpose(2, 1, 0))


def test_compressed_frames(tmp_path: Path) -> None:
    path = write(tmp_path / "case.dcm", labels(), "LABELMAP", transfer_syntax_uid=pydicom.uid.RLELossless)
    with open_volume(path) as volume:
        np.testing.assert_array_equal(stream(volume), labels().transpose(2, 1, 0))


def test_the_place_is_that_of_nifti(tmp_path: Path, binary: Path) -> None:
    affine = np.diag([-SPACING[0], -SPACING[1], SPACING[2], 1.0])
    affine[:3, 3] = -ORIGIN[0], -ORIGIN[1], ORIGIN[2]
    image = nib.Nifti1Image(labels().transpose(2, 1, 0), affine)
    nib.save(image, tmp_path / "case.nii")
    with open_volume(tmp_path / "case.nii") as reference, open_volume(binary) as volume:
        difference = compare_geometry(reference.geometry, volume.geometry)
        assert difference is None


def test_segment_numbers_beyond_a_byte(tmp_path: Path) -> None:
    dataset = pydicom.dcmread(write(tmp_path / "case.dcm", labels()))
    dataset.SegmentSequence[2].SegmentNumber = 700
    for frame in dataset.PerFrameFunctionalGroupsSequence:
        identification = frame.SegmentIdentificationSequence[0]
        if identification.ReferencedSegmentNumber == 3:
            identification.ReferencedSegmentNumber = 700
    dataset.save_as(tmp_path / "case.dcm")
    with open_volume(tmp_path / "case.dcm") as volume:
        assert volume.dtype == np.uint16
        found = stream(volume)
        expected = labels().astype("u2")
        expected[expected == 3] = 700
        np.testing.assert_array_equal(found, expected.transpose(2, 1, 0))


def test_fractional_segments_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "case.dcm", np.stack([labels() == i for i in (1, 2, 3)], axis=-1) * 0.5, "FRACTIONAL")
    with pytest.raises(VolumeError, match="expected a segmentation of type BINARY or LABELMAP, found FRACTIONAL"):
        open_volume(path)


def test_overlapping_segments_are_refused(tmp_path: Path) -> None:
    data = np.stack([labels() == 1, labels() > 0, labels() == 3], axis=-1)
    path = write(tmp_path / "case.dcm", data)
    with (
        open_volume(path) as volume,
        pytest.raises(VolumeError, match="one label per voxel, found segments that overlap"),
    ):
        stream(volume)


def test_uneven_planes_are_refused(tmp_path: Path) -> None:
    images = [ct(i, 2.0 if i < 4 else 3.1) for i in range(SLICES)]
    data = labels()
    data[:, 0, 0] = 1  # a frame for every plane
    path = write(tmp_path / "case.dcm", data, images=images)
    with pytest.raises(VolumeError, match="expected parallel planes at equal distances"):
        open_volume(path)


@pytest.mark.parametrize("name", ["PlanePositionSequence", "PlaneOrientationSequence", "PixelMeasuresSequence"])
def test_frames_without_a_place_are_refused(tmp_path: Path, name: str) -> None:
    dataset = pydicom.dcmread(write(tmp_path / "case.dcm", labels()))
    shared, frames = dataset.SharedFunctionalGroupsSequence[0], dataset.PerFrameFunctionalGroupsSequence
    for group in (shared, frames[3]):
        if name in group:
            delattr(group, name)
    dataset.save_as(tmp_path / "case.dcm")
    with pytest.raises(VolumeError, match="found a frame without (ImagePosition|ImageOrientation|PixelSpacing)"):
        open_volume(tmp_path / "case.dcm")


@pytest.mark.parametrize("orientation", [(1, 0, 0, 0, 0.6, 0.8), (1, 0, 0, 1, 0, 0)])
def test_planes_that_are_not_parallel_or_have_no_area_are_refused(
    tmp_path: Path, orientation: tuple[float, ...]
) -> None:
    dataset = pydicom.dcmread(write(tmp_path / "case.dcm", labels()))
    shared, frame = dataset.SharedFunctionalGroupsSequence[0], dataset.PerFrameFunctionalGroupsSequence[2]
    turned = pydicom.Dataset()
    turned.ImageOrientationPatient = list(orientation)
    if orientation[3]:
        shared.PlaneOrientationSequence = [turned]
    else:
        frame.PlaneOrientationSequence = [turned]
    dataset.save_as(tmp_path / "case.dcm")
    with pytest.raises(VolumeError, match="expected parallel planes at equal distances, found others"):
        open_volume(tmp_path / "case.dcm")


@pytest.mark.parametrize("beside", [0.1, 0.01])
def test_planes_beside_one_another_are_refused(tmp_path: Path, beside: float) -> None:
    images = [ct(i) for i in range(SLICES)]
    for number, image in enumerate(images):
        image.ImagePositionPatient[0] += number * beside * SPACING[2]
    data = labels()
    data[:, 0, 0] = 1
    path = write(tmp_path / "case.dcm", data, images=images)
    with contextlib.ExitStack() as stack:
        if beside > 0.045:
            stack.enter_context(pytest.raises(VolumeError, match="expected parallel planes at equal distances"))
        open_volume(path)


@pytest.mark.parametrize("kind", ["BINARY", "LABELMAP"])
def test_two_frames_of_one_place_are_refused(tmp_path: Path, kind: str) -> None:
    dataset = pydicom.dcmread(write(tmp_path / "case.dcm", labels(), kind))
    frames = dataset.PerFrameFunctionalGroupsSequence
    frames[1] = frames[0]
    dataset.save_as(tmp_path / "case.dcm")
    with pytest.raises(VolumeError, match="expected one frame for each plane and segment, found two"):
        open_volume(tmp_path / "case.dcm")


def test_labels_of_no_segment_are_refused(tmp_path: Path) -> None:
    dataset = pydicom.dcmread(write(tmp_path / "case.dcm", labels()))
    del dataset.SegmentSequence[1]
    dataset.save_as(tmp_path / "case.dcm")
    with pytest.raises(VolumeError, match=r"expected frames of the segments \[1, 3\], found \[2\] too"):
        open_volume(tmp_path / "case.dcm")
    dataset = pydicom.dcmread(write(tmp_path / "case.dcm", labels(), "LABELMAP"))
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit = 15
    frames = int(dataset.NumberOfFrames)
    dataset.PixelData = np.full((frames, ROWS, COLUMNS), 259, "<u2").tobytes()
    dataset.save_as(tmp_path / "case.dcm")
    with (
        open_volume(tmp_path / "case.dcm") as volume,
        pytest.raises(VolumeError, match="expected labels of segments, found 259"),
    ):
        stream(volume)


@pytest.mark.parametrize(
    ("kind", "shown", "good"),
    [
        ("BINARY", "MONOCHROME2", True),
        ("BINARY", "MONOCHROME1", False),
        ("BINARY", "PALETTE COLOR", False),
        ("LABELMAP", "MONOCHROME2", True),
        ("LABELMAP", "PALETTE COLOR", True),
        ("LABELMAP", "MONOCHROME1", False),
        ("LABELMAP", "RGB", False),
        ("LABELMAP", None, False),
    ],
)
def test_negatives_and_colours_are_refused(tmp_path: Path, kind: str, shown: str | None, good: bool) -> None:
    dataset = pydicom.dcmread(write(tmp_path / "case.dcm", labels(), kind))
    if shown is None:
        del dataset.PhotometricInterpretation
    else:
        dataset.PhotometricInterpretation = shown
    dataset.save_as(tmp_path / "case.dcm")
    if good:
        with open_volume(tmp_path / "case.dcm") as volume:
            np.testing.assert_array_equal(stream(volume), labels().transpose(2, 1, 0))
        return
    known = "MONOCHROME2" if kind == "BINARY" else "MONOCHROME2 or PALETTE COLOR"
    message = f"case.dcm: expected a segmentation whose PhotometricInterpretation is {known}, found {shown}$"
    with pytest.raises(VolumeError, match=message):
        open_volume(tmp_path / "case.dcm")


def test_other_dicom_is_refused(tmp_path: Path) -> None:
    ct(0).save_as(tmp_path / "case.dcm", enforce_file_format=True)
    with pytest.raises(
        VolumeError, match=r"expected a DICOM Segmentation, found the SOP class CT Image Storage \(1.2.840"
    ):
        open_volume(tmp_path / "case.dcm")
    (tmp_path / "case.dcm").write_bytes(b"1 liver\n" * 30)
    with pytest.raises(VolumeError, match=f"^{tmp_path}/case.dcm: "):
        open_volume(tmp_path / "case.dcm")


def test_broken_files_are_errors_or_volumes(tmp_path: Path, binary: Path, capfd: pytest.CaptureFixture[str]) -> None:
    content, path, random = binary.read_bytes(), tmp_path / "case.dcm", np.random.default_rng(3)
    for _ in range(200):
        broken = bytearray(content)
        broken[random.integers(132, len(content))] ^= 1 << random.integers(8)
        path.write_bytes(broken)
        with contextlib.suppress(VolumeError), open_volume(path) as volume:
            stream(volume)
    for end in random.integers(132, len(content) - 1, 60):
        path.write_bytes(content[:end])
        with pytest.raises(VolumeError, match=f"^{path}: "), open_volume(path) as volume:
            stream(volume)
    assert capfd.readouterr() == ("", "")


def test_sizes_that_it_claims_are_an_error(tmp_path: Path, binary: Path) -> None:
    """A few hundred bytes of pixels, and planes of 60,000 by 60,000 as far apart as planes may be: 200 TB of voxels."""
    dataset = pydicom.dcmread(binary)
    dataset.Rows = dataset.Columns = 60_000
    position = dataset.PerFrameFunctionalGroupsSequence[-1].PlanePositionSequence[0].ImagePositionPatient
    position[2] = float(position[2]) + 60_000 * SPACING[2]
    dataset.save_as(tmp_path / "case.dcm")
    with open_volume(tmp_path / "case.dcm") as volume:
        assert volume.geometry.shape[2] > 50_000
        with pytest.raises(VolumeError, match="truncated, corrupt"):
            volume.finish()


def test_a_closed_volume_stays_closed(binary: Path) -> None:
    volume = open_volume(binary)
    volume.close()
    volume.close()
    with pytest.raises(VolumeError, match="the volume is closed"):
        volume.finish()


def test_without_the_library_the_message_says_what_to_install(binary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(VolumeError, match=r'pip install "fastseg-metrics\[dicom\]"'):
        open_volume(binary)
