"""Drop-ins for functions of `sklearn.metrics`."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastseg.adapters.calls import NotCovered, counted, drop_in
from fastseg.api.labels import count_labels

__all__ = ["accuracy_score"]


@drop_in("sklearn.metrics.accuracy_score", metric="accuracy")
def accuracy_score(y_true: Any, y_pred: Any, *, normalize: bool = True, sample_weight: Any = None) -> float:
    """Arrays and lists of integers, without weights, are counted here."""
    if normalize is not True or sample_weight is not None:
        raise NotCovered("options that are not counted yet")
    true, pred = np.asarray(y_true), np.asarray(y_pred)
    if (
        true.ndim != 1
        or true.shape != pred.shape
        or not true.size
        or true.dtype.kind + pred.dtype.kind not in ("ii", "uu")
    ):
        raise NotCovered("labels that are not counted yet")
    matrix = counted(count_labels, true, pred).matrix[0]
    return float(np.trace(matrix) / true.size)
