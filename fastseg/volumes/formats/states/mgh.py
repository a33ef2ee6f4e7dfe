"""What FreeSurfer MGH files can state, and what is done with it."""

from __future__ import annotations

from fastseg.volumes.statements import Statement

STATES = (
    Statement(
        "version, type",
        "obeyed",
        "big-endian uint8, int16, int32 and float32; others are refused",
        "formats/test_mgh.py::test_hostile_headers_are_refused",
    ),
    Statement(
        "dims, frames",
        "obeyed",
        "axes x, y, z; several frames are no label map unless `--axes` says so",
        "formats/test_mgh.py::test_frames",
    ),
    Statement(
        "delta, Mdc, Pxyz_c",
        "obeyed",
        "the affine, of the centre of the volume",
        "formats/test_mgh.py::test_reads_what_nibabel_writes",
    ),
    Statement(
        "goodRASFlag 0",
        "obeyed",
        "FreeSurfer's own default: coronal slices of 1 mm",
        "formats/test_mgh.py::test_a_header_without_a_position_has_freesurfers",
    ),
    Statement(
        "TR, flip angle, TE, TI and tags behind the voxels",
        "irrelevant",
        "how it was acquired, and by which commands it was made",
        "formats/test_mgh.py::test_tags_may_follow_the_voxels_and_are_verified",
    ),
    Statement(
        "colour tables behind the voxels",
        "irrelevant",
        "names that a stream comes to last; FreeSurfer numbers its regions alike everywhere, and `--labels` names them",
        "formats/test_mgh.py::test_tags_may_follow_the_voxels_and_are_verified",
    ),
)
