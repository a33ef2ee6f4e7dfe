"""The segmentation scores against torchmetrics' own: functions and metrics, labels, masks and scores."""

from __future__ import annotations

import importlib
import random
from typing import Any

import pytest
from support.drop_ins import assert_same_call, strictly
from support.torchmetrics_lives import LIVES, assert_same_life

pytestmark = pytest.mark.torch

NAMES = [("dice_score", "DiceScore"), ("mean_iou", "MeanIoU"), ("generalized_dice_score", "GeneralizedDiceScore")]


def both(name: str) -> tuple[Any, Any]:
    """Return the host's and ours, a function or a class."""
    host = importlib.import_module(
        "torchmetrics.segmentation" if name[0].isupper() else "torchmetrics.functional.segmentation"
    )
    return getattr(host, name), getattr(importlib.import_module("fastseg.adapters.torchmetrics"), name)


class Drawn:
    """Drawn predictions, targets and options."""

    def __init__(self, seed: int, function: str) -> None:
        import torch

        self.torch, self.draw, self.numbers = torch, random.Random(seed), torch.Generator().manual_seed(seed)
        draw = self.draw
        self.classes, self.samples = draw.choice([1, 2, 3, 5]), draw.choice([1, 2, 4])
        self.space = draw.choice([(10,), (8, 9), (40, 50), (5, 6, 7), ()])
        kind = draw.choice(["index", "one-hot", "mixed"])
        sides = {"index": "ll", "one-hot": "mm", "mixed": draw.choice(["lm", "ml"])}[kind]
        self.preds, self.target = (self.labels() if side == "l" else self.masks() for side in sides)
        self.options: dict[str, Any] = {"input_format": kind, "num_classes": self.classes}
        if draw.random() < 0.1:
            self.options["num_classes"] = None if function == "mean_iou" else self.classes + (kind == "index")
        if draw.random() < 0.4:
            self.options["include_background"] = False
        if function == "dice_score":
            self.options["average"] = draw.choice(["micro", "macro", "weighted", "none", None])
            self.options["aggregation_level"] = draw.choice(["samplewise", "global"])
        elif draw.random() < 0.5:
            self.options["per_class"] = True
        if function == "generalized_dice_score":
            self.options["weight_type"] = draw.choice(["square", "simple", "linear"])

    def labels(self) -> Any:
        torch, draw = self.torch, self.draw
        labels = torch.randint(0, self.classes, (self.samples, *self.space), generator=self.numbers)
        if draw.random() < 0.2 and self.classes > 1:
            labels = labels.clamp(max=self.classes - 2)
        if draw.random() < 0.05:
            labels.view(-1)[0] = draw.choice([self.classes, -1])
        return labels.to(draw.choice([torch.uint8, torch.int32])) if draw.random() < 0.1 else labels

    def masks(self) -> Any:
        torch, draw = self.torch, self.draw
        shape = (self.samples, self.classes, *self.space)
        if draw.random() < 0.4:
            kinds = [torch.float32, torch.float16, torch.float64]
            return torch.randn(shape, generator=self.numbers).to(draw.choice(kinds))
        masks = torch.randint(0, 2, shape, generator=self.numbers)
        masks = masks * 3 if draw.random() < 0.05 else masks
        return masks.to(draw.choice([torch.int64, torch.bool, torch.uint8, torch.int32]))


@pytest.mark.parametrize(("function", "name"), NAMES)
def test_drawn_arguments(function: str, name: str) -> None:
    for seed in range(120):
        case = Drawn(seed, function)
        assert_same_call(*both(function), case.preds, case.target, rtol=1e-6, **case.options)


@pytest.mark.parametrize(("function", "name"), NAMES)
def test_drawn_lives(function: str, name: str) -> None:
    for seed in range(1000, 1080):
        case = Drawn(seed, function)
        batches = [(case.preds, case.target)] * case.draw.choice([1, 2, 3])
        assert_same_life(*both(name), case.options, batches, case.draw.choice([x for x in LIVES if x != "state_dict"]))


@pytest.mark.parametrize("kind", ["index", "one-hot", "mixed"])
@pytest.mark.parametrize(("function", "name"), NAMES)
def test_what_is_common_is_counted_here(function: str, name: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    draw = torch.Generator().manual_seed(5)
    target, preds = torch.randint(0, 4, (2, 2, 30, 40), generator=draw)
    scores = torch.rand(2, 4, 30, 40, generator=draw)
    masks = torch.nn.functional.one_hot(target, 4).movedim(-1, 1)
    given = {"index": (preds, target), "one-hot": (scores, masks), "mixed": (scores, target)}[kind]
    with strictly(monkeypatch):
        assert_same_call(*both(function), *given, num_classes=4, input_format=kind, rtol=1e-6)
        options = {"num_classes": 4, "input_format": kind}
        assert_same_life(*both(name), options, [given, given], "forward")


@pytest.mark.parametrize("name", ["DiceScore", "MeanIoU"])
def test_a_batch_of_no_samples_is_one(name: str) -> None:
    import torch

    theirs, ours = (each(num_classes=3) for each in both(name))
    for metric in (theirs, ours):
        metric.update(*[torch.zeros((0, 3, 4, 4), dtype=torch.long)] * 2)
    torch.testing.assert_close(ours.compute(), theirs.compute(), equal_nan=True)


def test_micro_warns_once() -> None:
    import torch

    labels = torch.zeros(1, 4, dtype=torch.long)
    for each in (labels, labels.int()):  # counted here, and refused by the host
        assert_same_call(*both("dice_score"), each, each, 2, average="micro", input_format="index")
        assert_same_call(*both("dice_score"), each, each, 2, True, "micro", "index")
