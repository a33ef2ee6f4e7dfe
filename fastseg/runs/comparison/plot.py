"""The picture of a comparison, and its files: a forest plot, a panel a metric and a row a class."""

from __future__ import annotations

import io
import json
import math
import os
import unicodedata
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from fastseg.runs.atomic import write_all
from fastseg.runs.comparison.result import Comparison, Row

__all__ = ["plot", "write_comparison"]

#: Colours that people who see few tell apart (Okabe and Ito, 2008); the markers differ too.
_COLOURS = {"B": "#0072b2", "A": "#d55e00", "differs": "#000000", "": "#8a8a8a"}
_MARKERS = {"B": "o", "A": "s", "differs": "D", "": "o"}
_INK, _FAINT, _BAND = "#222222", "#666666", "#f3f5f7"

#: Inches.
_ROW, _GAP, _ABOVE, _BELOW, _EDGE = 0.21, 0.3, 0.36, 0.52, 0.2
_WIDEST = 12.0
#: A panel is as wide as room is for, within these.
_NARROW, _WIDE = 2.4, 4.8

#: The file that only Matplotlib can make.
_PICTURE = "comparison.svg"

_ACROSS = 4
_LONGEST = 36

#: From so many rows on the scale is above them, too.
_TALL = 30

_STYLE = {
    "font.size": 8.5,
    "text.parse_math": False,
    "svg.hashsalt": "fastseg",
    "svg.fonttype": "none",  # text stays text: found by searches, and in scripts that no one font has
    "axes.unicode_minus": True,
}


def write_comparison(comparison: Comparison, folder: str | os.PathLike[str]) -> None:
    """Write `comparison.json`, `comparison.csv` and `comparison.svg`: all, or none of them, but the last without Matplotlib.

    Parameters
    ----------
    comparison : Comparison
        What `fastseg.runs.comparison.compare.compare_runs` found.
    folder : path
        Where they go; it is made if it is not there.

    Raises
    ------
    ImportError
        If Matplotlib is not installed, after the others are written. A picture that was there, of an earlier comparison,
        is removed.
    OSError
        If they cannot be written, with the path.
    """
    text = json.dumps(comparison.to_dict(), indent=1, allow_nan=False)
    files = {"comparison.json": f"{text}\n".encode("ascii"), "comparison.csv": comparison.to_csv().encode("utf-8")}
    undrawn = None
    try:
        files[_PICTURE] = plot(comparison)
    except ImportError as error:
        undrawn = error
    os.makedirs(folder, exist_ok=True)
    write_all(folder, files)
    if undrawn is not None:
        Path(folder, _PICTURE).unlink(missing_ok=True)
        raise ImportError(f"{_PICTURE}: {undrawn}") from None


def plot(comparison: Comparison, format: Literal["svg", "png"] = "svg") -> bytes:
    """Draw mean differences with their intervals; significant ones are filled and coloured by the run that is better.

    Parameters
    ----------
    comparison : Comparison
        Of any number of metrics and classes: the picture grows with them.
    format : {"svg", "png"}
        PNG has 150 dots an inch.

    Returns
    -------
    image : bytes
        The same for the same comparison (and versions of Matplotlib and its fonts).

    Raises
    ------
    ImportError
        If Matplotlib is not installed.
    """
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError:
        raise ImportError('drawing needs Matplotlib: pip install "fastseg-metrics[report]"') from None

    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="(Glyph|Matplotlib currently does not support)", category=UserWarning)
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        figure = Figure(facecolor="white")
        _draw(figure, comparison)
        data = io.BytesIO()
        plain: dict[str, Any] = {"Date": None} if format == "svg" else {"Software": None}
        figure.savefig(data, format=format, dpi=150, metadata=plain)
    return data.getvalue()


