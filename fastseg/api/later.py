"""What is made of counts: now, when they are computed, or of those that somebody has already."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from fastseg.counts import BinaryCounts, LabelCounts, PairCounts, ScoreSums

__all__ = ["require_alone", "require_second", "then"]


def then(counts: Any, function: Callable[[Any], Any]) -> Any:
    """Return what a function makes of counts, or where they are Delayed one of it, which is no step of Dask's (`pure`)."""
    if isinstance(counts, LabelCounts | BinaryCounts | PairCounts | ScoreSums):
        return function(counts)
    from dask.delayed import delayed

    return delayed(function, pure=False)(counts)


def require_alone(name: str, statistic: Any, argument: str, second: Any, options: Iterable[str]) -> None:
    """Raise TypeError where a function of a statistic is given what only arrays have: a second one, or their options."""
    kind = type(statistic).__name__
    if second is not None:
        raise TypeError(f"{name}() of {kind} takes no {argument}, which it has seen (pass parameters by keyword)")
    for option in options:
        raise TypeError(f"{name}() of {kind} got an unexpected keyword argument {option!r}: it is for arrays")


def require_second(name: str, argument: str, second: Any, first: Any, *kinds: type) -> None:
    """Raise TypeError where a function of arrays is given only the first of two, or a statistic of none of its kinds."""
    if second is not None:
        return
    if type(first).__module__.startswith("fastseg.counts."):
        wanted = " or ".join(each.__name__ for each in kinds)
        raise TypeError(f"y_true: {name}() takes two arrays, or {wanted}; found {type(first).__name__}")
    if type(first).__module__ == "dask.delayed":
        wanted = " or ".join(each.__name__ for each in kinds)
        how = f"{name}(counts.compute()), or dask.delayed(fastseg.{name})(counts)"
        raise TypeError(f"y_true: {name}() takes two arrays, or {wanted}; found a Delayed of Dask: {how}")
    raise TypeError(
        f"{name}() missing a required argument: {argument!r} ({argument}: expected an array, found NoneType)"
    )
