"""Which hosts are patched, and for whom."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from types import TracebackType
from typing import Self

from fastseg.adapters.tally import Report, report
from fastseg.patch.hosts import PATCHED, check, steps
from fastseg.patch.swaps import Swap

__all__ = ["HostStatus", "Patch", "Patcher", "Status", "patch"]


@dataclass(frozen=True)
class HostStatus:
    """How things are with one host.

    Parameters
    ----------
    version : str or None
        Its version, if it is patched.
    since : datetime or None
        Since when it is, in local time.
    patches : int
        How many patches hold it: it is put back when the last of them ends.
    calls : Report
        `fastseg.adapters.Calls` of its functions in this process, by name.
    """

    version: str | None = None
    since: datetime | None = None
    patches: int = 0
    calls: Report = field(default_factory=Report)

    @property
    def patched(self) -> bool:
        """Whether its functions are ours now."""
        return self.patches > 0


class Status(dict[str, HostStatus]):
    """`HostStatus` by the name of the host; prints as a table."""

    def __str__(self) -> str:
        width = max(map(len, self), default=0)
        lines = [f"{'':{width}}  {'version':>8}  {'since':19}  {'fast':>8}  {'host':>8}"]
        for name, each in self.items():
            since = f"{each.since:%Y-%m-%d %H:%M:%S}" if each.since else "not patched"
            fast, host = (
                sum(way) for way in zip((0, 0), *((c.fast, c.host) for c in each.calls.values()), strict=True)
            )
            lines.append(f"{name:{width}}  {each.version or '':>8}  {since:19}  {fast:>8}  {host:>8}")
        return "\n".join(lines)


class Patch:
    """Hosts that are patched from now on, until `undo`, or until the context is left; what `fastseg.patch` returns.

    Entered again, it patches again.
    """

    def __init__(self, patcher: Patcher, hosts: tuple[str, ...]) -> None:
        self.hosts = hosts
        self._patcher, self._depth = patcher, 0

    def undo(self) -> None:
        """End this patch: a host that no other patch holds is put back. To do it again does nothing."""
        self._depth = 0
        self._patcher._release(self.hosts, self)

    def __enter__(self) -> Self:
        self._patcher._hold(self.hosts, self)
        self._depth += 1
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._depth -= 1
        if self._depth <= 0:
            self.undo()

    def __repr__(self) -> str:
        return f"fastseg.patch({', '.join(map(repr, self.hosts))})"


@dataclass
class _Patched:
    version: str
    swaps: list[Swap]
    since: datetime = field(default_factory=datetime.now)
    holders: set[Patch] = field(default_factory=set)


class Patcher:
    """`fastseg.patch`: called with names of hosts, it patches them."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._patched: dict[str, _Patched] = {}

    def __call__(self, *hosts: str) -> Patch:
        """Let functions of other libraries count with fastseg, wherever they were imported to before.

        Parameters
        ----------
        *hosts
            Names such as ``"sklearn"``.

        Returns
        -------
        patch : Patch
            The hosts are patched already. As a context manager it puts them back at the end, as `Patch.undo` does.

        Raises
        ------
        ValueError
            If a name is no host, or there is none; it lists what there is.
        ImportError
            If a host is not installed, or not of a version whose inner steps are known; no host is patched then.

        Examples
        --------
        >>> import fastseg
        >>> from sklearn.metrics import f1_score
        >>> with fastseg.patch("sklearn"):
        ...     f1_score([0, 1, 1], [0, 0, 1])
        0.6666666666666666
        """
        made = Patch(self, hosts)
        self._hold(hosts, made)
        return made

    def undo(self, *hosts: str) -> None:
        """Put hosts back, whoever patched them, and however often; all hosts, if none is named.

        Raises
        ------
        ValueError
            If a name is no host.
        """
        with self._lock:
            if hosts:
                check(hosts)
            for name in hosts or list(self._patched):
                if name in self._patched:
                    self._put_back(name)

    def status(self) -> Status:
        """Return, for each host that there is, whether it is patched, since when, and how its calls went.

        Examples
        --------
        >>> import fastseg
        >>> with fastseg.patch("sklearn"):
        ...     fastseg.patch.status()["sklearn"].patched
        True
        """
        calls = report()
        with self._lock:
            return Status((name, self._status_of(name, calls)) for name in PATCHED)

    def _status_of(self, name: str, calls: Report) -> HostStatus:
        own = Report((call, each) for call, each in calls.items() if call.startswith(f"{name}."))
        found = self._patched.get(name)
        return HostStatus(found.version, found.since, len(found.holders), own) if found else HostStatus(calls=own)

    def _hold(self, hosts: Iterable[str], holder: Patch) -> None:
        names = tuple(hosts)
        check(names)
        # All are found before one is touched, and outside of the lock: that imports, and what is imported may patch.
        found = {name: steps(name) for name in names}
        with self._lock:
            for name, (version, of_host) in found.items():
                if name not in self._patched:
                    self._patched[name] = _Patched(version, [Swap(step) for step in of_host])
                self._patched[name].holders.add(holder)

    def _release(self, hosts: Iterable[str], holder: Patch) -> None:
        with self._lock:
            for name in hosts:
                if name in self._patched and holder in self._patched[name].holders:
                    self._patched[name].holders.remove(holder)
                    if not self._patched[name].holders:
                        self._put_back(name)

    def _put_back(self, name: str) -> None:
        for swap in self._patched.pop(name).swaps:
            swap.undo()


#: The only one, since functions are swapped for the whole process.
patch = Patcher()
