"""Losses: pure functions of `ScoreSums`. One entry says all that is known of a loss; `fastseg.losses` has them for arrays.

To add one, write a function of sums and its own parameters, and decorate it. N cases, C classes; t is the truth and p the
predicted probability of a voxel.

Examples
--------
Two cases of four voxels with two classes each, in one pass, then any loss:

>>> import fastseg
>>> y_true = [[0, 0, 1, 1], [0, 0, 0, 1]]
>>> p = np.array([[0.1, 0.4, 0.8, 0.9], [0.2, 0.2, 0.6, 0.7]])
>>> sums = fastseg.sum_scores(y_true, np.stack([1 - p, p], axis=-1), sample_axis=0)
>>> round(soft_dice_loss(sums), 4), round(cross_entropy(sums), 4)
(0.1302, 0.333)
>>> soft_dice_loss(sums, average=None).round(3)
array([[0.068, 0.061],
       [0.117, 0.275]])
"""

from __future__ import annotations

from functools import partial
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from fastseg.arrays.arguments import finite_number, one_of
from fastseg.counts import ScoreSums
from fastseg.metrics.arithmetic import Reduction, reduced, times, voxel_terms
from fastseg.metrics.loss_terms import (
    Average,
    averaged_losses,
    class_weights,
    complement,
    first_class,
    focal_factors,
    overlap_sums,
)
from fastseg.metrics.registry import ScoreFunction, register

__all__ = [
    "LOSSES",
    "cross_entropy",
    "dice_cross_entropy_loss",
    "focal_loss",
    "focal_tversky_loss",
    "generalized_dice_loss",
    "jaccard_loss",
    "log_cosh_dice_loss",
    "soft_dice_loss",
    "soft_iou_loss",
    "tversky_loss",
]

Floats = npt.NDArray[np.float64]

#: Every loss by its name and by its aliases.
LOSSES: dict[str, ScoreFunction] = {}

#: What parameters mean, wherever they occur.
_PARAMETERS = {
    "epsilon": "Is added to numerator and denominator, so that a class absent from both has a loss of 0.",
    "squared": "Whether the denominator sums t² and p², or t and p.",
    "average": '"macro": the mean over cases and classes. "micro": sums over classes before the ratio; the mean over cases. '
    "None: (N, C) losses, without class 0 where that is left out.",
    "include_background": "False leaves out class 0, unless it is the only one.",
    "class_weight": "(C,) weights of the classes, not negative; default those of the sums, if any. Macro: the mean over "
    "classes is weighted. Micro: so are the sums. Cross-entropy and focal: so is each voxel's term, by its true class.",
    "weights": '"square", "simple" or "uniform": a class weighs 1 / (Σ t)², 1 / Σ t or 1.',
    "alpha": "Weight of false positives, Σ p (1 − t).",
    "beta": "Weight of false negatives, Σ t (1 − p).",
    "gamma": "γ, positive.",
    "reduction": '"mean" (over the voxels of all cases; generalised Dice: over cases), "sum" of the same, or None: (N,), '
    "one for each case.",
    "label_smoothing": "From 0 to 1; default that of the sums (0, for arrays).",
    "dice_weight": "Factor of soft Dice.",
    "ce_weight": "Factor of cross-entropy.",
}
_loss = partial(register, LOSSES, ScoreFunction, parameters=_PARAMETERS)
_overlap = partial(_loss, needs=("dice",), range=(0.0, 1.0), defaults={"sample_axis": 0})
_pixelwise = partial(_loss, range=(0.0, float("inf")))


@_overlap(
    "1 − mean over cases and classes of (2 Σ p t + ε) / (Σ p² + Σ t² + ε), sums over the voxels of each case",
    "Milletari et al. (V-Net), 3DV (2016) 565",
)
def soft_dice_loss(
    sums: ScoreSums,
    epsilon: float = 1e-6,
    *,
    squared: bool = True,
    average: Average = "macro",
    include_background: bool = True,
    class_weight: Any = None,
) -> float | Floats:
    """Return the soft Dice loss of V-Net: 1 less the Dice coefficient of probabilities, for each case and class, averaged.

    Examples
    --------
    >>> y_true = [[[1, 0], [1, 0], [0, 1], [0, 1]]]  # (N, voxels, C): one case, one-hot
    >>> y_pred = [[[0.5, 0.5], [1, 0], [0, 1], [0, 1]]]
    >>> fastseg.soft_dice_loss(y_true, y_pred, average=None).round(4)  # 1 - 2 1.5 / (1.25 + 2), 1 - 2 2 / (2.25 + 2)
    array([[0.0769, 0.0588]])
    >>> round(fastseg.soft_dice_loss(y_true, y_pred), 4)
    0.0679
    """
    _, both, everything = overlap_sums(sums, squared)
    return averaged_losses(sums, 2 * both, everything, epsilon, average, include_background, class_weight)


