"""MMSegmentation: what `IoUMetric` counts of an image, and how it adds up images."""

from __future__ import annotations

from typing import Any

import torch
from mmseg.evaluation.metrics import IoUMetric

from fastseg.adapters.calls import attempt
from fastseg.adapters.mmseg import areas, totals
from fastseg.patch.swaps import Step

__all__ = ["STEPS"]

_count: Any = IoUMetric.intersect_and_union
_sum: Any = IoUMetric.compute_metrics


def _intersect_and_union(pred_label: Any, label: Any, num_classes: int, ignore_index: int) -> Any:
    return attempt("mmseg.IoUMetric", areas, _count, pred_label, label, num_classes, ignore_index)


def _compute_metrics(self: Any, results: list[Any]) -> Any:
    return _sum(self, results if self.format_only else totals(results))


STEPS = [
    Step(_count, _intersect_and_union, torch.compiler.is_compiling),  # what PyTorch compiles is the host's own
    Step(_sum, _compute_metrics),
]
