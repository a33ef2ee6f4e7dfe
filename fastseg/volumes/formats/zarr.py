"""Zarr 2 and 3, folders and zip files: an array of chunks, or the full resolution of an OME-Zarr (NGFF) image."""

from __future__ import annotations

import itertools
import json
import math
import os
import re
import threading
import warnings
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastseg.volumes.errors import ClosedError, VolumeError
from fastseg.volumes.formats.axis_names import letters
from fastseg.volumes.formats.cf import reference_system, values_of
from fastseg.volumes.formats.ome_zarr import find_image, full_resolution, label_names, place, resolution
from fastseg.volumes.formats.zarr_keys import DOCUMENT_BYTES, DOCUMENTS, Folder, tree_at
from fastseg.volumes.formats.zarr_metadata import Layout, read_layout, unexpected
from fastseg.volumes.paths import Url, concealed, is_url, split_inside
from fastseg.volumes.positions import Positions
from fastseg.volumes.volume import Format, Geometry, Volume, require

_LISTED = 20  # arrays that a message names
_ASKED = 1 << 20  # chunks that are asked for one by one where a list has not all
_ARRAYS = 4096  # arrays of a group of masks
_SEARCHED = 1000  # groups that are searched for them
_warnings_lock = threading.Lock()


@dataclass(frozen=True)
class _Node:
    """An array, or a group (whose `metadata` is None), at a path inside; of an image, `image` and `dataset` describe it."""

    path: str
    metadata: dict[str, Any] | None
    attributes: dict[str, Any]
    image: dict[str, Any] | None = None
    dataset: dict[str, Any] = field(default_factory=dict)


