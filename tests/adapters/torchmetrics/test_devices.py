"""Metrics of tensors on a GPU: torchmetrics' of the same tensors on the CPU, counted where they lie."""

from __future__ import annotations

import copy
import inspect
from typing import Any

import pytest

pytestmark = [pytest.mark.torch, pytest.mark.host("torchmetrics")]

#: Of two classes, and of several labels: predictions, and options.
KINDS = {"logits": {}, "probabilities": {"threshold": 0.3}, "labels": {"ignore_index": -1}}
#: A function of each step that counts.
FUNCTIONS = ("confusion_matrix", "stat_scores", "f1_score", "jaccard_index")


def both(module: str, name: str) -> tuple[Any, Any]:
    """Return the host's and ours."""
    import importlib

    return getattr(importlib.import_module(module), name), getattr(
        importlib.import_module("fastseg.adapters.torchmetrics"), name
    )


def given(kind: str, shape: tuple[int, ...] = (3, 4, 9, 30)) -> tuple[Any, Any]:
    """Return predictions and a target of two classes, of which some is -1 beside labels; no channels last."""
    import torch

    torch.manual_seed(0)
    scores, target = torch.randn(shape), torch.randint(0, 2, shape)
    if kind == "labels":
        target[:, :, 0] = -1
    preds = {"logits": scores, "probabilities": scores.sigmoid(), "labels": (scores > 0).long()}[kind]
    return preds.mT.contiguous().mT, target


@pytest.mark.parametrize("task", ["binary", "multilabel"])
@pytest.mark.parametrize("kind", ["logits", "probabilities", pytest.param("labels", marks=pytest.mark.slow)])
def test_two_classes(task: str, kind: str, gpu: Any) -> None:
    from support.cuda.gpu import assert_same_there

    for name in FUNCTIONS:
        functions = both("torchmetrics.functional.classification", f"{task}_{name}")
        options: dict[str, Any] = {"num_labels": 4} if task == "multilabel" else {}
        averages = [{}]
        if "multidim_average" in inspect.signature(functions[0]).parameters:
            averages.append({"multidim_average": "samplewise"})
        for each in averages:
            assert_same_there(gpu, *functions, *given(kind), **options, **KINDS[kind], **each)
    assert not gpu.copied


@pytest.mark.slow
def test_each_sample_of_several_classes(gpu: Any) -> None:
    import torch
    from support.cuda.gpu import assert_same_there

    functions = both("torchmetrics.functional.classification", "multiclass_recall")
    scores, target = torch.randn(3, 5, 9, 30), torch.randint(0, 5, (3, 9, 30))
    for options in ({}, {"ignore_index": 2, "average": "none"}):
        assert_same_there(gpu, *functions, scores, target, 5, multidim_average="samplewise", **options)


def test_scores_of_several_classes_are_read_once(gpu: Any) -> None:
    """With NaN among them it is PyTorch's to say which is the largest: the first NaN."""
    import torch
    from support.cuda.gpu import assert_same_there

    functions = both("torchmetrics.functional.classification", "multiclass_confusion_matrix")
    scores, target = torch.randn(2, 5, 9, 60).round(), torch.randint(0, 5, (2, 9, 60))
    target[:, 0] = -1
    assert_same_there(gpu, *functions, scores, target, 5, ignore_index=-1)
    assert "joint_histogram" not in gpu.launched
    scores[0, 2, 3, 4] = torch.nan
    assert_same_there(gpu, *functions, scores, target, 5, ignore_index=-1)
    assert gpu.launched[-1] == "joint_histogram"


@pytest.mark.parametrize("name", ["BinaryF1Score", "MultilabelAccuracy", "BinaryConfusionMatrix"])
def test_a_metric_on_the_gpu(name: str, gpu: Any) -> None:
    """Its state lies there, and goes where it goes: copied, brought to the CPU and back, saved and loaded."""
    import torch
    from support.cuda.gpu import FEW, PLACE, here, there

    kinds = both("torchmetrics.classification", name)
    theirs, ours = (kind(4) if name.startswith("Multilabel") else kind() for kind in kinds)
    ours = ours.to(PLACE)
    for _ in range(2):
        for each in KINDS:
            preds, target = given(each)
            target = target.clamp_min(0)
            wanted, found = theirs(preds, target), ours(there(preds), there(target))
            torch.testing.assert_close(here(found), wanted)
            with torch.inference_mode():
                theirs.update(preds, target)
                ours.update(there(preds), there(target))
            ours = copy.deepcopy(ours)
        saved = copy.deepcopy(ours)
        saved.persistent(True)
        saved.load_state_dict(saved.state_dict())
        ours = saved.cpu().to(PLACE)
        torch.testing.assert_close(here(ours.compute()), theirs.compute())
        theirs.reset()
        ours.reset()
        assert ours.device == PLACE
    assert max(gpu.copied) <= FEW


