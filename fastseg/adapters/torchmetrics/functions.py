"""The functional forms: the host's own functions, with other steps where every label is looked at."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Mapping
from types import CodeType, FunctionType
from typing import Any

from fastseg.adapters.calls import NotCovered, drop_in
from fastseg.adapters.hosts import resolve
from fastseg.adapters.torchmetrics.steps import STEPS
from fastseg.adapters.torchmetrics.table import CLASSIFICATION, PUBLIC

__all__ = ["FUNCTIONS", "with_steps"]

Function = Callable[..., Any]


def with_steps(function: Function, steps: Mapping[str, Function]) -> Function:
    """Return a function of the host that finds our steps, where it and what it calls in its module look them up by name.

    Where a version of the host has steps of other parameters, or none of these, all calls go to it.
    """
    theirs = vars(sys.modules[function.__module__])
    ours = dict(theirs)
    for name, value in theirs.items():
        if (
            isinstance(value, FunctionType)
            and value.__module__ == function.__module__
            and _names(value, theirs) & steps.keys()
        ):
            ours[name] = _copy(value, ours)
    wanted = _names(function, theirs) & steps.keys()
    fits = all(_fits(steps[name], theirs[name]) for name in wanted)
    found: Function = ours[function.__name__]
    if not (wanted and fits):

        def found(*_: Any, **__: Any) -> Any:
            raise NotCovered("this version of the host counts in steps of its own")

        found.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]
    ours.update({name: steps[name] for name in wanted})
    found.__module__, found.__doc__ = PUBLIC, ""
    return found


def _copy(function: FunctionType, names: dict[str, Any]) -> FunctionType:
    """Return a function with the same code, that looks up other names."""
    made = FunctionType(function.__code__, names, function.__name__, function.__defaults__, function.__closure__)
    made.__kwdefaults__ = function.__kwdefaults__
    return made


def _names(function: Function, among: Mapping[str, Any]) -> set[str]:
    """Return the global names that a function uses, and those that the functions use which it calls in its module."""
    found: set[str] = set()
    waiting = [function.__name__]
    while waiting:
        value = among.get(waiting.pop())
        if isinstance(value, FunctionType) and value.__module__ == function.__module__:
            code: CodeType = value.__code__
            waiting += [name for name in code.co_names if name in among and name not in found]
            found.update(code.co_names)
    return found


@functools.cache
def _fits(step: Function, theirs: Function) -> bool:
    """Tell whether a step takes what the host's own does."""
    ours = inspect.signature(step).parameters
    return list(ours) == list(inspect.signature(theirs).parameters) or any(
        p.kind is p.VAR_POSITIONAL for p in ours.values()
    )


#: The drop-ins by name.
FUNCTIONS = {
    name: drop_in(path, metric=family.metric)(with_steps(resolve(path), STEPS))
    for family in CLASSIFICATION
    for name in family.functions
    for path in [f"torchmetrics.functional.classification.{name}"]
}
