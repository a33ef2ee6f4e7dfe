"""The functions of arrays, one for each metric and loss that is registered: `fastseg.iou`, `fastseg.soft_dice_loss` and so on.

Each is made when it is asked for; `functions.pyi` has their signatures for whoever does not run this.
"""

from __future__ import annotations

from typing import Any

from fastseg.api.calls import function_of
from fastseg.metrics.choice import score_functions, surface_metrics
from fastseg.metrics.pairs import PAIR_METRICS
from fastseg.metrics.registry import REGISTRY


def __getattr__(name: str) -> Any:
    try:
        return function_of(name)
    except ValueError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None


def __dir__() -> list[str]:
    return sorted({*REGISTRY, *PAIR_METRICS, *score_functions(curves=True), *surface_metrics()})
