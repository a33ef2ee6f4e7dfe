"""Pictures of indexes into palettes: the indexes are the labels, unless the two palettes have them in another order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fastseg.volumes.errors import VolumeError
from fastseg.volumes.volume import Volume

__all__ = ["check_order", "unlike"]


def unlike(true: Volume, pred: Volume) -> bool:
    """Tell whether two files have palettes of which some index has another colour in each."""
    if true.palette is None or pred.palette is None:
        return False
    both = min(len(true.palette), len(pred.palette))
    return not np.array_equal(true.palette[:both], pred.palette[:both])


def check_order(
    true: Volume, pred: Volume, used: Sequence[NDArray[np.generic]], used_too: Sequence[NDArray[np.generic]]
) -> None:
    """Refuse two files of which one index has the colour that another index has in the other file.

    Programs that write pictures may put their colours in another order, or leave out those that are not used. Palettes of
    other colours altogether are no such sign: the indexes are compared as they are.

    Parameters
    ----------
    true, pred : Volume
        With palettes.
    used, used_too : sequence of integer arrays
        Stored values that occur in either file; a colour that has no voxel does not count.

    Raises
    ------
    VolumeError
    """
    one, other = _Colours(true), _Colours(pred)
    places, places_too = one.places(used), other.places(used_too)
    same, at, to = np.intersect1d(one.of(places), other.of(places_too), return_indices=True)
    i, j = places[at], places_too[to]
    # A colour that an index has in both palettes means that index, whichever others have it too.
    elsewhere = np.flatnonzero((i != j) & (one.of(j) != same) & (other.of(i) != same))
    if elsewhere.size:
        first = elsewhere[0]
        colour = tuple(int(same[first]) >> shift & 255 for shift in (16, 8, 0))
        raise VolumeError(
            f"{pred.path}: expected a palette in the order of that of {true.path}, as its indexes are the labels, found the "
            f"colour {colour} at index {j[first]}, and there at {i[first]}; map_prediction (--map-prediction) says which "
            f"stands for which, or save the labels as pictures of greys"
        )


class _Colours:
    """The palette of a file as numbers."""

    def __init__(self, volume: Volume) -> None:
        assert volume.palette is not None
        self._numbers = volume.palette.astype(np.int64) @ (1 << 16, 1 << 8, 1)

    def places(self, used: Sequence[NDArray[np.generic]]) -> NDArray[np.int64]:
        """Return the indexes among stored values that have a colour, in ascending order."""
        values = np.unique(np.concatenate([np.zeros(0, np.int64), *(part.astype(np.int64) for part in used)]))
        return values[(values >= 0) & (values < len(self._numbers))]

    def of(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the colours at some indexes, -1 where there is none."""
        there = places < len(self._numbers)
        return np.where(there, self._numbers[np.where(there, places, 0)], -1)
