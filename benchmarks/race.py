"""Times one call of ours against the fastest of the others, having left out those that cannot be it."""

from __future__ import annotations

import functools
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from harness import Array
from shapes import agree

#: Others are tried on parts before the whole, of at most so many voxels; those that take so many times as long as the
#: fastest of them cannot be the fastest of the whole, and are left out.
PARTS = {1 << 16: 10.0, 1 << 20: 3.0}
WHOLE = 1.5
ROOM = 1 << 30  # bytes of one-hot copies beyond which a peer is left out before
TRIAL, LONG = 0.01, 0.1  # seconds that a call is repeated for to see how fast it is; of one that is not repeated
FAVOURITE = "exacta"  # who is timed in every cell
BATCH = 1e-3  # seconds that calls are repeated for, without a pause
SETTLE = 3e-3  # seconds of calls before: the threads of OpenMP spin for so long after the call before, on others' cores

Call = Callable[[], Any]
Calls = dict[str, Call]


@dataclass
class Cell:
    """One cell of the matrix: everyone's least seconds, their ratio, and the quartiles of the rounds' ratios."""

    shape: str
    classes: int
    input: str
    call: str
    ratio: float = 0.0
    low: float = 0.0
    high: float = 0.0
    ours: float = 0.0
    others: dict[str, float] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)

    @property
    def fastest(self) -> str:
        """Say who the fastest other is."""
        return min(self.others, key=self.others.__getitem__)

    @property
    def name(self) -> str:
        """Say which cell it is."""
        return f"{self.call}, {self.input}, {self.shape}, K={self.classes}"


@dataclass
class Budget:
    """How long a cell is timed: until both at least are reached, or for the most seconds."""

    rounds: int = 5
    least: float = 0.2
    most: float = 2.0


CELLS: list[Cell] = []
BUDGET = Budget()


def timed(call: Call) -> tuple[float, Any]:
    """Return the seconds that a call takes, and its result."""
    start = time.perf_counter()
    result = call()
    return time.perf_counter() - start, result


def quickest(call: Call, first: float) -> float:
    """Return the least time of a call and of some more, unless it is long: then its own."""
    times = [first]
    while first < LONG and (len(times) < 4 or sum(times) < TRIAL):
        times.append(timed(call)[0])
    return min(times)


def settle(call: Call) -> None:
    """Call what is timed next until the others' threads have gone to sleep and its own data are where they will be."""
    end = time.perf_counter() + SETTLE
    call()
    while time.perf_counter() < end:
        call()


def try_out(cell: Cell, calls: Calls, right: Callable[[bool], Array], limit: float, where: str) -> dict[str, float]:
    """Leave out of the cell who returns what is not right, and who is slow beside the fastest; return the others' seconds.

    `right` says what is; of MONAI, which leaves out classes that are only predicted, if asked with True.
    """
    right = functools.cache(right)
    times: dict[str, float] = {}
    for name, call in calls.items():
        if name in cell.left_out:
            continue
        try:
            first, found = timed(call)
        except (TypeError, ValueError, RuntimeError) as error:
            cell.left_out[name] = f"{type(error).__name__}: {error}"
            continue
        if agree(found, right(name == "MONAI")):
            times[name] = quickest(call, first)
        else:
            cell.left_out[name] = "wrong result"
    fastest = min(times.values())
    for name, seconds in list(times.items()):
        if seconds > limit * fastest and name != FAVOURITE:
            cell.left_out[name] = f"{seconds / fastest:.1f}× the fastest on {where}"
            del times[name]
    return times


def race(cell: Cell, ours: Call, others: Calls, tried: dict[str, float]) -> None:
    """Time ours and those of the others that were tried in turn, small calls in batches, and keep the cell."""
    contenders = {**{name: others[name] for name in tried}, "": ours}
    seconds = {**tried, "": quickest(ours, timed(ours)[0])}
    repeats = {name: max(1, round(BATCH / seconds[name])) for name in contenders}
    times: dict[str, list[float]] = {name: [] for name in contenders}
    begin = time.perf_counter()
    for done in range(1, 10_000):
        for name, call in contenders.items():
            settle(call)
            number = range(repeats[name])
            start = time.perf_counter()
            for _ in number:
                call()
            times[name].append((time.perf_counter() - start) / repeats[name])
        spent = time.perf_counter() - begin
        if (done >= BUDGET.rounds and spent >= BUDGET.least) or spent >= BUDGET.most:
            break
    mine = times.pop("")
    ratios = [min(theirs) / own for own, *theirs in zip(mine, *times.values(), strict=True)]
    cell.low, _, cell.high = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else ratios * 3
    cell.ours, cell.others = min(mine), {name: min(taken) for name, taken in times.items()}
    cell.ratio = min(cell.others.values()) / cell.ours
    CELLS.append(cell)
