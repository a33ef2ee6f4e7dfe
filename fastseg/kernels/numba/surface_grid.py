"""What is the same for all images of one shape and spacing, and is kept, since images come in many of a kind."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
import numpy.typing as npt

from fastseg.kernels.numba.surface_blocks import BLOCK_ROWS
from fastseg.kernels.numba.surface_elements import coordinate_bits
from fastseg.kernels.numba.surface_nearest import Scratch, reach_of

__all__ = ["PIECE", "Grid", "grid_of"]

Array = npt.NDArray[Any]

#: Elements whose nearest ones are searched together.
PIECE = 1 << 14
#: What is kept: grids, and for each what so many threads work with.
_GRIDS, _SPARE = 4, 4


class Grid:
    """The places of elements, how far they are from each other, and what it takes to search there.

    Scans go through planes, rows and columns, of which an image of two axes has no rows. Where elements are searched it has no
    planes, since rows are looked at several together; both see the same words.

    Attributes
    ----------
    shape, spacing
        Of a scan.
    axes : (3,) int64
        Which axis of a scan each axis of a search is.
    scanned, shifts : (2,) int64
        By how many bits z and y are shifted in an element, as scans see it and as searches do.
    along : list of arrays
        The squared distances of all offsets along each axis of a scan.
    reach : Reach
        What is near by.
    words : int
        Those of the bit map of a box as large as the image.
    """

    def __init__(self, shape: tuple[int, ...], spacing: tuple[float, ...], farthest: float, kinds: int) -> None:
        flat = len(spacing) == 2
        self.axes = np.array([1, 0, 2] if flat else [0, 1, 2])
        self.shape, self.kinds = shape, kinds
        self.spacing = (spacing[0], 1.0, spacing[1]) if flat else spacing
        searched = [shape[axis] for axis in self.axes]
        self.scanned, self.shifts = (np.array(coordinate_bits(tuple(each))) for each in (shape, searched))
        self.along = [_squares(n, step) for n, step in zip(shape, self.spacing, strict=True)]
        self.reach = reach_of(self.searched, float(self.spacing[2]), _largest_square(farthest))
        self.words = searched[0] * ((searched[2] + 63) // 64 + 2) * (searched[1] + BLOCK_ROWS)
        self._spare: list[Scratch] = []

    @property
    def searched(self) -> list[Array]:
        """The squared distances of all offsets along each axis of a search."""
        return [self.along[axis] for axis in self.axes]

    def scratch(self) -> Scratch:
        """Return what a thread works with, until it is given back."""
        try:
            return self._spare.pop()
        except IndexError:  # all are in use
            return Scratch(self.reach, self.kinds, self.shape[2], PIECE)

    def give_back(self, scratch: Scratch) -> None:
        """Let others use it, with the masks that it has and nothing counted."""
        if len(self._spare) < _SPARE:
            self._spare.append(scratch)


@functools.lru_cache(maxsize=_GRIDS)
def grid_of(shape: tuple[int, ...], spacing: tuple[float, ...], farthest: float, kinds: int) -> Grid:
    """Return the grid of images of that shape, as scans see it, and of that spacing along their own two or three axes."""
    return Grid(shape, spacing, farthest, kinds)


def _squares(number: int, step: float) -> Array:
    """Return the squared distance of each offset along an axis, rounded as SciPy's distance transform rounds it."""
    offsets = np.arange(number, dtype=np.float64) * step
    return np.asarray(offsets * offsets)


def _largest_square(farthest: float) -> float:
    """Return the largest number whose root is not beyond a distance."""
    square = farthest * farthest
    while math.sqrt(square) > farthest:
        square = math.nextafter(square, 0)
    while square < math.inf and math.sqrt(math.nextafter(square, math.inf)) <= farthest:
        square = math.nextafter(square, math.inf)
    return square
