"""Arguments that are not arrays: numbers, integers, axes, choices, names of options; one wording for each."""

from __future__ import annotations

import functools
import inspect
import math
import operator
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = [
    "axis_letters",
    "checked_axis",
    "checked_number",
    "finite_number",
    "integer",
    "integers",
    "keyword_options",
    "one_of",
]


@functools.cache
def keyword_options(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """Return a function's options, which can be given by keyword only."""
    parameters = inspect.signature(function).parameters
    return {name: p for name, p in parameters.items() if p.kind is p.KEYWORD_ONLY}


def checked_axis(axis: Any, ndim: int, name: str) -> int | None:
    """Return an axis counted from the first, None where it is None; TypeError or ValueError if arrays have none such."""
    if axis is None:
        return None
    value = integer(axis, name)
    if not -ndim <= value < ndim:
        raise ValueError(f"{name}: expected an axis of arrays with {ndim} axes, found {value}")
    return value % ndim


def integer(value: Any, name: str, *, least: int | None = None) -> int:
    """Return an integer as an int; TypeError if it is none, ValueError if it is less than `least`."""
    try:
        if isinstance(value, (bool, np.bool_)):
            raise TypeError
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name}: expected an integer, found {value!r}") from None
    if least is not None and number < least:
        raise ValueError(f"{name}: expected an integer of at least {least}, found {value!r}")
    return number


def integers(value: Any, name: str) -> npt.NDArray[np.int64]:
    """Return one or several integers as int64; TypeError or ValueError if they are none."""
    if isinstance(value, (str, bytes, dict)):
        raise TypeError(f"{name}: expected integers, found {type(value).__name__}")
    if isinstance(value, np.ndarray) and value.ndim > 1:
        raise ValueError(f"{name}: expected one axis, found shape {value.shape}")
    found = list(value) if isinstance(value, Iterable) and getattr(value, "ndim", 1) != 0 else [value]
    numbers = [integer(item, name) for item in found]
    if any(not -(2**63) <= number < 2**63 for number in numbers):
        raise ValueError(f"{name}: expected values that fit 64-bit signed integers, found {numbers}")
    return np.array(numbers, np.int64)


def axis_letters(value: Any) -> str | None:
    """Return `axes`, a letter for each axis of a file, in lower case; None where it is None."""
    if value is None:
        return None
    if not isinstance(value, str):
        raise TypeError(f"axes: expected a letter for each axis, such as 'zyx', found {value!r}")
    axes = value.lower()
    if not axes or not (axes.isascii() and axes.isalpha()) or len(set(axes)) < len(axes):
        raise ValueError(f"axes: expected another letter for each axis, such as 'zyx', found {value!r}")
    return axes


def checked_number(value: Any, name: str) -> float:
    """Return a real number as a float; TypeError if it is none."""
    if isinstance(value, str) or not hasattr(value, "__float__"):
        raise TypeError(f"{name}: expected a number, found {value!r}")
    return float(value)


def finite_number(value: Any, name: str, *, positive: bool = False) -> float:
    """Return a finite number that is not negative as a float; TypeError or ValueError if it is none."""
    number = checked_number(value, name)
    if not 0 <= number < math.inf or (positive and number == 0):
        wanted = "positive" if positive else "not negative"
        raise ValueError(f"{name}: expected a finite number that is {wanted}, found {value!r}")
    return number


def one_of(value: Any, name: str, known: Sequence[Any]) -> Any:
    """Return the value, which has to be one of those known; ValueError if it is none."""
    if (value not in known) if isinstance(value, str) else not any(value is k for k in known):
        raise ValueError(f"{name}: expected {', '.join(map(repr, known[:-1]))} or {known[-1]!r}, found {value!r}")
    return value
