"""MONAI's losses and metrics of tensors on a GPU: MONAI's of the same tensors on the CPU, counted where they lie."""

from __future__ import annotations

from typing import Any

import pytest
from support.tensors import logits_and_labels, one_hot_of

from fastseg.adapters.tally import FallbackError

pytestmark = [pytest.mark.torch, pytest.mark.host("monai")]


@pytest.mark.parametrize("name", ["DiceCELoss", pytest.param("DiceFocalLoss", marks=pytest.mark.slow)])
def test_losses_of_monai(gpu: Any, name: str) -> None:
    import monai.losses
    import torch
    from support.cuda.gpu import PLACE, assert_same_there, here, there

    from fastseg.adapters import monai as ours

    logits, labels = logits_and_labels()
    options: dict[str, Any] = {"to_onehot_y": True, "softmax": True}
    if name == "DiceCELoss":
        options["weight"] = torch.tensor([1.0, 2.0, 0.5, 3.0, 0.1])
    wanted, found = logits.clone().requires_grad_(), there(logits.clone()).requires_grad_()
    theirs, own = getattr(monai.losses, name)(**options), getattr(ours, name)(**options).to(PLACE)
    assert_same_there(gpu, theirs, own, logits, labels)
    assert "fold_sums" in gpu.launched
    theirs(wanted, labels).backward()
    own(found, there(labels)).backward()
    assert gpu.launched[-1] == "score_gradient"
    torch.testing.assert_close(here(found.grad), wanted.grad, rtol=1e-4, atol=1e-8)
    if "weight" in options:  # on the CPU, where they were made: the host refuses them
        with pytest.raises(FallbackError, match="weights on another device"):
            getattr(ours, name)(**options)(there(logits), there(labels))


def test_metrics_of_monai(gpu: Any) -> None:
    import monai.metrics as theirs
    from support.cuda.gpu import assert_same_there

    from fastseg.adapters import monai as ours

    logits, labels = logits_and_labels()
    pred, true = one_hot_of(logits.argmax(1, keepdim=True)), one_hot_of(labels)
    for name, options in (
        ("compute_dice", {"include_background": False}), ("compute_dice", {"ignore_index": 2}), ("compute_iou", {}),
        ("compute_iou", {"ignore_index": 9}), ("compute_generalized_dice", {}), ("get_confusion_matrix", {}),
    ):  # fmt: skip
        assert_same_there(gpu, getattr(theirs, name), getattr(ours, name), pred, true, **options)
    helper = {"num_classes": 5, "apply_argmax": True, "include_background": True}
    assert_same_there(gpu, theirs.DiceHelper(**helper), ours.DiceHelper(**helper), logits, labels)


