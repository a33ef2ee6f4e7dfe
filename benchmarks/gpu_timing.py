"""How `gpu.py` times a GPU, and where its results go."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from fastseg.kernels.cuda import driver

#: Bytes of arrays that are gone through in turn, so that no cache holds the next one.
WORKING_SET = 2 << 30
ROUNDS = 30
DEVICE = "cuda"

LAST: list[tuple[Any, Any]] = []


def on_device(tensor: Any) -> Any:
    """Return a tensor in the memory of the GPU."""
    return tensor.to(DEVICE)


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
    """Return the median seconds of all kernels of a call, the calls taken in turn."""
    calls[0]()
    seconds = []
    with events_around_launches():
        for number in range(max(ROUNDS, len(calls))):
            calls[number % len(calls)]()
            torch.cuda.synchronize()
            seconds.append(sum(begin.elapsed_time(end) for begin, end in LAST) / 1e3)
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
    """Return the median seconds of a whole call, from Python until it returns, with nothing else on the device."""
    call()
    seconds = []
    for _ in range(5 * ROUNDS):
        torch.cuda.synchronize()
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def rotated(*arrays: Any) -> list[tuple[Any, ...]]:
    """Return copies of some arrays that together are larger than the caches."""
    size = sum(each.nbytes for each in arrays)
    return [arrays, *(tuple(each.clone() for each in arrays) for _ in range(max(1, WORKING_SET // size) - 1))]


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
        finally:
            torch.cuda.empty_cache()

    def after(self, seconds: float) -> bool:
        """Tell whether so much time has gone by."""
        return time.monotonic() - self.start > seconds
