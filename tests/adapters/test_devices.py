"""Drop-ins of tensors on a GPU: counted there, with the host's results; on tensors of the CPU that only say they lie there."""

from __future__ import annotations

from typing import Any

import pytest
from support.tensors import logits_and_labels, one_hot_of

pytestmark = pytest.mark.torch


@pytest.mark.host("torchmetrics")
def test_metrics_of_torchmetrics(gpu: Any) -> None:
    import torch
    import torchmetrics.classification as classes
    import torchmetrics.functional.classification as functions
    from support.cuda.gpu import PLACE, assert_same_there, here, there

    from fastseg.adapters import torchmetrics as ours

    logits, labels = logits_and_labels()
    labels = labels[:, 0]
    for name, options in (
        ("multiclass_confusion_matrix", {}), ("multiclass_confusion_matrix", {"ignore_index": 2, "normalize": "all"}),
        ("multiclass_jaccard_index", {}), ("multiclass_f1_score", {"average": "micro"}),
        ("multiclass_accuracy", {"average": None, "ignore_index": -1}),
    ):  # fmt: skip
        for pred in (logits, logits.argmax(1)):
            assert_same_there(
                gpu, getattr(functions, name), getattr(ours, name), pred, labels, num_classes=5, **options
            )
    for name in ("MulticlassJaccardIndex", "MulticlassF1Score"):
        metric, other = getattr(ours, name)(num_classes=5).to(PLACE), getattr(classes, name)(num_classes=5)
        for part in (slice(1), slice(1, 2)):
            metric.update(there(logits[part]), there(labels[part]))
            other.update(logits[part], labels[part])
        torch.testing.assert_close(here(metric.compute()), other.compute())


@pytest.mark.host("ignite")
def test_ignite(gpu: Any) -> None:
    """The matrix lies wherever it was asked for, by default on the CPU."""
    import torch
    from ignite.metrics import ConfusionMatrix
    from support.cuda.gpu import FEW, PLACE, here, there

    from fastseg.adapters import ignite as ours

    scores, labels = torch.randn(2, 5, 9, 240), torch.randint(-1, 7, (2, 9, 240))
    scores[0, 3, 4, 5] = torch.nan
    for place in ("cpu", PLACE):
        pair = ours.ConfusionMatrix(5, device=place), ConfusionMatrix(5)
        for part in (scores, scores.flip(1).double()):
            launched = len(gpu.launched)
            pair[0].update((there(part), there(labels)))
            assert len(gpu.launched) > launched
            pair[1].update((part, labels))
        found = pair[0].compute()
        torch.testing.assert_close(here(found) if place is PLACE else found, pair[1].compute(), rtol=0, atol=0)
    assert max(gpu.copied, default=0) <= FEW


@pytest.mark.host("mmseg")
def test_mmseg(gpu: Any) -> None:
    """Its areas lie on the CPU, as the host's."""
    import torch
    from mmseg.evaluation.metrics import IoUMetric
    from support.cuda.gpu import there

    from fastseg.adapters import mmseg as ours

    label, pred = torch.randint(0, 6, (40, 50)), torch.randint(0, 5, (40, 50))
    label[label == 5] = 255
    for kind in (torch.int64, torch.uint8):
        maps = pred.to(kind), label.to(kind)
        wanted = IoUMetric.intersect_and_union(*maps, 5, 255)
        launched = len(gpu.launched)
        found = ours.IoUMetric.intersect_and_union(*map(there, maps), 5, 255)
        assert len(gpu.launched) > launched
        torch.testing.assert_close(found, wanted, rtol=0, atol=0)
    assert not gpu.copied


