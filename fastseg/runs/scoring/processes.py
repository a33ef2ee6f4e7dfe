"""Scores many small cases in processes that are forked: what they take is Python's work, of which threads cannot share any.

Each process has its share of the cases and a pipe, through which it sends the records. Processes that are forked need not load
anything again, and end by themselves when nobody reads their pipe any more.
"""

from __future__ import annotations

import os
import pickle
import selectors
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from multiprocessing import current_process, get_context
from multiprocessing.connection import Connection
from typing import Any

from fastseg.runs.cases.find import Case
from fastseg.runs.scoring.case import score_case
from fastseg.runs.scoring.keys import Hashing
from fastseg.runs.scoring.records import CaseRecord
from fastseg.runs.scoring.settings import Settings

__all__ = ["Processes", "can_fork", "least_share"]

#: Fewer cases for each process are not worth a fork, which takes some milliseconds.
LEAST_SHARE = 50


def least_share(settings: Settings) -> int:
    """Return how many cases are worth a process: a case with surfaces takes several times as long as one without."""
    return LEAST_SHARE if settings.surfaces is None else LEAST_SHARE // 5


def can_fork() -> bool:
    """Tell whether this process can be forked without harm: on Linux, where it has no threads but our own, which are idle."""
    others = [t for t in threading.enumerate() if t is not threading.main_thread() and not t.name.startswith("fastseg")]
    return sys.platform == "linux" and not others and not current_process().daemon


class Processes:
    """The processes of a run, and what they have done; used by one thread, which reads their pipes in `wait`."""

    def __init__(
        self,
        cases: Sequence[Case],
        settings: Settings,
        processes: int,
        hashing: Hashing,
        keep: Callable[[CaseRecord], None],
    ) -> None:
        self.cases, self.settings, self.hashing, self.keep = cases, settings, hashing, keep
        self.number = min(processes, len(cases) // least_share(settings))
        self.error: BaseException | None = None
        self.voxels = [0] * len(cases)
        self.done = self.failed = 0
        self.running: dict[Connection, tuple[Any, deque[int]]] = {}  # what each has still to score
        self.selector = selectors.PollSelector()  # of the pipes that are read; it holds no file itself

    def start(self) -> None:
        """Score a case here, so that all that it needs is loaded once, and share out the others."""
        self._keep(0, self._score(0))
        for first in range(1, self.number + 1):
            self._fork(deque(range(first, len(self.cases), self.number)))

    def _fork(self, share: deque[int]) -> None:
        if share:
            context = get_context("fork")
            reader, writer = context.Pipe(duplex=False)
            process = context.Process(target=self._work, args=(share, reader, writer), daemon=True)
            process.start()
            writer.close()
            self.running[reader] = process, share
            self.selector.register(reader, selectors.EVENT_READ)

    def _work(self, share: deque[int], reader: Connection, writer: Connection) -> None:
        """Score a share of the cases in a process of its own; Ctrl-C is for the one that reads."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        reader.close()
        try:
            for number in share:
                writer.send_bytes(pickle.dumps(self._score(number), pickle.HIGHEST_PROTOCOL))
        finally:
            os._exit(0)  # nothing of what was inherited is to be flushed or ended twice

    def _score(self, number: int) -> CaseRecord:
        return score_case(self.cases[number], self.settings, hashing=self.hashing)

    def wait(self, seconds: float) -> bool:
        """Take what comes within some seconds; return whether all is done."""
        end = time.monotonic() + seconds
        while self.running and (left := end - time.monotonic()) > 0:
            for key, _ in self.selector.select(left):
                assert isinstance(key.fileobj, Connection)
                self._take(key.fileobj)
        return not self.running

    def _take(self, reader: Connection) -> None:
        process, left = self.running[reader]
        try:
            record = reader.recv()
        except EOFError:
            self.selector.unregister(reader)
            reader.close()
            del self.running[reader]
            process.join()
            if left:  # a library that a hostile file has crashed, or a system that is out of memory
                number = left.popleft()
                self._keep(number, self._ended(number, process.exitcode))
                self._fork(left)
        else:
            self._keep(left.popleft(), record)

    def _ended(self, number: int, code: int) -> CaseRecord:
        case, how = self.cases[number], signal.Signals(-code).name if code < 0 else f"code {code}"
        reason = f"the process that scored it ended with {how}"
        return CaseRecord(case.id, "failed", case.reference, case.prediction, case.roi, reason=reason)

    def _keep(self, number: int, record: CaseRecord) -> None:
        self.keep(record)
        self.done += 1
        self.failed += record.status == "failed"
        self.voxels[number] = sum(record.voxels)

    def stop(self, error: BaseException) -> None:
        """End all processes; `error` is what the run ends with."""
        self.error = self.error or error
        for process, _ in self.running.values():
            process.kill()

    def join(self) -> None:
        """Wait for all processes to end."""
        for process, _ in self.running.values():
            process.join()
