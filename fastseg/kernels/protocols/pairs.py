"""What passes between the counting loop and a backend where pairs are many: runs, sorted and merged."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy.typing as npt

__all__ = ["Room", "Run", "RunStack", "TooManyPairs"]


class Run(NamedTuple):
    """Pairs of labels sorted by truth and prediction, each once."""

    true: npt.NDArray[Any]
    """(P,) int64 or uint64."""
    pred: npt.NDArray[Any]
    """(P,) int64 or uint64."""
    times: npt.NDArray[Any]
    """(P,) voxels with that pair, int64, or their summed weights, float64."""


class TooManyPairs(Exception):  # noqa: N818 - a signal within the package, never seen outside
    """More pairs would have to be kept than there is room for."""


class Room:
    """How many pairs may be kept by all who count at the same time.

    Parameters
    ----------
    most
        So many, or what tells: it is asked once, when there are more than those that there is certainly room for.
    certain
        How many these are.
    """

    def __init__(self, most: int | Callable[[], int], certain: int = 0) -> None:
        self._most, self._certain = most, certain
        self._kept: dict[int, int] = {}

    def keep(self, owner: object, pairs: int) -> None:
        """Note how many pairs somebody keeps; raise `TooManyPairs` where they are too many altogether."""
        self._kept[id(owner)] = pairs
        kept = sum(list(self._kept.values()))  # a list: others may come while it is added up
        if kept > self._certain and kept > self.most:
            raise TooManyPairs

    @functools.cached_property
    def most(self) -> int:
        """How many may be kept."""
        return self._most if isinstance(self._most, int) else self._most()


class RunStack:
    """Runs that are merged with others of about their size, so that few are kept, and each pair is seldom moved.

    Parameters
    ----------
    merge
        Makes one run of two; what is in both is added up, the first first.
    room
        Where it is said how many pairs are kept.
    """

    def __init__(self, merge: Callable[[Run, Run], Run], room: Room) -> None:
        self._merge, self._room = merge, room
        self._runs: list[Run] = []

    def __bool__(self) -> bool:
        return bool(self._runs)

    def push(self, run: Run) -> None:
        """Add a run."""
        runs = self._runs
        runs.append(run)
        while len(runs) > 1 and 2 * runs[-1].true.size >= runs[-2].true.size:
            after, before = runs.pop(), runs.pop()
            runs.append(self._merge(before, after))
        self._room.keep(self, sum(each.true.size for each in runs))

    def take(self) -> Run:
        """Return all that was added as one run, and forget it. There is at least one."""
        runs = self._runs
        while len(runs) > 1:
            after, before = runs.pop(), runs.pop()
            runs.append(self._merge(before, after))
        self._room.keep(self, 0)
        return runs.pop()
