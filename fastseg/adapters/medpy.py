"""Drop-ins for the functions of `medpy.metric.binary` that are made of counts; its distances are MedPy's own.

The prediction comes first. Masks of any type are true where they are not zero, NaN included. What an undefined ratio is worth
is asked of MedPy, with masks of a few voxels: it says 1 or 0 in its documentation, and NaN with NumPy 2.4.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from fastseg.adapters.calls import NotCovered, drop_in
from fastseg.adapters.hosts import load
from fastseg.api.masks import count_masks

load("medpy")  # or say what to install

from medpy.metric import binary  # noqa: E402
from medpy.metric.binary import (  # noqa: E402
    asd,
    assd,
    hd,
    hd95,
    obj_asd,
    obj_assd,
    obj_fpr,
    obj_tpr,
    volume_change_correlation,
    volume_correlation,
)

__all__ = [
    "asd",
    "assd",
    "dc",
    "hd",
    "hd95",
    "jc",
    "obj_asd",
    "obj_assd",
    "obj_fpr",
    "obj_tpr",
    "positive_predictive_value",
    "precision",
    "ravd",
    "recall",
    "sensitivity",
    "specificity",
    "true_negative_rate",
    "true_positive_rate",
    "volume_change_correlation",
    "volume_correlation",
]

Bools = npt.NDArray[np.bool_]

_BOOL = np.dtype(np.bool_)
#: Voxels below which NumPy has counted a pair of masks before ours has begun.
_FEW = 1 << 20
#: What NumPy counts in: the ratios of MedPy are numbers of NumPy where that is one.
_Number: Callable[[Any], Any] = type(np.count_nonzero(np.zeros(1)))

#: Voxels of both masks, of the prediction, of the reference, and of the arrays.
_Counts = tuple[Any, Any, Any, int]


def _overlap(name: str, metric: str, fraction: Callable[..., tuple[Any, Any]]) -> Callable[[Any, Any], Any]:
    """Return a drop-in, of what it is a fraction of."""
    theirs = getattr(binary, name)

    def fast(result: Any, reference: Any) -> Any:
        """Counted here: arrays of one shape."""
        counts = _count(result, reference)
        numerator, denominator = fraction(*counts)
        return numerator / float(denominator) if denominator else theirs(*_alike(*counts))

    return drop_in(f"medpy.metric.binary.{name}", statistic="masks", metric=metric)(fast)


dc = _overlap("dc", "dice", lambda both, found, true, _: (2.0 * both, found + true))
jc = _overlap("jc", "iou", lambda both, found, true, _: (float(both), found + true - both))
precision = _overlap("precision", "precision", lambda both, found, _, __: (both, found))
positive_predictive_value = _overlap("positive_predictive_value", "precision", lambda both, found, _, __: (both, found))
recall = _overlap("recall", "recall", lambda both, _, true, __: (both, true))
sensitivity = _overlap("sensitivity", "recall", lambda both, _, true, __: (both, true))
true_positive_rate = _overlap("true_positive_rate", "recall", lambda both, _, true, __: (both, true))
specificity = _overlap(
    "specificity", "specificity", lambda both, found, true, voxels: (voxels - true - found + both, voxels - true)
)
true_negative_rate = _overlap(
    "true_negative_rate", "specificity", lambda both, found, true, voxels: (voxels - true - found + both, voxels - true)
)
ravd = _overlap("ravd", "relative_volume_difference", lambda _, found, true, __: (found - true, true))


def _alike(both: Any, found: Any, true: Any, voxels: int) -> Any:
    """Return two masks with one voxel of each kind that there is."""
    there = np.array([both, found - both, true - both, voxels - found - true + both]) > 0
    return np.array([[True, True], [True, False], [False, True], [False, False]])[there].T


def _count(result: Any, reference: Any) -> _Counts:
    if type(result) is not np.ndarray or type(reference) is not np.ndarray or result.shape != reference.shape:
        raise NotCovered("masks that are no arrays of one shape")
    if result.size < _FEW:
        count = np.count_nonzero
        found, true = (each if each.dtype is _BOOL else each.astype(_BOOL) for each in (result, reference))
        return count(found & true), count(found), count(true), result.size
    counts = count_masks(_mask(reference), _mask(result), channel_axis=None)
    tp, fp, fn = counts.tp.item(), counts.fp.item(), counts.fn.item()
    return _Number(tp), _Number(tp + fp), _Number(tp + fn), result.size


def _mask(given: npt.NDArray[Any]) -> Bools:
    """Return what is not zero; masks of bytes that are 0 or 1 are not copied."""
    if given.dtype.kind in "iu" and given.itemsize == 1 and given.view(np.uint8).max() <= 1:
        return given.view(np.bool_)
    return given.astype(np.bool_, copy=False)
