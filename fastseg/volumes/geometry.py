"""Do two volumes lie at the same place? Compare affines by what matters: how far the voxels are apart, in mm."""

from __future__ import annotations

import contextlib
import importlib
import itertools
import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fastseg.volumes.volume import Geometry, VolumeError

Kind = Literal["flip or axis permutation", "translation", "affine", "spacing", "shape"]

# Affines are stored as float32 and recomputed by every tool: a hundredth of a voxel is noise, half a voxel is not.
_TOLERANCE_VOXELS = 0.01
_POLICIES = ("error", "warn", "ignore")


class GeometryError(VolumeError):
    """Two volumes that cannot be compared voxel by voxel, or an affine that places none."""


@dataclass(frozen=True)
class GeometryDifference:
    """Describe how two volumes lie apart; ``str()`` is one sentence.

    Attributes
    ----------
    displacement_mm : float
        Largest distance between corresponding corners; NaN where one of them has no affine.
    tolerance_mm : float
        What would have passed for equal.
    kind : str
        "flip or axis permutation", "translation", "affine", "spacing" where one of them has no affine, or "shape" where
        the shapes differ otherwise.
    detail : str
        What precisely differs.
    names : (str, str)
        What to call the reference and the prediction.
    """

    displacement_mm: float
    tolerance_mm: float
    kind: Kind
    detail: str
    names: tuple[str, str] = ("reference", "prediction")

    def __str__(self) -> str:
        if self.displacement_mm != self.displacement_mm:  # not known
            return f"{self.names[1]}: does not lie as {self.names[0]}: {self.detail}"
        return (
            f"{self.names[1]}: its corners lie up to {self.displacement_mm:.4g} mm from those of {self.names[0]} "
            f"(tolerance {self.tolerance_mm:.2g} mm): {self.detail}"
        )


def compare_geometry(
    reference: Geometry, prediction: Geometry, *, names: tuple[str, str] = ("reference", "prediction")
) -> GeometryDifference | None:
    """Compare where the voxels of two volumes lie.

    Parameters
    ----------
    reference : Geometry
        Of the true segmentation.
    prediction : Geometry
        Of the one that is compared with it.
    names : (str, str)
        What the texts call them, for example their paths.

    Returns
    -------
    GeometryDifference or None
        None if the shapes are equal and no corner is displaced by more than 1% of the smallest spacing of either. Where a file
        has no affine, only what both have is compared: the shapes, and the spacings within 1%.

    Raises
    ------
    GeometryError
        If an affine is not finite or is singular.

    Notes
    -----
    The corners are the centres of the eight voxels whose indices along the first three axes are 0 or n - 1. The
    displacement is a convex function of the index, so no voxel between them is displaced further.
    """
    if reference.affine is None or prediction.affine is None:
        return _spacings_differ(reference, prediction, names)
    smallest = _smallest_spacing(reference, names[0])
    if reference.shape == prediction.shape and np.array_equal(reference.affine, prediction.affine):
        return None
    tolerance = _TOLERANCE_VOXELS * min(smallest, _smallest_spacing(prediction, names[1]))
    displacement = _displacement(reference, prediction)
    if reference.shape == prediction.shape and displacement <= tolerance:
        return None
    kind, detail = _explain(reference, prediction, tolerance)
    return GeometryDifference(displacement, tolerance, kind, detail, names)


def _spacings_differ(reference: Geometry, prediction: Geometry, names: tuple[str, str]) -> GeometryDifference | None:
    """Compare volumes of which one at least does not say where it lies."""
    if reference.shape != prediction.shape:
        detail = f"the shapes {reference.shape} and {prediction.shape} differ"
        return GeometryDifference(math.nan, math.nan, "shape", detail, names)
    one, other = (np.array(each.spacing, np.float64) for each in (reference, prediction))
    if one.shape != other.shape or not (np.abs(one - other) > _TOLERANCE_VOXELS * np.minimum(one, other)).any():
        return None
    detail = f"the spacings are {_triple(one)} and {_triple(other)} mm"
    return GeometryDifference(math.nan, math.nan, "spacing", detail, names)


