"""The one-call functions: count, then a metric."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from fastseg.api.later import then
from fastseg.api.masks import count_masks
from fastseg.api.surfaces import surfaces_of
from fastseg.api.table import Scores
from fastseg.arrays import image_objects
from fastseg.arrays.arguments import integers, keyword_options
from fastseg.arrays.blocked import require_no_blocks
from fastseg.arrays.labels import label_inputs
from fastseg.arrays.option_names import check_options, explained
from fastseg.counting.labels import count_classes, count_label_inputs
from fastseg.counts import BinaryCounts, LabelCounts
from fastseg.metrics.choice import of_surfaces, refuse_partitions

__all__ = [
    "checked_regions",
    "confusion_matrix",
    "count_each_label",
    "count_labels",
    "counting_keywords",
    "evaluate",
    "voxel_ml",
]


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
    compute: bool = True,
) -> LabelCounts:
    """Count how often each pair of labels occurs in two label maps, in one pass.

    Parameters
    ----------
    y_true, y_pred : array_like
        True and predicted labels, of one shape (any number of axes): bool, integers, or floats that hold whole numbers,
        in any memory order; also anything with DLPack, the buffer protocol or `__array__` on the CPU, and arrays on a GPU (see
        the notes). Images are taken as what they are (notes, too).
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
        "auto", "numba" or "numpy" (the reference); "cuda" is that of arrays on a GPU, which "auto" knows.
    compute
        Of Dask arrays: False returns a `dask.delayed.Delayed` of the counts, which other graphs can go on with.

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
    are images, those that name their axes are transposed (as views) to the order of the first. Places that are more than 0.1
    voxels apart are an error, and so are coordinates that differ by more than 1% of their least step, and dims of other names.
    A plain array beside an image must have the shape of the image's array. `sample_axis` may be the name of a DataArray's dim.
    An identity affine of a MetaTensor says nothing: it is MONAI's default.

    Arrays in the memory of an NVIDIA GPU that have CUDA's array interface or DLPack are counted there; `mask` and
    `sample_weight` have to be on the same GPU. Where classes are not declared, they are found, by one more pass over maps that
    are wider than bytes.

    Dask arrays, and those of xarray on Dask, are counted block by block where their blocks are: a task counts a block of each
    array, and a tree of tasks merges the counts, which are those of the whole with ``==`` (sums of weights: to 1e-12, and the
    same at each call). Any of the arrays may be one of Dask.

    Examples
    --------
    >>> counts = count_labels([0, 1, 1, 255], [0, 1, 0, 1], num_classes=2, ignore_index=255)
    >>> counts.matrix[0].tolist(), counts.voxels[0].tolist()
    ([[1, 0], [1, 1]], [3, 1, 0, 0])
    """
    given = label_inputs(
        y_true,
        y_pred,
        num_classes=num_classes,
        labels=labels,
        ignore_index=ignore_index,
        mask=mask,
        sample_weight=sample_weight,
        sample_axis=sample_axis,
    )
    return count_label_inputs(given, unknown=unknown, backend=backend, compute=compute)


def count_each_label(
    y_true: Any, y_pred: Any, *, unknown: str = "raise", backend: str = "auto", compute: bool = True, **options: Any
) -> LabelCounts | BinaryCounts:
    """Count each label against all others, with the options of `count_labels`: what metrics of classes are made of.

    There is no matrix of K×K a sample unless labels are ignored or voxels weighted.
    """
    given = label_inputs(y_true, y_pred, **options)
    return count_classes(given, unknown=unknown, backend=backend, compute=compute)


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
    compute: bool = True,
) -> npt.NDArray[np.int64] | npt.NDArray[np.float64]:
    """Return the confusion matrix of two label maps: (K, K), rows true, columns predicted.

    Parameters
    ----------
    y_true, y_pred, num_classes, labels, ignore_index, mask, sample_weight, sample_axis, compute
        As in `count_labels`, which also takes `unknown` and `backend`.

    Returns
    -------
    matrix : int64 array of shape (K, K)
        float64 with weights. With `sample_axis` (N, K, K): a matrix for each of the N samples along that axis.

    Raises
    ------
    TypeError, ValueError
        As `count_labels` does.

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
        compute=compute,
    )
    found: npt.NDArray[Any] = then(counts, partial(_matrix, samples=sample_axis is not None))
    return found


def _matrix(counts: LabelCounts, samples: bool) -> npt.NDArray[Any]:
    matrix: npt.NDArray[Any] = counts.matrix
    owner = matrix if matrix.base is None else matrix.base
    if isinstance(owner, np.ndarray) and owner.base is None and owner.size == matrix.size:
        owner.flags.writeable = matrix.flags.writeable = True  # nobody else has these counts
    else:
        matrix = matrix.copy()
    return matrix if samples else matrix[0]


