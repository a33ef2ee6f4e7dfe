"""Statistics that are made when something of them is first asked for: what a GPU counts is not waited for before."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from fastseg.counts.base import Counts

__all__ = ["late"]

Statistic = TypeVar("Statistic", bound=Counts)
_lock = threading.RLock()


def late(kind: type[Statistic], make: Callable[[], Statistic]) -> Statistic:
    """Return a statistic of that kind that calls `make` when something of it is first asked for, and is an ordinary one then.

    What `make` raises is raised there, each time.
    """
    plain: Any = kind
    counts: Statistic = object.__new__(_late_kind(plain))
    object.__setattr__(counts, "_make", make)
    return counts


def _finish(counts: Any, kind: type[Counts]) -> Any:
    """Let a statistic be what its `make` returns."""
    with _lock:
        if type(counts) is not kind:
            values = object.__getattribute__(counts, "__dict__")
            made = values["_make"]().__dict__
            del values["_make"]
            values.update(made)
            object.__setattr__(counts, "__class__", kind)
    return counts


@functools.cache
def _late_kind(kind: Any) -> Any:
    class Late(kind):  # type: ignore[misc]
        __hash__ = None  # type: ignore[assignment]

        def __getattribute__(self, name: str) -> Any:
            return getattr(_finish(self, kind), name)

        def __eq__(self, other: object) -> Any:
            return _finish(self, kind) == other

        def __repr__(self) -> str:
            return repr(_finish(self, kind))

        def __reduce_ex__(self, protocol: Any) -> Any:
            return _finish(self, kind).__reduce_ex__(protocol)

    return Late
