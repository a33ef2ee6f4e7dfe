"""What goes to the terminal besides results: sentences, and progress where somebody looks."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastseg.runs.scoring.threads import Progress as RunProgress

__all__ = ["counting_progress", "run_progress", "say", "show"]


def say(text: str, *more: str) -> None:
    """Write a line to stderr, and more lines below it. Characters that would act on a terminal are written as Python does."""
    lines = [text if text.startswith("usage: ") else f"fastseg: {text}", *(f"  {line}" for line in more)]
    print("\n".join(map(_harmless, lines)), file=sys.stderr, flush=True)


def show(text: str) -> None:
    """Write results to stdout. What it cannot take is an error of the whole command, found at its end (`streams`)."""
    print(text, flush=True)


def _harmless(line: str) -> str:
    return line if line.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in line)


@contextmanager
def counting_progress(quiet: bool) -> Iterator[Callable[[int, int], None] | None]:
    """Yield what draws a progress bar on stderr once a second has passed, or None where stderr is no terminal."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    start, bar = time.monotonic(), None
    columns = (TextColumn("counting"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    display = Progress(*columns, console=Console(stderr=True), transient=True)

    def update(counted: int, total: int) -> None:
        nonlocal bar
        if bar is None:
            if time.monotonic() - start < 1.0:
                return
            display.start()
            bar = display.add_task("counting", total=total)
        display.update(bar, completed=counted)

    try:
        yield update
    finally:
        if bar is not None:
            display.stop()


@contextmanager
def run_progress(quiet: bool) -> Iterator[Callable[[RunProgress], None] | None]:
    """Yield what draws the progress of a run: cases, voxels a second and the time that is left. None where nobody looks."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("cases"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[speed]}"), TimeRemainingColumn()
    )  # fmt: skip
    # Without a thread that draws: a process that has one cannot be forked to score small cases.
    with Progress(*columns, console=Console(stderr=True), transient=True, auto_refresh=False) as display:
        bar = display.add_task("cases", total=None, speed="")

        def update(now: RunProgress) -> None:
            speed = f"{now.voxels / max(now.seconds, 1e-9) / 1e6:,.0f} million voxels/s"
            failed = f", {now.failed} failed" if now.failed else ""
            display.update(bar, total=now.expected, completed=now.cases, speed=speed + failed, refresh=True)

        yield update
