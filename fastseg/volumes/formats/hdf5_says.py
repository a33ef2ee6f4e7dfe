"""What the attributes of HDF5 datasets say, by the conventions of those who write them: ilastik, netCDF, ITK, HDF5 images."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import re
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastseg.volumes.errors import VolumeError
from fastseg.volumes.formats.axis_names import letters
from fastseg.volumes.formats.cf import ATTRIBUTES, Values, reference_system, values_of
from fastseg.volumes.formats.negatives import negative
from fastseg.volumes.geometry import Geometry
from fastseg.volumes.positions import Positions

__all__ = ["Said", "chunks_note", "said_of"]

_ITK = "/ITKImage/"
#: Lengths of coordinates, which are compared in metres.
_METRES = {
    "m": 1.0, "meter": 1.0, "meters": 1.0, "metre": 1.0, "metres": 1.0, "km": 1e3, "kilometer": 1e3, "kilometers": 1e3,
    "cm": 1e-2, "mm": 1e-3, "millimeter": 1e-3, "millimeters": 1e-3, "um": 1e-6, "µm": 1e-6, "μm": 1e-6, "micrometer": 1e-6,
    "nm": 1e-9, "nanometer": 1e-9,
}  # fmt: skip
#: What places the grids of HDF-EOS.
_EOS = re.compile(r"(?:UpperLeftPointMtrs|LowerRightMtrs|Projection|ProjParams|ZoneCode|GridOrigin)=\S+")
_UNNAMED = "This is a netCDF dimension but not a netCDF variable"


class Said(NamedTuple):
    """What is known of a dataset."""

    geometry: Geometry
    values: Values
    palette: NDArray[np.uint8] | None


def said_of(name: str, file: Any, dataset: Any, dtype: np.dtype[Any]) -> Said:
    """Read what is said of a dataset whose axes are in the order in which they are stored.

    Raises
    ------
    VolumeError
        If it is of MINC, a negative or turned picture, or one of colours, or an attribute is none of its convention.
    """
    attributes, shape = dataset.attrs, tuple(dataset.shape)
    if str(dataset.name).startswith("/minc-2.0/"):
        raise VolumeError(
            f"{name}: expected labels as they are, found MINC 2, whose slices each have a scale of their own: convert it with "
            f"mnc2nii"
        )
    if "ImarisVersion" in file.attrs:
        raise VolumeError(
            f"{name}: expected labels as they are, found a file of Imaris, whose data are padded and placed elsewhere in it: "
            "export it as OME-TIFF"
        )
    palette = _picture(name, file, attributes)
    plain = {key: _read(attributes, key) for key in ATTRIBUTES}
    values = values_of(name, {key: value for key, value in plain.items() if value is not None}, dtype)
    placed = _of_itk(dataset, shape)
    if placed is not None:
        return Said(placed, values, palette)
    axes = _axes(name, dataset)
    spacing = _spacing(name, attributes, len(shape))
    return Said(Geometry(shape, None, spacing, axes, _positions(name, file, dataset, shape)), values, palette)


def chunks_note(name: str, dataset: Any) -> tuple[str, ...]:
    """Say how many chunks of a dataset are not stored, where some are not."""
    wanted = math.prod(-(-n // size) for n, size in zip(dataset.shape, dataset.chunks or dataset.shape, strict=True))
    absent = wanted - int(dataset.id.get_num_chunks()) if dataset.chunks else int(not dataset.id.get_storage_size())
    if absent <= 0:
        return ()
    what = f"{absent} of {wanted} chunks are not" if dataset.chunks else "nothing of it is"
    return (f"{name}: {what} stored: such voxels have the fill value {dataset.fillvalue}",)


def _read(attributes: Any, key: str) -> Any:
    """Return an attribute, None where there is none, or none that can be read."""
    with contextlib.suppress(Exception):  # of a corrupt file, any
        return attributes.get(key)
    return None


def _text(value: Any) -> str:
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.reshape(-1)[0]
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _axes(name: str, dataset: Any) -> str:
    """Return the letters of the axes: of ilastik's axistags, or of the labels or scales of the dimensions."""
    tags = _read(dataset.attrs, "axistags")
    if tags is not None:
        try:
            keys = [axis["key"] for axis in json.loads(_text(tags))["axes"]]
        except (ValueError, KeyError, TypeError, RecursionError):
            raise VolumeError(f"{name}: expected axistags of ilastik's, found {_text(tags)[:80]!r}") from None
        if len(keys) != len(dataset.shape):
            raise VolumeError(f"{name}: expected {len(dataset.shape)} axes in axistags, found {keys}")
        return letters(keys)
    said = _read(dataset.attrs, "DIMENSION_LABELS")
    labels = [] if said is None else [_text(label) for label in np.ravel(said)]
    if len(labels) == len(dataset.shape) and all(labels):
        return letters(labels)
    scales = _scales_of(dataset)
    return letters([str(each.name).rpartition("/")[2] for each in scales]) if scales else ""


