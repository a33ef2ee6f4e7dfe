"""The plots of the report: how a metric is spread over the cases, which labels are taken for which, sizes and Dice."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fastseg.report import svg
from fastseg.report.mistakes import Confusion

__all__ = ["box_plot", "heat_map", "size_plot"]

Floats = npt.NDArray[np.float64]

#: Width of a panel of boxes in pixels, and of a character of its text.
_PANEL, _CHARACTER = 460.0, 7.2

#: Points of a panel that are drawn one by one; more become a picture.
_POINTS = 1500

#: The blue of cells and of points in pictures: their opacity is the value, so that they suit a light and a dark page.
_BLUE = "#0f5aa0"
_POINT = "#4a8fd0"

#: The smallest share that a logarithmic scale tells from smaller ones.
_LEAST = 1e-5


def box_plot(key: str, title: str, values: Floats, names: Sequence[str], limits: tuple[float, float]) -> Any:
    """Draw a box for each class and a point for each case.

    Parameters
    ----------
    key : str
        Begins all ids of the drawing.
    title : str
        The metric's name.
    values : (N, C) float64
        Of N cases and C classes; what is not finite is left out.
    names : sequence of C str
        Of the classes.
    limits : (float, float)
        The metric's range; the axis shows it where it is finite and at most 1 wide, else what occurs.
    """
    from matplotlib.figure import Figure

    classes = len(names)
    step = 30 if classes <= 12 else 22
    left = 14 + _CHARACTER * max([svg.width(svg.shortened(name)) for name in names], default=1)
    above = 26.0 if classes > 20 else 4.0
    height = step * max(1, classes) + 30.0 + above
    finite = [column[np.isfinite(column)] for column in values.T]
    with svg.settings():
        figure = Figure(figsize=(_PANEL / 72, height / 72), dpi=200)
        axes = figure.add_axes((left / _PANEL, 26 / height, 1 - (left + 14) / _PANEL, 1 - (26 + above) / height))
        axes.set(ylim=(classes - 0.5, -0.5), xlim=_span(finite, limits))
        axes.set_yticks(range(classes), [f"class {number}" for number in range(classes)])
        axes.grid(axis="x")
        axes.tick_params(axis="y", pad=8, labelsize=12)
        axes.tick_params(axis="x", pad=6)
        axes.locator_params(axis="x", nbins=5)
        if classes > 20:  # taller than a screen
            axes.tick_params(axis="x", labeltop=True)
        _draw_points(axes, finite)
        _draw_boxes(axes, finite)
        label = f"{title}: box plot over cases of {classes} classes"
        return svg.drawn(figure, key, label, {f"class {number}": name for number, name in enumerate(names)})


def heat_map(key: str, title: str, confusion: Confusion, *, logarithmic: bool = False) -> Any:
    """Draw a confusion matrix, each cell as its share of its row (rows true, columns predicted).

    Parameters
    ----------
    key, title : str
        Begins all ids of the drawing; what it is.
    confusion : Confusion
        Of K labels in the truth, some dozens at most.
    logarithmic : bool
        Whether opacity follows the logarithm of the share: rare confusions become visible.
    """
    from matplotlib.figure import Figure

    shares = confusion.shares
    rows, columns = shares.shape
    most = max(rows, columns)
    cell = 46.0 if most <= 10 else 34.0 if most <= 20 else 30.0
    beside = 18 + _CHARACTER * max(18, *[svg.width(svg.shortened(name)) for name in confusion.rows])
    above = 18 + _CHARACTER * max([svg.width(svg.shortened(name)) for name in confusion.columns], default=1)
    upright = most > 10
    above = above if upright else 0.72 * above + 6
    wide, high = cell * columns, cell * rows
    right = 14 if upright else 0.75 * above
    size = (max(beside + wide + right, 340.0), above + high + 70)
    with svg.settings():
        figure = Figure(figsize=(size[0] / 72, size[1] / 72), dpi=200)
        axes = figure.add_axes((beside / size[0], 70 / size[1], wide / size[0], high / size[1]))
        axes.imshow(_blue(_opacity(shares, logarithmic)), interpolation="none", aspect="auto")
        axes.spines[:].set_visible(False)
        axes.set_xticks(range(columns), [f"column {k}" for k in range(columns)])
        axes.set_yticks(range(rows), [f"row {k}" for k in range(rows)])
        axes.tick_params(axis="x", top=True, bottom=False, labeltop=True, labelbottom=False, pad=5, labelcolor=svg.INK)
        turn, baseline = (90, "center") if upright else (40, "bottom")
        for label in axes.get_xticklabels():
            label.set(rotation=turn, rotation_mode="anchor", ha="left", va=baseline)
        axes.tick_params(axis="y", pad=6)
        for edge in range(rows + 1):
            axes.axhline(edge - 0.5, color=svg.GRID, linewidth=1)
        for edge in range(columns + 1):
            axes.axvline(edge - 0.5, color=svg.GRID, linewidth=1)
        _write_cells(axes, shares, logarithmic, 11 if most <= 20 else 9)
        axes.set_xlim(-0.5, columns - 0.5)
        axes.set_ylim(rows - 0.5, -0.5)
        corner = ((beside - 8) / size[0], 1 - (above - 12) / size[1])
        figure.text(*corner, "true ↓  predicted →", color=svg.MUTED, fontsize=11, ha="right", va="center")
        _scale(figure, size, beside, logarithmic)
        names = {f"row {k}": name for k, name in enumerate(confusion.rows)}
        names |= {f"column {k}": name for k, name in enumerate(confusion.columns)}
        return svg.drawn(figure, key, title, names)


def size_plot(key: str, title: str, points: Mapping[str, tuple[Floats, Floats]], unit: str) -> Any:
    """Draw the Dice of instances against their size, on a logarithmic axis.

    Parameters
    ----------
    key, title : str
        Begins all ids of the drawing; what it is.
    points : dict
        By colour the sizes and the Dice of instances, (M,) each. Sizes are above 0.
    unit : str
        Of the sizes.
    """
    from matplotlib.figure import Figure

    high, size = 300.0, np.concatenate([np.ones(0), *(sizes for sizes, _ in points.values())])
    first, last = (math.floor(math.log10(size.min())), math.ceil(math.log10(size.max()))) if size.size else (0, 1)
    last = max(last, first + 1)
    many = len(size) > _POINTS
    with svg.settings():
        figure = Figure(figsize=(_PANEL / 72, high / 72), dpi=200)
        axes = figure.add_axes((58 / _PANEL, 46 / high, 1 - 78 / _PANEL, 1 - 60 / high))
        axes.set(xlim=(first, last), ylim=(-0.02, 1.02))
        ticks = range(first, last + 1, max(1, (last - first) // 5))
        axes.set_xticks(ticks, [f"{10.0**tick:g}" for tick in ticks])
        axes.set_yticks([0, 0.25, 0.5, 0.75, 1])
        axes.grid()
        axes.tick_params(pad=6)
        axes.set_xlabel(f"size in {unit}", color=svg.MUTED)
        axes.set_ylabel("Dice", color=svg.MUTED)
        for colour, (sizes, dice) in points.items():
            axes.plot(
                np.log10(sizes), dice, "o", markersize=4.2, markeredgewidth=0, color=colour, alpha=0.75, rasterized=many,
                clip_on=False,
            )  # fmt: skip
        return svg.drawn(figure, key, title)


def _draw_points(axes: Any, columns: Sequence[Floats]) -> None:
    """Draw a point for each value; where they are many, as a picture."""
    xs = np.concatenate([np.zeros(0), *columns])
    ys = np.concatenate([np.zeros(0), *(place + 0.5 * _jitter(len(column)) for place, column in enumerate(columns))])
    many = len(xs) > _POINTS
    size, alpha = (3.0, 0.35) if many else (3.6, 0.75)
    axes.plot(
        xs, ys, "o", markersize=size, markeredgewidth=0, color=_POINT, zorder=2, alpha=alpha, rasterized=many, clip_on=False
    )  # fmt: skip


def _draw_boxes(axes: Any, columns: Sequence[Floats]) -> None:
    """Draw a box, its whiskers and its median for each column of two values or more."""
    from matplotlib.collections import LineCollection

    boxes, whiskers, medians = [], [], []
    for place, column in enumerate(columns):
        if len(column) < 2:
            continue
        q1, median, q3 = np.quantile(column, [0.25, 0.5, 0.75]).tolist()
        reach = 1.5 * (q3 - q1)
        low, high = column[column >= q1 - reach].min(), column[column <= q3 + reach].max()
        up, down = place - 0.3, place + 0.3
        boxes.append([(q1, up), (q3, up), (q3, down), (q1, down), (q1, up)])
        whiskers += [[(low, place), (q1, place)], [(q3, place), (high, place)]]
        medians.append([(median, up), (median, down)])
    for lines, thickness in ((boxes, 1.0), (whiskers, 1.0), (medians, 2.6)):
        axes.add_collection(LineCollection(lines, colors=svg.INK, linewidths=thickness, zorder=3), autolim=False)


def _jitter(number: int) -> Floats:
    """Return offsets between -0.5 and 0.5 that spread neighbours far apart, always the same."""
    return np.asarray((np.arange(number) * 0.6180339887498949) % 1.0 - 0.5, np.float64)


def _span(columns: Sequence[Floats], limits: tuple[float, float]) -> tuple[float, float]:
    """Return the ends of a metric's axis, with room for points at its ends."""
    low, high = limits
    if not (math.isfinite(low) and math.isfinite(high)):
        found = np.concatenate([np.zeros(1), *columns])
        low, high = float(found.min()), float(found.max())
    elif low < 0:  # coefficients of agreement: below zero only where something is
        low = min([0.0, *(float(column.min()) for column in columns if column.size)])
    else:  # the tenths that values lie between, of which each part of a box is far enough from the next to be seen
        found = np.concatenate([*columns, np.zeros(0)])
        found = found if found.size else np.array([low, high])
        low, high = math.floor(10 * found.min()) / 10, math.ceil(10 * found.max()) / 10
        low, high = (low - 0.1, high) if low == high else (low, high)
    room = 0.015 * ((high - low) or 1.0)
    return low - room, high + room


