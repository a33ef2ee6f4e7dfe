"""What a GPU machine is asked, in five minutes and one command: ``python benchmarks/gpu.py gpu.json``.

It needs PyTorch for CUDA, cuda-bindings and nvidia-cuda-nvrtc, and asks torchmetrics, pytest and compute-sanitizer, if there.
The file is written again after each line, so that a run that is cut off is still a result.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

import fastseg
from fastseg.kernels.cuda import driver
from fastseg.phantom import phantom_pair

ROOT = Path(__file__).parents[1]
#: Bytes of arrays that are gone through in turn, so that no cache holds the next one.
WORKING_SET = 2 << 30
ROUNDS = 30

LAST: list[tuple[Any, Any]] = []


@contextmanager
def events_around_launches() -> Iterator[None]:
    """Let `LAST` hold the events before and after each kernel of ours."""
    found, stream = driver.driver(), torch.cuda.current_stream()
    launch = found.launch

    def timed(*args: Any) -> None:
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record(stream)
        launch(*args)
        end.record(stream)
        LAST.append((begin, end))

    found.launch = timed  # type: ignore[method-assign]
    try:
        yield
    finally:
        del found.launch


def kernel_seconds(calls: list[Callable[[], Any]]) -> float:
    """Return the median seconds of the kernel of each call, the calls taken in turn."""
    calls[0]()
    with events_around_launches():
        for number in range(max(ROUNDS, len(calls))):
            calls[number % len(calls)]()
        torch.cuda.synchronize()
        seconds = [begin.elapsed_time(end) / 1e3 for begin, end in LAST]
        LAST.clear()
    return statistics.median(seconds)


def device_seconds(calls: list[Callable[[], Any]]) -> float:
    """Return the median seconds that the device works on others' calls."""
    calls[0]()
    torch.cuda.synchronize()
    seconds = []
    for number in range(ROUNDS):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        calls[number % len(calls)]()
        end.record()
        torch.cuda.synchronize()
        seconds.append(begin.elapsed_time(end) / 1e3)
    return statistics.median(seconds)


def whole_seconds(call: Callable[[], Any]) -> float:
    """Return the median seconds of a whole call, from Python to the result."""
    call()
    seconds = []
    for _ in range(5 * ROUNDS):
        torch.cuda.synchronize()
        start = time.perf_counter()
        call()
        torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def pair(kind: str, classes: int, voxels: int, dtype: Any) -> tuple[Any, Any]:
    """Return two maps on the GPU."""
    if kind == "constant":
        maps = [torch.zeros(voxels, dtype=dtype, device="cuda") for _ in range(2)]
    elif kind == "noise":
        maps = [torch.randint(0, classes, (voxels,), device="cuda").to(dtype) for _ in range(2)]
    else:
        side = round(voxels ** (1 / 3))
        maps = [torch.from_numpy(each).cuda().to(dtype).reshape(-1) for each in phantom_pair((side,) * 3, classes)]
    return maps[0], maps[1]


def rotated(true: Any, pred: Any) -> list[tuple[Any, Any]]:
    """Return copies of a pair that together are larger than the caches."""
    size = true.nbytes + pred.nbytes
    return [(true, pred), *((true.clone(), pred.clone()) for _ in range(max(1, WORKING_SET // size) - 1))]


class Report:
    """Lines of results, in a file from the first on."""

    def __init__(self, path: str) -> None:
        self.path, self.start, self.lines = Path(path), time.monotonic(), list[dict[str, Any]]()

    def add(self, what: str, **numbers: Any) -> None:
        """Write one more line."""
        self.lines.append({"what": what, "at": round(time.monotonic() - self.start, 1), **numbers})
        print(json.dumps(self.lines[-1]), flush=True)
        self.path.write_text(json.dumps(self.lines, indent=1) + "\n")

    @contextmanager
    def guarded(self, what: str) -> Iterator[None]:
        """Go on where a part fails, and say so."""
        try:
            yield
        except Exception as error:
            self.add(what, failed=f"{type(error).__name__}: {error}")


def machine(report: Report) -> None:
    """Say where this is."""
    packages = ("torch", "cuda-bindings", "nvidia-cuda-nvrtc", "torchmetrics", "numpy", "numba")
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
    arrays = [torch.zeros(1 << 29, dtype=torch.uint8, device="cuda") for _ in range(5)]
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
    true, pred = ((torch.rand(14, 1 << 21, device="cuda") < 0.5).to(dtype) for _ in range(2))
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
    true, pred = (torch.from_numpy(np.ascontiguousarray(each)).cuda() for each in phantom_pair(shape, 14))
    seconds = whole_seconds(partial(fastseg.count_labels, true, pred, num_classes=14))
    report.add("whole call, with the wait for its counts", shape=shape, microseconds=round(seconds * 1e6, 1))


def programs(report: Report) -> None:
    """Run the tests that need a GPU, and compute-sanitizer on some of them."""
    environment = {**os.environ, "FASTSEG_REQUIRE_GPU": "1", "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}
    tests = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-o",
        "addopts=",
        "--import-mode=importlib",
        str(ROOT / "tests/kernels/cuda/test_gpu.py"),
    ]
    commands = {"tests": tests}
    if (sanitizer := shutil.which("compute-sanitizer")) is not None:
        for tool in ("memcheck", "racecheck"):
            commands[tool] = [sanitizer, "--tool", tool, "--error-exitcode", "9", *tests, "-k", "4097 or wrong"]
    for name, command in commands.items():
        with report.guarded(name):
            done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT, timeout=100)
            report.add(name, code=done.returncode, said=(done.stdout + done.stderr)[-600:])


def main() -> None:
    """Ask all of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", help="where the results go, as JSON")
    report = Report(parser.parse_args().file)
    machine(report)
    ceiling = ceilings(report)["copy"]
    patterns = [("phantom", 14), ("constant", 14), *(("noise", classes) for classes in (2, 14, 64, 150, 256))]
    parts: list[tuple[Any, ...]] = [
        *((latency, shape) for shape in ((256, 256), (128, 128, 128))),
        *((labels, ceiling, *each, torch.uint8, 1 << 27) for each in patterns),
        *((labels, ceiling, *each, torch.int64, 1 << 24) for each in patterns),
        *((masks, ceiling, dtype) for dtype in (torch.bool, torch.float32, torch.float16)),
    ]
    for part, *arguments in parts:
        with report.guarded(f"{part.__name__} {arguments}"):
            part(report, *arguments)
    report.add("memory", most_of_torch_gib=round(torch.cuda.max_memory_allocated() / 2**30, 2))
    programs(report)


if __name__ == "__main__":
    main()
