"""segmentation-models-pytorch: `get_stats`, of whose counts its scores are functions."""

from __future__ import annotations

import torch

import fastseg.adapters.segmentation_models  # noqa: F401 — its rows
from fastseg.patch.swaps import steps_of_rows

__all__ = ["STEPS"]

# What PyTorch compiles is the host's own.
STEPS = steps_of_rows("segmentation_models", torch.compiler.is_compiling)
