"""What formats that a library decodes share: its complaints are about the file, and small volumes are decoded whole."""

from __future__ import annotations

import contextlib
import logging
import threading
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastseg.volumes.bytes import WritableBytes
from fastseg.volumes.errors import ClosedError, VolumeError
from fastseg.volumes.volume import Volume

# Python's warning filters are one list for all threads: two that save and restore it at once would leave it changed.
_filters = threading.RLock()


@contextlib.contextmanager
def failures_of(library: str, path: str) -> Iterator[None]:
    """Turn whatever a library raises into a VolumeError: what a broken file does to it is documented nowhere."""
    try:
        yield
    except VolumeError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise VolumeError(f"{path}: truncated, corrupt or not supported: {library}: {reason}") from error


@contextlib.contextmanager
def quiet(*libraries: str) -> Iterator[None]:
    """Keep warnings and log messages of these libraries off stderr; logs that the caller has set up still get theirs."""
    for library in libraries:
        logger = logging.getLogger(library)
        if not logger.hasHandlers():  # logging would fall back on stderr
            logger.addHandler(logging.NullHandler())
    with _filters, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


class DecodedVolume(Volume):
    """A volume whose voxels are decoded as a whole, when the first of them is read, and then served from memory.

    A format derives its class from this one, sets the attributes of `Volume` and implements `_decode`.
    """

    streams = True

    def __init__(self, path: str) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._voxels: NDArray[Any] | None = None
        self._position = 0
        self._closed = False

    def _decode(self) -> NDArray[Any]:
        """Return all voxels, of the shape, data type and memory order of this volume; raise VolumeError."""
        raise NotImplementedError

    def _all(self) -> NDArray[Any]:
        with self._lock:
            if self._closed:
                raise ClosedError(self.path)
            if self._voxels is None:
                self._voxels = self._decode()
            return self._voxels

    def read_into(self, buffer: WritableBytes) -> int:
        """Fill `buffer` with the next voxel bytes; see `Volume.read_into`."""
        writable: Any = buffer  # an array is a buffer only to the type checkers of Python 3.12
        view = memoryview(writable).cast("B")
        stored = self._all().reshape(-1, order=self.order).view(np.uint8)[self._position :][: len(view)]
        view[: len(stored)] = stored.data
        self._position += len(stored)
        return len(stored)

    def read_block(self, start: tuple[int, ...], stop: tuple[int, ...]) -> NDArray[Any]:
        """Return the box from `start` up to `stop`; see `Volume.read_block`."""
        return self._all()[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))]

    def finish(self) -> None:
        """Decode the file if nothing of it was read yet, so that it is verified."""
        self._all()

    def close(self) -> None:
        """Close the file and let go of the voxels; closing twice is allowed."""
        with self._lock:
            self._closed, self._voxels = True, None
