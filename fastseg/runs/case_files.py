"""Which files a case is made of, and what tells them from others: sizes, times and hashes."""

from __future__ import annotations

import hashlib
import json
import math
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, Literal

from fastseg.runs.cases import Case
from fastseg.runs.records import CaseRecord
from fastseg.runs.settings import Settings
from fastseg.volumes import VolumeError, split_inside, split_suffix
from fastseg.volumes.itk import files_of

__all__ = ["Hashing", "case_key", "describe_inputs", "has_hashes", "size_of"]

Hashing = Literal["auto", "always", "never"]

#: Files up to this size are hashed unless they are not to be: that costs less than reading what they unpack to.
_HASHED_BYTES = 64 << 20
_PIECE_BYTES = 1 << 20
#: Changes when the same files and settings would give another record.
_VERSION = 1
#: What a header and the voxels beside it end in.
_HALVES = (".hdr", ".hdr.gz", ".img", ".img.gz")
#: Formats whose header may name other files.
_HEADERS = (".mhd", ".mha", ".nhdr", ".nrrd")


def case_key(case: Case, settings: Settings, hashing: Hashing = "auto") -> str:
    """Return what identifies the files of a case and how they are counted.

    Files are told apart by their path, and by size and time of modification, or with ``hashing="always"`` by their content.
    """
    mark = _sha256 if hashing == "always" else _size_and_time
    files = [
        None if path is None else [path, [[file.removeprefix(path), mark(file)] for file in sorted(_files(path))]]
        for path in (case.reference, case.prediction, case.roi)
    ]
    plain = [_VERSION, settings.fingerprint, settings.missing if case.prediction is None else None, files]
    return hashlib.sha256(json.dumps(plain).encode()).hexdigest()[:32]


def size_of(case: Case) -> float:
    """Return the bytes of the reference and the prediction; infinity for a folder, 0 for what is not there."""
    size = 0.0
    for path in (case.reference, case.prediction):
        with suppress(OSError):
            found = None if path is None else os.stat(split_inside(path)[0])
            size += 0 if found is None else math.inf if stat.S_ISDIR(found.st_mode) else found.st_size
    return size


def _files(path: str) -> Iterator[str]:
    """Yield all files that a volume is made of."""
    outer = split_inside(path)[0]
    if os.path.isdir(outer):
        for folder, _, names in os.walk(outer):
            yield from (os.path.join(folder, name) for name in names)
        return
    yield outer
    stem, suffix = split_suffix(outer)
    if suffix.lower() in _HALVES:
        yield from (half for end in _HALVES if (half := stem + end) != outer and os.path.isfile(half))
    elif suffix.lower() in _HEADERS:
        with suppress(VolumeError):  # it will fail, with its reason
            yield from (file for file in files_of(outer) if file != outer and os.path.isfile(file))


def describe_inputs(case: Case, hashing: Hashing, progress: Callable[[int, int], None] | None = None) -> dict[str, Any]:
    """Return what a record says of each file: its size and, where it is wanted, its SHA-256."""
    found = {}
    for role, path in (("reference", case.reference), ("prediction", case.prediction), ("roi", case.roi)):
        if path is not None:
            files = sorted(_files(path))
            size = sum(os.stat(file).st_size for file in files)
            wanted = hashing == "always" or (hashing == "auto" and size <= _HASHED_BYTES)
            found[role] = {"size": size, "sha256": _hash_of(files, progress) if wanted else None}
    return found


def has_hashes(record: CaseRecord) -> bool:
    """Tell whether a record has the SHA-256 of all files that ``hashing="auto"`` wants it of."""
    return all(entry["sha256"] is not None or entry["size"] > _HASHED_BYTES for entry in record.inputs.values())


def _size_and_time(path: str) -> list[int]:
    found = os.stat(path)
    return [found.st_size, found.st_mtime_ns]


def _hash_of(files: list[str], progress: Callable[[int, int], None] | None) -> str:
    """Return the SHA-256 of a file, or of the hashes of several."""
    hashes = [_sha256(file, progress) for file in files]
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()


def _sha256(path: str, progress: Callable[[int, int], None] | None = None) -> str:
    state = hashlib.sha256()
    with open(path, "rb", buffering=0) as file:
        while piece := file.read(_PIECE_BYTES):
            state.update(piece)
            if progress is not None:
                progress(0, 0)
    return state.hexdigest()
