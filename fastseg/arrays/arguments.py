"""Arguments that are not arrays: numbers, integers, axes, choices, names of options; one wording for each."""

from __future__ import annotations

import functools
import inspect
import operator
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["axis_letters", "checked_axis", "checked_real", "integer", "integers", "keyword_options"]


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


def integer(value: Any, name: str) -> int:
    """Return an integer as an int; TypeError if it is none."""
    try:
        if isinstance(value, (bool, np.bool_)):
            raise TypeError
        return operator.index(value)
    except TypeError:
        raise TypeError(f"{name}: expected an integer, found {value!r}") from None


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


def checked_real(value: Any, name: str) -> float:
    """Return a number as a float; TypeError if it is none."""
    if isinstance(value, str) or not hasattr(value, "__float__"):
        raise TypeError(f"{name}: expected a number, found {value!r}")
    return float(value)
