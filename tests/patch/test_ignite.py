"""Ignite while it is patched: a confusion matrix that lived before, and what is made of one, in an engine."""

from __future__ import annotations

import importlib
from typing import Any

import pytest
from support.drop_ins import strictly, went
from support.patched import assert_same_patched

pytestmark = [pytest.mark.torch, pytest.mark.host("ignite")]


def batches(number: int = 3) -> list[tuple[Any, Any]]:
    import torch

    draw = torch.Generator().manual_seed(3)
    return [
        (torch.randn(2, 4, 64, 64, generator=draw), torch.randint(-1, 6, (2, 64, 64), generator=draw))
        for _ in range(number)
    ]


def test_in_an_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    metrics = importlib.import_module("ignite.metrics")
    engine = importlib.import_module("ignite.engine").Engine(lambda _, given: given)
    matrix = metrics.ConfusionMatrix(4)
    matrix.attach(engine, "matrix")
    metrics.mIoU(matrix, ignore_index=0).attach(engine, "mIoU")
    metrics.DiceCoefficient(matrix).attach(engine, "dice")
    given = batches()
    with strictly(monkeypatch), went("ignite.ConfusionMatrix", fast=3):
        found = assert_same_patched("ignite", lambda: dict(engine.run(given).metrics), rtol=0)
    assert found.value["matrix"].sum() > 10_000


def test_a_class_made_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    class Thresholded(importlib.import_module("ignite.metrics").ConfusionMatrix):  # type: ignore[misc]
        def update(self, output: Any) -> None:
            super().update((output[0] > 0.5, output[1]))

    def life() -> Any:
        metric = Thresholded(4)
        for each in batches(1):
            metric.update(each)
        return metric.compute()

    with went("ignite.ConfusionMatrix", host=1):  # scores of bool
        assert_same_patched("ignite", life)


def test_what_the_host_refuses() -> None:
    scores, labels = batches(1)[0]
    metric = importlib.import_module("ignite.metrics").ConfusionMatrix(4)
    for given in ((scores[:, :3], labels), (scores, labels[:1]), (scores[0, 0, 0], labels)):
        found = assert_same_patched("ignite", metric.update, given)
        assert isinstance(found.error, ValueError)


def test_few_scores_are_the_hosts() -> None:
    metric = importlib.import_module("ignite.metrics").ConfusionMatrix(4)
    scores, labels = batches(1)[0]
    with went("ignite.ConfusionMatrix", host=1):
        assert_same_patched("ignite", metric.update, (scores[:1, :, 0], labels[:1, 0]))
