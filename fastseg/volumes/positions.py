"""Where voxels lie along the axes of files that place them otherwise than a scanner does: maps, and images of microscopes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Positions", "apart"]


@dataclass(frozen=True)
class Positions:
    """Say where a file places its voxels along each of its axes.

    Attributes
    ----------
    ends : tuple of (float, float)
        The centres of the first and of the last voxel along each axis, in `unit`; NaN along axes of which nothing is said.
    steps : tuple of float
        From one voxel to the next along each axis, in `unit`, positive; NaN where that is not said.
    unit : str
        Such as "mm", "m" or "degree"; "" where the file names none.
    frame : str
        What the positions refer to, such as "EPSG:32632"; "" where the file does not say.
    """

    ends: tuple[tuple[float, float], ...]
    steps: tuple[float, ...]
    unit: str = ""
    frame: str = ""

    @classmethod
    def of(
        cls, origin: Sequence[float], step: Sequence[float], shape: Sequence[int], unit: str = "", frame: str = ""
    ) -> Positions:
        """Return those of a grid: the first voxel's centre and the signed step along each axis."""
        ends = tuple((at, at + by * (n - 1)) for at, by, n in zip(origin, step, shape, strict=True))
        return cls(ends, tuple(abs(each) or math.nan for each in step), unit, frame)

    def turned(self, axes: Sequence[int], flips: Sequence[bool]) -> Positions:
        """Return those of the same voxels whose axes are in another order, and some of them flipped."""
        ends = [self.ends[axis][:: -1 if flip else 1] for axis, flip in zip(axes, flips, strict=True)]
        return Positions(tuple((a, b) for a, b in ends), tuple(self.steps[k] for k in axes), self.unit, self.frame)


def apart(one: Positions, other: Positions, axes: str, tolerance: float) -> str | None:
    """Say how two files of one shape lie apart; None where they do not by more than `tolerance` parts of a voxel.

    Positions whose units are not known, or not the same, are compared in voxels: how far the first one is from zero.
    """
    if one.frame and other.frame and one.frame != other.frame:
        return f"the coordinate reference systems are {one.frame} and {other.frame}"
    if len(one.steps) != len(other.steps):
        return None
    same = one.unit == other.unit
    named = axes if len(axes) == len(one.steps) else ""
    shifts, found = [], False
    for (first, last), (start, end), step, by in zip(one.ends, other.ends, one.steps, other.steps, strict=True):
        pairs = ((first, start, step), (last, end, step)) if same else ((first / step, start / by, 1.0),)
        moved = [(b - a) / (-each if last < first else each) for a, b, each in pairs]
        found |= any(abs(voxels) > tolerance for voxels in moved)  # NaN is not
        shifts.append(moved)
    if not found:
        return None
    along = f" along {named}" if named else ""
    if all(_near(first, last, tolerance) for first, *_, last in shifts):
        voxels = ", ".join(f"{0 if math.isnan(each[0]) else round(each[0], 6) + 0.0:.4g}" for each in shifts)
        return f"a pure translation by ({voxels}) voxels{along}"
    spans = [", ".join(f"{a:.8g} to {b:.8g}" for a, b in each.ends) for each in (one, other)]
    unit = f" {one.unit}" if same and one.unit else ""
    return f"the voxels lie from {spans[0]}{unit} and from {spans[1]}{unit}{along}"


def _near(first: float, last: float, tolerance: float) -> bool:
    return not abs(first - last) > tolerance
