"""Files at URLs: what fsspec reads of them, and copies of those that only a file can be read from."""

from __future__ import annotations

import functools
import importlib
import os
import re
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from fastseg.volumes.bytes import WritableBytes
from fastseg.volumes.errors import VolumeError
from fastseg.volumes.paths import Url, concealed, split_inside
from fastseg.volumes.volume import Volume, require

__all__ = [
    "Spooled",
    "Stored",
    "absent",
    "called",
    "file_system",
    "files_below",
    "in_ranges",
    "local_copy",
    "stored_at",
    "unreadable",
]

_PIECE_BYTES = 1 << 20
_ABSENT = (403, 404, 405, 410)  # what web servers answer where there is no file, or no list of a folder


def file_system(url: Url) -> tuple[Any, str]:
    """Return the file system of a URL, with the options that fsspec's own configuration has for it, and the path there.

    Raises
    ------
    VolumeError
        If a package is missing, or nobody knows the protocol.
    """
    require("fsspec", "remote", url, "a URL")
    try:
        found: tuple[Any, str] = importlib.import_module("fsspec.core").url_to_fs(url.full)
    except ImportError as error:
        protocol = url.partition("://")[0]
        raise VolumeError(f"{url}: reading {protocol}:// needs another package: {concealed(str(error))}") from None
    except Exception as error:  # each file system raises its own kinds
        raise unreadable(url, error) from None
    return found


def unreadable(url: Url, error: Exception, what: str = "") -> VolumeError:
    """Return an error that says why a URL, or `what` is in it, cannot be read."""
    where = f"{url}: {what}" if what else url
    if absent(error):
        return VolumeError(f"{where}: there is no such file")
    error = (
        error.__cause__ if isinstance(error, FileNotFoundError) and isinstance(error.__cause__, Exception) else error
    )
    why = " ".join(concealed(str(error).replace(url.full, url)).split())
    return VolumeError(f"{where}: cannot be read: {type(error).__name__}: {why}".removesuffix(": "))


def absent(error: Exception) -> bool:
    """Tell whether an error says that nothing is there; what nobody may list is not there either, as S3 answers.

    The file system of web addresses calls every failure a missing file, and has the reason behind that.
    """
    said = error.__cause__ if isinstance(error, FileNotFoundError) and error.__cause__ is not None else error
    return isinstance(said, FileNotFoundError | NotADirectoryError) or getattr(said, "status", None) in _ABSENT


@dataclass(frozen=True)
class Stored:
    """A file that a URL leads to, as its file system describes it."""

    system: Any
    path: str
    size: int | None
    mark: str | None
    """What changes with its content: an ETag, or a time; None where the store knows none."""

    def pieces(self) -> Iterator[bytes]:
        """Yield the file's content."""
        with self.system.open(self.path, "rb") as file:
            while piece := file.read(_PIECE_BYTES):
                yield piece


def stored_at(url: Url) -> dict[str, Stored]:
    """Return the files that a URL leads to, by their names: one, or all that are in a folder.

    Raises
    ------
    VolumeError
        If there are none, or they cannot be listed.
    """
    system, path = file_system(url)
    try:
        system.invalidate_cache()
        facts = _info(system, path)
        if facts is not None and facts.get("type") != "directory" and not url.rstrip("/").lower().endswith(".zarr"):
            return {str(url): _stored(system, path, facts)}
        inside = files_below(system, path)
    except Exception as error:
        raise unreadable(url, error) from None
    if not inside and url.rstrip("/").lower().endswith(".zarr"):  # of a store that lists nothing
        return {str(url): Stored(system, path, None, None)}
    files = {str(name): _stored(system, name, each) for name, each in sorted(inside.items())}
    if facts is None and not files:
        raise VolumeError(f"{url}: there is no such file")
    return {f"{url}{name.removeprefix(path)}": each for name, each in files.items()}


def files_below(system: Any, path: str) -> dict[str, dict[str, Any]]:
    """Return what a store lists below a path; nothing where it does not list."""
    try:
        listed: dict[str, dict[str, Any]] = system.find(path, detail=True)
    except Exception as error:
        if absent(error) or isinstance(error, PermissionError):
            return {}
        raise
    return listed


def _info(system: Any, path: str) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = system.info(path)
    except Exception as error:
        if not absent(error):
            raise
        return None
    return found


def _stored(system: Any, path: str, facts: dict[str, Any]) -> Stored:
    names = {name.lower().replace("_", "").replace("-", ""): value for name, value in facts.items()}
    marks = [f"{name} {names[name]}" for name in ("etag", "lastmodified", "mtime", "created") if names.get(name)]
    return Stored(system, path, facts.get("size"), "; ".join(marks) or None)


