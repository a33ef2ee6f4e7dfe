"""The instances of a run: which lesions were found, missed and invented, in each case and in all together."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from fastseg.api.text_table import table_in_blocks
from fastseg.labels.names import shown
from fastseg.metrics.arithmetic import nan_mean
from fastseg.metrics.instances import METRICS, Tally, convention_of, rule_of
from fastseg.runs.scoring.records import CaseRecord
from fastseg.runs.scoring.settings import InstanceSettings

__all__ = ["INSTANCE_METRICS", "InstanceMetric", "InstanceNumbers", "instance_metric"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: What is told of each region, and its title.
_SHOWN = {
    "recall": "recall",
    "precision": "precision",
    "f1": "F1",
    "segmentation_quality": "SQ",
    "panoptic_quality": "PQ",
    "instance_dice": "lesion Dice",
}


class InstanceMetric(NamedTuple):
    """A number of the instances of a region."""

    name: str
    of: Callable[[Tally], npt.NDArray[Any]]
    better: Literal["higher", "lower"] = "higher"
    range: tuple[float, float] = (0.0, 1.0)
    counts: bool = False
    """Whether it is a number of instances: over regions its sum is told, and no mean."""

    @property
    def overall(self) -> None:
        """It is of each region."""


#: By the names that gates and comparisons have for them, which those of classes of voxels leave free.
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
_ALIASES = {
    "pq": "panoptic_quality", "sq": "segmentation_quality", "rq": "recognition_quality", "lesion_dice": "instance_dice",
    "lesion_f1": "detection_f1", "lesion_precision": "detection_precision", "lesion_recall": "detection_recall",
}  # fmt: skip


def instance_metric(name: str) -> InstanceMetric | None:
    """Return the metric of instances of that name or alias; None where it is none."""
    return INSTANCE_METRICS.get(_ALIASES.get(name, name))


@dataclass(frozen=True, eq=False, repr=False)
class InstanceNumbers:
    """The instances of the counted cases of a run; prints as a table.

    Attributes
    ----------
    settings : InstanceSettings
        Which instances these are, and when they match.
    records : tuple of CaseRecord
        Of the N counted cases. R is the number of regions.
    """

    settings: InstanceSettings
    records: tuple[CaseRecord, ...]

    @property
    def regions(self) -> Mapping[str, tuple[int, ...]]:
        """The labels of each region."""
        return self.settings.regions

    @cached_property
    def sums(self) -> Floats:
        """What is counted of each case and region, (N, R, 5): found, invented, missed, and the sums of IoU and Dice."""
        found = [
            [[getattr(record.instances[name], each) for each in ("tp", "fp", "fn", "iou", "dice")]
             if name in record.instances else [0.0] * 5 for name in self.regions]
            for record in self.records
        ]  # fmt: skip
        return np.array(found, np.float64).reshape(len(self.records), len(self.regions), 5)

    def of_sums(self, metric: str, sums: Floats) -> Floats:
        """Return a metric of sums as `sums` has them, (…, 5): (…), as the convention has it where there is no instance."""
        entry = instance_metric(metric)
        if entry is None:
            raise ValueError(f"metric: expected one of {', '.join(INSTANCE_METRICS)}, found {metric!r}")
        known = convention_of(self.settings.convention)
        tally = self._tally(sums)
        values = np.asarray(entry.of(tally), np.float64)
        return values if entry.counts else np.where(tally.any, values, known.nothing)

    def _tally(self, sums: Floats) -> Tally:
        known = convention_of(self.settings.convention)
        tp, fp, fn = (np.rint(sums[..., k]).astype(np.int64) for k in range(3))
        return Tally(tp, fp, fn, sums[..., 3], sums[..., 4], known.smooth, known.zero_division)

    def values(self, metric: str) -> Floats:
        """Return a metric of each case and region, (N, R), NaN where it is undefined."""
        values = self.of_sums(metric, self.sums)
        return np.where(self.known, values, np.nan)

    @property
    def known(self) -> npt.NDArray[np.bool_]:
        """Whose instances were matched: (N, 1)."""
        return np.array([bool(record.instances) for record in self.records], bool).reshape(-1, 1)

    def pooled(self, metric: str) -> Floats:
        """Return a metric of each region, of the instances of all cases together: (R,)."""
        return self.of_sums(metric, self.sums.sum(0))

    def mean(self, metric: str) -> float:
        """Return the mean over regions of what `pooled` has; of counts the sum."""
        values, entry = self.pooled(metric), instance_metric(metric)
        return float(values.sum() if entry is not None and entry.counts else nan_mean(values, 0))

    def scores(self, region: str) -> dict[str, Any]:
        """Return the numbers of a region, of the instances of all cases together."""
        place = [*self.regions].index(region)
        sums = self.sums.sum(0)[place]
        tally, counts = self._tally(sums[None]), {name: int(sums[k]) for k, name in enumerate(("tp", "fp", "fn"))}
        known = convention_of(self.settings.convention)
        values = {name: float(of(tally)[0]) if tally.any[0] else known.nothing for name, of in METRICS.items()}
        return {"cases": int(self.known.sum()), **counts, **values}

    @cached_property
    def rows(self) -> list[dict[str, Any]] | None:
        """A row for each instance, with its ``case`` and ``region``; None where only the numbers are known."""
        found = []
        for record in self.records:
            for region, own in record.instances.items():
                if own.rows is None:
                    return None
                found += [{"case": record.id, "region": region, **row} for row in own.rows]
        return found

    def to_dict(self) -> dict[str, Any]:
        """Return rule, regions and numbers, as JSON can hold them but for what is undefined."""
        own = self.settings
        rule: dict[str, Any] = asdict(rule_of(convention_of(own.convention), *own.rule)) | {
            "convention": own.convention,
            "connectivity": own.connectivity,
            "min_voxels": own.min_voxels,
            "min_ml": own.min_ml,
            "dilation": convention_of(own.convention).dilation if own.dilation is None else own.dilation,
        }
        scores = {}
        for region in self.regions:
            found = self.scores(region)
            counts = {"cases": found["cases"], "matched": found["tp"], "missed": found["fn"], "invented": found["fp"]}
            scores[region] = counts | {name: found[name] for name in METRICS}
        return {
            "rule": rule,
            "regions": {name: list(members) for name, members in self.regions.items()},
            "scores": scores,
        }

    def __str__(self) -> str:
        header = ["instances", "found", "missed", "invented", *_SHOWN.values()]
        return table_in_blocks(header, [self._line(region) for region in self.regions], left=1)

    def __repr__(self) -> str:
        return f"<Instances of {', '.join(self.regions)} in {len(self.records)} cases>"

    def _line(self, region: str) -> Sequence[str]:
        scores = self.scores(region)
        numbers = ["-" if math.isnan(scores[name]) else f"{scores[name]:.4f}" for name in _SHOWN]
        return [shown(region), *(str(scores[name]) for name in ("tp", "fn", "fp")), *numbers]
