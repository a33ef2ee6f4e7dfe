"""HDF5: one dataset of numbers, through the library's filters or, where it is not chunked, straight from the file."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastseg.volumes.bytes import HEAD_BYTES, ByteSource
from fastseg.volumes.errors import ClosedError, VolumeError
from fastseg.volumes.formats.column_major import Writer, check_version, is_old_matlab
from fastseg.volumes.formats.hdf5_says import chunks_note, said_of
from fastseg.volumes.paths import split_inside
from fastseg.volumes.plain import PlainVoxels
from fastseg.volumes.volume import Format, Geometry, Volume, require

_MAGIC = b"\x89HDF\r\n\x1a\n"
_CHUNK_BYTES = 1 << 30  # a chunk is decoded whole: a file must not ask for more
_CACHE_BYTES = 1 << 20  # blocks are read once; a cache would only hold memory
_LISTED = 20  # datasets that a message names


class Hdf5Volume(Volume):
    """Read a dataset of an HDF5 file; `fastseg.volumes.volume.Volume` describes the members.

    A dataset whose voxels lie in other files (external or virtual) is refused, and so is a link: what a label file makes
    the library read ends with the file itself. Arrays of MATLAB's and Julia's own files have their axes in the order in which
    those programs have them.

    Parameters
    ----------
    path : str
        ``masks.h5``, or ``masks.h5::/path/of/dataset`` where there are several.

    Raises
    ------
    VolumeError
        If the file is truncated or corrupt, or the dataset is not one of numbers or needs a filter that is missing.
    """

    def __init__(self, path: str) -> None:
        library = require("h5py", "hdf5", path, "an HDF5 file")
        self.path = path
        outer, inside = split_inside(path)
        self._file: Any = None
        self._dataset: Any = None
        self._plain: PlainVoxels | None = None
        self._source = ByteSource(outer, path)
        try:
            if self._source.compressed:
                raise VolumeError(f"{path}: expected an HDF5 file, found gzip: decompress it first")
            head = self._source.take(HEAD_BYTES)
            if is_old_matlab(head) or outer.lower().endswith(".mat"):
                check_version(path, head, _recognises(head))
            self._writer = Writer(head)
            with _errors(path):
                # Without a lock: the folder may be read-only, and another process that writes has marked the file.
                self._file = library.File(outer, "r", locking=False, rdcc_nbytes=_CACHE_BYTES)
                self._dataset = (
                    _only(library, self._file, path, self._writer)
                    if inside is None
                    else _named(library, self._file, path, inside, self._writer)
                )
                self._verify(library, f"{path}: {self._dataset.name}")
        except BaseException:
            self.close()
            raise

    def _verify(self, library: Any, name: str) -> None:
        """Take what the dataset says of itself; refuse what cannot or must not be read."""
        dataset, properties = self._dataset, self._dataset.id.get_create_plist()
        if _elsewhere(library, dataset):  # before its shape, for which the library opens the other files
            raise VolumeError(f"{name}: expected a dataset in this file, found one whose voxels are in other files")
        self._writer.check(name, dataset)
        dtype = _number(dataset)
        if dtype is None:
            raise VolumeError(
                f"{name}: expected integers, booleans or floating-point numbers of at most 64 bits, found {_type(dataset)}"
            )
        shape = dataset.shape
        if not shape or min(shape) < 1:
            raise VolumeError(f"{name}: expected at least one voxel along every axis, found the shape {shape}")
        filters = [properties.get_filter(number) for number in range(properties.get_nfilters())]
        for code, _, _, label in filters:
            if not library.h5z.filter_avail(code):
                raise VolumeError(
                    f"{name}: expected filters that are installed, found {label.decode(errors='replace')!r} (number {code}); "
                    "HDF5 looks for its plugins in HDF5_PLUGIN_PATH"
                )
        chunks = dataset.chunks
        if chunks and math.prod(chunks) * dtype.itemsize > _CHUNK_BYTES:
            raise VolumeError(f"{name}: expected chunks of at most {_CHUNK_BYTES >> 20} MiB, found {chunks} of {dtype}")
        blocks = chunks or (1,) * len(shape)
        self._stored = dtype
        self.notes = chunks_note(name, dataset)
        said = said_of(name, self._file, dataset, dtype)
        self.dtype, self.scaling, self.nodata, flags, self.valid = said.values
        self.names = flags or _enumerated(library, dataset)
        self.palette, self.geometry = said.palette, said.geometry
        if self._writer.reverses(dataset):
            shape, blocks, self.order = shape[::-1], blocks[::-1], "F"
            self.geometry = Geometry(shape, None, (math.nan,) * len(shape))
        self.says_axes, self.blocks = bool(self.geometry.axes), blocks
        self.parallel = False  # the library has one lock for everything
        size, offset = math.prod(shape) * dtype.itemsize, dataset.id.get_offset()
        if (
            properties.get_layout() == library.h5d.CONTIGUOUS
            and dataset.id.get_storage_size() == size  # 0 if nothing was ever written, where the offset means nothing
            and offset is not None
            and dataset.id.get_type().equal(library.h5t.py_create(dtype, logical=True))
        ):
            if offset + size > self._source.size:
                raise VolumeError(
                    f"{name}: truncated or corrupt: expected {size} bytes from byte {offset} on, "
                    f"found a file of {self._source.size}"
                )
            self._plain = PlainVoxels(self._source, offset, shape, self.dtype, self.order, self.path)
            self.parallel = True

    def read_block(self, start: tuple[int, ...], stop: tuple[int, ...]) -> NDArray[Any]:
        """Return a box of voxels; see `Volume.read_block`."""
        if self._dataset is None:
            raise ClosedError(self.path)
        if self._plain is not None:
            return self._plain.read_block(start, stop)
        with _errors(f"{self.path}: {start} to {stop}"):
            box = tuple(map(slice, start, stop))
            if self.order == "F":
                return np.asarray(self._dataset[box[::-1]], self._stored).view(self.dtype).T
            return np.asarray(self._dataset[box], self._stored).view(self.dtype)

    def close(self) -> None:
        """Close the file; closing twice is allowed."""
        file, self._file, self._dataset, self._plain = self._file, None, None, None
        self._source.close()
        if file is not None:
            with contextlib.suppress(Exception):  # nothing was written, so nothing is lost
                file.close()


def datasets_in(path: str, group: str) -> list[str]:
    """Return the paths of the datasets of numbers in a group and below, of several axes; none at the path of a dataset.

    Raises
    ------
    VolumeError
        If the file cannot be read.
    """
    library = require("h5py", "hdf5", path, "an HDF5 file")
    with _errors(path), library.File(path, "r", locking=False) as file:
        node, prefix = file.get(group, file) if group else file, f"/{group}/" if group else "/"
        if group and (group not in file or not isinstance(node, library.Group)):
            return []
        return sorted(
            str(each.name)
            for each in _datasets(library, file)
            if str(each.name).startswith(prefix)
            and not _elsewhere(library, each)
            and _number(each) is not None
            and len(each.shape or ()) >= 2
        )


@contextlib.contextmanager
def _errors(name: str) -> Iterator[None]:
    """Turn what the library raises into VolumeError: of a corrupt file that may be any of a dozen kinds."""
    try:
        yield
    except VolumeError:
        raise
    except Exception as error:
        text = error.args[0] if isinstance(error, KeyError) and error.args else error
        raise VolumeError(f"{name}: truncated or corrupt: {text or type(error).__name__}") from error


def _named(library: Any, file: Any, path: str, inside: str, writer: Writer) -> Any:
    """Return the dataset at a path inside, to which no link may lead: it could lead out of the file."""
    node = file
    for part in filter(None, inside.split("/")):
        link = node.get(part, getlink=True) if isinstance(node, library.Group) else None
        if link is None:
            raise VolumeError(f"{path}: expected {inside} in the file, found no {part!r} in {node.name}")
        if not isinstance(link, library.HardLink):
            target = f"{getattr(link, 'filename', '')}::{link.path}"
            raise VolumeError(f"{path}: expected a dataset of this file, found {part!r} to be a link to {target}")
        node = node[part]
    if not isinstance(node, library.Dataset):
        writer.check(path, node)
        raise VolumeError(f"{path}: expected a dataset at {inside}, found a group")
    return node


def _only(library: Any, file: Any, path: str, writer: Writer) -> Any:
    """Return the only dataset of numbers that has several axes."""
    found: list[str] = []
    arrays: list[Any] = []
    for dataset in _datasets(library, file):
        away = _elsewhere(library, dataset)
        shape = None if away else dataset.shape
        if len(found) <= _LISTED:
            seen = shape[::-1] if shape and writer.reverses(dataset) else shape
            kind = writer.kind(dataset) or _type(dataset)
            found.append(f"::{dataset.name} {'in other files' if away else seen} {kind}")
        beside = dataset.name.startswith("/ITKImage/") and not dataset.name.endswith("/VoxelData")  # its directions
        several = not beside and shape is not None and len(shape) >= 2 and _number(dataset) is not None
        if away or (several and writer.may_be_meant(dataset)):
            arrays.append(dataset)
        if len(arrays) > _LISTED:
            break
    if len(arrays) == 1:
        return arrays[0]
    names = ", ".join(found[:_LISTED]) + (", …" if len(found) > _LISTED else "")
    raise VolumeError(
        f"{path}: expected one dataset of numbers with two axes or more, or the name of one after ::, "
        f"found {names or 'no dataset'}"
    )


def _datasets(library: Any, file: Any) -> Iterator[Any]:
    """Walk through the datasets of a file along its hard links, with nothing but the links and what they lead to.

    The library's own walk also asks each object for its size, and dies of that on some corrupt files.
    """
    groups, seen = [file], set()
    for group in groups:  # which grow meanwhile
        for name in group:
            link = group.id.links.get_info(name.encode("utf-8", "surrogateescape"))
            if link.type != library.h5l.TYPE_HARD or link.u in seen:  # a second name, or a circle
                continue
            seen.add(link.u)
            node = group[name]
            if isinstance(node, library.Dataset):
                yield node
            elif isinstance(node, library.Group):
                groups.append(node)


def _elsewhere(library: Any, dataset: Any) -> bool:
    """Say whether the voxels of a dataset are in other files."""
    properties = dataset.id.get_create_plist()
    return bool(properties.get_layout() == library.h5d.VIRTUAL or properties.get_external_count())


def _number(dataset: Any) -> np.dtype[Any] | None:
    """Return the dtype of a dataset, None if it is not one of plain numbers."""
    try:
        dtype = dataset.dtype
    except (TypeError, ValueError):  # one that NumPy has not
        return None
    # Without the names of an enumeration, which h5py attaches to the dtype.
    return np.dtype(dtype.str) if dtype.kind in "biuf" and dtype.itemsize <= 8 else None


def _enumerated(library: Any, dataset: Any) -> dict[int, str]:
    """Return the names of the values of an enumeration; none of other types, and of booleans."""
    found = None if dataset.dtype.kind == "b" else library.check_enum_dtype(dataset.dtype)
    return {} if found is None else {int(value): str(name) for name, value in found.items()}


def _type(dataset: Any) -> str:
    """Name the dtype of a dataset for a message."""
    try:
        return str(dataset.dtype)
    except (TypeError, ValueError):
        return "of a type that NumPy has not"


def _recognises(head: bytes) -> bool:
    return any(head.startswith(_MAGIC, at) for at in (0, 512))  # 512: behind a user block


FORMAT = Format(
    "HDF5 and MATLAB",
    (".h5", ".hdf5", ".he5", ".mat"),
    lambda head: _recognises(head) or is_old_matlab(head),  # which is refused with what to do
    Hdf5Volume,
)
