"""Pictures whose stored 0 is white: what they hold depends on who reads them, so that no number of theirs can be trusted.

Pillow and viewers go by the colour. tifffile and ITK return what is stored, ImageJ measures it, and that is what ImageJ (with
an inverting look-up table) and tifffile (of a bool array, unless it is told otherwise) mean by their masks.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastseg.volumes.errors import VolumeError


def negative(path: str, found: str) -> VolumeError:
    """Return the error that says why a picture is not read, and what to do."""
    return VolumeError(
        f"{path}: expected a picture whose stored 0 is black, found {found}: for some programs its objects are what is stored "
        f"as 0, for others all else; save the labels so that 0 is black, such as "
        f'tifffile.imwrite(file, labels, photometric="minisblack") or a PNG file of greys'
    )


def runs_from_white_to_black(palette: NDArray[np.integer]) -> bool:
    """Say whether a palette is of greys that fall evenly from white to black: then it makes a negative of the indexes.

    Parameters
    ----------
    palette : numpy.ndarray
        A row of red, green and blue for each index, 0 to 255. Its last colour may be repeated, as writers do to fill it up.

    Examples
    --------
    >>> runs_from_white_to_black(np.array([[255, 255, 255], [0, 0, 0]]))
    True
    """
    greys = palette[:, 0].astype(np.int64)
    if (palette != palette[:, :1]).any():
        return False
    used = int(np.flatnonzero(greys != greys[-1]).max(initial=-1)) + 2
    return used >= 2 and bool((np.abs(greys[:used] - np.linspace(255, 0, used)) <= 1).all())
