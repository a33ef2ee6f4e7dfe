"""Every metric and loss: a pure function of a statistic, in a registry that says all that is known of it.

`fastseg.metrics.iou` and its siblings are functions of counts; `REGISTRY` has all of them by name and alias. Those of
probabilities are in `fastseg.metrics.scores` and `fastseg.metrics.losses`.
"""

from fastseg.metrics import overlap
from fastseg.metrics.overlap import *  # noqa: F403
from fastseg.metrics.registry import REGISTRY, Average, Metric, get

__all__ = ["REGISTRY", "Average", "Metric", "get", *overlap.__all__]