def in_ranges(system: Any) -> Any:
    """Return a file system of web addresses that gives the range of a file which is asked for, also where all of it comes.

    fsspec takes what comes for the range, but servers need not know ranges, and simple ones do not.
    """
    kind: Any = type(system)
    return _in_ranges(kind)(*system.storage_args, **system.storage_options)


@functools.cache
def _in_ranges(kind: Any) -> Any:
    class InRanges(kind):  # type: ignore[misc]
        async def _cat_file(self, url: str, start: int | None = None, end: int | None = None, **options: Any) -> bytes:
            found: bytes = await super()._cat_file(url, start=start, end=end, **options)
            asked = -start if start is not None and start < 0 else None if end is None else end - (start or 0)
            return found if asked is None or len(found) <= asked else found[start:end]

    return InRanges


class _Copies:
    """The copies that somebody uses, each deleted when the last has done with it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._used: dict[str, list[Any]] = {}

    @contextmanager
    def use(self, url: Url) -> Iterator[str]:
        with self._lock:
            entry = self._used.setdefault(url.full, [0, "", threading.Lock()])
            entry[0] += 1
        try:
            with entry[2]:
                if not entry[1]:
                    entry[1] = _copied(url)
            yield entry[1]
        finally:
            with self._lock:
                entry[0] -= 1
                if not entry[0]:
                    del self._used[url.full]
                    if entry[1]:
                        shutil.rmtree(os.path.dirname(entry[1]), ignore_errors=True)


_copies = _Copies()


@contextmanager
def local_copy(url: Url) -> Iterator[str]:
    """Yield the path of a copy of a file, of the same name; who uses it at the same time shares it.

    Raises
    ------
    VolumeError
        If it cannot be read, or is not as long as its store says.
    """
    with _copies.use(url) as path:
        yield path


def _copied(url: Url) -> str:
    system, there = file_system(url)
    try:
        system.invalidate_cache()
        facts = system.info(there)
    except Exception as error:
        raise unreadable(url, error) from None
    if facts.get("type") == "directory":
        raise VolumeError(f"{url}: is a folder, expected a file")
    folder = ""
    try:
        folder = tempfile.mkdtemp(prefix="fastseg-")
        path = os.path.join(folder, re.sub(r"[^\w.\- ]", "_", url.file_name)[-120:] or "file")
        try:
            system.get_file(there, path)
        except Exception as error:
            raise unreadable(url, error) from None
        expected, found = facts.get("size"), os.path.getsize(path)
        if expected is not None and found != expected:
            raise VolumeError(f"{url}: truncated: expected {expected} bytes, found {found}")
    except BaseException as error:
        if folder:
            shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, OSError):
            raise VolumeError(f"{url}: cannot be copied to a temporary file: {error.strerror}") from None
        raise
    return path


class Spooled(Volume):
    """A volume in the copy of a file, which is called by its URL; `stack` deletes the copy."""

    def __init__(self, volume: Volume, copy: str, url: Url, stack: ExitStack) -> None:
        for name in Volume.__annotations__:
            setattr(self, name, getattr(volume, name))
        self._volume, self._copy, self._stack = volume, copy, stack
        self.path = url
        self.notes = tuple(_renamed(note, copy, url) for note in volume.notes)

    def read_into(self, buffer: WritableBytes) -> int:
        """Fill `buffer` with the next voxel bytes."""
        with called(self._copy, self.path):
            return self._volume.read_into(buffer)

    def read_block(self, start: tuple[int, ...], stop: tuple[int, ...]) -> NDArray[Any]:
        """Return the stored values of a box."""
        with called(self._copy, self.path):
            return self._volume.read_block(start, stop)

    def finish(self) -> None:
        """Look at the end of the file."""
        with called(self._copy, self.path):
            self._volume.finish()

    def close(self) -> None:
        """Close the file and delete the copy; closing twice is allowed."""
        self._volume.close()
        self._stack.close()


@contextmanager
def called(copy: str, url: str) -> Iterator[None]:
    """Call a copy by its URL in what goes wrong with it."""
    try:
        yield
    except VolumeError as error:
        error.args = (_renamed(str(error), copy, url),)
        raise


def _renamed(text: str, copy: str, url: str) -> str:
    """Say where a copy is from; what is inside the file stands behind its path already."""
    outer = split_inside(url)[0]
    return text.replace(copy, outer).replace(os.path.dirname(copy), outer.rpartition("/")[0])
