"""Losses, callable on arrays and on `ScoreSums`, and those with gradients: `fastseg.losses` as people import it.

What each is, is said in `fastseg.metrics.losses`; how its gradient is written, in `fastseg.api.gradients`.
"""

from fastseg.api.gradients import (
    cross_entropy_with_gradient,
    dice_cross_entropy_with_gradient,
    soft_dice_loss_with_gradient,
)
from fastseg.metrics.losses import (
    LOSSES,
    cross_entropy,
    dice_cross_entropy_loss,
    focal_loss,
    focal_tversky_loss,
    generalized_dice_loss,
    jaccard_loss,
    log_cosh_dice_loss,
    soft_dice_loss,
    soft_iou_loss,
    tversky_loss,
)

__all__ = [
    "LOSSES",
    "cross_entropy",
    "cross_entropy_with_gradient",
    "dice_cross_entropy_loss",
    "dice_cross_entropy_with_gradient",
    "focal_loss",
    "focal_tversky_loss",
    "generalized_dice_loss",
    "jaccard_loss",
    "log_cosh_dice_loss",
    "soft_dice_loss",
    "soft_dice_loss_with_gradient",
    "soft_iou_loss",
    "tversky_loss",
]
