"""MMSegmentation while it is patched: metrics that lived before do as they did, counted here."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest
from support.drop_ins import strictly, went
from support.patched import assert_same_patched

import fastseg

pytestmark = [
    pytest.mark.torch,
    pytest.mark.host("mmseg"),
    pytest.mark.filterwarnings("ignore:Mean of empty slice"),
    pytest.mark.filterwarnings("ignore:invalid value"),
]


def made(kind: Any = None, **options: Any) -> Any:
    metric = (kind or importlib.import_module("mmseg.evaluation").IoUMetric)(**options)
    metric.dataset_meta = {"classes": [*"abcd"]}
    return metric


def images(number: int = 5) -> list[dict[str, Any]]:
    import torch

    rng = np.random.default_rng(1)
    found = []
    for _ in range(number):
        pred, label = (torch.from_numpy(each) for each in rng.integers(0, 4, (2, 1, 20, 30)))
        label[torch.from_numpy(rng.random(label.shape) < 0.2)] = 255
        found.append({"pred_sem_seg": {"data": pred}, "gt_sem_seg": {"data": label}})
    return found


@pytest.mark.parametrize("options", [{}, {"iou_metrics": ["mIoU", "mDice", "mFscore"], "beta": 2}, {"nan_to_num": 0}])
def test_a_metric_that_lived_before(options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    metric, given = made(**options), images()

    def life() -> Any:
        for each in given:
            metric.process({}, [each])
        return metric.evaluate(len(given))

    with strictly(monkeypatch), went("mmseg.IoUMetric", fast=5):
        assert_same_patched("mmseg", life)


def test_what_is_not_covered_is_the_hosts() -> None:
    import torch

    floats = torch.zeros(3, 4)
    for args in ((floats, floats, 2, 255), (floats.int(), floats.int()[:2], 2, 255)):
        with went("mmseg.IoUMetric", host=1):
            assert_same_patched("mmseg", made().intersect_and_union, *args)


def test_sums_beyond_what_a_float_holds() -> None:
    """As those of the drop-in: a difference that is meant."""
    import torch

    areas = [(torch.tensor([area] * 4),) * 4 for area in (float(1 << 24), *[1.0] * 64)]
    totals: list[int] = []

    class Spy(importlib.import_module("mmseg.evaluation").IoUMetric):  # type: ignore[misc]
        @staticmethod
        def total_area_to_metrics(*args: Any) -> Any:
            totals.append(int(args[0][0]))
            return importlib.import_module("mmseg.evaluation").IoUMetric.total_area_to_metrics(*args)

    made(Spy).compute_metrics(areas)
    with fastseg.patch("mmseg"):
        made(Spy).compute_metrics(areas)
    assert totals == [1 << 24, (1 << 24) + 64]


def test_results_of_a_class_made_of_it_may_be_anything() -> None:
    areas = [tuple(np.arange(4.0) for _ in range(4))] * 3
    assert_same_patched("mmseg", made().compute_metrics, areas)


def test_our_own_metric_is_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    metric = made(importlib.import_module("fastseg.adapters.mmseg").IoUMetric)
    with fastseg.patch("mmseg"), strictly(monkeypatch), went("mmseg.IoUMetric", fast=1):
        metric.process({}, images(1))
    assert metric.compute_metrics(metric.results)["mIoU"] > 0
