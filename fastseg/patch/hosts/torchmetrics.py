"""The functions of torchmetrics, and `update` of what its metrics of classification and segmentation are made of."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from types import FunctionType
from typing import Any

import torch
from torchmetrics import classification, segmentation

import fastseg.adapters.torchmetrics  # noqa: F401 — its rows
from fastseg.adapters.calls import attempt
from fastseg.adapters.torchmetrics.functions import with_steps
from fastseg.adapters.torchmetrics.segmentation import FORMATS
from fastseg.adapters.torchmetrics.steps import STEPS as COUNTING
from fastseg.patch.swaps import Step, steps_of_rows

__all__ = ["STEPS"]


def _update(metric: type, counting: Mapping[str, Callable[..., Any]]) -> Step:
    """Return the step for a class's `update`: the host's own, that finds other functions by the names that it looks up."""
    theirs: Any = metric.__dict__["update"]
    names = vars(sys.modules[metric.__module__])
    fast = FunctionType(theirs.__code__, {**names, **{name: ours for name, ours in counting.items() if name in names}})

    def ours(self: Any, *args: Any, **kwargs: Any) -> None:
        attempt(f"torchmetrics.{type(self).__name__}", fast, theirs, self, *args, **kwargs)

    return Step(theirs, ours, torch.compiler.is_compiling)


def _of_segmentation(metric: str, function: str) -> Step:
    theirs = getattr(segmentation, metric)
    update = f"_{function}_update"
    steps = {"_segmentation_inputs_format": FORMATS[metric]}
    return _update(theirs, {update: with_steps(vars(sys.modules[theirs.__module__])[update], steps)})


STEPS = [
    # What PyTorch compiles is the host's own.
    *steps_of_rows("torchmetrics", torch.compiler.is_compiling),
    *(
        _update(getattr(classification, f"{task}{kind}"), COUNTING)
        for task in ("Binary", "Multiclass", "Multilabel")
        for kind in ("ConfusionMatrix", "StatScores")
    ),
    _of_segmentation("DiceScore", "dice_score"),
    _of_segmentation("GeneralizedDiceScore", "generalized_dice"),
    _of_segmentation("MeanIoU", "mean_iou"),
]
