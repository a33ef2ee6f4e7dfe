"""The script for a GPU machine goes through all its parts, on small arrays that only say they lie on a GPU."""

from __future__ import annotations

import importlib
import json
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from support.cuda.on_cpu import Cpu

pytestmark = pytest.mark.torch


class Event:
    """A moment."""

    def __init__(self, enable_timing: bool = False) -> None: ...

    def record(self, stream: Any = None) -> None:
        self.at = time.perf_counter()

    def elapsed_time(self, other: Event) -> float:
        return (other.at - self.at) * 1e3


@pytest.mark.slow
def test_every_part_has_a_result(cpu: Cpu, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import torch
    from support.cuda.tensors import pretended

    modules = [importlib.import_module(name) for name in ("gpu_timing", "gpu_scores", "gpu")]
    timing, scores, gpu = modules
    for module in modules:
        monkeypatch.setattr(module, "on_device", pretended)
    monkeypatch.setattr(importlib.import_module("fastseg.arrays.device"), "_stream", lambda *_: 0)
    for name, value in {"DEVICE": "cpu", "ROUNDS": 2, "WORKING_SET": 1}.items():
        monkeypatch.setattr(timing, name, value)
    for name, value in {"CEILING": 1 << 12, "NARROW": 512, "WIDE": 512, "MASK_VOXELS": 64, "SHAPES": ((9, 7),)}.items():
        monkeypatch.setattr(gpu, name, value)
    for name, value in {"CHANNELS": (14, 33), "VOXELS": 512, "DTYPES": scores.DTYPES[:2]}.items():
        monkeypatch.setattr(scores, name, value)
    for name, value in {
        "Event": Event, "synchronize": lambda: None, "current_stream": lambda: None, "empty_cache": lambda: None,
        "get_device_name": lambda: "none", "max_memory_allocated": lambda: 0,
    }.items():  # fmt: skip
        monkeypatch.setattr(torch.cuda, name, value)
    monkeypatch.setattr(torch, "compile", lambda function: function)
    monkeypatch.setattr(gpu, "programs", lambda report, **_: report.add("tests", code=0))
    file = tmp_path / "gpu.json"
    monkeypatch.setattr(sys, "argv", ["gpu.py", str(file)])
    gpu.main()
    lines = json.loads(file.read_text())
    assert [line for line in lines if "failed" in line] == []
    assert all(line["equal"] for line in lines if "equal" in line)
    sums = [line for line in lines if line["what"] == "sums of scores"]
    assert len(sums) == 4
    assert all(line["argmax_equal"] and line["relative_error"] < 1e-6 for line in sums)
    (gradient,) = (line for line in lines if line["what"] == "loss and gradient")
    assert gradient["relative_error"] < 1e-5
    assert gradient["loss_error"] < 1e-6
    assert lines[-1]["what"] == "torch, compiled"


def test_what_fails_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    report = importlib.import_module("gpu_timing").Report(str(tmp_path / "lines.json"))
    assert not report.after(60)
    assert report.after(-1)
    with report.guarded("a part"):
        raise MemoryError("too large")
    assert json.loads((tmp_path / "lines.json").read_text())[-1]["failed"] == "MemoryError: too large"


def test_instructions_of_an_inner_loop_are_counted() -> None:
    import gpu_instructions

    text = "\n".join(
        [
            ".L_x_1:", "  /*0010*/   MOV R1, R2 ;", ".L_x_2:", "  /*0020*/   MUFU.EX2 R1, R2 ;", "  /*0030*/   LDG R1, [R2] ;",
            "  /*0040*/  @P0 BRA `(.L_x_2) ;", ".L_x_3:", "  /*0050*/   BRA `(.L_x_3) ;", "  /*0060*/  @P1 BRA `(.L_x_1) ;",
            "  /*0070*/   BRA `(.L_x_9) ;", ".L_x_9:",
        ]
    )  # fmt: skip
    assert gpu_instructions.inner_loop(text, "EX2") == 3
    assert gpu_instructions.inner_loop(text, "MOV") == 6
    assert [row.voxels for row in gpu_instructions.rows()][:3] == [16, 4, 1]
