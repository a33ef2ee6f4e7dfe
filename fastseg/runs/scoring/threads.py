"""Scores cases on threads or processes, keeps what is done at every moment, and stops at once when asked to."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastseg.runs.cases.find import Case
from fastseg.runs.scoring.case import CancelledError, score_case
from fastseg.runs.scoring.keys import Hashing, size_of
from fastseg.runs.scoring.records import CaseRecord
from fastseg.runs.scoring.settings import Settings

if TYPE_CHECKING:
    from fastseg.runs.scoring.cluster import Cluster
    from fastseg.runs.scoring.processes import Processes

__all__ = ["Progress", "run_cases"]

#: Seconds between two looks at what the threads do.
_LOOK_SECONDS = 0.1
#: Cases that are smaller than this on average are Python's work, of which only one thread at a time can do any: threads that
#: get into each other's way are slower than one.
_SMALL_BYTES = 64 << 10


@dataclass(frozen=True)
class Progress:
    """How far a run is."""

    cases: int
    """Finished, in this run or before."""
    expected: int
    """In all."""
    failed: int
    voxels: int
    """Counted in this run."""
    seconds: float
    """Since the run began."""


def run_cases(
    cases: Sequence[Case],
    settings: Settings,
    *,
    threads: int,
    hashing: Hashing,
    keep: Callable[[CaseRecord], None],
    report: Callable[[Progress], None] | None = None,
    before: int = 0,
    client: Any = None,
    retries: int = 0,
) -> None:
    """Score cases, each on one thread, or on several where there are fewer cases than threads; many small ones in processes.

    With a client all of them are scored by the workers of its cluster.

    Parameters
    ----------
    cases
        In this order.
    settings
        What is scored, and how.
    threads
        How many at once.
    hashing
        As in `score_case`.
    keep
        Called with each record as soon as it is there, by one thread at a time. What it raises ends the run.
    report
        Called by the calling thread, ten times a second.
    before
        Cases that were finished before, for `report`.
    client, retries
        As in `fastseg.runs.scoring.cluster.Cluster`.

    Raises
    ------
    KeyboardInterrupt
        As soon as all threads have stopped, which takes them a few milliseconds; what was kept is whole.
    """
    crew: _Crew | Processes | Cluster
    if client is None:
        crew = _crew(cases, settings, threads, hashing, keep)
    else:
        from fastseg.runs.scoring.cluster import Cluster

        crew = Cluster(cases, settings, client, hashing, keep, retries)
    started = time.monotonic()

    def look() -> None:
        if report is not None:
            seconds, voxels = time.monotonic() - started, sum(crew.voxels)
            report(Progress(before + crew.done, before + len(cases), crew.failed, voxels, seconds))

    try:
        crew.start()
        while not crew.wait(_LOOK_SECONDS):
            look()
        look()
    except BaseException as error:
        crew.stop(error)
    while True:
        try:
            crew.join()
            break
        except BaseException as error:  # Ctrl-C again
            crew.stop(error)
    if crew.error is not None:
        raise crew.error


def _crew(
    cases: Sequence[Case], settings: Settings, threads: int, hashing: Hashing, keep: Callable[[CaseRecord], None]
) -> _Crew | Processes:
    """Return who scores the cases: threads; of many small ones processes, where this one can be forked."""
    large = _large(cases)
    if threads > 1 and len(cases) > 1 and not large:
        # Here, since multiprocessing takes time to import.
        from fastseg.runs.scoring.processes import Processes, can_fork, least_share

        if len(cases) >= 2 * least_share(settings) and can_fork():
            return Processes(cases, settings, threads, hashing, keep)
    return _Crew(cases, settings, threads, hashing, keep, at_once=threads if large else 1)


class _Crew:
    """The threads of a run, and what they share."""

    def __init__(
        self,
        cases: Sequence[Case],
        settings: Settings,
        threads: int,
        hashing: Hashing,
        keep: Callable[[CaseRecord], None],
        at_once: int,
    ) -> None:
        self.cases, self.settings, self.hashing, self.keep = cases, settings, hashing, keep
        self.processors = threads
        self.lock = threading.Lock()
        self.ended = threading.Event()
        self.error: BaseException | None = None
        self.voxels = [0] * len(cases)  # a place for each, so that threads need not take turns to add up
        self.next = self.done = self.failed = 0
        self.threads = [
            threading.Thread(target=self._work, name=f"fastseg-case-{number}", daemon=True)
            for number in range(min(at_once, len(cases)))
        ]
        self.working = len(self.threads)

    def start(self) -> None:
        if not self.threads:
            self.ended.set()
        for thread in self.threads:
            thread.start()

    def wait(self, seconds: float) -> bool:
        return self.ended.wait(seconds)

    def stop(self, error: BaseException) -> None:
        self.error = self.error or error

    def join(self) -> None:
        for thread in self.threads:
            if thread.ident is not None:
                thread.join()

    def _work(self) -> None:
        try:
            while (drawn := self._draw()) is not None:
                number, threads = drawn
                record = self._score(number, threads)
                with self.lock:
                    if self.error is not None:
                        return
                    self.keep(record)
                    self.done += 1
                    self.failed += record.status == "failed"
        except CancelledError:
            pass
        except BaseException as error:
            self.stop(error)
        finally:
            with self.lock:
                self.working -= 1
                if not self.working or self.error is not None:
                    self.ended.set()

    def _draw(self) -> tuple[int, int] | None:
        """Take the next case, and as many threads for it as the cases that are left do not need."""
        with self.lock:
            if self.error is not None or self.next == len(self.cases):
                return None
            self.next += 1
            left = len(self.cases) - self.done
            return self.next - 1, max(1, self.processors // left)

    def _score(self, number: int, threads: int) -> CaseRecord:
        case = self.cases[number]

        def progress(counted: int, _: int) -> None:
            if self.error is not None:
                raise CancelledError
            self.voxels[number] = max(self.voxels[number], counted)

        return score_case(case, self.settings, hashing=self.hashing, threads=threads, progress=progress)


def _large(cases: Sequence[Case]) -> bool:
    """Tell whether several threads are faster than one."""
    return sum(map(size_of, cases)) > _SMALL_BYTES * len(cases)
