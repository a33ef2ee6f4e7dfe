"""What losses share: sums of the overlap, weights of the classes, and ratios averaged over cases and classes."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from fastseg.arrays.arguments import finite_number, one_of
from fastseg.arrays.scores import checked_class_weight
from fastseg.counts import ScoreSums
from fastseg.metrics.arithmetic import ratio, times

__all__ = [
    "Average",
    "averaged_losses",
    "class_weights",
    "complement",
    "first_class",
    "focal_factors",
    "overlap_sums",
]

Floats = npt.NDArray[np.float64]
Average = Literal["macro", "micro"] | None


def overlap_sums(sums: ScoreSums, squared: bool) -> tuple[Floats, Floats, Floats]:
    """Return Σ t, Σ p t, and Σ p + Σ t or Σ p² + Σ t², each (N, C)."""
    parts = (sums.true_pred, sums.pred, sums.pred_squared, sums.true_squared)
    assert all(part is not None for part in parts)
    both, pred, pred_squared, true_squared = parts
    return sums.true, both, pred_squared + true_squared if squared else pred + sums.true  # type: ignore[operator,return-value]


def first_class(sums: ScoreSums, include_background: bool) -> int:
    """Return the first class that takes part."""
    return int(not include_background and sums.num_classes > 1)


def complement(numerator: Any, denominator: Any, epsilon: Any) -> Floats:
    """Return 1 − (numerator + ε) / (denominator + ε), without what rounding puts beyond [0, 1]; 0/0 is NaN."""
    return np.clip(ratio(denominator - numerator, denominator + finite_number(epsilon, "epsilon")), 0.0, 1.0)


def averaged_losses(
    sums: ScoreSums,
    numerator: Floats,
    denominator: Floats,
    epsilon: float,
    average: Average,
    include_background: bool,
    class_weight: Any,
    exponent: float = 1.0,
) -> float | Floats:
    """Return the losses of (N, C) ratios, averaged over cases and classes as asked."""
    one_of(average, "average", ("macro", "micro", None))
    first = first_class(sums, include_background)
    weights, numerator, denominator = (
        class_weights(sums, class_weight)[first:],
        numerator[:, first:],
        denominator[:, first:],
    )
    if average == "micro":
        numerator, denominator = ((weights * a).sum(1) for a in (numerator, denominator))
        weights = np.ones(())
    losses = complement(numerator, denominator, epsilon) ** exponent
    if average is None:
        return losses
    return float(ratio(times(weights, losses).sum(), weights.sum() * sums.num_cases))


def class_weights(sums: ScoreSums, class_weight: Any) -> Floats:
    """Return (C,) weights: those given, those of the sums, or ones."""
    if class_weight is None:
        return np.ones(sums.num_classes) if sums.class_weight is None else sums.class_weight
    weights = checked_class_weight(class_weight, sums.num_classes)
    assert weights is not None
    return weights


def focal_factors(weights: Floats, alpha: Any, binary: bool) -> tuple[Floats, Floats]:
    """Return what the focal terms of a class's own voxels are multiplied by, and those of the others: each (C,).

    Of binary sums `alpha` weighs a class's own voxels, and a number 1 − `alpha` the others; of classes that exclude each other
    a number weighs all but the first, which has 1 − `alpha`.
    """
    if alpha is None:
        return weights, weights
    if np.ndim(alpha):
        each = checked_class_weight(alpha, len(weights), "alpha")
        assert each is not None
        return weights * each, weights
    number = finite_number(alpha, "alpha")
    if number > 1:
        raise ValueError(f"alpha: expected a number from 0 to 1, or one for each class, found {alpha!r}")
    if binary:
        return weights * number, weights * (1 - number)
    return weights * np.where(np.arange(len(weights)) > 0, number, 1 - number), weights
