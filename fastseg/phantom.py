"""The test volumes that the demo, the tests and the benchmarks share.

A phantom is a label map of ellipsoidal "organs" on background; its prediction is the same organs moved and resized a
little, so the two disagree where real segmentations do: at the boundaries.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["noise_pair", "phantom_pair"]


def phantom_pair(
    shape: tuple[int, ...] = (512, 512, 512),
    num_classes: int = 14,
    *,
    foreground: float = 0.05,
    seed: int = 0,
    dtype: npt.DTypeLike = np.uint8,
) -> tuple[npt.NDArray[np.generic], npt.NDArray[np.generic]]:
    """Make a pair of label maps: ellipsoids, and the same ellipsoids shifted and resized.

    Parameters
    ----------
    shape
        Shape of both maps, of any rank.
    num_classes
        Number of labels, background (0) included.
    foreground
        Fraction of voxels that the organs cover, approximately (they may overlap).
    seed
        Seed of the random positions and sizes: the same arguments give the same volumes.
    dtype
        Type of both maps.

    Returns
    -------
    y_true, y_pred : ndarray
        C-ordered label maps of `shape` and `dtype`.

    Examples
    --------
    >>> y_true, y_pred = phantom_pair((32, 32, 32), num_classes=3)
    >>> y_true.shape, int(y_true.max())
    ((32, 32, 32), 2)
    """
    rng = np.random.default_rng(seed)
    rank, organs = len(shape), num_classes - 1
    y_true, y_pred = np.zeros(shape, dtype), np.zeros(shape, dtype)
    if not organs or not rank or not y_true.size:
        return y_true, y_pred
    # The unit ball of rank d fills pi^(d/2) / gamma(d/2 + 1) of its radius^d.
    ball = {1: 2.0, 2: np.pi, 3: 4.0 / 3.0 * np.pi}.get(rank, 4.0)
    radius = (foreground / organs / ball) ** (1.0 / rank)
    extent = np.asarray(shape, np.float64)
    for label in range(1, num_classes):
        centre = rng.uniform(0.2, 0.8, rank) * extent
        radii = radius * rng.uniform(0.75, 1.3, rank) * extent
        _paint(y_true, label, centre, radii)
        _paint(y_pred, label, centre + rng.uniform(-0.1, 0.1, rank) * radii, radii * rng.uniform(0.93, 1.07, rank))
    return y_true, y_pred


def noise_pair(
    shape: tuple[int, ...] = (512, 512, 512), num_classes: int = 14, *, seed: int = 0, dtype: npt.DTypeLike = np.uint8
) -> tuple[npt.NDArray[np.generic], npt.NDArray[np.generic]]:
    """Make a pair of independent maps of uniformly random labels: the hardest case for a counting kernel.

    Examples
    --------
    >>> y_true, y_pred = noise_pair((4, 4), num_classes=2)
    >>> y_true.shape, y_pred.dtype
    ((4, 4), dtype('uint8'))
    """
    rng = np.random.default_rng(seed)
    draw = np.uint8 if num_classes <= 256 else np.int64
    y_true, y_pred = (rng.integers(0, num_classes, shape, dtype=draw) for _ in range(2))
    return y_true.astype(dtype, copy=False), y_pred.astype(dtype, copy=False)


def _paint(
    volume: npt.NDArray[np.generic], label: int, centre: npt.NDArray[np.float64], radii: npt.NDArray[np.float64]
) -> None:
    """Set the voxels of one ellipsoid to `label`, working only inside its bounding box."""
    low = np.maximum(np.floor(centre - radii), 0).astype(int)
    high = np.minimum(np.ceil(centre + radii) + 1, volume.shape).astype(int)
    if np.any(low >= high):
        return
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    grids = np.ogrid[box]
    distance = sum(((g - c) / r) ** 2 for g, c, r in zip(grids, centre, radii, strict=True))
    volume[box][np.asarray(distance <= 1.0)] = label
