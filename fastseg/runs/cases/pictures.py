"""Cases that are the pictures of one file: COCO's JSON, whose annotations are masks."""

from __future__ import annotations

import os
import re

from fastseg.labels.names import shown
from fastseg.runs.cases import ids as case_ids
from fastseg.runs.cases.folders import CaseFolder
from fastseg.volumes import VolumeError, split_inside
from fastseg.volumes.masks import pictures_in

__all__ = ["holds_cases", "list_pictures", "match_numbers", "match_results"]

#: Ids are shorter.
_DIGITS = 20


def holds_cases(path: str | None) -> bool:
    """Tell whether a path leads to a JSON file of pictures, and not to one of them."""
    return (
        path is not None and path.lower().endswith(".json") and split_inside(path)[1] is None and os.path.isfile(path)
    )


def list_pictures(path: str, argument: str, pattern: re.Pattern[str] | None, problems: list[str]) -> CaseFolder:
    """List the pictures of a file by their ids: the names of their files without folders and suffix, or what a pattern says.

    Parameters
    ----------
    path, argument, problems
        As in `fastseg.runs.cases.folders.list_folder`.
    pattern
        Gives the id as its group ``case``, of the name of a picture's file.
    """
    listed = CaseFolder()
    try:
        pictures = pictures_in(path).pictures.values()
    except VolumeError as error:
        problems.append(f"{argument}: {error}")
        return listed
    folded: dict[str, str] = {}
    for picture in pictures:
        name = picture.file or picture.key
        match = None if pattern is None else pattern.fullmatch(name)
        if pattern is not None and match is None:
            listed.ignored.append(name)
            continue
        case = case_ids.writable(picture.key if match is None else match["case"] or "")
        other = folded.setdefault(case_ids.folded(case), name)
        if not case or other is not name:
            wanted = (
                "cases that differ in more than case and compatible characters"
                if case
                else "a name for the group 'case'"
            )
            problems.append(f"{argument}: {shown(path)}: expected {wanted}, found {shown(other)} and {shown(name)}")
            continue
        listed.files[case_ids.composed(case)] = case, f"{path}::{picture.key}"
    return listed


def match_numbers(truth: CaseFolder, reference: str, guesses: CaseFolder, prediction: str) -> None:
    """Call pictures as the other side's case of the same number, which file names fill up with zeros, if one alone has it."""
    for own, path, other in ((guesses, prediction, truth), (truth, reference, guesses)):
        if not holds_cases(path):
            continue
        theirs, ours = _numbers(other), _numbers(own)
        for number, keys in ours.items():
            found = theirs.get(number, [])
            if len(keys) == len(found) == 1 and keys != found:
                own.files[found[0]] = other.files[found[0]][0], own.files.pop(keys[0])[1]


def _numbers(listed: CaseFolder) -> dict[int, list[str]]:
    """Return the keys of the cases that are called by a number alone."""
    found: dict[int, list[str]] = {}
    for key in listed.files:
        if key.isascii() and key.isdigit() and len(key) < _DIGITS:
            found.setdefault(int(key), []).append(key)
    return found


def match_results(truth: CaseFolder, reference: str, guesses: CaseFolder, prediction: str) -> None:
    """Call the pictures of a list of results, which have ids only, as the reference does; one with no result is empty.

    Nothing is done where the prediction is no such list. What no picture of the reference has as its id stays as it is.
    """
    try:
        if not pictures_in(prediction).results:
            return
        annotated = pictures_in(reference).pictures.values() if holds_cases(reference) else ()
    except VolumeError:
        return
    number_of = {f"{reference}::{picture.key}": str(picture.id) for picture in annotated}
    found = {key: (case, f"{prediction}::{number_of.get(path, case)}") for key, (case, path) in truth.files.items()}
    taken = {path for _, path in found.values()}
    others = {key: each for key, each in guesses.files.items() if each[1] not in taken and key not in found}
    guesses.files = {**found, **others}
