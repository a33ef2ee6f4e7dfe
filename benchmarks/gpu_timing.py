"""How `gpu_parts.py` times a GPU, and where its results go."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch

from fastseg.kernels.cuda import driver

#: Bytes of arrays that are gone through in turn, so that no cache holds the next one.
WORKING_SET = 2 << 30
ROUNDS = 30
#: Of what takes long, seconds after which a few rounds are enough.
ENOUGH, FEW_ROUNDS = 1.5, 5
#: Seconds of the same work before it is timed: an idle card's clock is a fifth of a busy one's, and takes a while to rise.
WARM = 0.05
#: Cycles that the device waits before what is timed, so that all of that is there when it begins.
LEAD = 300_000
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
        torch.cuda._sleep(LEAD)
        begin.record(stream)
        launch(*args)
        end.record(stream)
        LAST.append((begin, end))

    found.launch = timed  # type: ignore[method-assign]
    try:
        yield
    finally:
        del found.launch


def warmed(calls: list[Callable[[], Any]]) -> None:
    """Call them for a while, once at least."""
    start, number = time.monotonic(), 0
    while not number or time.monotonic() - start < WARM:
        calls[number % len(calls)]()
        torch.cuda.synchronize()
        number += 1


def kernel_seconds(calls: list[Callable[[], Any]]) -> float:
    """Return the median seconds of all kernels of a call, the calls taken in turn."""
    warmed(calls)
    LAST.clear()
    seconds = []
    with events_around_launches():
        for number in range(max(ROUNDS, len(calls))):
            calls[number % len(calls)]()
            torch.cuda.synchronize()
            seconds.append(sum(begin.elapsed_time(end) for begin, end in LAST) / 1e3)
            LAST.clear()
    return statistics.median(seconds)


def device_seconds(calls: list[Callable[[], Any]]) -> float:
    """Return the median seconds that the device works on others' calls: of all rounds, or of fewer where they take long."""
    warmed(calls)
    seconds, start = [], time.monotonic()
    for number in range(ROUNDS):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda._sleep(LEAD)
        begin.record()
        calls[number % len(calls)]()
        end.record()
        torch.cuda.synchronize()
        seconds.append(begin.elapsed_time(end) / 1e3)
        if number + 1 >= FEW_ROUNDS and time.monotonic() - start > ENOUGH:
            break
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


def peak_bytes(call: Callable[[], Any]) -> int:
    """Return the most bytes that PyTorch allocates for a call beyond what it has."""
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    call()
    torch.cuda.synchronize()
    return int(torch.cuda.max_memory_allocated() - before)


def rotated(*arrays: Any) -> list[tuple[Any, ...]]:
    """Return copies of some arrays that together are larger than the caches."""
    size = sum(each.nbytes for each in arrays)
    return [arrays, *(tuple(each.clone() for each in arrays) for _ in range(max(1, -(-WORKING_SET // size)) - 1))]


class Report:
    """Lines of results, in a file from the first on; after those of a process that has gone before."""

    def __init__(self, path: str, begun: float | None = None) -> None:
        self.path, self.begun = Path(path), time.time() if begun is None else begun
        self.lines: list[dict[str, Any]] = []
        if begun is not None and self.path.exists():
            self.lines = json.loads(self.path.read_text())

    def add(self, what: str, **numbers: Any) -> None:
        """Write one more line."""
        self.lines.append({"what": what, "at": round(time.time() - self.begun, 1), **numbers})
        print(json.dumps(self.lines[-1], default=str), flush=True)
        self.path.write_text(json.dumps(self.lines, indent=1, default=str) + "\n")

    def found(self, what: str, number: str) -> Any:
        """Return a number of the last line of that kind, None where there is none."""
        return next((line[number] for line in reversed(self.lines) if line["what"] == what and number in line), None)

    @contextmanager
    def guarded(self, what: str) -> Iterator[None]:
        """Go on where a part fails, and say so; `SystemExit` where the GPU answers no more."""
        try:
            yield
        except Exception as error:
            self.add(what, failed=f"{type(error).__name__}: {error}"[:2000])
            if not alive():
                raise SystemExit(3) from error
        finally:
            with suppress(Exception):
                torch.cuda.empty_cache()

    def share(self, size: float, seconds: float) -> float | None:
        """Return the speed of moving so many bytes by that of a copy; None where that is not known."""
        copy = self.found("ceilings", "copy_gb_per_s")
        return None if copy is None else round(size / seconds / (copy * 1e9), 3)

    def after(self, seconds: float) -> bool:
        """Tell whether so much time has gone by."""
        return time.time() - self.begun > seconds


def alive() -> bool:
    """Tell whether the GPU still works for this process: after some errors it does so no more."""
    try:
        torch.cuda.synchronize()
    except Exception:
        return False
    return True
