"""Two files of labels read whole: for what needs all voxels of a map at once, such as its components."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from fastseg.counting.boxes import read_boxes
from fastseg.counting.stored_labels import first_index, to_labels
from fastseg.volumes import Volume, VolumeError
from fastseg.volumes.geometry import Geometry
from fastseg.volumes.paths import Path
from fastseg.volumes.side_by_side import open_aligned, side_by_side

__all__ = ["LabelMaps", "read_label_maps"]

Array = npt.NDArray[Any]


class LabelMaps(NamedTuple):
    """The labels of two volumes of one shape, in which an index means the same voxel."""

    true: Array
    """Integers, as wide as the file needs them; C order."""
    pred: Array
    geometry: Geometry
    """Of the truth."""
    note: str | None
    """Under ``geometry="warn"`` what differs."""


def read_label_maps(
    reference: Path,
    prediction: Path,
    *,
    map_prediction: Mapping[int, int] | None = None,
    roi: Path | None = None,
    geometry: Literal["error", "warn", "ignore"] = "error",
    reorient: bool = False,
    axes: str | None = None,
) -> LabelMaps:
    """Return the labels of two volumes; both are 0 outside of a region of interest.

    Parameters
    ----------
    reference, prediction, map_prediction, roi, geometry, reorient, axes
        As in `fastseg.count_files`, the mapping as a dict.

    Raises
    ------
    VolumeError
        If a file cannot be read or holds what are no labels; GeometryError, a kind of it, if the volumes do not match.
    """
    paths = [reference, prediction] if roi is None else [reference, prediction, roi]
    with open_aligned(paths, geometry=geometry, reorient=reorient, axes=axes) as (volumes, note):
        shape = volumes[0].geometry.shape
        mappings = (None, map_prediction or None)
        maps = [np.zeros(shape, _dtype(v, mapping)) for v, mapping in zip(volumes[:2], mappings, strict=True)]
        with side_by_side(volumes) as readable:
            for start, arrays in read_boxes(readable):
                box = tuple(slice(a, a + n) for a, n in zip(start, arrays[0].shape, strict=True))
                outside = arrays[2] == 0 if roi is not None else None
                for labels, volume, values, mapping in zip(maps, volumes, arrays[:2], mappings, strict=False):
                    found, wrong = to_labels(values, volume.scaling, mapping)
                    if outside is not None:
                        found, wrong = np.where(outside, 0, found), wrong & ~outside
                    if wrong.any():
                        place = first_index(wrong, volume, start)
                        raise VolumeError(
                            f"{volume.path}: expected whole numbers as labels, found another at index {place}"
                        )
                    labels[box] = found
        return LabelMaps(maps[0], maps[1], volumes[0].geometry, note)


def _dtype(volume: Volume, mapping: Mapping[int, int] | None) -> np.dtype[Any]:
    """Return the type that holds the labels of a volume."""
    stored = volume.dtype
    if volume.scaling is None and not mapping and stored.kind in "biu" and stored.itemsize <= 4:
        return np.dtype(np.uint8) if stored.kind == "b" else stored.newbyteorder("=")
    return np.dtype(np.int64)
