"""How many calls of each drop-in were counted here, and how many went to the host, and why."""

from __future__ import annotations

import os
import threading
from collections import Counter
from dataclasses import dataclass, field

__all__ = ["Calls", "FallbackError", "Report", "report", "went_fast", "went_to_host"]

#: Reasons that are kept apart for one name; more than these are one, so that a long run does not collect texts.
_MOST_REASONS = 32
_lock = threading.Lock()
_fast: Counter[str] = Counter()
_host: dict[str, Counter[str]] = {}


class FallbackError(RuntimeError):
    """A call would have gone to the host, where ``FASTSEG_ADAPTERS=strict`` forbids it."""


@dataclass(frozen=True)
class Calls:
    """How the calls of one drop-in went.

    Parameters
    ----------
    fast : int
        Calls that were counted here.
    host : int
        Calls that the host answered.
    reasons : dict of str to int
        Why they went there, and how many of them.
    """

    fast: int = 0
    host: int = 0
    reasons: dict[str, int] = field(default_factory=dict)


class Report(dict[str, Calls]):
    """`Calls` by the name of the drop-in, such as ``"sklearn.f1_score"``; prints as a table."""

    def __str__(self) -> str:
        width = max(map(len, self), default=0)
        lines = [f"{'':{width}}  {'fast':>8}  {'host':>8}  why"]
        for name, calls in self.items():
            why = "; ".join(f"{reason} ({times})" for reason, times in calls.reasons.items())
            lines.append(f"{name:{width}}  {calls.fast:>8}  {calls.host:>8}  {why}".rstrip())
        return "\n".join(lines)


def report(*, reset: bool = False) -> Report:
    """Return how the calls of each drop-in went in this process.

    Parameters
    ----------
    reset
        Whether to begin at zero again.

    Returns
    -------
    report : Report
        `Calls` by the names of the drop-ins that were called, sorted.

    Examples
    --------
    >>> from fastseg.adapters import report, sklearn
    >>> _ = report(reset=True)
    >>> sklearn.accuracy_score([0, 1, 1], [0, 1, 0])
    0.6666666666666666
    >>> report()["sklearn.accuracy_score"].fast
    1
    """
    with _lock:
        names = sorted({*_fast, *_host})
        found = Report(
            (name, Calls(_fast[name], _host.get(name, Counter()).total(), dict(_host.get(name, {})))) for name in names
        )
        if reset:
            _fast.clear()
            _host.clear()
    return found


def went_fast(name: str) -> None:
    """Note a call that was counted here."""
    with _lock:
        _fast[name] += 1


def went_to_host(name: str, reason: str) -> None:
    """Note a call that the host is about to answer; an error where the environment says that none may."""
    mode = os.environ.get("FASTSEG_ADAPTERS", "")
    if mode == "strict":
        raise FallbackError(f"{name}: this call would go to the host (FASTSEG_ADAPTERS=strict): {reason}")
    if mode:
        raise ValueError(f"FASTSEG_ADAPTERS: expected 'strict' or nothing, found {mode!r}")
    with _lock:
        reasons = _host.get(name)
        if reasons is None:
            reasons = _host[name] = Counter()
        reasons[reason if reason in reasons or len(reasons) < _MOST_REASONS else "other reasons"] += 1
