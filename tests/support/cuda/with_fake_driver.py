"""What a process does that has `fake_driver.c` for NVIDIA's driver: small calls, and what they ask of it."""

from __future__ import annotations

import ctypes
import gc
import os
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gpu_small
import numpy as np
from support.cuda.on_cpu import Tensor, built

from fastseg import count_labels
from fastseg.kernels.cuda import driver, nvidia
from fastseg.kernels.cuda.compiler import Compiled
from fastseg.kernels.protocols.device import Device, NoDevice

TRUE = np.array([[0, 1, 1], [1, 0, 1]], "u1")


def calls(log: Path) -> list[str]:
    """Return what the driver was asked since the last time."""
    found = log.read_text().split()
    log.write_text("")
    return found


def refused(call: Callable[[], Any], said: str) -> None:
    try:
        call()
    except RuntimeError as error:
        assert said in str(error), error
    else:
        raise AssertionError(said)


def main(log: Path, fake: Any) -> None:
    assert gpu_small.main() == 0
    assert driver.index_of(12345) == 1
    found, true = driver.driver(), Tensor(TRUE, stream=7)
    wide = Tensor(np.arange(3000).reshape(1, 3000), stream=7)
    assert isinstance(found, driver.Nvidia)
    _ = calls(log)
    assert count_labels(true, true, num_classes=2).matrix.sum() == 6
    first = calls(log)
    again = count_labels(true, true, num_classes=2)
    second = calls(log)
    assert {"cuMemAlloc", "cuMemAllocHost", "cuEventCreate"} <= set(first)
    work = ["cuMemsetD8Async", "cuLaunchKernel", "cuMemcpyDtoHAsync", "cuEventRecord"]
    assert second == ["cuStreamIsCapturing", *work]
    assert again.matrix.sum() == 6
    mode = "cuThreadExchangeStreamCaptureMode"  # so that a graph of another thread is not spoilt
    assert calls(log) == [mode, "cuEventSynchronize", mode]

    # Two streams: the second waits for the first, and for nothing where both arrays are made on one.
    other = Tensor(TRUE, stream=7)
    other.stream = 9
    count_labels(true, other, num_classes=2)
    assert "cuStreamWaitEvent" in calls(log)
    count_labels(other, other, num_classes=2)
    assert "cuStreamWaitEvent" not in calls(log)

    # Into a graph: also what was never called before on that stream, as this thread may allocate, and load a kernel.
    gc.collect()
    fake.fake_capture(1)
    other.stream = 11
    captured = count_labels(other, other, num_classes=2)
    assert "cuEventRecord" not in calls(log)
    refused(lambda: captured.matrix, "while the CUDA graph that counts it is captured")
    refused(lambda: count_labels(wide, wide), "declare the labels")
    mask = Tensor(TRUE.astype("i2"), stream=11)
    loaded = count_labels(other, other, mask=mask, num_classes=2)
    assert "cuModuleLoadData" in calls(log)
    fake.fake_capture(0)
    assert loaded.matrix.sum() == 4
    assert calls(log) == ["cuStreamIsCapturing", "cuCtxSynchronize"]
    assert captured.matrix.sum() == 6
    count_labels(other, other, num_classes=2)
    assert "cuMemAlloc" in calls(log)  # what the graphs work with is theirs

    # The stream of each thread is another one for each.
    other.stream = 2
    before = len(found._lanes)
    for _ in range(2):
        thread = threading.Thread(target=count_labels, args=(other, other), kwargs={"num_classes": 2})
        thread.start()
        thread.join()
    count_labels(other, other, num_classes=2)
    assert len(found._lanes) >= before + 2

    # Work space of many streams is not kept for ever.
    for stream in range(100, 150):
        other.stream = stream
        count_labels(other, other, num_classes=2)
    assert calls(log).count("cuMemFree") >= 15
    assert len(found._lanes) <= 35

    # Large memory of the CPU is not kept.
    assert count_labels(wide, wide, num_classes=3000).matrix.trace(axis1=1, axis2=2) == 3000
    assert "cuMemFreeHost" in calls(log)

    fake.fake_full(1)
    other.stream = 200
    try:
        count_labels(other, other, num_classes=2)
    except NoDevice as error:
        assert "no memory left" in str(error)
    else:
        raise AssertionError("counted without memory")
    fake.fake_full(0)
    assert count_labels(other, other, num_classes=2).matrix.sum() == 6

    fake.fake_old(1)
    refused(
        lambda: count_labels(other, Tensor(TRUE.astype("i4"), stream=200), num_classes=2),
        "for a driver of CUDA 13.0: install",
    )
    fake.fake_old(0)

    # What is uploaded is not kept for ever.
    _ = calls(log)
    for label in range(1100):
        count_labels(true, true, labels=[0, 1, 10 + label])
    assert calls(log).count("cuMemFree") >= 80
    assert len(found._uploads) == 1024

    if os.fork() == 0:
        try:
            count_labels(true, true, num_classes=2)
        except RuntimeError as error:
            os._exit(0 if "forked" in str(error) else 3)
        os._exit(4)
    assert os.waitpid(-1, 0)[1] == 0
    assert found.limits(Device(0)).multiprocessors == 3
    print("all is well")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        nvidia.compiled = lambda what, architecture: Compiled(  # type: ignore[assignment]
            os.fsencode(built(what, folder)) + b"\0", architecture
        )
        main(Path(os.environ["FAKE_DRIVER_LOG"]), ctypes.CDLL(sys.argv[1]))
