"""What is stored at the keys of a Zarr folder or zip file: the documents and the sizes, before the library reads."""

from __future__ import annotations

import os
import stat
import zipfile
from collections.abc import Iterator
from typing import Any

from fastseg.volumes.bytes import ByteSource
from fastseg.volumes.errors import VolumeError
from fastseg.volumes.paths import Url
from fastseg.volumes.remote import absent, file_system, files_below, in_ranges, unreadable

DOCUMENTS = ("zarr.json", ".zarray", ".zgroup")
DOCUMENT_BYTES = 64 << 20  # consolidated metadata of thousands of arrays stay far below


class Folder:
    """The keys of a Zarr folder; `name` is what messages begin with."""

    def __init__(self, path: str, name: str) -> None:
        self.path, self.name = path, name

    def store(self, library: Any) -> Any:
        """Open it as a store of the library's."""
        return library.storage.LocalStore(self.path, read_only=True)

    def has(self, key: str) -> bool:
        """Say whether something is stored at a key."""
        return os.path.lexists(self._file(key))

    def read(self, key: str) -> bytes:
        """Return the document at a key."""
        source = ByteSource(self._file(key), f"{self.name}: {key}")  # refuses a pipe, where a read would wait for ever
        try:
            size = DOCUMENT_BYTES if source.compressed else min(source.size, DOCUMENT_BYTES)
            return source.take(size + 1)  # one more than it may have; what it could have is not allocated
        finally:
            source.close()

    def names(self, path: str) -> list[str]:
        """Return the names of the folders in a group, without links: those may lead in circles."""
        try:
            with os.scandir(self._file(path)) as entries:
                return sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
        except OSError as error:
            raise VolumeError(f"{self.name}: {path}: cannot be listed: {error.strerror}") from error

    def keys(self, path: str) -> Iterator[str]:
        """Yield the keys of what is stored for an array, from its path on."""
        top = self._file(path) if path else self.path
        for folder, _, files in os.walk(top):
            before = os.path.relpath(folder, top)
            for name in files:
                yield name if before == "." else f"{before.replace(os.sep, '/')}/{name}"

    def size(self, key: str) -> int | None:
        """Return the bytes stored at a key, 0 where there are none, None if it is no file."""
        try:
            found = os.stat(self._file(key))
        except OSError:  # the library will say why, if it is not missing
            return 0
        return found.st_size if stat.S_ISREG(found.st_mode) else None

    def _file(self, key: str) -> str:
        return os.path.join(self.path, *key.split("/"))


class Zip(Folder):
    """The keys of a zip file."""

    def __init__(self, path: str, name: str) -> None:
        super().__init__(path, name)
        self._sizes: dict[str, int] = {}
        self._names: dict[str, set[str]] = {}
        try:
            with zipfile.ZipFile(path) as file:
                for entry in file.infolist():
                    self._sizes[entry.filename] = entry.file_size
                    path_inside, _, document = entry.filename.rpartition("/")
                    if path_inside and document in DOCUMENTS:
                        group, _, node = path_inside.rpartition("/")
                        self._names.setdefault(group, set()).add(node)
        except Exception as error:  # zipfile raises half a dozen kinds
            raise VolumeError(f"{name}: expected a zip file, truncated or corrupt: {error}") from error

    def store(self, library: Any) -> Any:
        """Open it as a store of the library's, which must be open to be closed."""
        return library.core.sync.sync(library.storage.ZipStore.open(self.path, mode="r", read_only=True))

    def has(self, key: str) -> bool:
        """Say whether something is stored at a key."""
        return key in self._sizes

    def read(self, key: str) -> bytes:
        """Return the document at a key."""
        try:
            with zipfile.ZipFile(self.path) as file, file.open(key) as entry:
                return entry.read(DOCUMENT_BYTES + 1)
        except Exception as error:  # as above, and what the decompressors raise
            raise VolumeError(f"{self.name}: {key}: truncated or corrupt: {error}") from error

    def names(self, path: str) -> list[str]:
        """Return the names of the nodes in a group."""
        return sorted(self._names.get(path, ()))

    def keys(self, path: str) -> Iterator[str]:
        """Yield the keys of what is stored for an array, from its path on."""
        prefix = path and f"{path}/"
        return (key.removeprefix(prefix) for key in self._sizes if key.startswith(prefix))

    def size(self, key: str) -> int | None:
        """Return the bytes stored at a key, 0 where there are none."""
        return self._sizes.get(key, 0)


class Remote(Folder):
    """The keys of a Zarr folder at a URL."""

    def __init__(self, path: Url, name: str) -> None:
        super().__init__(path, name)
        self._url = path
        self._system, self._top = file_system(path)
        self._system.invalidate_cache()
        self._sizes: dict[str, int | None] = {}

    def store(self, library: Any) -> Any:
        """Open it as a store of the library's."""
        try:
            store = library.storage.FsspecStore.from_url(self._url.full.rstrip("/"), read_only=True)
            if self._url.lower().startswith("http"):
                store.fs = in_ranges(store.fs)
        except Exception as error:  # each file system raises its own kinds
            raise unreadable(self._url, error) from None
        return store

    def has(self, key: str) -> bool:
        """Say whether something is stored at a key."""
        return self._info(key) is not None

    def read(self, key: str) -> bytes:
        """Return the document at a key."""
        try:
            with self._system.open(self._file(key), "rb") as file:
                content: bytes = file.read(DOCUMENT_BYTES + 1)
        except Exception as error:
            raise unreadable(self._url, error, key) from None
        return content

    def names(self, path: str) -> list[str]:
        """Return the names of the folders in a group."""
        try:
            listed = self._system.ls(self._file(path), detail=True)
        except Exception as error:
            raise unreadable(self._url, error, path) from None
        folders = (entry["name"] for entry in listed if entry["type"] == "directory")
        return sorted(name.rstrip("/").rpartition("/")[2] for name in folders)

    def keys(self, path: str) -> Iterator[str]:
        """Yield the keys of what is stored for an array, from its path on; none where the store lists nothing."""
        top = self._file(path)
        try:
            listed = files_below(self._system, top)
        except Exception as error:
            raise unreadable(self._url, error, path) from None
        for name, facts in listed.items():
            key = name.removeprefix(top).strip("/")
            self._sizes[f"{path}/{key}" if path else key] = facts.get("size")
            yield key

    def size(self, key: str) -> int | None:
        """Return the bytes stored at a key, 0 where there are none, 1 where nobody knows, None if it is no file."""
        if self._sizes.get(key) is not None:
            return self._sizes[key]
        facts = self._info(key)
        if facts is None:
            return 0
        return None if facts.get("type") == "directory" else facts.get("size") or 1

    def _info(self, key: str) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = self._system.info(self._file(key))
        except Exception as error:
            if absent(error):
                return None
            raise unreadable(self._url, error, key) from None
        return found

    def _file(self, key: str) -> str:
        return f"{self._top.rstrip('/')}/{key}" if key else self._top


def tree_at(path: str, name: str) -> Folder:
    """Return the keys of a folder, of one at a URL, or of a zip file."""
    if isinstance(path, Url):
        return Remote(path, name)
    return Folder(path, name) if os.path.isdir(path) else Zip(path, name)
