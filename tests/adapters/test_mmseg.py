"""MMSegmentation's IoUMetric and ours, on the same label maps."""

from __future__ import annotations

import functools
import importlib
import pickle
import warnings
from typing import Any

import numpy as np
import pytest
from support.drop_ins import assert_same, assert_same_call, outcome, strictly, went

pytestmark = [pytest.mark.torch, pytest.mark.host("mmseg")]


@functools.cache
def modules() -> tuple[Any, Any, Any]:
    """Return PyTorch, their class and ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the host's own imports
        names = ("torch", "mmseg.evaluation.metrics", "fastseg.adapters.mmseg")
        torch, theirs, ours = map(importlib.import_module, names)
    return torch, theirs.IoUMetric, ours.IoUMetric


def compare(*args: Any) -> Any:
    _, theirs, ours = modules()
    return assert_same_call(theirs.intersect_and_union, ours.intersect_and_union, *args, rtol=0)


def maps(rng: np.random.Generator, classes: int, ignored: int) -> tuple[Any, Any]:
    torch = modules()[0]
    shape = tuple(rng.integers(1, 30, rng.integers(1, 4)))
    pred, label = rng.integers(0, classes, (2, *shape))
    label[rng.random(shape) < rng.choice([0, 0.2, 1])] = ignored
    dtypes = rng.choice([("int64", "int64"), ("uint8", "uint8"), ("uint8", "int64")])
    return tuple(torch.from_numpy(each.astype(dtype)) for each, dtype in zip((pred, label), dtypes, strict=True))


def test_random_maps(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    for _ in range(300):
        classes, ignored = int(rng.integers(2, 40)), int(rng.choice([255, 0, 1, 100]))
        pred, label = maps(rng, classes, ignored)
        with strictly(monkeypatch):
            compare(pred, label, classes, ignored)


def test_what_is_the_hosts_to_answer_or_to_refuse() -> None:
    torch, _, ours = modules()
    zeros = torch.zeros((3, 4), dtype=torch.int64)
    five = torch.tensor([[0, 5, 1], [5, 9, 255]])
    for args in (
        (zeros, zeros, 1, 255),
        (zeros, zeros, 2.0, 255),
        (zeros, zeros, 2, None),
        (zeros, zeros, 2, 255.0),
        (zeros.float(), zeros, 2, 255),
        (zeros.bool(), zeros.bool(), 2, 255),
        (zeros[0], zeros, 2, 255),
        (zeros[:0], zeros[:0], 2, 255),
        (zeros.to(torch.uint8), zeros.to(torch.uint8), 2, -1),
        (five, five.flip(0), 5, 255),  # labels outside the classes
        (zeros.numpy(), zeros, 2, 255),
    ):
        with went("mmseg.IoUMetric", host=1):
            outcome(ours.intersect_and_union, *args)
        compare(*args)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"iou_metrics": ["mIoU", "mDice", "mFscore"], "beta": 2, "nan_to_num": 0},
        {"iou_metrics": ["mDice"], "ignore_index": 0, "prefix": "val"},
        {"iou_metrics": ["mPrecision"]},
    ],
)
def test_a_metric_in_a_loop(options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    _, theirs, _ = modules()
    registry = importlib.import_module("mmseg.registry").METRICS
    rng = np.random.default_rng(1)
    ours = registry.build({"type": "FastsegIoUMetric", **options})
    assert isinstance(ours, theirs)
    batches = [maps(rng, 6, 255) for _ in range(5)]
    found = []
    for metric in (theirs(**options), pickle.loads(pickle.dumps(ours))):
        metric.dataset_meta = {"classes": [*"abcdefg"]}  # of which the last does not occur
        for pred, label in batches:
            metric.process({}, [{"pred_sem_seg": {"data": pred[None]}, "gt_sem_seg": {"data": label[None]}}])
        with np.errstate(all="ignore"):
            found.append(outcome(metric.evaluate, len(batches)))
    assert str(found[1].error) == str(found[0].error)
    assert_same(found[1].value, found[0].value)


def test_sums_beyond_what_a_float_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    """The host adds 1 to 2²⁴ in 32-bit floats, which changes nothing: a difference that is meant."""
    torch, theirs, ours = modules()
    totals = []
    arithmetic = theirs.total_area_to_metrics
    spy = staticmethod(lambda *args: totals.append(int(args[1][0])) or arithmetic(*args))
    monkeypatch.setattr(theirs, "total_area_to_metrics", spy)
    images = [(torch.tensor([area, area]),) * 4 for area in (float(1 << 24), *[1.0] * 64)]
    for kind in (theirs, ours):
        metric = kind()
        metric.dataset_meta = {"classes": ["a", "b"]}
        assert metric.compute_metrics(images)["mIoU"] == 100
    assert totals == [1 << 24, (1 << 24) + 64]


def test_areas_beyond_what_a_float_counts() -> None:
    """The host's bins stop at 2²⁴ of each thread (pytorch#96613): a difference that is meant."""
    torch, theirs, ours = modules()
    zeros = torch.zeros((1 << 24) * 3 // 2, dtype=torch.uint8)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        assert theirs.intersect_and_union(zeros, zeros, 3, 255)[0][0] == 1 << 24
    finally:
        torch.set_num_threads(threads)
    assert ours.intersect_and_union(zeros, zeros, 3, 255)[0][0] == zeros.numel()
