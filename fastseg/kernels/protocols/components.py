"""What passes between the counting of instances and a backend: the components of a map as runs along its last axis."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["ComponentRuns", "TooManyRuns", "Touching", "touching"]

Ints = npt.NDArray[np.int64]


class TooManyRuns(Exception):  # noqa: N818 - a signal within the package, never seen outside
    """More runs would have to be kept than there is room for."""


class ComponentRuns(NamedTuple):
    """The runs of voxels of components, in the order in which they lie in memory, the last axis running fastest."""

    starts: Ints
    """(R,) index of the first voxel of each in the flat map."""
    stops: Ints
    """(R,) index after its last voxel, in the same row."""
    ids: Ints
    """(R,) its component: from 1, in the order of their first voxels."""
    values: npt.NDArray[Any]
    """(K,) the label that each component has in the map."""


class Touching(NamedTuple):
    """How far apart along the last axis runs of two rows may end to be of one component; -1: they never are."""

    beside: int
    """Of rows that are neighbours along the last axis but one."""
    above: int
    """Along the one before that."""
    diagonal: int
    """Along both."""


#: 0: a column has to be in both; 1: columns may be next to each other.
_TOUCHING = {
    4: Touching(0, -1, -1),
    8: Touching(1, -1, -1),
    6: Touching(0, 0, -1),
    18: Touching(1, 1, 0),
    26: Touching(1, 1, 1),
}


def touching(neighbours: int) -> Touching:
    """Return which runs touch, of voxels with so many neighbours."""
    return _TOUCHING[neighbours]
