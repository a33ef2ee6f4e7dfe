"""Six small pairs of masks, made of integer inequalities, so that they are the same anywhere; and a ball."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]
SHAPE, TENTHS = (20, 48, 40), (25, 9, 13)  # tenths of a millimetre
SKEW, UNIT = (2.5, 0.9, 1.3), (1.0, 1.0, 1.0)


def ball(centre: tuple[int, ...], radius: int, shape: tuple[int, ...] = SHAPE, tenths: Any = TENTHS) -> Mask:
    """Return the voxels whose centres are within a radius, in tenths of a millimetre."""
    grid = np.ogrid[tuple(slice(0, n) for n in shape)]
    squares: Any = sum(((x - c) * s) ** 2 for x, c, s in zip(grid, centre, tenths, strict=True))
    return np.asarray(squares <= radius * radius)


def cases() -> dict[str, tuple[Mask, Mask, tuple[float, float, float]]]:
    """Return truth, prediction and spacing of each case by its name."""
    stray = ball((1, 44, 3), 150)
    stray[18, 2, 38] = True
    cube, moved, nothing = (np.zeros((20, 20, 20), bool) for _ in range(3))
    cube[5:15, 5:15, 5:15] = moved[6:16, 5:15, 5:15] = True
    return {
        "balls": (ball((9, 23, 20), 140), ball((10, 25, 17), 125), SKEW),
        "border": (ball((0, 47, 0), 150), stray, SKEW),
        "cube": (cube, moved, UNIT),
        "prediction empty": (cube, nothing, UNIT),
        "truth empty": (nothing, cube, UNIT),
        "both empty": (nothing, nothing, UNIT),
    }
