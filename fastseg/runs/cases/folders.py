"""Which volumes a folder holds: what is listed, what is hidden, linked or lies beside another, and the id of each."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

from fastseg.labels.names import shown
from fastseg.runs.cases import ids as case_ids
from fastseg.volumes import is_url, split_inside, split_suffix

__all__ = ["CaseFolder", "first_deep", "is_volume", "list_folder", "walk"]

#: What runs leave, perhaps beside predictions: where one of the first is, the other is no volume.
_OF_RUNS, _MATRICES = ("records.jsonl", "run.json"), "confusion.npz"

#: Files that a glance at subfolders looks at.
_GLANCE = 10_000


@dataclass
class CaseFolder:
    """The files of a folder."""

    files: dict[str, tuple[str, str]] = field(default_factory=dict)
    """NFC of the id: id and path."""
    contested: set[str] = field(default_factory=set)
    """Folded ids that several files have."""
    ignored: list[str] = field(default_factory=list)


def list_folder(folder: str, argument: str, pattern: re.Pattern[str] | None, problems: list[str]) -> CaseFolder:
    """List the volumes of a folder by their ids.

    Parameters
    ----------
    folder : str
        Its path.
    argument : str
        What the caller's option is called, for messages.
    pattern : re.Pattern or None
        Gives the id as its group ``case``, of paths within the folder, subfolders included.
    problems : list of str
        What is wrong is appended.
    """
    listed = CaseFolder()
    by_id: dict[str, list[tuple[str, str]]] = {}
    for inside, kind in walk(folder, argument, pattern is not None, problems):
        stem, suffix = split_suffix(inside)
        match = None if pattern is None else pattern.fullmatch(inside)
        if not suffix or (pattern is not None and match is None):
            lost = not suffix and pattern is not None and kind.startswith("a link")  # perhaps to a folder of cases
            wrong = f"expected a file or a folder, found {kind}" if lost else ""
            listed.ignored.append(inside)
        else:
            case = case_ids.writable(stem if match is None else match["case"] or "")
            wrong = "" if case else "expected a name for the group 'case' of the pattern, found none"
            wrong = wrong if kind == "a volume" else f"expected a file, found {kind}"
            if case:
                by_id.setdefault(case_ids.folded(case), []).append((case, inside))
        if wrong:
            problems.append(f"{argument}: {shown(os.path.join(folder, inside))}: {wrong}")
    for folded, several in by_id.items():
        several = _without_companions(several)
        if len(several) == 1:
            case, inside = several[0]
            listed.files[case_ids.composed(case)] = (case, os.path.join(folder, inside))
        else:
            listed.contested |= {folded, case_ids.before_channel(folded) or folded}
            files = ", ".join(sorted(shown(inside) for _, inside in several))
            wrong = f"expected one file for each case, found for one: {files}; {case_ids.ONE_OF_THEM}"
            problems.append(f"{argument}: {shown(folder)}: {wrong}")
    return listed


def first_deep(folder: str) -> str | None:
    """Return the path within a folder of a volume in a subfolder; None where a glance finds none."""
    glance = islice(walk(folder, "", True, []), _GLANCE)
    return next((path for path, kind in glance if "/" in path and kind == "a volume" and split_suffix(path)[1]), None)


def is_volume(path: str | None) -> bool:
    """Return whether a path leads to one volume rather than to a folder of them, or to nothing."""
    outer = "" if path is None else split_inside(path)[0]
    return (
        is_url(outer) or os.path.isfile(outer) or (outer.rstrip("/").lower().endswith(".zarr") and os.path.isdir(outer))
    )


def walk(folder: str, argument: str, deep: bool, problems: list[str]) -> Iterator[tuple[str, str]]:
    """Yield paths within a folder and what is there, "a volume" for what may be one."""
    pending: list[tuple[str, tuple[tuple[int, int], ...]]] = [("", ())]
    while pending:
        inside, above = pending.pop()
        here = os.path.join(folder, inside) if inside else folder
        try:
            status = os.stat(here)
            if (status.st_dev, status.st_ino) in above:
                continue  # a link to a folder that it is in
            with os.scandir(here) as entries:
                listed = sorted(
                    (entry for entry in entries if not entry.name.startswith(".")), key=lambda entry: entry.name
                )
        except OSError as error:
            problems.append(f"{argument}: {shown(here)}: cannot be listed: {error.strerror}")
            continue
        above = (*above, (status.st_dev, status.st_ino))
        if any(entry.name in _OF_RUNS for entry in listed):
            listed = [entry for entry in listed if entry.name != _MATRICES]
        for entry in listed:
            path = f"{inside}/{entry.name}" if inside else entry.name
            kind = _kind(entry)
            if kind == "a folder" and deep:
                pending.append((path, above))
            else:
                yield path, kind


def _kind(entry: os.DirEntry[str]) -> str:
    try:
        if entry.is_file():
            return "a volume"
        if entry.is_dir():
            return "a volume" if entry.name.lower().endswith(".zarr") else "a folder"
    except OSError as error:  # a link to itself, or into a folder that may not be read
        return f"a link that cannot be followed: {error.strerror}"
    return "a link that leads nowhere" if entry.is_symlink() else "a device, a pipe or a socket"


def _without_companions(files: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Leave out what lies beside a volume of the same name: the voxels of an .hdr, nnU-Net's probabilities."""
    if len(files) == 1 or len({split_suffix(inside)[0] for _, inside in files}) > 1:
        return files
    files = [entry for entry in files if not entry[1].lower().endswith(".npz")] or files
    if any(inside.lower().endswith((".hdr", ".hdr.gz")) for _, inside in files):
        files = [entry for entry in files if not entry[1].lower().endswith((".img", ".img.gz"))]
    return files
