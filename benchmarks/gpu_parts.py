"""The parts of what `gpu.py` asks a GPU machine, from one of them on.

Each writes a line of results, or why it has none; a file beside them says which one was begun last.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import gpu_scores
import gpu_timing
import numpy as np
import torch
from gpu_timing import Report, device_seconds, kernel_seconds, on_device, rotated, whole_seconds

import fastseg
from fastseg.kernels.cuda import driver
from fastseg.kernels.cuda.compiler import compiler_version
from fastseg.phantom import phantom_pair

ROOT = Path(__file__).parents[1]
#: Bytes that are copied for the ceiling, voxels of maps of bytes and of eight bytes, and of a channel of masks.
CEILING, NARROW, WIDE, MASK_VOXELS = 1 << 29, 1 << 27, 1 << 24, 1 << 21
SHAPES = ((256, 256), (128, 128, 128))
#: Seconds after which no part is begun any more, and no program goes on; and how long parts may take, most of them and others.
LATEST, LAST = 250, 290
USUAL_LIMIT, LIMITS = 40, {"tests": 110, "small_cases": 70, "compiled": 90}
#: Where compute-sanitizer is, if not on the PATH.
SANITIZER = "/usr/local/cuda/bin:/usr/local/cuda/compute-sanitizer"
#: What a process ends with that has no GPU, as in `gpu.py`.
NO_GPU = 4


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
    names = ("torch", "triton", "cupy-cuda13x", "cupy-cuda12x", "cuda-core", "cuda-bindings", "nvidia-cuda-nvrtc")
    versions = {}
    for name in (*names, "nvidia-cuda-nvrtc-cu12", "torchmetrics", "monai", "exacta", "numpy", "numba"):
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "none"
    properties = torch.cuda.get_device_properties(0)
    report.add(
        "machine",
        card=torch.cuda.get_device_name(),
        architecture=f"sm_{properties.major}{properties.minor}",
        multiprocessors=properties.multi_processor_count,
        memory_gib=round(properties.total_memory / 2**30),
        driver=asked_of_the_driver("driver_version"),
        cuda=torch.version.cuda,
        compiler=compiler(),
        python=sys.version.split()[0],
        **versions,
    )


def compiler() -> str:
    """Return the version of NVRTC, or why it cannot be asked."""
    try:
        return compiler_version()
    except RuntimeError as error:
        return str(error)[:200]


def asked_of_the_driver(what: str) -> str:
    """Return what the tool of NVIDIA's driver says of it."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return "unknown"
    asked = [tool, f"--query-gpu={what}", "--format=csv,noheader"]
    try:
        return subprocess.run(asked, capture_output=True, text=True, timeout=10).stdout.strip() or "unknown"
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"


def ceilings(report: Report) -> None:
    """Measure how fast memory is read, and copied: bytes a second; and how long a kernel takes that does nothing."""
    arrays = [torch.randint(0, 256, (CEILING,), dtype=torch.uint8, device=gpu_timing.DEVICE) for _ in range(5)]
    copies = [partial(arrays[0].copy_, each) for each in arrays[1:]]
    reads = [each.view(torch.float32).sum for each in arrays]
    found = {"copy": 2 * arrays[0].nbytes / device_seconds(copies), "read": arrays[0].nbytes / device_seconds(reads)}
    clocks = asked_of_the_driver("clocks.sm,clocks.mem")
    nothing = device_seconds([partial(torch.cuda._sleep, 1)])  # is in all other times
    speeds = {f"{name}_gb_per_s": round(value / 1e9, 1) for name, value in found.items()}
    report.add("ceilings", **speeds, microseconds_of_nothing=round(nothing * 1e6, 1), clocks=clocks)


