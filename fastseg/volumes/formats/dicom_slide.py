"""DICOM Segmentation of a slide, which is of tiles, through highdicom."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fastseg.volumes.decoded import DecodedVolume, failures_of, quiet
from fastseg.volumes.errors import VolumeError
from fastseg.volumes.volume import Geometry, require


class SlideSegmentation(DecodedVolume):
    """Read a DICOM Segmentation of one plane in tiles; `fastseg.volumes.volume.Volume` describes the members.

    The label volume is assembled of them in memory, of one or two bytes a voxel, when its first voxel is read. The axes are
    columns, rows and slices; voxels of no segment are 0. A slide has no left and right, and so no affine.

    Parameters
    ----------
    path : str
    dataset : pydicom.Dataset
        What the file holds.
    names : dict of int to str
        Segment numbers to segment labels.

    Raises
    ------
    VolumeError
        If it is broken, or segments overlap.
    """

    order: Literal["F", "C"] = "F"

    def __init__(self, path: str, dataset: Any, names: dict[int, str]) -> None:
        super().__init__(path)
        segmentations = require("highdicom.seg", "dicom", path, "a DICOM file of a slide")
        self.names = names
        self.dtype = np.min_scalar_type(max(names, default=0))
        with quiet("highdicom"):
            self._segmentation: Any = segmentations.Segmentation.from_dataset(dataset, copy=False)
            place = self._segmentation.get_volume_geometry()
        if place is None:
            raise VolumeError(f"{path}: expected tiles of one plane, found others, or no positions")
        slices, rows, columns = (int(n) for n in place.spatial_shape)
        spacing = tuple(float(step) for step in reversed(place.spacing))
        self.geometry = Geometry((columns, rows, slices), None, spacing, "xyz")
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
        voxels: NDArray[Any] = volume.array.T
        if voxels.shape != self.geometry.shape:
            raise VolumeError(f"{self.path}: expected {self.geometry.shape} voxels, found {voxels.shape}")
        return np.asfortranarray(voxels)

    def close(self) -> None:
        """Let go of the file's content; closing twice is allowed."""
        super().close()
        self._segmentation = None
