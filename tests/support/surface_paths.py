"""Both ways of the Numba backend to surfaces: small images in one call, and others in stages, which small ones may go, too."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any
from unittest import mock

from fastseg import SurfaceDistances, surface_distances
from fastseg.kernels.numba import surfaces

__all__ = ["both_ways", "in_stages"]


def in_stages() -> AbstractContextManager[Any]:
    """Measure images of any size as large ones are measured."""
    return mock.patch.object(surfaces, "SMALL", -1)


def both_ways(true: Any, pred: Any, **options: Any) -> SurfaceDistances:
    """Return the surfaces that are found in one call; AssertionError where those found in stages are others."""
    found = surface_distances(true, pred, backend="numba", **options)
    with in_stages():
        assert surface_distances(true, pred, backend="numba", **options) == found
    return found
