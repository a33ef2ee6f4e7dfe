"""Scores of classes and their means: precision, recall, F and Jaccard's index."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastseg.adapters.calls import NotCovered, drop_in
from fastseg.adapters.sklearn.targets import Columns, Indicators, Places, targets
from fastseg.metrics.registry import REGISTRY

__all__ = [
    "PRF",
    "Averaged",
    "averaged",
    "f1_score",
    "fbeta_score",
    "jaccard_score",
    "precision_recall_fscore_support",
    "precision_score",
    "recall_score",
]

Array = npt.NDArray[Any]
#: Metrics of the registry, each with its own parameters.
Metrics = Sequence[tuple[str, dict[str, Any]]]

#: What a report is made of.
PRF: Metrics = [("precision", {}), ("recall", {}), ("dice", {})]
_AVERAGES = (None, "binary", "micro", "macro", "weighted", "samples")


@dataclass(frozen=True)
class Averaged:
    """Scores of some metrics under one kind of average."""

    values: list[Any]
    """For each metric a float, or of no average (K,) float64."""
    support: Array | None
    """(K,) of no average."""
    undefined: bool
    """Whether 0/0 is among them."""


def averaged(
    given: Columns | Indicators, where: Places | None, average: str | None, metrics: Metrics, zero_division: Any
) -> Averaged:
    """Return the scores of the labels at some places, averaged as scikit-learn does it."""
    if isinstance(zero_division, str):
        known = zero_division == "warn"
    else:
        known = isinstance(zero_division, int | float) and (zero_division in (0, 1) or zero_division != zero_division)
    if not known:
        raise NotCovered("zero_division= that is not known")
    if average == "samples" and isinstance(given, Columns):
        raise NotCovered("average='samples' of columns")
    binary = given.samples(where) if average == "samples" and isinstance(given, Indicators) else given.binary(where)
    if average == "micro":
        binary = binary.summed()
    true = (binary.tp + binary.fn)[0]
    weights = {"weighted": true, "samples": given.weight}.get(str(average))
    fill = 0.0 if zero_division == "warn" else float(zero_division)
    values, undefined = [], False
    for name, parameters in metrics:
        numerator, denominator = (part[0] for part in REGISTRY[name].function(binary, **parameters))
        defined = denominator != 0
        undefined = undefined or not defined.all()
        scores = np.divide(numerator, denominator, out=np.full(defined.shape, fill), where=defined)
        values.append(scores if average is None else _mean(scores, weights))
    return Averaged(values, true if average is None else None, undefined)


def _mean(values: Array, weights: Array | None) -> float:
    """Return the mean of what is not NaN; weights that are all 0 are none."""
    known = ~np.isnan(values)
    if not known.any():
        return float("nan")
    if weights is None or not weights[known].any():
        return float(np.mean(values[known]))
    return float(np.average(values[known], weights=weights[known]))


def _scores(
    y_true: Any,
    y_pred: Any,
    metrics: Metrics,
    *,
    sample_weight: Any,
    labels: Any,
    pos_label: Any,
    average: Any,
    zero_division: Any,
    **options: Any,
) -> Any:
    """Return the scores of one metric, or of several with the support, or what the host is to be asked for its warnings."""
    if not (average is None or type(average) is str) or average not in _AVERAGES:
        raise NotCovered("average= that is not known")
    if not (pos_label is None or isinstance(pos_label, int | float | str)):
        raise NotCovered("pos_label= of another kind")
    given = targets(y_true, y_pred, sample_weight)
    where = given.positive(pos_label) if average == "binary" else given.chosen(labels)
    found = averaged(given, where, average, metrics, zero_division)
    value = found.values[0] if len(metrics) == 1 else (*found.values, found.support)
    ignored = average != "binary" and pos_label not in (None, 1)
    if not ignored and not (found.undefined and zero_division == "warn"):
        return value
    options |= {"labels": labels, "pos_label": pos_label, "average": average, "zero_division": zero_division}
    return given.smaller(value, **options)


def _f(beta: Any) -> tuple[str, dict[str, Any]]:
    """Return the metric that F is."""
    if not isinstance(beta, int | float) or not beta >= 0:
        raise NotCovered("beta= that is not known")
    return ("recall", {}) if beta == float("inf") else ("fbeta", {"beta": beta})


def _score(metric: str, *, nan: bool = True) -> Callable[..., Any]:
    """Return the fast path of one metric; `nan` says whether `zero_division` may be NaN."""

    def score(
        y_true: Any,
        y_pred: Any,
        *,
        labels: Any = None,
        pos_label: Any = 1,
        average: Any = "binary",
        sample_weight: Any = None,
        zero_division: Any = "warn",
    ) -> Any:
        """Counted here: columns of labels and dense indicators, with or without weights."""
        if not nan and zero_division != zero_division:
            raise NotCovered("zero_division= that is not known")
        return _scores(
            y_true,
            y_pred,
            [(metric, {})],
            labels=labels,
            pos_label=pos_label,
            average=average,
            sample_weight=sample_weight,
            zero_division=zero_division,
        )

    return score


f1_score = drop_in("sklearn.metrics.f1_score", metric="dice")(_score("dice"))
jaccard_score = drop_in("sklearn.metrics.jaccard_score", metric="iou")(_score("iou", nan=False))
precision_score = drop_in("sklearn.metrics.precision_score", metric="precision")(_score("precision"))
recall_score = drop_in("sklearn.metrics.recall_score", metric="recall")(_score("recall"))


@drop_in("sklearn.metrics.fbeta_score", metric="fbeta")
def fbeta_score(
    y_true: Any,
    y_pred: Any,
    *,
    beta: Any,
    labels: Any = None,
    pos_label: Any = 1,
    average: Any = "binary",
    sample_weight: Any = None,
    zero_division: Any = "warn",
) -> Any:
    """Counted here: columns of labels and dense indicators, with or without weights."""
    return _scores(
        y_true,
        y_pred,
        [_f(beta)],
        beta=beta,
        labels=labels,
        pos_label=pos_label,
        average=average,
        sample_weight=sample_weight,
        zero_division=zero_division,
    )


@drop_in("sklearn.metrics.precision_recall_fscore_support")
def precision_recall_fscore_support(
    y_true: Any,
    y_pred: Any,
    *,
    beta: Any = 1.0,
    labels: Any = None,
    pos_label: Any = 1,
    average: Any = None,
    warn_for: Any = ("precision", "recall", "f-score"),
    sample_weight: Any = None,
    zero_division: Any = "warn",
) -> Any:
    """Counted here: columns of labels and dense indicators, with or without weights."""
    if type(warn_for) not in (list, tuple, set):
        raise NotCovered("warn_for= that is not known")
    return _scores(
        y_true,
        y_pred,
        [*PRF[:2], _f(beta)],
        beta=beta,
        warn_for=warn_for,
        labels=labels,
        pos_label=pos_label,
        average=average,
        sample_weight=sample_weight,
        zero_division=zero_division,
    )
