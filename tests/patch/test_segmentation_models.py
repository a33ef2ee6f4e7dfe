"""segmentation-models-pytorch while it is patched: its statistics do as they did, counted here."""

from __future__ import annotations

import importlib
from typing import Any

import pytest
from support.drop_ins import assert_same, strictly, went
from support.patched import assert_same_patched

import fastseg
from fastseg.adapters import report

pytestmark = [pytest.mark.torch, pytest.mark.host("segmentation_models")]


def host() -> Any:
    return importlib.import_module("segmentation_models_pytorch.metrics")


def maps(high: int, shape: tuple[int, ...]) -> list[Any]:
    import torch

    draw = torch.Generator().manual_seed(3)
    return [torch.randint(0, high, shape, generator=draw) for _ in range(2)]


@pytest.mark.parametrize(
    ("high", "shape", "options"),
    [
        (5, (3, 20, 30), {"mode": "multiclass", "num_classes": 5}),
        (6, (3, 20, 30), {"mode": "multiclass", "num_classes": 5, "ignore_index": 5}),
        (2, (3, 4, 20, 30), {"mode": "multilabel"}),
        (2, (3, 1, 20, 30), {"mode": "binary", "threshold": 0.5}),
        (2, (3, 1, 200, 300), {"mode": "binary"}),
    ],
)
def test_statistics(
    high: int, shape: tuple[int, ...], options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = maps(high, shape)
    pair[0].clamp_(max=4)
    with strictly(monkeypatch), went("segmentation_models.get_stats", fast=1):
        found = assert_same_patched("segmentation_models", host().get_stats, *pair, **options)
    assert sum(each.sum() for each in found.value) > 0


def test_what_is_not_covered_is_the_hosts() -> None:
    pair = maps(5, (3, 20, 30))
    for options in ({"mode": "multiclass"}, {"mode": "multiclass", "num_classes": 3}, {"mode": "classes"}):
        with went("segmentation_models.get_stats", host=1):
            assert_same_patched("segmentation_models", host().get_stats, *pair, **options)


def test_scores_of_statistics_are_the_hosts() -> None:
    statistics = host().get_stats(*maps(5, (3, 20, 30)), mode="multiclass", num_classes=5)
    before = report()
    assert_same_patched("segmentation_models", host().iou_score, *statistics, reduction="macro")
    assert report() == before


@pytest.mark.slow
def test_what_pytorch_compiles_is_the_hosts() -> None:
    import torch

    pair = maps(2, (2, 3, 9, 7))
    compiled = torch.compile(lambda *masks: host().get_stats(*masks, mode="multilabel")[0] * 2, backend="eager")
    before = report()
    with fastseg.patch("segmentation_models"):
        found = compiled(*pair)
    assert report() == before
    assert_same(found, host().get_stats(*pair, mode="multilabel")[0] * 2)
