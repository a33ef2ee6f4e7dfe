"""The figures of the last run of the benchmarks, which `pytest benchmarks --table docs/benchmarks` writes as JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

__all__ = ["FILE", "Figure", "Run", "read_run", "table"]

FILE = Path(__file__).parents[1] / "benchmarks" / "run.json"


@dataclass(frozen=True)
class Figure:
    """One line of a table of figures."""

    group: str
    name: str
    ratio: float
    """The median of the rounds."""
    low: float
    """The quartiles of the rounds."""
    high: float
    seconds: float
    """Of our own call; 0: nobody took the time."""
    floor: float | None
    aim: float | None
    unit: str
    """"×" of ratios; others are sizes and times."""
    at_most: bool
    """Whether less is better."""

    @property
    def ratio_text(self) -> str:
        """The ratio and its quartiles, in as many digits as they deserve."""
        form = "{:.0f}" if self.ratio >= 100 else "{:.1f}" if self.ratio >= 10 else "{:.2f}"
        ratio, low, high = (form.format(value) + self.unit for value in (self.ratio, self.low, self.high))
        return f"{ratio} ({low}–{high})"

    @property
    def time_text(self) -> str:
        """Our own time."""
        return f"{self.seconds * 1e3:,.2f} ms" if self.seconds else ""


@dataclass(frozen=True)
class Run:
    """All figures of a run, and where and when they were taken."""

    machine: str
    date: str
    figures: tuple[Figure, ...]

    @property
    def taken(self) -> str:
        """Say where and when."""
        return f"Taken on {self.date}: {self.machine}."

    def select(self, group: str = "", names: str = "") -> list[Figure]:
        """Return the figures of groups and names in which these patterns are found."""
        return [each for each in self.figures if re.search(group, each.group) and re.search(names, each.name)]


def read_run(path: Path = FILE) -> Run:
    """Return the run of a file."""
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    known = [field.name for field in fields(Figure)]
    figures = [Figure(**{name: result[name] for name in known}) for result in found["results"]]
    groups = list(
        dict.fromkeys(each.group for each in figures)
    )  # the page has a table of each, whenever its lines were taken
    return Run(found["machine"], found["date"], tuple(sorted(figures, key=lambda each: groups.index(each.group))))


def table(figures: Iterable[Figure]) -> str:
    """Return figures as a table in Markdown."""
    lines = ["| what | ratio (quartiles) | our time |", "| --- | --- | --- |"]
    lines += [f"| {each.name} | {each.ratio_text} | {each.time_text} |" for each in figures]
    return "\n".join(lines)
