"""Metrics in a collection: those that may share their counts do, and no others."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

pytestmark = pytest.mark.torch


def collection(metrics: dict[str, tuple[str, dict[str, Any]]]) -> Any:
    """Return a collection of ours, by name, class and options."""
    ours = importlib.import_module("fastseg.adapters.torchmetrics")
    collections = importlib.import_module("torchmetrics")
    return collections.MetricCollection(
        {name: getattr(ours, kind)(**options) for name, (kind, options) in metrics.items()}
    )


def test_eight_metrics_are_counted_once() -> None:
    import torch

    options = {"num_classes": 3}
    micro = {"num_classes": 3, "average": "micro"}
    together = collection(
        {
            "accuracy": ("MulticlassAccuracy", micro),
            "f1": ("MulticlassF1Score", options),
            "jaccard": ("MulticlassJaccardIndex", options),
            "kappa": ("MulticlassCohenKappa", options),
            "matrix": ("MulticlassConfusionMatrix", options),
            "mcc": ("MulticlassMatthewsCorrCoef", options),
            "precision": ("MulticlassPrecision", options),
            "recall": ("MulticlassRecall", options),
        }
    )
    alone = {name: metric.clone() for name, metric in together.items()}
    for seed in range(3):
        preds, target = torch.randint(0, 3, (2, 40), generator=torch.Generator().manual_seed(seed))
        together.update(preds, target)
        for metric in alone.values():
            metric.update(preds, target)
    assert len(together.compute_groups) == 1
    found = together.compute()
    for name, metric in alone.items():
        assert torch.equal(found[name], metric.compute())


@pytest.mark.parametrize(
    ("kind", "options", "others"),
    [
        ("MulticlassConfusionMatrix", {"num_classes": 3}, {"ignore_index": 2}),
        ("MulticlassRecall", {"num_classes": 3}, {"ignore_index": 2}),
        ("MulticlassRecall", {"num_classes": 3, "average": "micro"}, {"ignore_index": 2}),
        ("MulticlassRecall", {"num_classes": 300}, {"ignore_index": 2}),
        ("MulticlassRecall", {"num_classes": 3, "multidim_average": "samplewise"}, {"ignore_index": 2}),
        ("DiceScore", {"num_classes": 3, "input_format": "index"}, {"include_background": False}),
        ("MeanIoU", {"num_classes": 3, "input_format": "index"}, {"include_background": False}),
        ("GeneralizedDiceScore", {"num_classes": 3, "input_format": "index"}, {"weight_type": "linear"}),
    ],
)
def test_what_differs_later_is_not_merged(kind: str, options: dict[str, Any], others: dict[str, Any]) -> None:
    """After a first batch without a voxel that tells them apart, the host merges most of these."""
    import torch

    together = collection({"one": (kind, options), "other": (kind, options | others)})
    alone = [together["one"].clone(), together["other"].clone()]
    first = torch.tensor([[0, 1, 1, 0]])
    later = torch.tensor([[0, 0, 1, 2]]), torch.tensor([[0, 1, 2, 2]])
    for pair in ((first, first), later):
        together.update(*pair)
        for metric in alone:
            metric.update(*pair)
    assert len(together.compute_groups) == 2
    found = together.compute()
    for name, metric in zip(("one", "other"), alone, strict=True):
        torch.testing.assert_close(found[name], metric.compute(), rtol=0, atol=0, equal_nan=True)


def test_thresholds_and_logits_are_part_of_what_is_counted() -> None:
    import torch

    together = collection(
        {
            "at_half": ("BinaryAccuracy", {}),
            "at_more": ("BinaryAccuracy", {"threshold": 0.7}),
            "kept": ("BinaryConfusionMatrix", {"ignore_index": -1}),
            "all": ("BinaryAccuracy", {"ignore_index": -1}),
        }
    )
    together.update(torch.tensor([0.1, 0.9]), torch.tensor([0, 1]))
    assert len(together.compute_groups) == 4


def test_scores_that_take_two_axes_for_other_things_are_not_merged() -> None:
    """For one they are samples of labels, for the other an image."""
    import torch

    options = {"num_classes": 3, "input_format": "index"}
    together = collection({"dice": ("DiceScore", options), "iou": ("MeanIoU", options)})
    labels = torch.arange(24).reshape(1, 2, 12) % 3
    together.update(labels, labels.flip(1))
    assert len(together.compute_groups) == 2
