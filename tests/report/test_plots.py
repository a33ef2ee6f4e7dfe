"""The plots of a report: names that fit, boxes and the heat map."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fastseg.report import mistakes as confusion, plots, svg

pytest.importorskip("jinja2")
pytest.importorskip("matplotlib")


def test_a_name_is_cut_in_its_middle() -> None:
    drawing = plots.box_plot("k", "dice", np.ones((2, 1)), ["a very long name of a structure, left"], (0.0, 1.0))
    assert ">a very long …cture, left<title>a very long name of a structure, left</title></text>" in drawing
    assert svg.width("肝臓 e\u0301") == 6


@pytest.mark.parametrize("values", [np.full((3, 2), np.nan), np.zeros((0, 2)), np.array([[0.5, np.nan]])])
@pytest.mark.parametrize("limits", [(0.0, 1.0), (-1.0, 1.0), (-1.0, float("inf"))])
def test_boxes_of_nearly_nothing(values: Any, limits: Any) -> None:
    assert plots.box_plot("k", "metric", values, ["a", "b"], limits).startswith("<svg ")


@pytest.mark.parametrize("labels", [1, 2, 15, 40])
@pytest.mark.parametrize("logarithmic", [False, True])
def test_heat_map(labels: int, logarithmic: bool) -> None:
    voxels = np.diag(np.arange(labels)) * 10  # the truth has none of label 0
    names = [f"label {k}" for k in range(labels)]
    drawing = plots.heat_map("k", "title", confusion.Confusion(voxels, names, names), logarithmic=logarithmic)
    assert (">100</text>" in drawing) == (labels > 1)
    assert drawing.count("rotate(-90") == (0 if labels <= 10 else labels)
    assert drawing.count("rotate(-40") == (labels if labels <= 10 else 0)
