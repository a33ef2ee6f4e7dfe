"""Why a number is not there, in words."""

from __future__ import annotations

from fastseg.runs.results.numbers import RunNumbers
from fastseg.runs.scoring.records import CaseRecord

__all__ = ["NO_VOLUME", "why_no_instance", "why_no_mean", "why_not_scored"]

#: Why there is no number in millilitres.
NO_VOLUME = "the volume of a voxel is not known"


def why_not_scored(record: CaseRecord) -> str | None:
    """Return why a case failed or that its prediction is missing, None where all is well."""
    if record.status == "scored":
        return None
    if record.status == "missing":
        reason = record.reason or "no prediction"
        return f"{reason}; scored as the worst possible" if record.counted else reason
    return record.reason or "failed"


def why_no_mean(run: RunNumbers, metric: str | None = None) -> str:
    """Return why a number of the whole run is undefined, of a metric if one is named."""
    if metric is not None and run.infinite(metric):
        return "infinite wherever it is defined, since surfaces are missing"
    return f"undefined under convention {run.settings.convention}" if run.counted else "no case was scored"


def why_no_instance(found: float, invented: float, missed: float) -> str:
    """Return why a number of the instances of a case is undefined."""
    there = {"reference": found + missed, "prediction": found + invented}
    return f"no instance in {' and '.join(name for name, number in there.items() if not number)}"