def test_what_is_not_covered_is_not_copied(gpu: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Soft maps are counted, found not to be masks, and handed to the host where they lie."""
    import monai.metrics as theirs
    import torch
    from support.cuda.gpu import here, there
    from support.drop_ins import went

    from fastseg.adapters import monai as ours

    monkeypatch.delenv("FASTSEG_ADAPTERS")
    true = one_hot_of(logits_and_labels()[1]).repeat(1, 1, 8, 4)
    with went("monai.compute_iou", host=1):
        found = ours.compute_iou(there(true / 2), there(true))
    assert gpu.launched
    torch.testing.assert_close(here(found), theirs.compute_iou(true / 2, true))
    assert not gpu.copied


def test_without_a_driver_the_host_answers(gpu: Any, no_driver: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import monai.metrics as theirs
    import torch
    from support.cuda.gpu import here, there

    from fastseg.adapters import monai as ours

    no_driver()
    monkeypatch.delenv("FASTSEG_ADAPTERS")
    true = one_hot_of(logits_and_labels()[1])
    torch.testing.assert_close(here(ours.compute_iou(there(true), there(true))), theirs.compute_iou(true, true))


@pytest.mark.parametrize("case", ["a CUDA graph that is being captured", "tensors without memory"])
def test_what_cannot_be_waited_for_or_has_no_memory_is_the_hosts(
    case: str, gpu: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch
    from support.cuda.gpu import OnGpu, there

    from fastseg.adapters import monai as ours, report

    def no_memory(*_: Any) -> Any:
        raise RuntimeError("no storage")

    monkeypatch.delenv("FASTSEG_ADAPTERS")
    if case == "tensors without memory":
        monkeypatch.setattr(OnGpu, "data_ptr", no_memory)
    else:
        monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: True)
    report(reset=True)
    pair = list(map(there, logits_and_labels()))
    ours.DiceCELoss(to_onehot_y=True, softmax=True)(*[each.repeat(1, 1, 9, 9) for each in pair])
    ours.DiceHelper(num_classes=5, apply_argmax=True)(*pair)
    assert [each.reasons for each in report(reset=True).values()] == [{case: 1}] * 2
    assert not gpu.launched


def test_tables_larger_than_the_labels_do_not_come_back(gpu: Any) -> None:
    import torch
    from support.cuda.gpu import there

    from fastseg.adapters import monai as ours

    labels = there(torch.zeros(2, 1, 9, 9))
    with pytest.raises(FallbackError, match="tables of classes that are larger than the labels"):
        ours.compute_dice(labels, labels, num_classes=300)
    ours.compute_dice(labels, labels, num_classes=200)
    assert gpu.launched


@pytest.mark.gpu
@pytest.mark.usefixtures("card")
@pytest.mark.filterwarnings("default")  # those of a GPU machine's libraries are theirs
@pytest.mark.parametrize("kind", ["float32", "float16", "bfloat16"])
def test_losses_of_monai_on_a_card(kind: str) -> None:
    import monai.losses as theirs
    import torch

    from fastseg.adapters import monai as ours

    logits, labels = logits_and_labels()
    options: dict[str, Any] = {"to_onehot_y": True, "softmax": True}
    for name in ("DiceCELoss", "DiceFocalLoss", "TverskyLoss", "GeneralizedDiceLoss"):
        scores = logits.to(getattr(torch, kind))
        wanted, found = scores.float().clone().requires_grad_(), scores.cuda().requires_grad_()
        expected = getattr(theirs, name)(**options)(wanted, labels)
        loss = getattr(ours, name)(**options)(found, labels.cuda())
        assert loss.device == found.device
        torch.testing.assert_close(loss.cpu().float(), expected, rtol=1e-5, atol=1e-7)
        expected.backward()
        loss.backward()
        rtol = {"float32": 1e-4, "float16": 2e-3, "bfloat16": 1e-2}[kind]
        torch.testing.assert_close(found.grad.cpu().float(), wanted.grad, rtol=rtol, atol=1e-6)


@pytest.mark.gpu
@pytest.mark.usefixtures("card")
@pytest.mark.filterwarnings("default")  # those of a GPU machine's libraries are theirs
def test_metrics_of_monai_on_a_card() -> None:
    import monai.metrics as theirs
    import torch
    from monai.data import MetaTensor

    from fastseg.adapters import monai as ours

    logits, labels = logits_and_labels()
    pred, true = one_hot_of(logits.argmax(1, keepdim=True)), one_hot_of(labels)
    for name in ("DiceMetric", "MeanIoU", "GeneralizedDiceScore"):
        metric, other = getattr(ours, name)(), getattr(theirs, name)()
        with torch.cuda.stream(torch.cuda.Stream()):
            metric(pred.cuda(), true.cuda())
            metric(MetaTensor(pred.cuda()), MetaTensor(true.cuda()))
        torch.cuda.synchronize()  # what follows is on another stream
        other(pred, true)
        other(pred, true)
        found = metric.aggregate()
        assert found.is_cuda
        torch.testing.assert_close(torch.as_tensor(found.cpu()), other.aggregate())
