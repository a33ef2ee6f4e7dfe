"""The matrix of shapes as a picture: how much sooner than the fastest other, call by call, read from the table of its page."""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from ext.pictures import svg

__all__ = ["Matrix", "plot", "read_matrix"]

_INPUTS = ("narrow", "int64", "torch")


class Matrix(NamedTuple):
    """Ratios of rows (shapes and numbers of classes) and columns (calls, each of three kinds of input)."""

    calls: list[str]
    rows: list[str]
    ratios: list[list[float]]


def read_matrix(page: str) -> Matrix:
    """Return the matrix of label maps on a page."""
    lines = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line.startswith("| ")
    ]
    head = next(k for k, cells in enumerate(lines) if cells[:2] == ["shape", "K"])
    calls = lines[head][2:-1]
    rows, ratios = [], []
    for cells in lines[head + 2 :]:
        if len(cells) != len(lines[head]) or not cells[1].replace(",", "").isdigit():
            break
        rows.append(f"{cells[0]}, K={cells[1]}")
        ratios.append([float(number) for cell in cells[2:-1] for number in re.findall(r"[\d.]+", cell)])
    return Matrix(calls, rows, ratios)


def plot(matrix: Matrix) -> str:
    """Return the matrix as SVG: blue where ours is the fastest, orange where another is, with the ratio in each cell."""
    figure = Figure(figsize=(9.6, 0.27 * len(matrix.rows) + 1.0), layout="constrained")
    axes = figure.add_subplot()
    values = np.array(matrix.ratios)
    axes.imshow(values, aspect="auto", cmap="PuOr", norm=LogNorm(1 / 16, 16))
    for (row, column), value in np.ndenumerate(values):
        digits = 0 if value >= 100 else 1 if value >= 10 else 2
        colour = "white" if value > 3.5 else "#1b1f23"
        axes.text(column, row, f"{value:.{digits}f}", ha="center", va="center", fontsize=7.5, color=colour)
    axes.set_yticks(range(len(matrix.rows)), matrix.rows, fontsize=8)
    axes.set_xticks(range(values.shape[1]), list(_INPUTS) * len(matrix.calls), fontsize=8)
    for place, call in enumerate(matrix.calls):
        axes.text(3 * place + 1, -1.9, call, ha="center", va="bottom", fontsize=9, weight="bold")
        axes.axvline(3 * place - 0.5, color="white", linewidth=4)
    axes.tick_params(length=0, labelbottom=False, labeltop=True)
    for spine in axes.spines.values():
        spine.set_visible(False)
    return svg(figure)
