"""Gates on the instances of a run: how many lesions must be found, and how well."""

from __future__ import annotations

import math

from fastseg.runs.results.classes import ReportedClass, class_place
from fastseg.runs.results.numbers import RunNumbers
from fastseg.runs.results.reasons import NO_VOLUME
from fastseg.runs.scoring.instance_metrics import SURFACES_OF_INSTANCES, instance_metric
from fastseg.runs.scoring.settings import Settings

__all__ = ["instance_number", "is_of_instances", "why_undefined", "wrong_instance_gate"]


def wrong_instance_gate(metric: str, class_name: str | None, settings: Settings) -> str:
    """Say why a run of these settings has no such number of instances; "" where it has."""
    if settings.instances is None:
        return f"{metric} is of instances, which are matched where they are asked for (instances=, --instances)"
    entry, measured = instance_metric(metric), settings.instances.surfaces
    if (
        entry is not None
        and entry.name in SURFACES_OF_INSTANCES
        and (measured is None or entry.name not in measured.metrics)
    ):
        return f"{metric} is made of surfaces of instances, and measured where metrics name it (metrics=, --metrics)"
    if class_name is None:
        return ""
    place = class_place(_classes(settings), class_name)
    return place if isinstance(place, str) else ""


def instance_number(run: RunNumbers, metric: str, class_name: str | None) -> float:
    """Return a number of the instances of all cases together, of a region or the mean over regions; NaN if undefined."""
    if run.instances is None or wrong_instance_gate(metric, class_name, run.settings):
        return math.nan
    if class_name is None:
        return run.instances.mean(metric)
    place = class_place(_classes(run.settings), class_name)
    return float(run.instances.pooled(metric)[int(place)])


def is_of_instances(metric: str) -> bool:
    """Tell whether a name is that of a metric of instances."""
    return instance_metric(metric) is not None


def why_undefined(metric: str) -> str:
    """Return why a number of instances that a run has is undefined."""
    return NO_VOLUME if (entry := instance_metric(metric)) is not None and entry.total else "there is no instance"


def _classes(settings: Settings) -> list[ReportedClass]:
    assert settings.instances is not None
    regions = settings.instances.regions.items()
    return [ReportedClass(members[0] if len(members) == 1 else members or name, name) for name, members in regions]
