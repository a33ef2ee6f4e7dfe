"""Zarr 2 and 3, folders and zip files: an array of chunks, or the full resolution of an OME-Zarr (NGFF) image."""

from __future__ import annotations

import itertools
import json
import os
import threading
import warnings
import zipfile
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastseg.volumes import split_inside
from fastseg.volumes.base import ByteSource, Format, Geometry, Volume, VolumeError, require
from fastseg.volumes.zarr_metadata import (
    Layout,
    find_image,
    full_resolution,
    label_names,
    place,
    read_layout,
    unexpected,
)

_DOCUMENTS = ("zarr.json", ".zarray", ".zgroup")
_DOCUMENT_BYTES = 64 << 20  # consolidated metadata of thousands of arrays stay far below
_LISTED = 20  # arrays that a message names
_SEARCHED = 1000  # groups that are searched for them
_warnings_lock = threading.Lock()


@dataclass(frozen=True)
class _Node:
    """An array, or a group (whose `metadata` is None), at a path inside; of an image, `image` describes the array."""

    path: str
    metadata: dict[str, Any] | None
    attributes: dict[str, Any]
    image: dict[str, Any] | None = None


class _Folder:
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
            return source.take(_DOCUMENT_BYTES + 1)
        finally:
            source.close()

    def names(self, path: str) -> list[str]:
        """Return what there is in a group."""
        try:
            return sorted(os.listdir(self._file(path)))
        except OSError as error:
            raise VolumeError(f"{self.name}: {path}: cannot be listed: {error.strerror}") from error

    def size(self, key: str) -> int | None:
        """Return the bytes stored at a key, 0 where there are none, None if it is no file."""
        file = self._file(key)
        try:
            return os.path.getsize(file) if os.path.isfile(file) else None if os.path.lexists(file) else 0
        except OSError:  # removed in between
            return 0

    def _file(self, key: str) -> str:
        return os.path.join(self.path, *key.split("/"))


class _Zip(_Folder):
    """The keys of a zip file."""

    def __init__(self, path: str, name: str) -> None:
        super().__init__(path, name)
        self._sizes: dict[str, int] = {}
        self._names: dict[str, set[str]] = {}
        try:
            with zipfile.ZipFile(path) as file:
                for entry in file.infolist():
                    self._sizes[entry.filename] = entry.file_size
                    if entry.filename.endswith(_DOCUMENTS):
                        group, _, inside = entry.filename.rpartition("/")[0].rpartition("/")
                        self._names.setdefault(group, set()).add(inside)
        except Exception as error:  # zipfile raises half a dozen kinds
            raise VolumeError(f"{name}: expected a zip file, truncated or corrupt: {error}") from error

    def store(self, library: Any) -> Any:
        return library.core.sync.sync(library.storage.ZipStore.open(self.path, mode="r", read_only=True))

    def has(self, key: str) -> bool:
        return key in self._sizes

    def read(self, key: str) -> bytes:
        try:
            with zipfile.ZipFile(self.path) as file, file.open(key) as entry:
                return entry.read(_DOCUMENT_BYTES + 1)
        except Exception as error:  # as above, and what the decompressors raise
            raise VolumeError(f"{self.name}: {key}: truncated or corrupt: {error}") from error

    def names(self, path: str) -> list[str]:
        return sorted(self._names.get(path, ()))

    def size(self, key: str) -> int | None:
        return self._sizes.get(key, 0)