@_overlap(
    "1 − mean of (Σ p t + ε) / (Σ p + Σ t − Σ p t + ε)",
    "Rahman and Wang, ISVC (2016) 234",
    aliases=("jaccard_loss",),
)
def soft_iou_loss(
    sums: ScoreSums,
    epsilon: float = 1e-6,
    *,
    squared: bool = False,
    average: Average = "macro",
    include_background: bool = True,
    class_weight: Any = None,
) -> float | Floats:
    """Return the soft IoU loss: 1 less the intersection over union of probabilities.

    Examples
    --------
    >>> y_true = [[[1, 0], [1, 0], [0, 1], [0, 1]]]
    >>> y_pred = [[[0.5, 0.5], [1, 0], [0, 1], [0, 1]]]
    >>> round(fastseg.soft_iou_loss(y_true, y_pred), 4)  # the mean of 1 - 1.5 / 2 and 1 - 2 / 2.5
    0.225
    """
    _, both, everything = overlap_sums(sums, squared)
    return averaged_losses(sums, both, everything - both, epsilon, average, include_background, class_weight)


jaccard_loss = soft_iou_loss


@_overlap("1 − mean over cases of (2 Σ_c w_c Σ p t + ε) / (Σ_c w_c (Σ p + Σ t) + ε)", "Sudre et al., DLMIA (2017) 240")
def generalized_dice_loss(
    sums: ScoreSums,
    epsilon: float = 1e-6,
    *,
    weights: Literal["square", "simple", "uniform"] = "square",
    include_background: bool = True,
    reduction: Reduction = "mean",
) -> float | Floats:
    """Return the generalised Dice loss: one ratio for all classes of a case, in which rare classes weigh more.

    The weight of a class that is absent would be infinite: it gets the largest of its case instead, or 1 if all are absent.

    Examples
    --------
    >>> y_true = [[[1, 0], [1, 0], [1, 0], [0, 1]]]
    >>> y_pred = [[[1, 0], [1, 0], [0.5, 0.5], [0, 1]]]
    >>> round(fastseg.generalized_dice_loss(y_true, y_pred), 4)  # 1 - 2 (2.5 / 9 + 1) / (5.5 / 9 + 2.5)
    0.1786
    """
    one_of(weights, "weights", ("square", "simple", "uniform"))
    true, both, everything = (a[:, first_class(sums, include_background) :] for a in overlap_sums(sums, False))
    power = {"square": 2, "simple": 1, "uniform": 0}[weights]
    present = np.where(true > 0, true, np.inf)
    w = present ** -float(power)
    largest = w.max(1, keepdims=True, initial=0.0)
    w = np.where(true > 0, w, np.where(largest > 0, largest, 1.0))
    losses = complement(2 * (w * both).sum(1), (w * everything).sum(1), epsilon)
    return reduced(losses, np.ones(sums.num_cases), reduction)


@_overlap("1 − mean of (Σ p t + ε) / (Σ p t + α Σ p (1 − t) + β Σ t (1 − p) + ε)", "Salehi et al., MLMI (2017) 379")
def tversky_loss(
    sums: ScoreSums,
    epsilon: float = 1e-6,
    *,
    alpha: float = 0.5,
    beta: float = 0.5,
    average: Average = "macro",
    include_background: bool = True,
    class_weight: Any = None,
) -> float | Floats:
    """Return the Tversky loss, in which false positives and false negatives weigh differently.

    Examples
    --------
    >>> y_true = [[[1, 0], [1, 0], [0, 1], [0, 1]]]
    >>> y_pred = [[[0.5, 0.5], [1, 0], [0, 1], [0, 1]]]
    >>> fastseg.tversky_loss(y_true, y_pred, alpha=0.25, beta=0.75, average=None).round(4)  # 1 - 1.5/1.875, 1 - 2/2.125
    array([[0.2   , 0.0588]])
    """
    loss: float | Floats = focal_tversky_loss(
        sums,
        epsilon=epsilon,
        alpha=alpha,
        beta=beta,
        gamma=1.0,
        average=average,
        include_background=include_background,
        class_weight=class_weight,
    )
    return loss


