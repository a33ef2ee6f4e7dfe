"""Files that are there whole or not at all: written beside their place, flushed to the disk, then renamed into it."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = ["PARTS", "write_all", "write_atomically"]

#: What temporary files are called.
PARTS = ".fastseg-*.part"

#: What flushing a folder says where the file system has no such thing.
_NO_SUCH_THING = (errno.EINVAL, errno.ENOTSUP, errno.EROFS)


def write_atomically(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a file so that nobody ever sees half of it; what was there stays until all is on the disk.

    Parameters
    ----------
    path
        The file. A link is replaced by the file; a pipe or a device takes the data as they come.
    data
        What it shall hold.

    Raises
    ------
    OSError
        If that fails, with the path; nothing has changed then.
    """
    target = Path(path)
    with _naming(target):
        if target.exists() and not target.is_file():
            with target.open("wb") as file:
                file.write(data)
            return
    write_all(target.parent, {target.name: data})


def write_all(folder: str | os.PathLike[str], files: Mapping[str, bytes]) -> None:
    """Write several files of a folder: none takes its place before all are on the disk, so a full one changes nothing.

    Parameters
    ----------
    folder
        Where they go; it must be there.
    files
        What each shall hold, by name. They are renamed in this order.

    Raises
    ------
    OSError
        If that fails, with the path. Nothing has changed then, unless it was a renaming that failed.
    """
    waiting: list[tuple[Path, Path]] = []
    try:
        for name, data in files.items():
            target = Path(folder, name)
            with _naming(target):
                if target.is_dir():
                    raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
                # Named without the target, whose name may be as long as names can be; known before it is made, so that
                # no interrupt can leave it behind.
                temporary = target.with_name(PARTS.replace("*", secrets.token_hex(8)))
                waiting.append((temporary, target))
                _write(temporary, data)
        while waiting:
            temporary, target = waiting[0]
            with _naming(target):
                os.replace(temporary, target)
            del waiting[0]
    except BaseException:
        for temporary, _ in waiting:
            with suppress(OSError):
                temporary.unlink()
        raise
    with _naming(Path(folder)):
        _flush_folder(folder)


def _write(path: Path, data: bytes) -> None:
    """Write a new file and flush it to the disk; opened with 0o666, it gets the permissions that the umask leaves."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
    descriptor = os.open(path, flags, 0o666)
    try:
        rest = memoryview(data)
        while len(rest):
            rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _flush_folder(folder: str | os.PathLike[str]) -> None:
    """Flush the names in a folder, without which a new one may be lost with the power; not where folders cannot be."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_SUCH_THING:
            raise
    finally:
        os.close(descriptor)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Put the path into errors that do not say it, or that say a temporary one."""
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise OSError(f"{path}: {error}") from error
        raise OSError(error.errno, error.strerror, os.fspath(path)) from error
