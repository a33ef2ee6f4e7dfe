"""Measuring the surfaces of masks on disk, which may overlap: of one pair of volumes after the other, read whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from fastseg.api.surfaces import surface_distances
from fastseg.counting.mask_files import open_group
from fastseg.counting.mask_plan import Edge, Group, groups_of
from fastseg.counting.stored_labels import to_labels
from fastseg.counts import SurfaceDistances
from fastseg.volumes import Volume
from fastseg.volumes.masks import MaskSource
from fastseg.volumes.paths import Path
from fastseg.volumes.side_by_side import in_boxes
from fastseg.volumes.spacing import right_angled_spacing

__all__ = ["edges_of_masks", "labels_of", "masks_of_edge", "surfaces_of_masks"]

Array = npt.NDArray[Any]


def surfaces_of_masks(
    true: MaskSource,
    pred: MaskSource,
    classes: Sequence[str],
    *,
    roi: Path | None = None,
    reading: Mapping[str, Any],
    spacing: float | Sequence[float] | None = None,
    surface: str = "voxel",
    border: str = "background",
    check: Callable[[], object] = lambda: None,
) -> SurfaceDistances:
    """Return the distances of masks that were counted already, by the spacing of the reference's file.

    Parameters
    ----------
    true, pred
        The masks of the two sides; they stay the caller's.
    classes
        Those that are measured.
    roi
        As in `fastseg.count_mask_files`.
    reading
        Options of `fastseg.volumes.side_by_side.open_aligned`, of places that were compared already.
    spacing, surface, border
        As in `fastseg.surface_distances`; a spacing of None is that of the file.
    check
        Called before each pair of volumes; what it raises ends the measuring.

    Raises
    ------
    VolumeError
        If the file does not say its spacing, or is sheared.
    """
    found: dict[str, SurfaceDistances] = {}
    for edge, volumes in edges_of_masks(true, pred, classes, roi=roi, reading=reading, check=check):
        found |= _of_edge(volumes, edge, spacing, surface, border)
    return _beside([found[name] for name in classes if name in found]).with_classes(list(classes))


def edges_of_masks(
    true: MaskSource,
    pred: MaskSource,
    classes: Sequence[str],
    *,
    roi: Path | None,
    reading: Mapping[str, Any],
    check: Callable[[], object],
) -> Iterator[tuple[Edge, Sequence[Volume]]]:
    """Yield each pair of volumes that hold masks of these classes, and the region of interest: open, while it is asked for.

    Parameters
    ----------
    true, pred, classes, roi, reading, check
        As of `surfaces_of_masks`.
    """
    for group in groups_of(true, pred, classes):
        for edge in group.edges:
            check()
            one = Group((group.true[edge.true],), (group.pred[edge.pred],), (edge._replace(true=0, pred=0),))
            with ExitStack() as stack:
                volumes, _ = open_group(stack, true, pred, one, roi, reading)
                yield edge, stack.enter_context(in_boxes(volumes))


def masks_of_edge(edge: Edge, name: str, true: Array, pred: Array) -> tuple[Array, Array]:
    """Return the masks of a class of two volumes whose labels were read."""
    one, other = (
        each != 0 if values is None else np.isin(each, values)
        for each, values in ((true, edge.true_values[name]), (pred, edge.pred_values[name]))
    )
    return one, other


def _of_edge(
    volumes: Sequence[Volume], edge: Edge, spacing: float | Sequence[float] | None, surface: str, border: str
) -> dict[str, SurfaceDistances]:
    """Measure the classes that two volumes have in common."""
    geometry = volumes[0].geometry
    steps: Any = right_angled_spacing(geometry, volumes[0].path) if spacing is None else spacing
    labels = [labels_of(each) for each in volumes]
    backwards = volumes[0].order == "F"  # as the files lie, where all lie so
    if backwards:
        labels = [each.T for each in labels]
        steps = steps[::-1] if np.ndim(steps) else steps
    true, pred, *roi = labels
    found = {}
    for name in edge.classes:
        masks = [each.view(np.uint8) for each in masks_of_edge(edge, name, true, pred)]
        measure: Any = surface_distances
        measured = measure(
            *masks, labels=[1], spacing=steps, mask=roi[0] != 0 if roi else None, surface=surface, border=border
        )
        found[name] = measured.rename({1: name})
    return found


def labels_of(volume: Volume) -> Array:
    """Return all labels of a volume, which were found to be some when they were counted."""
    shape = volume.geometry.shape
    values = volume.read_block((0,) * len(shape), shape)
    if volume.scaling is None and values.dtype.kind in "biu":
        return values
    return to_labels(values, volume.scaling, None)[0]


def _beside(parts: Sequence[SurfaceDistances]) -> SurfaceDistances:
    """Put classes of one case side by side, each measured by itself."""
    joined: dict[str, Any] = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in ("distances", "weights", "areas")
        if getattr(parts[0], name) is not None
    }
    rows = np.concatenate([np.diff(part.starts) for part in parts])
    return replace(
        parts[0],
        classes=tuple(name for part in parts for name in part.classes),
        starts=np.concatenate([np.zeros(1, np.int64), np.cumsum(rows)]),
        elements=np.concatenate([part.elements for part in parts], axis=1),
        farthest=np.concatenate([part.farthest for part in parts], axis=1),
        **joined,
    )
