"""Losses with their gradients: one pass for the sums, one for the gradient, and no array besides it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from fastseg.arrays.arguments import finite_number
from fastseg.arrays.blocked import refuse_blocks
from fastseg.arrays.option_names import explained
from fastseg.arrays.scores import ScoreInputs, score_inputs
from fastseg.counting.gradients import room_for_gradient, write_gradient
from fastseg.counting.scores import sum_score_inputs, warn_of_underflow
from fastseg.counts import ScoreSums
from fastseg.metrics.gradients import cross_entropy_of, focal_loss_of, soft_dice_loss_of
from fastseg.metrics.loss_derivatives import Loss, Weighted

__all__ = [
    "cross_entropy_with_gradient",
    "dice_cross_entropy_with_gradient",
    "dice_focal_loss_with_gradient",
    "focal_loss_with_gradient",
    "soft_dice_loss_with_gradient",
]

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]


@explained
def dice_cross_entropy_with_gradient(
    y_true: Any,
    y_score: Any,
    epsilon: float = 1e-6,
    *,
    channel_axis: int | None = -1,
    activation: str | None = "softmax",
    sample_axis: int | None = 0,
    ignore_index: int | Sequence[int] | None = None,
    mask: Any = None,
    class_weight: Any = None,
    label_smoothing: float = 0.0,
    squared: bool = True,
    include_background: bool = True,
    dice_weight: float = 1.0,
    ce_weight: float = 1.0,
    dtype: npt.DTypeLike | None = None,
    out: Array | None = None,
    backend: str = "auto",
) -> tuple[float, Array]:
    """Return the sum of V-Net's Dice loss and mean cross-entropy, and its derivative with respect to every score.

    Parameters
    ----------
    y_true, y_score, channel_axis, activation, sample_axis, ignore_index, mask
        As in `fastseg.sum_scores`; axis 0 separates samples unless said otherwise.
    epsilon
        What is added to numerator and denominator of every Dice ratio.
    class_weight : (C,), optional
        Weights of the classes in the mean of their Dice losses, and of the true classes in cross-entropy.
    label_smoothing
        Of cross-entropy, as in torch.
    squared
        Whether the Dice denominator is Σ p² + Σ t² (V-Net), else Σ p + Σ t.
    include_background
        False leaves class 0 out of the Dice loss (not out of cross-entropy).
    dice_weight, ce_weight
        What the two terms are multiplied by; a term of weight 0 is not computed.
    dtype
        float32 or float16 of the gradient; default float16 for scores of 16 bits, else float32. A mean over many voxels
        has derivatives below what float16 holds (6e-8): scale the loss by its weights, or ask for float32.
    out : array of the scores' shape, optional
        Where the gradient is written, of that dtype.
    backend
        "auto", "numba" or "numpy" (the reference).

    Returns
    -------
    loss : float
    gradient : float32 or float16 array of the scores' shape and memory order
        d loss / d score: with respect to logits, or to probabilities for ``activation=None``. Voxels that are not looked at
        have zeros.

    Raises
    ------
    TypeError, ValueError
        As in `fastseg.sum_scores`.

    Notes
    -----
    Two passes: the Dice sums must be known before the gradient. Beyond the gradient no array of the volume's size is made.
    Binary cross-entropy (sigmoid, or one class) is the mean over voxels and classes.

    Examples
    --------
    >>> loss, gradient = dice_cross_entropy_with_gradient([[0, 1]], [[[2.0, 0.0], [0.0, 1.0]]])
    >>> round(loss, 4), gradient.astype(float).round(3).tolist()
    (0.2714, [[[-0.076, 0.076], [0.201, -0.201]]])
    """
    quantities = [*(["dice"] if dice_weight else []), *(["cross_entropy"] if ce_weight else [])]
    for name, value in (("epsilon", epsilon), ("dice_weight", dice_weight), ("ce_weight", ce_weight)):
        finite_number(value, name)

    def loss(sums: ScoreSums) -> Loss:
        dice = partial(soft_dice_loss_of, sums, float(epsilon), squared, include_background)
        return _weighted((dice_weight, dice), (ce_weight, partial(cross_entropy_of, sums)))

    given = score_inputs(
        y_true,
        y_score,
        channel_axis=channel_axis,
        activation=activation,
        sample_axis=sample_axis,
        ignore_index=ignore_index,
        mask=mask,
        class_weight=class_weight,
        label_smoothing=label_smoothing,
        quantities=quantities,
    )
    if given.options.binary and given.label_smoothing and ce_weight:
        raise ValueError("label_smoothing: expected 0 for the gradient of binary cross-entropy")
    return _with_gradient(given, loss, dtype, out, backend)


@explained
def dice_focal_loss_with_gradient(
    y_true: Any,
    y_score: Any,
    epsilon: float = 1e-6,
    *,
    gamma: float = 2.0,
    alpha: Any = None,
    channel_axis: int | None = -1,
    activation: str | None = "softmax",
    sample_axis: int | None = 0,
    ignore_index: int | Sequence[int] | None = None,
    mask: Any = None,
    class_weight: Any = None,
    squared: bool = True,
    include_background: bool = True,
    dice_weight: float = 1.0,
    focal_weight: float = 1.0,
    dtype: npt.DTypeLike | None = None,
    out: Array | None = None,
    backend: str = "auto",
) -> tuple[float, Array]:
    """Return the sum of V-Net's Dice loss and the focal loss, and its derivative with respect to every score.

    Parameters
    ----------
    y_true, y_score, channel_axis, activation, sample_axis, ignore_index, mask
        As in `fastseg.sum_scores`; axis 0 separates samples unless said otherwise.
    epsilon, squared, include_background, dtype, out, backend
        As in `dice_cross_entropy_with_gradient`.
    gamma, alpha
        As in `fastseg.focal_loss`.
    class_weight : (C,), optional
        Weights of the classes in the mean of their Dice losses, and of the true classes in the focal loss.
    dice_weight, focal_weight
        What the two terms are multiplied by; a term of weight 0 is not computed.

    Returns
    -------
    loss : float
    gradient : float32 or float16 array of the scores' shape and memory order
        As in `dice_cross_entropy_with_gradient`.

    Raises
    ------
    TypeError, ValueError
        As in `fastseg.sum_scores`.

    Examples
    --------
    >>> loss, gradient = dice_focal_loss_with_gradient([[0, 1]], [[[2.0, 0.0], [0.0, 1.0]]])
    >>> round(loss, 4), gradient.astype(float).round(3).tolist()
    (0.0636, [[[-0.019, 0.019], [0.093, -0.093]]])
    """
    for name, value in (("epsilon", epsilon), ("dice_weight", dice_weight), ("focal_weight", focal_weight)):
        finite_number(value, name)

    def loss(sums: ScoreSums) -> Loss:
        dice = partial(soft_dice_loss_of, sums, float(epsilon), squared, include_background)
        return _weighted((dice_weight, dice), (focal_weight, partial(focal_loss_of, sums, alpha)))

    given = score_inputs(
        y_true,
        y_score,
        channel_axis=channel_axis,
        activation=activation,
        sample_axis=sample_axis,
        ignore_index=ignore_index,
        mask=mask,
        class_weight=class_weight,
        quantities=["dice"] if dice_weight else [],
        focal_gamma=finite_number(gamma, "gamma") if focal_weight else None,
    )
    return _with_gradient(given, loss, dtype, out, backend)


def _weighted(*parts: tuple[float, Callable[[], Loss]]) -> Loss:
    """Return the weighted sum of losses; one of weight 0 is not made, since what it needs was not summed."""
    return Weighted([(float(weight), loss()) for weight, loss in parts if weight])


def _with_gradient(
    given: ScoreInputs, loss: Callable[[ScoreSums], Loss], dtype: npt.DTypeLike | None, out: Array | None, backend: str
) -> tuple[float, Array]:
    """Return a loss of scores, which may ask what their sums are, and its gradient."""
    if given.in_blocks:
        raise refuse_blocks("y_true, y_score")
    gradient = room_for_gradient(given, dtype, out)
    sums = sum_score_inputs(given, backend=backend)
    warn_of_underflow(given, sums)
    value, by_value = loss(sums)(sums)
    if given.voxels:
        write_gradient(given, by_value(np.ones(())).terms(sums.num_cases, sums.num_classes), gradient, backend)
    return float(value), gradient


def soft_dice_loss_with_gradient(
    y_true: Any, y_score: Any, epsilon: float = 1e-6, **options: Any
) -> tuple[float, Array]:
    """Return V-Net's Dice loss and its gradient; options as in `dice_cross_entropy_with_gradient`."""
    return dice_cross_entropy_with_gradient(y_true, y_score, epsilon, **options, ce_weight=0.0)


def cross_entropy_with_gradient(y_true: Any, y_score: Any, **options: Any) -> tuple[float, Array]:
    """Return mean cross-entropy and its gradient; options as in `dice_cross_entropy_with_gradient`."""
    return dice_cross_entropy_with_gradient(y_true, y_score, **options, dice_weight=0.0)


def focal_loss_with_gradient(y_true: Any, y_score: Any, **options: Any) -> tuple[float, Array]:
    """Return the focal loss and its gradient; options as in `dice_focal_loss_with_gradient`."""
    return dice_focal_loss_with_gradient(y_true, y_score, **options, dice_weight=0.0)
