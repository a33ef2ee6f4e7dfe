"""What GeoTIFF's and GDAL's tags say of a TIFF file: where its pixels lie on the earth, no data, a scale of values."""

from __future__ import annotations

import hashlib
import math
from typing import Any, NamedTuple
from xml.etree import ElementTree

import numpy as np

from fastseg.volumes.errors import VolumeError
from fastseg.volumes.positions import Positions

__all__ = ["Pixels", "map_positions", "no_data", "oriented", "page_positions", "scaling_of"]

_PIXEL_SCALE, _TIE_POINTS, _MATRIX, _KEYS, _DOUBLES, _TEXTS = 33550, 33922, 34264, 34735, 34736, 34737
_METADATA, _NO_DATA, _POLYNOMIALS = 42112, 42113, 50844
#: Keys: of the model, what a pixel's position is, the units, the codes of geographic and projected systems, texts.
_MODEL, _RASTER, _ANGLES, _LENGTHS, _GEOGRAPHIC, _PROJECTED, _SAID = (
    1024,
    1025,
    2054,
    3076,
    2048,
    3072,
    (1026, 2049, 3073),
)
_USER_DEFINED = 32767
_UNITS = {9001: "m", 9002: "ft", 9003: "US ft", 9036: "km", 9101: "rad", 9102: "degree"}


class Pixels(NamedTuple):
    """An affine map from columns and rows to x and y."""

    across: tuple[float, float]
    """x and y from a column to the next."""
    down: tuple[float, float]
    """x and y from a row to the next."""
    first: tuple[float, float]
    """Of the centre of the first pixel."""


def map_positions(path: str, tags: Any, shape: tuple[int, ...], axes: str) -> Positions | None:
    """Return where the pixels of a file lie on a map; None where it does not say.

    Raises
    ------
    VolumeError
        If the tags are no numbers, or not as many as they should be.
    """
    keys = _keys(path, tags)
    frame = _frame(keys)
    if (polynomials := _numbers(path, tags, _POLYNOMIALS, 92)) != ():
        frame += f"{' ' if frame else ''}by rational polynomials ({_digest(polynomials)})"
    ties, pixels = _numbers(path, tags, _TIE_POINTS, 6), _pixels(path, tags, keys)
    if pixels is None:
        if not frame and not ties:
            return None
        if ties:  # of which there are several, and that is no affine map
            frame += f"{' ' if frame else ''}by {len(ties) // 6} control points ({_digest(ties)})"
        nothing = (math.nan,) * len(shape)
        return Positions.of(nothing, nothing, shape, _unit(keys), frame)
    (ax, ay), (bx, by), (x, y) = pixels
    if ay or bx:
        frame += f"{' ' if frame else ''}turned by ({ax:.9g}, {bx:.9g}, {ay:.9g}, {by:.9g})"
        ax, by = math.hypot(ax, ay), math.hypot(bx, by)
    origin = [{"x": x, "y": y}.get(axis, math.nan) for axis in axes]
    steps = [{"x": ax, "y": by}.get(axis, math.nan) for axis in axes]
    return Positions.of(origin, steps, shape, _unit(keys), frame)


def page_positions(tags: Any, shape: tuple[int, ...], axes: str) -> Positions | None:
    """Return where XPosition and YPosition put a picture on its page, in pixels; None where they do not.

    That is where programs that cut and stitch pictures keep what a piece is of.
    """
    found: dict[str, float] = {}
    for axis, place, resolution in (("x", 286, 282), ("y", 287, 283)):
        if place in tags and resolution in tags:
            (at, parts), (pixels, units) = tags[place].value, tags[resolution].value
            if parts and units:
                found[axis] = at / parts * pixels / units
    if not found:
        return None
    steps = [1.0 if axis in found else math.nan for axis in axes]
    return Positions.of([found.get(axis, math.nan) for axis in axes], steps, shape, "pixels", "")


def _digest(numbers: tuple[float, ...]) -> str:
    return hashlib.sha256(np.array(numbers, "<f8").tobytes()).hexdigest()[:8]


def _pixels(path: str, tags: Any, keys: dict[int, Any]) -> Pixels | None:
    matrix, scale, ties = (
        _numbers(path, tags, tag, n) for tag, n in ((_MATRIX, 16), (_PIXEL_SCALE, 3), (_TIE_POINTS, 6))
    )
    half = 0.0 if keys.get(_RASTER) == 2 else 0.5  # whether positions are of the centres or corners of pixels
    if matrix:
        (ax, bx, _, x), (ay, by, _, y) = matrix[:4], matrix[4:8]
    elif scale and len(ties) == 6:
        (ax, by), (bx, ay) = (scale[0], -scale[1]), (0.0, 0.0)
        x, y = ties[3] - ties[0] * ax, ties[4] - ties[1] * by
    else:
        return None
    if not math.isfinite(x + y + ax + ay + bx + by) or ax * by == bx * ay:
        raise VolumeError(
            f"{path}: expected tags that place the pixels of a GeoTIFF file, found {matrix or (scale, ties)}"
        )
    return Pixels((ax, ay), (bx, by), (x + half * (ax + bx), y + half * (ay + by)))


