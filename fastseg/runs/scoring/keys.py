"""Which files a case is made of, and what tells them from others: sizes, times and hashes."""

from __future__ import annotations

import functools
import hashlib
import json
import math
import os
import stat
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Literal

from fastseg.runs.cases.find import Case
from fastseg.runs.scoring.records import CaseRecord
from fastseg.runs.scoring.settings import Settings
from fastseg.volumes import VolumeError, absolute, is_url, split_inside, split_suffix
from fastseg.volumes.formats.itk import files_of
from fastseg.volumes.paths import Url
from fastseg.volumes.remote import Stored, stored_at

__all__ = ["CaseFiles", "Hashing", "has_hashes", "place_of", "size_of", "still_true"]

Hashing = Literal["auto", "always", "never"]

#: Files up to this size are hashed unless they are not to be: that costs less than reading what they unpack to.
_HASHED_BYTES = 64 << 20
_PIECE_BYTES = 64 << 10
#: Changes when the same files and settings would give another record.
_VERSION = 4
#: What a header and the voxels beside it end in.
_HALVES = (".hdr", ".hdr.gz", ".img", ".img.gz")
#: Formats whose header may name other files.
_HEADERS = (".mhd", ".mha", ".nhdr", ".nrrd")


class CaseFiles:
    """The files that a case is made of, looked up once.

    Parameters
    ----------
    case : Case

    Raises
    ------
    OSError
        If one of them is not there.
    """

    def __init__(self, case: Case) -> None:
        self.case = case
        masks = {"reference": case.true_masks, "prediction": case.pred_masks, "roi": None}
        self.files: dict[str, Mapping[str, os.stat_result | Stored] | None]
        self.files = {role: None if path is None else _files(path) for role, path in _volumes(case).items()}
        for role, of_classes in masks.items():
            if of_classes is not None:
                found = [_files(path) for path in of_classes.values()]
                self.files[role] = dict(sorted((file, status) for files in found for file, status in files.items()))
        self._hashes: dict[str, str] = {}

    def key(self, settings: Settings, hashing: Hashing = "auto") -> str:
        """Return what identifies the files and how they are counted.

        Files are told apart by their path, and by size and times, or with ``hashing="always"`` by content. The time of change
        is among them, for copies may bring the time of modification along, as ``cp -p``, ``rsync -t`` and ``tar`` do. It may
        change where the content does not: then the case is counted once more than need be. What a URL leads to is told by
        its size and ETag or time, as its store gives them; where it gives none, no key is the same twice.
        """
        marks: list[Any] = [_VERSION, settings.fingerprint, settings.missing if self.case.prediction is None else None]
        for role, files in self.files.items():
            path = getattr(self.case, role)
            for file, found in (files or {}).items():
                mark = self._hash(file) if hashing == "always" else _mark(found)
                marks += [role, file.removeprefix(path), mark]
        return f"{place_of(self.case)}-{hashlib.sha256(json.dumps(marks).encode()).hexdigest()[:32]}"

    def describe(self, hashing: Hashing, progress: Callable[[int, int], None] | None = None) -> dict[str, Any]:
        """Return what a record says of each file: its size and, where it is wanted, its SHA-256."""
        described = {}
        for role, files in self.files.items():
            if files is not None:
                size = sum(_size(found) for found in files.values())
                here = not any(isinstance(found, Stored) for found in files.values())
                wanted = hashing == "always" or (hashing == "auto" and here and size <= _HASHED_BYTES)
                hashes: list[str] = []
                if wanted and hashing == "auto" and split_inside(getattr(self.case, role) or "")[1] is not None:
                    hashes = [_of_many_cases(file, *_mark(found)) for file, found in files.items()]
                elif wanted:
                    hashes = [self._hash(file, progress) for file in files]
                digest = _joined(hashes) if wanted else None
                described[role] = {"size": size, "sha256": digest}
        return described

    def _hash(self, file: str, progress: Callable[[int, int], None] | None = None) -> str:
        if file not in self._hashes:
            found = next((files[file] for files in self.files.values() if files is not None and file in files), None)
            pieces = found.pieces() if isinstance(found, Stored) else _pieces(file)
            self._hashes[file] = _sha256(pieces, progress)
        return self._hashes[file]


def _volumes(case: Case) -> dict[str, str | None]:
    """Return the paths that are volumes; those of masks, of which each has a file, are only what people call them."""
    return {
        "reference": case.reference if case.true_masks is None else None,
        "prediction": case.prediction if case.pred_masks is None else None,
        "roi": case.roi,
    }


