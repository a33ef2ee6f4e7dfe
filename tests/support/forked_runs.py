"""Runs the command line in forked children, so that a test can kill many without starting Python for each of them.

A program: for each line of JSON that it reads, it starts a child and writes its process id, and, when that has ended, "ended"
and its exit code. The line is an object of

arguments : list of str
    Of the command.
output : str
    File for what it prints.
delay : float
    Seconds that each case takes longer.
held : int, optional
    Cases that are begun after so many take minutes, so that the run cannot be over when somebody ends it.
log : str
    File to which the ids of cases are appended when their counting begins.
end_at : [str, int, str], optional
    A function of `os`, the number of a call of it, and what happens then: "kill", or the name of an error number.
size_limit : int, optional
    Bytes that a file may have.
"""

from __future__ import annotations

import errno
import itertools
import json
import math
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

from support.cases_on_disk import folders

from fastseg import cli
from fastseg.runs import evaluate_folder
from fastseg.runs.scoring import case as scoring, threads as running

#: Seconds that cases take which are held.
HELD = 120.0


def child(job: dict[str, Any]) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # what runs the tests in the background has it ignored
    file = os.open(job["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(file, 1)
    os.dup2(file, 2)
    log = os.open(job["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    write, begun = os.write, itertools.count()

    def slow(case: Any, *args: Any, progress: Any, **options: Any) -> Any:
        write(log, f"{case.id}\n".encode())
        delay = HELD if next(begun) >= job.get("held", math.inf) else job["delay"]
        end = time.monotonic() + delay
        while time.monotonic() < end:  # as a large case does: it looks whether it is wanted
            time.sleep(min(0.005, delay))
            progress(0, 1)
        return scoring.score_case(case, *args, progress=progress, **options)

    running.score_case = slow  # type: ignore[assignment]
    running._SMALL_BYTES = 0  # several threads, however small the cases are
    if "end_at" in job:
        end_at(*job["end_at"])
    if "size_limit" in job:
        resource.setrlimit(resource.RLIMIT_FSIZE, (job["size_limit"], job["size_limit"]))
    sys.argv = ["fastseg", *job["arguments"]]
    cli.main()


def end_at(name: str, number: int, what: str) -> None:
    """Let call `number` of a function of `os` be the last, or fail as all that follow."""
    real, calls = getattr(os, name), 0

    def counted(*args: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls >= number:
            if what == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            code = getattr(errno, what)
            raise OSError(code, os.strerror(code))
        return real(*args, **options)

    setattr(os, name, counted)


def load() -> None:
    """Import and compile here what children need, which costs each of them nothing then."""
    with tempfile.TemporaryDirectory() as folder:
        gt, pred = folders(Path(folder), 3, 6)
        str(evaluate_folder(gt, pred, Path(folder, "out"), threads=1))


def serve() -> None:
    load()
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            code = 99
            try:
                child(json.loads(line))
            except SystemExit as done:
                code = int(done.code or 0)
            except BaseException:
                signal.signal(signal.SIGINT, signal.SIG_IGN)
                with suppress(OSError):  # where files may not be as large as that
                    traceback.print_exc()
                raise
            finally:
                sys.stdout.flush()
                os._exit(code)
        print(pid, flush=True)
        print("ended", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


if __name__ == "__main__":
    serve()
