"""Pairs of labels that occur, of any number of labels: instances, segments, superpixels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy.typing as npt

from fastseg.arrays.arguments import integer
from fastseg.arrays.labels import label_inputs
from fastseg.arrays.option_names import explained
from fastseg.counting.pairs import count_pair_inputs
from fastseg.counts import PairCounts

__all__ = ["count_pairs"]


@explained
def count_pairs(
    y_true: Any,
    y_pred: Any,
    *,
    ignore_index: int | Sequence[int] | npt.NDArray[Any] | None = None,
    mask: Any = None,
    sample_weight: Any = None,
    sample_axis: int | None = None,
    backend: str = "auto",
) -> PairCounts:
    """Count how often each pair of labels occurs in two maps of any number of labels, in one pass.

    Parameters
    ----------
    y_true, y_pred : array_like
        True and predicted labels, of one shape, as in `count_labels`: any integers of 64 bits, also uint64 of 2⁶³ and more.
    ignore_index
        True labels whose voxels are not counted, whatever label was predicted there.
    mask : array_like of bool or integers, optional
        Region of interest, of the maps' shape: only voxels where it is not zero are looked at.
    sample_weight : array_like, optional
        A weight for each voxel, of the maps' shape, finite and not negative. Counts are then float64.
    sample_axis
        The axis that separates samples, which are the cases of the counts. Without it, all is one case.
    backend
        "auto", "numba" or "numpy" (the reference).

    Returns
    -------
    pairs : PairCounts
        Of the pairs that occur, sorted.

    Raises
    ------
    TypeError
        If an argument is of a type that cannot be counted.
    ValueError
        If shapes differ, labels are fractional or NaN, or weights are negative or not finite; if two images do not lie at the
        same place.

    Examples
    --------
    >>> pairs = count_pairs([[0, 0, 9], [9, 9, 9]], [[0, 5, 5], [5, 5, 7]])
    >>> pairs.true.tolist(), pairs.pred.tolist(), pairs.counts.tolist()
    ([0, 0, 9, 9], [0, 5, 5, 7], [1, 1, 3, 1])
    """
    given = label_inputs(y_true, y_pred, mask=mask, sample_weight=sample_weight, sample_axis=sample_axis)
    return count_pair_inputs(given, ignored_labels(ignore_index), backend=backend)


def ignored_labels(value: Any) -> tuple[int, ...]:
    """Return `ignore_index` as integers, each once, sorted; TypeError or ValueError if they are no labels."""
    if value is None:
        return ()
    if isinstance(value, (str, bytes, dict)):
        raise TypeError(f"ignore_index: expected integers, found {type(value).__name__}")
    several = isinstance(value, Iterable) and getattr(value, "ndim", 1) != 0
    labels = sorted({integer(item, "ignore_index") for item in (value if several else [value])})
    if any(not -(2**63) <= label < 2**64 for label in labels):
        raise ValueError(f"ignore_index: expected integers of 64 bits, found {labels}")
    return tuple(labels)
