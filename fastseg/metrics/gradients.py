"""How the gradient of a loss follows from the sums of scores."""

from __future__ import annotations

import numpy as np

from fastseg.counts import ScoreSums
from fastseg.kernels.protocols.scores import GradientTerms
from fastseg.metrics.arithmetic import times

__all__ = ["loss_terms"]


def loss_terms(
    sums: ScoreSums, epsilon: float, squared: bool, include_background: bool, dice_weight: float, ce_weight: float
) -> tuple[float, list[GradientTerms]]:
    """Return the loss, and of each case what its derivative is made of."""
    cases, classes = sums.num_cases, sums.num_classes
    weights = np.ones(classes) if sums.class_weight is None else sums.class_weight
    loss, nothing = 0.0, np.zeros((cases, classes))
    slope = curve = level = base = hit = nothing
    if dice_weight:
        assert sums.true_pred is not None
        assert sums.pred is not None
        assert sums.pred_squared is not None
        assert sums.true_squared is not None
        share = weights.copy()
        if not include_background and classes > 1:
            share[0] = 0
        whole = share.sum()
        share = share / whole * (dice_weight / max(1, cases)) if whole else np.full(classes, np.nan)
        size = (sums.pred_squared + sums.true_squared if squared else sums.pred + sums.true) + epsilon
        ratio = np.divide(2 * sums.true_pred + epsilon, size, out=np.full_like(size, np.nan), where=size != 0)
        loss += float((share * (1 - ratio)).sum())
        ratio = np.where(size != 0, ratio, 0.0)  # an empty class without epsilon: undefined, and no slope
        inverse = np.divide(1.0, size, out=np.zeros_like(size), where=size != 0)
        slope = -2 * share * inverse
        curve, level = (2 * share * ratio * inverse, nothing) if squared else (nothing, share * ratio * inverse)
    if ce_weight:
        assert sums.cross_entropy is not None
        smoothing, value = sums.label_smoothing, sums.cross_entropy.sum(0)
        if smoothing:
            assert sums.negative_log is not None
            other = sums.negative_log.sum(0) / classes  # of binary sums there is none: they are smoothed otherwise
            value = times(1 - smoothing, value) + times(smoothing, other)
        if sums.binary:
            number = float(sums.total.sum()) * classes
        else:
            number = float(sums.total.sum()) if sums.soft else float((weights * sums.true.sum(0)).sum())
        scale = ce_weight / number if number else float("nan")
        loss += float(times(scale * weights, value).sum())
        hit = (scale * (1 - smoothing) * weights)[None]
        base = (scale * smoothing / classes * weights)[None]
    rows = (np.broadcast_to(a, (cases, classes)).astype(np.float32) for a in (slope, curve, level, base, hit))
    return loss, [GradientTerms(*values) for values in zip(*rows, strict=True)]
