"""Measuring the surfaces of label maps and of masks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy.typing as npt

from fastseg.arrays.option_names import explained
from fastseg.arrays.surfaces import surface_inputs
from fastseg.counting.surfaces import measure_surface_inputs
from fastseg.counts import BinaryCounts, LabelCounts, SurfaceDistances

__all__ = ["surface_distances", "surfaces_of"]


@explained
def surface_distances(
    y_true: Any,
    y_pred: Any,
    *,
    spacing: float | Sequence[float] | None = None,
    num_classes: int | None = None,
    labels: Sequence[int] | npt.NDArray[Any] | None = None,
    regions: Mapping[str, int | Sequence[int]] | None = None,
    ignore_index: int | Sequence[int] | None = None,
    mask: Any = None,
    sample_axis: int | None = None,
    channel_axis: int | None = None,
    surface: Literal["voxel", "surfel", "object"] = "voxel",
    border: Literal["background", "extend"] = "background",
    max_distance: float | None = None,
    backend: str = "auto",
) -> SurfaceDistances:
    """Measure how far the surfaces of two label maps are from each other, for every class in one scan.

    Parameters
    ----------
    y_true, y_pred : array_like
        Label maps of one shape with two or three axes of space, as in `count_labels`; with `channel_axis` masks, as in
        `count_masks`. A map of one plane is no image: its voxels have a neighbour outside on both sides.
    spacing
        The distance of neighbouring voxels along each axis of space, in the arrays' order, or one number for all. Images (of
        SimpleITK, nibabel or MONAI) that know theirs need none, arrays do: distances in voxels are ``spacing=1``.
    num_classes
        K: the classes are the labels 0..K-1; others are an error. The background is among them, and has a surface, too.
    labels
        The labels that are classes; all others are outside of each. Without `num_classes`, `labels` and `regions` the classes
        are the labels that occur but 0; of two maps of bool it is the one class True.
    regions
        Name of each class and the labels that make it up. Regions may overlap.
    ignore_index
        True labels whose voxels are unknown. A surface element that is such a voxel, or touches its face, is left out of truth
        and prediction; of ``surface="object"``, whose elements do not depend on their neighbours, such voxels alone. An
        ignored class has no surface.
    mask : array_like of bool or integers, optional
        Region of interest, of the maps' shape (without the channels). What is outside is unknown, as with `ignore_index`.
    sample_axis
        The axis that separates samples, which become cases. Without it, all is one case.
    channel_axis
        The axis of the channels of masks, which are the classes. None: the arrays are label maps.
    surface
        "voxel": the elements are the voxels of the class that have a face neighbour (an edge neighbour in 2-D) outside of it.
        "surfel": the corners that voxels inside and outside share, each with the area (in 2-D the length) of the surface that
        marching cubes draws between the centres of the eight (four) voxels around it. "object": all voxels of the class.
    border
        What lies outside of the image. "background": nothing, so a class that reaches the border has a surface there.
        "extend": each class goes on.
    max_distance
        Distances beyond are not told apart: they are infinite, and no tolerance may be larger.
    backend
        "auto", "numba" or "numpy" (the reference, by SciPy).

    Returns
    -------
    surfaces : SurfaceDistances

    Raises
    ------
    TypeError
        If an argument is of a type that cannot be used.
    ValueError
        If shapes differ, there are other than two or three axes of space, or `spacing` does not fit them; as `count_labels`
        does of labels.

    Examples
    --------
    >>> import numpy as np
    >>> true = np.array([[0, 1, 1, 1, 0, 0]])
    >>> surfaces = surface_distances(true, np.roll(true, 2), spacing=(1, 0.5))
    >>> surfaces.row(0, 1, "true_to_pred")
    (array([0. , 0.5, 1. ]), array([1, 1, 1]))
    """
    given = surface_inputs(
        y_true,
        y_pred,
        spacing=spacing,
        num_classes=num_classes,
        labels=labels,
        regions=regions,
        ignore_index=ignore_index,
        mask=mask,
        sample_axis=sample_axis,
        channel_axis=channel_axis,
        surface=surface,
        border=border,
        max_distance=max_distance,
    )
    return measure_surface_inputs(given, backend=backend)


def surfaces_of(
    counts: LabelCounts | BinaryCounts, y_true: Any, y_pred: Any, options: Mapping[str, Any], **measuring: Any
) -> SurfaceDistances:
    """Measure the surfaces of maps or masks that were counted with these options: of all labels but 0, all regions, all masks.

    What labels may be was checked when they were counted.

    Raises
    ------
    ValueError
        If voxels were weighted, or were not told apart in what they are counted as.
    """
    if not isinstance(counts, LabelCounts | BinaryCounts):
        raise ValueError(
            "compute: expected True where metrics of surfaces are asked for, which see the whole, found False"
        )
    if options.get("sample_weight") is not None:
        raise ValueError("sample_weight: surfaces have no weights of voxels; found some, and metrics of surfaces")
    passed = {name: options[name] for name in ("ignore_index", "mask", "sample_axis", "backend") if name in options}
    if isinstance(counts, BinaryCounts):
        return replace(surface_distances(y_true, y_pred, **measuring, **passed), classes=counts.classes)
    if measuring.get("regions") is not None:
        return surface_distances(y_true, y_pred, **measuring, **passed)
    measuring.pop("regions", None)
    labels = [label for label in counts.labels.tolist() if label != 0]
    if not labels:
        return surface_distances(y_true, y_pred, regions={"": [1]}, **measuring, **passed).select([])
    return surface_distances(y_true, y_pred, labels=labels, **measuring, **passed)