def _opacity(shares: Floats, logarithmic: bool) -> Floats:
    """Return how opaque a cell of each share is, 0 where it is 0 or there is none."""
    shares = np.nan_to_num(shares)
    if not logarithmic:
        return shares
    least = math.log10(_LEAST)
    logs = np.log10(np.maximum(shares, _LEAST))
    return np.where(shares > 0, 0.05 + 0.95 * (1 - logs / least), 0.0)


def _blue(opacity: Floats) -> Floats:
    from matplotlib.colors import to_rgb

    colours = np.empty((*opacity.shape, 4))
    colours[..., :3] = to_rgb(_BLUE)
    colours[..., 3] = opacity
    return colours


def _write_cells(axes: Any, shares: Floats, logarithmic: bool, size: float) -> None:
    """Write each share that is not 0 into its cell, in per cent."""
    opacity = _opacity(shares, logarithmic)
    for row, column in zip(*np.nonzero(np.nan_to_num(shares)), strict=True):
        percent = 100 * shares[row, column]
        text = (
            "100" if percent == 100 else "<0.1" if percent < 0.1 else ">99.9" if percent >= 99.95 else f"{percent:.1f}"
        )
        colour = "#ffffff" if opacity[row, column] >= 0.75 else svg.INK
        axes.text(column, row, text, color=colour, fontsize=size, ha="center", va="center_baseline")


def _scale(figure: Any, size: tuple[float, float], left: float, logarithmic: bool) -> None:
    """Draw what the opacities mean, below the matrix."""
    axes = figure.add_axes((left / size[0], 34 / size[1], min(200, size[0] - left - 20) / size[0], 10 / size[1]))
    if logarithmic:
        exponents = (round(math.log10(_LEAST)), -3, -1, 0)
        axes.imshow(
            _blue(_opacity(10.0 ** np.linspace(exponents[0], 0, 128), True)[None]), aspect="auto", extent=(0, 1, 0, 1)
        )
        ticks = [(k - exponents[0]) / -exponents[0] for k in exponents]
        axes.set_xticks(ticks, [f"{10.0 ** (k + 2):g}%" for k in exponents], fontsize=11)
    else:
        axes.imshow(_blue(np.linspace(0, 1, 128)[None]), aspect="auto", extent=(0, 1, 0, 1))
        axes.set_xticks([0, 0.5, 1], ["0%", "50%", "100%"], fontsize=11)
    axes.set_yticks([])
    axes.spines[:].set_visible(True)
    axes.tick_params(axis="x", pad=4)
