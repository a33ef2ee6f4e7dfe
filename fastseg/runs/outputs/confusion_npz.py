"""`confusion.npz`: the confusion matrices of a run's counted cases, from which every number follows without a voxel.

An archive that `numpy.load` opens, without pickles. N cases, K labels, M pairs that occur, U labels with unknown predictions:

version : () int64
    1.
labels : (K,) int64
    All labels, in the order that was declared, or sorted.
closed : () bool
    Whether they were declared.
ids : (B,) uint8
    The cases' names one after the other, in UTF-8 (lone surrogates, of names that are no text, in three bytes each).
id_starts : (N + 1,) int64
    ``ids[id_starts[n]:id_starts[n + 1]]`` is the name of case n.
pairs : (M, 3) int64
    True label, predicted label, voxels: rows ``starts[n]:starts[n + 1]`` are case n's, sorted, each pair once.
starts : (N + 1,) int64
unknown : (U, 2) int64
    True label and voxels whose predicted label is none of the classes: rows ``unknown_starts[n]:unknown_starts[n + 1]``.
unknown_starts : (N + 1,) int64
voxels : (N, 4) int64
    Voxels counted, ignored, outside the region of interest, unknown.

A case that is missing and taken as the worst has no pairs: all its voxels are in ``unknown``.

The bytes are a function of the run, wherever zlib compresses alike.

Examples
--------
The matrix of the first case, without fastseg::

    data = numpy.load("confusion.npz")
    labels, pairs = data["labels"], data["pairs"][data["starts"][0] : data["starts"][1]]
    order = numpy.argsort(labels)
    true, pred = (order[numpy.searchsorted(labels, pairs[:, k], sorter=order)] for k in (0, 1))
    matrix = numpy.zeros((labels.size, labels.size), numpy.int64)
    matrix[true, pred] = pairs[:, 2]
"""

from __future__ import annotations

import hashlib
import io
import math
import os
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastseg.counts import COUNTED, UNKNOWN
from fastseg.runs.results.numbers import RunNumbers
from fastseg.runs.scoring.records import Ints

__all__ = ["Confusion", "confusion_npz", "read_confusion"]

Array = npt.NDArray[Any]

_VERSION = 1
_LEVEL = 3  # level 6 takes four times as long for a fifth less

#: The arrays: their type and shape, -1 for any length.
_ARRAYS: dict[str, tuple[str, tuple[int, ...]]] = {
    "version": ("<i8", ()),
    "labels": ("<i8", (-1,)),
    "closed": ("|b1", ()),
    "ids": ("|u1", (-1,)),
    "id_starts": ("<i8", (-1,)),
    "pairs": ("<i8", (-1, 3)),
    "starts": ("<i8", (-1,)),
    "unknown": ("<i8", (-1, 2)),
    "unknown_starts": ("<i8", (-1,)),
    "voxels": ("<i8", (-1, 4)),
}


@dataclass(frozen=True, eq=False)
class Confusion:
    """Hold what an archive holds: see the module's documentation.

    Attributes
    ----------
    labels : (K,) int64
    closed : bool
    ids : tuple of N str
    pairs, unknown : tuple of N arrays, (M, 3) and (U, 2) int64
        As in `CaseRecord`.
    voxels : (N, 4) int64
    sha256 : str
        Of all of that; not of the archive's bytes, which depend on who compressed them.
    """

    labels: Ints
    closed: bool
    ids: tuple[str, ...]
    pairs: tuple[Ints, ...]
    unknown: tuple[Ints, ...]
    voxels: Ints
    sha256: str


def confusion_npz(run: RunNumbers) -> bytes:
    """Return the confusion matrices of a run's counted cases as an archive."""
    records = run.counted
    names = [record.id.encode("utf-8", "surrogatepass") for record in records]
    none = np.zeros(0, np.int64)
    arrays: dict[str, Any] = {
        "version": _VERSION,
        "labels": run.labels,
        "closed": run.settings.labels is not None,
        "ids": np.frombuffer(b"".join(names), np.uint8),
        "id_starts": _starts(names),
        "pairs": np.concatenate([none.reshape(0, 3), *(record.pairs for record in records)]),
        "starts": _starts([record.pairs for record in records]),
        "unknown": np.concatenate([none.reshape(0, 2), *(record.unknown for record in records)]),
        "unknown_starts": _starts([record.unknown for record in records]),
        "voxels": np.array([record.voxels for record in records], np.int64).reshape(-1, 4),
    }
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, (dtype, _) in _ARRAYS.items():
            member = zipfile.ZipInfo(f"{name}.npy")  # of 1980, whenever it is written
            member.compress_type, member.create_system, member.external_attr = zipfile.ZIP_DEFLATED, 3, 0o600 << 16
            part = io.BytesIO()
            array = np.asarray(arrays[name], dtype, order="F")  # column by column: half the bytes, in half the time
            np.lib.format.write_array(part, array, (1, 0), allow_pickle=False)
            archive.writestr(member, part.getvalue(), compresslevel=_LEVEL)
    return stream.getvalue()


def read_confusion(source: bytes | str | os.PathLike[str], name: str | None = None) -> Confusion:
    """Return what an archive holds.

    Parameters
    ----------
    source
        Its path, or its bytes.
    name
        What errors call it.

    Raises
    ------
    ValueError
        If it is no such archive, is damaged, or contradicts itself; with what was expected and what was found.
    OSError
        If the file cannot be read.
    """
    if isinstance(source, bytes):
        data, name = source, name or "confusion.npz"
    else:
        name = name or os.fspath(source)
        with open(source, "rb") as file:
            data = file.read()
    with _told(name):
        arrays = _load(data)
    _require(arrays["version"] == _VERSION, name, f"version {_VERSION}", f"version {arrays['version']}")
    return _checked(arrays, name)


