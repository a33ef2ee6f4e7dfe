"""Parts of objects that are compared instead of the whole: what is near the boundary, and the skeleton."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

__all__ = ["chebyshev_band", "euclidean_band", "skeleton"]

Mask = npt.NDArray[np.bool_]


def chebyshev_band(inside: Mask, steps: int) -> Mask:
    """Return the voxels of an object that are within that many steps, diagonal ones too, of what is outside.

    Outside of the image is outside.
    """
    inner = inside
    for axis in range(inside.ndim):  # the erosion by a cube is one by a line along each axis in turn
        inner = ndimage.minimum_filter1d(inner.view(np.uint8), 2 * steps + 1, axis, mode="constant").view(bool)
    return inside & ~inner


def euclidean_band(inside: Mask, distance: float, spacing: tuple[float, ...]) -> Mask:
    """Return the voxels of an object whose centres are nearer than `distance` to one with a face neighbour outside."""
    cross = ndimage.generate_binary_structure(inside.ndim, 1)
    border = inside & ~ndimage.binary_erosion(inside, cross)
    if not border.any():  # SciPy would measure to a voxel before the first
        return border
    return inside & (ndimage.distance_transform_edt(~border, sampling=spacing) < distance)


def skeleton(inside: Mask) -> Mask:
    """Return the centre line of an object by scikit-image: Zhang's thinning in 2-D, Lee's in 3-D.

    Raises
    ------
    ImportError
        If scikit-image is not installed.
    """
    try:
        from skimage.morphology import skeletonize
    except ImportError:
        raise ImportError(
            "centre lines are scikit-image's: pip install 'fastseg-metrics[skeleton]' (or scikit-image)"
        ) from None
    found: Mask = skeletonize(np.ascontiguousarray(inside)) != 0
    return found
