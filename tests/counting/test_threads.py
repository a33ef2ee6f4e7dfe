"""Threads: how many, the same result for any number of them, and good behaviour among processes, threads and signals."""

from __future__ import annotations

import functools
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import fastseg
from fastseg import count_labels, count_masks
from fastseg.arrays import label_spans as layout
from fastseg.counting import threads

LARGE = 5_000_000  # well above what the calling thread counts alone
THREADS = (1, 2, 3, 7, 16)


@pytest.fixture(autouse=True)
def _default_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("FASTSEG_NUM_THREADS", raising=False)
    fastseg.set_num_threads(None)
    yield
    fastseg.set_num_threads(None)


@functools.cache
def volumes(dtype: str) -> tuple[np.ndarray, np.ndarray]:
    """Return LARGE voxels of runs and of noise, as two maps of (50, 400, 250)."""
    rng = np.random.default_rng(0)
    runs = np.repeat(rng.integers(0, 14, LARGE // 100), 100)
    noise = np.where(rng.random(LARGE) < 0.1, rng.integers(0, 14, LARGE), runs)
    return tuple(a.astype(dtype).reshape(50, 400, 250) for a in (runs, noise))  # type: ignore[return-value]


@functools.cache
def weights() -> np.ndarray:
    return np.random.default_rng(1).random((50, 400, 250))


# ---- How many
def test_set_and_get(monkeypatch: pytest.MonkeyPatch) -> None:
    default = fastseg.get_num_threads()
    assert default == threads._default_threads() >= 1
    assert default <= (os.cpu_count() or 1)
    monkeypatch.setenv("FASTSEG_NUM_THREADS", " 3 ")
    assert fastseg.get_num_threads() == 3
    fastseg.set_num_threads(np.int64(5))  # the call comes before the environment
    assert fastseg.get_num_threads() == 5
    fastseg.set_num_threads(None)
    assert fastseg.get_num_threads() == 3
    monkeypatch.setenv("FASTSEG_NUM_THREADS", "")
    assert fastseg.get_num_threads() == default


@pytest.mark.parametrize(
    ("processors", "quota", "expected"), [(1, None, 1), (1, 8, 1), (6, None, 6), (6, 2, 2), (6, 8, 6)]
)
def test_default(processors: int, quota: int | None, expected: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "_default", None)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(processors)), raising=False)
    monkeypatch.setattr(threads, "_cgroup_quota", lambda *_: quota)
    assert fastseg.get_num_threads() == expected


# ---- Control groups: /proc/self/cgroup, files below /sys/fs/cgroup, processors.
V1 = "cpu,cpuacct/pod/cpu.cfs_"
CGROUPS: dict[str, tuple[str | None, dict[str, str], int | None]] = {
    "no such file": (None, {}, None),
    "no group": ("", {"cpu.max": "100000 100000"}, None),
    "v2 root": ("0::/\n", {"cpu.max": "150000 100000"}, 2),
    "v2 max": ("0::/\n", {"cpu.max": "max 100000"}, None),
    "v2 absent": ("0::/\n", {}, None),
    "v2 below one": ("0::/\n", {"cpu.max": "1000 100000"}, 1),
    "v2 nested": ("0::/a/b\n", {"cpu.max": "max 100000", "a/cpu.max": "300000 100000", "a/b/cpu.max": "max 1"}, 3),
    "v2 least": ("0::/a/b\n", {"cpu.max": "900000 100000", "a/cpu.max": "7 1", "a/b/cpu.max": "5 1"}, 5),
    "v2 of another namespace": ("0::/not/here\n", {"cpu.max": "400000 100000"}, 4),
    "v2 garbage": ("0::/\n", {"cpu.max": "much"}, None),
    "v2 no numbers": ("0::/\n", {"cpu.max": "a b"}, None),
    "v2 empty": ("0::/\n", {"cpu.max": ""}, None),
    "v1": ("3:cpu,cpuacct:/pod\n2:memory:/x\n", {f"{V1}quota_us": "250000\n", f"{V1}period_us": "100000\n"}, 3),
    "v1 unlimited": ("3:cpu,cpuacct:/pod\n", {f"{V1}quota_us": "-1\n", f"{V1}period_us": "100000\n"}, None),
    "v1 of another namespace": (
        "3:cpu,cpuacct:/docker/x\n",
        {"cpu,cpuacct/cpu.cfs_quota_us": "200000", "cpu,cpuacct/cpu.cfs_period_us": "100000"},
        2,
    ),
    "v1 without a period": ("3:cpu,cpuacct:/pod\n", {f"{V1}quota_us": "250000\n"}, None),
    "v1 of other things": ("3:memory:/\n4:cpuset:/\n", {"memory/cpu.max": "1 1", "cpu.max": "1 1"}, None),
    "hybrid": ("4:cpu:/\n0::/\n", {"cpu/cpu.cfs_quota_us": "3", "cpu/cpu.cfs_period_us": "1", "cpu.max": "max 1"}, 3),
}


