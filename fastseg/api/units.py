"""The unit that fits the volumes or areas of classes: the largest in which they are not all nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

__all__ = ["Measure", "fitting"]

#: A unit, and how much of it a voxel or pixel is.
Measure = tuple[str, float]

#: Units by how many of them are one ml, or one mm².
_VOLUMES = (("ml", 1.0), ("mm³", 1e3), ("µm³", 1e12), ("nm³", 1e21))
_AREAS = (("mm²", 1.0), ("µm²", 1e6), ("nm²", 1e12))
#: What is written as 0.00.
_NOTHING = 0.005


def fitting(voxel_ml: float | None, files: Mapping[str, Any] | None, counts: Any) -> Measure | None:
    """Return a unit of volume or area, and how much of it one voxel is; None where that is not known.

    Parameters
    ----------
    voxel_ml
        The volume of a voxel, None or NaN where it is not known.
    files
        What is known of files: ``pixel_area`` and ``area_unit``, of those that have an area.
    counts
        Voxels of the classes, without the background where there is more.
    """
    largest = float(np.nanmax(np.asarray(counts, np.float64), initial=0.0))
    if voxel_ml is not None and not math.isnan(voxel_ml):
        return _first(_VOLUMES, voxel_ml, largest)
    area = (files or {}).get("pixel_area")
    if area is None:
        return None
    unit = (files or {})["area_unit"]
    return _first(_AREAS, area, largest) if unit == "mm²" else (unit, area)


def _first(units: tuple[Measure, ...], size: float, largest: float) -> Measure:
    sizes = [(unit, size * times) for unit, times in units]
    return next((each for each in sizes if each[1] * largest >= _NOTHING), sizes[-1] if largest and size else sizes[0])
