"""The journal of a run: what is known of its cases so far, on disk, so that a run that was cut off can go on.

``records.jsonl`` in the output folder: a header line, then a line for each finished case, its CRC-32 and its record. A line is
written by one call and never changed, so killing the process loses no finished case; lines are flushed to the disk twice a
second, so losing power loses the last few. A line that is torn or damaged is dropped, and its case is scored again. When the
run is complete, the file is replaced by the same lines in the order of their cases.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
import sys
import time
import zlib
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

from fastseg.runs.atomic import PARTS, write_atomically
from fastseg.runs.scoring.records import CaseRecord
from fastseg.volumes import is_url, named

__all__ = ["Journal", "JournalError"]

NAME = "records.jsonl"
_FLAGS = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_HEADER = json.dumps({"format": "fastseg.records", "version": 1})
#: The one that is locked on Windows, where positions of locks have 31 bits.
_LOCKED_BYTE = (1 << 31) - 2
#: Seconds between two flushes to the disk.
_FLUSH_SECONDS = 0.5


class JournalError(OSError):
    """A journal that cannot be used or written."""


class Journal:
    """The journal of the run in a folder, which is made if it is not there. One process at a time may have it.

    Parameters
    ----------
    folder : path
        The output folder.
    resume : bool
        Whether to keep the records that are there; else they are given up.

    Attributes
    ----------
    records : dict of str to CaseRecord
        Of the cases that were scored before, by id.

    Raises
    ------
    JournalError
        If the folder cannot be written, another process has the journal, or a file of that name is something else.
    ValueError
        If it is a URL, where nothing can be appended and locked.
    """

    def __init__(self, folder: str | os.PathLike[str], *, resume: bool = True) -> None:
        if is_url(folder):
            raise ValueError(f"output: expected a folder that this machine can write to, found the URL {named(folder)}")
        self.path = Path(folder) / NAME
        self._file = -1
        try:
            Path(folder).mkdir(parents=True, exist_ok=True)
            while not self._is_mine():
                self.close()  # a run that was completed just now has replaced the file
                self._file = os.open(self.path, _FLAGS, 0o666)
                self._lock()
            for left in Path(folder).glob(PARTS):  # by a run that was killed while it wrote its results
                left.unlink(missing_ok=True)
            self.records, self._length = self._read()
            if not resume:
                self.records, self._length = {}, 0
            os.ftruncate(self._file, self._length)
            self._flushed, self._flushed_length = time.monotonic(), self._length
            if not self._length:
                self._write(f"{_HEADER}\n".encode())
        except BaseException as error:
            self.close()
            if isinstance(error, OSError) and not isinstance(error, JournalError):
                raise self._failed(error) from error
            raise

    def _failed(self, error: OSError) -> JournalError:
        return JournalError(f"{self.path}: cannot be written: {error.strerror}")

    def _is_mine(self) -> bool:
        """Tell whether the file that is open is the one of this name."""
        try:
            return self._file >= 0 and os.path.samestat(os.fstat(self._file), os.stat(self.path))
        except FileNotFoundError:
            return False

    def _lock(self) -> None:
        if not stat.S_ISREG(os.fstat(self._file).st_mode):
            raise JournalError(f"{self.path}: expected a file, found a device or a pipe; name another folder")
        try:
            _lock_file(self._file)
        except (BlockingIOError, PermissionError):
            raise JournalError(f"{self.path}: another fastseg is writing to this folder") from None
        except (ImportError, OSError):  # a system, or a file system, without locks
            return

    def _read(self) -> tuple[dict[str, CaseRecord], int]:
        """Return the records that are whole, and how many bytes of the file to keep: all that end with a line."""
        with open(self._file, "rb", closefd=False) as file:
            content = file.read()
        header = f"{_HEADER}\n".encode()
        if not content.startswith(header):
            if header.startswith(content):  # a header that was cut off
                return {}, 0
            raise JournalError(
                f"{self.path}: expected the records of a run of this version, found {content[:40]!r}; name another folder"
            )
        records = {}
        for line in content.split(b"\n")[1:-1]:
            record = _parsed(line)
            if record is not None:
                records[record.id] = record
        return records, content.rfind(b"\n") + 1

    def append(self, record: CaseRecord) -> None:
        """Add a finished case; called by one thread at a time.

        Raises
        ------
        JournalError
            If it cannot be written; the journal is as it was before.
        """
        self._write(_line(record))

    def _write(self, line: bytes) -> None:
        written = 0
        try:
            while written < len(line):
                written += os.write(self._file, line[written:])
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, self._length)
            raise self._failed(error) from error
        self._length += len(line)

    def flush(self) -> None:
        """Flush what was added to the disk, unless that was done less than half a second ago; for any thread, now and then.

        Raises
        ------
        JournalError
            If it cannot be written.
        """
        length = self._length
        if length == self._flushed_length or time.monotonic() - self._flushed < _FLUSH_SECONDS:
            return
        try:
            os.fsync(self._file)
        except OSError as error:
            raise self._failed(error) from error
        self._flushed, self._flushed_length = time.monotonic(), length

    def complete(self, records: Iterable[CaseRecord]) -> None:
        """Replace the file by these records in this order: those of the finished run."""
        if os.name == "nt":  # where a file that is open cannot be replaced
            self.close()
        write_atomically(self.path, b"".join([f"{_HEADER}\n".encode(), *map(_line, records)]))

    def close(self) -> None:
        """Flush and close the file; closing twice is allowed."""
        if self._file >= 0:
            try:
                with contextlib.suppress(OSError):
                    os.fsync(self._file)
            finally:
                os.close(self._file)
                self._file = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _lock_file(file: int) -> None:
    """Lock a file until it is closed; raise BlockingIOError or PermissionError where it is locked."""
    if sys.platform == "win32":
        import msvcrt

        # Nobody else can read or write what is locked there: hence a byte that no journal reaches.
        os.lseek(file, _LOCKED_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        finally:
            os.lseek(file, 0, os.SEEK_SET)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _line(record: CaseRecord) -> bytes:
    text = record.to_json().encode("ascii")
    return b"%08x %s\n" % (zlib.crc32(text), text)


def _parsed(line: bytes) -> CaseRecord | None:
    """Return the record of a line, or None if it is not whole."""
    crc, _, text = line.partition(b" ")
    if len(crc) != 8 or crc != b"%08x" % zlib.crc32(text):
        return None
    try:
        return CaseRecord.from_json(text.decode("ascii"))
    except ValueError:  # written by another version
        return None
