"""The matrix of shapes folded to a table, as JSON, as a picture, and its worst cells in words."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from harness import machine
from race import CELLS, Cell
from shapes import CALLS, MASK_TYPES

LEAST, MEAN = (1.2, 3.0), (4.0, 10.0)  # floor and aim of the least ratio and of the geometric mean
PEERS = ("torch", "torchmetrics", "monai", "scikit-learn", "exacta")
NARROW = ("uint8", "uint16")


def geometric_mean(ratios: Iterable[float]) -> float:
    """Return the number that has as many factors as the ratios have among them."""
    return math.exp(statistics.fmean(map(math.log, ratios)))


def worst_first() -> list[Cell]:
    return sorted(CELLS, key=lambda cell: cell.ratio)


def versions() -> str:
    return ", ".join(f"{peer} {version(peer)}" for peer in PEERS)


def duration(seconds: float) -> str:
    """Return a time with its unit, in three digits or so."""
    micro = seconds * 1e6
    return (
        f"{micro:,.0f} µs" if micro < 10_000 else f"{micro / 1e3:,.1f} ms" if micro < 1e5 else f"{micro / 1e3:,.0f} ms"
    )


def number(ratio: float) -> str:
    return f"{ratio:.0f}" if ratio >= 100 else f"{ratio:.1f}" if ratio >= 10 else f"{ratio:.2f}"


def _verdict(value: float, goals: tuple[float, float]) -> str:
    return "aim" if value >= goals[1] else "floor" if value >= goals[0] else "below"


def summary() -> list[str]:
    """Return the least ratio and the geometric mean as rows of a table."""
    least, mean = worst_first()[0], geometric_mean(cell.ratio for cell in CELLS)
    below = sum(cell.ratio < LEAST[0] for cell in CELLS)
    return [
        "| | | floor | aim | reached |",
        "| --- | --- | --- | --- | --- |",
        f"| least of {len(CELLS)} cells ({least.name}) | {number(least.ratio)}× | {LEAST[0]:g} | {LEAST[1]:g} "
        f"| {_verdict(least.ratio, LEAST)} |",
        f"| geometric mean | {number(mean)}× | {MEAN[0]:g} | {MEAN[1]:g} | {_verdict(mean, MEAN)} |",
        f"| cells below the floor of {LEAST[0]:g} | {below} | | | |",
    ]


def _row(cells: list[Cell], inputs: tuple[tuple[str, ...], ...]) -> str:
    """Return the ratios of a row, one for each kind of input; bold where below the floor."""
    found = []
    for kind in inputs:
        ratios = [cell.ratio for cell in cells if cell.input in kind]
        text = number(ratios[0]) if ratios else "–"
        found.append(f"**{text}**" if ratios and ratios[0] < LEAST[0] else text)
    return " · ".join(found)


def rows() -> list[tuple[str, int]]:
    """Return the shapes and numbers of classes of the label maps, in the order in which they were measured."""
    return list(dict.fromkeys((cell.shape, cell.classes) for cell in CELLS if cell.call in CALLS))


def matrix_markdown() -> str:
    """Return the matrix as Markdown: a row for each shape and number of classes, a ratio for each input in it."""
    lines = [
        f"Machine: {machine()}; {versions()}.",
        "",
        "**Shapes: time of the fastest other / ours**; in each cell narrow integers (uint8; uint16 for K=1,000) · int64 · "
        "torch tensors (int64)",
        "",
        f"| shape | K | {' | '.join(CALLS)} | geometric mean |",
        f"| --- | --- |{' --- |' * (len(CALLS) + 1)}",
    ]
    for shape, classes in rows():
        cells = [cell for cell in CELLS if (cell.shape, cell.classes) == (shape, classes) and cell.call in CALLS]
        each = [_row([cell for cell in cells if cell.call == call], (NARROW, ("int64",), ("torch",))) for call in CALLS]
        mean = number(geometric_mean(cell.ratio for cell in cells))
        lines.append(f"| {shape} | {classes:,} | {' | '.join(each)} | {mean} |")
    masks = [cell for cell in CELLS if cell.call not in CALLS]
    if masks:
        lines += [
            "",
            "Dice a sample of one-hot masks; in each cell channels first · last",
            "",
            f"| shape | channels | {' | '.join(MASK_TYPES)} |",
            f"| --- | --- |{' --- |' * len(MASK_TYPES)}",
        ]
    for key in dict.fromkeys((cell.shape, cell.classes) for cell in masks):
        of_key = [cell for cell in masks if (cell.shape, cell.classes) == key]
        each = []
        for dtype in MASK_TYPES:
            of_type = sorted(
                (cell for cell in of_key if cell.input == dtype), key=lambda cell: cell.call
            )  # first, last
            each.append(" · ".join(_row([cell], ((dtype,),)) for cell in of_type))
        lines.append(f"| {key[0]} | {key[1]} | {' | '.join(each)} |")
    return "\n".join([*lines, "", *summary(), ""])


def worst_cells(count: int = 10) -> str:
    """Return the worst cells with their times."""
    lines = ["| worst cells | ratio (quartiles) | ours | fastest other |", "| --- | --- | --- | --- |"]
    for cell in worst_first()[:count]:
        ratio, low, high = map(number, (cell.ratio, cell.low, cell.high))
        other = f"{cell.fastest} {duration(cell.others[cell.fastest])}"
        lines.append(f"| {cell.name} | {ratio}× ({low}–{high}) | {duration(cell.ours)} | {other} |")
    return "\n".join(lines)


def write_json(path: Path) -> None:
    """Write all cells, worst first, with everyone's median seconds."""
    cells: list[dict[str, Any]] = [{**vars(cell), "fastest": cell.fastest} for cell in worst_first()]
    mean = geometric_mean(cell.ratio for cell in CELLS)
    whole = {"machine": machine(), "peers": versions(), "least": cells[0]["ratio"], "mean": mean, "cells": cells}
    path.write_text(json.dumps(whole, indent=1, ensure_ascii=False) + "\n")


