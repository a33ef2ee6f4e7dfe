"""Pictures of the last run of the benchmarks: a line a figure, its quartiles, and the goals; what the ratio 1 means, drawn.

``{benchmark-plots}`` shows one for each group of ratios.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import LogLocator, NullFormatter
from sphinx.util.docutils import SphinxDirective

from ext import shapes_plot
from ext.figures import Figure, Run, read_run
from ext.pictures import svg

__all__ = ["groups", "plot", "setup", "slug"]

_REACHED, _BELOW, _GOAL, _INK = "#2b7bba", "#c05a1a", "#6b7280", "#1b1f23"


def groups(run: Run) -> dict[str, list[Figure]]:
    """Return the figures that are ratios, and better when higher, by their groups; those of a group of one are left out."""
    found = {group: run.select(f"^{re.escape(group)}$") for group in dict.fromkeys(each.group for each in run.figures)}
    ratios = {
        group: [each for each in every if each.unit == "×" and not each.at_most] for group, every in found.items()
    }
    return {group: every for group, every in ratios.items() if len(every) > 1}


def slug(group: str) -> str:
    """Return the name of a group's file.

    Examples
    --------
    >>> slug("Drop-ins for MONAI: its time / ours")
    'drop-ins-for-monai-its-time-ours'
    """
    return re.sub(r"[^a-z0-9]+", "-", group.lower()).strip("-")


def plot(figures: list[Figure]) -> str:
    """Return a group of ratios as SVG: blue where no floor was missed, orange where it was; a bar at the floor."""
    canvas = Canvas(figsize=(8.6, 0.27 * len(figures) + 0.9), layout="constrained")
    axes = canvas.add_subplot()
    axes.axvline(1, color=_GOAL, linewidth=1)
    for place, each in enumerate(figures):
        missed = each.floor is not None and each.ratio < each.floor
        colour = _BELOW if missed else _REACHED
        axes.plot([each.low, each.high], [place, place], color=colour, linewidth=3, alpha=0.45, solid_capstyle="butt")
        axes.plot(each.ratio, place, "s" if missed else "o", color=colour, markersize=5)
        if each.floor is not None:
            axes.plot([each.floor] * 2, [place - 0.35, place + 0.35], color=_GOAL, linewidth=1.4)
    axes.set_xscale("log")
    ends = [value for each in figures for value in (each.low, each.high, each.floor or each.ratio, 1.0)]
    axes.set_xlim(min(ends) / 1.3, max(ends) * 1.3)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}×")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_yticks(range(len(figures)), [each.name for each in figures], fontsize=8, color=_INK)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(figures) - 0.4, -0.6)
    axes.grid(axis="x", alpha=0.25)
    axes.spines[["top", "right", "left"]].set_visible(False)
    return svg(canvas)


class BenchmarkPlots(SphinxDirective):
    """The pictures of all groups, with where and when they were taken."""

    def run(self) -> list[Any]:
        """Return paragraphs and pictures."""
        return list(self.parse_text_to_nodes("\n\n".join(self._made())))

    def _made(self) -> Iterable[str]:
        run = read_run()
        yield run.taken
        for group, figures in groups(run).items():
            missed = sum(each.floor is not None and each.ratio < each.floor for each in figures)
            yield f"**{group}**"
            alt = f"{group}: {len(figures)} figures, {missed} below the floor"
            yield f"```{{image}} pictures/{slug(group)}.svg\n:alt: {alt}\n```"


def write_pictures(folder: Path) -> None:
    """Write the picture of each group."""
    folder.mkdir(parents=True, exist_ok=True)
    for group, figures in groups(read_run()).items():
        (folder / f"{slug(group)}.svg").write_text(plot(figures), encoding="utf-8")
    page = (folder.parent / "shapes.md").read_text(encoding="utf-8")
    (folder / "shapes.svg").write_text(shapes_plot.plot(shapes_plot.read_matrix(page)), encoding="utf-8")


def setup(app: Any) -> dict[str, bool]:
    """Add the directive, and draw before Sphinx looks for the pictures."""
    app.add_directive("benchmark-plots", BenchmarkPlots)
    app.connect("builder-inited", lambda app: write_pictures(Path(app.srcdir) / "benchmarks" / "pictures"))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
