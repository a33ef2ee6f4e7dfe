"""The drop-in for MMSegmentation's `IoUMetric`, which configurations name ``FastsegIoUMetric``.

Import this module where the registry is to know it, as by ``custom_imports = dict(imports=["fastseg.adapters.mmseg"])``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastseg.adapters.calls import NotCovered, attempt, counted, drop_in_class
from fastseg.adapters.hosts import load
from fastseg.api.labels import count_each_label
from fastseg.counts import LabelCounts

load("mmseg")  # or say what to install

import torch  # noqa: E402
from mmseg.evaluation.metrics import IoUMetric as _IoUMetric  # noqa: E402
from mmseg.registry import METRICS  # noqa: E402

from fastseg.adapters.devices import check_tensors, memory_of  # noqa: E402

__all__ = ["IoUMetric"]

_LABELS = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


@METRICS.register_module(name="FastsegIoUMetric", force=True)
@drop_in_class("mmseg.evaluation.metrics.IoUMetric", metric="iou")
class IoUMetric(_IoUMetric):
    """Counted here: tensors of integers on the CPU or a GPU, whose labels are classes or ignored.

    Areas are as exact as 32-bit floats hold them: those of an image do not stop at 16,777,216, as the host's do
    (pytorch#96613), and are added up over images in double precision.
    """

    @staticmethod
    def intersect_and_union(
        pred_label: Any, label: Any, num_classes: int, ignore_index: int
    ) -> tuple[Any, Any, Any, Any]:
        """Return the areas of intersection, union, prediction and truth of each class, (K,) float32."""
        theirs = _IoUMetric.intersect_and_union
        found: tuple[Any, Any, Any, Any] = attempt(
            "mmseg.IoUMetric", areas, theirs, pred_label, label, num_classes, ignore_index
        )
        return found

    def compute_metrics(self, results: list[Any]) -> dict[str, float]:
        """Return the scores of what `process` has added up; print those of each class."""
        metrics: dict[str, float] = super().compute_metrics(results if self.format_only else totals(results))
        return metrics


def areas(pred_label: Any, label: Any, num_classes: int, ignore_index: int) -> tuple[Any, ...]:
    """Return the four areas of each class in an image, or raise NotCovered."""
    check_tensors(pred_label, label)
    if pred_label.dtype not in _LABELS or label.dtype not in _LABELS:
        raise NotCovered("labels that are no integers")
    if pred_label.shape != label.shape or not label.numel():
        raise NotCovered("label maps of unlike shapes, or empty ones")
    if type(num_classes) is not int or num_classes < 2 or type(ignore_index) is not int:
        raise NotCovered("fewer than two classes, or options that are no integers")
    info = torch.iinfo(label.dtype)
    if not info.min <= ignore_index <= info.max:
        raise NotCovered("ignore_index that the labels cannot hold")
    true, pred, both = counted(
        _sums, memory_of(label), memory_of(pred_label), num_classes=num_classes, ignore_index=ignore_index
    )
    return tuple(torch.from_numpy(each.astype(np.float32)) for each in (both, true + pred - both, pred, true))


def _sums(true: Any, pred: Any, **options: Any) -> Any:
    """Return the voxels of each class that are true, predicted, and both."""
    counts = count_each_label(true, pred, **options)
    if isinstance(counts, LabelCounts):
        return [each[0] for each in counts.marginals]
    both = counts.tp[0]
    return both + counts.fn[0], both + counts.fp[0], both


def totals(results: list[Any]) -> list[Any]:
    """Return the areas of images added up in double precision, as those of one image; what are no tensors, as it is."""
    if not results or any(type(each) is not torch.Tensor for areas_of_one in results for each in areas_of_one):
        return results
    return [tuple(torch.stack(each).to(torch.float64).sum(0).to(each[0].dtype) for each in zip(*results, strict=True))]
