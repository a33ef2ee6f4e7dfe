"""How far the surfaces of instances are apart, with a penalty for those that were missed or invented."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from fastseg.arrays.arguments import checked_number
from fastseg.counts import SurfaceDistances
from fastseg.metrics.arithmetic import ratio
from fastseg.metrics.instances.conventions import InstanceConvention
from fastseg.metrics.surface_metric import SURFACE_METRICS, SurfaceMetric

__all__ = ["mean_of_instances", "mean_with_lost"]


def mean_with_lost(total: Any, found: Any, lost: Any, value: float) -> npt.NDArray[np.float64]:
    """Return the mean over what was found, whose sum is given, and what was lost, each of that value; NaN of nothing."""
    return ratio(total + lost * value, found + lost)


def mean_of_instances(
    surfaces: SurfaceDistances | None,
    found: int,
    lost: int,
    convention: InstanceConvention,
    metric: Callable[..., Any] | str,
    missed: float,
    options: Mapping[str, Any],
) -> float:
    """Return the mean of a metric over what was found and what was lost, of which each has the value `missed`.

    Parameters
    ----------
    surfaces
        Of what was found, a case for each.
    found, lost
        How many instances were found; and were missed or invented.
    convention
        Which says what there is where nothing is.
    metric
        One of `SURFACE_METRICS`, its name, or the function of arrays that is called like it.
    missed, options
        As of `InstanceMatching.instance_distance`, errors too.
    """
    if surfaces is None:
        raise ValueError("surfaces: expected a matching with surface='voxel' or 'surfel', found one without surfaces")
    entry = metric if isinstance(metric, SurfaceMetric) else SURFACE_METRICS.get(_name(metric))
    if entry is None:
        raise ValueError(f"metric: expected one of {', '.join(SURFACE_METRICS)}, found {metric!r}")
    penalty = checked_number(missed, "missed")
    if not found + lost:
        return convention.nothing_of(entry.better)
    values = entry(surfaces, **options)[:, 0]
    return float(mean_with_lost(np.where(np.isfinite(values), values, penalty).sum(), found, lost, penalty))


def _name(metric: Any) -> str:
    return metric if isinstance(metric, str) else str(getattr(metric, "__name__", ""))
