"""`evaluate` while it is patched: its mean_iou does as it did, counted here."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import support
from support.drop_ins import assert_same, strictly, went
from support.patched import assert_same_patched

import fastseg
from fastseg.adapters import report

pytestmark = [pytest.mark.host("huggingface"), pytest.mark.filterwarnings("ignore")]  # what is not compared

HUB = Path(next(iter(support.__path__)), "hub")
RNG = np.random.default_rng(1)


@pytest.fixture
def metric(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    return loaded(tmp_path, monkeypatch)


def loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the metric of `support/hub`, whose module is a copy, as of those that are fetched."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    loader = importlib.import_module("evaluate.utils.file_utils")
    for module in (loader, importlib.import_module("evaluate.loading"), importlib.import_module("evaluate.config")):
        if hasattr(module, "HF_MODULES_CACHE"):
            monkeypatch.setattr(module, "HF_MODULES_CACHE", str(tmp_path / "modules"))
    return importlib.import_module("evaluate").load(str(HUB / "mean_iou.py"), cache_dir=str(tmp_path / "cache"))


def maps(dtype: str, most: int) -> tuple[list[Any], list[Any]]:
    shapes = [tuple(RNG.integers(1, 7, 2)) for _ in range(3)]
    predictions, references = ([RNG.integers(0, most, each).astype(dtype) for each in shapes] for _ in range(2))
    for each in references:
        each[RNG.random(each.shape) < 0.2] = 255
    return predictions, references


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"ignore_index": 0, "reduce_labels": True},
        {"ignore_index": None, "label_map": {0: 1, 1: 0, 7: 2}},
        {"nan_to_num": -1, "num_labels": 9},
        {"num_labels": 1},
    ],
)
def test_scores(metric: Any, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"num_labels": 4, "ignore_index": 255, **options}
    with strictly(monkeypatch), went("huggingface.mean_iou", fast=6):
        for dtype, most in (("uint8", 4), ("uint8", 6), ("int32", 4)):
            pairs = maps(dtype, most)
            assert_same_patched("huggingface", metric.compute, predictions=pairs[0], references=pairs[1], **given)
            assert_same_patched("huggingface", by_batches, metric, *pairs, **given)


def by_batches(metric: Any, predictions: Any, references: Any, **options: Any) -> Any:
    metric.add(prediction=predictions[0], reference=references[0])
    metric.add_batch(predictions=predictions[1:], references=references[1:])
    return metric.compute(**options)


@pytest.mark.parametrize(
    "options",
    [{"ignore_index": 255.0}, {"label_map": {0: 300}}, {"label_map": {"0": 1}}, {"num_labels": True}],
)
def test_what_is_the_hosts_to_answer_or_to_refuse(metric: Any, options: dict[str, Any]) -> None:
    predictions, references = maps("uint8", 4)
    given = {"num_labels": 4, "ignore_index": 255, "predictions": predictions, "references": references}
    with went("huggingface.mean_iou", host=1):
        assert_same_patched("huggingface", metric.compute, **given | options)


def test_maps_of_unlike_shapes(metric: Any) -> None:
    with went("huggingface.mean_iou", host=1):
        found = assert_same_patched(
            "huggingface",
            metric.compute,
            predictions=[np.zeros((2, 3), np.uint8)],
            references=[np.zeros((3, 3), np.uint8)],
            num_labels=2,
            ignore_index=255,
        )
    assert isinstance(found.error, ValueError)
    assert "_compute" not in vars(metric)


def test_metrics_that_were_loaded_while_it_was_patched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = dict(zip(("predictions", "references"), maps("uint8", 4), strict=True))
    with fastseg.patch("huggingface"):
        metric = loaded(tmp_path, monkeypatch)
        with went("huggingface.mean_iou", fast=1):
            found = metric.compute(**pairs, num_labels=4, ignore_index=255)
    before = report()
    assert_same(metric.compute(**pairs, num_labels=4, ignore_index=255), found)
    assert report() == before


def test_other_metrics_are_the_hosts(metric: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of which we do not know what they count."""
    pairs = dict(zip(("predictions", "references"), maps("uint8", 4), strict=True))
    metric.__class__ = type("OtherIoU", (type(metric),), {"__module__": type(metric).__module__})
    before = report()
    assert_same_patched("huggingface", metric.compute, **pairs, num_labels=4, ignore_index=255)
    assert report() == before
