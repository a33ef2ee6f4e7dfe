"""A lock that is held while kernels and what they need are imported, compiled or loaded, and during a fork.

A child must not inherit such locks of Python's or Numba's in use: nobody would release them there.
"""

from __future__ import annotations

import os
import threading
from typing import Any

__all__ = ["loading"]

_lock = threading.RLock()
_held_in_forks = not hasattr(os, "register_at_fork")


def loading() -> Any:
    """Return the lock, a context manager."""
    global _held_in_forks
    with _lock:
        if not _held_in_forks:
            # Numba logs while it compiles: a fork has to wait for that before it takes the lock of `logging`, and what was
            # registered last comes first.
            import logging  # noqa: F401

            os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release)
            _held_in_forks = True
    return _lock
