"""How many times faster the drop-ins are than MONAI's own, on the same tensors, with as many threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from harness import compare

from fastseg.phantom import phantom_pair

GROUP = "Drop-ins for MONAI: its time / ours"
K = 14


@pytest.fixture(scope="module")
def libraries() -> Any:
    """Return torch, and the modules of the host and ours."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("monai")
    import monai.losses
    import monai.metrics

    import fastseg.adapters.monai

    torch.set_num_threads(fastseg.get_num_threads())
    return torch, monai, fastseg.adapters.monai


@pytest.fixture(scope="module")
def volume(libraries: Any) -> Any:
    """Return a truth and a prediction of 128³ voxels as label maps (1, 1, ...), and one-hot."""
    torch = libraries[0]
    labels = [torch.from_numpy(each.astype(np.int64))[None, None] for each in phantom_pair((128, 128, 128), K)]
    onehot = [torch.nn.functional.one_hot(each[:, 0], K).movedim(-1, 1).float().contiguous() for each in labels]
    return labels, onehot


def _compare(benchmark: Any, name: str, ours: Callable[[], Any], theirs: Callable[[], Any], **goals: Any) -> None:
    found, wanted = ours(), theirs()
    np.testing.assert_allclose(found.detach().numpy(), wanted.detach().numpy(), rtol=1e-5, atol=1e-6)
    compare(benchmark, name, ours, [theirs], group=GROUP, **goals)


def test_dice_of_label_maps(benchmark: Any, libraries: Any, volume: Any) -> None:
    _, host, ours = libraries
    true, pred = volume[0]
    _compare(
        benchmark,
        "compute_dice, label maps 128³",
        lambda: ours.compute_dice(pred, true, num_classes=K),
        lambda: host.metrics.compute_dice(pred, true, num_classes=K),
        floor=60,
        aim=120,
        rounds=5,
    )


@pytest.mark.parametrize(("name", "floor", "aim"), [("compute_dice", 8, 15), ("get_confusion_matrix", 20, 40)])
def test_one_hot(benchmark: Any, libraries: Any, volume: Any, name: str, floor: float, aim: float) -> None:
    _, host, ours = libraries
    true, pred = volume[1]
    _compare(
        benchmark,
        f"{name}, float32 one-hot 128³",
        lambda: getattr(ours, name)(pred, true),
        lambda: getattr(host.metrics, name)(pred, true),
        floor=floor,
        aim=aim,
        rounds=5,
    )


#: Options, floors and aims of the forward pass and of both; where Dice has another activation, passes are twice as many.
LOSSES: dict[str, tuple[str, dict[str, Any], tuple[float, float | None], tuple[float, float | None]]] = {
    "DiceCELoss": ("DiceCELoss", {"softmax": True}, (12, 25), (10, 20)),
    "DiceCELoss, sigmoid": ("DiceCELoss", {"sigmoid": True}, (5, None), (4, None)),
    "FocalLoss": ("FocalLoss", {}, (10, None), (6, None)),
    "FocalLoss, softmax": ("FocalLoss", {"use_softmax": True, "alpha": 0.25}, (10, None), (6, None)),
    "DiceFocalLoss": ("DiceFocalLoss", {"sigmoid": True}, (8, None), (8, None)),
}


@pytest.mark.parametrize("backward", [False, True], ids=["forward", "and backward"])
@pytest.mark.parametrize("case", LOSSES)
def test_losses(benchmark: Any, libraries: Any, volume: Any, case: str, backward: bool) -> None:
    torch, host, ours = libraries
    true = volume[0][0]
    scores = torch.randn(1, K, 128, 128, 128, generator=torch.Generator().manual_seed(0)) + 4 * volume[1][1]
    scores.requires_grad_(backward)
    name, options, *goals = LOSSES[case]
    floor, aim = goals[backward]

    def step(kind: Any) -> Callable[[], Any]:
        loss = kind(to_onehot_y=True, **options)

        def run() -> Any:
            scores.grad = None
            value = loss(scores, true)
            if backward:
                value.backward()
            return value

        return run

    what = f"{case}, forward{' and backward' if backward else ''}, 14 classes 128³"
    kinds = [getattr(module, name) for module in (ours, host.losses)]
    _compare(benchmark, what, *map(step, kinds), floor=floor, aim=aim, rounds=5)


SMALL = ["compute_dice", "compute_iou", "compute_generalized_dice", "get_confusion_matrix", "DiceMetric", "DiceCELoss"]


@pytest.mark.parametrize("name", SMALL)
def test_never_slower(benchmark: Any, libraries: Any, name: str) -> None:
    torch, host, ours = libraries
    maps = torch.randint(0, 3, (2, 1, 16, 16, 16), generator=torch.Generator().manual_seed(1))
    true, pred = torch.nn.functional.one_hot(maps, 3).movedim(-1, 2)[:, 0].float().split(1)

    def hundred(module: Any) -> Callable[[], Any]:
        called = getattr(module, name)
        if name == "DiceMetric":
            metric = called()

            def call(pred: Any, true: Any) -> Any:
                metric.reset()
                metric(pred, true)
                return metric.aggregate()
        else:
            call = called(softmax=True) if name == "DiceCELoss" else called

        def run() -> Any:
            for _ in range(99):
                call(pred, true)
            return call(pred, true)

        return run

    theirs = hundred(host.losses if name == "DiceCELoss" else host.metrics)
    _compare(benchmark, f"{name}, 1×3×16³, whole call (× 100)", hundred(ours), theirs, floor=0.95, aim=1.5, rounds=21)
