"""`summary.json` as nnU-Net writes it, for the programs that read nnU-Net's.

Its convention is nnU-Net's own, whatever the run's is: Dice and IoU of a class that is in neither map are NaN, means over
cases leave NaN out, and the foreground mean is the plain mean over classes of these. Label 0 is not among the classes. A
missing prediction that is taken as the worst counts as a map of nothing: misses alone, and Dice and IoU of 0.

References
----------
nnU-Net, nnunetv2/evaluation/evaluate_predictions.py: `compute_metrics_on_folder`, `save_summary_json`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import repeat
from typing import Any

import numpy as np
import numpy.typing as npt

from fastseg.metrics.arithmetic import nan_mean
from fastseg.runs.results.classes import ReportedClass
from fastseg.runs.results.numbers import RunNumbers

__all__ = ["summary"]

_METRICS = ("Dice", "FN", "FP", "IoU", "TN", "TP", "n_pred", "n_ref")


def summary(run: RunNumbers) -> bytes:
    """Return the counted cases of a run as nnU-Net's ``summary.json``.

    Returns
    -------
    data : bytes
        JSON with the token NaN, as nnU-Net writes it. ``metric_per_case`` has for each case ``reference_file``,
        ``prediction_file`` (empty where there is none) and ``metrics``: by class ``Dice``, ``IoU``, and in voxels ``TP``,
        ``FP``, ``FN``, ``TN``, ``n_pred``, ``n_ref``. ``mean`` has the same by class, ``foreground_mean`` for all.

    Notes
    -----
    A class is named by its label or by the tuple of a region's labels, as text; a region of one label by that label, since
    nnU-Net's own reader stops at "(1,)". A mask is named by its name, which nnU-Net's reader takes for no label.
    """
    values = _values(run)
    keys: dict[str, int] = {}
    for place, each in enumerate(run.classes):
        if each.labels != (0,):
            keys.setdefault(_key(each), place)
    # Python's encoder takes a second for a million numbers with indentation: one template has all of a case.
    columns = [_cells(values[name][:, keys[key]]) for key in sorted(keys) for name in _METRICS]
    numbers = zip(*columns, strict=True) if columns else repeat(())
    metrics = _metrics(sorted(keys))
    cases = [
        _CASE % (metrics % row, json.dumps(record.prediction or ""), json.dumps(record.reference))
        for record, row in zip(run.counted, numbers, strict=False)
    ]
    mean: dict[str, dict[str, float]] = {}
    if cases:
        # Column by column and contiguous, so that NumPy adds in the order in which it does for nnU-Net.
        mean = {
            key: {name: float(nan_mean(np.ascontiguousarray(values[name][:, place]), 0)) for name in _METRICS}
            for key, place in keys.items()
        }
    nan = float("nan")
    foreground = {name: float(np.mean([means[name] for means in mean.values()])) if mean else nan for name in _METRICS}
    result = {"foreground_mean": foreground, "mean": mean, "metric_per_case": []}
    text = json.dumps(result, sort_keys=True, indent=4)
    if cases:
        text = text.removesuffix("[]\n}") + "[\n" + ",\n".join(cases) + "\n    ]\n}"
    return text.encode("ascii")


def _key(each: ReportedClass) -> str:
    if isinstance(each.key, str):
        return each.key
    return str(each.labels[0] if len(each.labels) == 1 else each.labels)


#: A case, indented as `json` does it.
_CASE = """\
        {
            "metrics": %s,
            "prediction_file": %s,
            "reference_file": %s
        }"""


def _metrics(keys: Sequence[str]) -> str:
    """Return the template of the metrics of a case, likewise: a place for each metric of each class."""
    if not keys:
        return "{}"
    numbers = "{" + ",".join(f'\n{" " * 20}"{name}": %s' for name in _METRICS) + "\n" + " " * 16 + "}"
    classes = (f"\n{' ' * 16}{json.dumps(key).replace('%', '%%')}: {numbers}" for key in keys)
    return "{" + ",".join(classes) + "\n" + " " * 12 + "}"


def _cells(column: npt.NDArray[Any]) -> list[Any]:
    """Return numbers that are, as text, what JSON has."""
    numbers: list[Any] = column.tolist()
    for n in np.isnan(column).nonzero()[0].tolist():
        numbers[n] = "NaN"
    return numbers


def _values(run: RunNumbers) -> dict[str, npt.NDArray[Any]]:
    """Return (N, C) arrays: int64 voxels, and Dice and IoU, NaN where a class is in neither map."""
    tp, fp, fn, tn = run.binary.tp, run.binary.fp, run.binary.fn, run.binary.tn
    either = tp + fp + fn
    empty = either == 0
    dice = np.where(empty, np.nan, 2 * tp / np.where(empty, 1, 2 * tp + fp + fn))
    iou = np.where(empty, np.nan, tp / np.where(empty, 1, either))
    voxels = {"TP": tp, "FP": fp, "FN": fn, "TN": tn, "n_pred": tp + fp, "n_ref": tp + fn}
    return {"Dice": dice, "IoU": iou, **voxels}
