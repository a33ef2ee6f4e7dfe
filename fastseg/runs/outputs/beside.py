"""Work in a forked process beside this one's: making text of numbers is Python's work, of which threads cannot share any."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection

from fastseg.counting.threads import get_num_threads
from fastseg.runs.scoring.processes import can_fork

__all__ = ["beside"]

Parts = tuple[bytes, ...]


@contextmanager
def beside(function: Callable[[], Parts]) -> Iterator[Callable[[], Parts]]:
    """Let a process begin with a function, and yield what returns its result.

    It is called here instead, when its result is asked for, where nothing can be forked, one thread is all that is to be
    used, or the process comes to harm.
    """
    if get_num_threads() < 2 or not can_fork():
        yield function
        return
    context = get_context("fork")
    reader, writer = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(function, reader, writer), daemon=True)
    process.start()
    writer.close()

    def result() -> Parts:
        try:
            return tuple(reader.recv_bytes() for _ in range(reader.recv()))
        except (EOFError, OSError):  # before a part, or in one
            return function()

    try:
        yield result
    finally:
        reader.close()
        process.kill()  # in vain where it has ended
        process.join()


def _work(function: Callable[[], Parts], reader: Connection, writer: Connection) -> None:
    """Send the parts that a function returns; Ctrl-C is for the process that reads."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    reader.close()
    try:
        parts = function()
        writer.send(len(parts))
        for part in parts:
            writer.send_bytes(part)
    finally:
        os._exit(0)  # nothing of what was inherited is to be flushed or ended twice
