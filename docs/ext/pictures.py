"""The pictures of the example: 4×4 pixels side by side, as SVG whose letters are paths, the same at every build."""

from __future__ import annotations

import io
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from ext import example
from ext.explanation import Explanation

__all__ = ["of_counts", "of_curve", "of_scores", "of_segments", "of_surfaces", "svg"]

Array = npt.NDArray[Any]

#: Blue and orange are told apart by colour-blind people too.
_OUTCOMES = {"TP": "#2b7bba", "FP": "#f4a259", "FN": "#c05a1a", "TN": "#e8ecef"}
_SEGMENTS = ("#2b7bba", "#f4a259", "#e8ecef", "#c05a1a")
_CLASS, _NOTHING, _TEXT, _EDGE = "#2b7bba", "#e8ecef", "#1b1f23", "#ffffff"
_TERMS = {
    "overlap": "p · t",
    "entropy": "−ln p of the truth",
    "focal": "−(1 − p)² ln p",
    "brier": "Σ (p − t)²",
    "right": "right: 1",
    "confidence": "confidence (✗: wrong)",
}


def of_counts() -> str:
    """Return the picture of all metrics of counts: truth, prediction, and what each pixel is counted as."""
    outcome = example.outcome()
    figure = _figure(3)
    for axes, title, labels in zip(
        figure.axes, ("truth", "prediction"), (example.TRUTH, example.PREDICTION), strict=False
    ):
        _panel(axes, title, np.where(labels == 1, _CLASS, _NOTHING), labels.astype(str))
    colours = np.vectorize(_OUTCOMES.get)(outcome)
    _panel(figure.axes[2], "counted as", colours, outcome)
    return svg(figure)


def of_surfaces(distances: list[Array]) -> str:
    """Return the picture of metrics of surfaces: of truth and prediction the distance of each pixel to the other surface."""
    figure = _figure(2)
    maps = (example.TRUTH, example.PREDICTION)
    for axes, title, labels, values in zip(figure.axes, ("truth", "prediction"), maps, distances, strict=True):
        texts = np.where(np.isnan(values), "", np.char.mod("%g", np.round(values, 2)))
        _panel(axes, title, np.where(labels == 1, _CLASS, _NOTHING), texts)
    return svg(figure)


def of_segments(*maps: Array) -> str:
    """Return the picture of metrics of partitions: truth and prediction, with the segment of each pixel."""
    figure = _figure(2)
    for axes, title, labels in zip(figure.axes, ("truth", "prediction"), maps, strict=True):
        _panel(axes, title, np.array(_SEGMENTS)[labels - 1], labels.astype(str))
    return svg(figure)


def of_scores(explanation: Explanation) -> str:
    """Return the picture of a function of scores: truth, probability, and what each pixel adds."""
    figure = _figure(3)
    labels, probability, terms = example.TRUTH, example.PROBABILITY, example.terms(explanation)
    _panel(figure.axes[0], "truth t", np.where(labels == 1, _CLASS, _NOTHING), labels.astype(str))
    _panel(figure.axes[1], "probability p", _shades(probability), _texts(probability, 1))
    digits = 1 if explanation.term in ("overlap", "confidence") else 0 if explanation.term == "right" else 2
    texts = _texts(terms, digits)
    if explanation.term == "confidence":
        wrong = np.array(example.TRUTH != example.PREDICTION)
        texts = np.where(wrong, np.char.add(texts, "\n✗"), texts)
    _panel(figure.axes[2], _TERMS[explanation.term or "overlap"], _shades(terms / max(1.0, terms.max())), texts)
    return svg(figure)


def of_curve(thresholds: Array, curves: dict[str, Array]) -> str:
    """Return curves over thresholds."""
    figure = Figure(figsize=(5.2, 3.2), layout="constrained")
    axes = figure.add_subplot()
    for (name, values), style in zip(curves.items(), ("-", "--", "-.", ":"), strict=False):
        axes.plot(thresholds, values, style, marker="o", markersize=4, label=name)
    axes.set(xlabel="threshold", xlim=(-0.03, 1.03), ylim=(-0.03, 1.03))
    axes.legend(frameon=False)
    axes.grid(alpha=0.3)
    return svg(figure)


def _figure(panels: int) -> Figure:
    figure = Figure(figsize=(1.95 * panels, 2.25), layout="constrained")
    figure.subplots(1, panels)
    return figure


def _panel(axes: Any, title: str, colours: Array, texts: Array) -> None:
    axes.imshow(np.array([[mpl.colors.to_rgb(colour) for colour in row] for row in colours]))
    for (row, column), text in np.ndenumerate(texts):
        dark = np.dot(mpl.colors.to_rgb(colours[row, column]), (0.3, 0.6, 0.1)) < 0.55
        axes.text(column, row, text, ha="center", va="center", color=_EDGE if dark else _TEXT, fontsize=12)
    height, width = texts.shape
    axes.set_xticks(np.arange(width + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(height + 1) - 0.5, minor=True)
    axes.grid(which="minor", color=_EDGE, linewidth=2)
    axes.tick_params(which="both", length=0, labelbottom=False, labelleft=False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_title(title, fontsize=12, color=_TEXT)


def _shades(values: Array) -> Array:
    """Return colours from that of nothing to that of the class."""
    low, high = (np.array(mpl.colors.to_rgb(colour)) for colour in (_NOTHING, _CLASS))
    mixed = low + (high - low) * np.clip(values, 0, 1)[..., None]
    return np.array([[mpl.colors.to_hex(colour) for colour in row] for row in mixed])


def _texts(values: Array, digits: int) -> Array:
    return np.array([[f"{value:.{digits}f}" for value in row] for row in values])


def svg(figure: Figure) -> str:
    """Return a figure as SVG without a date, its identifiers the same every time."""
    with mpl.rc_context({"svg.hashsalt": "fastseg", "svg.fonttype": "path"}):
        out = io.StringIO()
        figure.savefig(out, format="svg", metadata={"Date": None})
    return out.getvalue()