def _scales_of(dataset: Any) -> list[Any]:
    """Return the dimension scale of each axis, as netCDF has them; none unless each axis has one."""
    if "DIMENSION_LIST" not in dataset.attrs:
        return []
    with contextlib.suppress(Exception):
        return [dimension[0] for dimension in dataset.dims]
    return []


def _positions(name: str, file: Any, dataset: Any, shape: tuple[int, ...]) -> Positions | None:
    """Return where coordinate variables, a grid mapping or ilastik's resolution place the voxels."""
    frame, ends = _frame(file, dataset), [(math.nan, math.nan)] * len(shape)
    units = set()
    for axis, (scale, extent) in enumerate(zip(_scales_of(dataset), shape, strict=False)):
        known = scale.shape == (extent,) and scale.dtype.kind in "iuf" and extent > 1
        if known and not _text(_read(scale.attrs, "NAME")).startswith(_UNNAMED):
            unit = _text(_read(scale.attrs, "units") or "")
            slope, intercept = _scaling(f"{name}: {scale.name}", scale)
            factor = _METRES.get(unit.lower(), 1.0)
            first, last = ((float(scale[at]) * slope + intercept) * factor for at in (0, -1))
            ends[axis] = first, last
            units.add("m" if unit.lower() in _METRES else unit)
    if all(math.isnan(a) for a, _ in ends):
        steps = _resolution(dataset, len(shape))
        if steps is not None:
            return Positions.of([0.0] * len(shape), steps, shape, "", frame)
        return Positions(tuple(ends), (math.nan,) * len(shape), "", frame) if frame else None
    steps = [abs(b - a) / (n - 1) if n > 1 else math.nan for (a, b), n in zip(ends, shape, strict=True)]
    unit = units.pop() if len(units) == 1 else ""
    return Positions(tuple(ends), tuple(step or math.nan for step in steps), unit, frame)


def _scaling(name: str, scale: Any) -> tuple[float, float]:
    said = {key: value for key in ATTRIBUTES if (value := _read(scale.attrs, key)) is not None}
    return values_of(name, said, scale.dtype).scaling or (1.0, 0.0)


def _frame(file: Any, dataset: Any) -> str:
    """Return what positions refer to: the variable of a grid mapping, coordinates of two axes, or the grids of HDF-EOS."""
    found = []
    mapping, others = (_read(dataset.attrs, key) for key in ("grid_mapping", "coordinates"))
    with contextlib.suppress(Exception):
        variable = dataset.parent[_text(mapping).split(":")[0].strip()]
        found.append(reference_system({key: _read(variable.attrs, key) for key in variable.attrs}))
    for name in [] if others is None else _text(others).split():
        with contextlib.suppress(Exception):
            variable = dataset.parent[name]
            if len(variable.shape) == 2:
                corners = [variable[at, to] for at in (0, -1) for to in (0, -1)]
                found.append(f"{name} from {', '.join(f'{float(each):.7g}' for each in corners)}")
    with contextlib.suppress(Exception):
        said = "".join(_text(part[()]) for part in file["HDFEOS INFORMATION"].values())
        found.append(
            f"grids of HDF-EOS ({hashlib.sha256(''.join(sorted(_EOS.findall(said))).encode()).hexdigest()[:8]})"
        )
    return "; ".join(each for each in found if each)


