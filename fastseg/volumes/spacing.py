"""How far neighbouring voxels are apart along each axis, for what measures distances: known, and of axes at right angles."""

from __future__ import annotations

import numpy as np

from fastseg.volumes.errors import VolumeError
from fastseg.volumes.geometry import Geometry

__all__ = ["right_angled_spacing"]

#: Cosine between two axes of a volume beyond which it is sheared; headers round to less.
_SHEAR = 1e-3
#: By how much of itself the length of an axis is wrong whose components are float32; digits of what people have typed.
_ROUNDING, _DECIMALS = 2.0**-23, 6


def right_angled_spacing(geometry: Geometry, name: str) -> tuple[float, ...]:
    """Return the spacing along each axis in mm: the decimal number that it was before float32, or a rotation, rounded it.

    Parameters
    ----------
    geometry
        Of the volume.
    name
        What messages call it.

    Raises
    ------
    VolumeError
        If the spacing is not known, or the axes are not at right angles.
    """
    oblique = [False] * len(geometry.shape)
    if geometry.affine is not None and len(geometry.shape) >= 3:
        linear = geometry.affine[:3, :3]
        oblique[:3] = (np.count_nonzero(linear, axis=0) > 1).tolist()
        with np.errstate(all="ignore"):
            unit = linear / np.linalg.norm(linear, axis=0)
        cosine = float(np.abs(unit.T @ unit - np.eye(3)).max())
        if cosine > _SHEAR:
            raise VolumeError(
                f"{name}: expected axes at right angles for distances of surfaces, found a sheared volume (the cosine of an "
                f"angle is {cosine:.3g}); resample it first"
            )
    spacing = tuple(float(step) for step in geometry.spacing)
    if not all(0 < step < np.inf for step in spacing):
        raise VolumeError(
            f"{name}: expected a volume that says its spacing for distances of surfaces, found {spacing}; spacing= "
            "(--spacing) says it instead (distances in voxels: 1)"
        )
    return tuple(map(_meant, spacing, oblique))


def _meant(step: float, oblique: bool) -> float:
    """Return 0.8 for 0.800000012, which is 0.8 as a float32, so that a tolerance of 0.8 has what is one voxel away.

    An axis that lies obliquely is as long as its rounded components are together: there, 0.80000002 is 0.8, too.
    """
    short = np.float32(step)
    if float(short) == step:
        return float(np.format_float_scientific(short))
    decimals = (float(f"{step:.{digits}g}") for digits in range(1, _DECIMALS + 1 if oblique else 1))
    return next((decimal for decimal in decimals if abs(decimal - step) <= _ROUNDING * step), step)
