"""The curve of the report: surface Dice over tolerances, a line for each class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fastseg.report import svg
from fastseg.report.colours import COLOURS
from fastseg.report.worst_cases import swatch
from fastseg.runs import Run
from fastseg.runs.results.surfaces import background_of, surface_dice_curves

__all__ = ["tolerance_curves"]

#: Size of the drawing in pixels, how many tolerances it is drawn at, and how many classes at most.
_WIDE, _HIGH = 640.0, 300.0
_POINTS, _CLASSES = 121, 12


def tolerance_curves(run: Run, places: Sequence[int]) -> dict[str, Any] | None:
    """Return surface Dice over tolerances of some of a run's classes: a drawing, and a colour and a name for each line.

    Parameters
    ----------
    run : Run
        One that has measured no surfaces has none: None.
    places : sequence of int
        Of classes, the first of which are drawn.
    """
    how, background = run.settings.surfaces, background_of(run.classes)
    there = [place for place in places if not background[place]]
    chosen = there[:_CLASSES]
    if how is None or not chosen:
        return None
    asked = [each for each in (how.tolerance, *how.tolerances.values()) if each is not None]
    tolerances = np.linspace(0, max(5.0, *(2 * each for each in asked)) if asked else 10.0, _POINTS)
    curves = surface_dice_curves(run.counted, run.classes, run.settings, tolerances)
    chosen = [place for place in chosen if not np.isnan(curves[place]).all()]
    if not chosen:
        return None
    colours = [COLOURS[n % len(COLOURS)] for n in range(len(chosen))]
    names = [run.classes[place].name for place in chosen]
    plot = _drawn(tolerances, curves[chosen], colours, how.tolerance)
    lines = [(swatch(colour), name) for colour, name in zip(colours, names, strict=True)]
    return {"plot": plot, "lines": lines, "asked": how.tolerance is not None, "more": len(there[_CLASSES:])}


def _drawn(
    tolerances: npt.NDArray[np.float64], curves: npt.NDArray[np.float64], colours: Sequence[str], asked: float | None
) -> Any:
    """Draw the curves, and the tolerance that was asked for."""
    from matplotlib.figure import Figure

    with svg.settings():
        figure = Figure(figsize=(_WIDE / 72, _HIGH / 72), dpi=200)
        axes = figure.add_axes((40 / _WIDE, 46 / _HIGH, 1 - 56 / _WIDE, 1 - 60 / _HIGH))
        axes.set(xlim=(0, tolerances[-1]), ylim=(0, 1.02))
        axes.grid()
        axes.set_xlabel("tolerance in mm", color=svg.MUTED)
        if asked is not None:
            axes.axvline(asked, color=svg.MUTED, linewidth=1, linestyle="--")
        for curve, colour in zip(curves, colours, strict=True):
            # What is within a tolerance rises in steps.
            axes.plot(tolerances, curve, color=colour, linewidth=1.8, drawstyle="steps-post")
        label = f"Normalised surface Dice of {len(curves)} classes over tolerances from 0 to {tolerances[-1]:g} mm"
        return svg.drawn(figure, "tolerances", label)