def evaluate(
    y_true: Any,
    y_pred: Any,
    *,
    metrics: str | Sequence[str] | None = None,
    names: dict[int, str] | None = None,
    zero_division: float = float("nan"),
    regions: Mapping[str, int | Sequence[int]] | None = None,
    channel_axis: int | None = None,
    spacing: float | Sequence[float] | None = None,
    surface: Literal["voxel", "surfel", "object"] = "voxel",
    border: Literal["background", "extend"] = "background",
    tolerance: float | Mapping[Any, float] | None = None,
    **options: Any,
) -> Scores:
    """Compute several metrics of two label maps, or of masks, from one pass over them.

    Parameters
    ----------
    y_true, y_pred : array_like
        Label maps, as in `count_labels`; with `channel_axis` masks, as in `count_masks`.
    metrics
        Names from `fastseg.metrics.REGISTRY`; default Dice, IoU, precision and recall. "all" is each of them. Those
        from `fastseg.metrics.SURFACE_METRICS` are asked for by name and need `spacing`; they are of all labels but 0, of all
        regions, or of all masks.
    names
        Names of labels, for tables and reports.
    zero_division
        The value of an undefined score; NaN leaves it out of the means.
    regions
        Unions of labels that are scored instead of the labels, by name: ``{"whole tumour": [1, 2, 3]}``. Metrics that are one
        number for all classes together stay those of the labels.
    channel_axis
        The axis of the channels of masks, which are the classes. None: the arrays are label maps.
    spacing, surface, border
        As in `surface_distances`, where metrics of surfaces are asked for.
    tolerance
        What NSD and surface overlap need: a distance, or a dict of them by label or name (None: of all others).
    **options
        The other arguments of `count_labels`, or of `count_masks` with `channel_axis`. With `sample_axis`
        each sample is a case of its own, and means over classes are of the classes' means over the cases.

    Returns
    -------
    scores : Scores
        Prints as a table; with volumes in ml where the maps are images of known spacing. ``scores[metric]`` is (K,), of
        several cases (N, K).

    Raises
    ------
    TypeError, ValueError
        As `count_labels` does; for unknown metrics.

    Examples
    --------
    >>> scores = evaluate([0, 0, 1, 1], [0, 1, 1, 1], metrics=["dice"])
    >>> scores["dice"].round(3).tolist(), round(scores.mean["dice"], 3)
    ([0.667, 0.8], 0.733)
    """
    counting = counting_keywords() if channel_axis is None else keyword_options(count_masks)
    check_options("evaluate", options, keyword_options(evaluate) | counting)
    refuse_partitions(metrics)
    regions = None if regions is None else checked_regions(regions)
    measuring = bool(of_surfaces(metrics))
    if measuring:  # which sees the whole
        require_no_blocks(y_true=y_true, y_pred=y_pred, mask=options.get("mask"))
    counts: LabelCounts | BinaryCounts
    if channel_axis is None:
        counts = count_labels(y_true, y_pred, **options)
    elif regions is not None:
        raise ValueError(f"regions: unions of labels, which masks with a channel_axis have not, found {regions!r}")
    else:
        counts = count_masks(y_true, y_pred, channel_axis=channel_axis, **options)
    surfaces = None
    if measuring:
        how = {
            "spacing": spacing,
            "surface": surface,
            "border": border,
            "channel_axis": channel_axis,
            "regions": regions,
        }
        surfaces = surfaces_of(counts, y_true, y_pred, options, **how)
    table = partial(
        Scores,
        metrics=metrics,
        names=names,
        zero_division=zero_division,
        voxel_ml=voxel_ml(y_true, y_pred, options),
        regions=regions,
        surfaces=surfaces,
        tolerance=tolerance,
    )
    scores: Scores = then(counts, table)
    return scores


def checked_regions(regions: Any) -> dict[str, list[int]]:
    """Return unions of labels by name; TypeError or ValueError where they are none."""
    if not isinstance(regions, Mapping) or not regions:
        raise TypeError(f"regions: expected a dict of names and labels, found {regions!r}")
    return {name: integers(labels, f"regions[{name!r}]").tolist() for name, labels in regions.items()}


def voxel_ml(y_true: Any, y_pred: Any, options: Mapping[str, Any]) -> float | None:
    """Return the volume of a voxel in ml where images know it and voxels, not weights, are counted."""
    return image_objects.voxel_ml(y_true, y_pred) if options.get("sample_weight") is None else None


def counting_keywords() -> dict[str, inspect.Parameter]:
    """Return the keyword options of `count_labels`."""
    return keyword_options(count_labels)
