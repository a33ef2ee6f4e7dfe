"""What is made of counts, now or when they are computed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastseg.counts import BinaryCounts, LabelCounts, PairCounts, ScoreSums

__all__ = ["then"]


def then(counts: Any, function: Callable[[Any], Any]) -> Any:
    """Return `function` of counts; of a `dask.delayed.Delayed` (``compute=False``) another that makes it."""
    if isinstance(counts, LabelCounts | BinaryCounts | PairCounts | ScoreSums):
        return function(counts)
    from dask.delayed import delayed

    return delayed(function, pure=False)(counts)