@pytest.mark.parametrize(("membership", "files", "expected"), CGROUPS.values(), ids=CGROUPS)
def test_cgroups(membership: str | None, files: dict[str, str], expected: int | None, tmp_path: Path) -> None:
    root = tmp_path / "sys"
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    if membership is not None:
        (tmp_path / "membership").write_text(membership)
    assert threads._cgroup_quota(root, tmp_path / "membership") == expected


# ---- The same result
@pytest.mark.parametrize("order", ["C", "F", "mixed"])
@pytest.mark.parametrize("options", [{}, {"sample_axis": 0}, {"sample_axis": 2}, {"mask": True}], ids=str)
def test_counts_do_not_depend_on_threads(options: dict[str, Any], order: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "JOB_BYTES", 1 << 20)  # more jobs than threads
    y_true, y_pred = volumes("u1")
    options = {**options, "mask": y_true < 9} if "mask" in options else options
    expected = np.zeros((14, 14), int)
    np.add.at(expected, (y_true[options.get("mask", ...)].ravel(), y_pred[options.get("mask", ...)].ravel()), 1)
    y_true = y_true if order == "C" else np.asfortranarray(y_true)
    y_pred = np.asfortranarray(y_pred) if order == "F" else y_pred
    results = []
    for number in THREADS:
        fastseg.set_num_threads(number)
        results.append(count_labels(y_true, y_pred, num_classes=14, **options))
    assert all(result == results[0] for result in results)
    assert (results[0].matrix.sum(0) == expected).all()


@pytest.mark.parametrize("options", [{}, {"sample_axis": 0}, {"sample_axis": 1}, {"mask": True}], ids=str)
@pytest.mark.parametrize("order", ["C", "mixed"])
def test_float_sums_do_not_depend_on_threads(
    options: dict[str, Any], order: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layout, "JOB_BYTES", 1 << 20)
    y_true, y_pred = volumes("u1")
    options = {**options, "mask": y_true < 9} if "mask" in options else options
    y_true = y_true if order == "C" else np.asfortranarray(y_true)
    labels, masks = set(), set()
    for number in THREADS:
        fastseg.set_num_threads(number)
        for _ in range(1 if number == 1 else 2):  # who finishes first differs from run to run
            counts = count_labels(y_true, y_pred, sample_weight=weights(), **options)
            labels.add(counts.matrix.tobytes())
            binary = count_masks(y_true > 6, y_pred > 6, channel_axis=None, sample_weight=weights(), **options)
            masks.add(b"".join(a.tobytes() for a in (binary.tp, binary.fp, binary.fn, binary.tn)))
    assert len(labels) == len(masks) == 1
    total = weights()[options.get("mask", ...)].sum()
    assert counts.matrix.sum() == pytest.approx(total, rel=1e-12)
    assert (binary.tp + binary.fp + binary.fn + binary.tn).sum() == pytest.approx(total, rel=1e-12)


# ---- Many callers
def test_many_small_calls_from_many_threads() -> None:
    def caller(seed: int) -> int:
        rng = np.random.default_rng(seed)
        y_true, y_pred = (rng.integers(0, 5, 300, np.uint8) for _ in range(2))
        expected = count_labels(y_true, y_pred, backend="numpy")
        return sum(count_labels(y_true, y_pred) == expected for _ in range(1000))

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(caller, range(8))) == [1000] * 8


def test_large_calls_from_many_threads() -> None:
    y_true, y_pred = volumes("i8")
    fastseg.set_num_threads(4)
    expected = count_labels(y_true, y_pred)
    with ThreadPoolExecutor(6) as pool:
        futures = [pool.submit(count_labels, y_true, y_pred) for _ in range(18)]
        assert all(future.result() == expected for future in futures)


