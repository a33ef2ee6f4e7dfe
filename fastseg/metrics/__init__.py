"""Every metric and loss: a pure function of a statistic, in a registry that says all that is known of it.

`fastseg.metrics.iou` and its siblings are functions of counts; `REGISTRY` has all of them by name and alias. Those of
surfaces are in `SURFACE_METRICS`. Those of partitions, such as `fastseg.metrics.variation_of_information`, take pairs:
`PAIR_METRICS`. Those of probabilities are in `fastseg.metrics.scores` and `fastseg.metrics.losses`.
"""

from typing import Any

from fastseg.metrics import overlap, pairs, parts, surfaces
from fastseg.metrics.overlap import *  # noqa: F403
from fastseg.metrics.pairs import *  # noqa: F403
from fastseg.metrics.parts import *  # noqa: F403
from fastseg.metrics.registry import REGISTRY, Average, Metric, get
from fastseg.metrics.surfaces import *  # noqa: F403

__all__ = ["REGISTRY", "Average", "Metric", "get", *overlap.__all__, *pairs.__all__, *parts.__all__, *surfaces.__all__]


def __getattr__(name: str) -> Any:
    """Return a metric by an alias: ``fastseg.metrics.nsd``."""
    for registry in (REGISTRY, surfaces.SURFACE_METRICS, pairs.PAIR_METRICS):
        if name in registry:
            return registry[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