@pytest.mark.host("segmentation_models")
def test_counts_of_segmentation_models(gpu: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of labels lie on the CPU, as the host's; those of masks beside the masks."""
    import torch
    from segmentation_models_pytorch.metrics import get_stats
    from support.cuda.gpu import assert_same_there, there

    from fastseg.adapters import segmentation_models as ours

    monkeypatch.setattr(f"{ours.get_stats.__module__}._FEW", 0)
    labels, pred = torch.randint(0, 5, (2, 9, 60)), torch.randint(0, 5, (2, 9, 60))
    labels[labels == 4] = -1
    for options in ({"ignore_index": -1}, {}):
        maps = pred, labels if options else labels.abs()
        wanted = get_stats(*maps, mode="multiclass", num_classes=5, **options)
        found = ours.get_stats(*map(there, maps), mode="multiclass", num_classes=5, **options)
        torch.testing.assert_close(found, wanted, rtol=0, atol=0)
    assert len(gpu.launched) == 2
    scores, masks = torch.rand(2, 3, 9, 60), torch.randint(0, 2, (2, 3, 9, 60))
    assert_same_there(gpu, get_stats, ours.get_stats, scores, masks, mode="multilabel", threshold=0.5)
    assert_same_there(gpu, get_stats, ours.get_stats, masks.flip(1), masks, mode="multilabel")
    assert not gpu.copied


@pytest.mark.host("segmentation_models")
@pytest.mark.parametrize("mode", ["binary", "multiclass", pytest.param("multilabel", marks=pytest.mark.slow)])
def test_losses_of_segmentation_models(gpu: Any, mode: str) -> None:
    import torch
    from segmentation_models_pytorch import losses
    from support.cuda.gpu import PLACE, assert_same_there, here, there

    from fastseg.adapters import segmentation_models as ours

    logits, labels = logits_and_labels()
    if mode != "multiclass":
        logits, labels = (logits, one_hot_of(labels).long()) if mode == "multilabel" else (logits[:, :1], labels % 2)
    wanted, found = logits.clone().requires_grad_(), there(logits.clone()).requires_grad_()
    for name, options in (("DiceLoss", {}), ("JaccardLoss", {"log_loss": True}), ("TverskyLoss", {"gamma": 1.5})):
        theirs, own = getattr(losses, name)(mode, **options), getattr(ours, name)(mode, **options)
        assert_same_there(gpu, theirs, own, logits, labels, rtol=1e-5)  # the host's sums are of float32
    assert not gpu.copied
    theirs(wanted, labels).backward()
    own(found, there(labels)).backward()
    assert gpu.launched[-1] == "score_gradient"
    torch.testing.assert_close(here(found.grad), wanted.grad, rtol=1e-4, atol=1e-8)
    if mode == "multiclass":
        weighted, own = (kind.DiceLoss(mode, class_weights=[1.0, 2.0, 0.5, 3.0, 0.1]) for kind in (losses, ours))
        own.class_weights = own.class_weights.to(PLACE)  # by hand: they are no buffer of the host's
        assert_same_there(gpu, weighted, own, logits, labels, rtol=1e-5)


def test_a_trainers_batches(gpu: Any, no_driver: Any) -> None:
    """Logits and references of Hugging Face's Trainer are counted on the GPU, or copied where nothing can be counted there."""
    import torch
    from support.cuda.gpu import there

    from fastseg.adapters.huggingface import SegmentationMetrics, mean_iou

    logits, labels = logits_and_labels()[0], torch.randint(-1, 5, (2, 9, 60)) % 256
    metrics = SegmentationMetrics(5)
    wanted = metrics((logits, labels))
    assert metrics((there(logits), there(labels))) == wanted
    assert gpu.launched
    assert not gpu.copied
    assert metrics((there(logits), labels)) == wanted  # of two places
    assert gpu.copied == [labels.numel()]
    maps = list(logits.argmax(1)), list(labels)
    found = mean_iou(*([there(each) for each in pair] for pair in maps), num_labels=5, ignore_index=255)
    assert found["mean_iou"] == mean_iou(*maps, num_labels=5, ignore_index=255)["mean_iou"] == wanted["mean_iou"]
    no_driver()
    assert metrics((there(logits), there(labels))) == wanted
    assert gpu.copied == [labels.numel()] * 3


@pytest.mark.gpu
@pytest.mark.usefixtures("card")
@pytest.mark.filterwarnings("default")  # those of a GPU machine's libraries are theirs
@pytest.mark.host("torchmetrics")
def test_metrics_of_torchmetrics_on_a_card() -> None:
    import torch
    from torchmetrics import MetricCollection, classification, segmentation

    from fastseg.adapters import torchmetrics as ours

    logits, labels = logits_and_labels()
    labels = labels[:, 0]
    masks = one_hot_of(labels[:, None]).long()
    for names, module, options, pair in (
        (("MulticlassJaccardIndex", "MulticlassF1Score"), classification, {"num_classes": 5}, (logits, labels)),
        (("BinaryF1Score", "BinaryConfusionMatrix"), classification, {}, (logits[:, 0], labels % 2)),
        (("MultilabelRecall", "MultilabelJaccardIndex"), classification, {"num_labels": 5}, (logits, masks)),
        (("DiceScore", "MeanIoU", "GeneralizedDiceScore"), segmentation, {"num_classes": 5}, (logits, masks)),
    ):
        found = MetricCollection({name: getattr(ours, name)(**options) for name in names}).cuda()
        wanted = MetricCollection({name: getattr(module, name)(**options) for name in names})
        for _ in range(2):
            torch.testing.assert_close(
                {name: value.cpu() for name, value in found(*(each.cuda() for each in pair)).items()}, wanted(*pair)
            )
        values = found.compute()
        assert all(each.is_cuda for each in values.values())
        torch.testing.assert_close({name: value.cpu() for name, value in values.items()}, wanted.compute())


@pytest.mark.gpu
@pytest.mark.usefixtures("card")
@pytest.mark.filterwarnings("default")  # those of a GPU machine's libraries are theirs
@pytest.mark.host("ignite")
def test_ignite_on_a_card() -> None:
    import torch
    from ignite.metrics import ConfusionMatrix

    from fastseg.adapters import ignite as ours

    scores, labels = torch.randn(2, 5, 9, 240), torch.randint(-1, 7, (2, 9, 240))
    for place in ("cpu", "cuda"):
        found, wanted = ours.ConfusionMatrix(5, device=place), ConfusionMatrix(5)
        found.update((scores.cuda(), labels.cuda()))
        wanted.update((scores, labels))
        torch.testing.assert_close(found.compute().cpu(), wanted.compute(), rtol=0, atol=0)
