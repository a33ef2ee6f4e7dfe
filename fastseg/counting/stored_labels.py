"""Opens files side by side, so that an index means the same voxel in all of them, and reads what they hold as labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from fastseg.arrays.labels import whole_numbers
from fastseg.counting.boxes import read_boxes
from fastseg.volumes import Volume, VolumeError, palettes
from fastseg.volumes.paths import Path
from fastseg.volumes.side_by_side import open_aligned, side_by_side

__all__ = ["TOLERANCE", "LabelBlock", "first_index", "label_blocks", "real_values", "to_labels"]

Array = npt.NDArray[Any]

#: How far from a whole number a scaled or stored float label may be: rounding noise of writers, not resampling.
TOLERANCE = 1e-3


class LabelBlock(NamedTuple):
    """The labels of a box of two volumes."""

    start: tuple[int, ...]
    """Index of its first voxel."""
    true: npt.NDArray[np.int64]
    pred: npt.NDArray[np.int64]
    inside: npt.NDArray[np.bool_] | None
    """Which voxels are in the region of interest; None where there is none."""
    shape: tuple[int, ...]
    """Of the whole volume."""
    spacing: tuple[float, ...]
    """Along each axis in mm; NaN where it is not known."""
    image: npt.NDArray[Any] | None = None
    """What the labels are of: its real values; None where it is not asked for."""


def label_blocks(
    reference: Path,
    prediction: Path,
    *,
    map_prediction: Mapping[int, int] | None = None,
    roi: Path | None = None,
    geometry: Literal["error", "warn", "ignore"] = "ignore",
    reorient: bool = False,
    axes: str | None = None,
    image: Path | None = None,
) -> Iterator[LabelBlock]:
    """Yield the labels of two volumes box by box, in constant memory: for what needs to see voxels, such as a picture.

    Parameters
    ----------
    reference, prediction, map_prediction, roi, geometry, reorient, axes
        As in `count_files`, the mapping as a dict.
    image
        A volume that the labels are of, of their shape.

    Raises
    ------
    VolumeError
        As in `count_files`.
    """
    others = [path for path in (image, roi) if path is not None]
    regions = 0 if roi is None else 1
    aligned = open_aligned(
        [reference, prediction, *others], geometry=geometry, reorient=reorient, axes=axes, masks=regions
    )
    with aligned as (volumes, _), side_by_side(volumes) as readable:
        if not map_prediction and palettes.unlike(volumes[0], volumes[1]):
            with open_aligned([reference, prediction], geometry=geometry, reorient=reorient, axes=axes) as (pair, _):
                map_prediction = _by_colour(pair)
        place = volumes[0].geometry
        for start, (true, pred, *more) in read_boxes(readable):
            labels, _ = to_labels(true, volumes[0].scaling, None)
            predicted, _ = to_labels(pred, volumes[1].scaling, map_prediction)
            region = _within(volumes[-1], start, more[-1]) if regions else None
            shown = None if image is None else real_values(more[0], volumes[2].scaling)
            yield LabelBlock(start, labels, predicted, region, place.shape, place.spacing, shown)


def _by_colour(volumes: list[Volume]) -> Mapping[int, int]:
    """Return which indexes of a prediction stand for others, where the palettes of two pictures are unlike."""
    used: tuple[list[Array], list[Array]] = [], []
    with side_by_side(volumes) as readable:
        for _, arrays in read_boxes(readable):
            for values, array in zip(used, arrays, strict=True):
                values.append(np.unique(array))
    return palettes.by_colour(volumes[0], volumes[1], *used)[0]


def _within(roi: Volume, start: tuple[int, ...], values: Array) -> npt.NDArray[np.bool_]:
    """Return which voxels of a box are in the region of interest; raise VolumeError where that is NaN."""
    nan = values != values
    if nan.any():
        raise VolumeError(
            f"{roi.path}: expected numbers in a region of interest, found NaN at index {first_index(nan, roi, start)}"
        )
    return np.asarray(values != 0)


def first_index(bad: npt.NDArray[np.bool_], volume: Volume, start: tuple[int, ...]) -> tuple[int, ...]:
    """Return the index in a volume of the first of some voxels of a box, in the order of its file."""
    at = np.unravel_index(int(np.argmax(bad.reshape(-1, order=volume.order))), bad.shape, order=volume.order)
    return tuple(int(i) + first for i, first in zip(at, start, strict=True))


def to_labels(
    values: Array, scaling: tuple[float, float] | None, mapping: Mapping[int, int] | None, *, unsigned: bool = False
) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
    """Return stored values as labels of int64, scaled, rounded and mapped; and where they are none.

    With `unsigned` those that are uint64 and neither scaled nor mapped stay what they are, and none is wrong.
    """
    if unsigned and scaling is None and not mapping and values.dtype.kind == "u" and values.dtype.itemsize == 8:
        return values.astype(np.uint64, copy=False), np.zeros(values.shape, bool)
    if scaling is not None or values.dtype.kind == "f":
        with np.errstate(all="ignore"):
            real = real_values(values, scaling)
            near = np.abs(real - np.round(real)) <= TOLERANCE
        values = np.where(near, np.round(real), real)
    labels, wrong = whole_numbers(values)
    if mapping:
        old = np.array(list(mapping), np.int64)
        order = np.argsort(old)
        place = np.minimum(np.searchsorted(old, labels, sorter=order), old.size - 1)
        found = old[order[place]] == labels
        new = np.array(list(mapping.values()), np.int64)
        labels = np.where(found, new[order[place]], labels)
    return labels, wrong


def real_values(values: Any, scaling: tuple[float, float] | None) -> Any:
    """Return what stored values stand for."""
    if scaling is None:
        return values.astype(np.float64) if values.dtype.kind == "f" else values
    return values.astype(np.float64) * scaling[0] + scaling[1]
