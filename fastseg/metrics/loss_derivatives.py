"""Losses with their derivatives by the sums of scores: from these follows the derivative by every score.

Each is called with sums and returns its values and a function: from the derivatives of something by these values, those by
the sums. There is a value for each case and class, for each class where cases are pooled, or one where values are reduced.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from fastseg.counts import ScoreSums
from fastseg.kernels.protocols.scores import GradientTerms
from fastseg.metrics.arithmetic import times

__all__ = [
    "CrossEntropy",
    "Derivatives",
    "Differentiated",
    "Focal",
    "GeneralizedDice",
    "Loss",
    "Overlap",
    "Power",
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
    focal: Any = 0.0
    focal_others: Any = 0.0

    def terms(self, cases: int, classes: int) -> list[GradientTerms]:
        """Return what the derivative by the scores of each case is made of."""
        table = np.zeros((7, cases, classes), np.float32)
        overlap = (self.true_pred, 2 * self.pred_squared, self.pred)
        rows = (*overlap, self.negative_log, self.cross_entropy, self.focal, self.focal_others)
        for row, values in zip(table, rows, strict=True):
            row[:] = values
        return [GradientTerms(*table[:, n]) for n in range(cases)]


#: Values, and what turns derivatives by them into derivatives by the sums.
Differentiated = tuple[Floats, Callable[[Floats], Derivatives]]
Loss = Callable[[ScoreSums], Differentiated]


def reduced_loss(values: Floats, by_values: Callable[[Floats], Derivatives], reduction: Reduction) -> Differentiated:
    """Return the mean or the sum of values, or these themselves."""
    if reduction == "none":
        return values, by_values
    share = 1.0 / values.size if reduction == "mean" else 1.0
    total = values.sum() * share
    return total, lambda upstream: by_values(np.broadcast_to(upstream * share, values.shape))


@dataclass(frozen=True)
class Overlap:
    """The loss 1 − r of each case and class, r = (a Σpt + ε) / (b Σp + c Σt + d Σpt + δ).

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
    undefined
        Of a class whose denominator is 0, the reciprocal that derivatives are made of: 0 keeps it out of them.
    least
        What a denominator is at least.
    log
        If given, the loss is −ln r, of no less than this r.
    present
        Whether classes without truth have a loss of 0.
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
    undefined: float = float("nan")
    least: float | None = None
    log: float | None = None
    present: bool = False

    def __call__(self, sums: ScoreSums) -> Differentiated:
        """Return the loss and its derivatives."""
        both, pred, true = _overlaps(sums, self.squared, self.pooled)
        both, pred, true = both[..., self.first :], pred[..., self.first :], true[..., self.first :]
        size = self.pred * pred + self.true * true + self.overlap * both + self.denominator
        live = np.ones(size.shape) if self.least is None else np.where(size >= self.least, 1.0, 0.0)
        size = size if self.least is None else np.maximum(size, self.least)
        weight = np.ones(()) if self.class_weight is None else np.asarray(self.class_weight, np.float64)
        if self.present:
            weight = weight * (true > 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            inverse = np.where(size != 0, 1.0 / size, self.undefined)
            ratio = (self.both * both + self.numerator) / size
            losses, slope = 1.0 - ratio, np.asarray(1.0)
            if self.log is not None:
                losses = -np.log(np.maximum(ratio, self.log))
                slope = np.where(ratio >= self.log, 1.0 / ratio, 0.0)

        def by_values(upstream: Floats) -> Derivatives:
            scale = upstream * weight * slope * inverse
            by_size = scale * np.where(size != 0, ratio, 0.0) * live
            by_pred = self._all(self.pred * by_size)
            by_both = self._all(self.overlap * by_size - self.both * scale)
            return Derivatives(by_both, 0.0, by_pred) if self.squared else Derivatives(by_both, by_pred)

        return reduced_loss(weight * losses, by_values, self.reduction)

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
    true_weight : (C,), optional
        Of binary sums: of each class's own voxels. It asks for the focal sums, of γ = 0.
    label_smoothing
        Not of binary sums.
    reduction
        "mean" or "sum".
    """

    class_weight: Any = None
    true_weight: Any = None
    label_smoothing: float = 0.0
    reduction: Literal["mean", "sum"] = "mean"

    def __call__(self, sums: ScoreSums) -> Differentiated:
        """Return the loss and its derivatives."""
        weight = np.ones(sums.num_classes) if self.class_weight is None else np.asarray(self.class_weight, np.float64)
        number = 1.0
        if self.reduction == "mean":
            number = float(sums.total.sum()) if sums.soft or sums.binary else float((weight * sums.true.sum(0)).sum())
            number *= sums.num_classes if sums.binary else 1
        with np.errstate(divide="ignore", invalid="ignore"):
            hit = weight * np.divide(1.0 - self.label_smoothing, number)
            miss = weight * np.divide(self.label_smoothing / sums.num_classes, number)
            if self.true_weight is not None:
                own = hit * np.asarray(self.true_weight, np.float64)
                value = _total(own, sums.focal) + _total(hit, sums.focal_others)
                return value, lambda upstream: Derivatives(focal=upstream * own, focal_others=upstream * hit)
            value = _total(hit, sums.cross_entropy)
            if self.label_smoothing:
                value = value + _total(miss, sums.negative_log)
        return value, lambda upstream: Derivatives(cross_entropy=upstream * hit, negative_log=upstream * miss)


@dataclass(frozen=True)
class Focal:
    """The focal loss over all voxels: of classes, or of binary sums each class's own.

    Parameters
    ----------
    factors : two of (C,), optional
        What the terms of a class's own voxels are multiplied by, and those of the others (`focal_factors`).
    first
        The first class that takes part, 0 unless the sums are binary.
    reduction
        "mean" (over the voxels of all cases), or "sum" over cases and classes of the mean over the voxels.
    per_class
        Whether the mean is over the classes too.
    least
        What a number of voxels is at least, so that of none there is a mean.
    """

    factors: tuple[Floats, Floats] | None = None
    first: int = 0
    reduction: Literal["mean", "sum"] = "mean"
    per_class: bool = True
    least: float = 0.0

    def __call__(self, sums: ScoreSums) -> Differentiated:
        """Return the loss and its derivatives."""
        taken = np.arange(sums.num_classes) >= self.first
        number = np.maximum(sums.total[:, None], self.least)
        if self.reduction == "mean":
            number = np.maximum(sums.total.sum(), self.least) * (taken.sum() if self.per_class else 1)
        with np.errstate(divide="ignore", invalid="ignore"):
            share = np.where(taken, 1.0 / np.asarray(number), 0.0)
            own, others = (times(each, share) for each in self.factors or (1.0, 1.0))
            value = _total(own, sums.focal) + _total(others, sums.focal_others)
        return value, lambda upstream: Derivatives(focal=upstream * own, focal_others=upstream * others)


@dataclass(frozen=True)
class Power:
    """A loss that is a single number, to a power."""

    loss: Loss
    exponent: float

    def __call__(self, sums: ScoreSums) -> Differentiated:
        """Return the loss and its derivatives."""
        value, by_value = self.loss(sums)
        with np.errstate(divide="ignore", invalid="ignore"):
            power, slope = value**self.exponent, self.exponent * value ** (self.exponent - 1.0)

        def by_power(upstream: Floats) -> Derivatives:
            with np.errstate(invalid="ignore"):  # roots are infinitely steep at 0
                return by_value(upstream * slope)

        return power, by_power


@dataclass(frozen=True)
class Weighted:
    """The sum of losses that are single numbers, each with its factor."""

    parts: Sequence[tuple[float, Loss]]

    def __call__(self, sums: ScoreSums) -> Differentiated:
        """Return the loss and its derivatives."""
        found = [(factor, *loss(sums)) for factor, loss in self.parts]
        value = sum((factor * value for factor, value, _ in found), np.zeros(()))
        return value, lambda upstream: Derivatives(
            *map(sum, zip(*(by_value(upstream * factor) for factor, _, by_value in found), strict=True))
        )


def _overlaps(sums: ScoreSums, squared: bool, pooled: bool) -> tuple[Floats, Floats, Floats]:
    """Return Σpt, and Σp and Σt or those of the squares: (N, C), or (C,) of all cases."""
    parts = (
        (sums.true_pred, sums.pred_squared, sums.true_squared) if squared else (sums.true_pred, sums.pred, sums.true)
    )
    both, pred, true = (part.sum(0) if pooled else part for part in parts)  # type: ignore[union-attr]
    return both, pred, true  # type: ignore[return-value]


def _total(factor: Floats, sums: Floats | None) -> Floats:
    """Return the sum over cases and classes, where what has no weight does not count."""
    assert sums is not None
    return np.asarray(times(factor, sums).sum())