def _numbers(path: str, tags: Any, code: int, count: int) -> tuple[float, ...]:
    """Return the numbers of a tag, whole groups of `count`; none where there is no such tag."""
    tag = tags.get(code)
    if tag is None:
        return ()
    found = tag.value if isinstance(tag.value, tuple) else (tag.value,)
    if not found or len(found) % count or not all(isinstance(each, int | float) for each in found):
        raise VolumeError(f"{path}: expected {count} numbers in the tag {code} of a GeoTIFF file, found {len(found)}")
    return tuple(map(float, found))


def _keys(path: str, tags: Any) -> dict[int, Any]:
    """Return the GeoTIFF keys by their numbers."""
    directory = tags.get(_KEYS)
    if directory is None:
        return {}
    values = directory.value
    if not isinstance(values, tuple) or len(values) < 4 or len(values) < 4 + 4 * values[3]:
        raise VolumeError(f"{path}: expected a directory of GeoTIFF keys in the tag {_KEYS}, found {str(values)[:80]}")
    keys: dict[int, Any] = {}
    for at in range(4, 4 + 4 * values[3], 4):
        key, place, count, offset = values[at : at + 4]
        held = None if place == 0 else tags.get(place)
        keys[key] = offset if place == 0 else None if held is None else held.value[offset : offset + count]
    return keys


def _frame(keys: dict[int, Any]) -> str:
    """Return the coordinate reference system: its code, or all that is said of one without a code."""
    codes = [keys[key] for key in (_PROJECTED, _GEOGRAPHIC) if keys.get(key) not in (None, 0)]
    if codes and codes[0] != _USER_DEFINED:
        return f"EPSG:{codes[0]}"
    if not codes:
        return ""
    said = "; ".join(f"{key}={keys[key]}" for key in sorted(keys) if key not in (*_SAID, _RASTER))
    return f"a system of its own ({said})"


def _unit(keys: dict[int, Any]) -> str:
    geographic = keys.get(_MODEL) == 2
    code = keys.get(_ANGLES if geographic else _LENGTHS)
    return _UNITS.get(code, "unit of the map") if code is not None else "degree" if geographic else ""


def no_data(path: str, tags: Any, dtype: np.dtype[Any]) -> int | float | None:
    """Return GDAL's value of no data; None where there is none, or no value of the file can be it."""
    tag = tags.get(_NO_DATA)
    if tag is None:
        return None
    text = str(tag.value).strip("\0 \n")
    try:
        number = float(text)
        if dtype.kind == "f":
            return number
        whole = int(text) if text.lstrip("+-").isdigit() else int(number)
    except (ValueError, OverflowError):
        if text.lower() in ("nan", "inf", "+inf", "-inf", "infinity", "-infinity"):
            return None
        raise VolumeError(f"{path}: expected a number in GDAL_NODATA (tag {_NO_DATA}), found {text[:40]!r}") from None
    if dtype.kind == "b":
        return whole if whole in (0, 1) else None
    limits = np.iinfo(dtype)
    return whole if whole == number and limits.min <= whole <= limits.max else None


def scaling_of(path: str, tags: Any) -> tuple[float, float] | None:
    """Return the scale and the offset of GDAL's metadata; None where they change nothing."""
    tag = tags.get(_METADATA)
    if tag is None:
        return None
    found = {"scale": 1.0, "offset": 0.0}
    try:
        for item in ElementTree.fromstring(str(tag.value).strip("\0 \n")).iter("Item"):
            if item.get("role") in found and item.get("sample", "0") == "0":
                found[str(item.get("role"))] = float(item.text or "")
    except (ElementTree.ParseError, ValueError) as error:
        raise VolumeError(f"{path}: expected XML in GDAL_METADATA (tag {_METADATA}), with numbers: {error}") from None
    slope, offset = found["scale"], found["offset"]
    if not (math.isfinite(slope) and math.isfinite(offset)) or slope == 0:
        raise VolumeError(f"{path}: expected a finite scale and offset in GDAL_METADATA, found {slope} and {offset}")
    return None if (slope, offset) == (1.0, 0.0) else (slope, offset)


def oriented(orientation: int, axes: str) -> tuple[str, tuple[bool, bool]]:
    """Return the axes of stored rows and columns under TIFF's Orientation, and whether these run to the top and the left."""
    swapped = orientation >= 5  # rows are stored as columns
    letters = axes[:-2] + axes[:-3:-1] if swapped else axes
    rows, columns = {
        1: (0, 0), 2: (0, 1), 3: (1, 1), 4: (1, 0), 5: (0, 0), 6: (1, 0), 7: (1, 1), 8: (0, 1),
    }[orientation]  # fmt: skip
    return letters, (bool(rows), bool(columns))
