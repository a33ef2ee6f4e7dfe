"""When the host is asked: while it answers, what `fastseg.patch` has put into it does as the host did."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

__all__ = ["ask", "asked"]


class _Here(threading.local):
    asked = False


_here = _Here()


def ask(theirs: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call a function of the host, in which nothing is counted by us: else a call that we hand over could come back."""
    before, _here.asked = _here.asked, True
    try:
        return theirs(*args, **kwargs)
    finally:
        _here.asked = before


def asked() -> bool:
    """Tell whether this thread is within `ask`."""
    return _here.asked
