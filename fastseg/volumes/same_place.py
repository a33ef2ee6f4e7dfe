"""Do two volumes lie at the same place? Compare affines by what matters: how far the voxels are apart, in mm."""

from __future__ import annotations

from fastseg.volumes import geometry
from fastseg.volumes.errors import VolumeError
from fastseg.volumes.geometry import NOISE, TOLERANCE, Geometry, GeometryDifference

__all__ = ["GeometryDifference", "GeometryError", "check_geometry", "compare_geometry", "reorientation"]

_POLICIES = ("error", "warn", "ignore")
_REMEDY = " (reorient, --reorient, resolves that)"


class GeometryError(VolumeError):
    """Two volumes that cannot be compared voxel by voxel, or an affine that places none."""


def compare_geometry(
    reference: Geometry,
    prediction: Geometry,
    *,
    names: tuple[str, str] = ("reference", "prediction"),
    tolerance: float = TOLERANCE,
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
    tolerance : float
        How many voxels a corner may be displaced along an axis.

    Returns
    -------
    GeometryDifference or None
        None if the shapes are equal and no corner is displaced by more than the tolerance. Where a file has no affine, only
        what both have is compared: the shapes, positions on a map or in an OME image, and the spacings within 1%.

    Raises
    ------
    GeometryError
        If an affine is not finite or is singular.
    """
    _check_placed(reference, prediction, names)
    return geometry.difference(reference, prediction, names, remedy=_REMEDY, tolerance=tolerance)


def reorientation(reference: Geometry, prediction: Geometry) -> tuple[tuple[int, ...], tuple[bool, ...]] | None:
    """Find what `geometry.reorientation` finds; GeometryError if an affine is not finite or is singular."""
    _check_placed(reference, prediction, ("reference", "prediction"))
    return geometry.reorientation(reference, prediction)


def _check_placed(reference: Geometry, prediction: Geometry, names: tuple[str, str]) -> None:
    if reference.affine is None or prediction.affine is None:
        return
    for problem in map(geometry.unplaced, (reference, prediction), names):
        if problem is not None:
            raise GeometryError(problem)


def check_geometry(
    reference: Geometry,
    prediction: Geometry,
    policy: str = "error",
    names: tuple[str, str] = ("reference", "prediction"),
    tolerance: float = TOLERANCE,
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
    tolerance : float
        How many voxels a corner may be displaced along an axis; what is more than noise, and passes, is said.

    Returns
    -------
    str or None
        The sentence that says what differs, under "warn" or because it passes; None if nothing does, or under "ignore". That
        two files name other frames of reference is said, and passes: who copies or conceals files may give them new ones.

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
        raise GeometryError(geometry.shapes_differ(reference, prediction, names, remedy=_REMEDY))
    if policy == "ignore":
        return None
    try:
        difference = compare_geometry(reference, prediction, names=names, tolerance=tolerance)
        if difference is None and tolerance > NOISE:
            small = compare_geometry(reference, prediction, names=names, tolerance=NOISE)
            found = [_frames_differ(reference, prediction, names), None if small is None else small.accepted(tolerance)]
            return "; ".join(text for text in found if text is not None) or None
    except GeometryError as error:
        if policy == "error":
            raise
        return str(error)
    if difference is None:
        return _frames_differ(reference, prediction, names)
    if policy == "error":
        raise GeometryError(str(difference))
    return str(difference)


def _frames_differ(reference: Geometry, prediction: Geometry, names: tuple[str, str]) -> str | None:
    """Say that positions refer to unlike frames, where both files name theirs."""
    one, other = reference.frame, prediction.frame
    if not one or not other or one == other:
        return None
    return f"{names[1]}: its frame of reference is {other}, that of {names[0]} is {one}: taken for the same"
