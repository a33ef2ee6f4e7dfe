"""torchmetrics while it is patched: functions, and metrics that lived before, do as they did, counted here."""

from __future__ import annotations

import copy
import importlib
import sys
from typing import Any

import pytest
from support.drop_ins import assert_same, strictly, went
from support.patched import assert_same_patched
from support.torchmetrics_cases import TASKS, Case

import fastseg
from fastseg.adapters import report

pytestmark = pytest.mark.torch

#: Functions, the classes of their metrics, and for which tasks there are some.
FAMILIES = [
    ("accuracy", "Accuracy", TASKS),
    ("cohen_kappa", "CohenKappa", TASKS[:2]),
    ("confusion_matrix", "ConfusionMatrix", TASKS),
    ("f1_score", "F1Score", TASKS),
    ("fbeta_score", "FBetaScore", TASKS),
    ("jaccard_index", "JaccardIndex", TASKS),
    ("matthews_corrcoef", "MatthewsCorrCoef", TASKS),
    ("precision", "Precision", TASKS),
    ("stat_scores", "StatScores", TASKS),
]
NAMES = [(f"{task}_{stem}", f"{task.capitalize()}{kind}") for stem, kind, tasks in FAMILIES for task in tasks]


def host(module: str) -> Any:
    return importlib.import_module(f"torchmetrics.{module}")


def states(metric: Any) -> dict[str, Any]:
    """Return copies of what a metric keeps: lists are emptied when it is reset."""
    return {name: copy.copy(getattr(metric, name)) for name in metric._defaults}


@pytest.mark.parametrize("name", [function for function, _ in NAMES])
def test_functions(name: str) -> None:
    function, before = getattr(host("functional.classification"), name), report().get(f"torchmetrics.{name}")
    for seed in range(200, 225):
        case = Case(function, seed)
        assert_same_patched("torchmetrics", function, case.preds, case.target, rtol=1e-6, **case.options)
    assert report()[f"torchmetrics.{name}"].fast - (before.fast if before else 0) > 5


@pytest.mark.parametrize(("function", "name"), NAMES)
def test_metrics_that_lived_before(function: str, name: str) -> None:
    made, function = getattr(host("classification"), name), getattr(host("functional.classification"), function)
    before = report().get(f"torchmetrics.{name}")
    for seed in range(300, 320):
        case = Case(function, seed)
        if name == "BinaryConfusionMatrix":
            case.options.pop("zero_division", None)
        metric = made(**case.options)

        def life(metric: Any = metric, case: Case = case) -> Any:
            metric.reset()
            metric.update(case.preds, case.target)
            step = metric(case.preds.flip(0), case.target)
            return step, metric.compute(), states(metric)

        assert_same_patched("torchmetrics", life, rtol=1e-6)
    assert report()[f"torchmetrics.{name}"].fast - (before.fast if before else 0) > 5


def test_collections_and_tasks_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    metrics = host("classification")
    collection = importlib.import_module("torchmetrics").MetricCollection(
        {
            "iou": metrics.JaccardIndex(task="multiclass", num_classes=4),
            "kappa": metrics.MulticlassCohenKappa(4),
            "f1": metrics.F1Score(task="multiclass", num_classes=4, average="macro"),
        }
    )
    pair = torch.arange(60).reshape(3, 20) % 4, torch.arange(60).reshape(3, 20) // 4 % 4

    def life() -> Any:
        collection.reset()
        for _ in range(3):
            collection.update(*pair)
        return collection.compute()

    with strictly(monkeypatch):
        assert_same_patched("torchmetrics", life, rtol=1e-6)


@pytest.mark.parametrize("name", ["DiceScore", "GeneralizedDiceScore", "MeanIoU"])
@pytest.mark.parametrize("background", [True, False])
@pytest.mark.parametrize("form", ["index", "one-hot"])
def test_segmentation(name: str, background: bool, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    draw = torch.Generator().manual_seed(4)
    shape, high = ((3, 30, 20), 5) if form == "index" else ((3, 5, 30, 20), 2)
    pair = [torch.randint(0, high, shape, generator=draw) for _ in range(2)]
    options: dict[str, Any] = {"num_classes": 5, "include_background": background, "input_format": form}
    options |= {"average": "macro"} if name == "DiceScore" else {}
    metric = getattr(host("segmentation"), name)(**options)
    function = getattr(
        host("functional.segmentation"),
        {"DiceScore": "dice_score", "MeanIoU": "mean_iou"}.get(name, "generalized_dice_score"),
    )

    def life() -> Any:
        metric.reset()
        metric.update(*pair)
        metric.update(pair[1], pair[0])
        return metric.compute(), states(metric)

    with strictly(monkeypatch):
        with went(f"torchmetrics.{name}", fast=2):
            assert_same_patched("torchmetrics", life, rtol=1e-6)
        assert_same_patched("torchmetrics", function, *pair, rtol=1e-6, **options)


def test_what_the_fast_path_itself_asks_the_host() -> None:
    """Our dice_score lets the host's warn: that is not sent back to ours."""
    import torch

    maps, options = torch.arange(40).reshape(2, 20) % 3, {"num_classes": 3, "input_format": "index", "average": "micro"}
    with went("torchmetrics.dice_score", fast=1):
        assert_same_patched("torchmetrics", host("functional.segmentation").dice_score, maps, maps, **options)


def test_what_is_not_covered_leaves_the_state_as_the_host_does() -> None:
    import torch

    metric = host("classification").MulticlassAccuracy(4, top_k=2)
    scores, target = torch.randn(30, 4, generator=torch.Generator().manual_seed(3)), torch.arange(30) % 4

    def life() -> Any:
        metric.reset()
        metric.update(scores, target)
        return metric.compute(), metric.tp

    with went("torchmetrics.MulticlassAccuracy", host=1):
        assert_same_patched("torchmetrics", life)


def test_our_own_metrics_are_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    ours = importlib.import_module("fastseg.adapters.torchmetrics").MulticlassConfusionMatrix(3)
    maps = torch.arange(40) % 3
    with fastseg.patch("torchmetrics"), strictly(monkeypatch), went("torchmetrics.MulticlassConfusionMatrix", fast=1):
        ours.update(maps, maps)
    assert ours.compute().sum() == 40


@pytest.mark.slow
@pytest.mark.skipif(sys.version_info >= (3, 15), reason="PyTorch compiles no code of that version")
def test_what_pytorch_compiles_is_the_hosts() -> None:
    import torch

    function = host("functional.classification").multiclass_confusion_matrix
    maps = torch.arange(40) % 3

    @torch.compile(backend="eager")
    def compiled(x: Any) -> Any:
        return function(x + 0, x, num_classes=3) * 2

    expected = function(maps, maps, num_classes=3) * 2  # also finds out which packages there are, which is not compiled
    before = report()
    with fastseg.patch("torchmetrics"):
        found = compiled(maps)
    assert report() == before
    assert_same(found, expected)
