"""The one-call functions: count, then a metric."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from fastseg import metrics
from fastseg.api.table import Scores, quantities_of
from fastseg.arrays import image_objects
from fastseg.arrays import labels as inputs
from fastseg.arrays.option_names import check_options, explained
from fastseg.counting import labels as counting
from fastseg.counting.scores import sum_scores
from fastseg.counts import BinaryCounts, LabelCounts

__all__ = ["confusion_matrix", "count_labels", "count_masks", "evaluate", "evaluate_scores", "metric_function"]


@explained
def count_labels(
    y_true: Any,
    y_pred: Any,
    *,
    num_classes: int | None = None,
    labels: Sequence[int] | npt.NDArray[Any] | None = None,
    ignore_index: int | Sequence[int] | None = None,
    mask: Any = None,
    sample_weight: Any = None,
    sample_axis: int | None = None,
    unknown: Literal["raise", "count"] = "raise",
    backend: str = "auto",
) -> LabelCounts:
    """Count how often each pair of labels occurs in two label maps, in one pass.

    Parameters
    ----------
    y_true, y_pred : array_like
        True and predicted labels, of one shape (any number of axes): bool, integers, or floats that hold whole numbers,
        in any memory order; also anything with DLPack, the buffer protocol or `__array__` on the CPU. Images are taken as what
        they are (see the notes).
    num_classes
        K: the classes are the labels 0..K-1 (at most 4,096).
    labels
        The classes, as any 64-bit integers in any order. Without `num_classes` and `labels` the counts are *open*: the
        classes are the labels that occur among the counted voxels, sorted.
    ignore_index
        True labels whose voxels are not counted, whatever label was predicted there (NaN is no label, and an error). One
        that is among the classes keeps its place in matrices and (K,) arrays, with a row of zeros, but has no score: its
        values are NaN, no mean is over it, and tables have no row for it. Predictions of it are misses of the true label.
    mask : array_like of bool or integers, optional
        Region of interest, of the maps' shape: only voxels where it is not zero are looked at.
    sample_weight : array_like, optional
        A weight for each voxel, of the maps' shape, finite and not negative (at ignored voxels too; what is outside the
        mask is not looked at). The matrix is then float64.
    sample_axis
        The axis that separates samples, whose counts are kept apart. Without it, all is one sample.
    unknown
        What to do where a predicted label is outside the classes: "raise", or "count" it as a miss of its true class in
        `LabelCounts.unknown`. A true label outside the classes is always an error.
    backend
        "auto", "numba" or "numpy" (the reference).

    Returns
    -------
    counts : LabelCounts

    Raises
    ------
    TypeError
        If an argument is of a type that cannot be counted.
    ValueError
        If shapes differ, labels are fractional, NaN or outside the classes, or weights are negative or not finite; the
        message says how many voxels, and the index and value of the first. If two images do not lie at the same place.

    Notes
    -----
    A `SimpleITK.Image`, an image of nibabel's, a MONAI `MetaTensor` and an xarray `DataArray` (`mask` and `sample_weight`,
    too) are views of their own memory, with the axes that their libraries' arrays have: z, y, x for SimpleITK, the components
    of a vector image last, and x, y, z for nibabel. A nibabel image on disk is read, or mapped, once. Where several arguments
    are images, those that name their axes are transposed (as views) to the order of the first, and places that differ by more
    than 1% of the spacing, or coordinates that do, are an error; so are dims of other names. A plain array beside an image
    must have the shape of the image's array. `sample_axis` may be the name of a DataArray's dim. An identity affine of a
    MetaTensor says nothing: it is MONAI's default.

    Examples
    --------
    >>> counts = count_labels([0, 1, 1, 255], [0, 1, 0, 1], num_classes=2, ignore_index=255)
    >>> counts.matrix[0].tolist(), counts.voxels[0].tolist()
    ([[1, 0], [1, 1]], [3, 1, 0, 0])
    """
    given = inputs.label_inputs(
        y_true,
        y_pred,
        num_classes=num_classes,
        labels=labels,
        ignore_index=ignore_index,
        mask=mask,
        sample_weight=sample_weight,
        sample_axis=sample_axis,
    )
    return counting.count_label_inputs(given, unknown=unknown, backend=backend)


@explained
def count_masks(
    y_true: Any,
    y_pred: Any,
    *,
    channel_axis: int | None = -1,
    sample_axis: int | None = None,
    mask: Any = None,
    sample_weight: Any = None,
    classes: Sequence[str | int] | None = None,
    backend: str = "auto",
) -> BinaryCounts:
    """Count the overlaps of binary maps whose channels may overlap (multilabel) or not (one-hot), in one pass.

    Parameters
    ----------
    y_true, y_pred : array_like
        Masks of one shape: bool, or numbers that are all 0 or 1.
    channel_axis
        The axis of the C channels; None where there is a single mask without such an axis.
    sample_axis
        The axis that separates the N samples; None: one sample.
    mask, sample_weight : array_like, optional
        As in `count_labels`; of the maps' shape without the channel axis.
    classes
        Names of the channels; default 0..C-1.
    backend
        "auto", "numba" or "numpy" (the reference).

    Returns
    -------
    counts : BinaryCounts
        True positives, false positives, false negatives, true negatives, each (N, C).

    Raises
    ------
    TypeError, ValueError
        As in `count_labels`, and where a value is neither 0 nor 1.

    Examples
    --------
    >>> truth = [[True, False], [True, True]]  # two voxels, two channels
    >>> counts = count_masks(truth, [[True, True], [False, True]])
    >>> counts.tp.tolist(), counts.fp.tolist(), counts.fn.tolist()
    ([[1, 1]], [[0, 1]], [[1, 0]])
    """
    given = inputs.mask_inputs(
        y_true, y_pred, channel_axis=channel_axis, sample_axis=sample_axis, mask=mask, sample_weight=sample_weight
    )
    if classes is not None and not isinstance(classes, Iterable):
        raise TypeError(f"classes: expected a name for each channel, found {classes!r}")
    return counting.count_mask_inputs(given, classes=None if classes is None else tuple(classes), backend=backend)


@explained
def confusion_matrix(
    y_true: Any,
    y_pred: Any,
    *,
    num_classes: int | None = None,
    labels: Sequence[int] | npt.NDArray[Any] | None = None,
    ignore_index: int | Sequence[int] | None = None,
    mask: Any = None,
    sample_weight: Any = None,
    sample_axis: int | None = None,
) -> npt.NDArray[np.int64] | npt.NDArray[np.float64]:
    """Return the confusion matrix of two label maps: (K, K), rows true, columns predicted.

    The arguments are those of `count_labels`, which also takes `unknown` and `backend`. With `sample_axis` it is (N, K, K), a
    matrix for each of the N samples along that axis.

    Examples
    --------
    >>> confusion_matrix([0, 0, 1], [0, 1, 1], num_classes=2).tolist()
    [[1, 1], [0, 1]]
    """
    counts = count_labels(
        y_true,
        y_pred,
        num_classes=num_classes,
        labels=labels,
        ignore_index=ignore_index,
        mask=mask,
        sample_weight=sample_weight,
        sample_axis=sample_axis,
    )
    matrix: npt.NDArray[Any] = (counts.matrix[0] if sample_axis is None else counts.matrix).copy()
    return matrix


def evaluate(
    y_true: Any,
    y_pred: Any,
    *,
    metrics: str | Sequence[str] | None = None,
    names: dict[int, str] | None = None,
    zero_division: float = float("nan"),
    **options: Any,
) -> Scores:
    """Compute several metrics of two label maps from one pass over them.

    Parameters
    ----------
    y_true, y_pred : array_like
        Label maps, as in `count_labels`.
    metrics
        Names from `fastseg.metrics.REGISTRY`, or "all"; default Dice, IoU, precision and recall.
    names
        Names of labels, for tables and reports.
    zero_division
        The value of an undefined score; NaN leaves it out of the means.
    **options
        The other arguments of `count_labels`. With `sample_axis` each sample is a case of its own, and means over classes are
        of the classes' means over the cases.

    Returns
    -------
    scores : Scores
        Prints as a table; with volumes in ml where the maps are images of known spacing. ``scores[metric]`` is (K,), of
        several cases (N, K).

    Examples
    --------
    >>> scores = evaluate([0, 0, 1, 1], [0, 1, 1, 1], metrics=["dice"])
    >>> scores["dice"].round(3).tolist(), round(scores.mean["dice"], 3)
    ([0.667, 0.8], 0.733)
    """
    check_options("evaluate", options, _keyword_options(evaluate) | _counting_options())
    return Scores(
        count_labels(y_true, y_pred, **options),
        metrics=metrics,
        names=names,
        zero_division=zero_division,
        voxel_ml=_voxel_ml(y_true, y_pred, options),
    )


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
        for by name, else the default.

    Returns
    -------
    scores : Scores
        Prints as a table.

    Examples
    --------
    >>> p = [[0.75, 0.25], [0.5, 0.5], [0.25, 0.75]]
    >>> scores = evaluate_scores([0, 1, 1], p, metrics=["dice", "soft_dice", "brier_score"])
    >>> scores["dice"].round(3).tolist(), scores["soft_dice"].round(3).tolist(), round(scores.overall["brier_score"], 3)
    ([0.667, 0.667], [0.8, 0.87], 0.25)
    """
    check_options("evaluate_scores", options, _keyword_options(evaluate_scores) | _keyword_options(sum_scores))
    if options.get("quantities") is None:
        options["quantities"] = quantities_of(metrics)
    sums = sum_scores(y_true, y_score, **options)
    return Scores(
        sums,
        metrics=metrics,
        names=names,
        zero_division=zero_division,
        voxel_ml=_voxel_ml(y_true, y_score, options),
    )


