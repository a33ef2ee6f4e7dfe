"""Ignite's ConfusionMatrix and ours, in the same loops."""

from __future__ import annotations

import functools
import importlib
import warnings
from typing import Any

import numpy as np
import pytest
from support.drop_ins import assert_same, let_torchvision_be_imported, outcome, strictly, went

pytestmark = [pytest.mark.torch, pytest.mark.host("ignite")]


@functools.cache
def modules() -> tuple[Any, Any, Any]:
    let_torchvision_be_imported()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the host's own imports
        return tuple(map(importlib.import_module, ("torch", "ignite.metrics", "fastseg.adapters.ignite")))


@pytest.fixture
def ours(monkeypatch: pytest.MonkeyPatch) -> Any:
    module = modules()[2]
    monkeypatch.setattr(importlib.import_module(module.__name__), "_FEW", 0)  # scores that are Ignite's
    return module


def batch(rng: np.random.Generator, classes: int, dtype: str, labels: str) -> tuple[Any, Any]:
    torch = modules()[0]
    shape = tuple(rng.integers(1, 9, rng.integers(1, 4)))
    scores = np.moveaxis(rng.permuted(np.broadcast_to(np.arange(classes), (*shape, classes)), axis=-1), -1, 1)
    truth = rng.integers(-1, classes + 2, shape)
    truth[rng.random(shape) < 0.1] = 100
    return torch.from_numpy(scores.copy()).to(getattr(torch, dtype)), torch.from_numpy(truth).to(getattr(torch, labels))


@pytest.mark.parametrize("average", [None, "samples", "recall", "precision"])
def test_random_batches(average: str | None, ours: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    _, theirs, _ = modules()
    rng = np.random.default_rng(0)
    for _ in range(20):
        classes = int(rng.integers(2, 7))
        pair = [each.ConfusionMatrix(classes, average=average) for each in (theirs, ours)]
        for _ in range(3):
            for _ in range(rng.integers(1, 4)):
                given = batch(
                    rng,
                    classes,
                    rng.choice(["float32", "float64", "bfloat16", "int64"]),
                    rng.choice(["int64", "uint8"]),
                )
                pair[0].update(given)
                with strictly(monkeypatch):
                    pair[1].update(given)
            assert_same(pair[1].compute(), pair[0].compute(), rtol=0)
            if rng.random() < 0.3:
                [each.reset() for each in pair]
                found, wanted = (outcome(each.compute).error for each in reversed(pair))
                assert type(found) is type(wanted)


@pytest.mark.parametrize("name", ["IoU", "mIoU", "DiceCoefficient", "cmAccuracy", "cmPrecision", "cmRecall"])
def test_what_is_made_of_it_in_an_engine(name: str, ours: Any) -> None:
    engine = importlib.import_module("ignite.engine").Engine(lambda _, given: given)
    _, theirs, _ = modules()
    rng = np.random.default_rng(1)
    batches = [batch(rng, 4, "float32", "int64") for _ in range(4)]
    for kind, module in (("theirs", theirs), ("ours", ours)):
        make = getattr(importlib.import_module("ignite.metrics.confusion_matrix"), name)
        assert getattr(ours, name) is make
        make(module.ConfusionMatrix(4)).attach(engine, kind)
    with went("ignite.ConfusionMatrix", fast=4):
        found = engine.run(batches).metrics
    assert_same(found["ours"], found["theirs"], rtol=0)


def test_what_is_the_hosts_to_answer_or_to_refuse(ours: Any) -> None:
    torch, theirs, _ = modules()
    scores, labels = torch.rand(2, 3, 4), torch.ones(2, 4, dtype=torch.int64)
    for given in (
        (scores.where(scores < 0.9, torch.nan), labels),
        (scores > 0.5, labels),
        (scores, labels.double()),
        (scores, labels.bool()),
        (scores[:0], labels[:0]),
        (scores, labels[:1]),
        (scores[:, :2], labels),
        (scores, scores),
        (labels, labels),
    ):
        pair = [each.ConfusionMatrix(3) for each in (theirs, ours)]
        wanted, found = (outcome(each.update, given) for each in pair)
        assert type(found.error) is type(wanted.error)
        assert str(found.error) == str(wanted.error)
        assert_same(pair[1].confusion_matrix, pair[0].confusion_matrix)
        assert pair[1]._num_examples == pair[0]._num_examples


def test_few_scores_are_the_hosts() -> None:
    torch, _, ours = modules()
    metric = ours.ConfusionMatrix(4)
    with went("ignite.ConfusionMatrix", host=1):
        metric.update((torch.rand(2, 4), torch.tensor([0, 1])))
    with went("ignite.ConfusionMatrix", fast=1):
        metric.update((torch.rand(1, 4, 64, 64), torch.zeros(1, 64, 64, dtype=torch.int64)))
    assert metric.compute().sum() == 2 + 64 * 64