@_overlap("mean of (1 − T)^(1/γ), T the ratio of the Tversky loss", "Abraham and Khan, ISBI (2019) 683")
def focal_tversky_loss(
    sums: ScoreSums,
    epsilon: float = 1e-6,
    *,
    alpha: float = 0.3,
    beta: float = 0.7,
    gamma: float = 4 / 3,
    average: Average = "macro",
    include_background: bool = True,
    class_weight: Any = None,
) -> float | Floats:
    """Return the focal Tversky loss: the mean over cases and classes of the Tversky loss to the power 1/γ.

    The paper sums over the classes; this is the mean. As in the Tversky loss, α weighs what is invented and β what is missed;
    in the paper α weighs what is missed.

    Examples
    --------
    >>> y_true = [[[1, 0], [1, 0], [0, 1], [0, 1]]]
    >>> y_pred = [[[0.5, 0.5], [1, 0], [0, 1], [0, 1]]]
    >>> fastseg.focal_tversky_loss(y_true, y_pred, gamma=2, average=None).round(4)  # roots of 0.35/1.85, 0.15/2.15
    array([[0.435 , 0.2641]])
    """
    a, b = finite_number(alpha, "alpha"), finite_number(beta, "beta")
    exponent = 1 / finite_number(gamma, "gamma", positive=True)
    true, both, everything = overlap_sums(sums, False)
    predicted = everything - true
    union = both + a * (predicted - both) + b * (true - both)
    return averaged_losses(sums, both, union, epsilon, average, include_background, class_weight, exponent)


@_overlap("ln cosh of the soft Dice loss", "Jadon, CIBCB (2020) 1", range=(0.0, float(np.log(np.cosh(1.0)))))
def log_cosh_dice_loss(
    sums: ScoreSums,
    epsilon: float = 1e-6,
    *,
    squared: bool = True,
    average: Average = "macro",
    include_background: bool = True,
    class_weight: Any = None,
) -> float | Floats:
    """Return the logarithm of the hyperbolic cosine of `soft_dice_loss`: of its mean, or of each loss without an average.

    Examples
    --------
    >>> y_true = [[[1, 0], [1, 0], [0, 1], [0, 1]]]
    >>> y_pred = [[[0.5, 0.5], [1, 0], [0, 1], [0, 1]]]
    >>> round(fastseg.log_cosh_dice_loss(y_true, y_pred), 4)  # ln cosh 0.0679
    0.0023
    """
    loss = soft_dice_loss(
        sums,
        epsilon=epsilon,
        squared=squared,
        average=average,
        include_background=include_background,
        class_weight=class_weight,
    )
    values = np.log1p(2 * np.sinh(np.asarray(loss) / 2) ** 2)
    return values if values.ndim else float(values)


@_pixelwise(
    "Σ −w t ln p / Σ w t of a label map; divided by the number of voxels, of a soft truth",
    "Good, Journal of the Royal Statistical Society B 14 (1952) 107; as torch.nn.functional.cross_entropy",
    needs=("cross_entropy",),
)
def cross_entropy(
    sums: ScoreSums,
    *,
    reduction: Reduction = "mean",
    class_weight: Any = None,
    label_smoothing: float | None = None,
) -> float | Floats:
    """Return the cross-entropy: the mean of −ln p over voxels, p the probability of the true class.

    With activation "sigmoid", or of a single class, each class is a question of its own, yes or no. The terms are then
    averaged over voxels and classes, and class weights do not enter the denominator, as in binary_cross_entropy. Label
    smoothing s makes the truth (1 − s) t + s / C (binary: s / 2). The mean over no voxel is NaN.

    Examples
    --------
    >>> p = [[0.5, 0.5], [0.75, 0.25], [0.25, 0.75], [0, 1]]
    >>> round(fastseg.cross_entropy([0, 0, 1, 1], p), 4)  # (ln 2 + 2 ln 4/3) / 4
    0.3171
    >>> fastseg.cross_entropy([255, 255, 255, 1], p, ignore_index=255)
    0.0
    """
    assert sums.cross_entropy is not None
    weights = class_weights(sums, class_weight)
    smoothing = finite_number(sums.label_smoothing if label_smoothing is None else label_smoothing, "label_smoothing")
    if smoothing > 1:
        raise ValueError(f"label_smoothing: expected a number from 0 to 1, found {label_smoothing!r}")
    terms = times(weights, sums.cross_entropy).sum(1)
    if smoothing:
        sums.require("smoothing")
        assert sums.negative_log is not None
        share = smoothing if sums.binary else smoothing / sums.num_classes
        terms = times(1 - smoothing, terms) + share * times(weights, sums.negative_log).sum(1)
    of_labels = not (sums.binary or sums.soft)
    return reduced(terms, times(weights, sums.true).sum(1) if of_labels else voxel_terms(sums), reduction)


