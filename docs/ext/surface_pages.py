"""What pages of metrics of surfaces, and of parts of objects, have otherwise: their example, and their empty classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

import fastseg
from ext import example
from ext.empty_classes import number
from ext.explanation import Explanation
from fastseg.metrics.parts import PART_METRICS, CenterlineMetric
from fastseg.metrics.registry import Metric
from fastseg.metrics.surface_conventions import SURFACE_CONVENTIONS
from fastseg.metrics.surfaces import SURFACE_METRICS, SurfaceMetric

__all__ = ["SurfaceEntry", "call", "distances", "empty", "entries", "is_one", "numbers", "value"]

SurfaceEntry = SurfaceMetric | CenterlineMetric | Metric

_NOTHING, _SOME = np.zeros((4, 4), bool), np.pad(np.ones((2, 2), bool), 1)
_SITUATIONS = {
    "neither map has the class": (_NOTHING, _NOTHING),
    "only the prediction has it": (_NOTHING, _SOME),
    "only the truth has it": (_SOME, _NOTHING),
}


def entries() -> dict[str, SurfaceEntry]:
    """Return the metrics of surfaces and of parts of objects by name, aliases left out."""
    every: list[SurfaceEntry] = [*SURFACE_METRICS.values(), *PART_METRICS.values()]
    return {entry.name: entry for entry in every}


def is_one(entry: Any) -> bool:
    """Tell whether an entry is a metric of surfaces or of parts of objects."""
    return isinstance(entry, SurfaceMetric) or entry.name in PART_METRICS


def call(entry: SurfaceEntry, explanation: Explanation) -> str:
    """Return the call of the example, as people write it."""
    own = "".join(f", {name}={given!r}" for name, given in _options(entry, explanation).items())
    return f"fastseg.{entry.name}(truth == 1, prediction == 1{own})"


def value(entry: SurfaceEntry, explanation: Explanation) -> float:
    """Return the number of the example, by fastseg."""
    return float(getattr(fastseg, entry.name)(*_masks(), **_options(entry, explanation)))


def distances() -> list[Any]:
    """Return for truth and prediction the distance of each pixel of its surface to the other one, NaN elsewhere."""
    surfaces = []
    for mask in _masks():
        around = np.pad(mask, 1)
        inner = around[:-2, 1:-1] & around[2:, 1:-1] & around[1:-1, :-2] & around[1:-1, 2:]
        surfaces.append(np.argwhere(mask & ~inner))
    found = []
    for here, there in (surfaces, surfaces[::-1]):
        values = np.full(example.TRUTH.shape, np.nan)
        for pixel in here:
            values[tuple(pixel)] = np.sqrt(((there - pixel) ** 2).sum(1)).min()
        found.append(values)
    return found


def numbers(entry: SurfaceEntry, explanation: Explanation) -> Mapping[str, str]:
    """Return what the words of a formula are in the example: counted here, not by fastseg, but for parts of objects."""
    found: dict[str, Any] = {}
    if isinstance(entry, SurfaceMetric):
        tolerance = explanation.options.get("tolerance", 0.0)
        for side, values in zip("TP", distances(), strict=True):
            each = values[~np.isnan(values)]
            found |= {f"N_{side}": each.size, f"SUM_D{side}": each.sum(), f"FAR_{side}": each.max()}
            found |= {f"P95_{side}": np.percentile(each, 95), f"NEAR_{side}": (each <= tolerance).sum()}
    elif isinstance(entry, CenterlineMetric):
        lines = fastseg.count_centerlines(*_masks())
        for k, side in enumerate("TP"):
            found |= {f"LINE_{side}": lines.total[0, 0, k], f"IN_{side}": lines.inside[0, 0, k]}
    else:
        counts = fastseg.count_boundaries(*_masks(), **explanation.options)
        found = {name.upper(): getattr(counts, name).item() for name in ("tp", "fp", "fn")}
    return {name: f"{each:.4g}" for name, each in found.items()}


def empty(entry: SurfaceEntry) -> tuple[list[str], list[list[str]]]:
    """Return head and rows: what a class is worth that a map lacks, under each convention."""
    function = getattr(fastseg, entry.name)
    rows = []
    if isinstance(entry, SurfaceMetric):
        own = {"tolerance": 1.0} if "tolerance" in {p.name for p in entry.own} else {}
        for name, convention in SURFACE_CONVENTIONS.items():
            values = [function(*pair, spacing=1, convention=name, **own) for pair in _SITUATIONS.values()]
            tested = "with the package" if entry.name in convention.verified else "by analogy"
            rows.append([f"`{name}`", *map(number, values), "" if name == "fastseg" else tested])
        return ["convention", *_SITUATIONS, "tested"], rows
    for said in ({}, {"zero_division": 0.0}, {"zero_division": 1.0}):
        values = [function(*pair, **said) for pair in _SITUATIONS.values()]
        title = "any call" + "".join(f" with `{name}={given:g}`" for name, given in said.items())
        rows.append([title, *map(number, values)])
    return ["", *_SITUATIONS], rows


def _masks() -> tuple[Any, Any]:
    return example.TRUTH == 1, example.PREDICTION == 1


def _options(entry: SurfaceEntry, explanation: Explanation) -> dict[str, Any]:
    return {**({"spacing": 1} if isinstance(entry, SurfaceMetric) else {}), **explanation.options}