class ZarrVolume(Volume):
    """Read an array of a Zarr folder or zip file; `fastseg.volumes.volume.Volume` describes the members.

    A chunk that is not stored has the array's fill value throughout: that is what Zarr means by it, also where somebody
    lost the chunk, which a note says. What a chunk expands to is known only when it is decoded, except under Blosc.

    Parameters
    ----------
    path : str
        ``masks.zarr`` or ``masks.zarr.zip``; ``masks.zarr::inside/name`` where the array or image is in a group.

    Raises
    ------
    VolumeError
        If the metadata is missing, false or of an array of anything but numbers, if there are several arrays, or no chunk.
    """

    def __init__(self, path: str) -> None:
        library = require("zarr", "zarr", path, "a Zarr array")
        self.path = path = Url(path) if is_url(path) else path
        outer, within = split_inside(path)
        inside = _inside(path, (within or "").strip("/"))
        self._tree = tree_at(outer, path)
        node = _find(self._tree, inside)
        if node.metadata is None:
            raise VolumeError(f"{path}: expected an array at {node.path}, found a group")
        name = path if node.path == inside else f"{path}: {node.path}"
        self._prefix = node.path and f"{node.path}/"
        self._layout = layout = read_layout(name, node.metadata)
        axes, positions = _dimensions(name, node), None
        spacing, self._kept = (np.nan,) * len(layout.shape), tuple(range(len(layout.shape)))
        if node.image is not None:
            named, axes = axes, ""
            axes, spacing, positions, self._kept = place(name, node.image, node.dataset, layout.shape)
            _check_same_names(name, named, axes, self._kept)
        self.says_axes = bool(axes)
        shape = tuple(layout.shape[axis] for axis in self._kept)
        self.geometry = Geometry(shape, None, spacing, axes, positions)
        values = values_of(name, node.attributes, layout.dtype)
        self.dtype, self.scaling, self.nodata, self.names, self.valid = values
        self.blocks = tuple(layout.block[axis] for axis in self._kept)
        self._store = self._tree.store(library)
        try:
            self._array = _array(library, self._store, node.path, layout, name)
            self._look_for_chunks(node.path, name)
            if node.image is None and axes:
                self.geometry = Geometry(shape, None, spacing, axes, self._coordinates(library, node))
        except BaseException:
            self._store.close()
            raise

    def _look_for_chunks(self, path: str, name: str) -> None:
        """Note what is not stored; an array of which nothing is there is not read."""
        chunks, absent = _absent_chunks(self._tree, path, self._array, self._layout)
        fill = self._layout.document.get("fill_value")
        self._nothing = (
            f"{name}: expected {chunks} chunk(s), found none, such as "
            f"{self._array.metadata.encode_chunk_key((0,) * len(self._layout.shape))!r}: every voxel would be the fill value "
            f"{fill}; an array that is meant to be so has to store it (zarr: config={{'write_empty_chunks': True}})"
            if absent == chunks
            else None
        )
        if 0 < absent < chunks:
            self.notes = (
                f"{name}: {absent} of {chunks} chunks are not stored: their voxels have the fill value {fill}",
            )

    def _coordinates(self, library: Any, node: _Node) -> Positions | None:
        """Return where the coordinates beside an array place its voxels, as xarray writes them."""
        group = node.path.rpartition("/")[0]
        ends: list[tuple[float, float]] = []
        for name, extent in zip(_names(node), self._layout.shape, strict=True):
            path = _join(group, str(name))
            beside = None if path == node.path or "/" in str(name) else _node(self._tree, _inside(self.path, path))
            known = beside is not None and beside.metadata is not None and beside.metadata.get("shape") == [extent]
            values = self._ends(library, beside) if known and beside is not None else None
            ends.append((math.nan, math.nan) if values is None else values)
        mapping = node.attributes.get("grid_mapping")
        beside = _node(self._tree, _join(group, _inside(self.path, mapping))) if isinstance(mapping, str) else None
        frame = "" if beside is None else reference_system(beside.attributes)
        if not frame and all(math.isnan(first) for first, _ in ends):
            return None
        steps = [abs(b - a) / max(n - 1, 1) or math.nan for (a, b), n in zip(ends, self._layout.shape, strict=True)]
        return Positions(tuple(ends), tuple(steps), "", frame)

    def _ends(self, library: Any, node: _Node) -> tuple[float, float] | None:
        """Return the first and the last of an array of numbers along one axis."""
        assert node.metadata is not None
        name = f"{self.path}: {node.path}"
        layout = read_layout(name, node.metadata)
        array = _array(library, self._store, node.path, layout, name)
        try:
            first, last = (float(np.asarray(array[at])) for at in (0, layout.shape[0] - 1))
        except Exception as error:  # each codec raises its own kinds
            raise VolumeError(f"{name}: truncated or corrupt: {type(error).__name__}: {error}") from error
        slope, intercept = values_of(name, node.attributes, layout.dtype).scaling or (1.0, 0.0)
        return first * slope + intercept, last * slope + intercept

    def read_block(self, start: tuple[int, ...], stop: tuple[int, ...]) -> NDArray[Any]:
        """Return a box of voxels; see `Volume.read_block`. The library decodes several chunks of it at once."""
        array = self._array
        if array is None:
            raise ClosedError(self.path)
        if self._nothing is not None:
            raise VolumeError(self._nothing)
        box = [(0, 1)] * len(self._layout.shape)
        for axis, first, end in zip(self._kept, start, stop, strict=True):
            box[axis] = first, end
        try:
            self._check_files(array, box)
            selection = tuple(slice(a, b) if axis in self._kept else 0 for axis, (a, b) in enumerate(box))
            return np.asarray(array[selection], self._layout.dtype).view(self.dtype)
        except VolumeError:
            raise
        except Exception as error:  # each codec raises its own kinds
            why = f"{type(error).__name__}: {concealed(str(error))}"
            raise VolumeError(f"{self.path}: truncated or corrupt between {start} and {stop}: {why}") from error

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


def arrays_in(path: str, group: str) -> list[str]:
    """Return the paths of the arrays and images in a group, and of the labels of an image; none at the path of an array.

    Raises
    ------
    VolumeError
        If the folder or the zip file cannot be read.
    """
    path = Url(path) if is_url(path) else path
    tree = tree_at(path, path)
    node = _node(tree, _inside(path, group))
    if node is None or node.metadata is not None:
        return []
    if find_image(path, node.attributes) is not None:
        labels = _node(tree, _join(group, "labels"))
        return [] if labels is None else [_join(labels.path, name) for name in sorted(tree.names(labels.path))]
    return sorted(_search(tree, group, _ARRAYS))


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
        return _described(tree, node)
    if (image := find_image(tree.name, node.attributes)) is None:
        inside = _without_coordinates(tree, _search(tree, path))
        if len(inside) == 1:
            return _find(tree, inside[0])
        names = ", ".join(f"::{each}" for each in inside[:_LISTED]) + (", …" if len(inside) > _LISTED else "")
        raise VolumeError(f"{tree.name}: expected one array, or the name of one after ::, found {names or 'none'}")
    if (labels := _node(tree, _join(path, "labels"))) is not None:
        listed = label_names(labels.attributes) or tree.names(labels.path)
        names = ", ".join(f"::{_join(labels.path, each)}" for each in listed[:_LISTED])
        raise VolumeError(f"{tree.name}: expected labels, found an image that has labels: {names}")
    dataset = full_resolution(tree.name, image)
    inner = dataset["path"].strip("/")
    array = _node(tree, _join(path, _inside(tree.name, inner)))
    if array is None:
        raise VolumeError(f"{tree.name}: expected the array {_join(path, inner)} of the image, found none")
    return replace(array, image=image, dataset=dataset)