def place_of(case: Case) -> str:
    """Return what tells the case from all others by where its files are, whatever is in them: what its key begins with."""
    paths = [None if path is None else absolute(path) for path in (case.reference, case.prediction, case.roi)]
    return hashlib.sha256(json.dumps([case.id, paths]).encode()).hexdigest()[:16]


def size_of(case: Case) -> float:
    """Return the bytes of the reference and the prediction; infinity for a folder or a URL, 0 for what is not there."""
    size, volumes = 0.0, _volumes(case)
    masks = [path for of_classes in (case.true_masks, case.pred_masks) for path in (of_classes or {}).values()]
    for path in (volumes["reference"], volumes["prediction"], *masks):
        if path is not None and is_url(path):
            return math.inf
        with suppress(OSError):
            found = None if path is None else os.stat(split_inside(path)[0])
            size += 0 if found is None else math.inf if stat.S_ISDIR(found.st_mode) else found.st_size
    return size


def _files(path: str) -> Mapping[str, os.stat_result | Stored]:
    """Return all files that a volume is made of, sorted by name."""
    outer = split_inside(path)[0]
    if isinstance(outer, Url):
        return stored_at(outer)
    files = {outer: os.stat(outer)}
    if stat.S_ISDIR(files[outer].st_mode):
        return {file: os.stat(file) for file in sorted(_inside(outer))}
    others: Iterable[str] = ()
    if outer.lower().endswith(_HALVES):
        others = [split_suffix(outer)[0] + end for end in _HALVES]
    elif outer.lower().endswith(_HEADERS):
        with suppress(VolumeError):  # it will fail, with its reason
            others = files_of(outer)
    files.update((file, os.stat(file)) for file in others if file != outer and os.path.isfile(file))
    return dict(sorted(files.items()))


def _mark(found: os.stat_result | Stored) -> list[Any]:
    """Return what changes with the content of a file, and need not be read."""
    if isinstance(found, Stored):
        return [found.size, uuid.uuid4().hex if found.mark is None else found.mark]
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns]


def _size(found: os.stat_result | Stored) -> int:
    return (found.size or 0) if isinstance(found, Stored) else found.st_size


def _inside(folder: str) -> Iterator[str]:
    """Yield all files in a folder and its subfolders, also behind links, but for those to a folder that they are in."""
    pending: list[tuple[str, tuple[tuple[int, int], ...]]] = [(folder, ())]
    while pending:
        here, above = pending.pop()
        found = os.stat(here)
        mark = (found.st_dev, found.st_ino)
        if mark not in above:
            _, folders, names = next(os.walk(here), ("", [], []))
            yield from (os.path.join(here, name) for name in names)
            pending += [(os.path.join(here, name), (*above, mark)) for name in folders]


def has_hashes(record: CaseRecord) -> bool:
    """Tell whether a record has the SHA-256 of all files that ``hashing="auto"`` wants it of."""
    return all(
        entry["sha256"] is not None or entry["size"] > _HASHED_BYTES or is_url(getattr(record, role))
        for role, entry in record.inputs.items()
    )


def _joined(hashes: list[str]) -> str:
    """Return the SHA-256 of a file, or of the hashes of several."""
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()


@functools.lru_cache(maxsize=4)
def _of_many_cases(path: str, _size: int, _modified: int, _changed: int) -> str:
    """Return the hash of a file that holds many cases, computed once while it stays as it is."""
    return _sha256(_pieces(path))


def _pieces(path: str) -> Iterator[bytes]:
    with open(path, "rb", buffering=0) as file:
        while piece := file.read(_PIECE_BYTES):
            yield piece


def _sha256(pieces: Iterator[bytes], progress: Callable[[int, int], None] | None = None) -> str:
    state = hashlib.sha256()
    for piece in pieces:
        state.update(piece)
        if progress is not None:
            progress(0, 0)
    return state.hexdigest()


def still_true(
    cases: Sequence[Case], settings: Settings, hashing: Hashing, records: Mapping[str, CaseRecord]
) -> dict[str, CaseRecord]:
    """Return the records that are still true: of the same files, by the paths given now, counted in the same way."""
    known = {}
    for case in cases:
        record = records.get(case.id)
        if record is not None and (hashing == "never" or has_hashes(record)):
            with suppress(OSError, VolumeError):  # the case will fail, with its reason
                if record.key == CaseFiles(case).key(settings, hashing):
                    known[case.id] = replace(record, reference=case.reference, prediction=case.prediction, roi=case.roi)
    return known