def labels(report: Report, kind: str, classes: int, dtype: Any, voxels: int) -> None:
    """Count label maps, against the ceiling and the others."""
    true, pred = pair(kind, classes, voxels, dtype)
    pairs = rotated(true, pred)
    wide = [tuple(each.long() for each in both) for both in pairs[:2]]
    counts = fastseg.count_labels(true, pred, num_classes=classes)
    expected = torch.bincount(wide[0][0] * classes + wide[0][1], minlength=classes**2).cpu().numpy()
    ours = kernel_seconds([partial(fastseg.count_labels, *both, num_classes=classes) for both in pairs])
    others = {"torch.bincount": device_seconds([partial(bincount, *both, classes) for both in pairs])}
    unequal = []
    with report.guarded("torchmetrics"):
        from torchmetrics.functional.classification import multiclass_confusion_matrix

        calls = [partial(multiclass_confusion_matrix, p, t, num_classes=classes) for t, p in wide]
        others["torchmetrics"] = device_seconds(calls)
        unequal += [] if np.array_equal(calls[0]().cpu().tolist(), counts.matrix[0]) else ["torchmetrics"]
    if importlib.util.find_spec("exacta"):
        with report.guarded("exacta"):
            from exacta.functional import dice

            side = round(voxels ** (1 / 3))
            cubes = [tuple(each.reshape(1, side, side, side) for each in both) for both in pairs]
            dices = [partial(dice, p, t, num_classes=classes) for t, p in cubes]
            others["exacta, Dice"] = device_seconds(dices)
            same = np.allclose(dices[0]().cpu().tolist(), fastseg.metrics.dice(counts), equal_nan=True)
            unequal += [] if same else ["exacta"]
    report.add(
        "labels",
        kind=kind,
        classes=classes,
        dtype=str(dtype),
        equal=bool((expected.reshape(classes, classes) == counts.matrix[0]).all()),
        unequal_others=unequal,
        microseconds=round(ours * 1e6, 1),
        share_of_copy=report.share(true.nbytes + pred.nbytes, ours),
        others={name: round(seconds / ours, 1) for name, seconds in others.items()},
    )


def bincount(true: Any, pred: Any, classes: int) -> Any:
    """Count as is usual in PyTorch."""
    return torch.bincount(true.long() * classes + pred.long(), minlength=classes**2)


