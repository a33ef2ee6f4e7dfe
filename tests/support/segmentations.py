"""Writes DICOM Segmentations with highdicom, of slices of a CT series that is made up."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pydicom: Any = pytest.importorskip("pydicom")
hd: Any = pytest.importorskip("highdicom")

#: From the first column to the last and from the first row to the last of a slice, in the patient's LPS coordinates.
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
SPACING = (0.5, 0.75, 2.0)  # along a row, down a column, between slices
ORIGIN = (-20.0, 30.0, 100.0)
CODE = hd.sr.CodedConcept("91723000", "SCT", "Anatomical Structure")


def ct(
    number: int, distance: float = SPACING[2], size: tuple[int, int] = (12, 10), orientation: Sequence[float] = AXIAL
) -> Any:
    """Return one slice of a CT series, of `size` rows and columns."""
    meta = pydicom.dataset.FileMetaDataset()
    meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    image = pydicom.Dataset()
    image.file_meta = meta
    image.SOPClassUID = meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    image.SOPInstanceUID = meta.MediaStorageSOPInstanceUID = f"1.2.3.4.{number + 1}"
    image.StudyInstanceUID, image.SeriesInstanceUID, image.FrameOfReferenceUID = "1.2.3", "1.2.3.4", "1.2.3.5"
    image.PatientID = image.AccessionNumber = image.StudyID = "x"
    image.PatientName = "x^"
    image.PatientBirthDate = image.StudyDate = "20200101"
    image.PatientSex, image.StudyTime, image.Modality = "O", "120000", "CT"
    image.InstanceNumber, image.SeriesNumber = number + 1, 1
    image.ReferringPhysicianName, image.PositionReferenceIndicator = "x", ""
    normal = np.cross(orientation[:3], orientation[3:])
    position = np.array(ORIGIN) + number * distance * normal
    image.ImagePositionPatient = [pydicom.valuerep.DS(float(value), auto_format=True) for value in position]
    image.ImageOrientationPatient = [pydicom.valuerep.DS(float(value), auto_format=True) for value in orientation]
    image.PixelSpacing, image.SliceThickness = [SPACING[1], SPACING[0]], distance
    image.Rows, image.Columns = size
    image.SamplesPerPixel = 1
    image.PhotometricInterpretation = "MONOCHROME2"
    image.BitsAllocated = image.BitsStored = 16
    image.HighBit, image.PixelRepresentation = 15, 0
    image.PixelData = bytes(2 * size[0] * size[1])
    return image


def segment(number: int, label: str) -> Any:
    return hd.seg.SegmentDescription(number, label, CODE, CODE, "MANUAL")


def write(path: Path, data: np.ndarray, kind: str = "BINARY", images: list[Any] | None = None, **options: Any) -> Path:
    """Write labels 1 to 3 of (slices, rows, columns); planes without any are left out, unless the options say otherwise."""
    names = ["liver", "spleen", "left kidney"]
    hd.seg.Segmentation(
        source_images=[ct(i, size=data.shape[1:3]) for i in range(len(data))] if images is None else images,
        pixel_array=data,
        segmentation_type=kind,
        segment_descriptions=[segment(i + 1, name) for i, name in enumerate(names)],
        series_instance_uid="1.2.3.9",
        series_number=9,
        sop_instance_uid="1.2.3.9.1",
        instance_number=1,
        manufacturer="x",
        manufacturer_model_name="x",
        software_versions="1",
        device_serial_number="1",
        **options,
    ).save_as(path)
    return path


def write_slide(path: Path, data: np.ndarray, kind: str = "BINARY") -> Path:
    """Write labels of (1, rows, columns) of a slide, in tiles of 8 by 8 pixels."""
    image = ct(0, size=(8, 8))
    for name in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness"):
        delattr(image, name)
    image.SOPClassUID = image.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.77.1.6"
    image.Modality, image.ImageType = "SM", ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    image.TotalPixelMatrixRows, image.TotalPixelMatrixColumns = data.shape[1:]
    image.NumberOfFrames = -(-data.shape[1] // 8) * -(-data.shape[2] // 8)
    image.DimensionOrganizationType = "TILED_FULL"
    image.TotalPixelMatrixFocalPlanes = image.NumberOfOpticalPaths = 1
    image.ImageOrientationSlide = [0, 1, 0, 1, 0, 0]
    image.ContainerIdentifier, image.ImagedVolumeWidth, image.ImagedVolumeHeight = "x", 1, 1
    image.IssuerOfTheContainerIdentifierSequence = image.ContainerTypeCodeSequence = []
    image.SpecimenDescriptionSequence = []
    origin, measures, shared, light = (pydicom.Dataset() for _ in range(4))
    origin.XOffsetInSlideCoordinateSystem, origin.YOffsetInSlideCoordinateSystem = 3, 4
    measures.PixelSpacing, measures.SliceThickness = [0.01, 0.02], 0.001
    shared.PixelMeasuresSequence, light.OpticalPathIdentifier = [measures], "1"
    image.TotalPixelMatrixOriginSequence, image.SharedFunctionalGroupsSequence = [origin], [shared]
    image.OpticalPathSequence = [light]
    return write(path, data, kind, [image], tile_pixel_array=True, tile_size=(8, 8))
