"""Metrics of surfaces of a run: from the distances that its records keep, for any tolerance and convention."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fastseg.counts import BinaryCounts
from fastseg.metrics.arithmetic import nan_mean
from fastseg.metrics.choice import surface_metrics
from fastseg.metrics.conventions import Convention
from fastseg.metrics.surface_conventions import SURFACE_CONVENTIONS
from fastseg.runs.results.classes import ReportedClass, class_place
from fastseg.runs.scoring.records import CaseRecord
from fastseg.runs.scoring.settings import Settings

__all__ = [
    "background_of",
    "check_tolerances",
    "surface_dice_curves",
    "surface_name",
    "surface_values",
]

Floats = npt.NDArray[np.float64]


def surface_name(each: ReportedClass) -> str | int:
    """Return what a class is called in the distances of a record: a region its name, else the label."""
    return each.name if isinstance(each.key, tuple) else each.key


def background_of(classes: Sequence[ReportedClass]) -> npt.NDArray[np.bool_]:
    """Return which of the classes have no surface, since they are the background: (C,)."""
    return np.array([each.key == 0 for each in classes], bool)


def surface_values(
    metric: str,
    records: Sequence[CaseRecord],
    classes: Sequence[ReportedClass],
    settings: Settings,
    convention: Convention,
    binary: BinaryCounts,
) -> Floats:
    """Return a metric of surfaces of each case and class, (N, C): NaN of the background, infinite where one has no surface.

    Of cases without a prediction that are scored as the worst possible ones it is infinite, or no overlap, for the classes
    that the reference has, whatever the convention is.
    """
    entry = surface_metrics()[metric]
    values = np.full((len(records), len(classes)), np.nan)
    columns = np.flatnonzero(~background_of(classes)).tolist()
    own = _convention(settings)
    if any(parameter.name == "tolerance" for parameter in entry.own):
        own["tolerance"] = _tolerances(classes, settings)[columns].tolist()
    names = [surface_name(classes[k]) for k in columns]
    there = binary.tp + binary.fn > 0
    for n, record in enumerate(records):
        if record.status == "missing":
            values[n] = np.where(there[n], entry.worst, np.nan)
        elif record.surfaces is not None and columns:
            values[n, columns] = entry(record.surfaces.with_classes(names), **own)[0]
    values[:, background_of(classes)] = np.nan
    if convention.left_out == "without truth" and convention.left_out_of is None:
        values[~there] = np.nan
    return values


def _convention(settings: Settings) -> dict[str, Any]:
    """Return what is said to a metric of the run's convention, if that is of surfaces."""
    known = settings.convention in SURFACE_CONVENTIONS and settings.convention != "fastseg"
    return {"convention": settings.convention} if known else {}


def surface_dice_curves(
    records: Sequence[CaseRecord], classes: Sequence[ReportedClass], settings: Settings, tolerances: Floats
) -> Floats:
    """Return each class's normalised surface Dice at T tolerances, the mean over the cases that were measured: (C, T)."""
    names = [surface_name(each) for each in classes if each.key != 0]
    curves = np.full((len(classes), tolerances.size), np.nan)
    measured = [record.surfaces.with_classes(names) for record in records if record.surfaces is not None]
    if measured and names:
        metric, own = surface_metrics()["nsd"], _convention(settings)
        values = np.array([metric(each, tolerance=tolerances[:, None].tolist(), **own)[0] for each in measured])
        curves[~background_of(classes)] = nan_mean(values, 0)
    return curves


def check_tolerances(classes: Sequence[ReportedClass], settings: Settings) -> None:
    """Check that tolerances are of classes that there are, and that all have one, where the classes are known.

    Raises
    ------
    ValueError
        If a tolerance is of a class that no run of these settings has, or a class has none.
    """
    surfaces = settings.surfaces
    if surfaces is None or not surfaces.tolerances:
        return
    declared = _all_known(settings)
    if surfaces.tolerance is None and not declared:
        raise ValueError("tolerance: expected one for all other classes, too, since no labels are declared; found none")
    if not declared:
        known = {name.strip() for name in settings.names.values()} | {str(label) for label in settings.names}
        for name in surfaces.tolerances:
            if not name.lstrip("-").isdecimal() and name.strip() not in known:
                listed = ", ".join(sorted(known)) or "none are named"
                raise ValueError(f"tolerance: expected a class by its label or name ({listed}), found {name!r}")
        return
    found = _tolerances(classes, settings)
    lacking = [each.name for each, value in zip(classes, found, strict=True) if each.key != 0 and np.isnan(value)]
    if lacking:
        raise ValueError(
            f"tolerance: expected one for each class, or for all others; found none for {', '.join(lacking)}"
        )


def _all_known(settings: Settings) -> bool:
    """Tell whether the classes of a run do not depend on what occurs."""
    return settings.labels is not None or bool(settings.regions) or settings.masks is not None


def _tolerances(classes: Sequence[ReportedClass], settings: Settings) -> Floats:
    """Return the tolerance of each class, (C,); NaN where there is none."""
    how = settings.surfaces
    assert how is not None
    found = np.full(len(classes), np.nan if how.tolerance is None else how.tolerance)
    for name, value in how.tolerances.items():
        place = class_place(classes, name)
        if isinstance(place, int):
            found[place] = value
        elif _all_known(settings):
            raise ValueError(f"tolerance: {place}")
    return found
