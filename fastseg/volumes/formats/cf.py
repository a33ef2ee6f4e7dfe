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

__all__ = ["Values", "reference_system", "values_of"]


class Values(NamedTuple):
    """What stored values stand for."""

    dtype: np.dtype[Any]
    """That of the stored values: unsigned where an attribute says so."""
    scaling: tuple[float, float] | None
    nodata: int | float | None


def values_of(name: str, attributes: Mapping[str, Any], dtype: np.dtype[Any]) -> Values:
    """Read ``_FillValue``, ``missing_value``, ``scale_factor``, ``add_offset`` and ``_Unsigned``.

    Raises
    ------
    VolumeError
        If one of them is no number, or the first two differ.
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
    return Values(dtype, scaling, declared.pop() if declared else None)


def reference_system(attributes: Mapping[str, Any]) -> str:
    """Return the coordinate reference system that a grid mapping describes; "" where it does not."""
    text = _plain(attributes.get("crs_wkt", attributes.get("spatial_ref", "")))
    if not isinstance(text, str) or not text:
        return ""
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
