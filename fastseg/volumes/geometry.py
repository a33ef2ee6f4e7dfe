"""Where the voxels of a volume lie, and how two volumes lie apart: by how far their voxels are from each other, in mm."""

from __future__ import annotations

import functools
import itertools
import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fastseg.volumes.positions import Positions, apart

__all__ = [
    "NOISE",
    "TOLERANCE",
    "Geometry",
    "GeometryDifference",
    "axis_codes",
    "difference",
    "reorientation",
    "shapes_differ",
    "turned_affine",
    "unplaced",
]

Kind = Literal["flip or axis permutation", "translation", "affine", "spacing", "shape", "position"]

#: Affines are stored as float32 and recomputed by every tool: a hundredth of a voxel is noise, of which nobody wants to hear.
NOISE = 0.01
#: What passes with a note, in voxels: headers of oblique scans are rounded; half a voxel is no rounding.
TOLERANCE = 0.1


@dataclass(frozen=True, eq=False)
class Geometry:
    """Say where the voxels of a volume lie.

    Attributes
    ----------
    shape : tuple of int
        Voxels along each axis.
    affine : float64 array (4, 4) or None
        Voxel indices of the first three axes to mm, in RAS+ coordinates (NIfTI's: x to the right, y to the front, z up).
        It is kept as the file has it, also where it is NaN or singular: only a comparison of geometries refuses that. None
        where the format does not say where its voxels lie.
    spacing : tuple of float
        Along each axis of `shape`: mm (the affine's column norms for the first three), NaN where the file does not say.
    axes : str
        A letter for each axis of `shape`, where the format names them: "xyz" for NIfTI, "zyx" for a stack of TIFF pages,
        "yx" for a picture; "" for plain arrays.
    positions : Positions or None
        Where the file places its voxels, if that is not in a scanner's coordinates, as of maps and of microscopes.
    frame : str
        What a scanner's coordinates refer to, such as DICOM's UID of a frame of reference; "" where the file does not say.
    """

    shape: tuple[int, ...]
    affine: NDArray[np.float64] | None
    spacing: tuple[float, ...]
    axes: str = ""
    positions: Positions | None = None
    frame: str = ""

    @functools.cached_property
    def smallest_spacing(self) -> float:
        """Return the smallest of the affine's three spacings in mm: NaN if it is not finite or missing, 0 if singular."""
        if self.affine is None or not np.isfinite(self.affine).all():
            return math.nan
        linear = self.affine[:3, :3]
        with np.errstate(all="ignore"):
            spacing = np.linalg.norm(linear, axis=0)
            volume = abs(np.linalg.det(linear))
        # Relative to a box of the same edges: this does not depend on the unit.
        return float(spacing.min()) if volume > 1e-6 * spacing.prod() else 0.0

    @functools.cached_property
    def voxel_volume_ml(self) -> float:
        """Return the volume of one voxel in millilitres (sheared affines included), NaN where it is not known, or an area."""
        if len(self.shape) < 3:
            return math.nan
        if self.affine is None:
            return math.prod(self.spacing) / 1000.0 if len(self.spacing) == 3 else math.nan
        with np.errstate(all="ignore"):
            return float(abs(np.linalg.det(self.affine[:3, :3]))) / 1000.0

    @functools.cached_property
    def pixel_area(self) -> tuple[float, str] | None:
        """Return the area of a pixel of a picture and its unit, such as "mm²" or "m²"; None where it is not known."""
        if len(self.shape) != 2:
            return None
        area, unit = math.prod(self.spacing), "mm²"
        if self.affine is not None:
            area = float(np.linalg.norm(np.cross(self.affine[:3, 0], self.affine[:3, 1])))
        elif self.positions is not None and math.isnan(area) and (self.positions.unit or self.positions.frame):
            area, unit = math.prod(self.positions.steps), f"{self.positions.unit or 'map units'}²"
        return (area, unit) if math.isfinite(area) else None


