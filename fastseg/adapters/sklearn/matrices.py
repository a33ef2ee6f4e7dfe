"""Confusion matrices."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fastseg.adapters.calls import NotCovered, Smaller, drop_in
from fastseg.adapters.sklearn.targets import Indicators, columns, targets

__all__ = ["confusion_matrix", "multilabel_confusion_matrix"]

Array = npt.NDArray[Any]

#: The axes that a matrix is divided by the sums over.
_NORMALIZED: dict[str, Any] = {"true": 1, "pred": 0, "all": None}


@drop_in("sklearn.metrics.confusion_matrix")
def confusion_matrix(
    y_true: Any, y_pred: Any, *, labels: Any = None, sample_weight: Any = None, normalize: str | None = None
) -> Array | Smaller:
    """Counted here: columns of labels, with or without weights."""
    if normalize is not None and (type(normalize) is not str or normalize not in _NORMALIZED):
        raise NotCovered("normalize= that is not known")
    given = columns(y_true, y_pred, sample_weight)
    where = given.chosen(labels)
    if where is not None and not given.counts.marginals.true[0, where[where >= 0]].any():
        raise NotCovered("no label of labels= is in y_true")
    matrix = given.selected(where)
    if given.weight is not None and given.weight.dtype.kind in "biu":
        if matrix.sum() >= 2**53:
            raise NotCovered("weights whose sums no float holds")
        matrix = np.rint(matrix).astype(np.int64)
    if normalize is not None:
        with np.errstate(invalid="ignore", divide="ignore"):
            matrix = np.nan_to_num(matrix / matrix.sum(axis=_NORMALIZED[normalize], keepdims=True))
    if matrix.size > 1:
        return matrix
    return given.smaller(matrix, labels=labels, normalize=normalize)


@drop_in("sklearn.metrics.multilabel_confusion_matrix")
def multilabel_confusion_matrix(
    y_true: Any, y_pred: Any, *, sample_weight: Any = None, labels: Any = None, samplewise: bool = False
) -> Array:
    """Counted here: columns of labels and dense indicators, with or without weights."""
    if type(samplewise) is not bool:
        raise NotCovered("samplewise= of another kind")
    given = targets(y_true, y_pred, sample_weight)
    where = given.chosen(labels)
    if not samplewise:
        binary = given.binary(where)
    elif isinstance(given, Indicators):
        binary = given.samples(where)
    else:
        raise NotCovered("samplewise=True of columns")
    return np.stack([binary.tn[0], binary.fp[0], binary.fn[0], binary.tp[0]], axis=-1).reshape(-1, 2, 2)
