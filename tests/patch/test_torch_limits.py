"""What patching torchmetrics and MONAI cannot reach: a test for each line of the guide's list that the others have not."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

import fastseg
from fastseg.adapters import report

pytestmark = pytest.mark.torch


def assert_not_reached(host: str, call: Any) -> None:
    before = report()
    with fastseg.patch(host):
        call()
    assert report() == before


def test_metrics_that_keep_lists_of_scores() -> None:
    import torch

    metric = importlib.import_module("torchmetrics.classification").MulticlassCalibrationError(3)
    scores = torch.rand(30, 3, generator=torch.Generator().manual_seed(1)).softmax(1)

    def life() -> None:
        metric.update(scores, torch.arange(30) % 3)
        metric.compute()

    assert_not_reached("torchmetrics", life)


def test_losses() -> None:
    import torch

    loss = importlib.import_module("monai.losses").DiceLoss(sigmoid=True)
    scores = torch.randn(2, 1, 9, 9, generator=torch.Generator().manual_seed(2))
    assert_not_reached("monai", lambda: loss(scores, (scores > 0).float()))
