"""A run as text: the table that `fastseg evaluate` prints."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from fastseg.api.text_table import table_in_blocks
from fastseg.labels.names import shown, shown_label
from fastseg.metrics.choice import TITLES, known_metric
from fastseg.runs.results.statistics import Summary, summarise

if TYPE_CHECKING:
    from fastseg.runs.results.numbers import RunNumbers

__all__ = ["run_table", "taken"]


def run_table(run: RunNumbers) -> str:
    """Return a table of a run: a row for each class, its number for each metric, and the means with their intervals."""
    summaries = summarise(run)
    of_classes = [name for name in dict.fromkeys(run.settings.metrics) if known_metric(name).overall is None]
    lines = [_classes_table(run, of_classes, summaries)] if of_classes else []
    lines += [_line(cell) for cell in summaries if cell.name == "all" and cell.key is None]
    if run.counted:
        lines += _means(run, of_classes)
    apart = sum(record.geometry.startswith("not compared") for record in run.counted)
    if apart and run.settings.geometry != "ignore":
        lines.append(f"geometry not compared: {apart} {'case' if apart == 1 else 'cases'}")
    text = "\n".join([*lines, _ending(run)])
    return text if run.instances is None else f"{text}\n\n{run.instances}"


def taken(run: RunNumbers) -> str:
    """Return what was done with missing predictions: "left out", "taken as the worst", "every voxel missed"."""
    if run.settings.missing != "worst":
        return "left out"
    return "every voxel missed" if run.convention.pooled else "taken as the worst"


def _classes_table(run: RunNumbers, metrics: Sequence[str], summaries: Sequence[Summary]) -> str:
    found = {(each.metric, each.key): each for each in summaries}  # the mean has no key
    rows = []
    for each in run.classes:
        cells = [found[name, each.key] for name in metrics]
        numbers = [_number(cell.mean) for cell in cells]
        rows.append(
            [
                _label(each.key, each.label),
                shown(each.name),
                *numbers,
                _range([cell.defined for cell in cells if each.key != 0 or run.infinite(cell.metric) is None]),
            ]
        )
    means = [found[name, None] for name in metrics]
    rows.append([run.mean_title, "", *(_number(cell.mean) for cell in means), ""])
    intervals = [_interval(cell) for cell in means]
    if any(intervals):
        rows.append([f"  {100 * run.settings.confidence:g}%", "interval", *intervals, ""])
    if any(infinite := [run.infinite(name) for name in metrics]):
        rows.append(["infinite", "values", *("" if number is None else f"{number}" for number in infinite), ""])
    titles = [f"{name} {run.units[name]}" if name in run.units else name for name in metrics]
    return table_in_blocks(["class", "name", *titles, "cases"], rows, left=2)


def _label(key: int | tuple[int, ...] | str, label: str) -> str:
    """Return the cell of a class's label; masks have none but their name."""
    return "-" if isinstance(key, str) else label if isinstance(key, tuple) else shown_label(key)


def _line(cell: Summary) -> str:
    """Return what is one number for all classes together; over which cases, unless it is over all."""
    over = f"(over {cell.defined} of {cell.cases} cases)" if 0 < cell.defined < cell.cases else ""
    parts = [f"{TITLES.get(cell.metric, cell.metric)}: {_number(cell.mean)}", _interval(cell), over]
    return " ".join(part for part in parts if part)


def _means(run: RunNumbers, metrics: Sequence[str]) -> list[str]:
    """Say over what the means are taken: once, if it is the same for all metrics."""
    found: dict[str, list[str]] = {}
    for name in metrics:
        found.setdefault(f"means over {run.over(name)}", []).append(name)
    return [text if len(found) == 1 else f"{', '.join(names)}: {text}" for text, names in found.items()]


def _ending(run: RunNumbers) -> str:
    scored = sum(record.status == "scored" for record in run.records)
    failed, missing = len(run.failed), len(run.missing)
    text = f"{scored} of {len(run.records)} cases scored" + (f", {failed} failed" if failed else "")
    if missing:
        text += f"; {missing} without a prediction ({taken(run)})"
    own, counts = run.settings.convention, run.convention.name
    of_surfaces = f"; of surfaces: {own}" if run.settings.surfaces is not None and own != counts else ""
    return f"{text}; convention: {counts}{of_surfaces}"


def _range(numbers: Sequence[int]) -> str:
    if not numbers:
        return ""
    low, high = min(numbers), max(numbers)
    return f"{low}" if low == high else f"{low}-{high}"


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.4f}" if abs(value) < 1000 else f"{value:,.0f}"


def _interval(cell: Summary) -> str:
    return "" if math.isnan(cell.low) else f"[{_number(cell.low)}, {_number(cell.high)}]"
