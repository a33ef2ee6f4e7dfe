"""Numbers and names as people read them."""

from __future__ import annotations

import math

__all__ = ["count", "metric_name", "number"]

_NAMES = {
    "iou": "IoU", "cohen_kappa": "Cohen’s kappa", "matthews_corrcoef": "Matthews correlation", "mcc": "MCC", "fbeta": "F-beta",
    "f1": "F1", "frequency_weighted_iou": "Frequency-weighted IoU",
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


def metric_name(metric: str) -> str:
    """Return a metric's name as it is written in a heading.

    Examples
    --------
    >>> metric_name("iou"), metric_name("volume_similarity")
    ('IoU', 'Volume similarity')
    """
    return _NAMES.get(metric, metric.replace("_", " ").capitalize())
