"""Losses with their derivatives by the sums of scores: from these follows the derivative by every score.

Each is called with sums and returns its values and a function: from the derivatives of something by these values, those by
the sums. There is a value for each case and class, for each class where cases are pooled, or one where values are reduced.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from fastseg.counts import ScoreSums
from fastseg.kernels.protocols.scores import GradientTerms

__all__ = [
    "CrossEntropy",
    "Derivatives",
    "Differentiated",
    "Focal",
    "GeneralizedDice",
    "Overlap",
    "Weighted",
    "reduced_loss",
]

Floats = npt.NDArray[np.float64]
Reduction = Literal["mean", "sum", "none"]


class Derivatives(NamedTuple):
    """Derivatives by the sums of those names, each (N, C) or what broadcasts to it."""

    true_pred: Any = 0.0
    pred: Any = 0.0
    pred_squared: Any = 0.0
    cross_entropy: Any = 0.0
    negative_log: Any = 0.0

    def plus(self, other: Derivatives) -> Derivatives:
        """Return the sum."""
        return Derivatives(*(a + b for a, b in zip(self, other, strict=True)))

    def terms(self, cases: int, classes: int) -> list[GradientTerms]:
        """Return what the derivative by the scores of each case is made of."""
        table = np.zeros((5, cases, classes), np.float32)
        rows = (self.true_pred, 2 * self.pred_squared, self.pred, self.negative_log, self.cross_entropy)
        for row, values in zip(table, rows, strict=True):
            row[:] = values
        return [GradientTerms(*table[:, n]) for n in range(cases)]


#: Values, and what turns derivatives by them into derivatives by the sums.
Differentiated = tuple[Floats, Callable[[Floats], Derivatives]]


def reduced_loss(values: Floats, by_values: Callable[[Floats], Derivatives], reduction: Reduction) -> Differentiated:
    """Return the mean or the sum of values, or these themselves."""
    if reduction == "none":
        return values, by_values
    share = 1.0 / values.size if reduction == "mean" else 1.0
    total = values.sum() * share
    return total, lambda upstream: by_values(np.broadcast_to(upstream * share, values.shape))


@dataclass(frozen=True)
class Overlap:
    """The loss 1 − (a Σpt + ε) / (b Σp + c Σt + d Σpt + δ) of each case and class.

    Parameters
    ----------
    both, pred, true, overlap
        Factors a, b, c, d: 2, 1, 1, 0 for Dice, 2, 2, 2, −2 for Jaccard, 1, α, β, 1 − α − β for Tversky.
    numerator, denominator
        ε and δ, so that an empty class has a value.
    squared
        Whether p² and t² stand for p and t in the denominator.
    pooled
        Whether the sums of all cases are added up first.
    first
        The first class that takes part.
    class_weight : (C - first,), optional
        What the loss of each class is multiplied by.
    reduction
        "mean" (of all values, whatever their weights), "sum" or "none".
    """

    both: float = 2.0
    pred: float = 1.0
    true: float = 1.0
    overlap: float = 0.0
    numerator: float = 1e-6
    denominator: float = 1e-6
    squared: bool = False
    pooled: bool = False
    first: int = 0
    class_weight: Any = None
    reduction: Reduction = "mean"

    def __call__(self, sums: ScoreSums) -> Differentiated:
        """Return the loss and its derivatives."""
        both, pred, true = _overlaps(sums, self.squared, self.pooled)
        both, pred, true = both[..., self.first :], pred[..., self.first :], true[..., self.first :]
        size = self.pred * pred + self.true * true + self.overlap * both + self.denominator
        with np.errstate(divide="ignore", invalid="ignore"):
            inverse = 1.0 / size
            ratio = (self.both * both + self.numerator) / size
        weight = 1.0 if self.class_weight is None else np.asarray(self.class_weight, np.float64)

        def by_values(upstream: Floats) -> Derivatives:
            scale = upstream * weight * inverse
            by_size = scale * ratio
            by_pred = self._all(self.pred * by_size)
            by_both = self._all(self.overlap * by_size - self.both * scale)
            return Derivatives(by_both, 0.0, by_pred) if self.squared else Derivatives(by_both, by_pred)

        return reduced_loss(weight * (1.0 - ratio), by_values, self.reduction)

    def _all(self, derivatives: Floats) -> Floats:
        """Return derivatives with those of the classes that do not take part."""
        if not self.first:
            return derivatives
        return np.concatenate([np.zeros((*derivatives.shape[:-1], self.first)), derivatives], -1)


@dataclass(frozen=True)
class GeneralizedDice:
    """The loss 1 − (2 Σ_c w_c Σpt + `numerator`) / (Σ_c w_c (Σp + Σt) + `denominator`) of each case, w = 1 / (Σt)^`power`.

    A class that is absent has the largest of the weights, 0 where all are; of pooled cases there is one loss. Other parameters
    are as in `Overlap`.
    """

    power: int = 2
    numerator: float = 1e-6
    denominator: float = 1e-6
    pooled: bool = False
    first: int = 0
    reduction: Reduction = "mean"

    def __call__(self, sums: ScoreSums) -> Differentiated:
        """Return the loss and its derivatives."""
        both, pred, true = (each[..., self.first :] for each in _overlaps(sums, False, self.pooled))
        present = true > 0
        weight = np.zeros(true.shape)
        np.divide(1.0, true**self.power, out=weight, where=present | (self.power == 0))
        weight = np.where(present | (self.power == 0), weight, weight.max(-1, keepdims=True))
        size = (weight * (pred + true)).sum(-1, keepdims=True) + self.denominator
        with np.errstate(divide="ignore", invalid="ignore"):
            inverse = 1.0 / size
            ratio = (2.0 * (weight * both).sum(-1, keepdims=True) + self.numerator) / size

        def by_values(upstream: Floats) -> Derivatives:
            scale = upstream * inverse * weight
            by_both, by_pred = -2.0 * scale, scale * ratio
            if self.first:
                none = np.zeros((*by_both.shape[:-1], self.first))
                by_both, by_pred = (np.concatenate([none, each], -1) for each in (by_both, by_pred))
            return Derivatives(by_both, by_pred)

        return reduced_loss(1.0 - ratio, by_values, self.reduction)


@dataclass(frozen=True)
class CrossEntropy:
    """Cross-entropy of all cases as torch has it: of classes, or of binary sums each class's own.

    Parameters
    ----------
    class_weight : (C,), optional
        Of the true classes; the mean of a label map is over the weights of its voxels.
    label_smoothing
        Not of binary sums.
    reduction
        "mean" or "sum".
    """

    class_weight: Any = None
    label_smoothing: float = 0.0
    reduction: Literal["mean", "sum"] = "mean"

    def __call__(self, sums: ScoreSums) -> Differentiated:
        """Return the loss and its derivatives."""
        assert sums.cross_entropy is not None
        weight = np.ones(sums.num_classes) if self.class_weight is None else np.asarray(self.class_weight, np.float64)
        number = 1.0
        if self.reduction == "mean":
            number = float(sums.total.sum()) if sums.soft or sums.binary else float((weight * sums.true.sum(0)).sum())
            number *= sums.num_classes if sums.binary else 1
        with np.errstate(divide="ignore", invalid="ignore"):
            hit = weight * np.divide(1.0 - self.label_smoothing, number)
            miss = weight * np.divide(self.label_smoothing / sums.num_classes, number)
        value = (hit * sums.cross_entropy.sum(0)).sum()
        if self.label_smoothing:
            assert sums.negative_log is not None
            value = value + (miss * sums.negative_log.sum(0)).sum()
        return np.asarray(value), lambda upstream: Derivatives(
            cross_entropy=upstream * hit, negative_log=upstream * miss
        )


@dataclass(frozen=True)
class Focal:
    """The focal loss over all voxels and classes, whose derivatives no kernel writes yet.

    Parameters
    ----------
    class_weight : (C,), optional
        Of the true classes; of binary sums each class's own.
    reduction
        "mean" (over voxels and classes), or "sum" over cases and classes of the mean over the voxels.
    """

    class_weight: Any = None
    reduction: Literal["mean", "sum"] = "mean"

    def __call__(self, sums: ScoreSums) -> Differentiated:
        """Return the loss; of its derivatives, a refusal."""
        assert sums.focal is not None
        weight = 1.0 if self.class_weight is None else np.asarray(self.class_weight, np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):
            means = weight * sums.focal / sums.total[:, None]
        value = means.mean() if self.reduction == "mean" else means.sum()

        def by_values(upstream: Floats) -> Derivatives:
            raise NotImplementedError("no derivatives of the focal loss")

        return np.asarray(value), by_values


@dataclass(frozen=True)
class Weighted:
    """The weighted sum of two losses that are single numbers."""

    one: Callable[[ScoreSums], Differentiated]
    other: Callable[[ScoreSums], Differentiated]
    weights: tuple[float, float] = (1.0, 1.0)

    def __call__(self, sums: ScoreSums) -> Differentiated:
        """Return the loss and its derivatives."""
        (a, by_a), (b, by_b) = self.one(sums), self.other(sums)
        x, y = self.weights
        return x * a + y * b, lambda upstream: by_a(upstream * x).plus(by_b(upstream * y))


def _overlaps(sums: ScoreSums, squared: bool, pooled: bool) -> tuple[Floats, Floats, Floats]:
    """Return Σpt, and Σp and Σt or those of the squares: (N, C), or (C,) of all cases."""
    parts = (
        (sums.true_pred, sums.pred_squared, sums.true_squared) if squared else (sums.true_pred, sums.pred, sums.true)
    )
    both, pred, true = (part.sum(0) if pooled else part for part in parts)  # type: ignore[union-attr]
    return both, pred, true  # type: ignore[return-value]
