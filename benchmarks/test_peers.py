"""How many times faster than other libraries, on the same arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from harness import compare

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


def test_simpleitk(benchmark: Any, phantom: Any, expected: Any) -> None:
    sitk = pytest.importorskip("SimpleITK")
    images = [sitk.GetImageFromArray(a) for a in phantom]
    overlap = sitk.LabelOverlapMeasuresImageFilter()

    def peer() -> Any:
        overlap.Execute(*images)
        return overlap.GetDiceCoefficient(1)

    assert peer() == pytest.approx(fastseg.metrics.dice(fastseg.count_labels(*phantom, num_classes=K))[0, 1])
    _run(benchmark, "SimpleITK LabelOverlapMeasures, phantom 512³", phantom, peer, floor=60, rounds=3, warmup=0)
