"""Losses with gradients, as what their derivatives by the sums of scores are made of."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastseg.counts import ScoreSums
from fastseg.metrics.loss_derivatives import CrossEntropy, Focal, Loss, Overlap
from fastseg.metrics.loss_terms import class_weights, first_class, focal_factors

__all__ = ["cross_entropy_of", "focal_loss_of", "soft_dice_loss_of"]


def soft_dice_loss_of(sums: ScoreSums, epsilon: float, squared: bool, include_background: bool) -> Loss:
    """Return what `losses.soft_dice_loss` of these sums is, and its derivatives; a class without any has none."""
    share = class_weights(sums, None) * (np.arange(sums.num_classes) >= first_class(sums, include_background))
    with np.errstate(invalid="ignore"):
        share = share / share.sum() / max(1, sums.num_cases)
    options: dict[str, Any] = {"squared": squared, "class_weight": share, "reduction": "sum", "undefined": 0.0}
    return Overlap(numerator=epsilon, denominator=epsilon, **options)


def cross_entropy_of(sums: ScoreSums) -> Loss:
    """Return what `losses.cross_entropy` of these sums is, and its derivatives."""
    return CrossEntropy(class_weights(sums, None), label_smoothing=sums.label_smoothing)


def focal_loss_of(sums: ScoreSums, alpha: Any) -> Loss:
    """Return what `losses.focal_loss` of these sums is, and its derivatives."""
    return Focal(focal_factors(class_weights(sums, None), alpha, sums.binary), per_class=sums.binary)
