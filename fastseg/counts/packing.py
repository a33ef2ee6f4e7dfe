"""How matrices of counts are sent between processes: what is not zero, in the narrowest types that hold it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Packed", "narrow", "packed", "packed_pairs", "unpacked"]

Array = npt.NDArray[Any]
#: An array, narrow; or the places that are not zero in it when it is flat, their values, and its shape and type.
Packed = tuple[Any, ...]


def packed(array: Array) -> Packed:
    """Return what stands for an array."""
    flat = array.reshape(-1)
    places = flat.nonzero()[0]
    if 2 * places.size >= flat.size:
        return (narrow(array), array.dtype.str)
    return _sparse(places, flat[places], array.shape)


def packed_pairs(parts: Iterable[tuple[Array, Array]], shape: tuple[int, ...], dtype: np.dtype[Any]) -> Packed:
    """Return the same of a matrix that has not been made, from parts of its places and what is to be added there."""
    places, values = (np.concatenate([np.zeros(0, np.int64), *each]) for each in zip(*parts, strict=True))
    where, inverse = np.unique(places, return_inverse=True)
    sums = np.zeros(where.size, dtype)
    np.add.at(sums, inverse, values)
    return _sparse(where, sums, shape)


def _sparse(places: Array, values: Array, shape: tuple[int, ...]) -> Packed:
    return (narrow(places), narrow(values), shape, values.dtype.str)


def unpacked(found: Packed) -> Array:
    """Return the array that `packed` was given."""
    if len(found) == 2:
        values, dtype = found
        return np.asarray(values).astype(dtype)
    places, values, shape, dtype = found
    array = np.zeros(shape, dtype)
    array.reshape(-1)[places] = values
    return array


def narrow(array: Array) -> Array:
    """Return integers in the narrowest type that holds them all; what is no integer stays."""
    if array.dtype.kind not in "iu" or not array.size:
        return array
    least, most = int(array.min()), int(array.max())
    kinds = (np.uint8, np.int8, np.uint16, np.int16, np.uint32, np.int32)
    return array.astype(next((k for k in kinds if np.iinfo(k).min <= least and most <= np.iinfo(k).max), array.dtype))
