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

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastseg.counts import COUNTED, UNKNOWN
from fastseg.runs.outputs import archive
from fastseg.runs.outputs.archive import cut, require, starts
from fastseg.runs.results.numbers import RunNumbers
from fastseg.runs.scoring.records import Ints

__all__ = ["Confusion", "confusion_npz", "read_confusion"]

Array = npt.NDArray[Any]

_VERSION = 1
_WHAT = "an archive of confusion matrices"

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
        "id_starts": starts(names),
        "pairs": np.concatenate([none.reshape(0, 3), *(record.pairs for record in records)]),
        "starts": starts([record.pairs for record in records]),
        "unknown": np.concatenate([none.reshape(0, 2), *(record.unknown for record in records)]),
        "unknown_starts": starts([record.unknown for record in records]),
        "voxels": np.array([record.voxels for record in records], np.int64).reshape(-1, 4),
    }
    return archive.pack(arrays, _ARRAYS)


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
    arrays = archive.unpack(data, _ARRAYS, _WHAT, name)
    require(arrays["version"] == _VERSION, name, f"version {_VERSION}", f"version {arrays['version']}")
    return _checked(arrays, name)


def _checked(arrays: Mapping[str, Array], name: str) -> Confusion:
    """Return the arrays as they are meant, having checked that none contradicts another."""
    labels, pairs, unknown, voxels = (arrays[key] for key in ("labels", "pairs", "unknown", "voxels"))
    cases = len(voxels)
    require(np.unique(labels).size == labels.size, name, "each label once", f"labels {labels[:20].tolist()}")
    for key, rows in (("id_starts", arrays["ids"]), ("starts", pairs), ("unknown_starts", unknown)):
        starts = arrays[key]
        fits = (
            starts.size == cases + 1
            and starts[0] == 0
            and starts[-1] == len(rows)
            and (starts[1:] >= starts[:-1]).all()
        )
        found = f"{starts.size} of them up to {starts[-1:].tolist()}"
        require(bool(fits), name, f"{key} of {cases} cases, rising from 0 to {len(rows)}", found)
    for key, rows, starts, column in (
        ("pairs", pairs, arrays["starts"], COUNTED),
        ("unknown", unknown, arrays["unknown_starts"], UNKNOWN),
    ):
        owners = np.repeat(np.arange(cases), np.diff(starts))
        require(bool(np.isin(rows[:, :-1], labels).all()), name, f"{key} of its labels", "others")
        require(bool((rows[:, -1] > 0).all()), name, f"{key} that occur", "counts below 1")
        require(_rising(owners, *rows[:, :-1].T), name, f"the {key} of each case sorted, each once", "others")
        sums = np.concatenate([[0], np.cumsum(rows[:, -1])])
        wrong = np.flatnonzero(sums[starts[1:]] - sums[starts[:-1]] != voxels[:, column])
        found = f"others in {wrong.size} of {cases} cases"
        require(not wrong.size, name, f"{key} that add up to the voxels of each case", found)
    require(bool((voxels >= 0).all()), name, "numbers of voxels", "negative ones")
    with archive.told(_WHAT, name):
        ids = tuple(part.tobytes().decode("utf-8", "surrogatepass") for part in cut(arrays["ids"], arrays["id_starts"]))
    require(len(set(ids)) == cases, name, "each case once", f"{cases - len(set(ids))} twice")
    return Confusion(
        labels=labels,
        closed=bool(arrays["closed"]),
        ids=ids,
        pairs=tuple(cut(pairs, arrays["starts"])),
        unknown=tuple(cut(unknown, arrays["unknown_starts"])),
        voxels=voxels,
        sha256=archive.digest(arrays, _ARRAYS),
    )


def _rising(*columns: Array) -> bool:
    """Tell whether each row is above the one before it, as words are in a dictionary."""
    above: Any = False
    for column in reversed(columns):
        above = (column[1:] > column[:-1]) | ((column[1:] == column[:-1]) & above)
    return bool(np.all(above))
