"""How many threads there are, and how work is spread over them.

Kernels are serial and release the GIL, so plain Python threads run them in parallel. The calling thread always works too:
a call makes progress however busy the shared pool is, and any number of threads may call at once.
"""

from __future__ import annotations

import operator
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

__all__ = ["checked_threads", "get_num_threads", "run_jobs", "set_num_threads", "share_of", "sharing", "submit"]

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
_chosen: int | None = None
_pool: ThreadPoolExecutor | None = None
_pool_lock = threading.Lock()
_here = threading.local()
#: Seconds of work that are left to one thread beyond which others are worth waking.
_WORTH = 400e-6


def set_num_threads(n: int | None) -> None:
    """Set how many threads a call may use; None goes back to the default.

    Parameters
    ----------
    n
        At least 1. It may exceed the number of processors; results do not depend on it.

    Raises
    ------
    TypeError, ValueError
        If `n` is no integer, or less than 1.

    Examples
    --------
    >>> set_num_threads(1)
    >>> get_num_threads()
    1
    >>> set_num_threads(None)
    """
    global _chosen
    _chosen = None if n is None else checked_threads(n, "n")


def get_num_threads() -> int:
    """Return how many threads a call may use.

    That is the value of `set_num_threads`, else of the environment variable FASTSEG_NUM_THREADS, else the number of
    processors that this process may run on (its affinity), or its control group's quota of processor time if that is less.

    Returns
    -------
    n : int

    Raises
    ------
    ValueError
        If FASTSEG_NUM_THREADS is no integer of at least 1.

    Examples
    --------
    >>> get_num_threads() >= 1
    True
    """
    share: int | None = getattr(_here, "share", None)
    if share is not None:
        return share
    if _chosen is not None:
        return _chosen
    setting = os.environ.get("FASTSEG_NUM_THREADS", "").strip()
    if setting:
        try:
            return checked_threads(int(setting), "FASTSEG_NUM_THREADS")
        except ValueError:
            raise ValueError(f"FASTSEG_NUM_THREADS: expected an integer of at least 1, found {setting!r}") from None
    return _default_threads()


@contextmanager
def sharing(n: int) -> Iterator[None]:
    """Let calls of this thread use n threads: its share of those that somebody else hands out work to."""
    before, _here.share = getattr(_here, "share", None), n
    try:
        yield
    finally:
        _here.share = before