def _starts(parts: Sequence[Any]) -> Ints:
    return np.cumsum([0, *map(len, parts)], dtype=np.int64)


@contextmanager
def _told(name: str) -> Iterator[None]:
    """Make one kind of error of the dozen that zipfile, zlib and NumPy raise for damaged data."""
    try:
        yield
    except Exception as error:
        what = f"{type(error).__name__}: {error}"
        raise ValueError(f"{name}: expected an archive of confusion matrices, undamaged; found {what}") from None


def _load(data: bytes) -> dict[str, Array]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        expected, found = [f"{name}.npy" for name in _ARRAYS], archive.namelist()
        if sorted(found) != sorted(expected):
            raise ValueError(f"members {found[:20]} instead of {expected}")
        return {name: _array(name, archive.read(f"{name}.npy")) for name in _ARRAYS}


def _array(name: str, data: bytes) -> Array:
    """Return a member's array; its header says nothing that is believed before the data have that size."""
    stream = io.BytesIO(data)
    version = np.lib.format.read_magic(stream)
    if version != (1, 0):
        raise ValueError(f"{name}: version {version} of the .npy format")
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
    wanted, sizes = _ARRAYS[name]
    fits = len(shape) == len(sizes) and all(size in (-1, given) for size, given in zip(sizes, shape, strict=True))
    if dtype != np.dtype(wanted) or not fits:
        raise ValueError(f"{name}: {dtype} of shape {shape} instead of {wanted} of shape {sizes}")
    start = stream.tell()
    if len(data) - start != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"{name}: {len(data) - start} bytes for shape {shape}")
    return (
        np.frombuffer(data[start:], dtype)
        .reshape(shape, order="F" if fortran else "C")
        .astype(dtype.newbyteorder("="), order="C")
    )


def _checked(arrays: Mapping[str, Array], name: str) -> Confusion:
    """Return the arrays as they are meant, having checked that none contradicts another."""
    labels, pairs, unknown, voxels = (arrays[key] for key in ("labels", "pairs", "unknown", "voxels"))
    cases = len(voxels)
    _require(np.unique(labels).size == labels.size, name, "each label once", f"labels {labels[:20].tolist()}")
    for key, rows in (("id_starts", arrays["ids"]), ("starts", pairs), ("unknown_starts", unknown)):
        starts = arrays[key]
        fits = (
            starts.size == cases + 1
            and starts[0] == 0
            and starts[-1] == len(rows)
            and (starts[1:] >= starts[:-1]).all()
        )
        found = f"{starts.size} of them up to {starts[-1:].tolist()}"
        _require(bool(fits), name, f"{key} of {cases} cases, rising from 0 to {len(rows)}", found)
    for key, rows, starts, column in (
        ("pairs", pairs, arrays["starts"], COUNTED),
        ("unknown", unknown, arrays["unknown_starts"], UNKNOWN),
    ):
        owners = np.repeat(np.arange(cases), np.diff(starts))
        _require(bool(np.isin(rows[:, :-1], labels).all()), name, f"{key} of its labels", "others")
        _require(bool((rows[:, -1] > 0).all()), name, f"{key} that occur", "counts below 1")
        _require(_rising(owners, *rows[:, :-1].T), name, f"the {key} of each case sorted, each once", "others")
        sums = np.concatenate([[0], np.cumsum(rows[:, -1])])
        wrong = np.flatnonzero(sums[starts[1:]] - sums[starts[:-1]] != voxels[:, column])
        found = f"others in {wrong.size} of {cases} cases"
        _require(not wrong.size, name, f"{key} that add up to the voxels of each case", found)
    _require(bool((voxels >= 0).all()), name, "numbers of voxels", "negative ones")
    with _told(name):
        ids = tuple(
            part.tobytes().decode("utf-8", "surrogatepass") for part in _cut(arrays["ids"], arrays["id_starts"])
        )
    _require(len(set(ids)) == cases, name, "each case once", f"{cases - len(set(ids))} twice")
    return Confusion(
        labels=labels,
        closed=bool(arrays["closed"]),
        ids=ids,
        pairs=tuple(_cut(pairs, arrays["starts"])),
        unknown=tuple(_cut(unknown, arrays["unknown_starts"])),
        voxels=voxels,
        sha256=_digest(arrays),
    )


def _require(true: bool, name: str, expected: str, found: str) -> None:
    if not true:
        raise ValueError(f"{name}: expected {expected}; found {found}")


def _rising(*columns: Array) -> bool:
    """Tell whether each row is above the one before it, as words are in a dictionary."""
    above: Any = False
    for column in reversed(columns):
        above = (column[1:] > column[:-1]) | ((column[1:] == column[:-1]) & above)
    return bool(np.all(above))


def _cut(rows: Array, starts: Ints) -> list[Array]:
    return [rows[first:last] for first, last in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True)]


def _digest(arrays: Mapping[str, Array]) -> str:
    found = hashlib.sha256()
    for name, (dtype, _) in _ARRAYS.items():
        found.update(f"{name}{arrays[name].shape}".encode())
        found.update(arrays[name].astype(dtype).tobytes())
    return found.hexdigest()
