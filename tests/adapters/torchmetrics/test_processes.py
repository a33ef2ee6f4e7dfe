"""Metrics in real groups of processes: unequal batches, and a process without any, give what one process would have."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.drop_ins import let_torchvision_be_imported

pytestmark = [pytest.mark.torch, pytest.mark.slow]

METRICS: dict[str, tuple[str, dict[str, Any]]] = {
    "matrix": ("MulticlassConfusionMatrix", {"num_classes": 4}),
    "iou": ("MulticlassJaccardIndex", {"num_classes": 4, "ignore_index": 2}),
    "recall": ("MulticlassRecall", {"num_classes": 4}),
    "micro": ("MulticlassAccuracy", {"num_classes": 4, "average": "micro"}),
    "table": ("MulticlassRecall", {"num_classes": 300}),
    "samples": ("MulticlassRecall", {"num_classes": 4, "multidim_average": "samplewise"}),
    "dice": ("DiceScore", {"num_classes": 4, "input_format": "index"}),
    "mean iou": ("MeanIoU", {"num_classes": 4, "input_format": "index"}),
    "generalized": ("GeneralizedDiceScore", {"num_classes": 4, "input_format": "index", "weight_type": "linear"}),
    "binary": ("BinaryF1Score", {}),
    "binary samples": ("BinaryF1Score", {"multidim_average": "samplewise"}),
    "calibration": ("BinaryCalibrationError", {}),
}


def batches(name: str) -> list[tuple[Any, Any]]:
    """Return six batches of other sizes."""
    import torch

    found = []
    for n in range(1, 7):
        draw = torch.Generator().manual_seed(n)
        shape = (n, 10, n + 3)
        if name.startswith("binary") or name == "calibration":
            found.append((torch.rand(shape, generator=draw), torch.randint(0, 2, shape, generator=draw)))
        else:
            found.append(tuple(torch.randint(0, 4, (2, *shape), generator=draw)))
    return found  # type: ignore[return-value]


def made(name: str) -> Any:
    kind, options = METRICS[name]
    return getattr(importlib.import_module("fastseg.adapters.torchmetrics"), kind)(**options)


def work(rank: int, size: int, folder: str) -> None:
    """Count the batches of one process, of which the last has none, and write what all make of it."""
    import warnings

    import torch
    from torch import distributed

    let_torchvision_be_imported()
    warnings.simplefilter("ignore")  # that compute was called before update
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=size)
    values = {}
    for name in METRICS:
        metric = made(name)
        for n, pair in enumerate(batches(name)):
            if n % (size - 1) == rank:
                metric.update(*pair)
        first = metric.compute()
        metric.update(*batches(name)[0])  # what was gathered is given back, and each goes on
        values[name] = (first, metric.compute())
    torch.save(values, f"{folder}/{rank}.pt")
    distributed.destroy_process_group()


@pytest.mark.parametrize("size", [2, 4])
def test_processes_agree_with_one(size: int, tmp_path: Path) -> None:
    import torch

    code = f"""import runpy; runpy.run_path({__file__!r})["work"](RANK, {size}, {str(tmp_path)!r})"""
    started = [subprocess.Popen([sys.executable, "-c", code.replace("RANK", str(rank))]) for rank in range(size)]
    assert [each.wait(timeout=300) for each in started] == [0] * size
    results = [torch.load(tmp_path / f"{rank}.pt") for rank in range(size)]
    for name in METRICS:
        alone = made(name)
        order = [pair for rank in range(size - 1) for pair in batches(name)[rank :: size - 1]]  # as they are gathered
        for pair in order:
            alone.update(*pair)
        wanted = alone.compute()
        for found in results:
            torch.testing.assert_close(found[name][0], wanted, rtol=1e-6, atol=0, msg=name)
        if name in ("matrix", "micro", "table", "binary"):
            for _ in range(size):
                alone.update(*batches(name)[0])
            again = alone.compute()
            for found in results:
                torch.testing.assert_close(found[name][1], again, rtol=1e-6, atol=0, msg=name)