class ZarrVolume(Volume):
    """Read an array of a Zarr folder or zip file; `fastseg.volumes.base.Volume` describes the members.

    A chunk that is not stored has the array's fill value throughout: that is what Zarr means by it, also where somebody
    lost the chunk. What a chunk expands to is known only when it is decoded, except under Blosc.

    Parameters
    ----------
    path : str
        ``masks.zarr`` or ``masks.zarr.zip``; ``masks.zarr::inside/name`` where the array or image is in a group.

    Raises
    ------
    VolumeError
        If the metadata is missing, false or of an array of anything but numbers, or if there are several arrays.
    """

    def __init__(self, path: str) -> None:
        library = require("zarr", "zarr", path, "a Zarr array")
        self.path = path
        outer, within = split_inside(path)
        inside = _inside(path, (within or "").strip("/"))
        self._tree = _Folder(outer, path) if os.path.isdir(outer) else _Zip(outer, path)
        node = _find(self._tree, inside)
        if node.metadata is None:
            raise VolumeError(f"{path}: expected an array at {node.path}, found a group")
        name = path if node.path == inside else f"{path}: {node.path}"
        self._prefix = node.path and f"{node.path}/"
        self._layout = layout = read_layout(name, node.metadata)
        axes, spacing, self._kept = "", (np.nan,) * len(layout.shape), tuple(range(len(layout.shape)))
        if node.image is not None:
            axes, spacing, self._kept = place(name, node.image, layout.shape)
        self.geometry = Geometry(tuple(layout.shape[axis] for axis in self._kept), None, spacing, axes)
        self.dtype = layout.dtype
        self.blocks = tuple(layout.block[axis] for axis in self._kept)
        self._store = self._tree.store(library)
        try:
            self._array = _array(library, self._store, node.path, layout, name)
        except BaseException:
            self._store.close()
            raise

    def read_block(self, start: tuple[int, ...], stop: tuple[int, ...]) -> NDArray[Any]:
        """Return a box of voxels; see `Volume.read_block`. The library decodes several chunks of it at once."""
        array = self._array
        if array is None:
            raise ValueError(f"{self.path}: read of a closed volume")
        box, layout = [(0, 1)] * len(self._layout.shape), self._layout
        for axis, first, end in zip(self._kept, start, stop, strict=True):
            box[axis] = first, end
        stored = (range(a // size, (b - 1) // size + 1) for (a, b), size in zip(box, layout.stored, strict=True))
        for index in itertools.product(*stored):  # the library reads all of a file, whatever it is
            key = self._prefix + array.metadata.encode_chunk_key(index)
            size = self._tree.size(key)
            if size is None or size > layout.limit:
                found = "something else" if size is None else size
                raise VolumeError(f"{self.path}: {key}: expected a file of at most {layout.limit} bytes, found {found}")
        selection = tuple(slice(a, b) if axis in self._kept else 0 for axis, (a, b) in enumerate(box))
        try:
            return np.asarray(array[selection], self.dtype)
        except Exception as error:  # each codec raises its own kinds
            raise VolumeError(
                f"{self.path}: truncated or corrupt between {start} and {stop}: {type(error).__name__}: {error}"
            ) from error

    def close(self) -> None:
        """Close the file; closing twice is allowed."""
        self._array = None
        self._store.close()


def _array(library: Any, store: Any, path: str, layout: Layout, name: str) -> Any:
    """Let the library make an array of metadata that are verified already."""
    try:
        place = library.storage.StorePath(store, path)
        if "numcodecs." not in str(layout.document.get("codecs")):
            return library.Array.from_dict(place, layout.document)
        # The library warns of codecs that are not in the specification, though it has them. Filters of warnings are
        # everybody's, hence only here and only one at a time.
        with _warnings_lock, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return library.Array.from_dict(place, layout.document)
    except Exception as error:  # of any kind, there is no telling
        raise VolumeError(f"{name}: expected metadata of a Zarr array: {type(error).__name__}: {error}") from error


def _inside(name: str, path: str) -> str:
    """Return a path inside, refused if it leads out."""
    if path and ("\\" in path or not {"", ".", ".."}.isdisjoint(path.split("/"))):
        raise unexpected(name, "the path of an array inside", path)
    return path


def _join(*paths: str) -> str:
    return "/".join(filter(None, paths))


def _find(tree: _Folder, path: str) -> _Node:
    """Return the array at a path, or the one that the group there leaves no doubt about."""
    node = _node(tree, path)
    if node is None:
        raise VolumeError(f"{tree.name}: expected {_join(path, _DOCUMENTS[0])} or .zarray or .zgroup, found none")
    if node.metadata is not None:
        return node
    if (image := find_image(tree.name, node.attributes)) is None:
        inside = _search(tree, path)
        if len(inside) == 1:
            return _find(tree, inside[0])
        names = ", ".join(f"::{each}" for each in inside[:_LISTED]) + (", …" if len(inside) > _LISTED else "")
        raise VolumeError(f"{tree.name}: expected one array, or the name of one after ::, found {names or 'none'}")
    if (labels := _node(tree, _join(path, "labels"))) is not None:
        listed = label_names(labels.attributes) or tree.names(labels.path)
        names = ", ".join(f"::{_join(labels.path, each)}" for each in listed[:_LISTED])
        raise VolumeError(f"{tree.name}: expected labels, found an image that has labels: {names}")
    inner = full_resolution(tree.name, image)["path"].strip("/")
    array = _node(tree, _join(path, _inside(tree.name, inner)))
    if array is None:
        raise VolumeError(f"{tree.name}: expected the array {_join(path, inner)} of the image, found none")
    return _Node(array.path, array.metadata, array.attributes, image)


def _node(tree: _Folder, path: str) -> _Node | None:
    """Return what is at a path, None if nothing."""
    metadata = _document(tree, path, "zarr.json")
    if metadata is not None:
        attributes = metadata.get("attributes") or {}
        if metadata.get("node_type") != "array":
            metadata = None
    else:
        metadata, group = _document(tree, path, ".zarray"), _document(tree, path, ".zgroup")
        if metadata is None and group is None:
            return None
        attributes = _document(tree, path, ".zattrs") or {}
    if not isinstance(attributes, dict):
        raise unexpected(f"{tree.name}: {path}", "attributes by name", attributes)
    return _Node(path, metadata, attributes)


def _document(tree: _Folder, path: str, name: str) -> dict[str, Any] | None:
    """Return the JSON object at a key, None if there is nothing."""
    key = _join(path, name)
    if not tree.has(key):
        return None
    text = tree.read(key)
    if len(text) > _DOCUMENT_BYTES:
        raise VolumeError(f"{tree.name}: {key}: expected at most {_DOCUMENT_BYTES} bytes of metadata")
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise VolumeError(f"{tree.name}: {key}: expected JSON: {error}") from error
    if not isinstance(document, dict):
        raise unexpected(f"{tree.name}: {key}", "a JSON object", document)
    return document


def _search(tree: _Folder, path: str) -> list[str]:
    """Return the paths of the arrays and images in a group, one more at most than a message names."""
    found: list[str] = []
    groups = [path]
    for group in itertools.islice(groups, _SEARCHED):  # which grow meanwhile
        for name in tree.names(group):
            node = _node(tree, _join(group, name))
            if node is not None and (node.metadata is not None or find_image(tree.name, node.attributes) is not None):
                found.append(node.path)
            elif node is not None:
                groups.append(node.path)
            if len(found) > _LISTED:
                return found
    return found


def _recognises(head: bytes) -> bool:
    """Say whether a file is a zip that begins with the metadata of an array or a group; other zips tell by suffix."""
    length = int.from_bytes(head[26:28], "little")
    return head.startswith(b"PK\3\4") and head[30 : 30 + length].rpartition(b"/")[2].decode("latin-1") in _DOCUMENTS


def _is_folder(path: str) -> bool:
    return path.lower().rstrip("/\\").endswith(".zarr") or any(
        os.path.lexists(os.path.join(path, n)) for n in _DOCUMENTS
    )


FORMAT = Format("Zarr and OME-Zarr", (".zarr", ".zarr.zip"), _recognises, ZarrVolume, _is_folder)