def check_geometry(
    reference: Geometry,
    prediction: Geometry,
    policy: str = "error",
    names: tuple[str, str] = ("reference", "prediction"),
) -> str | None:
    """Refuse, report or overlook two volumes that do not lie at the same place.

    Parameters
    ----------
    reference : Geometry
        Of the true segmentation.
    prediction : Geometry
        Of the one that is compared with it.
    policy : {"error", "warn", "ignore"}
        What a displacement does. Shapes that differ are an error under every policy.
    names : (str, str)
        What the texts call the two.

    Returns
    -------
    str or None
        Under "warn" the sentence that says what differs; None if nothing does, or under "ignore".

    Raises
    ------
    GeometryError
        If the shapes differ, or under "error" the positions, or an affine is not finite or singular.
    ValueError
        If the policy is none of the three.
    """
    if policy not in _POLICIES:
        raise ValueError(f"geometry: expected one of {', '.join(_POLICIES)}, found {policy!r}")
    if reference.shape != prediction.shape:
        raise GeometryError(_shape_sentence(reference, prediction, names))
    if policy == "ignore":
        return None
    try:
        difference = compare_geometry(reference, prediction, names=names)
    except GeometryError as error:
        if policy == "error":
            raise
        return str(error)
    if difference is None:
        return None
    if policy == "error":
        raise GeometryError(str(difference))
    return str(difference)


def _shape_sentence(reference: Geometry, prediction: Geometry, names: tuple[str, str]) -> str:
    """Say that the shapes differ, and whether reordering the axes is all it takes."""
    sentence = f"{names[1]}: expected the shape {reference.shape} of {names[0]}, found {prediction.shape}"
    with contextlib.suppress(GeometryError):  # the shapes are reason enough
        difference = compare_geometry(reference, prediction, names=names)
        if difference is not None and difference.kind == "flip or axis permutation":
            sentence += f": {difference.detail}"
    return sentence


def _placed(geometry: Geometry) -> NDArray[np.float64]:
    """Return the affine of a volume that has one."""
    assert geometry.affine is not None
    return geometry.affine


def _smallest_spacing(geometry: Geometry, name: str) -> float:
    """Return the smallest spacing in mm; raise GeometryError if the affine places no voxels."""
    if geometry.smallest_spacing > 0:
        return geometry.smallest_spacing
    affine, problem = _placed(geometry), "singular" if geometry.smallest_spacing == 0 else "not finite"
    raise GeometryError(
        f"{name}: expected an affine that places voxels, found one that is {problem}: {affine[:3].tolist()}"
    )


def _extent(geometry: Geometry) -> tuple[int, int, int]:
    """Return the voxels along the three axes of space, 1 where the volume has fewer."""
    first, second, third, *_ = (*geometry.shape, 1, 1, 1)
    return first, second, third


def _displacement(reference: Geometry, prediction: Geometry) -> float:
    """Return the largest distance between corresponding corners in mm."""
    apart = _corners(_placed(prediction), _extent(prediction)) - _corners(_placed(reference), _extent(reference))
    return float(np.linalg.norm(apart, axis=1).max())


def _corners(affine: NDArray[np.float64], extent: tuple[int, int, int]) -> NDArray[np.float64]:
    """Return the positions (8, 3) of the corner voxels in mm."""
    indices = np.array(list(itertools.product(*((0, n - 1) for n in extent))), dtype=np.float64)
    return indices @ affine[:3, :3].T + affine[:3, 3]


