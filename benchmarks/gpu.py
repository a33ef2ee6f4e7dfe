"""What a GPU machine is asked, in five minutes and one command: ``python benchmarks/gpu.py gpu.json``.

It needs PyTorch for CUDA, cuda-bindings and nvidia-cuda-nvrtc, and asks torchmetrics, pytest and compute-sanitizer, if there.
The file is written again after each line, so that a run that is cut off is still a result.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import gpu_scores
import gpu_timing
import numpy as np
import torch
from gpu_timing import Report, device_seconds, kernel_seconds, on_device, rotated, whole_seconds

import fastseg
from fastseg.phantom import phantom_pair

ROOT = Path(__file__).parents[1]
#: Bytes that are copied for the ceiling, voxels of maps of bytes and of eight bytes, and of a channel of masks.
CEILING, NARROW, WIDE, MASK_VOXELS = 1 << 29, 1 << 27, 1 << 24, 1 << 21
SHAPES = ((256, 256), (128, 128, 128))


def pair(kind: str, classes: int, voxels: int, dtype: Any) -> tuple[Any, Any]:
    """Return two maps on the GPU."""
    if kind == "constant":
        maps = [on_device(torch.zeros(voxels, dtype=dtype)) for _ in range(2)]
    elif kind == "noise":
        maps = [on_device(torch.randint(0, classes, (voxels,), device=gpu_timing.DEVICE).to(dtype)) for _ in range(2)]
    else:
        side = round(voxels ** (1 / 3))
        maps = [on_device(torch.from_numpy(each)).to(dtype).reshape(-1) for each in phantom_pair((side,) * 3, classes)]
    return maps[0], maps[1]


def machine(report: Report) -> None:
    """Say where this is."""
    names = ("torch", "cuda-bindings", "nvidia-cuda-nvrtc", "nvidia-cuda-nvrtc-cu12", "torchmetrics", "monai", "exacta")
    packages = (*names, "numpy", "numba")
    versions = {}
    for name in packages:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "none"
    report.add(
        "machine", card=torch.cuda.get_device_name(), cuda=torch.version.cuda, python=sys.version.split()[0], **versions
    )


def ceilings(report: Report) -> dict[str, float]:
    """Measure how fast memory is read, and copied: bytes a second."""
    arrays = [torch.zeros(CEILING, dtype=torch.uint8, device=gpu_timing.DEVICE) for _ in range(5)]
    copies = [partial(arrays[0].copy_, each) for each in arrays[1:]]
    reads = [each.view(torch.int32).sum for each in arrays]
    found = {"copy": 2 * arrays[0].nbytes / device_seconds(copies), "read": arrays[0].nbytes / device_seconds(reads)}
    report.add("ceilings", **{f"{name} GB/s": round(value / 1e9) for name, value in found.items()})
    return found


def labels(report: Report, ceiling: float, kind: str, classes: int, dtype: Any, voxels: int) -> None:
    """Count label maps, against the ceiling and the others."""
    true, pred = pair(kind, classes, voxels, dtype)
    pairs = rotated(true, pred)
    wide = [tuple(each.long() for each in both) for both in pairs[:2]]
    counts = fastseg.count_labels(true, pred, num_classes=classes)
    expected = torch.bincount(wide[0][0] * classes + wide[0][1], minlength=classes**2).cpu().numpy()
    ours = kernel_seconds([partial(fastseg.count_labels, *both, num_classes=classes) for both in pairs])
    others = {"torch.bincount": device_seconds([partial(bincount, *both, classes) for both in pairs])}
    with report.guarded("torchmetrics"):
        from torchmetrics.functional.classification import multiclass_confusion_matrix

        calls = [partial(multiclass_confusion_matrix, p, t, num_classes=classes) for t, p in wide]
        others["torchmetrics"] = device_seconds(calls)
    report.add(
        "labels",
        kind=kind,
        classes=classes,
        dtype=str(dtype),
        equal=bool((expected.reshape(classes, classes) == counts.matrix[0]).all()),
        microseconds=round(ours * 1e6, 1),
        share_of_copy=round((true.nbytes + pred.nbytes) / ours / ceiling, 3),
        others={name: round(seconds / ours, 1) for name, seconds in others.items()},
    )


def bincount(true: Any, pred: Any, classes: int) -> Any:
    """Count as is usual in PyTorch."""
    return torch.bincount(true.long() * classes + pred.long(), minlength=classes**2)


def masks(report: Report, ceiling: float, dtype: Any) -> None:
    """Count masks of 14 channels of 128³."""
    true, pred = (on_device((torch.rand(14, MASK_VOXELS, device=gpu_timing.DEVICE) < 0.5).to(dtype)) for _ in range(2))
    ours = kernel_seconds([partial(fastseg.count_masks, *both, channel_axis=0) for both in rotated(true, pred)])
    found, expected = (fastseg.count_masks(*both, channel_axis=0) for both in ((true, pred), (true.cpu(), pred.cpu())))
    share = (true.nbytes + pred.nbytes) / ours / ceiling
    report.add(
        "masks",
        dtype=str(dtype),
        equal=found == expected,
        microseconds=round(ours * 1e6, 1),
        share_of_copy=round(share, 3),
    )


def latency(report: Report, shape: tuple[int, ...]) -> None:
    """Time whole calls of small maps."""
    true, pred = (on_device(torch.from_numpy(np.ascontiguousarray(each))) for each in phantom_pair(shape, 14))
    call = partial(fastseg.count_labels, true, pred, num_classes=14)
    apart, waited = whole_seconds(call), whole_seconds(lambda: call().voxels)
    report.add(
        "whole call",
        shape=shape,
        microseconds_without_waiting=round(apart * 1e6, 1),
        microseconds_with_its_counts=round(waited * 1e6, 1),
    )


def programs(report: Report, *, sanitized: bool) -> None:
    """Run the tests that need a GPU, or compute-sanitizer on some of them."""
    environment = {**os.environ, "FASTSEG_REQUIRE_GPU": "1", "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}
    options = ["-q", "-o", "addopts=", "--import-mode=importlib", str(ROOT / "tests/kernels/cuda/test_gpu.py")]
    tests = [sys.executable, "-m", "pytest", *options]
    commands, limit = {"tests": tests}, 80  # most of it compiles kernels, which are kept
    if sanitized:
        sanitizer, some = shutil.which("compute-sanitizer"), "(4097 and u1) or wrong or (sums and float32 and 14)"
        limit = 40
        commands = {
            tool: [str(sanitizer), "--tool", tool, "--error-exitcode", "9", *tests, "-k", some]
            for tool in ("memcheck", "racecheck")
        }
    for name, command in commands.items():
        with report.guarded(name):
            done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT, timeout=limit)
            report.add(name, code=done.returncode, said=(done.stdout + done.stderr)[-600:])


def parts(ceiling: float) -> list[tuple[Any, ...]]:
    """Return what is asked: a function and its arguments each, what matters most first."""
    patterns = [("phantom", 14), ("constant", 14), *(("noise", classes) for classes in (2, 14, 64, 150, 256))]
    return [
        *((latency, shape) for shape in SHAPES),
        *((labels, ceiling, *each, torch.uint8, NARROW) for each in patterns),
        *((gpu_scores.sums, ceiling, 14, dtype) for dtype in gpu_scores.DTYPES),
        (gpu_scores.gradient, ceiling, 14),
        *((labels, ceiling, *each, torch.int64, WIDE) for each in patterns),
        *((gpu_scores.sums, ceiling, c, dtype) for c in gpu_scores.CHANNELS if c != 14 for dtype in gpu_scores.DTYPES),
        *((masks, ceiling, dtype) for dtype in (torch.bool, torch.float32, torch.float16)),
    ]


def main() -> None:
    """Ask all of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", help="where the results go, as JSON")
    report = Report(parser.parse_args().file)
    machine(report)
    ceiling = ceilings(report)["copy"]
    programs(report, sanitized=False)
    for part, *arguments in parts(ceiling):
        name = f"{part.__name__} {arguments}"
        if report.after(190):
            report.add(name, failed="left out: no time")
            continue
        with report.guarded(name):
            part(report, *arguments)
    report.add("memory", most_of_torch_gib=round(torch.cuda.max_memory_allocated() / 2**30, 2))
    programs(report, sanitized=True)
    if not report.after(240):
        with report.guarded("compiled"):  # takes the longest to begin, and cannot be interrupted
            gpu_scores.compiled(report)


if __name__ == "__main__":
    main()
