"""Counting binary maps with channels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from fastseg.arrays.masks import mask_inputs
from fastseg.arrays.option_names import explained
from fastseg.counting.masks import count_mask_inputs
from fastseg.counts import BinaryCounts

__all__ = ["count_masks"]


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
    compute: bool = True,
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
    compute
        As in `count_labels`, which says what is done with Dask arrays.

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
    given = mask_inputs(
        y_true, y_pred, channel_axis=channel_axis, sample_axis=sample_axis, mask=mask, sample_weight=sample_weight
    )
    if classes is not None and not isinstance(classes, Iterable):
        raise TypeError(f"classes: expected a name for each channel, found {classes!r}")
    names = None if classes is None else tuple(classes)
    return count_mask_inputs(given, classes=names, backend=backend, compute=compute)
