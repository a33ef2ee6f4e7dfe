"""Drop-ins for MONAI's losses: values and gradients are the host's, whatever the options."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from support.drop_ins import assert_same_call, outcome, strictly, went
from support.loss_modules import combinations
from support.monai_losses import assert_same_loss, both, example

pytestmark = pytest.mark.torch

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


@pytest.mark.parametrize("activation", ["softmax", "sigmoid", "none"])
@pytest.mark.parametrize("onehot", [False, True], ids=["label map", "one-hot"])
def test_dice_cross_entropy(onehot: bool, activation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cross-entropy is of the softmax, whatever the activation of Dice."""
    import torch

    logits, labels, hot = example()
    scores = logits.softmax(1) if activation == "none" else logits
    with strictly(monkeypatch):
        for options in combinations(CE, 5, 40 if activation == "softmax" else 12):
            options["weight"] = None if options["weight"] is None else torch.tensor(options["weight"])
            options |= {"to_onehot_y": not onehot, **({} if activation == "none" else {activation: True})}
            assert_same_loss("DiceCELoss", scores, hot if onehot else labels, **options)


@pytest.mark.parametrize("activation", ["sigmoid", "none"])
def test_dice_and_binary_cross_entropy(activation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    logits, _, hot = example((2, 1, 6, 5, 7))
    scores = logits.sigmoid() if activation == "none" else logits
    how: dict[str, Any] = {} if activation == "none" else {activation: True}
    with strictly(monkeypatch):
        for options in combinations(CE | {"include_background": [True], "weight": [None, [2.5], [0.0]]}, 6, 16):
            options["weight"] = None if options["weight"] is None else torch.tensor(options["weight"])
            truths = [hot, (hot + scores.sigmoid()) / 2, *([] if options["squared_pred"] else [hot.long(), hot.bool()])]
            for truth in truths:
                assert_same_loss("DiceCELoss", scores, truth, **options, **how)


@pytest.mark.parametrize("name", ["DiceLoss", "DiceCELoss", "TverskyLoss"])
@pytest.mark.parametrize("kind", ["float16", "bfloat16"])
def test_integers_beside_scores_of_16_bits(name: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The host's result is of 16 bits, unless scores are cast automatically."""
    import torch

    logits, _, hot = example()
    theirs, ours = (each(sigmoid=True) for each in both(name))
    with strictly(monkeypatch):
        for truth in (hot.long(), hot.to(torch.uint8), *([] if name == "TverskyLoss" else [hot.bool()])):
            scores = logits.to(getattr(torch, kind))
            wanted, found = theirs(scores, truth), ours(scores, truth)
            assert found.dtype == wanted.dtype == scores.dtype
            assert float(found) == pytest.approx(float(theirs(scores.float(), truth)), rel=1e-2)
            with torch.autocast("cpu"):
                assert ours(scores, truth).dtype == theirs(scores, truth).dtype


@pytest.mark.parametrize("kind", ["float16", "bfloat16", "float64"])
def test_weights_of_another_type_are_refused_alike(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    logits, labels, _ = example()
    weight = torch.arange(1.0, logits.shape[1] + 1)
    theirs, ours = (each(softmax=True, to_onehot_y=True, weight=weight) for each in both("DiceCELoss"))
    scores = logits.to(getattr(torch, kind))
    found = assert_same_call(theirs, ours, scores, labels)
    assert isinstance(found.error, RuntimeError)
    if kind != "float64":
        with torch.autocast("cpu"), strictly(monkeypatch):
            assert float(ours(scores, labels)) == pytest.approx(float(theirs(scores, labels)), rel=1e-2)


def test_a_boolean_truth_that_the_host_refuses() -> None:
    logits, _, hot = example()
    theirs, ours = (each(sigmoid=True) for each in both("TverskyLoss"))
    assert_same_call(theirs, ours, logits, hot.bool())


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
        assert_same_loss("DiceCELoss", logits, soft, sigmoid=True)


@pytest.mark.parametrize("name", OWN)
def test_soft_labels_that_are_hard(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The option changes nothing then, and of squares never."""
    logits, labels, hot = example()
    with strictly(monkeypatch):
        for options in ({"softmax": True}, {"sigmoid": True, "batch": True, "include_background": False}):
            assert_same_loss(name, logits, hot, **options, soft_label=True)
            assert_same_loss(name, logits, labels, **options, soft_label=True, to_onehot_y=True)
        if name == "DiceLoss":
            soft = example(seed=1)[0].softmax(1)
            assert_same_loss(name, logits, soft, softmax=True, soft_label=True, squared_pred=True, jaccard=True)


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
    soft = example(seed=1)[0].softmax(1)
    nan = logits.clone()
    nan[0, 0, 0, 0, 0] = float("nan")
    softmax = {"softmax": True, "to_onehot_y": True}
    return {
        "other_act": ("DiceLoss", logits, hot, {"other_act": torch.tanh}),
        "soft_label": ("DiceLoss", logits, soft, {"softmax": True, "soft_label": True}),
        "soft_label of others": ("GeneralizedDiceLoss", logits, soft, {"softmax": True, "soft_label": True}),
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
        "squares of integers": ("DiceLoss", logits, hot.long(), {"softmax": True, "squared_pred": True}),
        "soft_label of integers": ("DiceLoss", logits, hot.long(), {"softmax": True, "soft_label": True}),
        "half of a truth": ("DiceLoss", logits, hot.half(), {"softmax": True}),
        "ignored one-hot": ("DiceLoss", logits, hot, {"softmax": True, "ignore_index": 1}),
        "weight of columns": (
            "DiceCELoss",
            logits[:, :1],
            hot[:, :1],
            {"sigmoid": True, "weight": torch.arange(1.0, 8.0)},
        ),
        "no axes": ("DiceLoss", logits[:, :, 0, 0, 0], hot[:, :, 0, 0, 0], {"softmax": True}),
        "no voxels": ("DiceLoss", logits[..., :0], labels[..., :0], softmax),
        "no tensor": ("DiceLoss", logits, hot.numpy(), {"softmax": True}),
    }


CASES = [
    "other_act", "soft_label", "soft_label of others", "logits as they are", "NaN", "labels beyond the classes",
    "a truth of another shape", "a truth without channels", "one channel", "one channel without background",
    "too many weights", "negative weights", "one weight for all", "integers", "squares of integers",
    "soft_label of integers", "half of a truth", "ignored one-hot", "weight of columns", "no axes", "no voxels",
    "no tensor",
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
