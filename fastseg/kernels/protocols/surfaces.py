"""What backends measure of surfaces, and what of it comes back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

__all__ = [
    "SMALL",
    "FoundElements",
    "Layer",
    "RowDistances",
    "SampleDistances",
    "Stage",
    "SurfaceMeasurer",
    "SurfaceTask",
    "distinct",
    "no_distances",
    "rows_together",
]

Array = npt.NDArray[Any]

#: Voxels of a sample that one thread measures: what others would save, to hand over would cost.
SMALL = 1 << 18


class Layer(NamedTuple):
    """Two maps of whole numbers, and which of these are in which class. No class is in two layers of a task."""

    y_true: Array
    y_pred: Array
    values: npt.NDArray[np.int64]
    """(V,) values that belong to a class; all others are outside of every class."""
    classes: npt.NDArray[np.intp]
    """(V,) the class of each."""


class SurfaceTask(NamedTuple):
    """A sample: all that there is to measure of it."""

    layers: tuple[Layer, ...]
    excluded: npt.NDArray[np.bool_] | None
    """Voxels where nobody knows what is true: surface elements that touch one are left out."""
    classes: int
    spacing: tuple[float, ...]
    surface: str
    border: str
    max_distance: float

    @property
    def shape(self) -> tuple[int, ...]:
        """Voxels along each axis: two or three."""
        return self.layers[0].y_true.shape


class FoundElements(NamedTuple):
    """The elements of one map, found before they are measured."""

    slabs: tuple[tuple[Array, Array], ...]
    """Of some planes after the others: elements, and how many each class has there, and where, as a backend writes both."""
    shape: tuple[int, int, int]
    """Planes, rows and columns of the map."""
    shifts: npt.NDArray[np.int64]
    """Where the coordinates of an element are."""


class RowDistances(NamedTuple):
    """Distances from one surface to another."""

    distances: npt.NDArray[np.float64]
    """Distinct and increasing, each the least √((Δ₀² + Δ₁²) + Δ₂²) in float64 with Δ = offset × spacing, as SciPy adds up."""
    weights: npt.NDArray[np.int64]
    """How many elements have each."""
    elements: int
    areas: npt.NDArray[np.float64] | None = None
    """The area of each of these elements, where they have one: distances may then be equal, if areas increase."""
    farthest: tuple[int, ...] | None = None
    """Index of the first element with the largest finite distance; of surfels that of the voxel after the corner."""


def no_distances(surface: str) -> RowDistances:
    """Return the distances of no elements of that kind."""
    return RowDistances(np.empty(0), np.empty(0, np.int64), 0, np.empty(0) if surface == "surfel" else None)


def distinct(distances: npt.NDArray[np.float64], areas: npt.NDArray[np.float64] | None = None) -> RowDistances:
    """Return the distances of elements, and their areas, of which any may be equal, as a row."""
    if areas is None:
        values, weights = np.unique(distances, return_counts=True)
        return RowDistances(values, weights.astype(np.int64), distances.size)
    if not distances.size:
        return no_distances("surfel")
    order = np.lexsort((areas, distances))
    distances, areas = distances[order], areas[order]
    new = np.concatenate([[True], (distances[1:] != distances[:-1]) | (areas[1:] != areas[:-1])])
    starts = np.flatnonzero(new)
    weights = np.diff(starts, append=distances.size)
    return RowDistances(distances[starts], weights.astype(np.int64), distances.size, areas[starts])


class SampleDistances(NamedTuple):
    """The distances of all K surfaces of a sample: row 2 k + which is that of class k in the truth (0) or prediction (1)."""

    starts: npt.NDArray[np.int64]
    """(2K + 1,) where the distances of each row start, and all end."""
    distances: npt.NDArray[np.float64]
    """Those of a `RowDistances`, row after row; and so weights and areas."""
    weights: npt.NDArray[np.int64]
    areas: npt.NDArray[np.float64] | None
    elements: npt.NDArray[np.int64]
    """(K, 2) the number of elements of each surface."""
    farthest: npt.NDArray[np.int64]
    """(K, 2, D) index of the first element with the largest finite distance; −1 where there is none."""


def rows_together(rows: Sequence[RowDistances], surface: str, axes: int) -> SampleDistances:
    """Return rows of surfaces of that kind one after the other."""
    areas = [row.areas for row in rows if row.areas is not None]
    return SampleDistances(
        np.cumsum([0, *(row.distances.size for row in rows)], dtype=np.int64),
        np.concatenate([np.empty(0), *(row.distances for row in rows)]),
        np.concatenate([np.empty(0, np.int64), *(row.weights for row in rows)]),
        np.concatenate([np.empty(0), *areas]) if surface == "surfel" else None,
        np.array([row.elements for row in rows], np.int64).reshape(-1, 2),
        np.array([row.farthest or (-1,) * axes for row in rows], np.int64).reshape(-1, 2, axes),
    )


#: How many jobs there are, and what does one. Those of a stage may run at the same time, in any order.
Stage = tuple[int, Callable[[int], None]]


class SurfaceMeasurer(Protocol):
    """Measures one task, a stage after the other."""

    def __init__(self, task: SurfaceTask) -> None: ...

    def stages(self) -> Iterator[Stage]:
        """Yield the stages; each is to be done before the next is asked for."""
        ...

    def result(self) -> SampleDistances:
        """Return the distances of all classes."""
        ...