def _draw(figure: Any, comparison: Comparison) -> None:
    labels = [_short(title) for rows in comparison.metrics.values() for title in comparison.row_titles(rows)]
    left = _EDGE + 0.15 + 0.078 * max(map(_columns, labels), default=0)
    room = _WIDEST - left - _EDGE + _GAP
    lines = _lines(comparison, max(1, min(_ACROSS, int(room / (_NARROW + _GAP)))))
    across = max(map(len, lines), default=1)
    panel = min(_WIDE, room / across - _GAP)
    width = left + across * (panel + _GAP) - _GAP + _EDGE
    above = _ABOVE + (0.16 if any(len(line[0]) >= _TALL for line in lines) else 0.0)
    heights = [above + _ROW * (len(line[0]) + 0.6) + _BELOW for line in lines]
    head, foot = 0.82, 0.48
    height = head + sum(heights) + foot
    figure.set_size_inches(width, height)
    _heading(figure, comparison, (_EDGE / width, 1 - 0.17 / height), height)
    top = height - head
    for line, tall in zip(lines, heights, strict=True):
        for column, rows in enumerate(line):
            bottom, high = top - tall + _BELOW, tall - above - _BELOW
            x = left + column * (panel + _GAP)
            axes = figure.add_axes((x / width, bottom / height, panel / width, high / height))
            _panel(axes, rows, comparison.row_titles(rows) if column == 0 else [""] * len(rows))
        top -= tall
    _legend(figure, comparison, (_EDGE / width, 0.1 / height))


def _lines(comparison: Comparison, most: int) -> list[list[list[Row]]]:
    """Return the panels' rows in lines of at most so many panels, as even as can be, that have the same classes."""
    alike: dict[tuple[Any, ...], list[list[Row]]] = {}
    for rows in comparison.metrics.values():
        alike.setdefault(tuple((row.key, row.name) for row in rows), []).append(rows)
    lines = []
    for panels in alike.values():
        across = math.ceil(len(panels) / math.ceil(len(panels) / most))
        lines += [panels[k : k + across] for k in range(0, len(panels), across)]
    return lines


def _heading(figure: Any, comparison: Comparison, place: tuple[float, float], height: float) -> None:
    a, b = (_short(title, 60) for title in comparison.titles)
    figure.text(*place, a, color=_COLOURS["A"], weight="bold", size=10, va="top")
    figure.text(place[0], place[1] - 0.19 / height, b, color=_COLOURS["B"], weight="bold", size=10, va="top")
    left_out = f" ({len(comparison.left_out):,} left out)" if comparison.left_out else ""
    pairs = [row.n for row in comparison.rows]
    least, most = min(pairs), max(pairs)
    number = f"{most:,}" if least == most else f"{least:,} to {most:,}"
    text = f"mean difference over {number} paired cases{left_out}, {100 * comparison.confidence:g}% bootstrap interval"
    figure.text(place[0], place[1] - 0.4 / height, text, color=_FAINT, va="top")


