"""Which kind of masks a path holds, and how they are opened."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from fastseg.volumes.errors import VolumeError
from fastseg.volumes.masks.channels import channel_axis_of, of_channels
from fastseg.volumes.masks.coco import is_coco, of_coco
from fastseg.volumes.masks.dicom import dicom_kind, dicom_names, is_dicom, of_dicom
from fastseg.volumes.masks.files import masks_in, of_files
from fastseg.volumes.masks.groups import names_in_group, of_group
from fastseg.volumes.masks.slicer import is_segmentation, of_segmentation, segments_of
from fastseg.volumes.masks.source import MaskSource, of_labels
from fastseg.volumes.masks.threshold import above
from fastseg.volumes.open import open_volume
from fastseg.volumes.paths import Path, Url, is_url, named, split_inside

__all__ = ["Kind", "Place", "Said", "check_here", "is_channels", "kind_of", "names_of", "open_masks", "renumbered"]

#: Names that a text lists.
_SHOWN = 5
#: Files of segments.
_SEGMENTS = (".seg.nrrd", ".dcm")
#: Label maps of other kinds that may have a table of names.
_WITH_TABLES = (".nii", ".nii.gz", ".h5", ".hdf5", ".he5", ".nc", ".zarr", ".zarr.zip")

#: Where the masks of a case are: one path, or the file of each class.
Place = Path | Mapping[str, str]

#: What a path holds: masks that may overlap; a label map that names its labels itself; a label map, or what is none.
Kind = Literal["masks", "named", "labels"]


@dataclass(frozen=True)
class Said:
    """What somebody said of masks."""

    masks: bool = False
    """Whether a file of several arrays is one of masks."""
    channels: tuple[str, ...] = ()
    """What the channels of files are called that have an axis of them."""
    threshold: float | None = None
    """From which value on a voxel of soft masks is inside."""


def kind_of(place: Place, said: Said) -> Kind:
    """Tell what a path holds, by what it is and by its header; what cannot be read is "labels": whoever opens it says why."""
    if isinstance(place, Mapping):
        return "masks"
    path = os.fsdecode(place)
    outer, inside = split_inside(path)
    if is_url(outer) and not said.channels:  # masks of other layouts are looked for in files that are here
        return "labels"
    if os.path.isdir(outer) and not outer.rstrip("/\\").lower().endswith(".zarr"):
        return "masks"
    if is_coco(path):
        return "masks"
    try:
        if is_dicom(outer):
            return dicom_kind(path)
        if is_segmentation(path):
            layers = {each.layer for each in segments_of(path)}
            if layers:
                return "named" if layers == {0} else "masks"
        if said.channels:
            with_channels = of_channels(path, said.channels)
            if with_channels is not None:
                with_channels.close()
                return "masks"
        if said.masks or inside is not None:
            arrays = names_in_group(path)
            return "masks" if len(arrays) > 1 or (arrays and inside is not None) else "labels"
    except (VolumeError, OSError):
        return "masks" if said.channels else "labels"
    return "labels"


def check_here(place: Place) -> None:
    """Raise VolumeError for a file of named segments at a URL: it would be read as a label map, of whatever numbers it has."""
    path = "" if isinstance(place, Mapping) else os.fsdecode(place)
    outer = split_inside(path)[0]
    if isinstance(outer, Url) and outer.file_name.lower().endswith(_SEGMENTS):
        raise VolumeError(
            f"{outer}: expected a file that is here, as segments are matched by their names; copy it, or say what its labels "
            "are (labels=, --labels)"
        )


def is_channels(place: Place, names: Sequence[str]) -> bool:
    """Tell whether a path holds integers in an axis of so many channels, besides the three of space."""
    try:
        if kind_of(place, Said()) != "labels":
            return False
        assert not isinstance(place, Mapping)
        with open_volume(place) as volume:
            fits = len(volume.geometry.shape) > 3 and volume.dtype.kind in "biu"
            return fits and channel_axis_of(volume, len(names)) is not None
    except (VolumeError, OSError):
        return False


def names_of(place: Place) -> dict[int, str]:
    """Return the names that a label map has for its labels itself; none where it has none."""
    path = "" if isinstance(place, Mapping) else os.fsdecode(place)
    if is_url(path):
        return {}
    if found := _segments_by_number(path):
        return found
    try:
        if split_inside(path)[0].rstrip("/\\").lower().endswith(_WITH_TABLES):
            with open_volume(path) as volume:
                return dict(volume.names)
    except (VolumeError, OSError):  # who opens it says so
        pass
    return {}


def _segments_by_number(path: str) -> dict[int, str]:
    """Return the names of segments of DICOM's and Slicer's files; none of others."""
    try:
        if is_dicom(path):
            return dicom_names(path)
        return {each.value: each.name for each in segments_of(path)} if is_segmentation(path) else {}
    except (VolumeError, OSError):
        return {}


def renumbered(reference: Place, prediction: Place) -> str | None:
    """Say which segments have the same name and other values in two files that name theirs; None: none has."""
    paths = ["" if isinstance(each, Mapping) else os.fsdecode(each) for each in (reference, prediction)]
    one, other = (
        {} if is_url(path) else {name: label for label, name in _segments_by_number(path).items()} for path in paths
    )
    unlike = [f"{name} {one[name]} and {other[name]}" for name in one if other.get(name, one[name]) != one[name]]
    return ", ".join(unlike[:_SHOWN]) + (", …" if len(unlike) > _SHOWN else "") if unlike else None


def open_masks(place: Place, members: Mapping[str, tuple[int, ...]], said: Said, *, name: str = "") -> MaskSource:
    """Open the masks of one side of a case.

    Parameters
    ----------
    place
        A path, or the path of each class's file by its name.
    members
        Where it is a label map: which labels are each class.
    said
        What somebody said of masks.
    name
        What messages call it, where it is no path.

    Raises
    ------
    VolumeError
        If there are none, or nobody has said which class a label is.
    """
    if isinstance(place, Mapping):
        return _soft(of_files(name, place), said)
    path = named(os.fsdecode(place))
    kind = kind_of(place, said)
    if kind == "masks" and is_coco(path) and not os.path.isdir(path):
        return of_coco(path, said.threshold)
    if is_dicom(path) and kind != "labels":
        return of_dicom(path, said.threshold)
    if kind != "labels" and is_segmentation(path) and (segments := segments_of(path)):
        return of_segmentation(path, segments)
    for opened in _masks_of(path, said) if kind == "masks" else ():
        found = opened()
        if found is not None:
            return _soft(found, said)
    if not members:
        with open_volume(path) as volume:
            members = {name: (label,) for label, name in volume.names.items() if label != 0}
    if not members:
        raise VolumeError(
            f"{path}: expected names of its labels (labels=, --labels) beside masks that have names, found none"
        )
    return of_labels(path, members)


def _masks_of(path: str, said: Said) -> Sequence[Callable[[], MaskSource | None]]:
    """Return what may open a path of masks, the first that fits."""
    if os.path.isdir(path) and not path.rstrip("/\\").lower().endswith(".zarr"):
        return [lambda: of_files(path, masks_in(path))]
    channels = [lambda: of_channels(path, said.channels)] if said.channels else []
    return [*channels, lambda: of_group(path)]


def _soft(source: MaskSource, said: Said) -> MaskSource:
    return source if said.threshold is None else above(source, said.threshold)
