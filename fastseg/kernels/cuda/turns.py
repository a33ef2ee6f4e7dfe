"""Whose turn it is to work with a GPU, and what is on its way from there."""

from __future__ import annotations

import ctypes
import threading
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from fastseg.kernels.protocols.device import Device

__all__ = ["Copy", "Lane", "Pinned", "Turn"]


class Turn:
    """The turn of a thread, in the context of a device; within another turn on the same device there is nothing to do."""

    __slots__ = ("before", "index", "owner", "pushed")

    def __init__(self, owner: Any, index: int) -> None:
        self.owner, self.index = owner, index

    def __enter__(self) -> None:
        owner = self.owner
        owner.turn.acquire()
        self.before, self.pushed = owner.here, owner.here != self.index
        if self.pushed:
            try:
                owner.push(self.index)
            except BaseException:
                owner.turn.release()
                raise
            owner.here = self.index

    def __exit__(self, *_: object) -> None:
        owner = self.owner
        try:
            if self.pushed:
                owner.here = self.before
                owner.pop()
        finally:
            owner.turn.release()


class Pinned(NamedTuple):
    """Memory of the CPU that a GPU writes to, and the moment at which it has done so."""

    pointer: int
    room: int
    written: Any


@dataclass(eq=False, slots=True)
class Lane:
    """What a stream has of its own."""

    pointer: int = 0
    """Work space of `room` bytes, for the kernels of one call after the other."""
    room: int = 0
    free: dict[int, list[Pinned]] = field(default_factory=dict)
    """Memory of the CPU that waits to be written to again, by its size."""
    capturing: bool = False
    """Whether the stream's work goes into a graph, as of the last call."""
    written: bytes = b""
    """What was copied to the device last."""
    gone: bool = False
    """Whether it was forgotten."""


class Copy:
    """Bytes on their way to memory of the CPU, which is given back once they are read."""

    __slots__ = ("content", "device", "host", "in_graph", "lane", "lock", "owner", "size")

    def __init__(self, owner: Any, host: Pinned, size: int, device: Device, lane: Lane, in_graph: bool) -> None:
        self.owner, self.host, self.size, self.device = owner, host, size, device
        self.lane, self.in_graph = lane, in_graph
        self.content: bytes | None = None
        self.lock = threading.Lock()  # of those who wait: what they wait for goes once it is read

    def keep(self) -> None:
        """Let the memory be written to again, in the order of the same stream."""
        self.lane.free.setdefault(self.host.room, []).append(self.host)

    def wait(self) -> bytes:
        """Return them once all work on their stream that came before is done; the same each time."""
        with self.lock:
            if self.content is None:
                self.owner.wait(self)
                with self.owner.turn:
                    self.content = ctypes.string_at(self.host.pointer, self.size)
                    if not self.in_graph:
                        self.owner.give_back(self)
        return self.content

    def __del__(self) -> None:
        if self.content is None and not self.in_graph:
            self.keep()
