"""Pictures of indexes into palettes: the indexes are the labels, or, where the palettes of two are unlike, the colours."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fastseg.volumes.errors import VolumeError
from fastseg.volumes.volume import Volume

__all__ = ["by_colour", "unlike"]

#: Indexes that a note lists.
_LISTED = 8


def unlike(true: Volume, pred: Volume) -> bool:
    """Tell whether two files have palettes of which some index has another colour in each."""
    if true.palette is None or pred.palette is None:
        return False
    both = min(len(true.palette), len(pred.palette))
    return not np.array_equal(true.palette[:both], pred.palette[:both])


def by_colour(
    true: Volume, pred: Volume, used: Sequence[NDArray[np.generic]], used_too: Sequence[NDArray[np.generic]]
) -> tuple[dict[int, int], str | None]:
    """Find which index of the truth has the colour of each index of a prediction.

    Programs that write pictures may put their colours in another order, or leave out those that are not used.

    Parameters
    ----------
    true, pred : Volume
        With palettes.
    used, used_too : sequence of integer arrays
        Stored values that occur in either file; a colour that has no voxel does not count.

    Returns
    -------
    mapping : dict of int to int
        The indexes of the prediction that stand for others.
    note : str or None
        A sentence that says so, where there are any.

    Raises
    ------
    VolumeError
        If the truth's palette lacks a colour of the prediction, or two of the truth's labels have it.
    """
    one, other = _Colours(true), _Colours(pred)
    places, there = other.places(used_too), one.places(used)
    known, labels = one.of(np.arange(len(one))), one.of(there)
    mapping: dict[int, int] = {}
    for index, colour in zip(places.tolist(), other.of(places).tolist(), strict=True):
        if index < len(known) and known[index] == colour:  # it means that index, whichever others have the colour, too
            continue
        found = there[labels == colour] if (labels == colour).any() else np.flatnonzero(known == colour)[:1]
        if found.size != 1:
            what = "at one index" if found.size else "in its palette"
            raise VolumeError(
                f"{pred.path}: expected colours that {true.path} has {what}, found {_shown(colour)} at index {index}; "
                f"map_prediction (--map-prediction) says which index stands for which, 0=0 that they are as they are"
            )
        mapping[index] = int(found[0])
    if not mapping:
        return {}, None
    listed = ", ".join(f"{old} for {new}" for old, new in list(mapping.items())[:_LISTED])
    more = ", …" if len(mapping) > _LISTED else ""
    return mapping, (
        f"{pred.path}: compared by colour, as its palette is in another order than that of {true.path}: its indexes stand "
        f"{listed}{more}; map_prediction (--map-prediction 0=0) compares the indexes as they are"
    )


def _shown(colour: int) -> tuple[int, ...]:
    return tuple(colour >> shift & 255 for shift in (16, 8, 0))


class _Colours:
    """The palette of a file as numbers."""

    def __init__(self, volume: Volume) -> None:
        assert volume.palette is not None
        self._numbers = volume.palette.astype(np.int64) @ (1 << 16, 1 << 8, 1)

    def __len__(self) -> int:
        return len(self._numbers)

    def places(self, used: Sequence[NDArray[np.generic]]) -> NDArray[np.int64]:
        """Return the indexes among stored values that have a colour, in ascending order."""
        values = np.unique(np.concatenate([np.zeros(0, np.int64), *(part.astype(np.int64) for part in used)]))
        return values[(values >= 0) & (values < len(self._numbers))]

    def of(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the colours at some indexes, -1 where there is none."""
        there = places < len(self._numbers)
        return np.where(there, self._numbers[np.where(there, places, 0)], -1)
