"""What ImageJ's metadata say of a TIFF file besides its axes: what its values stand for, and where its origin lies."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from fastseg.volumes.errors import VolumeError
from fastseg.volumes.positions import Positions

__all__ = ["calibration", "origin_of"]

_STRAIGHT_LINE, _NONE = 0, 20


def calibration(path: str, metadata: Mapping[str, Any]) -> tuple[float, float] | None:
    """Return the slope and the intercept of calibrated values; None where they change nothing.

    ImageJ keeps signed values of 16 bits so, as unsigned ones from which 32768 is to be taken.

    Raises
    ------
    VolumeError
        If values are calibrated by another function, or the numbers are none.
    """
    function = metadata.get("cf", _NONE)
    if function == _NONE:
        return None
    intercept, slope = (metadata.get(key, default) for key, default in (("c0", 0.0), ("c1", 1.0)))
    numbers = all(isinstance(each, int | float) and math.isfinite(each) for each in (intercept, slope))
    if function != _STRAIGHT_LINE or not numbers or slope == 0:
        raise VolumeError(
            f"{path}: expected values as they are or calibrated by a straight line (ImageJ's cf=0), found cf={function}, "
            f"c0={intercept}, c1={slope}"
        )
    return None if (slope, intercept) == (1, 0) else (float(slope), float(intercept))


def origin_of(metadata: Mapping[str, Any], shape: tuple[int, ...], axes: str) -> Positions | None:
    """Return where the first voxel lies from ImageJ's origin, in voxels; None where the metadata are no numbers."""
    known = {axis: metadata.get(f"{axis}origin", 0) for axis in "xyz"}
    if not all(isinstance(each, int | float) and math.isfinite(each) for each in known.values()):
        return None
    first = [-float(known[axis]) if axis in known else math.nan for axis in axes]
    return Positions.of(first, [math.nan if math.isnan(each) else 1.0 for each in first], shape, "pixels")
