"""Surface elements and their distances by SciPy's distance transform: slow, obvious, normative."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from fastseg.kernels.protocols.surfaces import (
    Layer,
    RowDistances,
    SampleDistances,
    Stage,
    SurfaceTask,
    distinct,
    no_distances,
    rows_together,
)
from fastseg.kernels.surfels import surfel_measures

__all__ = ["SurfaceMeasurer", "surface_elements", "surfel_patterns"]

Array = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]


def surface_elements(inside: Mask, excluded: Mask | None, surface: str, border: str) -> Mask:
    """Return which voxels are elements of the surface of an object.

    Parameters
    ----------
    inside
        The object, of two or three axes.
    excluded
        Voxels of which nobody knows whether they are in an object; None for none.
    surface
        "voxel": voxels of the object with a face neighbour outside. "object": all of its voxels.
    border
        "background": what is outside of the image is outside of the object. "extend": the image goes on as it ends.
    """
    cross = ndimage.generate_binary_structure(inside.ndim, 1)
    found = inside
    if surface == "voxel":
        padded = np.pad(inside, 1, mode="edge" if border == "extend" else "constant")
        inner = ndimage.binary_erosion(padded, cross)[(slice(1, -1),) * inside.ndim]
        found = inside & ~inner
    if excluded is not None:
        found = found & ~(excluded if surface == "object" else ndimage.binary_dilation(excluded, cross))
    return found


def surfel_patterns(inside: Mask, excluded: Mask | None, border: str) -> npt.NDArray[np.uint8]:
    """Return which voxels around each corner are inside, as `surfel_measures` numbers them; 0 for corners that are left out.

    Parameters
    ----------
    inside, excluded
        As of `surface_elements`.
    border
        "background": there are corners at the image's edge, one more than voxels along each axis. "extend": only those that
        lie between voxels, one less.
    """

    def around(mask: Mask) -> npt.NDArray[np.uint8]:
        grid = np.pad(mask, 1) if border == "background" else mask
        patterns = np.zeros([n - 1 for n in grid.shape], np.uint8)
        for bit, offset in enumerate(np.ndindex(*[2] * mask.ndim)):
            where = tuple(slice(o, o + n) for o, n in zip(offset, patterns.shape, strict=True))
            patterns |= grid[where].astype(np.uint8) << bit
        return patterns

    found = around(inside)
    if excluded is not None:
        found[around(excluded) != 0] = 0
    return found


class SurfaceMeasurer:
    """Measures class by class."""

    def __init__(self, task: SurfaceTask) -> None:
        self._task = task
        none = no_distances(task.surface)
        self._rows = [(none, none)] * task.classes
        self._jobs = [(layer, int(k)) for layer in task.layers for k in np.unique(layer.classes)]

    def stages(self) -> Iterator[Stage]:
        """Yield the only stage: a job for each class."""
        yield len(self._jobs), self._measure

    def _measure(self, job: int) -> None:
        layer, k = self._jobs[job]
        true, pred = (self._areas(layer, array, k) for array in (layer.y_true, layer.y_pred))
        self._rows[k] = (self._distances(true, pred), self._distances(pred, true))

    def _areas(self, layer: Layer, array: Array, k: int) -> npt.NDArray[np.float64]:
        """Return the area of the element at each place, 0 where there is none; 1 where elements are counted."""
        task = self._task
        inside = np.isin(array.astype(np.int64), layer.values[layer.classes == k])
        if task.surface == "surfel":
            return surfel_measures(task.spacing)[surfel_patterns(inside, task.excluded, task.border)]
        return surface_elements(inside, task.excluded, task.surface, task.border).astype(np.float64)

    def _distances(self, elements: npt.NDArray[np.float64], others: npt.NDArray[np.float64]) -> RowDistances:
        here = elements > 0
        if others.any():
            found = ndimage.distance_transform_edt(others == 0, sampling=self._task.spacing)[here]
        else:
            found = np.full(np.count_nonzero(here), np.inf)
        found[found > self._task.max_distance] = np.inf
        row = distinct(found, elements[here] if self._task.surface == "surfel" else None)
        finite = np.isfinite(found)
        if not finite.any():
            return row
        first = np.argwhere(here)[np.argmax(np.where(finite, found, -1.0))]
        if self._task.surface == "surfel" and self._task.border == "extend":
            first += 1  # where corners at the edge are left out
        return row._replace(farthest=tuple(first.tolist()))

    def result(self) -> SampleDistances:
        """Return the distances of all classes."""
        task = self._task
        return rows_together([row for both in self._rows for row in both], task.surface, len(task.spacing))
