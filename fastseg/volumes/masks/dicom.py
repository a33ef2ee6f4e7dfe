"""DICOM segmentations by segment: those that overlap, and fractional ones, which a threshold makes masks."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fastseg.volumes.decoded import DecodedVolume, failures_of, quiet
from fastseg.volumes.errors import VolumeError
from fastseg.volumes.formats.dicom import SEGMENTATIONS, frames_of, laid_out, names_of
from fastseg.volumes.masks.source import Layer, MaskSource
from fastseg.volumes.volume import Geometry, Planes, require

__all__ = ["check_segmentation", "dicom_kind", "dicom_names", "is_dicom", "of_dicom"]


class SegmentVolume(DecodedVolume):
    """One segment of a DICOM segmentation, as a binary mask; `fastseg.volumes.volume.Volume` describes the members.

    Parameters
    ----------
    path : str
    dataset : pydicom.Dataset
        What the file holds.
    geometry, planes
        Of the file: the same for all of its segments.
    frames : sequence of (int, int)
        The segment's frames: their place in the file, and their plane.
    least : float
        The least stored value that is inside.
    """

    order: Literal["F", "C"] = "F"

    def __init__(
        self, path: str, dataset: Any, geometry: Geometry, planes: Planes, frames: Sequence[tuple[int, int]], least: float
    ) -> None:  # fmt: skip
        super().__init__(path)
        self._dataset, self._frames, self._least = dataset, list(frames), least
        self.geometry, self.planes = geometry, planes
        self.dtype, self.blocks = np.dtype(np.uint8), (1, 1, 1)

    def _decode(self) -> NDArray[Any]:
        with failures_of("pydicom", self.path), quiet("pydicom"):
            planes = np.zeros(self.geometry.shape[::-1], self.dtype)
            found = frames_of(self.path, self._dataset, [index for index, _ in self._frames])
            for (_, place), pixels in zip(self._frames, found, strict=True):
                planes[place] = pixels >= self._least
        return planes.T


def is_dicom(path: str) -> bool:
    """Tell whether a path may be a DICOM file, by its suffix."""
    return path.lower().endswith(".dcm")


def dicom_kind(path: str) -> Literal["masks", "named", "labels"]:
    """Tell what a DICOM segmentation is by its header: masks, where segments overlap or are fractional, or a label map.

    "labels" is also what cannot be read: whoever opens it says why.
    """
    pydicom = require("pydicom", "dicom", path, "a DICOM file")
    tags = ["SOPClassUID", "SegmentationType", "SegmentsOverlap", "TotalPixelMatrixColumns"]
    try:
        with quiet("pydicom"):
            dataset = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=tags)
    except Exception:
        return "labels"
    kind, slide = dataset.get("SegmentationType"), "TotalPixelMatrixColumns" in dataset
    if dataset.get("SOPClassUID") not in SEGMENTATIONS or slide or kind not in ("BINARY", "FRACTIONAL"):
        return "labels"
    return "masks" if kind == "FRACTIONAL" or dataset.get("SegmentsOverlap") == "YES" else "named"


def check_segmentation(path: str) -> None:
    """Raise VolumeError for a DICOM file that says that it is of another kind."""
    pydicom = require("pydicom", "dicom", path, "a DICOM file")
    with failures_of("pydicom", path), quiet("pydicom"):
        found = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=["SOPClassUID"]).get("SOPClassUID")
    if found not in SEGMENTATIONS:
        name = "no SOP class" if found is None else f"the SOP class {found.name} ({found})"
        raise VolumeError(f"{path}: expected a DICOM Segmentation, found {name}")


def dicom_names(path: str) -> dict[int, str]:
    """Return segment numbers to labels, by the header alone; none of what cannot be read."""
    pydicom = require("pydicom", "dicom", path, "a DICOM file")
    try:
        with quiet("pydicom"):
            return names_of(pydicom.dcmread(path, stop_before_pixels=True, specific_tags=["SegmentSequence"]))
    except Exception:
        return {}


def of_dicom(path: str, threshold: float | None) -> MaskSource:
    """Return the masks of a DICOM segmentation by the labels of its segments.

    Parameters
    ----------
    path
        Of a segmentation of type BINARY or FRACTIONAL.
    threshold
        Of fractional segments: the least share of the largest value that is inside.

    Raises
    ------
    VolumeError
        If it cannot be read, or is fractional and there is no threshold.
    """
    pydicom = require("pydicom", "dicom", path, "a DICOM file")
    with failures_of("pydicom", path), quiet("pydicom"):
        dataset = pydicom.dcmread(path)
        kind, least = dataset.SegmentationType, 1.0
        if dataset.get("PhotometricInterpretation") != "MONOCHROME2":
            raise VolumeError(f"{path}: expected a segmentation whose PhotometricInterpretation is MONOCHROME2")
        if kind == "FRACTIONAL":
            if threshold is None:
                what = str(dataset.get("SegmentationFractionalType", "")).lower() or "fractional"
                raise VolumeError(
                    f"{path}: expected masks, found fractional segments ({what}): a threshold (threshold=, --threshold) from "
                    "0 to 1 makes masks of them"
                )
            if threshold > 1:
                raise VolumeError(
                    f"{path}: expected a threshold from 0 to 1 for fractional segments, found {threshold:g}"
                )
            least = max(1.0, threshold * float(dataset.MaximumFractionalValue))
        elif kind != "BINARY":
            raise VolumeError(f"{path}: expected a segmentation of type BINARY or FRACTIONAL, found {kind}")
        names = names_of(dataset)
        geometry, planes, frames = laid_out(path, dataset, names)
        labels = [*names.values()]
        layers, ids = [], {}
        for number, label in names.items():
            own = [(index, place) for index, (place, of) in enumerate(frames) if of == number]
            name = label if labels.count(label) == 1 else f"{label} ({number})"
            volume = partial(SegmentVolume, path, dataset, geometry, planes, own, least)
            layers.append(Layer(f"{path}: {label}", volume, {name: None}))
        for item in dataset.SegmentSequence:
            if item.get("TrackingUID"):
                ids[str(item.SegmentLabel)] = str(item.TrackingUID)
    return MaskSource(path, layers, ids)
