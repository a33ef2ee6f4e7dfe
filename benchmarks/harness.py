"""Measures one thing against another in the same run, round by round, and remembers the ratios for the table."""

from __future__ import annotations

import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

import fastseg

Array = npt.NDArray[Any]
RESULTS: list[Result] = []


@dataclass
class Result:
    """One line of the table."""

    group: str
    name: str
    ratio: float
    low: float
    high: float
    seconds: float
    floor: float | None
    aim: float | None
    unit: str
    at_most: bool

    @property
    def verdict(self) -> str:
        """Say which goal was reached."""
        if self.floor is None:
            return ""
        reached = (lambda goal: self.ratio <= goal) if self.at_most else (lambda goal: self.ratio >= goal)
        return "aim" if self.aim is not None and reached(self.aim) else "floor" if reached(self.floor) else "below"


#: Seconds.
_SHORT = 0.05


def timed(call: Callable[[], Any]) -> float:
    """Return the seconds that a call takes."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def compare(
    benchmark: Any,
    name: str,
    ours: Callable[[], Any],
    baselines: list[Callable[[], Any]],
    *,
    group: str,
    floor: float | None = None,
    aim: float | None = None,
    rounds: int = 11,
    warmup: int = 1,
) -> float:
    """Time `ours` by pytest-benchmark, and before each round the baselines; record the median of baseline / ours."""
    reference: list[float] = []

    def before() -> None:
        times = []
        for baseline in baselines:
            seconds = timed(baseline)
            # Of short calls the second counts, theirs as ours: threads of OpenMP spin for milliseconds after the call before,
            # on the processors that others need, and caches hold what was last in them.
            times.append(timed(baseline) if seconds < _SHORT else seconds)
        reference.append(min(times))
        if reference[-1] < _SHORT:
            ours()

    for _ in range(warmup):
        before()
        ours()
    reference.clear()
    benchmark.pedantic(ours, setup=before, rounds=rounds, iterations=1)
    data = benchmark.stats.stats.data
    ratios = [a / b for a, b in zip(reference, data, strict=True)]
    record(name, ratios, statistics.median(data), group=group, floor=floor, aim=aim)
    benchmark.extra_info["ratio"] = statistics.median(ratios)
    return statistics.median(ratios)


def record(
    name: str,
    ratios: list[float],
    seconds: float,
    *,
    group: str,
    floor: float | None = None,
    aim: float | None = None,
    unit: str = "×",
    at_most: bool = False,
) -> None:
    """Keep a line of the table: the median of `ratios` and their quartiles."""
    quartiles = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else [ratios[0]] * 3
    RESULTS.append(
        Result(group, name, statistics.median(ratios), quartiles[0], quartiles[2], seconds, floor, aim, unit, at_most)
    )


@njit(nogil=True)
def _xor(a: Array, b: Array) -> np.uint64:
    seen = np.uint64(0)
    for i in range(a.size):
        seen |= a[i] ^ b[i]
    return seen


@njit(nogil=True)
def _or(a: Array) -> np.uint64:
    seen = np.uint64(0)
    for i in range(a.size):
        seen |= a[i]
    return seen


@njit(nogil=True)
def _sum(a: Array) -> np.uint64:
    total = np.uint64(0)
    for i in range(a.size):
        total += a[i]
    return total


_pool = ThreadPoolExecutor(fastseg.get_num_threads())
_SPAN = (8 << 20) // 8  # words


def read_ceiling(*arrays: Array) -> list[Callable[[], Any]]:
    """Return trivial kernels that read the arrays with all threads; the fastest of them is the ceiling."""
    words = [np.ascontiguousarray(a).reshape(-1).view(np.uint8) for a in arrays]
    words = [w[: w.size // 8 * 8].view(np.uint64) for w in words]

    def each(kernel: Any) -> Callable[[], Any]:
        # The arrays are read side by side, as a count reads them: the span of a narrow array is as many voxels.
        parts = max(1, -(-max(w.size for w in words) // _SPAN))

        def read(part: int) -> None:
            for w in words:
                kernel(w[w.size * part // parts : w.size * (part + 1) // parts])

        return lambda: list(_pool.map(read, range(parts)))

    readers = [each(_or), each(_sum)]
    if len(words) == 2 and words[0].size == words[1].size:
        starts = range(0, words[0].size, _SPAN)
        readers.append(
            lambda: list(_pool.map(lambda i: _xor(words[0][i : i + _SPAN], words[1][i : i + _SPAN]), starts))
        )
    return readers


_PEAK = """
import numpy as np, fastseg
def status(name):  # in kB
    return int(next(line for line in open("/proc/self/status") if line.startswith(name)).split()[1])
{setup}
{warm}
before = status("VmRSS")
open("/proc/self/clear_refs", "w").write("5")  # forget the peak so far
counts = {call}
after = status("VmHWM")
assert counts is None or counts.voxels.sum() == t.size
print(after - before)
"""


def peak_mib(setup: str, warm: str, call: str, **environment: str) -> float:
    """Return by how much memory grows during `call`, in a process of its own, after `setup` and a call that compiles."""
    code = _PEAK.format(setup=setup, warm=warm, call=call)
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, env={"PATH": "", **environment}
    )
    return int(done.stdout) / 1024


def expected_matrix(y_true: Array, y_pred: Array, classes: int, keep: Array | None = None) -> Array:
    """Count pairs by NumPy, a slice at a time."""
    total = np.zeros(classes * classes, np.int64)
    for k in range(len(y_true)):
        codes = y_true[k].astype(np.int64) * classes + y_pred[k].astype(np.int64)
        total += np.bincount((codes if keep is None else codes[keep[k]]).ravel(), minlength=classes * classes)
    return total.reshape(classes, classes)


def machine() -> str:
    """Describe the machine and the versions, for the head of the table."""
    import numba

    name = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo") as file:
            said = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in file)}
    except OSError:
        said = {}
    name = said.get("model name", name)
    if "cpu family" in said:  # virtual processors leave their generation out of their names
        name += f" (family {said['cpu family']}, model {said.get('model')})"
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30 if hasattr(os, "sysconf") else 0
    return (
        f"{name}, {fastseg.get_num_threads()} threads of {os.cpu_count()} processors, {memory:.0f} GiB; "
        f"Python {platform.python_version()}, NumPy {np.__version__}, Numba {numba.__version__}, fastseg {fastseg.__version__}"
    )


def write_json(path: Path) -> None:
    """Write all results, where they were taken and when, for the pictures of the site."""
    whole = {"machine": machine(), "date": datetime.date.today().isoformat(), "results": list(map(asdict, RESULTS))}
    path.write_text(json.dumps(whole, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def recall(path: Path) -> None:
    """Take over from a file of results the groups that were not measured again, if machine and versions are the same."""
    earlier = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"machine": None}
    if earlier["machine"] == machine():
        taken = {result.group for result in RESULTS}
        RESULTS[:0] = [Result(**result) for result in earlier["results"] if result["group"] not in taken]


def markdown() -> str:
    """Return all results as Markdown."""
    lines = [f"Machine: {machine()}.", ""]
    for group in dict.fromkeys(result.group for result in RESULTS):
        lines += [
            f"## {group}",
            "",
            "| what | ratio (quartiles) | time | floor | aim | reached |",
            "| --- | --- | --- | --- | --- | --- |",
        ]
        for r in (result for result in RESULTS if result.group == group):
            form = "{:.0f}" if r.ratio >= 100 else "{:.1f}" if r.ratio >= 10 else "{:.2f}"
            ratio, low, high = (form.format(v) + r.unit for v in (r.ratio, r.low, r.high))
            goals = ["" if goal is None else f"{'≤ ' if r.at_most else ''}{goal:g}" for goal in (r.floor, r.aim)]
            time_text = f"{r.seconds * 1e3:,.2f} ms" if r.seconds else ""
            lines.append(f"| {r.name} | {ratio} ({low}–{high}) | {time_text} | {goals[0]} | {goals[1]} | {r.verdict} |")
        lines.append("")
    return "\n".join(lines)