@pytest.mark.parametrize("name", ["dice_score", "mean_iou", "generalized_dice_score"])
def test_segmentations(name: str, gpu: Any) -> None:
    """Labels, masks, or both; scores where masks may be."""
    import torch
    from support.cuda.gpu import PLACE, assert_same_there, here, there

    from fastseg.adapters.torchmetrics.table import PUBLIC

    functions = both("torchmetrics.functional.segmentation", name)
    metric = {"dice_score": "DiceScore", "mean_iou": "MeanIoU"}.get(name, "GeneralizedDiceScore")
    labels, other = torch.randint(0, 5, (2, 3, 9, 30))
    masks = torch.nn.functional.one_hot(other, 5).movedim(-1, 1).bool()
    assert functions[1].__module__ == PUBLIC
    for form, pair in (
        ("index", (labels, other)),
        ("one-hot", (masks.flip(1), masks)),
        ("one-hot", (torch.randn(3, 5, 9, 30), masks)),
        ("mixed", (labels, masks)),
    ):
        assert_same_there(gpu, *functions, *pair, num_classes=5, input_format=form)
        theirs, ours = (kind(num_classes=5, input_format=form) for kind in both("torchmetrics.segmentation", metric))
        ours = ours.to(PLACE)
        for _ in range(2):
            theirs.update(*pair)
            ours.update(*map(there, pair))
        torch.testing.assert_close(here(ours.compute()), theirs.compute())
    assert not gpu.copied


@pytest.mark.slow
@pytest.mark.parametrize("per_class", [False, True])
def test_what_the_host_adds_to_a_mean_iou_on_the_gpu(
    per_class: bool, gpu: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Labels of 32 bits are masks of no class that we count, but the host's do."""
    import torch
    from support.cuda.gpu import PLACE, here, there

    monkeypatch.delenv("FASTSEG_ADAPTERS")
    theirs, ours = (kind(num_classes=3, per_class=per_class) for kind in both("torchmetrics.segmentation", "MeanIoU"))
    ours = ours.to(PLACE)
    masks = torch.randint(0, 4, (2, 2, 3, 9, 30), dtype=torch.int32)
    theirs.update(*masks)
    ours.update(*map(there, masks))
    torch.testing.assert_close(here(ours.compute()), theirs.compute())
    for name in ("score", "num_batches"):
        torch.testing.assert_close(here(getattr(ours, name)), getattr(theirs, name))


@pytest.mark.parametrize("task", ["binary", "multiclass"])
def test_calibration(task: str, gpu: Any) -> None:
    """Bins are filled by PyTorch, where the scores lie."""
    import torch
    from support.cuda.gpu import FEW, PLACE, here, there

    torch.manual_seed(0)
    preds, target = torch.randn(400, 3).softmax(1), torch.randint(0, 3, (400,))
    target[:50] = -1
    args: dict[str, Any] = {"ignore_index": -1, "n_bins": 7}
    if task == "binary":
        preds, target = preds[:, 0], target.clamp_max(1)
    else:
        args["num_classes"] = 3
    theirs, ours = both("torchmetrics.functional.classification", f"{task}_calibration_error")
    torch.testing.assert_close(here(ours(there(preds), there(target), **args)), theirs(preds, target, **args))
    theirs, ours = both("torchmetrics.classification", f"{task.capitalize()}CalibrationError")
    metric, other = ours(**args).to(PLACE), theirs(**args)
    for part in (slice(100), slice(100, None)):
        metric.update(there(preds[part]), there(target[part]))
        other.update(preds[part], target[part])
    torch.testing.assert_close(here(metric.compute()), other.compute())
    assert max(gpu.copied, default=0) <= FEW


def test_tensors_of_two_places_are_the_hosts_to_refuse(gpu: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from support.cuda.gpu import there
    from support.drop_ins import outcome

    monkeypatch.delenv("FASTSEG_ADAPTERS")
    preds, target = given("labels")
    pairs = [(there(preds), target), (preds, there(target)), (there(preds.float()), target)]
    for name in ("binary_f1_score", "binary_confusion_matrix", "multiclass_f1_score", "multiclass_stat_scores"):
        theirs, ours = both("torchmetrics.functional.classification", name)
        options = {"num_classes": 2} if name.startswith("multiclass") else {}
        for pair in pairs:
            found, wanted = (outcome(kind, *pair, **options).error for kind in (ours, theirs))
            assert str(found) == str(wanted)
            assert wanted is not None
    assert not gpu.copied
