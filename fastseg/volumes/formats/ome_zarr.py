"""What the metadata of OME-Zarr (NGFF) images say of their arrays: which there are, their axes, and where they lie."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from fastseg.volumes.errors import VolumeError
from fastseg.volumes.formats.axis_names import letters
from fastseg.volumes.formats.zarr_metadata import unexpected
from fastseg.volumes.positions import Positions

__all__ = ["Place", "find_image", "full_resolution", "label_names", "place", "resolution"]

_MM = {"angstrom": 1e-7, "nanometer": 1e-6, "micrometer": 1e-3, "millimeter": 1.0, "centimeter": 10.0, "decimeter": 100.0,
       "meter": 1e3, "picometer": 1e-9, "kilometer": 1e6, "inch": 25.4, "foot": 304.8, "yard": 914.4}  # fmt: skip

Array = np.ndarray[Any, np.dtype[np.float64]]


class Place(NamedTuple):
    """Where the voxels of an image lie."""

    axes: str
    """A letter for each axis that is kept, "" where the file does not name them by letters."""
    spacing: tuple[float, ...]
    """Along each axis that is kept, in mm; NaN where the file does not say."""
    positions: Positions | None
    """Of these axes, in mm, or in what the file does not name; None where it has no scale."""
    kept: tuple[int, ...]
    """The axes of the array without a channel or a time that is single."""


def find_image(name: str, attributes: dict[str, Any]) -> dict[str, Any] | None:
    """Return the only multiscale image that the attributes of a group describe, None if there is none."""
    holder = attributes.get("ome", attributes)
    if not isinstance(holder, dict) or "multiscales" not in holder:
        return None
    images = holder["multiscales"]
    if not isinstance(images, list) or len(images) != 1 or not isinstance(images[0], dict):
        raise unexpected(name, "one multiscale image", images)
    return images[0]


def label_names(attributes: dict[str, Any]) -> list[str]:
    """Return the names that the attributes of an OME-Zarr group of labels list."""
    holder = attributes.get("ome", attributes)
    names = holder.get("labels") if isinstance(holder, dict) else None
    return [each for each in names if isinstance(each, str)] if isinstance(names, list) else []


def full_resolution(name: str, image: dict[str, Any]) -> dict[str, Any]:
    """Return the first dataset of a multiscale image, which is its finest."""
    datasets = image.get("datasets")
    first = datasets[0] if isinstance(datasets, list) and datasets else None
    if not isinstance(first, dict) or not isinstance(first.get("path"), str):
        raise unexpected(name, "datasets of an image, each with a path", datasets)
    return first


def resolution(image: dict[str, Any], path: str) -> dict[str, Any] | None:
    """Return what an image says of the dataset at a path, None if nothing."""
    datasets = image.get("datasets")
    listed = [each for each in datasets if isinstance(each, dict)] if isinstance(datasets, list) else []
    return next((each for each in listed if isinstance(p := each.get("path"), str) and p.strip("/") == path), None)


def place(name: str, image: dict[str, Any], dataset: dict[str, Any], shape: tuple[int, ...]) -> Place:
    """Say where the voxels of one resolution of an image lie.

    Raises
    ------
    VolumeError
        If the axes are not those of the array, there are several channels, or the file transforms its coordinates in a way
        that is none of a scale and a translation for each axis.
    """
    axes = image.get("axes")
    if axes is None and len(shape) == 5:
        axes = list("tczyx")  # what versions before 0.3 are without saying so
    axes = [{}] * len(shape) if axes is None else axes
    if not isinstance(axes, list) or len(axes) != len(shape):
        raise unexpected(name, f"{len(shape)} axes", axes)
    entries: list[dict[str, Any]] = [each if isinstance(each, dict) else {"name": each} for each in axes]
    names = [each["name"].lower() if isinstance(each.get("name"), str) else "" for each in entries]
    single = []
    for axis, (letter, entry, extent) in enumerate(zip(names, entries, shape, strict=True)):
        kind = entry.get("type", {"c": "channel", "t": "time"}.get(letter))
        if kind == "channel" and extent > 1:
            raise VolumeError(f"{name}: expected labels of one channel, found {extent} along the axis {letter!r}")
        if kind in ("channel", "time") and extent == 1:
            single.append(axis)
    kept = tuple(axis for axis in range(len(shape)) if axis not in single) or tuple(range(len(shape)))
    found = letters(names)
    scale, origin = _grid(name, dataset, len(shape))
    if image.get("coordinateTransformations") is not None:
        times, plus = _grid(name, image, len(shape))
        scale, origin = scale * times, np.where(np.isnan(times), 1.0, times) * origin + plus
    units = [_MM.get(each["unit"], math.nan) if isinstance(each.get("unit"), str) else math.nan for each in entries]
    spacing = (scale * units).tolist()
    unit = "" if any(math.isnan(units[axis]) for axis in kept) else "mm"
    factor = np.array(units) if unit else np.ones(len(shape))
    grid = [(values * factor)[list(kept)].tolist() for values in (origin, scale)]
    known = not any(map(math.isnan, grid[1]))
    positions = Positions.of(grid[0], grid[1], [shape[axis] for axis in kept], unit) if known else None
    return Place(
        "".join(found[axis] for axis in kept) if found else "", tuple(spacing[axis] for axis in kept), positions, kept
    )


def _grid(name: str, holder: dict[str, Any], axes: int) -> tuple[Array, Array]:
    """Return the scale and the translation of coordinate transformations that follow one another.

    The scale is NaN where there is none; 1 where there is only a translation.
    """
    transforms = holder.get("coordinateTransformations")
    scale, origin = np.full(axes, math.nan), np.zeros(axes)
    for transform in transforms if isinstance(transforms, list) else []:
        kind = transform.get("type") if isinstance(transform, dict) else transform
        if kind not in ("scale", "translation", "identity"):
            raise unexpected(name, "coordinateTransformations of the type scale or translation", kind)
        values = transform.get(kind)
        if kind == "identity":
            continue
        if values is None:
            raise unexpected(name, f"a {kind} of {axes} numbers in the metadata", transform)
        least = 0 if kind == "scale" else -1e100
        if not (
            isinstance(values, list)
            and len(values) == axes
            and all(type(each) in (int, float) and least < each < 1e100 for each in values)
        ):
            raise unexpected(name, f"a {kind} of {axes} numbers{' above zero' if least == 0 else ''}", values)
        numbers, scale = np.array(values, np.float64), np.where(np.isnan(scale), 1.0, scale)
        scale, origin = (scale * numbers, origin * numbers) if kind == "scale" else (scale, origin + numbers)
    return scale, origin
