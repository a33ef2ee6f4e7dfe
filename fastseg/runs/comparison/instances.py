"""The instances of two runs on the same cases: what a comparison takes of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastseg.metrics.arithmetic import nan_mean
from fastseg.metrics.choice import of_surfaces
from fastseg.metrics.instances import convention_of, rule_of
from fastseg.runs.results.classes import ReportedClass
from fastseg.runs.results.instances import InstanceMetric, InstanceNumbers, instance_metric
from fastseg.runs.results.numbers import RunNumbers
from fastseg.runs.scoring.instance_metrics import SURFACES_OF_INSTANCES
from fastseg.runs.scoring.settings import InstanceSettings

__all__ = ["InstancePool", "Regions", "compared_instances", "matched_alike", "paired_instances"]

Floats = npt.NDArray[np.float64]

#: What is compared unless metrics are named.
_DEFAULT = ("detection_f1", "panoptic_quality", "instance_dice")


@dataclass(frozen=True)
class Regions:
    """The regions whose instances are compared, in the place of a run's classes."""

    classes: tuple[ReportedClass, ...]

    @property
    def in_means(self) -> npt.NDArray[np.bool_]:
        """Which of them means are over: all."""
        return np.ones(len(self.classes), bool)


class InstancePool:
    """What was counted of a run's instances, and metrics of sums of it over cases."""

    def __init__(self, found: InstanceNumbers) -> None:
        self.found = found
        self.size = found.sums[0].size if len(found.sums) else 0

    def values(self, times: Floats, entries: Sequence[InstanceMetric]) -> list[Floats]:
        """Return each metric of B sums in which cases occur so many times, (B, N): (B, R + 1)."""
        sums = np.tensordot(times, self.found.sums, 1)
        return [with_means(self.found.of_sums(entry.name, sums)) for entry in entries]


def with_means(values: Floats) -> Floats:
    """Return values of regions, (…, R), and their means, (…, R + 1)."""
    return np.concatenate([values, nan_mean(values, 1)[:, None]], 1)


def paired_instances(a: InstanceNumbers, b: InstanceNumbers, metric: str) -> tuple[Floats, Floats]:
    """Return each run's values and means over regions, which are over those that both define."""
    one, other = a.values(metric), b.values(metric)
    both = np.isfinite(one) & np.isfinite(other)
    means = [nan_mean(np.where(both, values, np.nan), 1)[:, None] for values in (one, other)]
    return np.concatenate([one, means[0]], 1), np.concatenate([other, means[1]], 1)


def compared_instances(
    runs: tuple[RunNumbers, RunNumbers], metrics: Sequence[str] | None
) -> tuple[list[str], dict[str, InstanceMetric]]:
    """Return the names among metrics that are not of instances, and of the others what they are.

    Where none are named, those of instances are compared too if both runs have matched the same, and those of surfaces if
    both have measured them.

    Raises
    ------
    ValueError
        If metrics of instances are named that the runs have not, or not both in the same way.
    """
    how = [run.settings.instances for run in runs]
    alike = how[0] is not None and matched_alike(*how)
    measured = [None if each is None else each.surfaces for each in how]
    surfaces = [*measured[0].metrics] if alike and measured[0] is not None and measured[0] == measured[1] else []
    if metrics is None:
        both = all(run.settings.surfaces is not None for run in runs)
        names = [name for run in runs for name in run.settings.metrics if both or not of_surfaces([name])]
        return names, {name: _known(name) for name in (*_DEFAULT, *surfaces)} if alike else {}
    found = {name: _known(name) for name in metrics if instance_metric(name) is not None}
    if found and not alike:
        first = next(iter(found))
        raise ValueError(
            f"metrics: {first!r} is of instances, which both runs must have matched in the same way; found {_unlike(*how)}"
        )
    for name, entry in found.items():
        if entry.name in SURFACES_OF_INSTANCES and entry.name not in surfaces:
            raise ValueError(
                f"metrics: {name!r} is made of surfaces of instances, which both runs must have measured in the same way; "
                f"found {measured[0]} and {measured[1]}"
            )
    return [name for name in metrics if name not in found], found


def matched_alike(a: InstanceSettings | None, b: InstanceSettings | None) -> bool:
    """Tell whether two runs have matched instances by the same rule, whatever they measured of their surfaces."""
    if a is None or b is None:
        return a is b
    return _meaning(a) == _meaning(b)


def _meaning(settings: InstanceSettings) -> dict[str, Any]:
    """Return which instances are matched, and when, however it was said."""
    known = convention_of(settings.convention)
    dilation = known.dilation if settings.dilation is None else settings.dilation
    return {
        "instances": settings.regions,
        "convention": known.name,
        "match": rule_of(known, *settings.rule).in_words,
        "objective": rule_of(known, *settings.rule).objective,
        "connectivity": settings.connectivity,
        "dilation": dilation,
        "min_voxels": settings.min_voxels,
        "min_ml": settings.min_ml or 0,
    }


def _unlike(a: InstanceSettings | None, b: InstanceSettings | None) -> str:
    """Return in which settings two runs have matched otherwise."""
    if a is None or b is None:
        return "none in one of them" if a is not b else "none"
    one, other = _meaning(a), _meaning(b)
    return ", ".join(f"{name} {one[name]} and {other[name]}" for name in one if one[name] != other[name])


def _known(name: str) -> InstanceMetric:
    entry = instance_metric(name)
    assert entry is not None
    return entry
