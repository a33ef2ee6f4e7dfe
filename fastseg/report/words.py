"""Numbers and names as people read them."""

from __future__ import annotations

import math
from datetime import UTC, datetime

from fastseg import metrics as registry
from fastseg.metrics.choice import known_metric, of_surfaces
from fastseg.runs import Run
from fastseg.runs.outputs.text import taken
from fastseg.runs.results.statistics import Summary

__all__ = ["count", "duration", "metric_name", "moment", "number", "percent", "tally", "why_no_interval"]

_NAMES = {
    "iou": "IoU", "cohen_kappa": "Cohen’s kappa", "matthews_corrcoef": "Matthews correlation", "mcc": "MCC", "fbeta": "F-beta",
    "f1": "F1", "frequency_weighted_iou": "Frequency-weighted IoU",
    "hd": "HD", "hd95": "HD95", "asd": "ASD", "assd": "ASSD", "masd": "MASD", "nsd": "NSD",
    "normalized_surface_dice": "Normalised surface Dice",
}  # fmt: skip


def number(value: float | None) -> str:
    """Return a metric's value; what rounds to a whole number but is none says so.

    Examples
    --------
    >>> [number(value) for value in (0.91234, 1.0, 0.999999, 0.000001, float("nan"), 48213.0)]
    ['0.9123', '1.0000', '>0.9999', '<0.0001', '–', '48,213']
    """
    if value is None or math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if abs(value) >= 1000:
        return f"{value:,.0f}".replace("-", "−")
    if 0 < value < 0.00005:
        return "<0.0001"
    if 0.99995 <= value < 1:
        return ">0.9999"
    return f"{value:.4f}".replace("-", "−")


def count(many: int, noun: str) -> str:
    """Return a number of things.

    Examples
    --------
    >>> count(1, "case"), count(5000, "case"), count(2, "class")
    ('1 case', '5,000 cases', '2 classes')
    """
    plural = noun + ("es" if noun.endswith("s") else "s")
    return f"{many:,} {noun if many == 1 else plural}"


def percent(share: float) -> str:
    """Return a share in per cent, with as many digits as it has.

    Examples
    --------
    >>> percent(0.95), percent(0.975)
    ('95%', '97.5%')
    """
    return f"{100 * share:.10g}%"


def moment(seconds: float) -> str:
    """Return a time since 1970 as a date and a time of day.

    Examples
    --------
    >>> moment(0.25)
    '1970-01-01 00:00:00 UTC'
    """
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (OSError, OverflowError, ValueError):  # no time of this world
        return f"{seconds:g} s after 1970"


def duration(seconds: float) -> str:
    """Return how long something took.

    Examples
    --------
    >>> [duration(seconds) for seconds in (0.4239, 1.0, 59.96, 3725.4)]
    ['0.4 seconds', '1 second', '1 minute', '1 hour 2 minutes 5 seconds']
    """
    if not 0 <= seconds < 1e9:
        return f"{seconds:g} s"
    if seconds < 59.95:
        return f"{seconds:.1f} seconds".replace(".0 ", " ").replace("1 seconds", "1 second")
    minutes, left = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    parts = ((hours, "hour"), (minutes, "minute"), (left, "second"))
    return " ".join(count(many, noun) for many, noun in parts if many)


def tally(run: Run) -> str:
    """Return how many cases there are numbers of, and what became of the others, as `fastseg evaluate` says it.

    Examples
    --------
    >>> from fastseg.runs import CaseRecord, Settings
    >>> tally(Run(Settings(), (CaseRecord("a", "failed", "r.nii", "p.nii"),)))
    '0 of 1 case scored; 1 failed (left out)'
    """
    failed, missing = len(run.failed), len(run.missing)
    scored = len(run.records) - failed - missing
    parts = [f"{scored:,} of {count(len(run.records), 'case')} scored"]
    parts += [f"{failed:,} failed (left out)"] if failed else []
    parts += [f"{missing:,} without a prediction ({taken(run)})"] if missing else []
    return "; ".join(parts)


def why_no_interval(row: Summary, run: Run) -> str:
    """Return why a row of the summary has no interval; "" where it has one."""
    if not math.isnan(row.low):
        return ""
    if math.isnan(row.mean):
        return "the value is undefined"
    if run.settings.resamples < 1:
        return "no draws were asked for"
    if run.convention.pooled and row.name == "all" and row.metric in registry.REGISTRY:
        return "the value is of all cases’ voxels together, no mean over cases"
    return "it takes two cases or more" + (" with a defined value" if row.cases > 1 else "")


def metric_name(metric: str) -> str:
    """Return a metric's name as it is written in a heading, with its unit.

    Examples
    --------
    >>> metric_name("iou"), metric_name("volume_similarity"), metric_name("hd95")
    ('IoU', 'Volume similarity', 'HD95 (mm)')
    """
    name = _NAMES.get(metric, metric.replace("_", " ").capitalize())
    unit = getattr(known_metric(metric), "unit", "") if of_surfaces([metric]) else ""
    return f"{name} ({unit})" if unit else name
