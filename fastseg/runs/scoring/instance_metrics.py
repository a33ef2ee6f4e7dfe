"""The numbers of instances that a run has, by the names that `metrics`, gates and comparisons have for them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy.typing as npt

from fastseg.metrics.instances import METRICS, Tally

__all__ = [
    "INSTANCE_METRICS",
    "SURFACES_OF_INSTANCES",
    "TOTALS",
    "InstanceMetric",
    "instance_metric",
    "of_instances",
]


@dataclass(frozen=True)
class InstanceMetric:
    """A number of the instances of a region."""

    name: str
    of: Callable[[Tally], npt.NDArray[Any]] | None
    """None of those of surfaces, which are the mean of what was measured, and of totals."""
    better: Literal["higher", "lower"] = "higher"
    range: tuple[float, float] = (0.0, 1.0)
    counts: bool = False
    """Whether it is a number of instances: over regions its sum is told, and no mean."""
    total: bool = False
    """Whether it is a number of each case, as `fastseg.InstanceMatching` has it; of several its sum is told."""
    penalty: bool = False
    """Of surfaces: whether what was missed or invented has the penalty of the run; else 0."""
    unit: str = ""
    column: str = ""
    """Of surfaces: what `CaseInstances.surfaces` and the columns of `instances.csv` call it."""

    @property
    def overall(self) -> None:
        """It is of each region."""


#: Those of any matching; classes of voxels leave their names free.
INSTANCE_METRICS: dict[str, InstanceMetric] = {
    metric.name: metric
    for metric in (
        InstanceMetric("detection_f1", METRICS["f1"]),
        InstanceMetric("detection_precision", METRICS["precision"]),
        InstanceMetric("detection_recall", METRICS["recall"]),
        InstanceMetric("panoptic_quality", METRICS["panoptic_quality"]),
        InstanceMetric("segmentation_quality", METRICS["segmentation_quality"]),
        InstanceMetric("recognition_quality", METRICS["recognition_quality"]),
        InstanceMetric("instance_dice", METRICS["instance_dice"]),
        InstanceMetric("instance_iou", METRICS["instance_iou"]),
        InstanceMetric("matched", lambda tally: tally.tp, "higher", (0.0, math.inf), counts=True),
        InstanceMetric("missed", lambda tally: tally.fn, "lower", (0.0, math.inf), counts=True),
        InstanceMetric("invented", lambda tally: tally.fp, "lower", (0.0, math.inf), counts=True),
    )
}

#: Volumes and numbers of all instances of a case, as autoPET and ISLES have them, by the names of `fastseg.InstanceMatching`.
TOTALS = ("false_positive_ml", "false_negative_ml", "volume_difference_ml", "count_difference")
INSTANCE_METRICS |= {
    name: InstanceMetric(name, None, "lower", (0.0, math.inf), counts=name == "count_difference", total=True)
    for name in TOTALS
}

#: Those of surfaces, which are measured where they are named.
SURFACES_OF_INSTANCES: dict[str, InstanceMetric] = {
    metric.name: metric
    for metric in (
        InstanceMetric("instance_hd95", None, "lower", (0.0, math.inf), penalty=True, unit="mm", column="hd95_mm"),
        InstanceMetric("instance_nsd", None, column="nsd"),
    )
}
_ALIASES = {
    "pq": "panoptic_quality", "sq": "segmentation_quality", "rq": "recognition_quality", "lesion_dice": "instance_dice",
    "lesion_iou": "instance_iou", "lesion_f1": "detection_f1", "lesion_precision": "detection_precision",
    "lesion_recall": "detection_recall", "lesion_hd95": "instance_hd95", "lesion_nsd": "instance_nsd",
}  # fmt: skip


def instance_metric(name: str) -> InstanceMetric | None:
    """Return the metric of instances of that name or alias; None where it is none."""
    own = _ALIASES.get(name, name)
    return INSTANCE_METRICS.get(own) or SURFACES_OF_INSTANCES.get(own)


def of_instances(metrics: str | Sequence[str] | None) -> list[str]:
    """Return those among names of metrics that are of instances."""
    names = [metrics] if isinstance(metrics, str) else list(metrics or ())
    return [name for name in names if instance_metric(name) is not None]