def _resolution(dataset: Any, axes: int) -> list[float] | None:
    """Return the resolution that ilastik's axistags have for each axis, in an unknown unit; None where they have none."""
    with contextlib.suppress(Exception):
        found = [
            float(axis.get("resolution", 0)) for axis in json.loads(_text(_read(dataset.attrs, "axistags")))["axes"]
        ]
        if len(found) == axes and any(step > 0 for step in found):
            return [step if step > 0 else math.nan for step in found]
    return None


def _spacing(name: str, attributes: Any, axes: int) -> tuple[float, ...]:
    """Return the spacing in mm that Fiji's and others' ``element_size_um`` says."""
    said = _read(attributes, "element_size_um")
    if said is None:
        return (math.nan,) * axes
    numbers = np.ravel(said)
    if numbers.dtype.kind not in "iuf" or numbers.size != axes or not (numbers > 0).all():
        raise VolumeError(f"{name}: expected {axes} positive numbers in element_size_um, found {numbers.tolist()}")
    return tuple(float(each) * 1e-3 for each in numbers)


def _picture(name: str, file: Any, attributes: Any) -> NDArray[np.uint8] | None:
    """Obey the attributes of HDF5's images; return the palette of one of indexes."""
    if _text(_read(attributes, "CLASS")) != "IMAGE":
        return None
    if int(np.ravel(_read(attributes, "IMAGE_WHITE_IS_ZERO") or 0)[0]):
        raise negative(name, "IMAGE_WHITE_IS_ZERO")
    kind, origin = (_text(_read(attributes, key)) for key in ("IMAGE_SUBCLASS", "DISPLAY_ORIGIN"))
    if kind == "IMAGE_TRUECOLOR":
        raise VolumeError(f"{name}: expected one label for each pixel, found a colour picture (IMAGE_TRUECOLOR)")
    if origin not in ("None", "UL"):
        raise VolumeError(
            f"{name}: expected a picture whose first pixel is at the upper left, found DISPLAY_ORIGIN {origin!r}"
        )
    reference = _read(attributes, "PALETTE")
    if kind != "IMAGE_INDEXED" or reference is None:
        return None
    with contextlib.suppress(Exception):
        colours = np.asarray(file[np.ravel(np.asarray(reference, object))[0]])
        if colours.ndim == 2 and colours.shape[1] == 3 and colours.dtype == np.uint8:
            return colours
    raise VolumeError(f"{name}: expected a palette of red, green and blue in bytes, found none")


def _of_itk(dataset: Any, shape: tuple[int, ...]) -> Geometry | None:
    """Return the geometry of an image that ITK wrote; its axes are stored as z, y, x."""
    if not str(dataset.name).startswith(_ITK) or len(shape) > 3:
        return None
    group, axes = dataset.parent, len(shape)
    try:
        directions = np.asarray(group["Directions"], np.float64).reshape(axes, axes)
        origin, spacing = (np.asarray(group[key], np.float64).reshape(axes) for key in ("Origin", "Spacing"))
    except (KeyError, ValueError):
        return None
    affine = np.eye(4)
    affine[:axes, :axes] = (directions * spacing[:, None]).T  # each row is the direction of an axis
    affine[:axes, 3] = origin
    affine[:2] *= -1  # ITK's coordinates run to the left and to the back
    affine[:, :axes] = affine[:, :axes][:, ::-1] + 0.0
    affine.flags.writeable = False
    return Geometry(shape, affine, tuple(spacing[::-1].tolist()), "xyz"[:axes][::-1])