def write_picture(path: Path) -> None:
    """Draw the matrix, its worst rows first, and the worst cells with their times."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplot_mosaic(
        [["labels", "masks"], ["labels", "worst"]], figsize=(21, 12), width_ratios=[12, 11], height_ratios=[7, 16],
        layout="constrained",
    )  # fmt: skip
    least, mean = worst_first()[0].ratio, geometric_mean(cell.ratio for cell in CELLS)
    figure.suptitle(
        f"time of the fastest other / ours: least {number(least)}× (floor {LEAST[0]:g}, aim {LEAST[1]:g}), geometric mean "
        f"{number(mean)}× (floor {MEAN[0]:g}, aim {MEAN[1]:g}); rows with the worst cell first\n{machine()}"
    )
    masks = [f"masks, channels {where}" for where in ("first", "last")]
    _draw_map(axes["labels"], [(call, kind) for call in CALLS for kind in ("narrow", "int64", "torch")])
    _draw_map(axes["masks"], [(call, dtype) for call in masks for dtype in MASK_TYPES])
    _draw_worst(axes["worst"], worst_first()[:25])
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _draw_map(axes: Any, columns: list[tuple[str, str]]) -> None:
    from matplotlib.colors import LogNorm

    ratios: dict[tuple[str, int], dict[tuple[str, str], float]] = {}
    for cell in CELLS:
        column = cell.call, "narrow" if cell.call in CALLS and cell.input in NARROW else cell.input
        if column in columns:
            ratios.setdefault((cell.shape, cell.classes), {})[column] = cell.ratio
    order = sorted(ratios, key=lambda row: min(ratios[row].values()))
    if not order:
        axes.set_axis_off()
        return
    values = [[ratios[row].get(column, math.nan) for column in columns] for row in order]
    axes.imshow(values, aspect="auto", cmap="RdYlGn", norm=LogNorm(LEAST[0] / 8, LEAST[1] * 4))
    for y, line in enumerate(values):
        for x, value in enumerate(line):
            if not math.isnan(value):
                weight = "bold" if value < LEAST[0] else "normal"
                colour = "white" if not LEAST[0] / 5 < value < LEAST[1] * 2.5 else "black"  # on dark red and green
                axes.text(x, y, number(value), ha="center", va="center", fontsize=10, weight=weight, color=colour)
    axes.set_yticks(range(len(order)), [f"{shape}  K={classes:,}" for shape, classes in order])
    axes.set_xticks(range(len(columns)), [kind for _, kind in columns])
    axes.tick_params(top=True, bottom=False, labeltop=True, labelbottom=False, length=0)
    calls = list(dict.fromkeys(call for call, _ in columns))
    width = len(columns) // len(calls)
    for k, call in enumerate(calls):
        centre, below = k * width + (width - 1) / 2, axes.get_xaxis_transform()
        axes.text(centre, -0.01, call, ha="center", va="top", weight="bold", transform=below)
        axes.axvline(k * width - 0.5, color="white", linewidth=5)


def _draw_worst(axes: Any, cells: list[Cell]) -> None:
    """Draw a bar for each cell, with what it is and how long it takes."""
    bars = axes.barh(range(len(cells)), [cell.ratio for cell in cells], color="lightsteelblue")
    said = [
        f"{number(cell.ratio)}×   {cell.name}: ours {duration(cell.ours)}, {cell.fastest} "
        f"{duration(cell.others[cell.fastest])}"
        for cell in cells
    ]
    for bar, text in zip(bars, said, strict=True):
        axes.text(0.01, bar.get_y() + bar.get_height() / 2, " " + text, va="center", fontsize=9)
    for goal, name in zip(LEAST, ("floor", "aim"), strict=True):
        axes.axvline(goal, color="lightgrey", linestyle=":", zorder=0)
        axes.text(goal, -0.7, f"{name} {goal:g} ", ha="right", color="grey")
    axes.set(xlim=(0, LEAST[1] * 1.02), ylim=(len(cells) - 0.4, -1.6), yticks=[])
    axes.set_title(f"the {len(cells)} worst cells")
