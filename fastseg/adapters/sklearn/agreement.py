"""One number for all labels together: accuracy, agreement beyond chance, likelihood ratios."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fastseg.adapters.calls import NotCovered, drop_in
from fastseg.adapters.sklearn.targets import Columns, Indicators, columns, targets
from fastseg.metrics.registry import REGISTRY

__all__ = [
    "accuracy_score",
    "balanced_accuracy_score",
    "class_likelihood_ratios",
    "cohen_kappa_score",
    "hamming_loss",
    "matthews_corrcoef",
    "zero_one_loss",
]

Array = npt.NDArray[Any]


def _right(given: Columns | Indicators) -> tuple[float, float]:
    """Return how many samples, or how much weight, are right in all labels, and all."""
    if isinstance(given, Columns):
        return float(given.counts.marginals.hits.sum()), float(given.counts.marginals.true.sum())
    rows = given.samples()
    right = (rows.fp[0] == 0) & (rows.fn[0] == 0)
    if given.weight is None:
        return float(np.count_nonzero(right)), float(right.size)
    return float(given.weight[right].sum()), float(given.weight.sum())


@drop_in("sklearn.metrics.accuracy_score")
def accuracy_score(y_true: Any, y_pred: Any, *, normalize: bool = True, sample_weight: Any = None) -> float:
    """Counted here: columns of labels and dense indicators, with or without weights."""
    if type(normalize) is not bool:
        raise NotCovered("normalize= that is not known")
    right, everything = _right(targets(y_true, y_pred, sample_weight))
    return right / everything if normalize else right


@drop_in("sklearn.metrics.zero_one_loss")
def zero_one_loss(y_true: Any, y_pred: Any, *, normalize: bool = True, sample_weight: Any = None) -> Any:
    """Counted here: columns of labels and dense indicators, with or without weights."""
    if type(normalize) is not bool:
        raise NotCovered("normalize= that is not known")
    given = targets(y_true, y_pred, sample_weight)
    right, everything = _right(given)
    if normalize:
        return 1 - right / everything
    return everything - right if given.weight is None else np.sum(given.weight) - right


@drop_in("sklearn.metrics.hamming_loss")
def hamming_loss(y_true: Any, y_pred: Any, *, sample_weight: Any = None) -> Any:
    """Counted here: columns of labels and dense indicators, with or without weights."""
    given = targets(y_true, y_pred, sample_weight)
    if isinstance(given, Columns):
        right, everything = _right(given)
        return (everything - right) / everything
    wrong = float((given.counts.fp + given.counts.fn).sum())
    return wrong / (given.true.size * (1.0 if given.weight is None else np.mean(given.weight)))


@drop_in("sklearn.metrics.balanced_accuracy_score")
def balanced_accuracy_score(y_true: Any, y_pred: Any, *, sample_weight: Any = None, adjusted: bool = False) -> Any:
    """Counted here: columns of labels, with or without weights."""
    if type(adjusted) is not bool:
        raise NotCovered("adjusted= that is not known")
    given = columns(y_true, y_pred, sample_weight)
    true, _, hits = (each[0] for each in given.counts.marginals)
    if true.size == 1 or not true.all():
        return given.smaller(adjusted=adjusted)
    score = float(np.mean(hits / true))
    chance = 1 / true.size
    return (score - chance) / (1 - chance) if adjusted else score


@drop_in("sklearn.metrics.cohen_kappa_score")
def cohen_kappa_score(
    y1: Any,
    y2: Any,
    *,
    labels: Any = None,
    weights: Any = None,
    sample_weight: Any = None,
    replace_undefined_by: Any = np.nan,
) -> Any:
    """Counted here: columns of labels, with or without weights of samples and of disagreements."""
    if not (weights is None or (type(weights) is str and weights in ("linear", "quadratic"))):
        raise NotCovered("weights= that are not known")
    if not isinstance(replace_undefined_by, float) or not (replace_undefined_by != replace_undefined_by):
        raise NotCovered("replace_undefined_by= other than NaN")
    given = columns(y1, y2, sample_weight)
    where = given.chosen(labels)
    matrix = given.selected(where).astype(np.float64)
    true, pred = matrix.sum(1), matrix.sum(0)
    if where is not None and not true.any():
        raise NotCovered("no label of labels= is in y1")
    apart = np.abs(np.subtract.outer(np.arange(len(matrix)), np.arange(len(matrix))))
    costs = {"linear": apart, "quadratic": apart**2}.get(str(weights), apart != 0)
    by_chance = float((costs * np.outer(true, pred)).sum())
    if by_chance == 0 or len(matrix) == 1:
        return given.smaller(labels=labels, weights=weights)
    return 1 - float((costs * matrix).sum() * matrix.sum()) / by_chance


@drop_in("sklearn.metrics.matthews_corrcoef")
def matthews_corrcoef(y_true: Any, y_pred: Any, *, sample_weight: Any = None) -> Any:
    """Counted here: columns of labels, with or without weights."""
    given = columns(y_true, y_pred, sample_weight)
    if given.present.size == 1:
        return given.smaller()
    return float(REGISTRY["matthews_corrcoef"](given.counts, zero_division=0.0)[0])


@drop_in("sklearn.metrics.class_likelihood_ratios")
def class_likelihood_ratios(
    y_true: Any, y_pred: Any, *, labels: Any = None, sample_weight: Any = None, replace_undefined_by: Any = np.nan
) -> Any:
    """Counted here: columns of two labels, with or without weights."""
    given = columns(y_true, y_pred, sample_weight)
    where = given.chosen(labels)
    if given.multiclass or given.present.size < 2 or (where is not None and (where.size != 2 or (where < 0).any())):
        raise NotCovered("other than two labels")
    tn, fp, fn, tp = given.selected(where).ravel().tolist()
    if (
        replace_undefined_by is not np.nan and type(replace_undefined_by) is not dict
    ):  # nor is any other NaN allowed there
        raise NotCovered("replace_undefined_by= that is not known")
    if type(replace_undefined_by) is dict or not (tp + fn and tn and fp):
        return given.smaller(labels=labels, replace_undefined_by=replace_undefined_by)
    return tp * (tn + fp) / (fp * (tp + fn)), fn * (tn + fp) / (tn * (tp + fn))
