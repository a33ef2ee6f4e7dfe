"""What DICOM Segmentation files can state, and what is done with it."""

from __future__ import annotations

from fastseg.volumes.statements import Statement

STATES = (
    Statement(
        "SOPClassUID", "refused", "of anything but segmentations", "formats/test_dicom.py::test_other_dicom_is_refused"
    ),
    Statement(
        "SegmentationType",
        "obeyed",
        "BINARY and LABELMAP; FRACTIONAL is no label map",
        "formats/test_dicom.py::test_fractional_segments_are_refused",
    ),
    Statement(
        "PhotometricInterpretation",
        "refused",
        "of negatives and colours",
        "formats/test_dicom.py::test_negatives_and_colours_are_refused",
    ),
    Statement(
        "ReferencedSegmentNumber, SegmentSequence",
        "obeyed",
        "labels are the segment numbers; segments that overlap are no label map",
        "formats/test_dicom.py::test_overlapping_segments_are_refused",
    ),
    Statement(
        "ImagePositionPatient, ImageOrientationPatient, PixelSpacing",
        "obeyed",
        "the affine, turned to RAS+; planes that are uneven or not parallel are refused",
        "formats/test_dicom.py::test_the_place_is_that_of_nifti",
    ),
    Statement(
        "SpacingBetweenSlices, planes that are not there",
        "obeyed",
        "planes that are left out are background",
        "formats/test_dicom.py::test_uneven_planes_are_refused",
    ),
    Statement(
        "TransferSyntaxUID",
        "obeyed",
        "codecs that keep every bit, and bits of any byte",
        "formats/test_dicom.py::test_compressed_frames",
    ),
    Statement("TotalPixelMatrix of slides", "obeyed", "tiles of one plane", "formats/test_dicom.py::test_a_slide"),
    Statement(
        "LossyImageCompression",
        "irrelevant",
        "it is inherited from the image that was segmented; what the frames are compressed with counts",
        "formats/test_dicom_says.py::test_what_the_segmented_image_was_compressed_with_does_not_matter",
    ),
    Statement(
        "TransferSyntaxUID that loses",
        "refused",
        "JPEG, near-lossless JPEG-LS, JPEG 2000 unless its stream says that it is reversible",
        "formats/test_dicom_says.py::test_frames_that_lose_labels_are_refused",
    ),
    Statement(
        "PixelPaddingValue",
        "refused",
        "unless it is 0",
        "formats/test_dicom_says.py::test_another_background_is_refused",
    ),
    Statement(
        "FrameOfReferenceUID",
        "noted",
        "two that differ, which who conceals files gives them",
        "formats/test_dicom_says.py::test_another_frame_of_reference_is_noted",
    ),
)
