"""How many times faster the drop-ins for other libraries are than what they stand for, whole calls on the same arrays."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from harness import compare

from fastseg.phantom import phantom_pair

GROUP = "Drop-ins: the host's time / ours"


@pytest.fixture(scope="module")
def voxels() -> Any:
    """Two columns of 16.7 million labels of 14 classes."""
    return tuple(each.reshape(-1) for each in phantom_pair((256, 256, 256), 14))


def _sklearn(benchmark: Any, name: str, what: str, *args: Any, rounds: int = 3, **goals: Any) -> None:
    host = pytest.importorskip("sklearn.metrics")
    ours = pytest.importorskip("fastseg.adapters.sklearn")
    options = goals.pop("options", {})
    theirs, fast = getattr(host, name), getattr(ours, name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert str(fast(*args, **options)) == str(theirs(*args, **options))
        compare(
            benchmark,
            f"scikit-learn {name}, {what}",
            lambda: fast(*args, **options),
            [lambda: theirs(*args, **options)],
            group=GROUP,
            rounds=rounds,
            **goals,
        )


@pytest.mark.parametrize("dtype", [np.uint8, np.int64])
def test_sklearn_matrix(benchmark: Any, voxels: Any, dtype: Any) -> None:
    what = f"16.7 million {np.dtype(dtype)}, K=14"
    args = [each.astype(dtype) for each in voxels]
    _sklearn(benchmark, "confusion_matrix", what, *args, floor=150, aim=400)


def test_sklearn_report(benchmark: Any) -> None:
    rng = np.random.default_rng(0)
    args = rng.integers(0, 2, (2, 2**23))
    _sklearn(benchmark, "classification_report", "8.4 million of 2 classes", *args, floor=100)


@pytest.mark.parametrize(("size", "floor", "aim"), [(1_000, 1, None), (10_000, 5, 20)])
@pytest.mark.parametrize("name", ["f1_score", "accuracy_score", "confusion_matrix"])
def test_sklearn_small(benchmark: Any, name: str, size: int, floor: float, aim: float | None) -> None:
    args = np.random.default_rng(0).integers(0, 2, (2, size))
    goals = {"floor": floor, "aim": aim} if name == "f1_score" or size == 1_000 else {}
    _sklearn(benchmark, name, f"{size:,} of 2 classes", *args, rounds=101, **goals)


def test_sklearn_text(benchmark: Any) -> None:
    words = np.array(["background", "left kidney", "liver", "spleen"])
    args = words[np.random.default_rng(0).integers(0, 4, (2, 1_000_000))]
    _sklearn(benchmark, "f1_score", "1 million words", *args, options={"average": "macro"})


def test_sklearn_undefined(benchmark: Any) -> None:
    """A warning is the host's own: it is asked about few samples, which costs what few samples cost it."""
    args = np.random.default_rng(0).integers(0, 2, (2, 1_000))
    options = {"average": "macro", "labels": [0, 1, 2]}
    _sklearn(benchmark, "f1_score", "1,000, one class absent", *args, rounds=101, floor=1, options=options)
