"""What a metric or loss is where a class is empty: tables that are computed, not written."""

from __future__ import annotations

from typing import Any

import numpy as np

import fastseg
from fastseg.counts import BinaryCounts
from fastseg.metrics.conventions import CONVENTIONS
from fastseg.metrics.registry import Metric, ScoreFunction

__all__ = ["of_loss", "of_metric", "of_pixels", "table"]

#: Of 16 voxels: true and false positives and negatives.
_SITUATIONS = {
    "neither map has the class": (0, 0, 0, 16),
    "only the prediction has it": (0, 4, 0, 12),
    "only the truth has it": (0, 0, 4, 12),
    "both maps are all of it": (16, 0, 0, 0),
}


def of_metric(metric: Metric) -> tuple[list[str], list[list[str]]]:
    """Return head and rows: for each convention, what a case is worth of a class where something is empty."""
    counts = np.array(list(_SITUATIONS.values()))
    voxels = np.zeros((len(counts), 4), np.int64)
    tp, fp, fn, tn = (counts[:, k : k + 1] for k in range(4))
    binary = BinaryCounts((1,), tp, fp, fn, tn, voxels)
    rows = []
    for convention in CONVENTIONS.values():
        values = convention.values(metric.name, binary)[:, 0]
        found = "with the package" if metric.name in convention.verified else "by analogy"
        rows.append([f"`{convention.name}`", *map(number, values), "" if convention.name == "fastseg" else found])
    for zero_division in (0.0, 1.0):
        values = metric(binary, zero_division=zero_division)[:, 0]
        rows.append([f"any call with `zero_division={zero_division:g}`", *map(number, values), ""])
    return ["convention", *_SITUATIONS, "tested"], rows


def of_loss(loss: ScoreFunction) -> tuple[list[str], list[list[str]]]:
    """Return head and rows: the loss of one class where truth or prediction is empty."""
    nothing, some = np.zeros((4, 4)), np.pad(np.ones((2, 2)), 1)
    situations = {
        "t = 0 everywhere, p = 0 everywhere": (nothing, nothing),
        "t = 0 everywhere, p = 1 at 4 voxels": (nothing, some),
        "t = 1 at 4 voxels, p = 0 everywhere": (some, nothing),
        "no voxel is counted": (nothing, nothing),
    }
    function = getattr(fastseg, loss.name)
    rows = []
    for name, (truth, scores) in situations.items():
        kept: dict[str, Any] = {"mask": nothing.astype(bool)} if name == "no voxel is counted" else {}
        found = function(truth.astype(int), scores, channel_axis=None, sample_axis=None, **kept)
        rows.append([name, number(found)])
    return ["one class of 16 voxels", f"`{loss.name}`"], rows


def of_pixels(entry: ScoreFunction, options: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Return head and rows: what becomes of a class that no voxel has, and of no voxels at all."""
    truth = np.zeros((4, 4), int)
    sure, unsure, wrong = (np.full((4, 4, 2), pair) for pair in ((1.0, 0.0), (0.75, 0.25), (0.0, 1.0)))
    function = getattr(fastseg, entry.name)
    rows = [
        ["the truth has no class 1, p = 0 for it", number(function(truth, sure, **options))],
        ["the truth has no class 1, p = 0.25 for it", number(function(truth, unsure, **options))],
        ["the truth has no class 1, p = 1 for it", number(function(truth, wrong, **options))],
        ["no voxel is counted", number(function(truth, sure, mask=np.zeros((4, 4), bool), **options))],
    ]
    return ["two classes, 16 voxels", f"`{entry.name}`"], rows


def number(value: Any) -> str:
    """Return a number as a page has it.

    Examples
    --------
    >>> [number(x) for x in (float("nan"), float("inf"), 1.0, 1 / 3)]
    ['undefined', '∞', '1', '0.3333']
    """
    if np.isnan(value):
        return "undefined"
    if np.isinf(value):
        return "∞" if value > 0 else "−∞"
    return f"{round(float(value), 4):g}".replace("-", "−")


def table(head: list[str], rows: list[list[str]]) -> str:
    """Return a table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
