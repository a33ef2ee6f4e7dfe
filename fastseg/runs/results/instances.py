"""The instances of a run: which lesions were found, missed and invented, in each case and in all together."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from fastseg.api.text_table import table_in_blocks
from fastseg.labels.names import shown
from fastseg.metrics.arithmetic import nan_mean
from fastseg.metrics.instances import METRICS, Tally, convention_of, mean_with_lost, rule_of
from fastseg.runs.scoring.instance_metrics import (
    INSTANCE_METRICS,
    SURFACES_OF_INSTANCES,
    TOTALS,
    InstanceMetric,
    instance_metric,
)
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
    "instance_hd95": "lesion HD95 mm",
    "instance_nsd": "lesion NSD",
}
_COUNTED = ("tp", "fp", "fn", "iou", "dice")


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
    def metrics(self) -> dict[str, InstanceMetric]:
        """The metrics that there are, by name: those of surfaces where they were measured."""
        how = self.settings.surfaces
        return INSTANCE_METRICS | ({} if how is None else {name: SURFACES_OF_INSTANCES[name] for name in how.metrics})

    @cached_property
    def sums(self) -> Floats:
        """What is counted of each case and region, (N, R, 9 + S): found, invented, missed, and the sums of IoU and Dice.

        Behind them are `TOTALS`, and the sums of what was measured of surfaces, in the order of `metrics`.
        """
        columns = [each.column for each in self.metrics.values() if each.column]
        width = len(_COUNTED) + len(TOTALS) + len(columns)
        found = [
            [[*(getattr(own, each) for each in _COUNTED), *(own.totals.get(each, math.nan) for each in TOTALS),
              *(own.surfaces[each] for each in columns)]
             if (own := record.instances.get(name)) is not None else [0.0] * width for name in self.regions]
            for record in self.records
        ]  # fmt: skip
        return np.array(found, np.float64).reshape(len(self.records), len(self.regions), width)

    def of_sums(self, metric: str, sums: Floats) -> Floats:
        """Return a metric of sums as `sums` has them, (…, 9 + S): (…), as the convention has it where there is no instance."""
        entry = self._entry(metric)
        known, tally = convention_of(self.settings.convention), self._tally(sums)
        if entry.total:
            return np.asarray(sums[..., len(_COUNTED) + TOTALS.index(entry.name)])
        if entry.of is None:
            place = len(_COUNTED) + len(TOTALS) + self._of_surfaces.index(entry.name)
            values = mean_with_lost(sums[..., place], tally.tp, tally.fp + tally.fn, self._missed(entry))
            return np.where(tally.any, values, known.nothing_of(entry.better))
        values = np.asarray(entry.of(tally), np.float64)
        return values if entry.counts else np.where(tally.any, values, known.nothing)

    def _missed(self, entry: InstanceMetric) -> float:
        """Return what stands for an instance that was missed or invented."""
        how = self.settings.surfaces
        return how.penalty if entry.penalty and how is not None else 0.0

    def _entry(self, metric: str) -> InstanceMetric:
        entry = instance_metric(metric)
        if entry is None or entry.name not in self.metrics:
            raise ValueError(f"metric: expected one of {', '.join(self.metrics)}, found {metric!r}")
        return entry

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
        """Whose instances of which region were matched: (N, R)."""
        found = [[name in record.instances for name in self.regions] for record in self.records]
        return np.array(found, bool).reshape(len(self.records), len(self.regions))

    def pooled(self, metric: str) -> Floats:
        """Return a metric of each region, of the instances of all cases together: (R,)."""
        return self.of_sums(metric, self.sums.sum(0))

    def mean(self, metric: str) -> float:
        """Return the mean over regions of what `pooled` has; of counts and totals the sum."""
        values, entry = self.pooled(metric), self._entry(metric)
        return float(values.sum() if entry.counts or entry.total else nan_mean(values, 0))

    def scores(self, region: str) -> dict[str, Any]:
        """Return the numbers of a region, of the instances of all cases together."""
        place = [*self.regions].index(region)
        sums = self.sums.sum(0)[place]
        tally, counts = self._tally(sums[None]), {name: int(sums[k]) for k, name in enumerate(("tp", "fp", "fn"))}
        known = convention_of(self.settings.convention)
        values = {name: float(of(tally)[0]) if tally.any[0] else known.nothing for name, of in METRICS.items()}
        values |= {name: float(self.of_sums(name, sums)) for name in (*TOTALS, *self._of_surfaces)}
        return {"cases": int(self.known[:, place].sum()), **counts, **values}

    @property
    def _of_surfaces(self) -> list[str]:
        """The names of the metrics of surfaces that were measured."""
        return [name for name in self.metrics if name in SURFACES_OF_INSTANCES]

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
        if own.surfaces is not None:
            rule["surfaces"] = asdict(own.surfaces)
        scores = {}
        for region in self.regions:
            found = self.scores(region)
            counts = {"cases": found["cases"], "matched": found["tp"], "missed": found["fn"], "invented": found["fp"]}
            scores[region] = counts | {name: found[name] for name in (*METRICS, *TOTALS, *self._of_surfaces)}
        return {
            "rule": rule,
            "regions": {name: list(members) for name, members in self.regions.items()},
            "scores": scores,
        }

    @property
    def _titles(self) -> dict[str, str]:
        return {name: title for name, title in _SHOWN.items() if name in METRICS or name in self._of_surfaces}

    def __str__(self) -> str:
        header = ["instances", "found", "missed", "invented", *self._titles.values()]
        return table_in_blocks(header, [self._line(region) for region in self.regions], left=1)

    def __repr__(self) -> str:
        return f"<Instances of {', '.join(self.regions)} in {len(self.records)} cases>"

    def _line(self, region: str) -> Sequence[str]:
        scores = self.scores(region)
        numbers = ["-" if math.isnan(scores[name]) else f"{scores[name]:.4f}" for name in self._titles]
        return [shown(region), *(str(scores[name]) for name in ("tp", "fn", "fp")), *numbers]
