"""Surface elements and their distances by SciPy's distance transform: slow, obvious, normative."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from fastseg.kernels.protocols.surfaces import Layer, RowDistances, Stage, SurfaceTask

__all__ = ["SurfaceMeasurer", "surface_elements"]

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


class SurfaceMeasurer:
    """Measures class by class."""

    def __init__(self, task: SurfaceTask) -> None:
        self._task = task
        none = RowDistances(np.empty(0), np.empty(0, np.int64), 0)
        self._rows = [(none, none)] * task.classes
        self._jobs = [(layer, int(k)) for layer in task.layers for k in np.unique(layer.classes)]

    def stages(self) -> Iterator[Stage]:
        """Yield the only stage: a job for each class."""
        yield len(self._jobs), self._measure

    def _measure(self, job: int) -> None:
        layer, k = self._jobs[job]
        true, pred = (self._elements(layer, array, k) for array in (layer.y_true, layer.y_pred))
        self._rows[k] = (self._distances(true, pred), self._distances(pred, true))

    def _elements(self, layer: Layer, array: Array, k: int) -> Mask:
        inside = np.isin(array.astype(np.int64), layer.values[layer.classes == k])
        return surface_elements(inside, self._task.excluded, self._task.surface, self._task.border)

    def _distances(self, elements: Mask, others: Mask) -> RowDistances:
        if others.any():
            found = ndimage.distance_transform_edt(~others, sampling=self._task.spacing)[elements]
        else:
            found = np.full(np.count_nonzero(elements), np.inf)
        found[found > self._task.max_distance] = np.inf
        distances, weights = np.unique(found, return_counts=True)
        return RowDistances(distances, weights.astype(np.int64), found.size)

    def result(self) -> list[tuple[RowDistances, RowDistances]]:
        """Return the distances of each class, in both directions."""
        return self._rows
