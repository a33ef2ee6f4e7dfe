"""Drop-ins of tensors on a GPU: counted there, with the host's results; on tensors of the CPU that only say they lie there."""

from __future__ import annotations

import importlib
from typing import Any

import pytest
from support.cuda.on_cpu import Cpu, run_on_cpu

from fastseg.kernels.cuda import driver

pytestmark = pytest.mark.torch


@pytest.fixture
def cpu(monkeypatch: pytest.MonkeyPatch) -> Cpu:
    """Run kernels on the CPU, and let nothing go to the host."""
    import torch
    from support.cuda.tensors import pretended

    found = run_on_cpu(monkeypatch)
    monkeypatch.setattr(importlib.import_module("fastseg.arrays.device"), "_stream", lambda *_: 0)
    kinds = (torch.Tensor, type(pretended(torch.zeros(1))))
    monkeypatch.setattr(importlib.import_module("fastseg.adapters.devices"), "_PLAIN", kinds)
    monkeypatch.setenv("FASTSEG_ADAPTERS", "strict")
    return found


def example() -> tuple[Any, Any]:
    """Return logits (2, 5, 9, 60) and labels (2, 1, 9, 60)."""
    import torch

    torch.manual_seed(0)
    return torch.randn(2, 5, 9, 60), torch.randint(0, 5, (2, 1, 9, 60))


def one_hot(labels: Any) -> Any:
    import torch

    return torch.nn.functional.one_hot(labels[:, 0], 5).movedim(-1, 1).float()


@pytest.mark.host("monai")
@pytest.mark.parametrize("name", ["DiceCELoss", pytest.param("DiceFocalLoss", marks=pytest.mark.slow)])
def test_losses_of_monai(cpu: Cpu, name: str) -> None:
    import monai.losses
    import torch
    from support.cuda.tensors import pretended

    from fastseg.adapters import monai as ours

    logits, labels = example()
    options: dict[str, Any] = {"to_onehot_y": True, "softmax": True}
    if name == "DiceCELoss":
        options["weight"] = torch.tensor([1.0, 2.0, 0.5, 3.0, 0.1])
    there, here = logits.clone().requires_grad_(), pretended(logits.clone()).requires_grad_()
    wanted = getattr(monai.losses, name)(**options)(there, labels)
    found = getattr(ours, name)(**options)(here, pretended(labels))
    assert {each.name for each in cpu.launched} >= {"fold_sums"}
    assert float(found.detach()) == pytest.approx(float(wanted.detach()), rel=1e-6)
    wanted.backward()
    found.backward()
    assert cpu.launched[-1].name == "score_gradient"
    torch.testing.assert_close(here.grad.as_subclass(torch.Tensor), there.grad, rtol=1e-4, atol=1e-8)


@pytest.mark.host("monai")
def test_metrics_of_monai(cpu: Cpu) -> None:
    import monai.metrics as theirs
    import torch
    from support.cuda.tensors import pretended

    from fastseg.adapters import monai as ours

    logits, labels = example()
    pred, true = one_hot(logits.argmax(1, keepdim=True)), one_hot(labels)
    for name, options in (
        ("compute_dice", {"include_background": False}), ("compute_dice", {"ignore_index": 2}), ("compute_iou", {}),
        ("compute_iou", {"ignore_index": 9}), ("compute_generalized_dice", {}), ("get_confusion_matrix", {}),
    ):  # fmt: skip
        before = len(cpu.launched)
        found = getattr(ours, name)(pretended(pred), pretended(true), **options)
        assert len(cpu.launched) > before, name
        torch.testing.assert_close(found, getattr(theirs, name)(pred, true, **options), equal_nan=True)
    helper = {"num_classes": 5, "apply_argmax": True, "include_background": True}
    found, _ = ours.DiceHelper(**helper)(pretended(logits), pretended(labels))
    torch.testing.assert_close(found, theirs.DiceHelper(**helper)(logits, labels)[0])


@pytest.mark.host("torchmetrics")
def test_metrics_of_torchmetrics(cpu: Cpu) -> None:
    import torch
    import torchmetrics.classification as classes
    import torchmetrics.functional.classification as functions
    from support.cuda.tensors import pretended

    from fastseg.adapters import torchmetrics as ours

    logits, labels = example()
    labels = labels[:, 0]
    for name, options in (
        ("multiclass_confusion_matrix", {}), ("multiclass_confusion_matrix", {"ignore_index": 2, "normalize": "all"}),
        ("multiclass_jaccard_index", {}), ("multiclass_f1_score", {"average": "micro"}),
        ("multiclass_accuracy", {"average": None, "ignore_index": -1}),
    ):  # fmt: skip
        for pred in (logits, logits.argmax(1)):
            before = len(cpu.launched)
            found = getattr(ours, name)(pretended(pred), pretended(labels), num_classes=5, **options)
            assert len(cpu.launched) > before, name
            wanted = getattr(functions, name)(pred, labels, num_classes=5, **options)
            torch.testing.assert_close(found, wanted)
    for name in ("MulticlassJaccardIndex", "MulticlassF1Score"):
        metric, other = getattr(ours, name)(num_classes=5), getattr(classes, name)(num_classes=5)
        for part in (slice(1), slice(1, 2)):
            metric.update(pretended(logits[part]), pretended(labels[part]))
            other.update(logits[part], labels[part])
        torch.testing.assert_close(metric.compute(), other.compute())


@pytest.mark.host("monai")
def test_without_a_driver_the_host_answers(cpu: Cpu, monkeypatch: pytest.MonkeyPatch) -> None:
    import monai.metrics as theirs
    import torch
    from support.cuda.tensors import pretended

    from fastseg.adapters import monai as ours
    from fastseg.kernels.protocols.device import NoDevice

    def none() -> Any:
        raise NoDevice("no driver")

    monkeypatch.setattr(driver, "driver", none)
    monkeypatch.delenv("FASTSEG_ADAPTERS")
    true = one_hot(example()[1])
    found = ours.compute_iou(pretended(true), pretended(true))
    torch.testing.assert_close(found.as_subclass(torch.Tensor), theirs.compute_iou(true, true))
