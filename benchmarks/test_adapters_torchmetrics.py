"""The drop-ins for torchmetrics against torchmetrics itself: the same tensors, the same threads."""

from __future__ import annotations

import statistics
import time
from typing import Any

import numpy as np
import pytest
from harness import compare, record

import fastseg
from fastseg.phantom import phantom_pair

torch = pytest.importorskip("torch")
host = pytest.importorskip("torchmetrics")
ours = pytest.importorskip("fastseg.adapters.torchmetrics")

GROUP = "Drop-ins for torchmetrics: its time / ours"
OWN = "Drop-ins for torchmetrics: µs more than fastseg's own call"
TOGETHER = "Drop-ins for torchmetrics: eight metrics in a collection / the matrix alone"


@pytest.fixture(autouse=True)
def same_threads() -> Any:
    """Give PyTorch the threads that fastseg has."""
    before = torch.get_num_threads()
    torch.set_num_threads(fastseg.get_num_threads())
    yield
    torch.set_num_threads(before)


def _pair(shape: tuple[int, ...], classes: int, dtype: str) -> tuple[Any, Any]:
    """Return predictions and targets."""
    if len(shape) == 3:
        target, preds = phantom_pair(shape, classes)
    else:  # patches of eight by eight, and one pixel in fifty of any class
        draw = np.random.default_rng(0)
        target = draw.integers(0, classes, [size // 8 for size in shape]).repeat(8, 0).repeat(8, 1)
        preds = np.where(draw.random(shape) < 0.02, draw.integers(0, classes, shape), target)
    return torch.from_numpy(preds.astype(dtype)), torch.from_numpy(target.astype(dtype))


MATRICES = {
    "512³ uint8": ((512, 512, 512), 14, "u1", 120, 250, 1),
    "128³ int64": ((128, 128, 128), 14, "i8", 60, 120, 5),
    "512×512, K=150": ((512, 512), 150, "i8", 2, 4, 11),
    "256×256, K=14": ((256, 256), 14, "i8", 4, 8, 21),
    "32×32, K=4": ((32, 32), 4, "i8", 1, None, 201),
}


@pytest.mark.parametrize("case", MATRICES)
def test_confusion_matrix(benchmark: Any, case: str) -> None:
    shape, classes, dtype, floor, aim, rounds = MATRICES[case]
    preds, target = _pair(shape, classes, dtype)
    theirs = host.functional.classification.multiclass_confusion_matrix
    assert torch.equal(
        theirs(preds, target, classes, validate_args=False), ours.multiclass_confusion_matrix(preds, target, classes)
    )
    compare(
        benchmark,
        f"multiclass_confusion_matrix, {case}",
        lambda: ours.multiclass_confusion_matrix(preds, target, classes),
        [lambda: theirs(preds, target, classes)],
        group=GROUP,
        floor=floor,
        aim=aim,
        rounds=rounds,
        warmup=0 if rounds == 1 else 1,
    )


@pytest.mark.parametrize("name", ["multiclass_jaccard_index", "multiclass_f1_score", "multiclass_accuracy"])
@pytest.mark.parametrize("validate", [True, False], ids=["validated", "not validated"])
def test_small(benchmark: Any, name: str, validate: bool) -> None:
    preds, target = _pair((32, 32), 4, "i8")
    options = {"num_classes": 4, "validate_args": validate}
    theirs, mine = getattr(host.functional.classification, name), getattr(ours, name)
    assert torch.equal(theirs(preds, target, **options), mine(preds, target, **options))
    compare(
        benchmark,
        f"{name}, 32×32{'' if validate else ', not validated'}",
        lambda: mine(preds, target, **options),
        [lambda: theirs(preds, target, **options)],
        group=GROUP,
        floor=1 if validate else None,
        rounds=301,
    )


@pytest.mark.parametrize("name", ["dice_score", "mean_iou"])
def test_segmentation(benchmark: Any, name: str) -> None:
    preds, target = (each[None] for each in _pair((128, 128, 128), 14, "i8"))
    options = {"num_classes": 14, "input_format": "index"}
    theirs, mine = getattr(host.functional.segmentation, name), getattr(ours, name)
    torch.testing.assert_close(theirs(preds, target, **options), mine(preds, target, **options), rtol=1e-6, atol=0)
    compare(
        benchmark,
        f"{name} of labels, 128³, K=14",
        lambda: mine(preds, target, **options),
        [lambda: theirs(preds, target, **options)],
        group=GROUP,
        floor=300,
        aim=1000,
        rounds=3,
        warmup=0,
    )


def _least(functions: list[Any], rounds: int) -> list[float]:
    """Return the least time of each function, taken in turns."""
    times: list[list[float]] = [[] for _ in functions]
    for _ in range(rounds):
        for function, found in zip(functions, times, strict=True):
            start = time.perf_counter()
            function()
            found.append(time.perf_counter() - start)
    return [min(each) for each in times]


def test_collection_of_eight() -> None:
    preds, target = _pair((128, 128, 128), 14, "i8")
    names = [
        "Accuracy",
        "CohenKappa",
        "ConfusionMatrix",
        "F1Score",
        "JaccardIndex",
        "MatthewsCorrCoef",
        "Precision",
        "Recall",
    ]
    together = host.MetricCollection({name: getattr(ours, f"Multiclass{name}")(14) for name in names})
    alone = ours.MulticlassConfusionMatrix(14)
    for each in (together, alone):
        each.update(preds, target)
    assert len(together.compute_groups) == 1
    ratios, times = [], []
    for _ in range(7):
        eight, one = _least([lambda: together.update(preds, target), lambda: alone.update(preds, target)], 5)
        ratios.append(eight / one)
        times.append(eight)
    record("128³, K=14, update", ratios, statistics.median(times), group=TOGETHER, floor=1.2, at_most=True)


@pytest.mark.parametrize("size", [32, 256])
def test_overhead(size: int) -> None:
    preds, target = _pair((size, size), 14, "i8")
    true, pred = target.numpy(), preds.numpy()
    more = []
    for _ in range(7):
        dropped, own = _least(
            [
                lambda: ours.multiclass_confusion_matrix(preds, target, 14),
                lambda: fastseg.confusion_matrix(true, pred, num_classes=14),
            ],
            200,
        )
        more.append((dropped - own) * 1e6)
    record(f"multiclass_confusion_matrix, {size}×{size}", more, 0, group=OWN, floor=20, aim=8, unit=" µs", at_most=True)
