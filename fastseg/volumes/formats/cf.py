"""What attributes of arrays say of their values by the conventions of netCDF and CF, as xarray and many others write them."""

from __future__ import annotations

import base64
import hashlib
import math
import re
import struct
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from fastseg.volumes.errors import VolumeError

__all__ = ["ATTRIBUTES", "Values", "reference_system", "values_of"]

#: Attributes of a grid mapping that say nothing of it, or the place of one file.
_OF_PEOPLE = ("long_name", "comment", "GeoTransform", "CLASS", "NAME", "REFERENCE_LIST", "_Netcdf4Dimid", "_FillValue")


class Values(NamedTuple):
    """What stored values stand for."""

    dtype: np.dtype[Any]
    """That of the stored values: unsigned where an attribute says so."""
    scaling: tuple[float, float] | None
    nodata: int | float | None
    names: Mapping[int, str]
    """Of stored values, where the attributes are a table of flags."""
    valid: tuple[float, float] | None
    """The least and the largest stored value that is one."""


#: What `values_of` reads.
ATTRIBUTES = (
    "_FillValue", "missing_value", "scale_factor", "add_offset", "_Unsigned", "flag_values", "flag_masks", "flag_meanings",
    "valid_range", "valid_min", "valid_max",
)  # fmt: skip


def values_of(name: str, attributes: Mapping[str, Any], dtype: np.dtype[Any]) -> Values:
    """Read what is in `ATTRIBUTES`.

    Raises
    ------
    VolumeError
        If one of them is no number, the first two differ, or values are bits of flags that may overlap.
    """
    unsigned = _plain(attributes.get("_Unsigned"))
    if str(unsigned).lower() in ("true", "1") and dtype.kind == "i":
        dtype = np.dtype(f"{dtype.byteorder}u{dtype.itemsize}")
    slope, intercept = (
        float(_number(name, key, attributes[key], None)) if key in attributes else default
        for key, default in (("scale_factor", 1.0), ("add_offset", 0.0))
    )
    if not (math.isfinite(slope) and math.isfinite(intercept)) or slope == 0:
        raise VolumeError(f"{name}: expected a finite scale_factor and add_offset, found {slope} and {intercept}")
    declared = {
        _number(name, key, attributes[key], dtype) for key in ("_FillValue", "missing_value") if key in attributes
    }
    if len({str(each) for each in declared}) > 1:
        raise VolumeError(f"{name}: expected one value for no data, found _FillValue and missing_value {declared}")
    scaling = None if (slope, intercept) == (1.0, 0.0) else (slope, intercept)
    names, valid = _flags(name, attributes, dtype), _valid(name, attributes, dtype)
    return Values(dtype, scaling, declared.pop() if declared else None, names, valid)


def _flags(name: str, attributes: Mapping[str, Any], dtype: np.dtype[Any]) -> dict[int, str]:
    """Return the names that ``flag_meanings`` gives to ``flag_values``."""
    if attributes.get("flag_masks") is not None:
        raise VolumeError(
            f"{name}: expected one label for each voxel, found flag_masks: bits of which several may be set; "
            "save each as a mask of its own"
        )
    if "flag_values" not in attributes or "flag_meanings" not in attributes:
        return {}
    values, meanings = _numbers(name, "flag_values", attributes, dtype), _plain(attributes["flag_meanings"])
    words = meanings.split() if isinstance(meanings, str) else []
    if len(words) != len(values):
        raise VolumeError(
            f"{name}: expected a word in flag_meanings for each of {len(values)} flag_values, found {len(words)}"
        )
    return {int(value): word for value, word in zip(values, words, strict=True) if float(value).is_integer()}


def _valid(name: str, attributes: Mapping[str, Any], dtype: np.dtype[Any]) -> tuple[float, float] | None:
    """Return the range that ``valid_range``, or ``valid_min`` and ``valid_max``, state."""
    if "valid_range" in attributes:
        found = _numbers(name, "valid_range", attributes, dtype)
        if len(found) != 2:
            raise VolumeError(f"{name}: expected two numbers in valid_range, found {len(found)}")
        return found[0], found[1]
    ends = [
        _number(name, key, attributes[key], dtype) if key in attributes else default
        for key, default in (("valid_min", -math.inf), ("valid_max", math.inf))
    ]
    return None if ends == [-math.inf, math.inf] else (ends[0], ends[1])


def _numbers(name: str, key: str, attributes: Mapping[str, Any], dtype: np.dtype[Any]) -> list[int | float]:
    values = attributes[key]
    if isinstance(values, str):  # as some write what has to be a list
        values = [int(each) if each.lstrip("-").isdigit() else each for each in re.split(r"[\s,]+", values.strip())]
    values = np.ravel(values).tolist() if isinstance(values, np.ndarray) else values
    return [_number(name, key, each, dtype) for each in (values if isinstance(values, list | tuple) else [values])]


def reference_system(attributes: Mapping[str, Any]) -> str:
    """Return the coordinate reference system that a grid mapping describes; "" where it does not."""
    text = _plain(attributes.get("crs_wkt", attributes.get("spatial_ref", "")))
    if not isinstance(text, str) or not text:  # by the parameters of CF alone
        said = {key: _plain(value) for key, value in attributes.items() if key not in _OF_PEOPLE}
        if "grid_mapping_name" not in said:
            return ""
        text = "; ".join(f"{key}={said[key]}" for key in sorted(said))
    codes = re.findall(r'(?:AUTHORITY|ID)\["EPSG",\s*"?(\d+)"?\]', text)
    return f"EPSG:{codes[-1]}" if codes else f"a system of its own ({hashlib.sha256(text.encode()).hexdigest()[:8]})"


def _number(name: str, key: str, value: Any, dtype: np.dtype[Any] | None) -> int | float:
    """Return the number that an attribute holds, as one of `dtype` where values of that are meant."""
    plain = _plain(value)
    if isinstance(plain, str) and dtype is not None:  # Zarr has bytes of numbers in its JSON
        try:
            plain = struct.unpack("<d", base64.b64decode(plain, validate=True))[0] if dtype.kind == "f" else int(plain)
        except (ValueError, struct.error):
            plain = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}.get(plain, plain)
    if (
        isinstance(plain, bool)
        or not isinstance(plain, int | float)
        or (isinstance(plain, int) and abs(plain) >= 1 << 64)
    ):
        raise VolumeError(f"{name}: expected a number in the attribute {key!r}, found {value!r}")
    if dtype is not None and dtype.kind == "u" and plain < 0:  # written as the signed type of as many bits
        plain += 1 << 8 * dtype.itemsize
    return int(plain) if dtype is not None and dtype.kind in "iub" and float(plain).is_integer() else plain


def _plain(value: Any) -> Any:
    """Return the one item of an attribute, as Python has it."""
    if isinstance(value, list | tuple) and len(value) == 1:
        value = value[0]
    if isinstance(value, np.ndarray | np.generic) and np.size(value) == 1:
        value = np.asarray(value).reshape(-1)[0].item()
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
