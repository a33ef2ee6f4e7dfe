"""A run as text: the table that `fastseg evaluate` prints."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from fastseg import metrics as registry
from fastseg.names import shown
from fastseg.runs.statistics import Summary, summarise
from fastseg.scores import format_table

if TYPE_CHECKING:
    from fastseg.runs.run import Run

__all__ = ["run_table"]


def run_table(run: Run) -> str:
    """Return a table of a run: a row for each class, its number for each metric, and the means with their intervals."""
    summaries = summarise(run)
    of_classes = [name for name in run.settings.metrics if registry.get(name).overall is None]
    found = {(each.metric, each.key): each for each in summaries}  # the mean has no key
    header = ["class", "name", *of_classes, "cases"]
    rows = []
    for each in run.classes:
        cells = [found[name, each.key] for name in of_classes]
        over = f"{max((cell.defined for cell in cells), default=0)}"
        rows.append([_key(each.key), shown(each.name), *(_number(cell.mean) for cell in cells), over])
    means = [found[name, None] for name in of_classes]
    rows.append(["mean", "", *(_number(cell.mean) for cell in means), ""])
    rows.append([f"  {run.settings.confidence:.0%}", "interval", *(_interval(cell) for cell in means), ""])
    lines = [format_table(header, rows, left=2)] if of_classes else []
    lines += [
        f"{cell.metric}: {_number(cell.mean)} {_interval(cell)}".rstrip()
        for cell in summaries
        if registry.get(cell.metric).overall is not None
    ]
    failed, missing = len(run.failed), len(run.missing)
    ends = [f"{len(run.counted)} of {len(run.records)} cases scored"]
    ends += [f"{failed} failed"] if failed else []
    ends += [f"{missing} without a prediction"] if missing else []
    lines.append(f"{', '.join(ends)}; convention: {run.convention.name}")
    return "\n".join(lines)


def _key(key: int | tuple[int, ...]) -> str:
    return str(key) if isinstance(key, int) else "+".join(map(str, key))


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.4f}" if abs(value) < 1000 else f"{value:,.0f}"


def _interval(cell: Summary) -> str:
    return "" if math.isnan(cell.low) else f"[{_number(cell.low)}, {_number(cell.high)}]"