def _explain(reference: Geometry, prediction: Geometry, tolerance: float) -> tuple[Kind, str]:
    """Name the simplest thing that turns one geometry into the other."""
    one, other = _placed(reference), _placed(prediction)
    codes = ["".join(_orientations().aff2axcodes(affine)) for affine in (one, other)]
    if reorientation(reference, prediction, tolerance) is not None:
        return (
            "flip or axis permutation",
            f"a pure flip or permutation of axes, the reference is stored as {codes[0]}, the prediction as {codes[1]} "
            "(reorient, --reorient, resolves that)",
        )
    if reference.shape != prediction.shape:
        return "shape", f"the shapes {reference.shape} and {prediction.shape} differ"
    offset = other[:3, 3] - one[:3, 3]
    shifted = other.copy()
    shifted[:3, 3] -= offset
    if _displacement(reference, Geometry(prediction.shape, shifted, prediction.spacing)) <= tolerance:
        voxels = np.linalg.solve(one[:3, :3], offset)
        return "translation", f"a pure translation by {_triple(voxels)} voxels, {_triple(offset)} mm"
    spacings = [_triple(np.linalg.norm(affine[:3, :3], axis=0)) for affine in (one, other)]
    detail = (
        f"the affines differ; the reference has orientation {codes[0]} and spacing {spacings[0]} mm, "
        f"the prediction {codes[1]} and {spacings[1]} mm"
    )
    return "affine", detail


def reorientation(
    reference: Geometry, prediction: Geometry, tolerance: float | None = None
) -> tuple[tuple[int, ...], tuple[bool, ...]] | None:
    """Find the flips and the permutation of axes that make a prediction lie where its reference does.

    Parameters
    ----------
    reference, prediction : Geometry
        Both with an affine that is finite and not singular.
    tolerance : float, optional
        Displacement in mm that passes for none; default 1% of the smallest spacing.

    Returns
    -------
    (axes, flips) or None
        For each axis of the reference, which of the prediction's it is, and whether it runs the other way. None if no
        flip and permutation does it, or none is needed.
    """
    if tolerance is None:
        names = ("reference", "prediction")
        spacings = [_smallest_spacing(each, name) for each, name in zip((reference, prediction), names, strict=True)]
        tolerance = _TOLERANCE_VOXELS * min(spacings)
    one, other, extent = _placed(reference), _placed(prediction), _extent(prediction)
    steps = np.linalg.solve(one[:3, :3], other[:3, :3])  # of the prediction's axes, in voxels of the reference
    spatial = tuple(int(axis) for axis in np.abs(steps).argmax(axis=1))
    if sorted(spatial) != [0, 1, 2]:
        return None
    backwards = tuple(bool(steps[place, axis] < 0) for place, axis in enumerate(spatial))
    permuted = tuple(extent[axis] for axis in spatial) + prediction.shape[3:]
    if permuted != _extent(reference) + reference.shape[3:]:
        return None
    turned = turned_affine(other, extent, spatial, backwards)
    if _displacement(reference, Geometry(permuted, turned, prediction.spacing)) > tolerance:
        return None
    ndim = len(prediction.shape)
    axes = tuple(axis for axis in spatial if axis < ndim) + tuple(range(3, ndim))
    flips = tuple(flip for flip, axis in zip(backwards, spatial, strict=True) if axis < ndim) + (False,) * (ndim - 3)
    if axes == tuple(range(ndim)) and not any(flips):
        return None
    return axes, flips


def turned_affine(
    affine: NDArray[np.float64], shape: tuple[int, ...], axes: tuple[int, ...], flips: tuple[bool, ...]
) -> NDArray[np.float64]:
    """Return the affine of a volume whose three axes of space are permuted, and then flipped.

    Parameters
    ----------
    affine, shape
        Of the volume as it is.
    axes : tuple of int
        For each of the three axes afterwards, which it was.
    flips : tuple of bool
        Which axes afterwards run the other way.
    """
    turned = affine.copy()
    for place, (axis, flip) in enumerate(zip(axes, flips, strict=True)):
        turned[:, place] = -affine[:, axis] if flip else affine[:, axis]
        if flip:
            turned[:, 3] += affine[:, axis] * (shape[axis] - 1)
    return turned


def _orientations() -> Any:
    """Import nibabel's orientations, which only a difference needs."""
    return importlib.import_module("nibabel.orientations")


def _triple(values: NDArray[np.floating[Any]]) -> str:
    """Write three numbers without float noise."""
    return f"({', '.join(f'{value:.4g}' for value in np.round(values, 4) + 0.0)})"
