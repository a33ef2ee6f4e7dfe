"""Losses, callable on arrays and on `ScoreSums`, and those with gradients: `fastseg.losses` as people import it.

What each is, is said in `fastseg.metrics.losses`; how its gradient is written, in `fastseg.api.gradients`.
"""

from __future__ import annotations

from typing import Any

from fastseg.api.calls import function_of
from fastseg.api.gradients import (
    cross_entropy_with_gradient,
    dice_cross_entropy_with_gradient,
    dice_focal_loss_with_gradient,
    focal_loss_with_gradient,
    soft_dice_loss_with_gradient,
)
from fastseg.metrics.losses import LOSSES

_WITH_GRADIENTS = (
    cross_entropy_with_gradient,
    dice_cross_entropy_with_gradient,
    dice_focal_loss_with_gradient,
    focal_loss_with_gradient,
    soft_dice_loss_with_gradient,
)


def __getattr__(name: str) -> Any:
    if name == "__all__":
        return __dir__()
    if name not in LOSSES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return function_of(name)


def __dir__() -> list[str]:
    return sorted({"LOSSES", *LOSSES, *(function.__name__ for function in _WITH_GRADIENTS)})
