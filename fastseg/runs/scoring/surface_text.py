"""Distances of surfaces as JSON has them in the journal: their arrays as bytes, in a tenth of the time that numbers take."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from fastseg.counts import SurfaceDistances

__all__ = ["plain_surfaces", "surfaces_of_plain"]

Array = npt.NDArray[Any]

#: The arrays of a `SurfaceDistances`, and the type of each; it need not have the last two.
_ARRAYS = {
    "starts": "<i8", "distances": "<f8", "weights": "<i8", "elements": "<i8", "spacing": "<f8", "shape": "<i8",
    "areas": "<f8", "farthest": "<i8",
}  # fmt: skip


def plain_surfaces(surfaces: SurfaceDistances) -> dict[str, Any]:
    """Return what JSON can hold: integers in the narrowest type that holds them, little-endian, in base 64."""
    arrays = {name: getattr(surfaces, name) for name in _ARRAYS}
    return {
        "classes": list(surfaces.classes),
        "surface": surfaces.surface,
        "border": surfaces.border,
        "max_distance": None if surfaces.max_distance == math.inf else surfaces.max_distance,
        **{name: _text(array) for name, array in arrays.items() if array is not None},
    }


def surfaces_of_plain(plain: Mapping[str, Any]) -> SurfaceDistances:
    """Return the distances that `plain_surfaces` was given; KeyError, TypeError or ValueError where it was given none."""
    arrays: dict[str, Any] = {name: _array(plain[name], dtype) for name, dtype in _ARRAYS.items() if name in plain}
    most = plain["max_distance"]
    return SurfaceDistances(
        tuple(plain["classes"]),
        surface=plain["surface"],
        border=plain["border"],
        max_distance=math.inf if most is None else float(most),
        **arrays,
    )


def _text(array: Array) -> list[Any]:
    if array.dtype.kind == "i" and array.size:
        array = array.astype(np.result_type(*map(np.min_scalar_type, (array.min(), array.max()))))
    little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    return [little.dtype.str, list(array.shape), base64.b64encode(little.tobytes()).decode("ascii")]


def _array(text: Any, dtype: str) -> Array:
    kind, shape, data = text
    if np.dtype(kind).kind not in ("f" if dtype == "<f8" else "iu"):
        raise ValueError(f"expected numbers like {dtype}, found {kind}")
    return np.frombuffer(base64.b64decode(data, validate=True), kind).reshape(shape).astype(dtype)
