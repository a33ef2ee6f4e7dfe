"""Drop-ins for MONAI's losses: values and gradients are the host's, whatever the options."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from support.drop_ins import assert_same_call, outcome, strictly, went

pytestmark = pytest.mark.torch
SHAPE = (2, 4, 6, 5, 7)


def both(name: str) -> tuple[Any, Any]:
    """Return the host's class and ours."""
    import monai.losses

    import fastseg.adapters.monai

    return getattr(monai.losses, name), getattr(fastseg.adapters.monai, name)


def example(shape: tuple[int, ...] = SHAPE, seed: int = 0) -> tuple[Any, Any, Any]:
    """Return logits, a label map whose first sample lacks class 1, and the same one-hot."""
    import torch

    rng = np.random.default_rng(seed)
    labels = rng.integers(0, max(2, shape[1]), (shape[0], 1, *shape[2:]))
    labels[0][labels[0] == 1] = 0
    onehot = (
        labels == np.arange(shape[1] == 1, shape[1] + (shape[1] == 1)).reshape(-1, *(1,) * (len(shape) - 2))
    ) * 1.0
    return torch.from_numpy(rng.normal(size=shape)).float(), torch.from_numpy(labels), torch.from_numpy(onehot).float()


def assert_same_loss(name: str, scores: Any, truth: Any, rtol: float = 2e-6, **options: Any) -> None:
    """Compare values, their type and shape, warnings, and the gradients of a sum of values that weigh differently."""
    import torch

    gradients = []

    def run(kind: Any) -> Any:
        z = scores.detach().clone().requires_grad_()
        loss = kind(**options)(z, truth)
        assert loss.requires_grad
        weights = torch.arange(1.0, loss.numel() + 1).reshape(loss.shape)
        (loss * weights).sum().backward()
        gradients.append(z.grad)
        return loss.detach()

    theirs, ours = both(name)
    assert_same_call(lambda: run(theirs), lambda: run(ours), rtol=rtol)
    wanted, found = gradients
    assert (found.dtype, found.shape, found.stride()) == (wanted.dtype, wanted.shape, wanted.stride())
    torch.testing.assert_close(found, wanted, rtol=2e-5, atol=5e-6 * float(wanted.abs().max()))
    with torch.no_grad():
        assert_same_call(theirs(**options), ours(**options), scores, truth, rtol=rtol)


OVERLAP: dict[str, list[Any]] = {
    "include_background": [True, False], "reduction": ["mean", "sum", "none"], "batch": [False, True],
    "smooth_nr": [1e-5, 1.0], "smooth_dr": [1e-5, 0.5],
}  # fmt: skip
OWN: dict[str, dict[str, list[Any]]] = {
    "DiceLoss": {
        "squared_pred": [False, True], "jaccard": [False, True], "weight": [None, [1.0, 2.0, 0.5], [1.0, 2.0, 0.5, 3.0]],
    },
    "TverskyLoss": {"alpha": [0.5, 0.3], "beta": [0.5, 0.9]},
    "GeneralizedDiceLoss": {"w_type": ["square", "simple", "uniform"]},
}  # fmt: skip


def combinations(choices: dict[str, list[Any]], seed: int, number: int) -> list[dict[str, Any]]:
    """Return some combinations of options, all of the first ones among them."""
    every = [dict(zip(choices, each, strict=True)) for each in itertools.product(*choices.values())]
    picked = np.random.default_rng(seed).permutation(len(every))[: number - 1]
    return [every[0], *(every[i] for i in picked)]


