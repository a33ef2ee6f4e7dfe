"""The ways of the Numba backend to surfaces, all of which small images may go: one call, one call for few elements, stages."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any
from unittest import mock

from fastseg import SurfaceDistances, surface_distances
from fastseg.kernels.numba import surface_slabs, surfaces

__all__ = ["all_ways", "in_stages"]


def in_stages() -> AbstractContextManager[Any]:
    """Measure images of any size, and of any number of elements, as large ones are measured."""
    return mock.patch.multiple(surfaces, SMALL=-1, _FEW=-1)


def all_ways(true: Any, pred: Any, **options: Any) -> SurfaceDistances:
    """Return the surfaces that are found in one call; AssertionError where those found another way are others."""
    found = surface_distances(true, pred, backend="numba", **options)
    with in_stages():
        assert surface_distances(true, pred, backend="numba", **options) == found
    with (
        mock.patch.multiple(surfaces, SMALL=-1, _FEW=1 << 30, _FEW_WORDS=1 << 30),
        mock.patch.object(surface_slabs, "_VOXELS", 500),
    ):
        assert surface_distances(true, pred, backend="numba", **options) == found
    return found