@_pixelwise(
    "mean of −w (1 − p)^γ ln p over voxels, p of the true class",
    "Lin et al., ICCV (2017) 2999",
    needs=("focal",),
    parameters={
        **_PARAMETERS,
        "gamma": "γ; default 2, or that of the sums, which can have no other.",
        "alpha": "A number from 0 to 1: of binary sums α for a class's own voxels and 1 − α for the others, else α for all "
        "classes but the first, which has 1 − α. Or (C,) numbers for the own voxels of each class. Default none.",
    },
    summing=lambda own: {"focal_gamma": 2.0 if own.get("gamma") is None else own["gamma"]},
)
def focal_loss(
    sums: ScoreSums,
    *,
    gamma: float | None = None,
    alpha: Any = None,
    reduction: Reduction = "mean",
    class_weight: Any = None,
) -> float | Floats:
    """Return the focal loss: cross-entropy that fades where the prediction is right.

    Weights do not enter the denominator; binary sums are averaged over voxels and classes.

    Examples
    --------
    >>> p = [[0.5, 0.5], [0.75, 0.25], [0.25, 0.75], [0, 1]]
    >>> round(fastseg.focal_loss([0, 0, 1, 1], p), 4)  # (ln 2 / 4 + 2 ln 4/3 / 16) / 4
    0.0523
    """
    assert sums.focal is not None
    assert sums.focal_others is not None
    if gamma is not None and sums.focal_gamma is not None and finite_number(gamma, "gamma") != sums.focal_gamma:
        raise ValueError(f"gamma: expected {sums.focal_gamma}, which was summed, found {gamma!r}")
    own, others = focal_factors(class_weights(sums, class_weight), alpha, sums.binary)
    terms = times(own, sums.focal) + times(others, sums.focal_others)
    return reduced(terms.sum(1), voxel_terms(sums), reduction)


@_overlap(
    "dice_weight · soft Dice loss + ce_weight · cross-entropy",
    "Isensee et al. (nnU-Net), Nature Methods 18 (2021) 203",
    needs=("dice", "cross_entropy"),
    range=(0.0, float("inf")),
)
def dice_cross_entropy_loss(
    sums: ScoreSums,
    epsilon: float = 1e-6,
    *,
    dice_weight: float = 1.0,
    ce_weight: float = 1.0,
    squared: bool = True,
    include_background: bool = True,
    class_weight: Any = None,
    label_smoothing: float | None = None,
) -> float:
    """Return the weighted sum of `soft_dice_loss` (macro) and `cross_entropy` (mean).

    Class weights go to both, label smoothing to cross-entropy alone; only soft Dice can leave out the background.

    Examples
    --------
    >>> y_true = [[[1, 0], [1, 0], [0, 1], [0, 1]]]
    >>> y_pred = [[[0.5, 0.5], [1, 0], [0, 1], [0, 1]]]
    >>> round(fastseg.dice_cross_entropy_loss(y_true, y_pred), 4)  # 0.0679 + (ln 2) / 4
    0.2412
    """
    factors = [finite_number(dice_weight, "dice_weight"), finite_number(ce_weight, "ce_weight")]
    dice = soft_dice_loss(
        sums, epsilon=epsilon, squared=squared, include_background=include_background, class_weight=class_weight
    )
    entropy = cross_entropy(sums, class_weight=class_weight, label_smoothing=label_smoothing)
    return float(times(factors, [dice, entropy]).sum())
