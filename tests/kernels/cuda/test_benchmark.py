"""The script for a GPU machine goes through all its parts, on small arrays that only say they lie on a GPU."""

from __future__ import annotations

import importlib
import json
import sys
import time
from pathlib import Path
from types import SimpleNamespace
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

    modules = [importlib.import_module(name) for name in ("gpu_timing", "gpu_scores", "gpu_parts")]
    timing, scores, gpu = modules
    for module in modules:
        monkeypatch.setattr(module, "on_device", pretended)
    monkeypatch.setattr(importlib.import_module("fastseg.arrays.device"), "_stream", lambda *_: 0)
    for name, value in {"DEVICE": "cpu", "ROUNDS": 2, "WARM": 0, "WORKING_SET": 1}.items():
        monkeypatch.setattr(timing, name, value)
    for name, value in {"CEILING": 1 << 12, "NARROW": 512, "WIDE": 512, "MASK_VOXELS": 64, "SHAPES": ((9, 7),)}.items():
        monkeypatch.setattr(gpu, name, value)
    for name, value in {"CHANNELS": (14, 33), "VOXELS": 512, "DTYPES": scores.DTYPES[:2]}.items():
        monkeypatch.setattr(scores, name, value)
    for name, value in {
        "Event": Event, "synchronize": lambda: None, "current_stream": lambda: None, "empty_cache": lambda: None,
        "get_device_name": lambda: "none", "max_memory_allocated": lambda: 0, "memory_allocated": lambda: 0,
        "reset_peak_memory_stats": lambda: None, "_sleep": lambda cycles: None, "is_available": lambda: True,
        "get_device_properties": lambda _: SimpleNamespace(major=9, minor=0, multi_processor_count=2, total_memory=1 << 30),
    }.items():  # fmt: skip
        monkeypatch.setattr(torch.cuda, name, value)
    monkeypatch.setattr(torch, "compile", lambda function: function)
    monkeypatch.setattr(gpu, "program", lambda report, name, command, limit: report.add(name, code=0))
    file = tmp_path / "gpu.json"
    monkeypatch.setattr(sys, "argv", ["gpu_parts.py", str(file)])
    gpu.main()
    assert (tmp_path / "gpu.part").read_text().split()[0] == str(len(gpu.parts()) - 1)
    lines = json.loads(file.read_text())
    assert [line for line in lines if "failed" in line and "compute-sanitizer" not in line["failed"]] == []
    assert all(line["equal"] for line in lines if "equal" in line)
    sums = [line for line in lines if line["what"] == "sums of scores"]
    assert len(sums) == 4
    assert all(line["argmax_equal"] and line["relative_error"] < 1e-6 for line in sums)
    (gradient,) = (line for line in lines if line["what"] == "loss and gradient")
    assert gradient["relative_error"] < 1e-5
    assert gradient["loss_error"] < 1e-6
    assert lines[-1]["what"] == "torch, compiled"
    figures = importlib.import_module("gpu_figures")
    for figure in figures.FIGURES:
        if figure.line["what"] != "whole call":  # of other shapes here
            wanted = [line for line in lines if figure.line.items() <= line.items()]
            assert wanted, figure
            assert figure.number == "share_of_copy" or figure.other in wanted[0]["others"] or "exacta" in figure.other


def test_what_fails_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    report = importlib.import_module("gpu_timing").Report(str(tmp_path / "lines.json"))
    assert not report.after(60)
    assert report.after(-1)
    assert report.share(1, 1) is None  # of a copy that was not measured
    with report.guarded("a part"):
        raise MemoryError("too large")
    assert json.loads((tmp_path / "lines.json").read_text())[-1]["failed"] == "MemoryError: too large"

    def broken() -> None:
        raise RuntimeError("an illegal memory access was encountered")

    monkeypatch.setattr(torch.cuda, "synchronize", broken)
    with pytest.raises(SystemExit), report.guarded("another"):
        broken()


def test_instructions_of_an_inner_loop_are_counted() -> None:
    import gpu_instructions

    text = "\n".join(
        [
            ".L_x_1:", "  /*0010*/   MOV R1, R2 ;", ".L_x_2:", "  /*0020*/   MUFU.EX2 R1, R2 ;",
            "  /*0030*/  @P2 BRA `(.L_x_3) ;",
            "  /*0040*/   LDG R1, [R2] ;", "  /*0050*/   CALL `(far) ;", ".L_x_3:", "  /*0060*/  @P0 BRA `(.L_x_2) ;",
            "  /*0070*/  @P1 BRA `(.L_x_1) ;", "  /*0080*/   EXIT ;", "  /*0090*/   BRA `(.L_x_1) ;",
        ]
    )  # fmt: skip
    assert gpu_instructions.inner_loop(text, "EX2") == 3  # the way past the call
    assert gpu_instructions.inner_loop(text, "LDG") == 5
    assert gpu_instructions.inner_loop(text, "MOV") == 5  # of the outer loop
    with pytest.raises(AssertionError, match="nothing in a loop is STG"):
        gpu_instructions.inner_loop(text, "STG")
    assert [row.voxels for row in gpu_instructions.rows()][:3] == [32, 4, 4]


