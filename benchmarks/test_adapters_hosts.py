"""How much faster drop-ins are than their hosts: the same call, on the same arrays."""

from __future__ import annotations

import importlib
import math
import warnings
from collections.abc import Callable
from typing import Any

import pytest
from harness import compare
from support.drop_ins import host_is_there

from fastseg.phantom import phantom_pair

GROUP = "Drop-ins: the host's time / ours"


def calls(function: Callable[[], Any], times: int) -> Callable[[], Any]:
    """Return a call that is long enough for a clock."""
    return lambda: [function() for _ in range(times)]


@pytest.mark.parametrize("name", ["dc", "specificity"])
@pytest.mark.parametrize(
    ("shape", "times", "floor"), [((32, 32, 1), 200, 0.7), ((512, 512, 1), 20, 1), ((128, 128, 128), 3, 1.5)]
)
def test_medpy(benchmark: Any, name: str, shape: tuple[int, ...], times: int, floor: float) -> None:
    theirs = getattr(pytest.importorskip("medpy.metric.binary"), name)
    ours = getattr(importlib.import_module("fastseg.adapters.medpy"), name)
    reference, result = (labels == 1 for labels in phantom_pair(shape, 2))
    assert ours(result, reference) == theirs(result, reference)
    compare(
        benchmark,
        f"MedPy {name}, bool {'×'.join(map(str, shape))}",
        calls(lambda: ours(result, reference), times),
        [calls(lambda: theirs(result, reference), times)],
        group=GROUP,
        floor=floor,
    )


