"""The functions that MONAI's metrics lead to: those that take one-hot maps, and the helper that all Dice scores come from."""

from __future__ import annotations

from typing import Any

import torch
from monai.metrics import DiceHelper

import fastseg.adapters.monai as ours
from fastseg.adapters.calls import NotCovered, attempt
from fastseg.patch.swaps import Step, steps_of_rows

__all__ = ["STEPS"]

_theirs: Any = DiceHelper.__call__


def _dice(self: Any, y_pred: Any, y: Any) -> Any:
    return attempt("monai.DiceHelper", _counted_dice, _theirs, self, y_pred, y)


def _counted_dice(self: Any, y_pred: Any, y: Any) -> Any:
    if type(self) is not DiceHelper:
        raise NotCovered("a class made of DiceHelper")  # of which we do not know what it does otherwise
    return ours.DiceHelper._fast(self, y_pred, y)


# What PyTorch compiles is the host's own.
STEPS = [
    *steps_of_rows("monai", torch.compiler.is_compiling),
    Step(_theirs, _dice, torch.compiler.is_compiling),
]
