"""Ignite: `ConfusionMatrix.update`, of whose matrix IoU, mIoU, the Dice coefficient and others are made."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from ignite.metrics import ConfusionMatrix

import fastseg.adapters.ignite as ours
from fastseg.adapters.calls import attempt
from fastseg.patch.swaps import Step

__all__ = ["STEPS"]

#: Within the decorator that notes that the matrix is no more the sum over processes.
_theirs: Any = inspect.unwrap(ConfusionMatrix.update)


def _update(self: Any, output: Any) -> None:
    attempt("ignite.ConfusionMatrix", ours.ConfusionMatrix._fast_update, _theirs, self, output)


# What PyTorch compiles is the host's own.
STEPS = [Step(_theirs, _update, torch.compiler.is_compiling)]
