"""The few things that are asked of a GPU, and who is asked."""

from __future__ import annotations

import os
import threading
from contextlib import AbstractContextManager
from typing import Any, Protocol

import numpy.typing as npt

from fastseg.kernels.cuda.compiler import Specialisation
from fastseg.kernels.cuda.nvidia import Nvidia
from fastseg.kernels.protocols.device import Device, Limits, NoDevice

__all__ = ["Driver", "Nvidia", "driver", "index_of", "usable"]

Array = npt.NDArray[Any]


class Driver(Protocol):
    """What kernels are run by: a GPU's driver, or in tests the CPU."""

    def at(self, device: Device) -> AbstractContextManager[Any]:
        """Let the calls within it belong together: nobody else's come between, as what `zeros` returns is used again."""
        ...

    def limits(self, device: Device) -> Limits:
        """Return what a GPU has."""
        ...

    def index_of(self, pointer: int) -> int:
        """Return which GPU an address belongs to."""
        ...

    def launch(
        self, what: Specialisation, device: Device, grid: tuple[int, int], shared_bytes: int, job: bytes | bytearray
    ) -> None:
        """Run a kernel of one argument, a structure, on the device's stream, without waiting for it; within `at`."""
        ...

    def zeros(self, size: int, device: Device, beyond: int = 0) -> int:
        """Return the address of so many zero bytes, and of `beyond` more that hold anything.

        They are the stream's own: the next call on it may use them again. It is the first of the calls that belong together:
        all of them come after what the arrays' other streams have to do by now.
        """
        ...

    def write(self, pointer: int, content: bytes, device: Device) -> None:
        """Copy some bytes to the device's memory, once all work before on the stream is done with them."""
        ...

    def upload(self, array: Array, device: Device) -> int:
        """Return the address of a copy of a small array, which is kept for the next time."""
        ...

    def download(self, pointer: int, size: int, device: Device) -> bytearray:
        """Return bytes of the device's memory once all work before on the stream is done."""
        ...

    def fetch(self, pointer: int, size: int, device: Device) -> Fetched:
        """Have bytes of the device's memory copied in the order of the stream, without waiting for them."""
        ...


class Fetched(Protocol):
    """Bytes that are on their way from a GPU."""

    def wait(self) -> bytes:
        """Return them once all work on their stream is done; the same each time."""
        ...


_driver: Driver | None = None
#: The process that asked for the driver; 0 before.
_process = 0
_lock = threading.Lock()


def driver() -> Driver:
    """Return what kernels are run by.

    Raises
    ------
    NoDevice
        If there is no driver, or the packages that call it are not installed; the message says what to do.
    """
    global _driver, _process
    if _process not in (0, os.getpid()):
        raise NoDevice(
            "arrays on a GPU cannot be counted in a process that was forked from one that has used the GPU, as CUDA does not "
            "allow it; start processes with multiprocessing's 'spawn' or 'forkserver'"
        )
    if _driver is None:
        with _lock:
            if _driver is None:
                _driver, _process = Nvidia(), os.getpid()
    return _driver


def index_of(pointer: int) -> int:
    """Return which GPU an address belongs to."""
    return driver().index_of(pointer)


def usable() -> bool:
    """Tell whether arrays on a GPU can be counted here."""
    try:
        driver()
    except NoDevice:
        return False
    return True