def _panel(axes: Any, rows: Sequence[Row], titles: Sequence[str]) -> None:
    """Draw one metric: rows from above, and what belongs to several classes set apart below."""
    places = [k + (0.6 if row.key is None and len(rows) > 1 else 0.0) for k, row in enumerate(rows)]
    for k, place in enumerate(places):
        if k % 2 == 0:
            axes.axhspan(place - 0.5, place + 0.5, color=_BAND, linewidth=0, zorder=0)
    axes.axvline(0, color=_INK, linewidth=0.9, zorder=1)
    for place, row in zip(places, rows, strict=True):
        if not math.isfinite(row.difference):
            text = axes.get_yaxis_transform()
            axes.text(0.98, place, "no pairs", transform=text, ha="right", va="center", color=_FAINT, size=7)
            continue
        colour, significant = _COLOURS[row.verdict], bool(row.verdict)
        if math.isfinite(row.low):
            axes.hlines(place, row.low, row.high, color=colour, linewidth=2.0 if significant else 1.1, zorder=2)
        axes.plot(
            [row.difference], [place], _MARKERS[row.verdict], color=colour, zorder=3,
            markersize=6.0 if significant else 4.2, markerfacecolor=colour if significant else "white", markeredgewidth=1.1,
        )  # fmt: skip
    _limits(axes, rows)
    axes.set_ylim(places[-1] + 0.65, -0.55)
    axes.set_yticks(places, [_short(title) for title in titles], color=_INK)
    for label, row in zip(axes.get_yticklabels(), rows, strict=True):
        label.set_weight("bold" if row.key is None else "normal")
    axes.tick_params(axis="y", length=0, pad=5)
    axes.tick_params(axis="x", length=3, color=_FAINT, labelcolor=_FAINT, labelsize=7.5)
    axes.grid(axis="x", color="#dddddd", linewidth=0.6, zorder=0.5)
    axes.set_axisbelow(True)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(_FAINT)
    axes.set_title(rows[0].metric.replace("_", " "), loc="left", weight="bold", size=9, color=_INK, pad=5)
    if len(rows) >= _TALL:
        axes.tick_params(axis="x", top=True, labeltop=True)
    for where, side, text in zip(
        (0.0, 0.5, 1.0), ("left", "center", "right"), _DIRECTIONS[rows[0].better], strict=True
    ):
        axes.annotate(
            text, (where, 0), (0, -18), "axes fraction", "offset points", ha=side, va="top", size=8, color=_FAINT,
            annotation_clip=False,
        )  # fmt: skip


_DIRECTIONS = {
    "higher": ("\u2190 A better", "B \u2212 A", "B better \u2192"),
    "lower": ("\u2190 B better", "B \u2212 A", "A better \u2192"),
    "zero": ("", "B \u2212 A (nearer to zero is better)", ""),
    "neither": ("", "B \u2212 A", ""),
}


def _limits(axes: Any, rows: Sequence[Row]) -> None:
    """Show zero and all intervals, with as much room on the narrower side as makes it visible."""
    from matplotlib.ticker import MaxNLocator

    ends = [end for row in rows for end in (row.low, row.high, row.difference) if math.isfinite(end)]
    low, high = min([0.0, *ends]), max([0.0, *ends])
    room = high - low or 0.02
    low, high = min(low, -0.12 * room), max(high, 0.12 * room)
    axes.set_xlim(low - 0.06 * room, high + 0.06 * room)
    axes.xaxis.set_major_locator(MaxNLocator(5))


def _legend(figure: Any, comparison: Comparison, place: tuple[float, float]) -> None:
    from matplotlib.lines import Line2D

    alpha = f"p < {1 - comparison.confidence:.4g}"
    texts = {"A": f"A better, {alpha}", "B": f"B better, {alpha}", "differs": f"differ, {alpha}", "": "not significant"}
    wanted = [
        verdict for verdict in texts if verdict != "differs" or any(row.verdict == "differs" for row in comparison.rows)
    ]
    handles = [
        Line2D(
            [], [], linestyle="-", marker=_MARKERS[verdict], color=_COLOURS[verdict], linewidth=2.0 if verdict else 1.1,
            markersize=6.0 if verdict else 4.2, markerfacecolor=_COLOURS[verdict] if verdict else "white",
            label=texts[verdict],
        )
        for verdict in wanted
    ]  # fmt: skip
    legend = figure.legend(
        handles=handles, loc="lower left", bbox_to_anchor=place, ncols=len(handles), frameon=False, fontsize=8,
        borderaxespad=0.0, borderpad=0.0, handlelength=2.2, columnspacing=1.6, labelcolor=_FAINT,
        title="Wilcoxon signed-rank test, Holm's correction over the rows of a metric", title_fontsize=7.5, alignment="left",
    )  # fmt: skip
    legend.get_title().set_color(_FAINT)


def _columns(text: str) -> int:
    """Return how wide text is, in narrow characters."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def _short(text: str, longest: int = _LONGEST) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}\u2026"