def _voxel_ml(y_true: Any, y_pred: Any, options: Mapping[str, Any]) -> float | None:
    """Return the volume of a voxel in ml where images know it and voxels, not weights, are counted."""
    return image_objects.voxel_ml(y_true, y_pred) if options.get("sample_weight") is None else None


def _counting_options() -> dict[str, inspect.Parameter]:
    return _keyword_options(count_labels)


@functools.cache
def _keyword_options(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    parameters = inspect.signature(function).parameters
    return {name: p for name, p in parameters.items() if p.kind is p.KEYWORD_ONLY}


@functools.cache
def metric_function(name: str) -> Callable[..., npt.NDArray[np.float64] | float]:
    """Return the one-call function of a metric: ``fastseg.iou`` is ``metric_function("iou")``."""
    metric = metrics.get(name)
    own = [p for p in inspect.signature(metric.fraction).parameters.values() if p.default is not p.empty]

    def compute(
        y_true: Any,
        y_pred: Any,
        *,
        average: metrics.Average = None,
        zero_division: float = float("nan"),
        include_background: bool = True,
        **options: Any,
    ) -> npt.NDArray[np.float64] | float:
        check_options(name, options, parameters)
        chosen = {p.name: options.pop(p.name, p.default) for p in own}
        values = metric(
            count_labels(y_true, y_pred, **options),
            average=average,
            zero_division=zero_division,
            include_background=include_background,
            **chosen,
        )
        if options.get("sample_axis") is not None:
            return values
        return values[0] if values.ndim > 1 else float(values[0])

    compute.__name__ = compute.__qualname__ = name
    compute.__module__ = "fastseg"
    arguments = f"""
    The arguments are those of `count_labels`, and of the metric: average (None, "macro", "micro", "weighted"),
    zero_division, include_background{"".join(f", {p.name}={p.default}" for p in own)}. Returns (K,) float64 for
    ``average=None``, else a float; metrics of all classes together are a float. With ``sample_axis`` it is (N, K) or (N,)
    float64: a row or number for each of the N samples along that axis.
    """
    compute.__doc__ = f"{metric.__doc__}\n\n{inspect.cleandoc(arguments)}"
    counting_options = list(_counting_options().values())
    fixed = [p for p in inspect.signature(compute).parameters.values() if p.kind is not p.VAR_KEYWORD]
    keyword = [p.replace(kind=p.KEYWORD_ONLY) for p in own]
    signature = inspect.Signature([*fixed, *keyword, *counting_options])
    parameters = signature.parameters
    compute.__signature__ = signature  # type: ignore[attr-defined]
    return compute
