"""References that are pictures of indexes, whose palettes are not all in one order: an index is not one class then."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

import numpy as np

from fastseg.labels.names import shown
from fastseg.volumes import VolumeError, open_volume

__all__ = ["unlike_palettes_note"]

#: Of pictures of indexes; those of TIFF files are hardly ever made by programs that sort them.
_SUFFIXES = (".png", ".gif", ".bmp")


def unlike_palettes_note(references: Iterable[str]) -> str | None:
    """Say which two references first have another colour at an index; None where there are none.

    Parameters
    ----------
    references : iterable of str
        Paths; what is no picture of indexes, or cannot be read, says nothing.
    """
    first: tuple[str, np.ndarray] | None = None
    for path in references:
        if not path.lower().endswith(_SUFFIXES):
            continue
        with suppress(VolumeError), open_volume(path) as volume:
            palette = volume.palette
            if palette is None:
                continue
            first = first or (path, palette)
            both = min(len(palette), len(first[1]))
            apart = np.flatnonzero((palette[:both] != first[1][:both]).any(1))
            if apart.size:
                index = int(apart[0])
                return (
                    f"references whose palettes are in unlike order, such as {shown(first[0])} and {shown(path)}, which have "
                    f"other colours at index {index}: each case is compared by its own, and a label, which is an index, need "
                    f"not be one class in all of them"
                )
    return None
