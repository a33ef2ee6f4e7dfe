"""Masks and maps of classes to maps of instances, sample by sample; where the instances lie."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from fastseg.counting.centroids import centroids
from fastseg.counting.components import boxes, label_map_components, nearest_component, values_of

__all__ = [
    "boxes_of_segments",
    "component_maps",
    "grown_maps",
    "labels_at",
    "places_of_segments",
    "region_maps",
    "samples",
]

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def component_maps(labels: Array, axis: int | None, neighbours: int) -> tuple[Array, list[dict[int, int]] | None]:
    """Return the components of each sample, int32, and the label of each by its number; None of masks.

    Parameters
    ----------
    labels
        Masks or maps of classes, of which voxels of different labels are never of one component.
    axis
        The axis that separates samples, None where all is one.
    neighbours
        As of `fastseg.counting.components.label_map_components`.
    """
    if axis is None:
        found = label_map_components(labels, neighbours)
    else:
        found = np.empty(labels.shape, np.int32)
        for own, into in zip(samples(labels, axis), samples(found, axis), strict=True):
            into[...] = label_map_components(own, neighbours)
    if labels.dtype == bool:
        return found, None
    both = zip(samples(found, axis), samples(labels, axis), strict=True)
    return found, [dict(enumerate(values_of(components, own).tolist(), 1)) for components, own in both]


def grown_maps(mask: Array, axis: int | None, neighbours: int, steps: int, reach: int) -> tuple[Array, Array]:
    """Return maps of the components of masks, each joined with those that it meets once grown: as they are, and as grown."""
    options: dict[str, Any] = {"dilation": steps, "dilation_neighbours": reach, "grown": True}
    if axis is None:
        grown = label_map_components(mask, neighbours, **options)
    else:
        grown = np.empty(mask.shape, np.int32)
        for own, into in zip(samples(mask, axis), samples(grown, axis), strict=True):
            into[...] = label_map_components(own, neighbours, **options)
    return grown * mask, grown


def region_maps(mask: Array, axis: int | None, neighbours: int) -> Array:
    """Return for each voxel the component of its sample's mask that is nearest, 0 where the mask is empty."""
    found = np.zeros(mask.shape, np.int32)
    for own, into in zip(samples(mask, axis), samples(found, axis), strict=True):
        components = label_map_components(own, neighbours)
        if components.any():
            into[...] = nearest_component(components)
    return found


def boxes_of_segments(labels: Array) -> dict[int, tuple[slice, ...]]:
    """Return the box that holds each label but 0."""
    return dict(boxes(labels))


def places_of_segments(labels: Array, axis: int | None, case: Ints, ids: Array) -> Floats:
    """Return the mean index of each segment along the axes of a sample, (S, axes)."""
    found = [centroids(own, ids[case == n]) for n, own in enumerate(samples(labels, axis))]
    return np.concatenate(found) if found else np.zeros((0, labels.ndim - (axis is not None)))


def labels_at(labels: Array, axis: int | None, case: Ints, places: Floats) -> Array:
    """Return the label of the voxel that each place, an index as `places_of_segments` has it, lies in: (S,)."""
    found = np.zeros(len(case), labels.dtype)
    for n, own in enumerate(samples(labels, axis)):
        of_case = case == n
        found[of_case] = own[tuple(np.floor(places[of_case] + 0.5).astype(np.int64).T)]
    return found


def samples(array: Array, axis: int | None) -> Iterator[Array]:
    """Yield views of the samples."""
    yield from [array] if axis is None else np.moveaxis(array, axis, 0)
