"""The largest of scores on a GPU, counted beside labels in one read of both."""

from __future__ import annotations

from typing import Any

import torch

from fastseg.adapters.calls import NotCovered, counted
from fastseg.api.scores import sum_scores
from fastseg.counts import LabelCounts

__all__ = ["count_largest"]

_FLOATS = (torch.float16, torch.bfloat16, torch.float32)


def count_largest(true: Any, scores: Any, **options: Any) -> LabelCounts | None:
    """Return counts of labels (N, ...) and of the classes whose scores (N, C, ...) are largest, two tensors of a GPU.

    None where it is PyTorch's to say which they are, or somebody else's to refuse the labels: scores of 64 bits, with NaN or
    infinite ones, or of too many classes.

    Parameters
    ----------
    **options
        Of `fastseg.sum_scores`.
    """
    if scores.dtype not in _FLOATS or scores.shape[1] < 2:
        return None

    def largest() -> LabelCounts:
        sums = sum_scores(true, scores, channel_axis=1, activation="softmax", quantities="argmax", **options)
        found = sums.argmax_counts  # which waits for it
        assert found is not None
        return found

    try:
        return counted(largest)
    except NotCovered:
        return None
