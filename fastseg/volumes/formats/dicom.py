"""DICOM Segmentation: one label volume of all segments, whose labels are the segment numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastseg.volumes.decoded import DecodedVolume, failures_of, quiet
from fastseg.volumes.errors import VolumeError
from fastseg.volumes.formats.dicom_slide import SlideSegmentation
from fastseg.volumes.formats.jpeg2000 import lossy_jpeg_2000
from fastseg.volumes.planes import PLANES_LIMIT, common_step, fitted_step
from fastseg.volumes.volume import Format, Geometry, Planes, Volume, require

SEGMENTATIONS = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")  # by segment, and as a label map
#: By the type of a segmentation, what its PhotometricInterpretation may be.
_COLOURS = {"BINARY": ("MONOCHROME2",), "LABELMAP": ("MONOCHROME2", "PALETTE COLOR")}
#: Transfer syntaxes that lose values, by what they are called; of those of JPEG 2000 it depends on the stream.
_LOSSY = {
    "1.2.840.10008.1.2.4.50": "JPEG", "1.2.840.10008.1.2.4.51": "JPEG", "1.2.840.10008.1.2.4.81": "near-lossless JPEG-LS",
    "1.2.840.10008.1.2.4.91": "JPEG 2000", "1.2.840.10008.1.2.4.93": "JPEG 2000", "1.2.840.10008.1.2.4.112": "JPEG XL",
    "1.2.840.10008.1.2.4.203": "high-throughput JPEG 2000",
    **{f"1.2.840.10008.1.2.4.10{n}": "MPEG" for n in range(9)},
}  # fmt: skip
_PERHAPS = {"1.2.840.10008.1.2.4.91"}
_RAS_FROM_LPS = np.diag([-1.0, -1.0, 1.0])
#: How far beside the normal of the first plane another may lie, in parts of their distance: a lean of 2.5 degrees.
_LEAN = 0.045
#: What passes for the same position, in parts of a pixel.
_NOISE = 0.01


class DicomSegmentation(DecodedVolume):
    """Read a DICOM Segmentation of type BINARY or LABELMAP; `fastseg.volumes.volume.Volume` describes the members.

    The file has a frame for each plane and segment, and may lack those that are empty. The label volume is assembled of them
    in memory, of one or two bytes a voxel, when its first voxel is read. The axes are columns, rows and slices, as in NIfTI,
    a right-handed system; voxels of no segment are 0, as are planes between others that the file lacks.

    Parameters
    ----------
    path : str
    dataset : pydicom.Dataset
        What the file holds.

    Attributes
    ----------
    names : dict of int to str
        Segment numbers to segment labels.

    Raises
    ------
    VolumeError
        If it is broken, its planes are not evenly spaced, it is a negative, or segments are fractional or overlap.
    """

    order: Literal["F", "C"] = "F"

    def __init__(self, path: str, dataset: Any) -> None:
        super().__init__(path)
        self._dataset = dataset
        self._binary = dataset.SegmentationType == "BINARY"
        self.names = names_of(dataset)
        self.dtype = np.min_scalar_type(max(self.names, default=0))
        self.geometry, self.planes, self._frames = laid_out(path, dataset, self.names)
        self.blocks = (1, 1, 1)

    def _decode(self) -> NDArray[Any]:
        with failures_of("pydicom", self.path), quiet("pydicom"):
            planes = np.zeros(self.geometry.shape[::-1], self.dtype)  # in here: a false header may ask for any size
            for (place, number), pixels in zip(self._frames, frames_of(self.path, self._dataset), strict=True):
                if self._binary:
                    inside = pixels != 0
                    if planes[place][inside].any():
                        raise VolumeError(f"{self.path}: expected one label per voxel, found segments that overlap")
                    planes[place][inside] = number
                else:
                    if pixels.max(initial=0) > np.iinfo(self.dtype).max:
                        raise VolumeError(f"{self.path}: expected labels of segments, found {pixels.max()}")
                    planes[place] = pixels
        return planes.T

    def close(self) -> None:
        """Let go of the file's content; closing twice is allowed."""
        super().close()
        self._dataset = None


