"""The element of all surfaces of a case that is farthest from where it should be."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fastseg.counts.surfaces import DIRECTIONS, SurfaceDistances

__all__ = ["Farthest", "farthest_element"]


class Farthest(NamedTuple):
    """The largest finite distance of a case, and whose it is."""

    distance: float
    name: str | int
    """Of the class."""
    direction: str
    """Of `DIRECTIONS`: the element is one of the truth's surface, or one of the prediction's."""
    place: tuple[int, ...]
    """The index of the element."""


def farthest_element(surfaces: SurfaceDistances) -> Farthest | None:
    """Return the largest finite distance of a single case, of the first class that has it; None where there is none."""
    found: list[Farthest] = []
    if surfaces.farthest is not None:
        for name, places in zip(surfaces.classes, surfaces.farthest[0].tolist(), strict=True):
            for direction, place in zip(DIRECTIONS, places, strict=True):
                if place[0] >= 0:
                    distances, _ = surfaces.row(0, name, direction)
                    largest = float(distances[np.isfinite(distances)][-1])
                    found.append(Farthest(largest, name, direction, tuple(place)))
    return max(found, key=lambda one: one.distance, default=None)
