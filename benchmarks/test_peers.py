"""How many times faster than other libraries, on the same arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from harness import compare
from shapes import label_pair

import fastseg
from fastseg.phantom import phantom_pair

GROUP = "Against other libraries: their time / ours"
K = 14


@pytest.fixture(scope="module")
def phantom() -> Any:
    return phantom_pair((512, 512, 512), K)


@pytest.fixture(scope="module")
def expected(phantom: Any) -> Any:
    return fastseg.confusion_matrix(*phantom, num_classes=K)


def _run(benchmark: Any, name: str, arrays: Any, peer: Any, **goals: Any) -> None:
    compare(benchmark, name, lambda: fastseg.confusion_matrix(*arrays, num_classes=K), [peer], group=GROUP, **goals)


def test_bincount(benchmark: Any, phantom: Any, expected: Any) -> None:
    t, p = phantom

    def peer() -> Any:
        return np.bincount((t.astype(np.int64) * K + p).reshape(-1), minlength=K * K).reshape(K, K)

    assert np.array_equal(peer(), expected)
    _run(benchmark, "NumPy bincount, phantom 512³", phantom, peer, floor=150, rounds=3, warmup=0)


def test_bincount_of_many_classes(benchmark: Any) -> None:
    """Half of the pixels are wrong, as at the beginning of a training."""
    rng = np.random.default_rng(0)
    t = rng.integers(0, 1000, (512, 512))
    p = np.where(rng.random(t.shape) < 0.5, rng.integers(0, 1000, t.shape), t)
    ours = lambda: fastseg.confusion_matrix(t, p, num_classes=1000)  # noqa: E731
    peer = lambda: np.bincount((t * 1000 + p).reshape(-1), minlength=10**6).reshape(1000, 1000)  # noqa: E731
    assert np.array_equal(peer(), ours())
    compare(benchmark, "NumPy bincount, noise 512² int64, K=1,000", ours, [peer], group=GROUP)


def test_torchmetrics(benchmark: Any, phantom: Any, expected: Any) -> None:
    torch = pytest.importorskip("torch")
    functional = pytest.importorskip("torchmetrics.functional.classification")
    t, p = (torch.from_numpy(a) for a in phantom)

    def peer() -> Any:
        return functional.multiclass_confusion_matrix(p, t, num_classes=K, validate_args=False)

    assert np.array_equal(peer().numpy(), expected)
    name = "torchmetrics multiclass_confusion_matrix, phantom 512³"
    _run(benchmark, name, phantom, peer, floor=200, rounds=3, warmup=0)


def test_torchmetrics_small(benchmark: Any) -> None:
    torch = pytest.importorskip("torch")
    functional = pytest.importorskip("torchmetrics.functional.classification")
    pair = tuple(a[128] for a in phantom_pair((256, 256, 256), K))
    t, p = (torch.from_numpy(a) for a in pair)

    def peer() -> Any:
        for _ in range(100):
            functional.multiclass_confusion_matrix(p, t, num_classes=K, validate_args=False)

    def ours() -> Any:
        for _ in range(100):
            fastseg.confusion_matrix(*pair, num_classes=K)

    found = functional.multiclass_confusion_matrix(p, t, num_classes=K, validate_args=False).numpy()
    assert np.array_equal(found, fastseg.confusion_matrix(*pair, num_classes=K))
    name = "torchmetrics, 256×256, whole Python call (× 100)"
    compare(benchmark, name, ours, [peer], group=GROUP, floor=5, aim=9, rounds=21)


def test_scikit_learn(benchmark: Any, phantom: Any) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    pair = tuple(a[192:256].reshape(-1) for a in phantom)

    def peer() -> Any:
        return metrics.confusion_matrix(*pair, labels=range(K))

    assert np.array_equal(peer(), fastseg.confusion_matrix(*pair, num_classes=K))
    _run(benchmark, "scikit-learn confusion_matrix, 64 slices of it", pair, peer, floor=400, rounds=3, warmup=0)


def _exacta(t: Any, p: Any, classes: int, metric: str) -> Any:
    """Return exacta's metric of one case, as a call without arguments."""
    torch = pytest.importorskip("torch")
    function = getattr(pytest.importorskip("exacta").functional, metric)
    tensors = [torch.from_numpy(each)[None] for each in (p, t)]
    return lambda: function(*tensors, num_classes=classes)[0]


def _against_exacta(
    benchmark: Any, name: str, t: Any, p: Any, classes: int, metric: str, times: int = 1, **goals: Any
) -> None:
    call, function = _exacta(t, p, classes, metric), getattr(fastseg, metric)
    np.testing.assert_allclose(call().numpy(), function(t, p, num_classes=classes), rtol=1e-12)

    def peer() -> Any:
        for _ in range(times):
            call()

    def ours() -> Any:
        for _ in range(times):
            function(t, p, num_classes=classes)

    compare(benchmark, f"exacta {metric}, {name}", ours, [peer], group=GROUP, **goals)


@pytest.mark.parametrize("metric", ["dice", "iou"])
def test_exacta(benchmark: Any, phantom: Any, metric: str) -> None:
    _against_exacta(benchmark, "phantom 512³", *phantom, K, metric, rounds=5)


@pytest.mark.parametrize(("dtype", "classes", "side", "floor"), [("int64", 150, 512, 2.5), ("uint8", 14, 256, 3.0)])
def test_exacta_small(benchmark: Any, dtype: str, classes: int, side: int, floor: float) -> None:
    t, p = (each[0].astype(dtype) for each in label_pair((1, side, side), classes))
    name = f"{side}×{side} {dtype}, K={classes}, whole Python call (× 100)"
    _against_exacta(benchmark, name, t, p, classes, "iou", times=100, floor=floor, aim=5, rounds=21)


RAGGED = {("uint8", 1): (4.0, 8.0), ("uint8", 5): (3.0, 8.0), ("int64", 1): (2.0, 4.0), ("int64", 5): (1.5, 4.0)}


@pytest.mark.parametrize(("dtype", "percent"), RAGGED)
def test_exacta_ragged(benchmark: Any, dtype: str, percent: int) -> None:
    t, p = (each.astype(dtype) for each in phantom_pair((256, 256, 256), K))
    rng = np.random.default_rng(0)
    wrong = rng.integers(0, t.size, t.size * percent // 100)
    p.reshape(-1)[wrong] = rng.integers(0, K, wrong.size)
    floor, aim = RAGGED[dtype, percent]
    _against_exacta(
        benchmark, f"256³ {dtype}, {percent}% of the voxels random", t, p, K, "dice", rounds=15, floor=floor, aim=aim
    )


def test_simpleitk(benchmark: Any, phantom: Any, expected: Any) -> None:
    sitk = pytest.importorskip("SimpleITK")
    images = [sitk.GetImageFromArray(a) for a in phantom]
    overlap = sitk.LabelOverlapMeasuresImageFilter()

    def peer() -> Any:
        overlap.Execute(*images)
        return overlap.GetDiceCoefficient(1)

    assert peer() == pytest.approx(fastseg.metrics.dice(fastseg.count_labels(*phantom, num_classes=K))[0, 1])
    _run(benchmark, "SimpleITK LabelOverlapMeasures, phantom 512³", phantom, peer, floor=60, rounds=3, warmup=0)
