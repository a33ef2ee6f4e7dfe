"""Summing and evaluating probabilities and logits: one read, every loss and metric."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from fastseg.api.labels import voxel_ml
from fastseg.api.later import then
from fastseg.api.table import Scores
from fastseg.arrays.arguments import keyword_options
from fastseg.arrays.option_names import check_options, explained
from fastseg.arrays.scores import score_inputs
from fastseg.counting.scores import sum_score_inputs, warn_of_underflow
from fastseg.counts.scores import ScoreSums
from fastseg.metrics.choice import quantities_of

__all__ = ["evaluate_scores", "sum_scores"]


def evaluate_scores(
    y_true: Any,
    y_score: Any,
    *,
    metrics: str | Sequence[str] | None = None,
    names: dict[int, str] | None = None,
    zero_division: float = float("nan"),
    **options: Any,
) -> Scores:
    """Compute several metrics and losses of probabilities or logits from one pass over them.

    Parameters
    ----------
    y_true, y_score : array_like
        Truth and scores, as in `sum_scores`.
    metrics
        Names from `fastseg.metrics.REGISTRY` (of the most probable labels), `fastseg.losses.LOSSES` and
        `fastseg.metrics.SCORE_METRICS`, and "soft_dice"; or "all" that the quantities allow. Default: the usual ones
        of these.
    names
        Names of labels, for tables and reports.
    zero_division
        The value of an undefined score; NaN leaves it out of the means.
    **options
        The keyword options of `sum_scores`. Without `quantities`, what is summed is what the metrics need that are asked
        for by name, else the default. Without `sample_axis` all voxels are one case, also for losses such as
        `soft_dice_loss`, whose own function takes axis 0 for the samples.

    Returns
    -------
    scores : Scores
        Prints as a table.

    Raises
    ------
    TypeError, ValueError
        As `sum_scores` does; for unknown metrics, and those that the quantities do not allow.

    Examples
    --------
    >>> p = [[0.75, 0.25], [0.5, 0.5], [0.25, 0.75]]
    >>> scores = evaluate_scores([0, 1, 1], p, metrics=["dice", "soft_dice", "brier_score"])
    >>> scores["dice"].round(3).tolist(), scores["soft_dice"].round(3).tolist(), round(scores.overall["brier_score"], 3)
    ([0.667, 0.667], [0.8, 0.87], 0.25)
    """
    check_options("evaluate_scores", options, keyword_options(evaluate_scores) | keyword_options(sum_scores))
    if options.get("quantities") is None:
        options["quantities"] = quantities_of(metrics)
    table = partial(
        Scores, metrics=metrics, names=names, zero_division=zero_division, voxel_ml=voxel_ml(y_true, y_score, options)
    )
    scores: Scores = then(sum_scores(y_true, y_score, **options), table)
    return scores


@explained
def sum_scores(
    y_true: Any,
    y_score: Any,
    *,
    channel_axis: int | None = -1,
    activation: str | None = None,
    sample_axis: int | None = None,
    ignore_index: int | Sequence[int] | None = None,
    mask: Any = None,
    sample_weight: Any = None,
    class_weight: Any = None,
    label_smoothing: float = 0.0,
    quantities: str | Iterable[str] | None = None,
    bins: int | None = None,
    focal_gamma: float | None = None,
    scale: float | None = None,
    backend: str = "auto",
    compute: bool = True,
) -> ScoreSums:
    """Sum all that losses and metrics of scores need, in one pass over probabilities or logits.

    Parameters
    ----------
    y_true : array_like
        Either a label map: the scores' shape without the channel axis, labels 0..C-1 of any integer type (bool, or floats
        that hold whole numbers, too); for a single class labels 0 and 1. Or a one-hot or soft (probabilistic) truth of the
        scores' shape, of any real type, values in [0, 1].
    y_score : array_like
        Scores of C classes: float16, bfloat16, float32, float64, bool, or integers (see `scale`), in any memory order.
    channel_axis
        The axis of the classes in y_score; None where there is a single class without such an axis (then a truth of
        integers is a label map, one of floats is soft).
    activation
        None: the scores are probabilities. "softmax" or "sigmoid": they are logits (-inf is a masked class).
    sample_axis
        The axis of y_score that separates samples, whose sums are kept apart. Without it, all is one sample.
    ignore_index
        True labels whose voxels are not looked at (label maps only). One that is a class keeps its place in all sums, and
        tables have no row for it. Losses are over all C classes nevertheless.
    mask : array_like of bool or integers, optional
        Region of interest, of the scores' shape without the channel axis: voxels where it is zero are not looked at.
    sample_weight : array_like, optional
        A weight for each voxel, of that shape too: 0, or from 1e-30 to 1e30. Every sum is then a sum of weighted terms.
    class_weight : array_like of shape (C,), optional
        Kept in the result: losses use it unless they are given another.
    label_smoothing
        Kept in the result likewise; other than 0 it asks for the quantity "smoothing".
    quantities
        What to sum, by names from `fastseg.counts.scores.QUANTITIES`, or "all" (but for bins); default cross-entropy, the
        sums of soft Dice, and the matrix of the most probable labels: ``("cross_entropy", "dice", "argmax")``.
    bins
        Number of equal bins of [0, 1] for calibration and thresholds; asks for the quantity "bins".
    focal_gamma
        The exponent of the focal loss, default 2; asks for the quantity "focal".
    scale
        What integer scores are divided by: 100 for percentages, 255 for bytes.
    backend
        "auto", "numba" or "numpy" (the reference).
    compute
        As in `count_labels`. Sums over Dask arrays are those of the whole to 1e-12, and the same at each call; counts and
        labels are equal. Chunks are put together along the axis of the classes.

    Returns
    -------
    sums : ScoreSums

    Raises
    ------
    TypeError
        If an argument is of a type that cannot be summed.
    ValueError
        If shapes differ, labels are outside the classes, scores are NaN or +inf (or all logits of a voxel -inf),
        probabilities are outside [0, 1] by more than 0.001 or, where the quantity needs it, do not sum to one; the
        message says how many, and the index and value of the first.

    Notes
    -----
    Sums are of float32 terms, in float64 from a few hundred voxels on: the relative error is below 1e-6 at any size, also
    of tiny losses. Probabilities below 1.2e-38 count as 0. Those of float16 are 0 below 6e-8: where that makes cross-entropy
    infinite, a warning says so. Logits may be any finite numbers: their losses are infinite only where float64 is, that
    is where two logits lie more than 1.8e308 apart or the sum over the voxels exceeds it.

    Images of other libraries are taken as in `count_labels`; `channel_axis` and `sample_axis` may be names of the dims of a
    DataArray of scores. The components of a SimpleITK vector image are its last axis.

    Examples
    --------
    >>> sums = sum_scores([0, 1], [[0.75, 0.25], [0.5, 0.5]])
    >>> sums.true_pred.tolist(), sums.argmax_counts.matrix[0].tolist()
    ([[0.75, 0.5]], [[1, 0], [1, 0]])
    """
    given = score_inputs(
        y_true,
        y_score,
        channel_axis=channel_axis,
        activation=activation,
        sample_axis=sample_axis,
        ignore_index=ignore_index,
        mask=mask,
        sample_weight=sample_weight,
        class_weight=class_weight,
        label_smoothing=label_smoothing,
        quantities=quantities,
        bins=bins,
        focal_gamma=focal_gamma,
        scale=scale,
    )
    sums = sum_score_inputs(given, backend=backend, compute=compute)
    if compute:
        warn_of_underflow(given, sums)
    return sums