@pytest.mark.parametrize("name", OWN)
@pytest.mark.parametrize("activation", ["softmax", "sigmoid", "none"])
@pytest.mark.parametrize("onehot", [False, True], ids=["label map", "one-hot"])
def test_overlap_losses(name: str, activation: str, onehot: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    logits, labels, hot = example()
    scores = logits.softmax(1) if activation == "none" else logits
    with strictly(monkeypatch):
        for options in combinations(OVERLAP | OWN[name], len(name), 24):
            if options.get("weight") is not None and len(options["weight"]) != 3 + options["include_background"]:
                continue
            options |= {"to_onehot_y": not onehot, **({} if activation == "none" else {activation: True})}
            assert_same_loss(name, scores, hot if onehot else labels, **options)


@pytest.mark.parametrize("shape", [(2, 3, 40), (3, 2, 9, 8), (1, 14, 5, 6, 7), (2, 1, 9, 8)])
def test_shapes(shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    scores, labels, hot = example(shape)
    one = shape[1] == 1
    with strictly(monkeypatch):
        for name in (*OWN, "DiceCELoss"):
            options = {"sigmoid": True} if one else {"softmax": True}
            assert_same_loss(name, scores, hot, **options)
            assert_same_loss(name, scores, hot.long(), **options)
            if not one:
                assert_same_loss(name, scores, labels, to_onehot_y=True, **options)
                assert_same_loss(name, scores, labels.to(hot.dtype), to_onehot_y=True, **options)


CE: dict[str, list[Any]] = {
    "include_background": [True, False], "reduction": ["mean", "sum"], "batch": [False, True], "jaccard": [False, True],
    "squared_pred": [False, True], "lambda_dice": [1.0, 0.3], "lambda_ce": [1.0, 2.5], "label_smoothing": [0.0, 0.2],
    "weight": [None, [1.0, 2.0, 0.5, 3.0]],
}  # fmt: skip


@pytest.mark.parametrize("onehot", [False, True], ids=["label map", "one-hot"])
def test_dice_cross_entropy(onehot: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    logits, labels, hot = example()
    with strictly(monkeypatch):
        for options in combinations(CE, 5, 40):
            options["weight"] = None if options["weight"] is None else torch.tensor(options["weight"])
            options |= {"softmax": True, "to_onehot_y": not onehot}
            assert_same_loss("DiceCELoss", logits, hot if onehot else labels, **options)


@pytest.mark.parametrize("name", ["FocalLoss", "DiceFocalLoss"])
def test_focal_losses_without_derivatives(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    logits, labels, _ = example()
    weights: list[Any] = [None, [1.0, 2.0, 0.5, 3.0]]
    for gamma, reduction, weight, flag in itertools.product([2.0, 0.0, 1.5], ["mean", "sum"], weights, [False, True]):
        own = (
            {"use_softmax": flag}
            if name == "FocalLoss"
            else {"sigmoid": True, "squared_pred": flag, "lambda_focal": 0.7}
        )
        options = {"gamma": gamma, "reduction": reduction, "weight": weight, "to_onehot_y": True, **own}
        theirs, ours = (kind(**options) for kind in both(name))
        with strictly(monkeypatch), torch.no_grad():
            assert_same_call(theirs, ours, logits, labels, rtol=2e-6)
    monkeypatch.setattr("fastseg.adapters.monai.loss_inputs.FEW", 0)
    with went(f"monai.{name}", host=3):  # two values, and a gradient
        assert_same_loss(name, logits, labels, to_onehot_y=True, alpha=0.25)
        both(name)[1](to_onehot_y=True)(logits.clone().requires_grad_(), labels).backward()


def test_far_logits_and_certain_predictions(monkeypatch: pytest.MonkeyPatch) -> None:
    logits, labels, hot = example()
    with strictly(monkeypatch):
        for scale in (0.0, 30.0, 1e4):
            assert_same_loss("DiceCELoss", logits * scale, labels, softmax=True, to_onehot_y=True)
        assert_same_loss("DiceLoss", hot, labels, to_onehot_y=True)
        assert_same_loss("DiceLoss", 1 - hot, labels, to_onehot_y=True)


@pytest.mark.parametrize("index", [0, 2, 255, -1])
def test_ignored_labels(index: int, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    logits, labels, _ = example()
    labels = torch.where(labels == 3, index, labels)
    with strictly(monkeypatch):
        for name in ("DiceLoss", "TverskyLoss"):
            for reduction, background in itertools.product(["none", "mean"], [True, False]):
                options = {"reduction": reduction, "include_background": background, "ignore_index": index}
                assert_same_loss(name, logits, labels, softmax=True, to_onehot_y=True, **options)


def test_ignored_scores_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    """An intended difference: the host multiplies them by 0, which leaves NaN what it is."""
    logits, labels, _ = example()
    labels[:, :, 0] = 255
    spoilt = logits.clone()
    spoilt[:, :, 0] = float("nan")
    theirs, ours = (kind(softmax=True, to_onehot_y=True, ignore_index=255) for kind in both("DiceLoss"))
    with strictly(monkeypatch):
        assert float(ours(spoilt, labels)) == pytest.approx(float(theirs(logits, labels)), rel=1e-6)
    assert theirs(spoilt, labels).isnan()


def test_soft_truth(monkeypatch: pytest.MonkeyPatch) -> None:
    logits, _, _ = example()
    soft = example(seed=1)[0].softmax(1)
    with strictly(monkeypatch):
        assert_same_loss("DiceLoss", logits, soft, softmax=True)
        assert_same_loss("DiceLoss", logits, soft, sigmoid=True, reduction="none", jaccard=True)
        assert_same_loss("TverskyLoss", logits, soft, softmax=True, alpha=0.2)
        assert_same_loss("GeneralizedDiceLoss", logits, soft, softmax=True)
        assert_same_loss("DiceCELoss", logits, soft, softmax=True, label_smoothing=0.1)


def test_float64(monkeypatch: pytest.MonkeyPatch) -> None:
    logits, labels, hot = example()
    with strictly(monkeypatch):
        assert_same_loss("DiceCELoss", logits.double(), labels, softmax=True, to_onehot_y=True)
        assert_same_loss("DiceLoss", logits.double(), hot, softmax=True)
        assert_same_loss("DiceLoss", logits, hot.double(), softmax=True)


def test_layouts(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    logits, labels, hot = example()
    with strictly(monkeypatch):
        last = logits.contiguous(memory_format=torch.channels_last_3d)
        assert_same_loss("DiceCELoss", last, labels, softmax=True, to_onehot_y=True)
        assert_same_loss("DiceCELoss", logits, hot.contiguous(memory_format=torch.channels_last_3d), softmax=True)


def test_no_truth_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    logits, labels, _ = example()
    with strictly(monkeypatch):
        for name, reduction in itertools.product(OWN, ["none", "mean"]):
            assert_same_loss(
                name, logits, labels * 0, softmax=True, to_onehot_y=True, include_background=False, reduction=reduction
            )


def _not_covered() -> dict[str, tuple[str, Any, Any, dict[str, Any]]]:
    import torch

    logits, labels, hot = example()
    nan = logits.clone()
    nan[0, 0, 0, 0, 0] = float("nan")
    softmax = {"softmax": True, "to_onehot_y": True}
    return {
        "other_act": ("DiceLoss", logits, hot, {"other_act": torch.tanh}),
        "soft_label": ("DiceLoss", logits, hot, {"softmax": True, "soft_label": True}),
        "logits as they are": ("DiceLoss", logits, hot, {}),
        "NaN": ("DiceCELoss", nan, labels, softmax),
        "labels beyond the classes": ("DiceLoss", logits, labels * 2, softmax),
        "a truth of another shape": ("DiceLoss", logits, labels, {"softmax": True}),
        "a truth without channels": ("DiceCELoss", logits, labels[:, 0], softmax),
        "one channel": ("DiceLoss", logits[:, :1], hot[:, 1:2], softmax),
        "one channel without background": ("DiceLoss", logits[:, :1], hot[:, 1:2], {"include_background": False}),
        "too many weights": ("DiceLoss", logits, labels, {"weight": [1.0, 2.0], **softmax}),
        "negative weights": ("DiceLoss", logits, labels, {"weight": [1.0, 2.0, -1.0, 1.0], **softmax}),
        "one weight for all": ("DiceLoss", logits, labels, {"weight": 2.0, **softmax}),
        "integers": ("DiceLoss", labels, labels.clone(), {}),
        "half of a truth": ("DiceLoss", logits, hot.half(), {"softmax": True}),
        "ignored one-hot": ("DiceLoss", logits, hot, {"softmax": True, "ignore_index": 1}),
        "sigmoid beside cross-entropy": ("DiceCELoss", logits, labels, {"sigmoid": True, "to_onehot_y": True}),
        "weight of one channel": (
            "DiceCELoss",
            logits[:, :1],
            hot[:, :1],
            {"sigmoid": True, "weight": torch.tensor([2.0])},
        ),
        "no axes": ("DiceLoss", logits[:, :, 0, 0, 0], hot[:, :, 0, 0, 0], {"softmax": True}),
        "no voxels": ("DiceLoss", logits[..., :0], labels[..., :0], softmax),
        "no tensor": ("DiceLoss", logits, hot.numpy(), {"softmax": True}),
    }


CASES = [
    "other_act", "soft_label", "logits as they are", "NaN", "labels beyond the classes", "a truth of another shape",
    "a truth without channels", "one channel", "one channel without background", "too many weights", "negative weights",
    "one weight for all", "integers", "half of a truth", "ignored one-hot", "sigmoid beside cross-entropy",
    "weight of one channel", "no axes", "no voxels", "no tensor",
]  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_host_answers(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastseg.adapters.monai.loss_inputs.FEW", 0)
    name, scores, truth, options = _not_covered()[case]
    theirs, ours = both(name)
    with went(f"monai.{name}", host=1):
        assert_same_call(theirs(**options), ours(**options), scores, truth, rtol=1e-6)


def test_one_weight_for_all_becomes_one_a_class(monkeypatch: pytest.MonkeyPatch) -> None:
    """The host changes its buffer at the first call; what follows is counted here."""
    monkeypatch.setattr("fastseg.adapters.monai.loss_inputs.FEW", 0)
    logits, labels, _ = example()
    theirs, ours = (kind(weight=2.0, softmax=True, to_onehot_y=True) for kind in both("DiceLoss"))
    with went("monai.DiceLoss", host=1, fast=1):
        for _ in range(2):
            assert_same_call(theirs, ours, logits, labels, rtol=1e-6)
    assert ours.class_weight.tolist() == theirs.class_weight.tolist() == [2.0] * 4


def test_few_scores_are_the_hosts() -> None:
    logits, labels, _ = example()
    loss = both("DiceLoss")[1](softmax=True, to_onehot_y=True)
    with went("monai.DiceLoss", host=1):
        loss(logits, labels)
    logits, labels, _ = example((1, 4, 64, 64, 17))
    with went("monai.DiceLoss", fast=1):
        loss(logits, labels)


def test_wrong_options_are_refused_alike() -> None:
    for name, options in [
        ("DiceLoss", {"softmax": True, "sigmoid": True}), ("DiceLoss", {"other_act": 1}), ("DiceLoss", {"reduction": "all"}),
        ("DiceCELoss", {"lambda_dice": -1.0}), ("TverskyLoss", {"weight": 1}), ("GeneralizedDiceLoss", {"w_type": "cube"}),
    ]:  # fmt: skip
        theirs, ours = (outcome(kind, **options) for kind in both(name))
        assert type(theirs.error) is type(ours.error) is not type(None)
        assert str(ours.error) == str(theirs.error)
