"""MONAI while it is patched: functions, metrics that lived before and handlers do as they did, counted here."""

from __future__ import annotations

import importlib
import itertools
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.drop_ins import assert_same, strictly, went
from support.patched import assert_same_patched
from support.tensors import label_maps, masks

import fastseg
from fastseg.adapters import report

pytestmark = pytest.mark.torch

OPTIONS = [
    dict(zip(("include_background", "ignore_empty", "ignore_index"), each, strict=True))
    for each in itertools.product([True, False], [True, False], [None, 1])
]


def host(name: str) -> Any:
    return getattr(importlib.import_module("monai.metrics"), name)


@pytest.mark.parametrize("name", ["compute_dice", "compute_iou"])
def test_functions(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    with strictly(monkeypatch):
        for options in OPTIONS:
            assert_same_patched("monai", host(name), *masks(rng, (2, 9, 7), 3), rtol=1e-6, **options)


@pytest.mark.parametrize("name", ["get_confusion_matrix", "compute_generalized_dice"])
def test_other_functions(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pair = masks(np.random.default_rng(2), (2, 9, 7), 3)
    with strictly(monkeypatch), went(f"monai.{name}", fast=2):
        for background in (True, False):
            assert_same_patched("monai", host(name), *pair, include_background=background, rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "options", "inner"),
    [
        ("DiceMetric", {"reduction": "mean_batch", "get_not_nans": True}, "DiceHelper"),
        ("MeanIoU", {"include_background": False}, "compute_iou"),
        ("GeneralizedDiceScore", {}, "compute_generalized_dice"),
        ("ConfusionMatrixMetric", {"metric_name": ["precision", "f1 score"]}, "get_confusion_matrix"),
    ],
)
def test_metrics_that_lived_before(
    name: str, options: dict[str, Any], inner: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    metric, rng = host(name)(**options), np.random.default_rng(3)
    batches = [masks(rng, (2, 9, 7), 3) for _ in range(2)]

    def life() -> Any:
        metric.reset()
        for batch in batches:
            metric(*batch)
        return metric.aggregate(), metric.get_buffer()

    with strictly(monkeypatch), went(f"monai.{inner}", fast=2):
        assert_same_patched("monai", life, rtol=1e-6)


def test_dice_of_label_maps_by_a_live_metric(monkeypatch: pytest.MonkeyPatch) -> None:
    pair, metric = label_maps(np.random.default_rng(5), (2, 9, 7), 4, "int64"), host("DiceMetric")(num_classes=4)
    with strictly(monkeypatch), went("monai.DiceHelper", fast=1):
        assert_same_patched("monai", metric, *pair, rtol=1e-6)


HANDLER = """
import numpy as np
from ignite.engine import Engine
from monai.handlers import ConfusionMatrix, MeanDice, MeanIoUHandler
from support.tensors import masks
from fastseg.adapters import report

engine = Engine(lambda _, batch: batch)
for name, handler in (("dice", MeanDice()), ("iou", MeanIoUHandler()), ("f1", ConfusionMatrix(metric_name="f1 score"))):
    handler.attach(engine, name)
engine.run([masks(np.random.default_rng(6), (2, 9, 7), 3)])
print([round(float(engine.state.metrics[name]), 6) for name in ("dice", "iou", "f1")])
print({name: calls.fast for name, calls in report().items()})
"""


@pytest.mark.slow
def test_handlers_of_ignite(tmp_path: Path) -> None:
    """In a process of its own: MONAI has handlers only where it was imported without warnings."""
    (tmp_path / "train.py").write_text(HANDLER)
    strict = {**os.environ, "FASTSEG_ADAPTERS": "strict"}  # or few voxels are left to MONAI
    plain, patched = (
        subprocess.run(
            [sys.executable, *command, "train.py"],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            check=False,
            env=strict,
        )
        for command in ([], ["-m", "fastseg.patch", "monai"])
    )
    if "No module named 'ignite'" in plain.stderr:
        pytest.skip("needs Ignite: pip install pytorch-ignite")
    scores, calls = patched.stdout.splitlines()[-2:]
    assert scores == plain.stdout.splitlines()[-2], patched.stderr
    assert calls == "{'monai.DiceHelper': 1, 'monai.compute_iou': 1, 'monai.get_confusion_matrix': 1}"


def test_a_helper_that_does_otherwise_is_left_alone() -> None:
    import torch

    class Ones(host("DiceHelper")):  # type: ignore[misc]
        def compute_channel(self, y_pred: Any, y: Any, mask: Any = None) -> Any:
            return torch.tensor(1.0)

    with went("monai.DiceHelper", host=1):
        found = assert_same_patched("monai", Ones(reduction="mean"), *masks(np.random.default_rng(7), (2, 9, 7), 3))
    assert found.value[0] == 1


def test_per_component_is_the_hosts_from_top_to_bottom() -> None:
    pytest.importorskip("scipy")
    pair = masks(np.random.default_rng(8), (1, 9, 7), 2)
    before = report()
    assert_same_patched("monai", host("compute_dice"), *pair, per_component=True)
    assert {name for name, calls in report().items() if before.get(name) != calls} <= {"monai.compute_dice"}


@pytest.mark.slow
def test_what_pytorch_compiles_is_the_hosts() -> None:
    import torch

    pair, function = masks(np.random.default_rng(9), (2, 9, 7), 3), host("compute_iou")
    compiled, before = torch.compile(lambda *maps: function(*maps) * 2, backend="eager"), report()
    with fastseg.patch("monai"):
        found = compiled(*pair)
    assert report() == before
    assert_same(found, function(*pair) * 2, 1e-6)
