"""Scores cases on the workers of a Dask cluster; the process that asked owns the journal."""

from __future__ import annotations

import asyncio
import itertools
import os
import queue
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, NamedTuple

from fastseg._version import __version__
from fastseg.counting.threads import share_of, sharing
from fastseg.runs.cases.find import Case
from fastseg.runs.scoring.case import CancelledError, score_case
from fastseg.runs.scoring.keys import Hashing
from fastseg.runs.scoring.records import CaseRecord
from fastseg.runs.scoring.settings import Settings
from fastseg.volumes import VolumeError, absolute, is_url, named, split_inside
from fastseg.volumes.paths import Url
from fastseg.volumes.remote import stored_at

__all__ = ["Cluster"]

#: The roles of a case's files.
_ROLES = ("reference", "prediction", "roi")
#: Seconds within which results are fetched together.
_TOGETHER = 0.1


class _Scored(NamedTuple):
    """What a worker returns."""

    record: CaseRecord
    worker: str
    unseen: tuple[str, ...]
    """Paths that are not there for it, of a case that failed."""


def score_on_worker(case: Case, settings: Settings, hashing: Hashing, cases: int, version: str) -> _Scored:
    """Score a case on the worker that runs this, with its share of the worker's threads.

    The version of fastseg has to be the client's also here: the worker may have come after those that were asked.
    """
    from distributed import get_worker

    worker: Any = get_worker()
    if version != __version__:
        reason = f"expected fastseg {version}, as the client has, found {__version__} on the worker {worker.address}"
        return _Scored(_failed(case, reason), worker.address, ())
    task = worker.state.tasks[worker.get_current_task()]

    def look(_: int, __: int) -> None:
        if task.state == "cancelled":
            raise CancelledError

    threads = share_of(cases)
    with sharing(threads):
        record = score_case(case, settings, hashing=hashing, threads=threads, progress=look)
    paths = [getattr(case, role) for role in _ROLES] if record.status == "failed" else []
    return _Scored(record, worker.address, tuple(path for path in paths if path is not None and not _is_there(path)))


def _is_there(path: str) -> bool:
    outer, _ = split_inside(path)
    if not isinstance(outer, Url):
        return os.path.exists(outer)
    try:
        stored_at(outer)
    except VolumeError:
        return False
    return True


