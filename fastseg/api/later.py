"""What is made of counts: now, when they are computed, or of those that somebody has already."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from fastseg.counts import BinaryCounts, LabelCounts, PairCounts, ScoreSums

__all__ = ["require_alone", "require_second", "then"]


def then(counts: Any, function: Callable[[Any], Any]) -> Any:
    """Return `function` of counts; of a `dask.delayed.Delayed` (``compute=False``) another that makes it."""
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


def require_second(name: str, argument: str, second: Any) -> None:
    """Raise TypeError where a function of arrays is given only the first of two."""
    if second is None:
        raise TypeError(f"{name}() missing a required argument: {argument!r}")
