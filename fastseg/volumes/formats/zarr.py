"""Zarr 2 and 3, folders and zip files: an array of chunks, or the full resolution of an OME-Zarr (NGFF) image."""

from __future__ import annotations

import itertools
import json
import os
import threading
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastseg.volumes.errors import ClosedError, VolumeError
from fastseg.volumes.formats.zarr_keys import DOCUMENT_BYTES, DOCUMENTS, Folder, Zip
from fastseg.volumes.formats.zarr_metadata import (
    Layout,
    find_image,
    full_resolution,
    label_names,
    place,
    read_layout,
    unexpected,
)
from fastseg.volumes.paths import split_inside
from fastseg.volumes.volume import Format, Geometry, Volume, require

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


class ZarrVolume(Volume):
    """Read an array of a Zarr folder or zip file; `fastseg.volumes.volume.Volume` describes the members.

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
        self._tree = Folder(outer, path) if os.path.isdir(outer) else Zip(outer, path)
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
            raise ClosedError(self.path)
        box = [(0, 1)] * len(self._layout.shape)
        for axis, first, end in zip(self._kept, start, stop, strict=True):
            box[axis] = first, end
        try:
            self._check_files(array, box)
            selection = tuple(slice(a, b) if axis in self._kept else 0 for axis, (a, b) in enumerate(box))
            return np.asarray(array[selection], self.dtype)
        except VolumeError:
            raise
        except Exception as error:  # each codec raises its own kinds
            raise VolumeError(
                f"{self.path}: truncated or corrupt between {start} and {stop}: {type(error).__name__}: {error}"
            ) from error

    def _check_files(self, array: Any, box: list[tuple[int, int]]) -> None:
        """Refuse what is no file or is too long for a chunk, since the library reads all of whatever there is."""
        limit = self._layout.limit
        stored = (range(a // size, (b - 1) // size + 1) for (a, b), size in zip(box, self._layout.stored, strict=True))
        for index in itertools.product(*stored):
            key = self._prefix + array.metadata.encode_chunk_key(index)
            size = self._tree.size(key)
            if size is None or size > limit:
                found = "something else" if size is None else f"{size} bytes"
                raise VolumeError(f"{self.path}: {key}: expected a file of at most {limit} bytes, found {found}")

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


def _find(tree: Folder, path: str) -> _Node:
    """Return the array at a path, or the one that the group there leaves no doubt about."""
    node = _node(tree, path)
    if node is None:
        raise VolumeError(f"{tree.name}: expected {_join(path, DOCUMENTS[0])} or .zarray or .zgroup, found none")
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


def _node(tree: Folder, path: str) -> _Node | None:
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


def _document(tree: Folder, path: str, name: str) -> dict[str, Any] | None:
    """Return the JSON object at a key, None if there is nothing."""
    key = _join(path, name)
    if not tree.has(key):
        return None
    text = tree.read(key)
    if len(text) > DOCUMENT_BYTES:
        raise VolumeError(f"{tree.name}: {key}: expected at most {DOCUMENT_BYTES} bytes of metadata")
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise VolumeError(f"{tree.name}: {key}: expected JSON: {error}") from error
    if not isinstance(document, dict):
        raise unexpected(f"{tree.name}: {key}", "a JSON object", document)
    return document


def _search(tree: Folder, path: str) -> list[str]:
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
    return head.startswith(b"PK\3\4") and head[30 : 30 + length].rpartition(b"/")[2].decode("latin-1") in DOCUMENTS


def _is_folder(path: str) -> bool:
    return path.lower().rstrip("/\\").endswith(".zarr") or any(
        os.path.lexists(os.path.join(path, n)) for n in DOCUMENTS
    )


FORMAT = Format("Zarr and OME-Zarr", (".zarr", ".zarr.zip"), _recognises, ZarrVolume, _is_folder, zips=True)
