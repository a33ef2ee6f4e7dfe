"""Random arguments for torchmetrics' metrics of classification: shapes, types, options, and what is wrong now and then."""

from __future__ import annotations

import contextlib
import inspect
import random
from typing import Any

TASKS = ("binary", "multiclass", "multilabel")


class Case:
    """Predictions, targets and options of a function, by its name.

    Parameters
    ----------
    function
        The host's, whose parameters tell which options there are.
    seed
        What is drawn.
    """

    def __init__(self, function: Any, seed: int) -> None:
        import torch

        self.torch, self.random = torch, random.Random(f"{function.__name__} {seed}")
        self.numbers = torch.Generator().manual_seed(self.random.getrandbits(31))
        self.task = function.__name__.partition("_")[0]
        self.parameters = inspect.signature(function).parameters
        self.classes = self.random.choice([2, 3, 5, 14])
        self.options: dict[str, Any] = {}
        self.shape = self.random.choice(self._shapes())
        self.target = self._target()
        self.preds = self._preds()
        self._spoil()
        self._draw_options()

    def _shapes(self) -> list[tuple[int, ...]]:
        c = self.classes
        if self.task == "multilabel":
            return [(20, c), (3, c, 25), (1, c, 30), (2, c, 50, 30), (2, c, 1)]
        return [(40,), (4, 30), (3, 2, 25), (1, 50), (2, 70, 40), (5,), (2, 1), (70, 90)]

    def _labels(self, high: int) -> Any:
        torch = self.torch
        kinds = [torch.int64] * 4 + [torch.uint8, torch.int32, torch.int8, torch.int16, torch.bool]
        return torch.randint(0, high, self.shape, generator=self.numbers).to(self.random.choice(kinds))

    def _target(self) -> Any:
        target = self._labels(self.classes if self.task == "multiclass" else 2)
        ignored = self.random.choice([None, None, -1, 255, 0, 1, self.classes + 3, -100, 300])
        if ignored is not None:
            share = self.random.choice([0, 0.2, 0.2, 1.0])
            with contextlib.suppress(RuntimeError):  # it does not fit the type
                target[self.torch.rand(self.shape, generator=self.numbers) < share] = ignored
            if self.random.random() < 0.9:
                self.options["ignore_index"] = ignored
        return target

    def _preds(self) -> Any:
        torch, draw = self.torch, self.random
        kind = draw.choice([torch.float32] * 3 + [torch.float64, torch.float16, torch.bfloat16])
        if self.task == "multiclass":
            self.options["num_classes"] = self.classes
            if draw.random() < 0.6:
                return self._labels(self.classes)
            scores = torch.randn((self.shape[0], self.classes, *self.shape[1:]), generator=self.numbers)
            scores = (scores * 2).round() if draw.random() < 0.3 else scores  # ties
        else:
            if self.task == "multilabel":
                self.options["num_labels"] = self.classes
            if draw.random() < 0.3:
                self.options["threshold"] = draw.choice([0.3, 0.5, 0.9])
            if draw.random() < 0.5:
                return self._labels(2)
            scores = draw.choice([torch.rand, torch.randn])(self.shape, generator=self.numbers)
        scores = scores.to(kind)
        if draw.random() < 0.1:
            scores.view(-1)[0] = float("nan")
        return scores

    def _spoil(self) -> None:
        """Write a label that is no class, seldom."""
        for labels in (self.preds, self.target):
            if not labels.is_floating_point() and labels.dtype != self.torch.bool and self.random.random() < 0.1:
                labels.view(-1)[-1] = self.random.choice([self.classes, 2, 7, 100])

    def _draw_options(self) -> None:
        draw = self.random
        for name, share, values in (
            ("average", 0.7, ["micro", "macro", "weighted", "none", None]),
            ("multidim_average", 0.4, ["samplewise", "global"]),
            ("zero_division", 0.3, [1]),
            ("normalize", 0.5, ["true", "pred", "all", "none"]),
            ("weights", 0.5, ["linear", "quadratic"]),
            ("beta", 1.0, [1.0, 2.0, 0.5]),
            ("top_k", 0.1, [2]),
            ("n_bins", 0.5, [1, 7, 30]),
            ("norm", 0.7, ["l1", "l2", "max"]),
            ("validate_args", 0.3, [False]),
        ):
            if name in self.parameters and draw.random() < share:
                self.options[name] = draw.choice(values)
