"""The functional forms against torchmetrics' own: same numbers, types, warnings and errors for drawn arguments."""

from __future__ import annotations

import importlib
from typing import Any

import pytest
from support.drop_ins import assert_same_call, strictly, went
from support.torchmetrics_cases import TASKS, Case

pytestmark = pytest.mark.torch

STEMS = [
    "accuracy",
    "cohen_kappa",
    "confusion_matrix",
    "f1_score",
    "fbeta_score",
    "hamming_distance",
    "jaccard_index",
    "matthews_corrcoef",
    "negative_predictive_value",
    "precision",
    "recall",
    "specificity",
    "stat_scores",
]
NAMES = [
    f"{task}_{stem}"
    for stem in STEMS
    for task in TASKS
    if (task, stem) not in (("multilabel", "cohen_kappa"), ("multilabel", "calibration_error"))
]


def both(name: str) -> tuple[Any, Any]:
    """Return the host's function and ours."""
    host = importlib.import_module("torchmetrics.functional.classification")
    return getattr(host, name), getattr(importlib.import_module("fastseg.adapters.torchmetrics"), name)


@pytest.mark.parametrize("name", NAMES)
def test_drawn_arguments(name: str) -> None:
    theirs, ours = both(name)
    for seed in range(40):
        case = Case(theirs, seed)
        assert_same_call(theirs, ours, case.preds, case.target, rtol=1e-6, **case.options)


@pytest.mark.parametrize("stem", STEMS)
def test_tasks_by_name(stem: str) -> None:
    import torch

    theirs, ours = both(stem)
    options = {"beta": 2.0} if stem == "fbeta_score" else {}
    scores, target = torch.rand(30, generator=torch.Generator().manual_seed(1)), torch.arange(30) % 2
    with went(f"torchmetrics.{stem}", fast=1):
        assert_same_call(theirs, ours, scores, target, task="binary", rtol=1e-6, **options)
    scores, target = torch.rand(30, 3, generator=torch.Generator().manual_seed(1)), torch.arange(30) % 3
    with went(f"torchmetrics.{stem}", fast=1):
        assert_same_call(theirs, ours, scores, target, task="multiclass", num_classes=3, rtol=1e-6, **options)
    assert_same_call(theirs, ours, scores, target, task="multiclass", **options)
    assert_same_call(theirs, ours, scores, target, task="other", **options)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_common_is_counted_here(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    theirs, ours = both(name)
    draw = torch.Generator().manual_seed(2)
    size: dict[str, Any] = {"multiclass": {"num_classes": 5}, "multilabel": {"num_labels": 5}}.get(
        name.split("_")[0], {}
    )
    size |= {"beta": 0.5} if "fbeta" in name else {}
    scores = torch.randn(4, 5, 20, 20, generator=draw)
    target = torch.randint(0, 5, (4, 20, 20), generator=draw) if "multiclass" in name else (scores > 1).long()
    with strictly(monkeypatch):
        for ignored in (None, 1, -100):
            assert_same_call(theirs, ours, scores, target, ignore_index=ignored, rtol=1e-6, **size)


@pytest.mark.parametrize("ignored", [None, 2, 255])
@pytest.mark.parametrize("average", ["macro", "micro"])
def test_large_maps(average: str, ignored: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that the kernels count, in 8 and 64 bits, in rows and not."""
    import torch

    theirs, ours = both("multiclass_f1_score")
    draw = torch.Generator().manual_seed(3)
    target, preds = torch.randint(0, 4, (2, 3, 90, 70), generator=draw)
    with strictly(monkeypatch):
        for kind in (torch.uint8, torch.int64):
            for pair in ((preds, target), (preds.mT, target.mT), (preds[..., ::2], target[..., ::2])):
                given = [each.to(kind) if kind == torch.uint8 else each for each in pair]
                for apart in ("global", "samplewise"):
                    assert_same_call(
                        theirs,
                        ours,
                        *given,
                        4,
                        average=average,
                        ignore_index=ignored,
                        multidim_average=apart,
                        rtol=1e-6,
                    )


def test_a_predicted_label_where_nothing_counts_is_still_validated() -> None:
    import torch

    theirs, ours = both("multiclass_confusion_matrix")
    target = torch.full((90, 90), 255)
    preds = torch.arange(90).repeat(90, 1)
    found = assert_same_call(theirs, ours, preds, target, 3, ignore_index=255)
    assert isinstance(found.error, RuntimeError)
    assert_same_call(theirs, ours, preds, target, 3, ignore_index=255, validate_args=False)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda x: x.to("meta"),
        lambda x: x.to_sparse(),
        lambda x: x.tolist(),
        lambda x: x.numpy(),
        lambda x: x[:0],
        lambda x: x[None],
    ],
)
def test_what_is_no_plain_tensor_is_the_hosts(spoil: Any) -> None:
    import torch

    target = torch.arange(12) % 3
    for name, size in (("multiclass_confusion_matrix", {"num_classes": 3}), ("binary_accuracy", {})):
        theirs, ours = both(name)
        given = target if size else target % 2
        for pair in ((spoil(given), given), (given, spoil(given))):
            with went(f"torchmetrics.{name}", host=1):
                assert_same_call(theirs, ours, *pair, **size)


def test_scores_may_carry_gradients() -> None:
    import torch

    for name, size in (("multiclass_accuracy", {"num_classes": 3}), ("binary_accuracy", {})):
        theirs, ours = both(name)
        scores = torch.rand((4, 3, 5), requires_grad=True)
        target = torch.arange(20).reshape(4, 5) % 3 if size else torch.ones(4, 3, 5, dtype=torch.long)
        with went(f"torchmetrics.{name}", fast=1):
            found = assert_same_call(theirs, ours, scores, target, **size)
        assert not found.value.requires_grad