class Cluster:
    """The cases of a run on the workers of a client; used by one thread, which takes what comes in `wait`.

    Parameters
    ----------
    client : distributed.Client
    retries : int
        How often a case is handed out again after Dask has given it up, as its workers have died.
    """

    def __init__(
        self,
        cases: Sequence[Case],
        settings: Settings,
        client: Any,
        hashing: Hashing,
        keep: Callable[[CaseRecord], None],
        retries: int,
    ) -> None:
        self.cases, self.settings, self.client, self.hashing, self.keep = cases, settings, client, hashing, keep
        self.retries = retries
        self.error: BaseException | None = None
        self.voxels = [0] * len(cases)
        self.done = self.failed = 0
        self.name = f"fastseg-case-{uuid.uuid4().hex[:12]}"
        self.tries = [0] * len(cases)
        self.lost = False  # the scheduler, with all that it knew
        self.running: dict[int, Any] = {}
        self.ended: queue.SimpleQueue[int] = queue.SimpleQueue()
        self.submitted = itertools.count()

    def start(self) -> None:
        """Hand out all cases."""
        self._hand_out(range(len(self.cases)))

    def _hand_out(self, numbers: Iterable[int]) -> None:
        """Make tasks of cases, of all at once: each message to the scheduler costs as much as a small case."""
        if not (numbers := list(numbers)):
            return
        futures = self.client.map(
            score_on_worker,
            [_with_absolute_paths(self.cases[number]) for number in numbers],
            settings=self.settings,
            hashing=self.hashing,
            cases=len(self.cases),
            version=__version__,
            key=[f"{self.name}-{number}-{next(self.submitted)}" for number in numbers],
            pure=False,
        )
        for number, future in zip(numbers, futures, strict=True):
            self.running[number] = future
            future.add_done_callback(lambda _, number=number: self.ended.put(number))

    def wait(self, seconds: float) -> bool:
        """Take what comes within some seconds; return whether all is done.

        Raises
        ------
        OSError
            If the scheduler is gone, and does not come back within the time that the client waits for one.
        """
        end = time.monotonic() + seconds
        while self.running and (left := end - time.monotonic()) > 0:
            if self._connected():
                self._take(self._ended_within(min(left, _TOGETHER)))
            else:
                time.sleep(left)
        return not self.running

    def _ended_within(self, seconds: float) -> list[int]:
        """Return the cases that end within some seconds, or once all have."""
        end, found = time.monotonic() + seconds, dict[int, None]()
        while len(found) < len(self.running):
            try:
                found[self.ended.get(timeout=max(0, end - time.monotonic()))] = None
            except queue.Empty:
                break
        return [number for number in found if number in self.running]

    def _connected(self) -> bool:
        """Tell whether there is a scheduler; hand all that is not done to one that was started after the last."""
        status = self.client.status
        if status == "connecting":
            self.lost = True
            return False
        if status not in ("running", "newly-created"):
            raise OSError(f"cluster: the scheduler is gone (the client is {status})")
        if self.lost:
            self.lost = False
            self._hand_out(list(self.running))
        return True

    def _take(self, numbers: Sequence[int]) -> None:
        """Take cases that have ended, whatever became of them."""
        finished = {number: self.running[number] for number in numbers if self.running[number].status == "finished"}
        results = self._results(finished)
        for number in numbers:
            scored = results.get(number)
            record = self._unfinished(number) if scored is None else self._record(self.cases[number], scored)
            if record is not None:
                del self.running[number]
                self.keep(record)
                self.done += 1
                self.failed += record.status == "failed"
                self.voxels[number] = sum(record.voxels)

    def _results(self, finished: Mapping[int, Any]) -> Mapping[int, _Scored | None]:
        """Return the results of futures that are there, by one call, as each takes a message there and back.

        If a worker has died with some of them, nobody waits until these are scored again: the others come by the next call.
        """

        async def gather() -> Any:
            gathering = asyncio.ensure_future(self.client.gather(finished, errors="skip", asynchronous=True))
            while not any(future.status in ("pending", "lost") for future in finished.values()):
                if (await asyncio.wait([gathering], timeout=_TOGETHER))[0]:
                    return await gathering
            gathering.cancel()
            return {}

        found: Mapping[int, _Scored | None] = {}
        with suppress(OSError):  # there is no scheduler: `wait` sees whether one comes back
            found = self.client.sync(gather) if finished else found
        return found

    def _unfinished(self, number: int) -> CaseRecord | None:
        """Return the record of a case that was not scored; None if it still may be."""
        future, case = self.running[number], self.cases[number]
        if future.status in ("pending", "finished"):  # it was lost, and is done once more
            future.add_done_callback(lambda _: self.ended.put(number))
            return None
        if future.status in ("cancelled", "lost") and self.client.status == "connecting":
            self.lost = True
            return None
        if future.status == "lost":  # with its worker, once it was scored: that is no try that failed
            self._hand_out([number])
            return None
        error = future.exception() if future.status == "error" else None
        died = error is None or type(error).__name__ == "KilledWorker"
        if died and self.tries[number] < self.retries and self.client.status == "running":
            self.tries[number] += 1
            self._hand_out([number])
            return None
        return _failed(case, _why(error, self.tries[number]))

    def _record(self, case: Case, scored: _Scored) -> CaseRecord:
        """Return the record of a case with its own paths, and with what its worker lacks."""

        def called(text: str) -> str:
            for path in filter(None, (case.reference, case.prediction, case.roi)):
                text = text.replace(_absolute(path) or path, path)
            return text

        record, reason = scored.record, scored.record.reason
        unseen = [path for path in scored.unseen if _is_there(path)]
        if unseen:
            same = "stores, and what opens them" if is_url(unseen[0]) else "folders"
            there = f"not there on the worker {scored.worker}, though it is here"
            reason = f"{named(unseen[0])}: {there}: workers need the same {same}"
        elif reason is not None:
            reason = called(reason)
            if "pip install" in reason:
                reason = f"{reason} (on the worker {scored.worker})"
        record = replace(record, geometry=called(record.geometry), notes=tuple(map(called, record.notes)))
        return replace(record, **{role: getattr(case, role) for role in _ROLES}, reason=reason)

    def stop(self, error: BaseException) -> None:
        """Cancel all that is not done; `error` is what the run ends with."""
        self.error = self.error or error
        if self.client.status == "running":
            self.client.cancel(list(self.running.values()), force=True)

    def join(self) -> None:
        """Forget what was handed out."""
        self.running.clear()


def _with_absolute_paths(case: Case) -> Case:
    reference, prediction, roi = (_absolute(getattr(case, role)) for role in _ROLES)
    return Case(case.id, reference or "", prediction, roi)


def _absolute(path: str | None) -> str | None:
    return None if path is None else absolute(path)


def _failed(case: Case, reason: str) -> CaseRecord:
    return CaseRecord(case.id, "failed", case.reference, case.prediction, case.roi, reason=reason)


def _why(error: BaseException | None, tries: int) -> str:
    """Return why a case was not scored, in one line."""
    if error is None:
        return "its task was cancelled, or lost with its worker"
    if type(error).__name__ == "KilledWorker":
        address = getattr(getattr(error, "last_worker", None), "address", "unknown")
        times = f", after {tries} retries" if tries else ""
        return f"the workers that scored it ended while they did (the last was {address}{times}): out of memory, or crashed"
    return " ".join(f"{type(error).__name__}: {error}".split())
