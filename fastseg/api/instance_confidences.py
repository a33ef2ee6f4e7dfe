"""Confidences of predicted instances, from the map of probabilities that they were cut from."""

from __future__ import annotations

from typing import Any, Literal, overload

import numpy as np
import numpy.typing as npt

from fastseg.arrays.arguments import checked_axis, one_of
from fastseg.arrays.array_likes import float32_of_bits
from fastseg.arrays.convert import same_shape, score_array
from fastseg.arrays.instances import require_in_memory, whole_label_map
from fastseg.arrays.option_names import explained
from fastseg.counting.segments import samples

__all__ = ["instance_confidences"]

Array = npt.NDArray[Any]
Reduction = Literal["max", "mean"]


@overload
def instance_confidences(
    instances: Any, y_score: Any, reduction: Reduction = "max", *, sample_axis: None = None
) -> dict[int, float]: ...
@overload
def instance_confidences(
    instances: Any, y_score: Any, reduction: Reduction = "max", *, sample_axis: int
) -> list[dict[int, float]]: ...
@explained
def instance_confidences(
    instances: Any, y_score: Any, reduction: Reduction = "max", *, sample_axis: int | None = None
) -> dict[int, float] | list[dict[int, float]]:
    """Return how confident a model is of each instance, from its probability of each voxel.

    Parameters
    ----------
    instances : array_like of integers
        A map of ids, 0 background, such as `label_components` makes of a mask of probabilities above a threshold: with the
        same options `match_instances` of that mask has the same ids.
    y_score : array_like of floats
        Of the same shape: the probability, or any other score, of each voxel.
    reduction
        "max" (as PI-CAI and nnDetection have it) or "mean", of the voxels of each instance.
    sample_axis
        The axis that separates samples.

    Returns
    -------
    confidences : dict of int to float
        Of each id, for `InstanceMatching.ranked`; with `sample_axis` a list of one for each sample.

    Raises
    ------
    TypeError, ValueError
        If the maps are not of one shape, ids are no integers, or a score of an instance is NaN.

    Examples
    --------
    >>> import numpy as np
    >>> import fastseg
    >>> y_true, y_score = np.array([[1, 1, 0, 0, 0]]), np.array([[0.9, 0.6, 0.1, 0.0, 0.7]])
    >>> y_pred = y_score > 0.5
    >>> confidences = instance_confidences(fastseg.label_components(y_pred), y_score, "mean")
    >>> confidences
    {1: 0.75, 2: 0.7}
    >>> fastseg.match_instances(y_true > 0, y_pred).ranked(confidences).average_precision
    1.0
    """
    one_of(reduction, "reduction", ("max", "mean"))
    ids = whole_label_map(instances, "instances")
    if ids.dtype == bool:
        raise TypeError("instances: expected ids, which fastseg.label_components makes of a mask; found bool")
    require_in_memory(y_score, "y_score")
    scores, bits = score_array(y_score, "y_score")
    if bits:
        scores = float32_of_bits(scores)
    same_shape(ids, "instances", scores, "y_score")
    axis = checked_axis(sample_axis, ids.ndim, "sample_axis")
    found = [_of_sample(*each, reduction) for each in zip(samples(ids, axis), samples(scores, axis), strict=True)]
    return found[0] if axis is None else found


def _of_sample(ids: Array, scores: Array, reduction: str) -> dict[int, float]:
    inside = ids != 0
    labels, of = np.unique(ids[inside], return_inverse=True)
    of, own = of.reshape(-1), scores[inside].astype(np.float64)
    if np.isnan(own).any():
        raise ValueError(f"y_score: expected numbers, found NaN in instance {labels[of[np.isnan(own)][0]]}")
    if reduction == "mean":
        values = np.bincount(of, own, labels.size) / np.bincount(of, minlength=labels.size)
    else:
        values = np.full(labels.size, -np.inf)
        np.maximum.at(values, of, own)
    return dict(zip(labels.tolist(), values.tolist(), strict=True))
