"""3D Slicer's segmentations (.seg.nrrd): segments with names, in one layer or, where they overlap, in several."""

from __future__ import annotations

import re
from functools import partial
from typing import NamedTuple

from fastseg.volumes.bytes import ByteSource
from fastseg.volumes.errors import VolumeError
from fastseg.volumes.formats.itk import open_list
from fastseg.volumes.masks.channels import Parent, of_parent
from fastseg.volumes.masks.source import Layer, MaskSource
from fastseg.volumes.open import open_volume
from fastseg.volumes.paths import split_inside

__all__ = ["Segment", "is_segmentation", "of_segmentation", "segments_of"]

_SUFFIX = ".nrrd"
_MAGIC = b"NRRD000"
#: What Slicer writes of all segments may be long, never so long.
_HEADER_BYTES = 16 << 20
_FIELD = re.compile(r"Segment(\d+)_(Name|ID|LabelValue|Layer):=(.*)")
#: What Slicer calls segments that nobody gave an identifier: the same in every session, whatever they are.
_NO_ID = re.compile(r"Segment_\d+(_\d+)*")


class Segment(NamedTuple):
    """What a file says of a segment."""

    name: str
    id: str
    """Empty where it is one that says nothing."""
    layer: int
    value: int


def segments_of(path: str) -> list[Segment]:
    """Return the segments that an NRRD file names, in order; none where it is no segmentation.

    Raises
    ------
    VolumeError
        If the file cannot be read, or a segment lacks its label or its layer.
    """
    fields: dict[int, dict[str, str]] = {}
    source = ByteSource(split_inside(path)[0])
    try:
        if source.compressed:
            return []
        with open(source.fileno(), "rb", closefd=False) as file:
            if file.read(len(_MAGIC)) != _MAGIC:
                return []
            file.seek(0)
            while (line := file.readline(_HEADER_BYTES).rstrip(b"\r\n")) and file.tell() < _HEADER_BYTES:
                if match := _FIELD.fullmatch(line.decode("utf-8", "surrogateescape")):
                    fields.setdefault(int(match[1]), {})[match[2]] = match[3].strip()
    finally:
        source.close()
    return [_segment(path, number, fields[number]) for number in sorted(fields)]


def _segment(path: str, number: int, fields: dict[str, str]) -> Segment:
    numbers = []
    for name, default in (("Layer", "0"), ("LabelValue", str(number + 1))):  # Slicer before 4.11 wrote neither
        text = fields.get(name, default)
        if not re.fullmatch("[0-9]{1,9}", text):
            raise VolumeError(f"{path}: expected a number in Segment{number}_{name}, found {text[:40]!r}")
        numbers.append(int(text))
    own = fields.get("ID", "")
    name = fields.get("Name") or own or f"Segment {number + 1}"
    return Segment(name, "" if _NO_ID.fullmatch(own) else own, *numbers)


def is_segmentation(path: str) -> bool:
    """Tell whether a path may be one of Slicer's segmentations, by its suffix."""
    return split_inside(path)[0].lower().endswith(_SUFFIX)


def of_segmentation(path: str, segments: list[Segment]) -> MaskSource:
    """Return the masks of a segmentation by the names of its segments; two of one name are told apart by their ids.

    Raises
    ------
    VolumeError
        If the file cannot be read, or a segment is in a layer that is not there.
    """
    places = [(each.layer, each.value) for each in segments]
    if twice := next((each for each in segments if places.count((each.layer, each.value)) > 1), None):
        raise VolumeError(
            f"{path}: expected a value of its own for each segment of a layer, found {twice.value} of {twice.name!r} twice"
        )
    names = [each.name for each in segments]
    called = [
        each.name if names.count(each.name) == 1 else f"{each.name} ({each.id or n})" for n, each in enumerate(segments)
    ]
    ids = {name: each.id for name, each in zip(called, segments, strict=True) if each.id}
    volume = open_list(path)
    if volume is None:  # one layer
        _check_layers(path, segments, 1)
        members = {name: (each.value,) for name, each in zip(called, segments, strict=True)}
        return _complete(MaskSource(path, [Layer(path, partial(open_volume, path), members)], ids))
    try:
        listed, geometry, axis = volume
        _check_layers(path, segments, listed.geometry.shape[axis])
        classes = {name: (each.layer, each.value) for name, each in zip(called, segments, strict=True)}
        return _complete(of_parent(path, Parent(listed), axis, geometry, classes, ids))
    except BaseException:
        volume[0].close()
        raise


def _complete(source: MaskSource) -> MaskSource:
    source.complete = True
    return source


def _check_layers(path: str, segments: list[Segment], number: int) -> None:
    for each in segments:
        if each.layer >= number:
            raise VolumeError(
                f"{path}: expected {number} layer(s), found the segment {each.name!r} in layer {each.layer}"
            )