def _described(tree: Folder, node: _Node) -> _Node:
    """Add to an array what the group that it is in says of it, as one resolution of an image."""
    above, _, name = node.path.rpartition("/")
    group = _node(tree, above) if node.path else None
    if group is None or (image := find_image(tree.name, group.attributes)) is None:
        return node
    dataset = resolution(image, name)
    return node if dataset is None else replace(node, image=image, dataset=dataset)


def _dimensions(name: str, node: _Node) -> str:
    """Return the letters of the names that an array itself has for its axes: Zarr 3's, or xarray's in Zarr 2."""
    assert node.metadata is not None
    names = _names(node)
    if names is None:
        return ""
    axes = len(node.metadata["shape"])
    if not isinstance(names, list) or len(names) != axes:
        raise unexpected(name, f"{axes} names of dimensions", names)
    return letters(names)


def _names(node: _Node) -> Any:
    assert node.metadata is not None
    return node.metadata.get("dimension_names") or node.attributes.get("_ARRAY_DIMENSIONS")


def _axes(metadata: dict[str, Any]) -> int:
    shape = metadata.get("shape")
    return len(shape) if isinstance(shape, list) else 2


def _without_coordinates(tree: Folder, paths: list[str]) -> list[str]:
    """Leave out arrays of one axis, or none, that are named as an axis, or as a reference system, of those beside them."""
    nodes = [node for path in paths if (node := _node(tree, path)) is not None and node.metadata is not None]
    named: set[object] = set()
    for node in nodes:
        if isinstance(names := _names(node), list) and len(names) > 1:
            named |= {str(name) for name in [*names, node.attributes.get("grid_mapping")]}
    flat = [node for node in nodes if node.metadata is not None and _axes(node.metadata) < 2]
    beside = {node.path for node in flat if node.path.rpartition("/")[2] in named}
    return [path for path in paths if path not in beside]


def _check_same_names(name: str, own: str, axes: str, kept: tuple[int, ...]) -> None:
    """Refuse an array of an image whose own names of its axes are not those of the image."""
    own = "".join(own[axis] for axis in kept) if own else ""
    if own and axes and own != axes:
        raise VolumeError(f"{name}: expected the axes {axes} of the image in its dimension_names, found {own}")


def _absent_chunks(tree: Folder, path: str, array: Any, layout: Layout) -> tuple[int, int]:
    """Return how many chunks or shards an array has, and how many of them are not stored."""
    grid = [-(-n // size) for n, size in zip(layout.shape, layout.stored, strict=True)]
    wanted, found = math.prod(grid), 0
    for key in tree.keys(path):
        index = tuple(int(part) for part in re.findall(r"[0-9]{1,18}", key)) or (0,) * len(grid)
        if key.rpartition("/")[2] not in DOCUMENTS and len(index) == len(grid):
            found += (
                all(i < n for i, n in zip(index, grid, strict=True)) and array.metadata.encode_chunk_key(index) == key
            )
    if found < wanted <= _ASKED:  # some may lie behind links, which a list does not follow
        found = sum(tree.size(_join(path, array.metadata.encode_chunk_key(index))) != 0 for index in np.ndindex(*grid))
    return wanted, wanted - found


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


def _search(tree: Folder, path: str, most: int = _LISTED) -> list[str]:
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
            if len(found) > most:
                return found
    return found


def _recognises(head: bytes) -> bool:
    """Say whether a file is a zip that begins with the metadata of an array or a group; other zips tell by suffix."""
    length = int.from_bytes(head[26:28], "little")
    return head.startswith(b"PK\3\4") and head[30 : 30 + length].rpartition(b"/")[2].decode("latin-1") in DOCUMENTS


def _is_folder(path: str) -> bool:
    if isinstance(path, Url):
        return path.file_name.lower().endswith(".zarr") or any(map(tree_at(path, path).has, DOCUMENTS))
    return path.lower().rstrip("/\\").endswith(".zarr") or any(
        os.path.lexists(os.path.join(path, n)) for n in DOCUMENTS
    )


FORMAT = Format("Zarr and OME-Zarr", (".zarr", ".zarr.zip"), _recognises, ZarrVolume, _is_folder, zips=True)