def need(host: str) -> Any:
    """Return our module of drop-ins, where the host is installed."""
    if not host_is_there(host):
        pytest.skip(f"{host} is not installed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the host's own imports
        return importlib.import_module(f"fastseg.adapters.{host}")


#: Shape, mode, classes, calls a round, floor, aim.
STATS = {
    "multiclass 16×1024²": ((16, 1024, 1024), "multiclass", 14, 1, 20, 60),
    "multiclass 1×4096²": ((1, 4096, 4096), "multiclass", 14, 1, 20, 60),
    "multiclass 8×256²": ((8, 256, 256), "multiclass", 14, 3, 3, None),
    "multiclass 1×32²": ((1, 32, 32), "multiclass", 4, 50, 1, None),
    "binary 16×1×1024²": ((16, 1, 1024, 1024), "binary", 2, 1, 5, None),
    "binary 1×1×32²": ((1, 1, 32, 32), "binary", 2, 50, 1, None),
}


@pytest.mark.parametrize("scores", [False, True], ids=["int64", "float32"])
@pytest.mark.parametrize("case", STATS)
def test_get_stats(benchmark: Any, case: str, scores: bool) -> None:
    shape, mode, classes, times, floor, aim = STATS[case]
    if scores and mode == "multiclass":
        pytest.skip("labels are integers")
    ours = need("segmentation_models").get_stats
    torch, theirs = (importlib.import_module(name) for name in ("torch", "segmentation_models_pytorch.metrics"))
    pair = phantom_pair((shape[0], *shape[-2:]), classes)
    target, output = (torch.from_numpy(each.reshape(shape)).long() for each in pair)
    options = {"num_classes": classes} if mode == "multiclass" else {"threshold": 0.5} if scores else {}
    output = output.float() if scores else output
    call = lambda function: lambda: function(output, target, mode, **options)  # noqa: E731
    for found, wanted in zip(call(ours)(), call(theirs.get_stats)(), strict=True):
        assert torch.equal(found, wanted)
    compare(
        benchmark,
        f"SMP get_stats, {case}, {'float32' if scores else 'int64'}",
        calls(call(ours), times),
        [calls(call(theirs.get_stats), times)],
        group=GROUP,
        floor=floor,
        aim=aim,
    )


@pytest.mark.parametrize("backward", [False, True], ids=["forward", "and backward"])
@pytest.mark.parametrize(
    ("name", "mode", "shape", "times", "floors"),
    [
        ("DiceLoss", "multiclass", (16, 19, 256, 512), 1, (3, 3)),
        ("DiceLoss", "binary", (16, 1, 1024, 1024), 1, (3, 3)),
        ("JaccardLoss", "multilabel", (16, 4, 512, 512), 1, (3, 3)),
        ("TverskyLoss", "multiclass", (2, 4, 64, 64), 30, (0.8, 0.8)),
    ],
)
def test_losses(
    benchmark: Any,
    name: str,
    mode: str,
    shape: tuple[int, ...],
    times: int,
    floors: tuple[float, float],
    backward: bool,
) -> None:
    ours = getattr(need("segmentation_models"), name)(mode)
    torch, losses = (importlib.import_module(module) for module in ("torch", "segmentation_models_pytorch.losses"))
    theirs = getattr(losses, name)(mode)
    samples, classes, *space = shape
    labels = torch.from_numpy(phantom_pair((samples, *space), max(2, classes))[0]).long()
    onehot = torch.nn.functional.one_hot(labels, max(2, classes)).movedim(-1, 1)[:, -classes:].contiguous()
    truth = labels if mode == "multiclass" else onehot
    scores = torch.randn(shape, generator=torch.Generator().manual_seed(0)) + 4 * onehot
    scores.requires_grad_(backward)

    def step(loss: Any) -> Callable[[], Any]:
        def run() -> Any:
            scores.grad = None
            value = loss(scores, truth)
            if backward:
                value.backward()
            return value

        return run

    in_double = float(
        theirs(scores.detach().double(), truth)
    )  # its sums of float32 are 1e-3 off in the largest of these
    assert float(step(ours)().detach()) == pytest.approx(in_double, rel=2e-6)
    compare(
        benchmark,
        f"SMP {name}, {mode} {'×'.join(map(str, shape))}, forward{' and backward' if backward else ''}",
        calls(step(ours), times),
        [calls(step(theirs), times)],
        group=GROUP,
        floor=floors[backward],
    )


@pytest.mark.parametrize(
    ("shape", "classes", "times", "floor", "aim"),
    [((512, 1024), 19, 3, 3, 8), ((512, 512), 150, 3, 3, None), ((32, 32), 4, 50, 1, None)],
)
def test_intersect_and_union(
    benchmark: Any, shape: tuple[int, int], classes: int, times: int, floor: float, aim: float | None
) -> None:
    ours = need("mmseg").IoUMetric.intersect_and_union
    torch, mmseg = (importlib.import_module(name) for name in ("torch", "mmseg.evaluation.metrics"))
    theirs = mmseg.IoUMetric.intersect_and_union
    label, pred = (torch.from_numpy(each.reshape(shape)).long() for each in phantom_pair((1, *shape), classes))
    label[: shape[0] // 16] = 255
    for found, wanted in zip(ours(pred, label, classes, 255), theirs(pred, label, classes, 255), strict=True):
        assert torch.equal(found, wanted)
    compare(
        benchmark,
        f"mmseg intersect_and_union, {'×'.join(map(str, shape))}, K={classes}, int64",
        calls(lambda: ours(pred, label, classes, 255), times),
        [calls(lambda: theirs(pred, label, classes, 255), times)],
        group=GROUP,
        floor=floor,
        aim=aim,
    )


@pytest.mark.parametrize(
    ("shape", "times", "floor"), [((2, 14, 64, 64, 64), 1, 2), ((4, 19, 256, 512), 1, 2), ((2, 4, 32, 32), 20, 0.8)]
)
def test_ignite(benchmark: Any, shape: tuple[int, ...], times: int, floor: float) -> None:
    ours = need("ignite").ConfusionMatrix
    torch, theirs = importlib.import_module("torch"), importlib.import_module("ignite.metrics").ConfusionMatrix
    torch.manual_seed(0)
    truth, wanted = (
        torch.from_numpy(each.reshape(shape[0], *shape[2:])).long()
        for each in phantom_pair((shape[0], shape[2], math.prod(shape[3:])), shape[1])
    )
    scores = torch.nn.functional.one_hot(wanted, shape[1]).movedim(-1, 1) + 0.4 * torch.rand(shape)
    pair = [each(shape[1]) for each in (ours, theirs)]
    for each in pair:
        each.update((scores, truth))
    assert torch.equal(pair[0].compute(), pair[1].compute())
    compare(
        benchmark,
        f"Ignite ConfusionMatrix.update, {'×'.join(map(str, shape))}",
        calls(lambda: pair[0].update((scores, truth)), times),
        [calls(lambda: pair[1].update((scores, truth)), times)],
        group=GROUP,
        floor=floor,
    )
