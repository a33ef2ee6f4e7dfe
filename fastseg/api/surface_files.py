"""Measuring the surfaces of two volumes on disk whose voxels were kept when they were counted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fastseg.api.surfaces import surface_distances
from fastseg.counting.no_data import with_label
from fastseg.counting.stored_labels import to_labels
from fastseg.counts import LabelCounts, SurfaceDistances
from fastseg.labels.choices import LabelChoices
from fastseg.volumes import palettes
from fastseg.volumes.kept import Kept
from fastseg.volumes.spacing import right_angled_spacing

__all__ = ["surfaces_of_files"]


def surfaces_of_files(
    volumes: Sequence[Kept],
    counts: LabelCounts,
    chosen: LabelChoices,
    *,
    spacing: float | Sequence[float] | None,
    surface: str,
    border: str,
) -> SurfaceDistances:
    """Return the distances of all classes but 0, or of the regions, by the spacing of the reference's file.

    Parameters
    ----------
    volumes
        Truth, prediction and, if there is one, the region of interest, read whole; they are let go.
    counts
        Of the same voxels.
    chosen
        What was said of labels.
    spacing, surface, border
        As in `surface_distances`; a spacing of None is that of the file.

    Raises
    ------
    VolumeError
        If the file does not say its spacing, or is sheared.
    """
    true, pred, *roi = volumes
    steps: Any = right_angled_spacing(true.geometry, true.path) if spacing is None else spacing
    mapping = chosen.map_prediction
    if not mapping and palettes.unlike(true, pred):
        used = [[np.unique(each.voxels())] for each in (true, pred)]
        mapping, _ = palettes.by_colour(true, pred, used[0], used[1])  # of which a note was made when they were counted
    arrays = [_labels(true, {}), _labels(pred, mapping)]
    mask = [each.voxels() != 0 for each in roi]
    turned = true.order == "F"  # as the files lie, where all lie so
    if turned:
        arrays, mask = [each.T for each in arrays], [each.T for each in mask]
        steps = steps[::-1] if np.ndim(steps) else steps
    options: dict[str, Any] = {
        "spacing": steps,
        "surface": surface,
        "border": border,
        "ignore_index": sorted({*chosen.ignore, *counts.ignored.tolist()}) or None,  # what is no data, too
        "mask": mask[0] if mask else None,
    }
    if chosen.regions:
        found = surface_distances(*arrays, regions=chosen.regions, **options)
    else:
        labels = [label for label in counts.labels.tolist() if label != 0]
        found = surface_distances(*arrays, labels=labels or [1], **options).select(labels)
    return found.reversed_axes() if turned else found


def _labels(volume: Kept, mapping: dict[int, int]) -> npt.NDArray[Any]:
    """Return the labels of a volume: the stored values where they are the labels, else those that they stand for."""
    values = volume.voxels()
    if volume.scaling is None and values.dtype.kind in "biu" and not mapping:
        return values
    labels, _ = to_labels(
        with_label(values, volume), volume.scaling, mapping
    )  # which were found to be some when they were counted
    return labels