@dataclass(frozen=True)
class GeometryDifference:
    """Describe how two volumes lie apart; ``str()`` is one sentence.

    Attributes
    ----------
    displacement_mm : float
        Largest distance between corresponding corners; NaN where one of them has no affine.
    tolerance_mm : float
        What passes for equal along the smallest spacing.
    kind : str
        "flip or axis permutation", "translation", "affine", "spacing" where one of them has no affine, "position" where
        files place their voxels otherwise than by affines, or "shape" where the shapes differ otherwise.
    detail : str
        What precisely differs.
    names : (str, str)
        What to call the reference and the prediction.
    displacement, tolerance : float
        The first two in voxels: the displacement along the axis where that is most.
    """

    displacement_mm: float
    tolerance_mm: float
    kind: Kind
    detail: str
    names: tuple[str, str] = ("reference", "prediction")
    displacement: float = math.nan
    tolerance: float = TOLERANCE

    def __str__(self) -> str:
        if self.displacement_mm != self.displacement_mm:  # not known
            return f"{self.names[1]}: does not lie as {self.names[0]}: {self.detail}"
        return f"{self._apart} (tolerance {self.tolerance:.4g} voxels): {self.detail}"

    @property
    def _apart(self) -> str:
        return f"{self.names[1]}: its corners lie up to {self.displacement_mm:.4g} mm from those of {self.names[0]}"

    def accepted(self, tolerance: float, option: str = "geometry_tolerance, --geometry-tolerance") -> str:
        """Say that it passes, under a tolerance that is larger than its own; the option sets that."""
        passes = f"which passes for the same place ({option}: {tolerance:.4g} voxels)"
        if self.displacement_mm != self.displacement_mm:
            return f"{self.names[1]}: does not quite lie as {self.names[0]}, {passes}: {self.detail}"
        return f"{self._apart}, {self.displacement:.2g} voxels, {passes}"


def unplaced(geometry: Geometry, name: str) -> str | None:
    """Say what is wrong with an affine that places no voxels; None where it places them, or there is none."""
    if geometry.affine is None or geometry.smallest_spacing > 0:
        return None
    problem = "singular" if geometry.smallest_spacing == 0 else "not finite"
    return f"{name}: expected an affine that places voxels, found one that is {problem}: {geometry.affine[:3].tolist()}"


def difference(
    reference: Geometry,
    prediction: Geometry,
    names: tuple[str, str],
    *,
    remedy: str = "",
    tolerance: float = TOLERANCE,
) -> GeometryDifference | None:
    """Return how two volumes lie apart: None if their shapes are equal and no corner is displaced by more than `tolerance`
    voxels along any axis of either.

    Parameters
    ----------
    reference, prediction : Geometry
        Affines that place voxels, or none: then only what both have is compared, the shapes, positions of other kinds, and
        the spacings within 1%.
    names : (str, str)
        What the texts call the two.
    remedy
        What to say after a difference that flips and a permutation of axes resolve.
    tolerance
        In voxels.

    Notes
    -----
    The corners are the centres of the eight voxels whose indices along the first three axes are 0 or n - 1. The
    displacement is a convex function of the index, so no voxel between them is displaced further.
    """
    if reference.affine is None or prediction.affine is None:
        return _spacings_differ(reference, prediction, names, tolerance)
    if reference.shape == prediction.shape and np.array_equal(reference.affine, prediction.affine):
        return None
    millimetres, voxels = _displacement(reference, prediction)
    if reference.shape == prediction.shape and voxels <= tolerance:
        return None
    kind, detail = _explain(reference, prediction, tolerance, remedy)
    passes = tolerance * min(reference.smallest_spacing, prediction.smallest_spacing)
    return GeometryDifference(millimetres, passes, kind, detail, names, voxels, tolerance)


def shapes_differ(reference: Geometry, prediction: Geometry, names: tuple[str, str], *, remedy: str = "") -> str:
    """Say that the shapes differ, and whether reordering the axes is all it takes."""
    sentence = f"{names[1]}: expected the shape {reference.shape} of {names[0]}, found {prediction.shape}"
    if not any(map(unplaced, (reference, prediction), names)):  # the shapes are reason enough
        found = difference(reference, prediction, names, remedy=remedy)
        if found is not None and found.kind == "flip or axis permutation":
            sentence += f": {found.detail}"
    return sentence


def _spacings_differ(
    reference: Geometry, prediction: Geometry, names: tuple[str, str], tolerance: float
) -> GeometryDifference | None:
    """Compare volumes of which one at least has no affine."""
    if reference.shape != prediction.shape:
        detail = f"the shapes {reference.shape} and {prediction.shape} differ"
        return GeometryDifference(math.nan, math.nan, "shape", detail, names)
    if reference.positions is not None and prediction.positions is not None:
        found = apart(reference.positions, prediction.positions, reference.axes, tolerance)
        if found is not None:
            return GeometryDifference(math.nan, math.nan, "position", found, names, tolerance=tolerance)
    one, other = (np.array(each.spacing, np.float64) for each in (reference, prediction))
    if one.shape != other.shape or not (np.abs(one - other) > NOISE * np.minimum(one, other)).any():
        return None
    detail = f"the spacings are {_triple(one)} and {_triple(other)} mm"
    return GeometryDifference(math.nan, math.nan, "spacing", detail, names)


