"""What headers of NRRD and MetaImage say that SimpleITK passes over: units, spaces that are no patient's, scales of values."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from fastseg.volumes.errors import VolumeError
from fastseg.volumes.formats.axis_names import letters
from fastseg.volumes.geometry import Geometry
from fastseg.volumes.positions import Positions

__all__ = ["Said", "meta_says", "nrrd_says"]

_MM = {
    "m": 1e3, "meter": 1e3, "metre": 1e3, "dm": 100.0, "cm": 10.0, "centimeter": 10.0, "mm": 1.0, "millimeter": 1.0,
    "um": 1e-3, "µm": 1e-3, "μm": 1e-3, "micron": 1e-3, "microns": 1e-3, "micrometer": 1e-3, "micrometre": 1e-3, "nm": 1e-6,
    "nanometer": 1e-6, "in": 25.4, "inch": 25.4,
}  # fmt: skip
#: Spaces of a patient, whose axes ITK turns to its own.
_PATIENT = re.compile(r"(left|right)-(anterior|posterior)-superior(-time)?|[lr][ap]st?")
_QUOTED = re.compile(r'"([^"]*)"|(\S+)')


#: Fields of MetaImage that say the same.
_SAME = (("Offset", "Position", "Origin"), ("TransformMatrix", "Rotation", "Orientation"))


class Said(NamedTuple):
    """What a header says."""

    geometry: Geometry
    scaling: tuple[float, float] | None
    notes: tuple[str, ...]


def nrrd_says(path: str, fields: Mapping[str, str], geometry: Geometry) -> Said:
    """Obey the fields of an NRRD header, by their names in lower case and without spaces, that SimpleITK does not.

    Raises
    ------
    VolumeError
        If values are quantised, units are unknown or unlike, or an axis of space has no direction.
    """
    if "oldmin" in fields or "oldmax" in fields:
        raise VolumeError(
            f"{path}: expected labels as they are, found values that are quantised (old min {fields.get('oldmin')}, "
            f"old max {fields.get('oldmax')})"
        )
    _check_ends(path, fields, geometry)
    directions = fields.get("spacedirections", "").split()
    if "none" in directions and len(directions) == len(geometry.shape):
        raise VolumeError(f"{path}: expected a direction for each axis, found space directions {' '.join(directions)}")
    factor = _factor(path, [a or b for a, b in _QUOTED.findall(fields.get("spaceunits", fields.get("units", "")))][:3])
    geometry = _in_mm(geometry, factor)
    space = fields.get("space", "").lower()
    if (space and _PATIENT.fullmatch(space)) or (
        directions and not space
    ):  # ITK has no names for two axes, and for four
        unsaid = fields.get("spaceorigin", "none").strip("() ").lower()
        note = f"{path}: states no origin (space origin): its first voxel is taken to be at 0"
        return Said(geometry, None, (note,) if unsaid.startswith(("none", "nan")) else ())
    axes = letters([a or b for a, b in _QUOTED.findall(fields.get("labels", ""))]) if not directions else ""
    axes = axes if sorted(axes) == sorted(geometry.axes) else geometry.axes
    placed = bool(directions) or "axismins" in fields
    if not placed:
        note = f"{path}: states no position (it has no space): only shape and spacing are compared"
        return Said(Geometry(geometry.shape, None, geometry.spacing, axes), None, (note,))
    return Said(_in_own_space(geometry, axes, space), None, ())


def _check_ends(path: str, fields: Mapping[str, str], geometry: Geometry) -> None:
    """Refuse the ends of axes that contradict their spacing, or stand without their beginning."""
    if "axismaxs" not in fields:
        return
    try:
        last, first, steps = (
            [float(each) for each in fields.get(key, "").split()] for key in ("axismaxs", "axismins", "spacings")
        )
    except ValueError:
        first = []
    known = len(first) == len(last) > 0
    for low, high, step, extent in zip(first, last, steps, geometry.shape, strict=False):
        known &= not abs(high - low - step * (extent - 1)) > 1.01 * abs(step)  # by corners or centres; NaN is not
    if not known:
        raise VolumeError(
            f"{path}: expected axis maxs that fit axis mins and spacings, found {fields['axismaxs'][:60]!r}"
        )


def meta_says(path: str, fields: Mapping[str, str], geometry: Geometry) -> Said:
    """Obey the fields of a MetaImage header that SimpleITK does not.

    Raises
    ------
    VolumeError
        If one of them is no number or no unit, or contradicts what there is besides.
    """
    slope, offset = (
        _number(path, key, fields[key]) if key in fields else default
        for key, default in (("ElementToIntensityFunctionSlope", 1.0), ("ElementToIntensityFunctionOffset", 0.0))
    )
    if slope == 0:
        raise VolumeError(f"{path}: expected an ElementToIntensityFunctionSlope that is not 0, found 0")
    if "ObjectType" in fields and fields["ObjectType"].lower() != "image":
        raise VolumeError(f"{path}: expected an image, found ObjectType {fields['ObjectType'][:40]!r}")
    _check_placed_once(path, fields)
    if not re.fullmatch("0|-1", fields.get("HeaderSize", "0")) and fields["ElementDataFile"].lower() == "local":
        raise VolumeError(f"{path}: expected voxels right after the header, found HeaderSize {fields['HeaderSize']}")
    turned = {"TransformMatrix", "Rotation", "Orientation"} & fields.keys()
    anatomical = fields.get("AnatomicalOrientation", "").upper()
    if not turned and re.fullmatch("[RLAPIS]{3}", anatomical) and anatomical != "RAI":
        raise VolumeError(f"{path}: expected a TransformMatrix beside AnatomicalOrientation {anatomical}, found none")
    units = fields.get("DistanceUnits", "")
    geometry = _in_mm(geometry, _factor(path, [] if units in ("", "?") else [units]))
    return Said(geometry, None if (slope, offset) == (1.0, 0.0) else (slope, offset), ())


def _check_placed_once(path: str, fields: Mapping[str, str]) -> None:
    """Refuse fields that place voxels twice, or turn them about a point, which ITK passes over."""

    def numbers(key: str) -> list[float]:
        return [_number(path, key, text) for text in fields.get(key, "").split()]

    for names in _SAME:
        if len({tuple(numbers(name)) for name in names if name in fields}) > 1:
            raise VolumeError(f"{path}: expected one of {', '.join(names)}, found several that differ")
    turned = next((numbers(name) for name in _SAME[1] if name in fields), [])
    if any(numbers("CenterOfRotation")) and turned != np.eye(math.isqrt(len(turned))).ravel().tolist():
        found = fields["CenterOfRotation"]
        raise VolumeError(f"{path}: expected voxels that are turned about the origin, found CenterOfRotation {found}")


def _number(path: str, key: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise VolumeError(f"{path}: expected a finite number in {key}, found {text[:40]!r}")
    return number


def _factor(path: str, units: list[str]) -> float:
    """Return how many mm a unit is; 1 where none is said."""
    known = {_MM.get(unit.lower()) for unit in units if unit not in ("", "???")}
    if not known:
        return 1.0
    factor = known.pop()
    if factor is None or known:
        raise VolumeError(
            f"{path}: expected one unit of length for all axes, such as mm or um, found {', '.join(units)}"
        )
    return factor


def _in_mm(geometry: Geometry, factor: float) -> Geometry:
    if factor == 1 or geometry.affine is None:
        return geometry
    affine = geometry.affine.copy()
    affine[:3] *= factor
    affine.flags.writeable = False
    spacing = tuple(step * factor if axis < 3 else step for axis, step in enumerate(geometry.spacing))
    return Geometry(geometry.shape, affine, spacing, geometry.axes)


def _in_own_space(geometry: Geometry, axes: str, space: str) -> Geometry:
    """Return the geometry of a file whose space is no patient's: comparable with those of the same space only."""
    assert geometry.affine is not None
    columns, shape = geometry.affine[:3, :3], geometry.shape
    frame = space or "a space without a name"
    main = np.abs(columns).argmax(0)[: len(shape)]
    straight = np.allclose(np.abs(columns).sum(0), np.abs(columns).max(0), rtol=1e-4)
    if not straight or len(set(main.tolist())) < len(main) or (main != np.arange(len(main))).any():
        turned = "; ".join(", ".join(f"{each + 0:.5g}" for each in np.round(column, 6) + 0.0) for column in columns.T)
        frame += f" along ({turned})"
    origin = [float(geometry.affine[axis, 3]) if axis < 3 else math.nan for axis in range(len(shape))]
    signs = [math.copysign(1, columns[k, axis]) for axis, k in enumerate(main)]
    steps = [sign * step for sign, step in zip(signs, geometry.spacing, strict=False)]
    steps += [math.nan] * (len(shape) - len(steps))
    return Geometry(shape, None, geometry.spacing, axes, Positions.of(origin, steps, shape, "mm", frame))
