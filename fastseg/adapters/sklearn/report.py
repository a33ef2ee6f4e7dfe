"""The table of scores of all classes."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fastseg.adapters.calls import NotCovered, drop_in
from fastseg.adapters.sklearn.columns import as_array
from fastseg.adapters.sklearn.scores import PRF, averaged
from fastseg.adapters.sklearn.targets import Columns, Indicators, Places, targets

__all__ = ["classification_report"]

Array = npt.NDArray[Any]
_HEADERS = ("precision", "recall", "f1-score", "support")


@drop_in("sklearn.metrics.classification_report")
def classification_report(
    y_true: Any,
    y_pred: Any,
    *,
    labels: Any = None,
    target_names: Any = None,
    sample_weight: Any = None,
    digits: int = 2,
    output_dict: bool = False,
    zero_division: Any = "warn",
) -> Any:
    """Counted here, and once: columns of labels and dense indicators, with or without weights."""
    if type(digits) is not int or digits < 0 or type(output_dict) is not bool:
        raise NotCovered("digits= or output_dict= that is not known")
    given = targets(y_true, y_pred, sample_weight)
    if not output_dict and given.weight is not None and given.weight.dtype.kind == "f":
        raise NotCovered("a text of weights, with all their digits")  # which depend on the order of their sums
    where = given.chosen(labels)
    names = _names(given, labels, target_names)
    classes = averaged(given, where, None, PRF, zero_division)
    assert classes.support is not None
    rows = list(zip(names, *classes.values, classes.support, strict=True))
    undefined = classes.undefined
    for average in ("micro", "macro", "weighted", "samples")[: 4 if given.multilabel else 3]:
        means = averaged(given, where, average, PRF, zero_division)
        undefined = undefined or means.undefined
        heading = "accuracy" if average == "micro" and _everything(given, where) else f"{average} avg"
        rows.append((heading, *means.values, np.sum(classes.support)))
    value = _as_dict(rows) if output_dict else _as_text(rows, len(names), digits)
    if not (undefined and zero_division == "warn"):
        return value
    if isinstance(given, Indicators):
        raise NotCovered("samples without labels, where scikit-learn has something to say")
    options = {"labels": labels, "target_names": target_names, "zero_division": zero_division}
    return given.smaller(value, **options)


def _everything(given: Columns | Indicators, where: Places | None) -> bool:
    """Tell whether all labels that occur are in the table, so that the micro average is the accuracy."""
    return not given.multilabel and (where is None or set(range(given.present.size)) <= set(where.tolist()))


def _names(given: Columns | Indicators, labels: Any, target_names: Any) -> list[str]:
    if labels is None:
        shown = given.present
        if isinstance(given, Columns) and given.words is None:
            true, pred = given.dtypes
            if true.kind != pred.kind and target_names is None:
                raise NotCovered("labels of two kinds")
            shown = shown.astype(true)
    else:
        shown = as_array(labels)
    if target_names is None:
        return [str(label) for label in shown]
    if not isinstance(target_names, list | tuple | np.ndarray) or len(target_names) != len(shown):
        raise NotCovered("target_names= of another number")
    if not all(isinstance(name, str) for name in target_names):
        raise NotCovered("target_names= that are no text")
    return list(target_names)


def _as_dict(rows: list[Any]) -> dict[str, Any]:
    found: dict[str, Any] = {name: dict(zip(_HEADERS, map(float, values), strict=True)) for name, *values in rows}
    if "accuracy" in found:
        found["accuracy"] = found["accuracy"]["precision"]
    return found


def _as_text(rows: list[Any], classes: int, digits: int) -> str:
    width = max(digits, *(len(row[0]) for row in rows[:classes]), len("weighted avg"))

    def line(name: str, *cells: str) -> str:
        return f"{name:>{width}} " + "".join(f" {cell:>9}" for cell in cells)

    lines = [line("", *_HEADERS), ""]
    for n, (name, *scores, support) in enumerate(rows):
        if n == classes:
            lines.append("")
        cells = [f"{score:.{digits}f}" for score in scores]
        if n == classes and name == "accuracy":
            cells[:2] = "", ""
        lines.append(line(name, *cells, str(support)))
    return "\n".join(lines) + "\n"