def _placed(geometry: Geometry) -> NDArray[np.float64]:
    """Return the affine of a volume that has one."""
    assert geometry.affine is not None
    return geometry.affine


def _extent(geometry: Geometry) -> tuple[int, int, int]:
    """Return the voxels along the three axes of space, 1 where the volume has fewer."""
    first, second, third, *_ = (*geometry.shape, 1, 1, 1)
    return first, second, third


def _displacement(reference: Geometry, prediction: Geometry) -> tuple[float, float]:
    """Return the largest distance between corresponding corners: in mm, and in voxels along any axis of either."""
    one, other = _placed(reference), _placed(prediction)
    apart = _corners(other, _extent(prediction)) - _corners(one, _extent(reference))
    voxels = max(float(np.abs(np.linalg.solve(each[:3, :3], apart.T)).max()) for each in (one, other))
    return float(np.linalg.norm(apart, axis=1).max()), voxels


def _corners(affine: NDArray[np.float64], extent: tuple[int, int, int]) -> NDArray[np.float64]:
    """Return the positions (8, 3) of the corner voxels in mm."""
    indices = np.array(list(itertools.product(*((0, n - 1) for n in extent))), dtype=np.float64)
    return indices @ affine[:3, :3].T + affine[:3, 3]


def _explain(reference: Geometry, prediction: Geometry, tolerance: float, remedy: str) -> tuple[Kind, str]:
    """Name the simplest thing that turns one geometry into the other."""
    one, other = _placed(reference), _placed(prediction)
    codes = [axis_codes(affine) for affine in (one, other)]
    if reorientation(reference, prediction, tolerance) is not None:
        return (
            "flip or axis permutation",
            f"a pure flip or permutation of axes, the reference is stored as {codes[0]}, the prediction as {codes[1]}"
            + remedy,
        )
    if reference.shape != prediction.shape:
        return "shape", f"the shapes {reference.shape} and {prediction.shape} differ"
    offset = other[:3, 3] - one[:3, 3]
    shifted = other.copy()
    shifted[:3, 3] -= offset
    if _displacement(reference, Geometry(prediction.shape, shifted, prediction.spacing))[1] <= tolerance:
        voxels = np.linalg.solve(one[:3, :3], offset)
        return "translation", f"a pure translation by {_triple(voxels)} voxels, {_triple(offset)} mm"
    spacings = [_triple(np.linalg.norm(affine[:3, :3], axis=0)) for affine in (one, other)]
    detail = (
        f"the affines differ; the reference has orientation {codes[0]} and spacing {spacings[0]} mm, "
        f"the prediction {codes[1]} and {spacings[1]} mm"
    )
    return "affine", detail


def reorientation(
    reference: Geometry, prediction: Geometry, tolerance: float = TOLERANCE
) -> tuple[tuple[int, ...], tuple[bool, ...]] | None:
    """Find the flips and the permutation of axes that make a prediction lie where its reference does.

    Parameters
    ----------
    reference, prediction : Geometry
        Both with an affine that is finite and not singular.
    tolerance : float
        Displacement in voxels that passes for none.

    Returns
    -------
    (axes, flips) or None
        For each axis of the reference, which of the prediction's it is, and whether it runs the other way. None if no
        flip and permutation does it, or none is needed.
    """
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
    if _displacement(reference, Geometry(permuted, turned, prediction.spacing))[1] > tolerance:
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


def axis_codes(affine: NDArray[np.float64]) -> str:
    """Return towards which side each axis runs, such as "RAS", as nibabel's `aff2axcodes` does; "?" for one without a way.

    It is decided on the nearest rotation, which has no shear, from the axis that is surest of its side on.
    """
    linear = affine[:3, :3]
    lengths = np.linalg.norm(linear, axis=0)
    left, sizes, right = np.linalg.svd(linear / np.where(lengths == 0, 1, lengths))
    kept = sizes > sizes.max() * 3 * np.finfo(np.float64).eps
    rotation, codes = left[:, kept] @ right[kept], ["?"] * 3
    for axis in np.argsort(np.min(-(rotation**2), axis=0), kind="stable"):
        column = rotation[:, axis]
        if not np.allclose(column, 0):
            side = int(np.abs(column).argmax())
            codes[axis] = ("LR", "PA", "IS")[side][int(column[side] > 0)]
            rotation[side] = 0
    return "".join(codes)


def _triple(values: NDArray[np.floating[Any]]) -> str:
    """Write three numbers without float noise."""
    return f"({', '.join(f'{value:.4g}' for value in np.round(values, 4) + 0.0)})"
