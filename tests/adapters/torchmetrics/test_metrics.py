"""The metric classes of classification against torchmetrics' own, through forward, reset, pickles, copies and merges."""

from __future__ import annotations

import importlib
import random
from typing import Any

import pytest
from support.drop_ins import assert_same, went
from support.torchmetrics_cases import Case
from support.torchmetrics_lives import LIVES, assert_same_life

pytestmark = pytest.mark.torch

FAMILIES = [
    ("accuracy", "Accuracy"),
    ("cohen_kappa", "CohenKappa"),
    ("confusion_matrix", "ConfusionMatrix"),
    ("f1_score", "F1Score"),
    ("fbeta_score", "FBetaScore"),
    ("hamming_distance", "HammingDistance"),
    ("jaccard_index", "JaccardIndex"),
    ("matthews_corrcoef", "MatthewsCorrCoef"),
    ("negative_predictive_value", "NegativePredictiveValue"),
    ("precision", "Precision"),
    ("recall", "Recall"),
    ("specificity", "Specificity"),
    ("stat_scores", "StatScores"),
]
NAMES = [
    (f"{task}_{function}", f"{task.capitalize()}{name}")
    for function, name in FAMILIES
    for task in ("binary", "multiclass", "multilabel")
    if (task, name) != ("multilabel", "CohenKappa")
]


def both(name: str) -> tuple[Any, Any]:
    """Return the host's class and ours."""
    host = importlib.import_module("torchmetrics.classification")
    return getattr(host, name), getattr(importlib.import_module("fastseg.adapters.torchmetrics"), name)


@pytest.mark.parametrize(("function", "name"), NAMES)
def test_drawn_lives(function: str, name: str) -> None:
    import torch

    theirs, ours = both(name)
    function_of_host = getattr(importlib.import_module("torchmetrics.functional.classification"), function)
    for seed in range(100, 125):
        case, draw = Case(function_of_host, seed), random.Random(seed)
        if name == "BinaryConfusionMatrix":
            case.options.pop("zero_division", None)
        batches = [(case.preds, case.target)]
        for _ in range(draw.choice([0, 1, 2])):
            order = torch.randperm(len(case.preds), generator=case.numbers)
            batches.append((case.preds[order], case.target[order]))
        if case.task == "multilabel" and case.options.get("multidim_average") == "samplewise" and len(case.preds) == 1:
            continue  # see below
        assert_same_life(theirs, ours, case.options, batches, draw.choice(LIVES))


def test_a_batch_of_one_sample_is_a_row_like_any_other() -> None:
    """The host takes the axis of samples away there, and then averages over the wrong one."""
    import torch

    theirs, ours = both("MultilabelAccuracy")
    options = {"num_labels": 3, "multidim_average": "samplewise", "average": "none"}
    draw = torch.Generator().manual_seed(1)
    preds, target = torch.randint(0, 2, (2, 4, 3, 50), generator=draw)
    whole, parts, host = ours(**options), ours(**options), theirs(**options)
    whole.update(preds, target)
    host.update(preds, target)
    for n in range(4):
        parts.update(preds[n : n + 1], target[n : n + 1])
    assert_same(parts.compute(), host.compute())
    assert_same(whole.compute(), host.compute())


@pytest.mark.parametrize("average", ["micro", "macro"])
@pytest.mark.parametrize("classes", [3, 300])
def test_labels_that_are_no_class(classes: int, average: str) -> None:
    """Micro averages of the host count them where they are not validated; others fail."""
    import torch

    target, preds = torch.randint(0, classes, (2, 60), generator=torch.Generator().manual_seed(2))
    target[:5], preds[3:8] = -7, classes + 4
    options = {"num_classes": classes, "average": average, "validate_args": False}
    for name in ("MulticlassAccuracy", "MulticlassStatScores"):
        for pair in ((preds, target), (preds.float() + 0.5, target), (preds.clamp(0, 2), target.clamp(0, 2).float())):
            assert_same_life(*both(name), options, [pair, pair], "forward")


def test_matrices_refuse_what_a_micro_average_let_in() -> None:
    import torch
    from torchmetrics import MetricCollection

    from fastseg.adapters import torchmetrics as ours

    options: dict[str, Any] = {"num_classes": 3, "validate_args": False}
    together = MetricCollection(
        {"a": ours.MulticlassAccuracy(average="micro", **options), "b": ours.MulticlassRecall(**options)}
    )
    together.update(torch.tensor([0, 1, 2]), torch.tensor([0, 1, 2]))
    assert together.compute_groups == {0: ["a", "b"]}
    together.update(torch.tensor([0, 1, 2]), torch.tensor([0, 1, 7]))
    assert float(together["a"].compute()) == pytest.approx(5 / 6)
    with pytest.raises(RuntimeError, match="labels that are no class"):
        together["b"].compute()


@pytest.mark.parametrize("name", [name for _, name in FAMILIES])
def test_tasks_by_name(name: str) -> None:
    import torch

    theirs, ours = both(name)
    options = {"beta": 2.0} if name == "FBetaScore" else {}
    scores, target = torch.rand(30, 3, generator=torch.Generator().manual_seed(1)), torch.arange(30) % 3
    assert_same_life(theirs, ours, {"task": "multiclass", "num_classes": 3} | options, [(scores, target)], "forward")
    assert_same_life(theirs, ours, {"task": "binary"} | options, [(scores[:, 0], target % 2)], "forward")
    assert_same_life(theirs, ours, {"task": "multiclass"} | options, [], "forward")
    assert type(ours(task="binary", **options)) is both(f"Binary{name}")[1]


def test_states_of_the_host_can_be_read() -> None:
    import torch

    draw = torch.Generator().manual_seed(4)
    preds, target = torch.randint(0, 3, (2, 4, 50), generator=draw)
    for name, options in (
        ("MulticlassConfusionMatrix", {}),
        ("MulticlassRecall", {}),
        ("MulticlassRecall", {"average": "micro"}),
        ("MulticlassRecall", {"multidim_average": "samplewise"}),
        ("MulticlassRecall", {"top_k": 2}),
    ):
        theirs, ours = (each(num_classes=3, **options) for each in both(name))
        scores = torch.rand(4, 3, 50, generator=draw) if "top_k" in options else preds
        for metric in (theirs, ours):
            metric.update(scores, target)
        for state in theirs.metric_state:
            assert_same(getattr(ours, state), getattr(theirs, state))
    assert isinstance(ours, type(theirs))


def test_report_says_who_counted() -> None:
    import torch

    _, ours = both("MulticlassAccuracy")
    metric = ours(num_classes=3)
    with went("torchmetrics.MulticlassAccuracy", fast=1, host=1):
        metric.update(torch.tensor([0, 1]), torch.tensor([0, 1]))
        metric.update(torch.tensor([0, 1]), torch.tensor([0.0, 1.0]))
    with went("torchmetrics.MulticlassAccuracy", host=1):
        ours(num_classes=3, top_k=2).update(torch.rand(4, 3), torch.tensor([0, 1, 2, 0]))


def test_other_options_do_not_merge() -> None:
    _, ours = both("MulticlassAccuracy")
    with pytest.raises(ValueError, match="to be present in incoming state"):
        ours(num_classes=3).merge_state(ours(num_classes=3, ignore_index=1))
