"""Drop-ins for MONAI's focal losses: values and gradients are the host's, whatever the options."""

from __future__ import annotations

from typing import Any

import pytest
from support.drop_ins import assert_same_call, outcome, strictly, went
from support.loss_modules import combinations
from support.monai_losses import assert_same_loss, both, example

pytestmark = pytest.mark.torch
WEIGHTS: list[Any] = [None, 2.0, [1.0, 2.0, 0.5], [1.0, 2.0, 0.5, 3.0]]
FOCAL: dict[str, list[Any]] = {
    "gamma": [2.0, 0.0, 0.5, 1.5], "alpha": [None, 0.25, 1, [0.1, 0.9, 2.0], [0.1, 0.9, 2.0, 0.0]],
    "weight": WEIGHTS, "reduction": ["mean", "sum"], "include_background": [True, False],
}  # fmt: skip


def fitting(options: dict[str, Any]) -> bool:
    """Tell whether there are as many weights as classes, of four."""
    lengths = [len(each) for each in (options["weight"], options["alpha"]) if isinstance(each, list)]
    return set(lengths) <= {3 + options["include_background"]}


@pytest.mark.parametrize("softmax", [False, True], ids=["sigmoid", "softmax"])
@pytest.mark.parametrize("onehot", [False, True], ids=["label map", "one-hot"])
def test_focal_loss(softmax: bool, onehot: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    logits, labels, hot = example()
    with strictly(monkeypatch):
        for options in filter(fitting, combinations(FOCAL, 3, 120)):
            if softmax and not options["include_background"]:
                continue
            for truth in (hot, hot.long()) if onehot else (labels,):
                assert_same_loss("FocalLoss", logits * 3, truth, use_softmax=softmax, to_onehot_y=not onehot, **options)


@pytest.mark.parametrize("activation", ["sigmoid", "softmax", "none"])
@pytest.mark.parametrize("onehot", [False, True], ids=["label map", "one-hot"])
def test_dice_focal_loss(activation: str, onehot: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The focal loss is of the sigmoid, whatever the activation of Dice."""
    logits, labels, hot = example()
    scores = logits.softmax(1) if activation == "none" else logits
    own: dict[str, list[Any]] = {
        "lambda_dice": [1.0, 0.3], "lambda_focal": [1.0, 2.5], "squared_pred": [False, True], "jaccard": [False, True],
        "batch": [False, True],
    }  # fmt: skip
    with strictly(monkeypatch):
        for options in filter(fitting, combinations(FOCAL | own, 4, 60)):
            if options["weight"] == 2.0:  # which Dice makes one a class of at the first call
                continue
            options |= {"to_onehot_y": not onehot, **({} if activation == "none" else {activation: True})}
            assert_same_loss("DiceFocalLoss", scores, hot if onehot else labels, **options)


@pytest.mark.parametrize("shape", [(2, 3, 40), (3, 2, 9, 8), (1, 14, 5, 6, 7), (2, 1, 9, 8)])
def test_shapes_and_types(shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    scores, labels, hot = example(shape)
    with strictly(monkeypatch):
        for name, options in (("FocalLoss", {"alpha": 0.25}), ("DiceFocalLoss", {"sigmoid": True, "alpha": 0.25})):
            for each in (scores, scores.double()):
                assert_same_loss(name, each, hot, **options)
                assert_same_loss(name, each, hot.double(), **options)
                assert_same_loss(name, each, hot.byte(), **options)
                if shape[1] > 1:
                    assert_same_loss(name, each, labels.float(), to_onehot_y=True, **options)


def test_far_logits_and_certain_predictions(monkeypatch: pytest.MonkeyPatch) -> None:
    logits, labels, hot = example()
    with strictly(monkeypatch):
        for scale in (0.0, 10.0, 1e3):
            for gamma in (1.0, 2.0):
                assert_same_loss("FocalLoss", logits * scale, labels, to_onehot_y=True, gamma=gamma)
                assert_same_loss("DiceFocalLoss", logits * scale, labels, to_onehot_y=True, gamma=gamma, sigmoid=True)
        wrong = (1 - hot * 2) * 8
        assert_same_loss("FocalLoss", wrong, labels, to_onehot_y=True)
        assert_same_loss("FocalLoss", wrong, labels, to_onehot_y=True, use_softmax=True)


@pytest.mark.parametrize("softmax", [False, True], ids=["sigmoid", "softmax"])
def test_gradients_of_predictions_that_are_right(softmax: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """An intended difference: where losses are tiny, the host's derivatives are differences of larger ones in 32 bits."""
    import torch

    _, labels, hot = example()
    right = (hot * 2 - 1) * (4 if softmax else 8)
    z, t = right.double().requires_grad_(), hot.double()
    if softmax:
        p, q = z.softmax(1), (z.exp().sum(1, keepdim=True) - z.exp()) / z.exp().sum(1, keepdim=True)
        exact = (-t * q**2 * p.log()).mean()
    else:
        yes, no = torch.nn.functional.logsigmoid(z), torch.nn.functional.logsigmoid(-z)
        exact = (-t * torch.sigmoid(-z) ** 2 * yes - (1 - t) * torch.sigmoid(z) ** 2 * no).mean()
    exact.backward()
    found = []
    for kind in both("FocalLoss"):
        scores = right.clone().requires_grad_()
        loss = kind(to_onehot_y=True, use_softmax=softmax)
        with strictly(monkeypatch):
            loss(scores, labels).backward()
        found.append(((scores.grad - z.grad).abs() / z.grad.abs()).max().item())
    theirs, ours = found
    assert ours < 3e-6
    assert theirs > 2e-5


@pytest.mark.parametrize("index", [0, 2, 255, -1])
@pytest.mark.parametrize("softmax", [False, True], ids=["sigmoid", "softmax"])
def test_ignored_labels(index: int, softmax: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    logits, labels, _ = example()
    labels = torch.where(labels == 3, index, labels)
    options: dict[str, Any] = {"use_softmax": softmax, "to_onehot_y": True, "ignore_index": index}
    with strictly(monkeypatch):
        for reduction in ("mean", "sum"):
            for weight in (None, [1.0, 2.0, 0.5, 3.0]):
                assert_same_loss("FocalLoss", logits, labels, reduction=reduction, weight=weight, **options)
            none = torch.full_like(labels, index)
            assert_same_loss("FocalLoss", logits, none, reduction=reduction, **options)
            labels[0] = index
            assert_same_loss("FocalLoss", logits, labels, reduction=reduction, **options)


def test_soft_truth(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the softmax only: the host's sigmoid has no (1 − p)^γ of a truth between 0 and 1, but another power."""
    logits, _, _ = example()
    soft = example(seed=1)[0].softmax(1)
    with strictly(monkeypatch):
        assert_same_loss("FocalLoss", logits, soft, use_softmax=True, alpha=0.25, gamma=1.5)
    monkeypatch.setattr("fastseg.adapters.monai.loss_inputs.FEW", 0)
    with went("monai.FocalLoss", host=2):
        assert_same_loss("FocalLoss", logits, soft, alpha=0.25)


def _not_covered() -> dict[str, tuple[Any, Any, dict[str, Any]]]:
    import torch

    logits, labels, hot = example()
    onehot = {"to_onehot_y": True}
    return {
        "each voxel": (logits, labels, {"reduction": "none", **onehot}),
        "a softmax of some classes": (logits, labels, {"use_softmax": True, "include_background": False, **onehot}),
        "a softmax of one channel": (logits[:, :1], hot[:, :1], {"use_softmax": True}),
        "one channel without background": (logits[:, :1], hot[:, :1], {"include_background": False}),
        "weights of one channel": (logits[:, :1], hot[:, :1], {"weight": [2.0]}),
        "too many weights": (logits, labels, {"weight": [1.0, 2.0], **onehot}),
        "negative weights": (logits, labels, {"weight": [1.0, -2.0, 1.0, 1.0], **onehot}),
        "a negative weight": (logits, labels, {"weight": -1.0, **onehot}),
        "too many alphas": (logits, labels, {"alpha": [1.0, 2.0], **onehot}),
        "alpha beyond 1": (logits, labels, {"alpha": 1.5, **onehot}),
        "alpha of a graph": (logits, labels, {"alpha": torch.ones(4, requires_grad=True), **onehot}),
        "negative gamma": (logits, labels, {"gamma": -1.0, **onehot}),
        "ignored one-hot": (logits, hot, {"ignore_index": 1}),
        "labels beyond the classes": (logits, labels * 2, onehot),
    }


CASES = [
    "each voxel", "a softmax of some classes", "a softmax of one channel", "one channel without background",
    "weights of one channel", "too many weights", "negative weights", "a negative weight", "too many alphas",
    "alpha beyond 1", "alpha of a graph", "negative gamma", "ignored one-hot", "labels beyond the classes",
]  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_host_answers(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastseg.adapters.monai.loss_inputs.FEW", 0)
    assert set(CASES) == set(_not_covered())
    scores, truth, options = _not_covered()[case]
    theirs, ours = (kind(**options) for kind in both("FocalLoss"))
    with went("monai.FocalLoss", host=1):
        assert_same_call(lambda: theirs(scores, truth).detach(), lambda: ours(scores, truth).detach(), rtol=1e-6)


def test_wrong_options_are_refused_alike() -> None:
    for name, options in [("FocalLoss", {"reduction": "all"}), ("DiceFocalLoss", {"lambda_focal": -1.0})]:
        theirs, ours = (outcome(kind, **options) for kind in both(name))
        assert type(theirs.error) is type(ours.error) is not type(None)
        assert str(ours.error) == str(theirs.error)
