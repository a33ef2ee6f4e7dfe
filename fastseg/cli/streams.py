"""Standard streams that can be written to whatever has become of them; what was lost is known at the end."""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["guarded_streams"]


@contextmanager
def guarded_streams() -> Iterator[Callable[[], OSError | None]]:
    """Replace stdout and stderr, for as long as it lasts, by streams that never raise: not on a write, nor as Python ends.

    Nothing is at stake on a pipe whose reader has gone, as `| head` does: all that follows is dropped. On a full disk, or
    where a stream was closed before the program began, the program goes on too, to say on the other stream what it has to
    say. Yields a function that writes what is buffered and returns why results were lost: None if none were.
    """
    before = sys.stdout, sys.stderr
    _occupy_standard_descriptors()
    sys.stdout, sys.stderr = results, sentences = _guarded(sys.stdout), _guarded(sys.stderr)
    try:
        yield lambda: results.lost() if isinstance(results, _Guarded) else None
    finally:
        results.flush()
        sentences.flush()
        sys.stdout, sys.stderr = before


def _guarded(stream: Any) -> Any:
    """Guard a stream, unless somebody who calls `main` has put one in place that is no file's, such as a StringIO."""
    return _Guarded(stream) if stream is None or isinstance(stream, io.TextIOWrapper) else stream


class _Guarded(io.TextIOWrapper):
    """A stream of the same kind, on the same file, that cannot fail; None is what Python makes of one that was closed."""

    def __init__(self, stream: Any) -> None:
        raw = None
        if stream is not None:
            stream.flush()
            buffer: Any = stream.buffer
            raw = getattr(buffer, "raw", buffer)  # PYTHONUNBUFFERED: there is no buffer between
        self._end = _End(raw)
        super().__init__(
            io.BufferedWriter(self._end),
            encoding="utf-8" if stream is None else stream.encoding,
            errors="backslashreplace",  # a name may have characters that a terminal's encoding lacks
            line_buffering=stream is not None and (stream.line_buffering or stream.write_through),
        )

    def lost(self) -> OSError | None:
        self.flush()
        return None if isinstance(self._end.failure, BrokenPipeError) else self._end.failure


class _End(io.RawIOBase):
    """The end of a stream: writes to a file until that fails for the first time, then takes everything and keeps nothing."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw
        self.failure: OSError | None = None if raw is not None else OSError(errno.EBADF, os.strerror(errno.EBADF))

    def write(self, data: Any) -> int:
        if self.failure is None:
            try:
                written = self._raw.write(data)
                if written is None:  # would block
                    raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
                return int(written)
            except OSError as error:
                self.failure = error
        return len(data)

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        if self._raw is None:
            raise io.UnsupportedOperation("fileno")
        return int(self._raw.fileno())

    def isatty(self) -> bool:
        return self._raw is not None and bool(self._raw.isatty())


def _occupy_standard_descriptors() -> None:
    """Open what was closed before the program began, or a file of its own would get that number, and libraries' messages."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
