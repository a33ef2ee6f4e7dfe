"""Checked pairs of maps whose surfaces are to be measured."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastseg.arrays import image_objects
from fastseg.arrays.arguments import checked_number, integers, one_of
from fastseg.arrays.blocked import require_no_blocks
from fastseg.arrays.labels import LabelInputs, label_inputs
from fastseg.arrays.masks import MaskInputs, mask_inputs

__all__ = ["BORDERS", "SURFACES", "SurfaceInputs", "image_spacing", "surface_inputs"]

#: What the elements of a surface are, and what lies outside of the image.
SURFACES = ("voxel", "surfel", "object")
BORDERS = ("background", "extend")

Regions = Mapping[str, int | Sequence[int]]
_ONE = np.array([1])


@dataclass(frozen=True)
class SurfaceInputs:
    """A pair of label maps, or of masks with channels, and what is to be measured of them."""

    maps: LabelInputs | MaskInputs
    members: tuple[tuple[str | int, npt.NDArray[np.int64]], ...] | None
    """Name of each class and the labels that make it up; None: those that occur, but 0. Of masks they are the channels."""
    closed: bool
    """Whether other values than those of the classes are an error."""
    spacing: tuple[float, ...]
    surface: str
    border: str
    max_distance: float


def surface_inputs(
    y_true: Any,
    y_pred: Any,
    *,
    spacing: float | Sequence[float] | None,
    num_classes: int | None = None,
    labels: Any = None,
    regions: Regions | None = None,
    ignore_index: Any = None,
    mask: Any = None,
    sample_axis: Any = None,
    channel_axis: int | None = None,
    surface: str = "voxel",
    border: str = "background",
    max_distance: float | None = None,
) -> SurfaceInputs:
    """Check everything that can be known without reading the voxels."""
    one_of(surface, "surface", SURFACES)
    one_of(border, "border", BORDERS)
    farthest = math.inf
    if max_distance is not None and not (farthest := checked_number(max_distance, "max_distance")) >= 0:
        raise ValueError(f"max_distance: expected a distance that is not negative, found {max_distance!r}")
    if spacing is None:
        spacing = image_spacing(y_true=y_true, y_pred=y_pred)
    given = (("num_classes", num_classes), ("labels", labels), ("regions", regions))
    said = [name for name, value in given if value is not None]
    if len(said) > 1:
        raise ValueError(f"{said[-1]}: expected one of num_classes, labels and regions, found {' and '.join(said)}")
    maps: LabelInputs | MaskInputs
    if channel_axis is not None:
        if ignore_index is not None or (said and num_classes is None):
            raise ValueError(
                f"channel_axis: masks with channels have no labels; found {'ignore_index' if not said else said[0]} too"
            )
        maps = mask_inputs(y_true, y_pred, channel_axis=channel_axis, sample_axis=sample_axis, mask=mask)
        members: Any = tuple((k, np.array([1])) for k in range(maps.shape[1]))
        _check_channels(num_classes, len(members))
    else:
        maps = label_inputs(
            y_true,
            y_pred,
            num_classes=num_classes,
            labels=labels,
            ignore_index=ignore_index,
            mask=mask,
            sample_axis=sample_axis,
        )
        members = _members(maps, regions)
    require_no_blocks(y_true=maps.y_true, y_pred=maps.y_pred, mask=maps.mask)
    if maps.device is not None:
        raise TypeError(f"y_true: expected arrays in the memory of the CPU for surfaces, found them on {maps.device}")
    axes = maps.y_true.ndim - (maps.sample_axis is not None) - (channel_axis is not None)
    if axes not in (2, 3):
        raise ValueError(
            f"y_true, y_pred: expected two or three axes of space for surfaces, found {axes} of shape {maps.y_true.shape} "
            "(sample_axis= is the axis of several images, channel_axis= that of several masks)"
        )
    return SurfaceInputs(
        maps, members, num_classes is not None, checked_spacing(spacing, axes), surface, border, farthest
    )


def image_spacing(**images: Any) -> tuple[float, ...] | None:
    """Return the spacing of the first that is an image and says it, along the axes of its array; None where none does."""
    for name, value in images.items():
        image = image_objects.opened(value, name)
        if image is None or not image.geometries:
            continue
        from fastseg.volumes.spacing import right_angled_spacing

        steps = {right_angled_spacing(geometry, name) for geometry in image.geometries}
        axes = ["xyz".index(dim) for dim in image.dims if dim in ("x", "y", "z")]
        if len(steps) == 1 and len(axes) == len(image.geometries[0].shape):
            along = steps.pop()
            return tuple(along[axis] for axis in axes)
    return None


def checked_spacing(spacing: Any, axes: int) -> tuple[float, ...]:
    """Return the distance of neighbours along each axis; TypeError or ValueError if it is none."""
    wanted = f"a positive number, or {axes} (one for each axis of space, in the arrays' order)"
    if spacing is None:
        raise TypeError(f"spacing: expected {wanted}; found None (distances in voxels: spacing=1)")
    if isinstance(spacing, str) or not (isinstance(spacing, Iterable) or hasattr(spacing, "__float__")):
        raise TypeError(f"spacing: expected {wanted}; found {spacing!r}")
    several: Any = spacing if isinstance(spacing, (tuple, list)) or np.ndim(spacing) else [spacing] * axes
    values = [checked_number(value, "spacing") for value in several]
    if len(values) != axes or not all(0 < value < math.inf for value in values):
        raise ValueError(f"spacing: expected {wanted}; found {spacing!r}")
    if max(values) > 1e100 or min(values) < 1e-100:
        raise ValueError(f"spacing: expected numbers from 1e-100 to 1e100, whose squares can be had; found {spacing!r}")
    return tuple(values)


def _check_channels(num_classes: Any, channels: int) -> None:
    if num_classes is not None and num_classes != channels:
        raise ValueError(f"num_classes: expected {channels}, the channels of the masks, found {num_classes!r}")


def _members(maps: LabelInputs, regions: Regions | None) -> tuple[tuple[str | int, npt.NDArray[np.int64]], ...] | None:
    """Return the labels of each class; those that are ignored are in none."""
    ignored = maps.classes.ignored
    if regions is not None:
        if not isinstance(regions, Mapping) or not regions:
            raise TypeError(f"regions: expected a dict of names and labels, found {regions!r}")
        found = {name: np.unique(integers(labels, f"regions[{name!r}]")) for name, labels in regions.items()}
        for name, labels in found.items():
            if not labels.size:
                raise ValueError(f"regions: expected at least one label for {name!r}, found none")
        return tuple((name, np.setdiff1d(labels, ignored)) for name, labels in found.items())
    if maps.classes.labels is not None:
        without, labels = set(ignored.tolist()), maps.classes.labels
        each = zip(labels.tolist(), labels[:, None], strict=True)
        return tuple((label, one[:0] if label in without else one) for label, one in each)
    if maps.y_true.dtype == bool == maps.y_pred.dtype:
        return ((1, np.setdiff1d(_ONE, ignored) if ignored.size else _ONE),)
    return None
