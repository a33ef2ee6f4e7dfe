"""How near to the read ceiling label maps and masks are counted: 1.0 is the speed at which the arrays can be read at all."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from harness import compare, expected_matrix, read_ceiling

import fastseg
from fastseg.phantom import noise_pair, phantom_pair

CUBE = (512, 512, 512)
GROUP = "Label maps and masks: read ceiling / time"


@pytest.fixture(scope="module")
def phantom() -> Any:
    return phantom_pair(CUBE, 14)


@pytest.fixture(scope="module")
def expected(phantom: Any) -> Any:
    return expected_matrix(*phantom, 14)


def test_phantom(benchmark: Any, phantom: Any, expected: Any) -> None:
    t, p = phantom
    assert np.array_equal(fastseg.confusion_matrix(t, p, num_classes=14), expected)
    ours = lambda: fastseg.confusion_matrix(t, p, num_classes=14)  # noqa: E731
    compare(benchmark, "phantom 512³, uint8, K=14", ours, read_ceiling(t, p), group=GROUP, floor=0.70, aim=0.90)


@pytest.mark.parametrize(("classes", "floor", "aim"), [(14, 0.25, 0.50), (100, 0.16, 0.30)])
def test_noise(benchmark: Any, classes: int, floor: float, aim: float) -> None:
    t, p = noise_pair(CUBE, classes)
    assert np.array_equal(fastseg.confusion_matrix(t, p, num_classes=classes), expected_matrix(t, p, classes))
    ours = lambda: fastseg.confusion_matrix(t, p, num_classes=classes)  # noqa: E731
    compare(
        benchmark,
        f"uniform noise 512³, uint8, K={classes}",
        ours,
        read_ceiling(t, p),
        group=GROUP,
        floor=floor,
        aim=aim,
    )


@pytest.mark.parametrize(("true", "pred"), [("i8", "i8"), ("u1", "i8"), ("i2", "i2"), ("f4", "f4")])
def test_dtypes(benchmark: Any, phantom: Any, expected: Any, true: str, pred: str) -> None:
    t, p = phantom[0].astype(true), phantom[1].astype(pred)
    assert np.array_equal(fastseg.confusion_matrix(t, p, num_classes=14), expected)
    ours = lambda: fastseg.confusion_matrix(t, p, num_classes=14)  # noqa: E731
    name = f"phantom, {t.dtype} with {p.dtype}"
    compare(benchmark, name, ours, read_ceiling(t, p), group=GROUP, floor=0.75, aim=0.90)


def _fortran(t: Any, p: Any) -> Any:
    return np.asfortranarray(t), np.asfortranarray(p)


ORDERS = {
    "F-ordered pair": (_fortran, 0.70),
    "C with F order": (lambda t, p: (t, np.asfortranarray(p)), 0.20),
    "every second slice": (lambda t, p: (t[::2], p[::2]), 0.70),
    "every second row": (lambda t, p: (t[:, ::2], p[:, ::2]), None),
    "one map transposed (1, 0, 2)": (
        lambda t, p: (t, np.ascontiguousarray(p.transpose(1, 0, 2)).transpose(1, 0, 2)),
        0.20,
    ),
    "one map transposed (0, 2, 1)": (
        lambda t, p: (t, np.ascontiguousarray(p.transpose(0, 2, 1)).transpose(0, 2, 1)),
        0.20,
    ),
}


@pytest.mark.parametrize("order", ORDERS)
def test_memory_orders(benchmark: Any, phantom: Any, order: str) -> None:
    make, floor = ORDERS[order]
    t, p = make(*phantom)
    assert np.array_equal(fastseg.confusion_matrix(t, p, num_classes=14), expected_matrix(t, p, 14))
    ours = lambda: fastseg.confusion_matrix(t, p, num_classes=14)  # noqa: E731
    compare(benchmark, order, ours, read_ceiling(t, p), group=GROUP, floor=floor)


def test_mask(benchmark: Any, phantom: Any) -> None:
    t, p = phantom
    mask = np.zeros(CUBE, bool)
    mask[50:450, 60:460, 40:480] = True  # a body, not the air around it
    assert np.array_equal(
        fastseg.confusion_matrix(t, p, num_classes=14, mask=mask), expected_matrix(t, p, 14, keep=mask)
    )
    ours = lambda: fastseg.confusion_matrix(t, p, num_classes=14, mask=mask)  # noqa: E731
    compare(benchmark, "phantom with mask", ours, read_ceiling(t, p, mask), group=GROUP, floor=0.60, aim=0.85)


def test_sample_weight(benchmark: Any, phantom: Any) -> None:
    t, p = phantom
    weight = np.random.default_rng(0).random(CUBE, dtype=np.float32)
    codes = t.reshape(-1).astype(np.int64) * 14 + p.reshape(-1)
    wanted = np.bincount(codes, weight.reshape(-1), minlength=196).reshape(14, 14)
    found = fastseg.confusion_matrix(t, p, num_classes=14, sample_weight=weight)
    np.testing.assert_allclose(found, wanted, rtol=1e-9)
    ours = lambda: fastseg.confusion_matrix(t, p, num_classes=14, sample_weight=weight)  # noqa: E731
    compare(
        benchmark, "phantom with float32 weights", ours, read_ceiling(t, p, weight), group=GROUP, floor=0.60, aim=0.85
    )


def test_samples(benchmark: Any, phantom: Any) -> None:
    t, p = (a.reshape(64, 8, 512, 512) for a in phantom)
    counts = fastseg.count_labels(t, p, num_classes=14, sample_axis=0)
    for n in (0, 31, 63):
        assert np.array_equal(counts.matrix[n], expected_matrix(t[n], p[n], 14))
    ours = lambda: fastseg.count_labels(t, p, num_classes=14, sample_axis=0)  # noqa: E731
    compare(benchmark, "phantom as 64 samples", ours, read_ceiling(t, p), group=GROUP, floor=0.60, aim=0.85)


@pytest.mark.parametrize("last", [False, True])
def test_masks(benchmark: Any, last: bool) -> None:
    t, p = phantom_pair((256, 256, 256), 5)
    axis = -1 if last else 0
    t, p = (np.ascontiguousarray(np.moveaxis(a == np.arange(1, 5)[:, None, None, None], 0, axis)) for a in (t, p))
    counts = fastseg.count_masks(t, p, channel_axis=axis)
    spatial = tuple(k for k in range(4) if k != axis % 4)
    assert np.array_equal(counts.tp[0], (t & p).sum(spatial))
    assert np.array_equal(counts.fp[0], (~t & p).sum(spatial))
    ours = lambda: fastseg.count_masks(t, p, channel_axis=axis)  # noqa: E731
    name = f"multilabel masks, 4 channels of bool {'last' if last else 'first'}, 256³"
    compare(benchmark, name, ours, read_ceiling(t, p), group=GROUP, floor=0.60, aim=0.90)
