"""How the numbers of a run's instances are spread over its cases, and how far their means can be relied on."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastseg.metrics.arithmetic import nan_mean
from fastseg.runs.results.bootstrap import drawn, interval, summable
from fastseg.runs.results.classes import ReportedClass
from fastseg.runs.results.instances import Floats
from fastseg.runs.results.numbers import RunNumbers
from fastseg.runs.results.statistics import Summary, spread_of
from fastseg.runs.scoring.settings import Settings

__all__ = ["instance_classes", "instance_summaries", "pooled_instances"]


def instance_classes(run: RunNumbers) -> list[ReportedClass]:
    """Return the regions whose instances were matched, by the keys that the run's classes have, where these are classes."""
    if run.instances is None:
        return []
    keys = {each.name: each.key for each in run.classes}
    found = []
    for name, members in run.instances.regions.items():
        own: Any = members[0] if len(members) == 1 else members or None  # ids are of no label
        found.append(ReportedClass(keys.get(name, own), name))
    return found


def instance_summaries(run: RunNumbers) -> list[Summary]:
    """Summarise the metrics of a run's instances: the values of its cases, of each region.

    Returns
    -------
    rows : list of Summary
        For each metric a row for each of R regions and, where there are several, the row "mean": of each case's mean over its
        regions. Intervals are bootstraps over cases, of the same draws as those of `summarise`. None without instances.
    """
    found = run.instances
    if found is None:
        return []
    regions = instance_classes(run)
    names: list[tuple[Any, str]] = [(each.key, each.name) for each in regions]
    if len(regions) > 1:
        names.append((None, "mean"))
    columns = []
    for metric in found.metrics:
        values = found.values(metric)
        columns.append(np.concatenate([values, nan_mean(values, 1)[:, None]], 1)[:, : len(names)])
    low, high = _intervals(np.concatenate(columns, 1), run.settings)
    rows: list[Summary] = []
    for metric, values in zip(found.metrics, columns, strict=True):
        for (key, name), column in zip(names, values.T, strict=True):
            defined = column[~np.isnan(column)]
            mean = float(defined.mean()) if defined.size else float("nan")
            spread = spread_of(defined, float(low[len(rows)]), float(high[len(rows)]))
            rows.append(Summary(metric, key, name, mean, *spread, defined.size, len(values)))
    return rows


def pooled_instances(run: RunNumbers) -> list[float]:
    """Return for each row of `instance_summaries` the number of the instances of all cases together, as gates have it."""
    found = run.instances
    if found is None:
        return []
    means = len(found.regions) > 1
    numbers: list[float] = []
    for metric in found.metrics:
        numbers += [*found.pooled(metric).tolist(), *([found.mean(metric)] if means else [])]
    return numbers


def _intervals(values: Floats, settings: Settings) -> tuple[Floats, Floats]:
    """Return the ends of the intervals of the means of the columns of (N, M) values, of which NaN are left out: (M,) each."""
    cases, width = values.shape
    if cases < 2 or settings.resamples < 2:  # there is no interval of one draw
        return np.full(width, np.nan), np.full(width, np.nan)
    there = ~np.isnan(values)
    summed = np.concatenate([summable(np.where(there, values, 0.0)), there], 1)
    means = []
    for times in drawn(cases, settings.resamples, settings.seed, 2 * width):
        totals, numbers = np.split(times @ summed, 2, 1)
        means.append(np.where(numbers > 0, totals / np.maximum(numbers, 1), np.nan))
    return interval(np.concatenate(means), settings.confidence)
