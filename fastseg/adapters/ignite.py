"""The drop-in for Ignite's `ConfusionMatrix`; what Ignite makes of one, such as `mIoU`, is its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastseg.adapters.calls import NotCovered, attempt, counted, drop_in_class
from fastseg.adapters.hosts import load
from fastseg.api.encoding import argmax_labels
from fastseg.api.labels import count_labels

load("ignite")  # or say what to install

import torch  # noqa: E402
from ignite.metrics import (  # noqa: E402
    ConfusionMatrix as _ConfusionMatrix,
    DiceCoefficient,
    IoU,
    JaccardIndex,
    mIoU,
)
from ignite.metrics.confusion_matrix import cmAccuracy, cmPrecision, cmRecall  # noqa: E402
from ignite.metrics.metric import reinit__is_reduced  # noqa: E402

from fastseg.adapters.devices import check_tensors, memory_of  # noqa: E402
from fastseg.adapters.most_probable import count_largest  # noqa: E402

__all__ = [
    "ConfusionMatrix",
    "DiceCoefficient",
    "IoU",
    "JaccardIndex",
    "cmAccuracy",
    "cmPrecision",
    "cmRecall",
    "mIoU",
]

#: Scores below which PyTorch has counted a batch before ours has begun.
_FEW = 1 << 14
_LABELS = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


@drop_in_class("ignite.metrics.ConfusionMatrix")
class ConfusionMatrix(_ConfusionMatrix):
    """Counted here: scores of the CPU or a GPU, of some thousand values, and true labels that are integers.

    Scores with NaN are counted on a GPU alone.
    """

    @reinit__is_reduced
    def update(self, output: Sequence[Any]) -> None:
        """Add a batch of scores (B, K, …) and true labels (B, …); those outside 0..K-1 are not looked at."""
        attempt("ignite.ConfusionMatrix", self._fast_update, super().update, output)

    def _fast_update(self, output: Sequence[Any]) -> None:
        self._check_shape(output)
        scores, labels = output[0].detach(), output[1].detach()
        check_tensors(scores, labels)
        if labels.dtype not in _LABELS or scores.dtype is torch.bool or scores.numel() < _FEW:
            raise NotCovered("few scores, or labels that are no integers")
        matrix = counted(_on_gpu if scores.is_cuda else _on_cpu, scores, labels, self.num_classes)
        self.confusion_matrix += torch.from_numpy(matrix).to(self.confusion_matrix)
        self._num_examples += scores.shape[0]


def _on_cpu(scores: Any, labels: Any, num_classes: int) -> Any:
    """Return the confusion matrix of voxels whose true labels are classes."""
    counts = count_labels(memory_of(labels), argmax_labels(scores, channel_axis=1))
    among = (counts.labels >= 0) & (counts.labels < num_classes)
    where = counts.labels[among]
    matrix = np.zeros((num_classes, num_classes), np.int64)
    matrix[np.ix_(where, where)] = counts.matrix[0][np.ix_(among, among)]
    return matrix


def _on_gpu(scores: Any, labels: Any, num_classes: int) -> Any:
    """Return what `_on_cpu` does; which labels are classes PyTorch finds where they lie."""
    inside = (labels >= 0) & (labels < num_classes)
    found = count_largest(labels, scores, mask=inside)
    if found is None:
        found = count_labels(labels, scores.argmax(1), num_classes=num_classes, mask=inside)
    return found.matrix[0].copy()
