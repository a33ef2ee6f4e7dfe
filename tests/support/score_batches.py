"""Scores that come in batches."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastseg import Evaluator

C, CASES, SHAPE = 4, 6, (7, 9)


class Data:
    def __init__(self, options: dict[str, Any]) -> None:
        rng = np.random.default_rng(3)
        single = options.get("channel_axis", -1) is None
        self.score = rng.normal(0, 2, (CASES, *SHAPE) if single else (CASES, *SHAPE, C))
        self.true = rng.integers(0, 2 if single else 3, (CASES, *SHAPE))
        self.weight = rng.random((CASES, *SHAPE)) + 0.25
        self.mask = rng.random((CASES, *SHAPE)) < 0.9

    def update(self, evaluator: Evaluator, part: slice, weighted: bool = False, **options: Any) -> Evaluator:
        weight = self.weight[part] if weighted else None
        evaluator.update(self.true[part], self.score[part], mask=self.mask[part], sample_weight=weight, **options)
        return evaluator

    def filled(self, options: dict[str, Any], part: slice = slice(None), weighted: bool = False) -> Evaluator:
        return self.update(Evaluator(scores=True, **options), part, weighted, sample_axis=0)