def laid_out(path: str, dataset: Any, names: Mapping[int, str]) -> tuple[Geometry, Planes, list[tuple[int, int]]]:
    """Return where the voxels of a file lie, which planes it has, and of each frame its plane and its segment (or 0).

    Raises
    ------
    VolumeError
        If its planes are not evenly spaced, or its frames are not one for each plane and segment.
    """
    shared = dataset.SharedFunctionalGroupsSequence[0]
    groups = [(frame, shared) for frame in dataset.PerFrameFunctionalGroupsSequence]
    stack = _stack(path, dataset, groups)
    numbers = [0] * len(groups)
    if dataset.SegmentationType != "LABELMAP":
        found = _of_frames(path, groups, "SegmentIdentificationSequence", "ReferencedSegmentNumber")
        numbers = [int(number) for (number,) in found]
        if unknown := set(numbers) - set(names):
            raise VolumeError(f"{path}: expected frames of the segments {[*names]}, found {sorted(unknown)} too")
    frames = list(zip(stack.places, numbers, strict=True))
    if len(set(frames)) < len(frames):
        raise VolumeError(f"{path}: expected one frame for each plane and segment, found two at the same place")
    return stack.geometry, Planes(tuple(sorted(set(stack.places))), stack.said), frames


def frames_of(path: str, dataset: Any, chosen: Sequence[int] | None = None) -> Iterator[NDArray[Any]]:
    """Yield the stored values of each frame, rows by columns; or of those chosen."""
    syntax = dataset.file_meta.TransferSyntaxUID
    check_syntax(path, dataset)
    if dataset.BitsAllocated != 1 or syntax.is_encapsulated or not syntax.is_little_endian:
        indices = None if chosen is None else list(chosen)
        yield from require("pydicom.pixels", "dicom", path, "a DICOM file").iter_pixels(dataset, indices=indices)
        return
    # Frames of bits may begin within a byte, where pydicom (3.0) does not find them.
    stored, size = np.frombuffer(dataset.PixelData, np.uint8), dataset.Rows * dataset.Columns
    for number in range(int(dataset.NumberOfFrames)) if chosen is None else chosen:
        first = number * size
        bits = np.unpackbits(stored[first // 8 : -(-(first + size) // 8)], bitorder="little")
        yield bits[first % 8 :][:size].reshape(dataset.Rows, dataset.Columns)


def check_syntax(path: str, dataset: Any) -> None:
    """Raise VolumeError if the frames of a file are compressed in a way that loses values.

    That LossyImageCompression is 01 says nothing of them: it is inherited from the image that was segmented.
    """
    syntax = str(dataset.file_meta.TransferSyntaxUID)
    if syntax not in _LOSSY:
        return
    found: str | None = _LOSSY[syntax]
    if syntax in _PERHAPS:
        generate = require("pydicom.encaps", "dicom", path, "a DICOM file").generate_frames
        with failures_of("pydicom", path), quiet("pydicom"):
            frames = generate(dataset.PixelData, number_of_frames=int(dataset.NumberOfFrames))
            found = next((why for frame in frames if (why := lossy_jpeg_2000(frame)) is not None), None)
    if found is not None:
        raise VolumeError(f"{path}: expected a compression that keeps every label as it is, found {found}")


class _Stack(NamedTuple):
    """Where the planes of a file lie."""

    geometry: Geometry
    places: tuple[int, ...]
    """Of each frame, which plane it is."""
    said: float | None
    """The step from one plane to the next in mm, where the file says so."""


def _stack(path: str, dataset: Any, groups: list[tuple[Any, Any]]) -> _Stack:
    """Lay the frames of a file on evenly spaced planes; raise VolumeError if they do not lie so."""
    orientations = set(_of_frames(path, groups, "PlaneOrientationSequence", "ImageOrientationPatient"))
    spacings = set(_of_frames(path, groups, "PixelMeasuresSequence", "PixelSpacing"))
    positions = np.array(_of_frames(path, groups, "PlanePositionSequence", "ImagePositionPatient"))
    uneven = VolumeError(f"{path}: expected parallel planes at equal distances, found others")
    if len(orientations) != 1 or len(spacings) != 1:
        raise uneven
    across, down = np.array(orientations.pop()).reshape(2, 3)
    normal = np.cross(across, down)
    between_rows, between_columns = spacings.pop()
    offsets = positions @ normal
    origin = positions[offsets.argmin()]
    offsets = offsets - offsets.min()
    noise = _NOISE * min(between_rows, between_columns)
    beside = np.linalg.norm(positions - origin - offsets[:, None] * normal, axis=1)
    if not (abs(np.linalg.norm(normal) - 1) <= _NOISE and (beside <= noise + _LEAN * offsets).all()):
        raise uneven
    said, thickness = (_said(groups, name) for name in ("SpacingBetweenSlices", "SliceThickness"))
    step: float | None
    if offsets.max() <= noise:  # a single plane
        step = said or thickness or 1.0
    else:
        step = common_step(offsets, noise) if said is None else fitted_step(offsets, said)
    if step is None or offsets.max() > step * PLANES_LIMIT:
        raise uneven
    places = np.round(offsets / step).astype(int)
    spacing = (between_columns, between_rows, step)
    shape = (int(dataset.Columns), int(dataset.Rows), int(places.max()) + 1)
    affine = np.eye(4)
    affine[:3, :3] = _RAS_FROM_LPS @ np.column_stack([across, down, normal]) * spacing
    affine[:3, 3] = _RAS_FROM_LPS @ origin
    affine.flags.writeable = False
    frame = str(dataset.get("FrameOfReferenceUID") or "")
    return _Stack(Geometry(shape, affine, spacing, "xyz", frame=frame), tuple(places.tolist()), said)


def _of_frames(path: str, groups: list[tuple[Any, Any]], sequence: str, name: str) -> list[tuple[float, ...]]:
    """Return numbers of each frame's functional groups, or of those that all frames share; raise VolumeError without."""
    found = []
    for group in groups:
        value = _value(group, sequence, name)
        if value is None:
            raise VolumeError(f"{path}: expected parallel planes at equal distances, found a frame without {name}")
        found.append((float(value),) if np.ndim(value) == 0 else tuple(map(float, value)))
    return found


def _said(groups: list[tuple[Any, Any]], name: str) -> float | None:
    """Return what all frames say of the distance of planes; None where they do not, or not the same."""
    values = {_value(group, "PixelMeasuresSequence", name) for group in groups}
    said = abs(float(values.pop() or 0)) if len(values) == 1 else 0
    return said or None


def _value(groups: tuple[Any, Any], sequence: str, name: str) -> Any:
    """Return a value of the functional groups of a frame, or of all frames; None where neither has it."""
    items = (item for group in groups for item in group.get(sequence) or ())
    return next((value for item in items if (value := item.get(name)) is not None), None)


def names_of(dataset: Any) -> dict[int, str]:
    """Return segment numbers to labels, without the background of a label map."""
    segments = {int(item.SegmentNumber): str(item.SegmentLabel) for item in dataset.SegmentSequence}
    segments.pop(dataset.get("PixelPaddingValue"), None)
    return segments


def _open(path: str) -> Volume:
    pydicom = require("pydicom", "dicom", path, "a DICOM file")
    with failures_of("pydicom", path), quiet("pydicom"):
        # Of an image, not even the header is read whole.
        tags = ["SOPClassUID"]
        found = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=tags).get("SOPClassUID")
        if found is None or str(found) not in SEGMENTATIONS:
            name = "no SOP class" if found is None else f"the SOP class {found.name} ({found})"
            raise VolumeError(f"{path}: expected a DICOM Segmentation, found {name}")
        dataset = pydicom.dcmread(path)
        kind = dataset.SegmentationType
        if kind not in ("BINARY", "LABELMAP"):
            raise VolumeError(f"{path}: expected a segmentation of type BINARY or LABELMAP, found {kind}")
        allowed, shown = _COLOURS[kind], dataset.get("PhotometricInterpretation")
        if shown not in allowed:  # the standard knows no other: of a negative, who is to say what its 0 means?
            raise VolumeError(
                f"{path}: expected a segmentation whose PhotometricInterpretation is {' or '.join(allowed)}, found {shown}"
            )
        check_syntax(path, dataset)
        if dataset.get("PixelPaddingValue"):
            raise VolumeError(f"{path}: expected background of 0, found PixelPaddingValue {dataset.PixelPaddingValue}")
        if "TotalPixelMatrixColumns" in dataset:
            return SlideSegmentation(path, dataset, names_of(dataset))
        return DicomSegmentation(path, dataset)


def _recognises(head: bytes) -> bool:
    """Say whether these first bytes are a DICOM file's."""
    return head[128:132] == b"DICM"


FORMAT = Format("DICOM Segmentation", (".dcm",), _recognises, _open)
