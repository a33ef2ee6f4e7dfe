"""Two files of labels read whole: for what needs all voxels of a map at once, such as its components."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from fastseg.arrays.arguments import finite_number
from fastseg.counting.boxes import read_boxes
from fastseg.counting.no_data import nodata_label, with_label
from fastseg.counting.stored_labels import first_index, real_values, to_labels
from fastseg.volumes import Volume, VolumeError, palettes
from fastseg.volumes.geometry import TOLERANCE, Geometry
from fastseg.volumes.kept import Kept
from fastseg.volumes.paths import Path
from fastseg.volumes.side_by_side import open_aligned, side_by_side

__all__ = ["LabelMaps", "label_maps_of", "read_label_maps"]

Array = npt.NDArray[Any]


class LabelMaps(NamedTuple):
    """The labels of two volumes of one shape, in which an index means the same voxel."""

    true: Array
    """Integers, as wide as the file needs them; C order."""
    pred: Array
    geometry: Geometry
    """Of the truth."""
    note: str | None
    """What files say that people should know: where they lie apart and pass, what is no data, colours that were compared."""


def read_label_maps(
    reference: Path,
    prediction: Path,
    *,
    map_prediction: Mapping[int, int] | None = None,
    roi: Path | None = None,
    geometry: Literal["error", "warn", "ignore"] = "error",
    geometry_tolerance: float = TOLERANCE,
    reorient: bool = False,
    axes: str | None = None,
) -> LabelMaps:
    """Return the labels of two volumes; both are 0 outside of a region of interest, and where the truth has no data.

    Parameters
    ----------
    reference, prediction, map_prediction, roi, geometry, geometry_tolerance, reorient, axes
        As in `fastseg.count_files`, the mapping as a dict.

    Raises
    ------
    VolumeError
        If a file cannot be read or holds what are no labels; GeometryError, a kind of it, if the volumes do not match.
    """
    paths = [reference, prediction] if roi is None else [reference, prediction, roi]
    tolerance = finite_number(geometry_tolerance, "geometry_tolerance")
    options: dict[str, Any] = {"geometry_tolerance": tolerance, "reorient": reorient, "axes": axes}
    with open_aligned(paths, geometry=geometry, **options) as (volumes, note):
        shape = volumes[0].geometry.shape
        mappings = (None, map_prediction or None)
        maps = [np.zeros(shape, _dtype(v, mapping)) for v, mapping in zip(volumes[:2], mappings, strict=True)]
        with side_by_side(volumes) as readable:
            for start, arrays in read_boxes(readable):
                box = tuple(slice(a, a + n) for a, n in zip(start, arrays[0].shape, strict=True))
                outside = arrays[2] == 0 if roi is not None else None
                for labels, volume, values, mapping in zip(maps, volumes, arrays[:2], mappings, strict=False):
                    found, wrong = to_labels(values, volume.scaling, mapping, unsigned=True)
                    if outside is not None:
                        found, wrong = np.where(outside, 0, found), wrong & ~outside
                    if wrong.any():
                        place = first_index(wrong, volume, start)
                        at = tuple(i - first for i, first in zip(place, start, strict=True))
                        value = real_values(values[at], volume.scaling).item()
                        raise VolumeError(
                            f"{volume.path}: expected whole numbers as labels, found {value} at index {place}"
                        )
                    labels[box] = found
        true, pred = volumes[:2]
        notes = [*true.notes, *pred.notes, note]
        if not map_prediction and palettes.unlike(true, pred):
            mapping, by_colour = palettes.by_colour(true, pred, [np.unique(maps[0])], [np.unique(maps[1])])
            maps[1] = to_labels(maps[1], None, mapping)[0]
            notes.append(by_colour)
        notes += _leave_out(volumes[:2], maps, mapped=bool(map_prediction))
        return LabelMaps(maps[0], maps[1], true.geometry, "; ".join(filter(None, notes)) or None)


def label_maps_of(
    volumes: Sequence[Kept], map_prediction: Mapping[int, int] | None, *, ignore: Sequence[int] = ()
) -> LabelMaps:
    """Return the labels of volumes that were counted, and whose voxels were kept; they are not read again.

    Parameters
    ----------
    volumes
        Truth, prediction and, if there is one, the region of interest, outside of which both maps are 0.
    map_prediction
        Labels of the prediction that stand for others.
    ignore
        True labels of which nobody knows what is there: both maps are 0.
    """
    true, pred, *roi = volumes
    mapping = map_prediction
    if not mapping and palettes.unlike(true, pred):
        mapping, _ = palettes.by_colour(true, pred, *([np.unique(each.voxels())] for each in (true, pred)))
    maps = [_kept_labels(volume, own) for volume, own in ((true, None), (pred, mapping))]
    outside = [each.voxels() == 0 for each in roi]
    if ignore:
        outside.append(np.isin(maps[0], np.array(ignore)))
    if outside or any(nodata_label(each) for each in (true, pred)):
        maps = [each.copy() for each in maps]
    for where in outside:
        for each in maps:
            each[where] = 0
    notes = [*_leave_out([true, pred], maps, mapped=bool(map_prediction))]
    return LabelMaps(maps[0], maps[1], true.geometry, "; ".join(notes) or None)


def _kept_labels(volume: Kept, mapping: Mapping[int, int] | None) -> Array:
    stored = volume.voxels()
    if volume.scaling is None and not mapping and stored.dtype.kind in "biu":
        return stored.view(np.uint8) if stored.dtype.kind == "b" else stored
    return to_labels(with_label(stored, volume), volume.scaling, mapping)[
        0
    ]  # which were found to be labels when counted


def _leave_out(volumes: Sequence[Volume], maps: Sequence[Array], *, mapped: bool) -> Iterator[str]:
    """Put the background where files declare to have no data: of the truth in both maps; say so."""
    for number, volume in enumerate(volumes):
        label = None if number and mapped else nodata_label(volume)
        if label:
            nothing = maps[number] == label
            for each in maps if number == 0 else maps[1:]:
                each[nothing] = 0
            yield f"{volume.path}: declares {label} to be no data: nothing is there"


def _dtype(volume: Volume, mapping: Mapping[int, int] | None) -> np.dtype[Any]:
    """Return the type that holds the labels of a volume."""
    stored = volume.dtype
    if volume.scaling is None and not mapping and stored.kind == "u" and stored.itemsize == 8:
        return np.dtype(np.uint64)
    if volume.scaling is None and not mapping and stored.kind in "biu" and stored.itemsize <= 4:
        return np.dtype(np.uint8) if stored.kind == "b" else stored.newbyteorder("=")
    return np.dtype(np.int64)
