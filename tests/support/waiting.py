"""Waiting for what other processes and threads do: for the thing itself, never for a time in which it should have come."""

from __future__ import annotations

import time
from collections.abc import Callable


def until(condition: Callable[[], object], seconds: float = 60) -> bool:
    """Tell whether a condition comes true within some seconds, which are more than the busiest machine should take."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return bool(condition())  # it may be this process that nobody let run
        time.sleep(0.01)
    return True
