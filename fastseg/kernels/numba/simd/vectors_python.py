"""What `vectors` does, in Python for NUMBA_DISABLE_JIT=1: vectors are arrays of `WIDTH` float32, float64, int32 or bool.

Nothing here is fast; everything is as accurate as what is compiled, or more so. Exponents are plain powers of two.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastseg.kernels.numba.switch import WIDTH

__all__ = [
    "above_half",
    "add_doubles",
    "below_infinity",
    "bits_count",
    "complement",
    "exp_scaled",
    "exponent_of",
    "finite",
    "floats",
    "floor_of",
    "integers",
    "lane_numbers",
    "load",
    "load_flat",
    "load_integers",
    "load_one",
    "log_of",
    "minus_log_of",
    "minus_magnitude",
    "multiply_add",
    "narrow",
    "prefetch",
    "prefetch_flat",
    "select",
    "shift_of",
    "store",
    "store_labels",
    "sum_of",
    "transpose_tile",
    "widen",
    "zero_of",
]

_LARGE, _LEAST = 8192.0, 104.0
_silent = np.errstate(all="ignore")


def _lanes(array: Any, *index: Any) -> Any:
    *row, start = map(int, index)
    return array[(*row, slice(start, start + WIDTH))]


def load(array: Any, row: Any, start: Any) -> Any:
    return _numbers(_lanes(array, row, start))


def load_one(array: Any, row: Any, column: Any) -> Any:
    return _numbers(array[int(row), int(column) : int(column) + 1])[0]


def _numbers(lanes: Any) -> Any:
    if lanes.dtype == np.float64:
        return lanes.copy()
    if lanes.dtype == np.uint16:
        return lanes.view(np.float16).astype(np.float32)
    if lanes.dtype == np.int16:
        return (lanes.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
    return lanes.astype(np.float32)


def load_flat(array: Any, start: Any) -> Any:
    return _lanes(array, start).copy()


def load_integers(array: Any, start: Any) -> Any:
    return _lanes(array, start).astype(np.int32)


def store(array: Any, row: Any, start: Any, value: Any) -> None:
    _lanes(array, row, start)[:] = value


def store_labels(array: Any, start: Any, value: Any) -> None:
    _lanes(array, start)[:] = value.astype(array.dtype)


def prefetch(array: Any, row: Any, start: Any) -> None:
    return None


def prefetch_flat(array: Any, start: Any) -> None:
    return None


def add_doubles(array: Any, row: Any, start: Any, value: Any) -> None:
    lanes = _lanes(array, row, start)
    lanes += value


def floats(value: Any) -> Any:
    return np.full(WIDTH, value, np.float32)


def integers(value: Any) -> Any:
    return np.full(WIDTH, int(value) & 0xFFFFFFFF, np.uint32).view(np.int32)


def lane_numbers() -> Any:
    return np.arange(WIDTH, dtype=np.int32)


def narrow(value: Any) -> Any:
    return value.astype(np.float32)


def widen(value: Any) -> Any:
    return value.astype(np.float64)


def complement(value: Any) -> Any:
    return narrow(1 - value)


def minus_magnitude(value: Any) -> Any:
    return -np.abs(value)


def zero_of(value: Any) -> Any:
    return np.zeros_like(value)


def above_half(value: Any) -> Any:
    return value > 0.5


def below_infinity(value: Any) -> Any:
    return value < np.inf


def finite(value: Any) -> Any:
    return np.isfinite(value)


def select(mask: Any, yes: Any, no: Any) -> Any:
    return np.where(mask, yes, no)


def bits_count(mask: Any) -> np.uint64:
    return np.uint64(np.count_nonzero(mask))


def multiply_add(a: Any, b: Any, c: Any) -> Any:
    return a * b + c


def sum_of(value: Any) -> np.float64:
    while value.size > 1:
        low, high = np.split(value, 2)
        value = low + high
    return np.float64(value[0])


def shift_of(largest: Any) -> Any:
    return np.where(np.abs(largest) < _LARGE, zero_of(largest), largest)


def floor_of(largest: Any, shift: Any) -> Any:
    return largest - shift - _LEAST


@_silent
def exponent_of(largest: Any, shift: Any) -> Any:
    return -_whole(largest - shift).astype(np.int32)


def _whole(x: Any) -> Any:
    return np.rint(x.astype(np.float64) / math.log(2))


@_silent
def exp_scaled(x: Any, shift: Any, floor: Any, exponent: Any) -> Any:
    x = x - shift
    x = np.where(x < floor, floor, x)
    whole = _whole(x)
    power = whole.astype(np.int32) + exponent
    scaled = np.exp(x - whole * math.log(2)) * np.ldexp(1.0, np.clip(power, -127, 127))
    return narrow(np.where(power < -126, scaled * 0, scaled))  # keeps NaN


@_silent
def log_of(x: Any) -> Any:
    return narrow(np.where(x <= 0, -np.inf, np.log(x.astype(np.float64))))


@_silent
def minus_log_of(x: Any, rest: Any) -> Any:
    near = (x >= math.sqrt(0.5)) & (x < math.sqrt(2))
    return narrow(-np.where(near, np.log1p(-rest.astype(np.float64)), np.log(x.astype(np.float64))))


def transpose_tile(source: Any, row: Any, start: Any, target: Any, to: Any) -> None:
    row, start, to = int(row), int(start), int(to)
    block = source[row : row + 4, start : start + 16]
    target[row : row + len(block), to : to + 16] = _numbers(block)