PARTS = """
import json, os, sys, time
file, part = sys.argv[1], int(sys.argv[3])
lines = json.loads(open(file).read()) if os.path.exists(file) else []
for number in range(part, 4):
    open(file.replace(".json", ".part"), "w").write(f"{number} {time.time()} {1.5 if number == 2 else 60}")
    if number == 1:
        os.abort()
    if number == 2:
        time.sleep(120)
    lines.append({"what": f"part {number}", "at": 0})
    open(file, "w").write(json.dumps(lines))
"""


def test_a_part_that_ends_the_process_or_hangs_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import gpu

    script, file = tmp_path / "parts.py", tmp_path / "gpu.json"
    script.write_text(PARTS)
    monkeypatch.setattr(
        gpu, "command", lambda file, part, begun: [sys.executable, str(script), str(file), "--part", str(part)]
    )
    gpu.supervise(file)
    lines = json.loads(file.read_text())
    assert [line["what"] for line in lines] == [f"part {number}" for number in range(4)]
    assert lines[1]["failed"] == "ended with -6"
    assert lines[2]["failed"] == "ended with no result within 1.5 seconds"
    assert [each.name for each in tmp_path.iterdir() if each.suffix not in (".py", ".json")] == []


def test_a_process_that_cannot_begin_is_not_begun_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import gpu

    monkeypatch.setattr(gpu, "command", lambda *_: [sys.executable, "-c", "import there_is_no_such_module"])
    gpu.supervise(tmp_path / "gpu.json")
    (line,) = json.loads((tmp_path / "gpu.json").read_text())
    assert "there_is_no_such_module" in line["said"]


def test_a_process_that_hangs_before_its_first_part_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import gpu

    monkeypatch.setattr(gpu, "command", lambda *_: [sys.executable, "-c", "import time; time.sleep(60)"])
    gpu.supervise(tmp_path / "gpu.json", begin_limit=0.5)
    (line,) = json.loads((tmp_path / "gpu.json").read_text())
    assert line["failed"] == "ended with no result within 0.5 seconds"


def test_the_table_of_the_readme() -> None:
    """It has the figures of a card, or says of each that there is none yet."""
    import gpu_table

    lines = [
        {"what": "machine", "card": "A card"}, {"what": "labels", "kind": "noise", "failed": "out of memory"},
        {"what": "labels", "kind": "phantom", "classes": 14, "dtype": "torch.uint8", "share_of_copy": 0.8123,
         "others": {"torchmetrics": 31.5}},
        {"what": "whole call", "shape": [128, 128, 128], "microseconds_without_waiting": 31.2},
    ]  # fmt: skip
    made = gpu_table.table(lines).splitlines()
    assert made[0].startswith("| On a GPU (A card) |")
    assert made[2] == "| label maps, 512³ bytes, 14 classes | 0.81 | torchmetrics: 31.5× |"
    assert made[3].count("not yet measured") == 2
    assert made[-1] == "| a call of 128³, until it returns | 31.2 µs | |"
    (block,) = gpu_table.BLOCK.findall(gpu_table.README.read_text())
    heading = block.splitlines()[0]
    assert ("not yet measured" in heading) == (block == gpu_table.table([]))


def test_the_figures_that_are_to_be_reached() -> None:
    """Each is named by a line that the benchmark writes; what is not equal is said below them."""
    import gpu_figures

    lines = [
        {"what": "labels", "kind": "phantom", "classes": 14, "dtype": "torch.uint8", "equal": True, "share_of_copy": 0.8,
         "others": {"torchmetrics": 131.5}},
        {"what": "sums of scores", "channels": 14, "dtype": "torch.float32", "argmax_equal": True, "relative_error": 2e-6,
         "share_of_copy": 0.5, "others": {"monai": "ImportError: none"}, "losses_away": {}},
        {"what": "whole call", "shape": [256, 256], "microseconds_without_waiting": 20.5},
        {"what": "tests", "code": 1, "said": "1 failed"},
    ]  # fmt: skip
    made = gpu_figures.table(lines)
    assert "| bytes, phantom: share of a copy | 0.75 | 0.9 | 0.8 | floor |" in made
    assert "| 512³, 14 classes: times faster than torchmetrics | 30 | 100 | 131.5 | aim |" in made
    assert "| 14 logits, float32: share of a copy | 0.8 | 0.9 | 0.5 | BELOW |" in made
    assert "| sums of 14 logits: times faster than monai | 8 | 15 | ImportError: none | ? |" in made
    assert "| a call of [256, 256]: µs | 60 | 25 | 20.5 | aim |" in made
    assert [line.split(":")[0] for line in made.splitlines() if line.startswith("-")] == [
        "- not equal",
        "- ended with an error",
    ]
    assert gpu_figures.table(lines[:1]).splitlines()[-1].startswith("All results are equal")


def test_without_a_gpu_that_is_said(tmp_path: Path) -> None:
    import gpu
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU, and its driver works")
    gpu.supervise(tmp_path / "gpu.json")
    (line,) = json.loads((tmp_path / "gpu.json").read_text())
    assert line["failed"] == "PyTorch finds no GPU of NVIDIA's that it can use"