def share_of(tasks: int) -> int:
    """Return how many threads one of several tasks may use, so that those beside it leave no more running than there are.

    In a worker of Dask these are the worker's, which runs as many tasks at once.
    """
    threads = get_num_threads()
    library = sys.modules.get("distributed")
    if library is not None:
        with suppress(ValueError):  # no worker: a scheduler in this process
            threads = min(threads, library.get_worker().state.nthreads)
    return max(1, threads // max(1, min(tasks, threads)))


def checked_threads(n: int, name: str) -> int:
    """Return a number of threads; TypeError or ValueError if it is none."""
    try:
        number = operator.index(n)
    except TypeError:
        number = None
    if number is None or isinstance(n, bool):
        raise TypeError(f"{name}: expected an integer of at least 1, found {n!r}")
    if number < 1:
        raise ValueError(f"{name}: expected an integer of at least 1, found {number}")
    return number


_default: int | None = None


def _default_threads() -> int:
    global _default
    if _default is None:
        processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        quota = _cgroup_quota(Path("/sys/fs/cgroup"), Path("/proc/self/cgroup"))
        _default = max(1, processors if quota is None else min(processors, quota))
    return _default


def _cgroup_quota(root: Path, membership: Path) -> int | None:
    """Return the least quota of processors, rounded up, on the way from this process's control group to the root."""
    try:
        lines = membership.read_text(errors="replace").splitlines()
    except OSError:
        return None
    quotas = []
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, colon, path = rest.partition(":")
        names = controllers.split(",") if controllers else []
        if not colon or (names and "cpu" not in names):
            continue
        # Version 1 mounts a folder for each set of controllers, in an order of its own, and links "cpu" to it.
        folders = [root / ",".join(order) for order in (names, names[::-1], ["cpu"])] if names else []
        top = next((folder for folder in folders if folder.is_dir()), root)
        group = top / path.lstrip("/")
        while True:
            quotas.append(_read_quota(group))
            if group in (root, group.parent) or root not in group.parents:
                break
            group = group.parent
    found = [quota for quota in quotas if quota is not None]
    return min(found) if found else None


def _read_quota(group: Path) -> int | None:
    try:
        if (group / "cpu.max").exists():  # control groups, version 2
            quota, period = (group / "cpu.max").read_text().split()
        else:
            quota = (group / "cpu.cfs_quota_us").read_text().strip()
            period = (group / "cpu.cfs_period_us").read_text().strip()
        return None if quota in ("max", "-1") else max(1, -(-int(quota) // int(period)))
    except (OSError, ValueError, ZeroDivisionError):
        return None


class Worker(Protocol[R_co]):
    """Does jobs in one thread; what it kept to itself comes out of `finish`."""

    def job(self, index: int) -> R_co: ...
    def finish(self) -> R_co: ...


def run_jobs(
    count: int,
    open_worker: Callable[[], AbstractContextManager[Worker[R]]],
    consume: Callable[[R], None],
    *,
    threads: int | None = None,
    alone: bool = False,
) -> None:
    """Run jobs 0..count-1 on up to `threads` workers and consume their results.

    With `alone` the calling thread begins by itself, and the others join it once the jobs that it has done say that the rest
    would take long.

    The results of jobs are consumed in the order of the jobs, whoever finished first, so that float sums do not depend on
    the number of threads; those of `finish` follow. `consume` is called by one thread at a time. The first exception stops
    all workers after the job in hand, and is raised; so does Ctrl-C.
    """
    wanted = min(count, threads or get_num_threads())
    if wanted <= 1:
        with open_worker() as worker:
            for index in range(count):
                consume(worker.job(index))
            consume(worker.finish())
        return
    _Run(count, open_worker, consume).on(wanted, alone)


class _Run:
    """One call's jobs: a counter that workers draw from, and results that wait for their turn."""

    def __init__(
        self, count: int, open_worker: Callable[[], AbstractContextManager[Worker[R]]], consume: Callable[[R], None]
    ) -> None:
        self.count, self.open_worker, self.consume = count, open_worker, consume
        self.lock = threading.Lock()
        self.drawn = self.consumed = 0
        self.waiting: dict[int, object] = {}
        self.finished: list[object] = []
        self.error: BaseException | None = None
        self.others: list[Future[None]] = []
        self.to_call = 0  # threads that have not been asked to join

    def on(self, threads: int, alone: bool) -> None:
        others = self.others
        try:
            self.to_call = threads - 1
            if not alone:
                self.call()
            self.work(first=True)
        except BaseException as error:  # Ctrl-C between two statements of `work`
            self.error = self.error or error
        while others:
            try:
                if not others[-1].cancel():
                    others[-1].result()
                others.pop()
            except BaseException as error:  # Ctrl-C while waiting: the others stop after their job, and are waited for
                self.error = self.error or error
        if self.error is not None:
            raise self.error
        for result in self.finished:
            self.consume(result)  # type: ignore[arg-type]

    def call(self) -> None:
        """Ask the others to join."""
        while self.to_call:
            self.to_call -= 1
            if (future := submit(self.work)) is not None:
                self.others.append(future)

    def work(self, first: bool = False) -> None:
        try:
            start = time.perf_counter()
            with self.open_worker() as worker:
                while (index := self.draw()) is not None:
                    self.hand_in(index, worker.job(index))
                    if first and self.to_call:  # alone, so all that was drawn is done
                        left = (time.perf_counter() - start) / self.drawn * (self.count - self.drawn)
                        if left > _WORTH:
                            self.call()
                self.finished.append(worker.finish())
        except BaseException as error:
            self.error = self.error or error

    def draw(self) -> int | None:
        with self.lock:
            if self.error is not None or self.drawn == self.count:
                return None
            self.drawn += 1
            return self.drawn - 1

    def hand_in(self, index: int, result: object) -> None:
        with self.lock:
            self.waiting[index] = result
            while self.consumed in self.waiting:
                self.consume(self.waiting.pop(self.consumed))  # type: ignore[arg-type]
                self.consumed += 1


def submit(work: Callable[[], None]) -> Future[None] | None:
    """Hand `work` to the shared pool, or return None where no thread can be started (at the interpreter's end)."""
    global _pool
    try:
        with _pool_lock:
            if _pool is None:
                from concurrent.futures import ThreadPoolExecutor  # costs 10 ms to import

                _pool = ThreadPoolExecutor(max_workers=256, thread_name_prefix="fastseg")
            return _pool.submit(work)
    except RuntimeError:
        return None


def _forget_pool() -> None:
    """After a fork the pool's threads exist only in the parent."""
    global _pool, _pool_lock
    _pool, _pool_lock = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pool)