def count_in_child(_: int = 0) -> tuple[list[list[list[int]]], int]:
    """Count enough for several threads; runs in child processes, so it must be importable."""
    fastseg.set_num_threads(3)
    large = np.broadcast_to(np.arange(4, dtype="i8"), (2_000_000, 4))
    return count_labels(large, large[:, ::-1]).matrix.tolist(), fastseg.get_num_threads()


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_child_processes(method: str) -> None:
    expected = count_in_child()  # the parent has used its threads, and goes on doing so
    assert threads._pool is not None
    with ThreadPoolExecutor(1) as busy:
        meanwhile = busy.map(count_in_child, range(20))
        with multiprocessing.get_context(method).Pool(2) as pool:
            assert pool.map_async(count_in_child, range(4), chunksize=1).get(timeout=300) == [expected] * 4
        assert list(meanwhile) == [expected] * 20


# ---- When something goes wrong
class Failing:
    """A worker whose job 5 fails."""

    def job(self, index: int) -> int:
        if index == 5:
            raise ZeroDivisionError("job 5")
        return index

    def finish(self) -> int:
        return -1


@pytest.mark.parametrize("number", THREADS)
def test_a_failing_job_stops_the_call_and_nothing_else(number: int) -> None:
    @contextmanager
    def failing() -> Iterator[Failing]:
        yield Failing()

    consumed: list[int] = []
    with pytest.raises(ZeroDivisionError, match="job 5"):
        threads.run_jobs(10**9, failing, consumed.append, threads=number)
    assert consumed == sorted(consumed)  # in order, and not past the failure
    assert not consumed or consumed[-1] < 5
    results: list[int] = []
    threads.run_jobs(5, failing, results.append, threads=number)
    assert results[:5] == [*range(5)]  # and then what the workers kept to themselves
    assert set(results[5:]) == {-1}


@pytest.mark.parametrize("seconds", [1e-6, 1e-3])
def test_who_begins_alone_calls_the_others_if_it_takes_long(seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    called, done = [], [0]
    monkeypatch.setattr(threads, "submit", lambda work: called.append(work))
    monkeypatch.setattr(threads, "time", SimpleNamespace(perf_counter=lambda: done[0] * seconds))

    def job(index: int) -> int:
        done[0] += 1
        return index

    @contextmanager
    def worker() -> Iterator[Any]:
        yield SimpleNamespace(job=job, finish=lambda: -1)

    results: list[int] = []
    threads.run_jobs(8, worker, results.append, threads=3, alone=True)
    assert results == [*range(8), -1]
    assert len(called) == (2 if seconds > 1e-4 else 0)


@pytest.mark.parametrize("number", [1, 4])
def test_an_exception_while_counting(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    y_true, y_pred = volumes("i8")
    fastseg.set_num_threads(number)
    expected = count_labels(y_true, y_pred)
    with monkeypatch.context() as patch:
        patch.setattr(layout.Pieces, "spans", lambda self, job: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            count_labels(y_true, y_pred)
    assert count_labels(y_true, y_pred) == expected


INTERRUPTED = """
import signal, sys, time, numpy, fastseg
signal.signal(signal.SIGINT, signal.default_int_handler)  # what runs the tests in the background has it ignored
fastseg.set_num_threads(int(sys.argv[1]))
scalar = numpy.uint8(0)
fastseg.count_labels(scalar, scalar)
rows = numpy.broadcast_to(numpy.zeros(2**16, "u1"), (2**24, 2**16))
large = {"rows": rows, "blocks": numpy.broadcast_to(scalar, 2**40)}[sys.argv[2]]
try:
    print("counting", flush=True)
    fastseg.count_labels(large, large)
except KeyboardInterrupt:
    print(time.time(), flush=True)
few = large[: 2**9] if large.ndim == 2 else large[: 2**25]
print(fastseg.count_labels(few, few).matrix.tolist() == [[[2**25]]])
"""


@pytest.mark.skipif(os.name != "posix", reason="no SIGINT to send here")
@pytest.mark.parametrize("kind", ["rows", "blocks"])
@pytest.mark.parametrize("number", [1, 2, 7])
def test_ctrl_c(number: int, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    command = [sys.executable, "-W", "error", "-c", INTERRUPTED, str(number), kind]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "counting\n"
        time.sleep(0.2)
        sent = time.time()
        child.send_signal(signal.SIGINT)
        raised = float(child.stdout.readline())
        output = child.stdout.read()
    exited = time.time() - sent
    with capsys.disabled():
        print(f" Ctrl-C answered after {1000 * (raised - sent):.1f} ms, exit after {1000 * exited:.0f} ms ", end="")
    # The law says 0.25 s. Machines of tests are busy, and to count all of it would take minutes.
    assert raised - sent < 10
    assert exited < 20
    assert (output, child.returncode) == ("True\n", 0)