def masks(report: Report, dtype: Any) -> None:
    """Count masks of 14 channels of 128³."""
    true, pred = (on_device((torch.rand(14, MASK_VOXELS, device=gpu_timing.DEVICE) < 0.5).to(dtype)) for _ in range(2))
    ours = kernel_seconds([partial(fastseg.count_masks, *both, channel_axis=0) for both in rotated(true, pred)])
    found = fastseg.count_masks(true, pred, channel_axis=0)
    t, p = true.bool(), pred.bool()
    expected = [each.sum(1).tolist() for each in (t & p, p & ~t, t & ~p)]
    report.add(
        "masks",
        dtype=str(dtype),
        equal=[each[0].tolist() for each in (found.tp, found.fp, found.fn)] == expected,
        microseconds=round(ours * 1e6, 1),
        share_of_copy=report.share(true.nbytes + pred.nbytes, ours),
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


def environment() -> dict[str, str]:
    """Return what programs are started with: the package from here, before what else there is."""
    roots = [str(ROOT), str(ROOT / "tests"), str(ROOT / "benchmarks"), os.environ.get("PYTHONPATH")]
    return {**os.environ, "FASTSEG_REQUIRE_GPU": "1", "PYTHONPATH": os.pathsep.join(filter(None, roots))}


def program(report: Report, name: str, command: list[str], limit: float) -> None:
    """Run a program, and keep the end of what it says, however far it comes."""
    with tempfile.TemporaryFile("w+", errors="replace") as said:
        start = time.monotonic()
        limit = min(limit, max(5.0, report.begun + LAST - time.time()))
        try:
            code: int | str = subprocess.run(
                command, stdout=said, stderr=subprocess.STDOUT, env=environment(), cwd=ROOT, timeout=limit
            ).returncode
        except subprocess.TimeoutExpired:
            code = f"stopped after {limit:.0f} seconds"
        said.seek(0)
        report.add(name, code=code, seconds=round(time.monotonic() - start, 1), said=said.read()[-1500:])


def small_cases(report: Report, tool: str | None) -> None:
    """Run some small calls of each kernel without PyTorch, alone or below one of the tools of compute-sanitizer."""
    command = [sys.executable, str(ROOT / "benchmarks/gpu_small.py")]
    if tool is None:
        program(report, "small cases", command, 60)
        return
    sanitizer = shutil.which("compute-sanitizer", path=f"{os.environ.get('PATH', '')}:{SANITIZER}")
    if sanitizer is None:
        report.add(tool, failed="left out: no compute-sanitizer")
        return
    program(report, tool, [sanitizer, "--tool", tool, "--error-exitcode", "9", *command], 45)


def tests(report: Report) -> None:
    """Run the tests that need a GPU; most of their time goes into compiling kernels, which are kept."""
    options = ["-q", "-o", "addopts=", "-p", "no:cacheprovider", "--import-mode=importlib"]
    if importlib.util.find_spec("xdist"):
        options += ["-n", str(min(6, os.cpu_count() or 1))]
    names = ("kernels/cuda/test_gpu.py", "adapters/test_devices.py", "adapters/monai/test_devices.py")
    files = [str(ROOT / "tests" / name) for name in names]
    program(report, "tests", [sys.executable, "-m", "pytest", *options, "-m", "gpu", *files], 100)


def parts() -> list[tuple[Any, ...]]:
    """Return what is asked: a function and its arguments each, what matters most first."""
    patterns = [("phantom", 14), ("constant", 14), *(("noise", classes) for classes in (2, 14, 64, 150, 256))]
    return [
        (machine,),
        (ceilings,),
        (small_cases, None),
        *((latency, shape) for shape in SHAPES),
        *((labels, *each, torch.uint8, NARROW) for each in patterns),
        *((gpu_scores.sums, 14, dtype) for dtype in gpu_scores.DTYPES),
        (gpu_scores.gradient, 14),
        *((labels, *each, torch.int64, WIDE) for each in patterns),
        (tests,),
        *((small_cases, tool) for tool in ("memcheck", "racecheck")),
        *((gpu_scores.sums, c, dtype) for c in gpu_scores.CHANNELS if c != 14 for dtype in gpu_scores.DTYPES),
        *((masks, dtype) for dtype in (torch.bool, torch.float32, torch.float16)),
        (memory,),
        (gpu_scores.compiled,),  # takes the longest to begin
    ]


def memory(report: Report) -> None:
    """Say how much memory was taken in all, and of that which PyTorch does not know."""
    lanes = getattr(driver.driver(), "_lanes", {}).values()
    report.add(
        "memory",
        most_of_torch_gib=round(torch.cuda.max_memory_allocated() / 2**30, 2),
        work_space_mib=round(sum(each.room for each in lanes) / 2**20, 1),
    )


def ask(report: Report, first: int, begin: Callable[[int, float], Any]) -> None:
    """Ask the parts from one on; `begin` is told of each, and how long it may take."""
    for number, (part, *arguments) in enumerate(parts()):
        if number < first:
            continue
        begin(number, LIMITS.get(part.__name__, USUAL_LIMIT))
        name = " ".join(map(str, (part.__name__, *arguments)))
        if report.after(LATEST):
            report.add(name, failed="left out: no time")
            continue
        with report.guarded(name):
            part(report, *arguments)


def main() -> None:
    """Ask all of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, help="where the results go, as JSON")
    parser.add_argument("--part", type=int, default=0, help="the first one")
    parser.add_argument("--begun", type=float, help="when the first process began, in seconds")
    given = parser.parse_args()
    report, marker, parent = Report(given.file, given.begun), given.file.with_suffix(".part"), os.getppid()
    if not torch.cuda.is_available():
        report.add("machine", failed="PyTorch finds no GPU of NVIDIA's that it can use")
        raise SystemExit(NO_GPU)

    def begin(number: int, limit: float) -> None:
        if os.getppid() != parent:
            raise SystemExit("whoever asked is gone")
        marker.write_text(f"{number} {time.time()} {limit}\n")

    ask(report, given.part, begin)


if __name__ == "__main__":
    main()
