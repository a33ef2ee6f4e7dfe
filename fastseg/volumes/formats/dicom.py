"""DICOM Segmentation through highdicom: one label volume of all segments, whose labels are the segment numbers."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fastseg.volumes.decoded import DecodedVolume, failures_of, quiet
from fastseg.volumes.errors import VolumeError
from fastseg.volumes.volume import Format, Geometry, require

_SEGMENTATION = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")  # by segment, and as a label map
_RAS_FROM_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


class DicomSegmentation(DecodedVolume):
    """Read a DICOM Segmentation of type BINARY or LABELMAP; `fastseg.volumes.volume.Volume` describes the members.

    The file has a frame for each plane and segment. The label volume is assembled of them in memory, of one or two bytes a
    voxel, when its first voxel is read. The axes are columns, rows and slices, as in NIfTI; voxels of no segment are 0.

    Parameters
    ----------
    path : str

    Attributes
    ----------
    names : dict of int to str
        Segment numbers to segment labels.

    Raises
    ------
    VolumeError
        If it is another DICOM object or broken, its planes are not evenly spaced, or segments are fractional or overlap.
    """

    order: Literal["F", "C"] = "F"

    def __init__(self, path: str) -> None:
        super().__init__(path)
        pydicom, segmentations = (
            require(module, "dicom", path, "a DICOM file") for module in ("pydicom", "highdicom.seg")
        )
        with failures_of("highdicom", path), quiet("highdicom", "pydicom"):
            _check_class(path, pydicom)
            self._segmentation: Any = segmentations.segread(path)
            kind = self._segmentation.segmentation_type.value
            if kind not in ("BINARY", "LABELMAP"):
                raise VolumeError(f"{path}: expected a segmentation of type BINARY or LABELMAP, found {kind}")
            numbers = [int(number) for number in self._segmentation.segment_numbers]
            self.names: dict[int, str] = {
                number: str(self._segmentation.get_segment_description(number).segment_label) for number in numbers
            }
            place = self._segmentation.get_volume_geometry()
        if place is None:
            raise VolumeError(f"{path}: expected parallel planes at equal distances, found others, or no positions")
        self.dtype = np.min_scalar_type(max(numbers, default=0))
        slices, rows, columns = (int(n) for n in place.spatial_shape)
        # highdicom counts slices, rows and columns, and its positions are in LPS coordinates.
        affine: NDArray[np.float64] = (_RAS_FROM_LPS @ place.affine)[:, [2, 1, 0, 3]]
        # It makes those three right-handed. ITK and the converters to NIfTI make columns, rows and slices so.
        self._backwards = bool(np.linalg.det(affine[:3, :3]) < 0)
        if self._backwards:
            affine[:3, 3] += (slices - 1) * affine[:3, 2]
            affine[:3, 2] *= -1
        affine.flags.writeable = False
        spacing = np.linalg.norm(affine[:3, :3], axis=0).tolist()
        in_patient = place.coordinate_system.value == "PATIENT"  # a slide has no left and right
        self.geometry = Geometry((columns, rows, slices), affine if in_patient else None, tuple(spacing), "xyz")
        self.blocks = (1, 1, 1)

    def _decode(self) -> NDArray[Any]:
        with failures_of("highdicom", self.path), quiet("highdicom", "pydicom"):
            # It keeps where its frames are in an SQLite database, which serves only the thread that made it.
            segmentation = type(self._segmentation).from_dataset(self._segmentation, copy=False)
            try:
                volume = segmentation.get_volume(combine_segments=True, dtype=self.dtype)
            except RuntimeError as error:
                if "overlap" not in str(error):
                    raise
                raise VolumeError(f"{self.path}: expected one label per voxel, found segments that overlap") from error
        voxels: NDArray[Any] = (volume.array[::-1] if self._backwards else volume.array).T
        if voxels.shape != self.geometry.shape:
            raise VolumeError(f"{self.path}: expected {self.geometry.shape} voxels, found {voxels.shape}")
        return np.asfortranarray(voxels)

    def close(self) -> None:
        """Let go of the file's content; closing twice is allowed."""
        super().close()
        self._segmentation = None


def _check_class(path: str, pydicom: Any) -> None:
    """Raise VolumeError unless the file is a segmentation; of an image, not even the header is read whole."""
    tags = ["SOPClassUID"]
    found = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=tags).get("SOPClassUID")
    if found is None or str(found) not in _SEGMENTATION:
        name = "no SOP class" if found is None else f"the SOP class {found.name} ({found})"
        raise VolumeError(f"{path}: expected a DICOM Segmentation, found {name}")


def _recognises(head: bytes) -> bool:
    """Say whether these first bytes are a DICOM file's."""
    return head[128:132] == b"DICM"


FORMAT = Format("DICOM Segmentation", (".dcm",), _recognises, DicomSegmentation)
