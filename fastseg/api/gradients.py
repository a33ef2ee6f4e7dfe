"""Losses with their gradients: one pass for the sums, one for the gradient, and no array besides it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fastseg.api.calls import real_number, times
from fastseg.arrays.option_names import explained
from fastseg.arrays.score_spans import ScoreLayout
from fastseg.arrays.scores import ScoreInputs, score_inputs
from fastseg.counting.labels import counter_of, run_layouts
from fastseg.counting.scores import sum_score_inputs, warn_of_underflow
from fastseg.counts import ScoreSums
from fastseg.kernels.protocols.scores import GradientTerms, ScoreSpan

__all__ = ["cross_entropy_with_gradient", "dice_cross_entropy_with_gradient", "soft_dice_loss_with_gradient"]

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
        quantities=[*(["dice"] if dice_weight else []), *(["cross_entropy"] if ce_weight else [])],
    )
    for name, value in (("epsilon", epsilon), ("dice_weight", dice_weight), ("ce_weight", ce_weight)):
        real_number(name, value)
    if given.options.binary and given.label_smoothing and ce_weight:
        raise ValueError("label_smoothing: expected 0 for the gradient of binary cross-entropy")
    gradient = _room(given, dtype, out)
    sums = sum_score_inputs(given, backend=backend)
    warn_of_underflow(given, sums)
    loss, terms = _terms(sums, float(epsilon), squared, include_background, float(dice_weight), float(ce_weight))
    if given.voxels:
        _write(given, terms, gradient, backend)
    return loss, gradient


def soft_dice_loss_with_gradient(
    y_true: Any, y_score: Any, epsilon: float = 1e-6, **options: Any
) -> tuple[float, Array]:
    """Return V-Net's Dice loss and its gradient; options as in `dice_cross_entropy_with_gradient`."""
    return dice_cross_entropy_with_gradient(y_true, y_score, epsilon, **options, ce_weight=0.0)


def cross_entropy_with_gradient(y_true: Any, y_score: Any, **options: Any) -> tuple[float, Array]:
    """Return mean cross-entropy and its gradient; options as in `dice_cross_entropy_with_gradient`."""
    return dice_cross_entropy_with_gradient(y_true, y_score, **options, dice_weight=0.0)


def _room(given: ScoreInputs, dtype: npt.DTypeLike | None, out: Array | None) -> Array:
    half = given.options.score_bfloat16 or given.y_score.dtype == np.float16
    wanted = np.dtype(np.float16 if half else np.float32) if dtype is None else np.dtype(dtype)
    if out is not None and not isinstance(out, np.ndarray):
        raise TypeError(f"out: expected an array, found {type(out).__name__}")
    if out is not None and dtype is None:
        wanted = out.dtype
    if wanted not in (np.float32, np.float16):
        raise TypeError(f"dtype: expected float32 or float16, found {wanted}")
    if out is None:
        return np.empty_like(given.y_score, wanted, order="K")
    if out.dtype != wanted or out.shape != given.y_score.shape or not out.flags.writeable:
        raise ValueError(
            f"out: expected a writeable array of {wanted} of shape {given.y_score.shape}, found {out.dtype} of {out.shape}"
        )
    if any(np.may_share_memory(out, array) for array in (given.y_score, given.y_true, given.mask) if array is not None):
        raise ValueError("out: expected memory of its own, found an array that overlaps an input")
    return out


def _terms(
    sums: ScoreSums, epsilon: float, squared: bool, include_background: bool, dice_weight: float, ce_weight: float
) -> tuple[float, list[GradientTerms]]:
    """Return the loss, and of each case what its derivative is made of."""
    cases, classes = sums.num_cases, sums.num_classes
    weights = np.ones(classes) if sums.class_weight is None else sums.class_weight
    loss, nothing = 0.0, np.zeros((cases, classes))
    slope, curve, level, base, hit = nothing, nothing, nothing, nothing[:1], nothing[:1]
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
            other = sums.negative_log.sum(0) * (1.0 if sums.binary else 1 / classes)
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


def _write(given: ScoreInputs, terms: list[GradientTerms], gradient: Array, backend: str) -> None:
    options, module = given.options, counter_of(backend)

    def layout(n: int) -> _Layout:
        return _Layout(
            terms[n],
            ScoreLayout(
                *given.sample(n),
                given.scale,
                (options.score_bfloat16, options.true_bfloat16),
                samples=given.num_samples,
                out=given.channels_first(gradient, n),
            ),
        )

    run_layouts(
        given.num_samples,
        given.voxels * options.channels,
        layout,
        lambda: _Writer(module.GradientWriter(options)),
        None,
        True,
        lambda _: None,
    )


class _Layout:
    """A layout whose spans come with the terms of their sample."""

    def __init__(self, terms: GradientTerms, layout: ScoreLayout) -> None:
        self.terms, self.layout, self.jobs = terms, layout, layout.jobs

    def spans(self, job: int) -> Any:
        return ((span, self.terms) for span in self.layout.spans(job))


class _Writer:
    """A backend's writer in the place of a counter."""

    def __init__(self, writer: Any) -> None:
        self.writer = writer

    def __enter__(self) -> _Writer:
        self.writer.__enter__()
        return self

    def __exit__(self, *exc_info: Any) -> None:
        self.writer.__exit__(*exc_info)

    def update(self, item: tuple[ScoreSpan, GradientTerms]) -> bool:
        self.writer.write(*item)
        return True

    def take(self, classes: int | None = None) -> None:  # noqa: ARG002
        return None
