"""Hugging Face's `evaluate`: what its metric `mean_iou` counts, whose module is fetched when it is loaded."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Mapping
from types import FunctionType, MethodType
from typing import Any

import numpy as np
from evaluate import EvaluationModule

from fastseg.adapters.calls import NotCovered, attempt, counted
from fastseg.adapters.huggingface import areas_of_classes
from fastseg.api.labels import count_labels
from fastseg.counts import LabelCounts
from fastseg.patch.swaps import Step

__all__ = ["STEPS"]

#: Comes right before a metric is computed; `compute` itself is copied for each metric when it is loaded.
_theirs: Any = EvaluationModule._finalize
#: The function of that module where the areas of all maps are added up, and its parameters.
_COUNTING = "total_intersect_and_union"
_PARAMETERS = ["results", "gt_seg_maps", "num_labels", "ignore_index", "label_map", "reduce_labels"]


def _finalize(self: Any) -> None:
    _theirs(self)
    if self.process_id == 0 and _is_mean_iou(self):
        self._compute = MethodType(_compute, self)


def _compute(self: Any, **kwargs: Any) -> Any:
    """Do what the metric's own does, with our counting; once."""
    del self._compute
    names = _names(self)
    theirs = names[_COUNTING]

    def counting(*args: Any, **kwargs: Any) -> Any:
        return attempt("huggingface.mean_iou", _total, theirs, *args, **kwargs)

    scores = _copy(names["mean_iou"], {**names, _COUNTING: counting})
    return _copy(type(self)._compute, {**names, "mean_iou": scores})(self, **kwargs)


def _is_mean_iou(metric: Any) -> bool:
    names = _names(metric)
    functions = [names.get("mean_iou"), names.get(_COUNTING), vars(type(metric)).get("_compute")]
    return (
        type(metric).__name__ == "MeanIoU"
        and all(isinstance(each, FunctionType) and not each.__closure__ for each in functions)
        and list(inspect.signature(names[_COUNTING]).parameters) == _PARAMETERS
        and _COUNTING in names["mean_iou"].__code__.co_names
        and "mean_iou" in type(metric)._compute.__code__.co_names
    )


def _names(metric: Any) -> Mapping[str, Any]:
    return vars(sys.modules[type(metric).__module__])


def _copy(function: Any, names: dict[str, Any]) -> FunctionType:
    """Return a function with the same code, that looks up other names."""
    return FunctionType(function.__code__, names, function.__name__, function.__defaults__)


def _total(
    results: Any,
    gt_seg_maps: Any,
    num_labels: Any,
    ignore_index: Any,
    label_map: Any = None,
    reduce_labels: Any = False,
) -> tuple[Any, ...]:
    """Return the areas of intersection, union, prediction and truth of each class in all maps, (K,) float64."""
    if type(num_labels) is not int or not (ignore_index is None or type(ignore_index) is int):
        raise NotCovered("options that are no integers")
    renamed = {} if label_map is None else label_map
    if not isinstance(renamed, dict) or any(type(each) is not int for each in (*renamed, *renamed.values())):
        raise NotCovered("label_map that is no dictionary of integers")
    counts = LabelCounts.zeros()
    for result, truth in zip(map(np.asarray, results), map(np.asarray, gt_seg_maps), strict=False):
        if result.dtype.kind not in "iu" or truth.dtype.kind not in "iu" or result.shape != truth.shape:
            raise NotCovered("maps that are not of integers, or of unlike shapes")
        info = np.iinfo(truth.dtype)
        if any(not info.min <= each <= info.max for each in (*renamed.values(), 255 if reduce_labels else 0)):
            raise NotCovered("labels that the references cannot hold")
        counts = counts.merge(counted(count_labels, truth, result))
    both, pred, true = counted(areas_of_classes, counts, num_labels, ignore_index, renamed, bool(reduce_labels))
    return tuple(each.astype(np.float64) for each in (both, pred + true - both, pred, true))


STEPS = [Step(_theirs, _finalize)]
