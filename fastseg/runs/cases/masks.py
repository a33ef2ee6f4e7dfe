"""Folders of masks: which part of a path is the case and which the class, found by the layout or said by a pattern."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from fastseg.labels.names import shown
from fastseg.runs.cases import ids as case_ids
from fastseg.runs.cases.folders import CaseFolder, walk
from fastseg.volumes import VolumeError, split_suffix
from fastseg.volumes.masks.files import masks_in, natural

__all__ = ["MaskFolder", "has_several", "is_of_masks", "lacking", "list_masks", "one_case"]

#: TotalSegmentator's folder of the masks of a case, in which there is nothing else.
_SEGMENTATIONS = "segmentations"
_SHOWN = 20
#: Files that hold several masks each, by their names.
_OF_SEVERAL = (".dcm", ".seg.nrrd", ".h5", ".hdf5", ".he5", ".mat", ".npz", ".zarr", ".zarr.zip")
#: Subfolders that a glance looks into.
_GLANCE = 1000


class MaskFolder(NamedTuple):
    """The masks of a folder."""

    listed: CaseFolder
    """Each case by its id; its path is what people call its masks."""
    masks: dict[str, dict[str, str]]
    """By that path, the path of the file of each class."""


class _Mask(NamedTuple):
    case: str
    name: str
    inside: str
    """Its path in the folder."""
    whole: str
    """What all masks of its case are called, a path in the folder."""


def list_masks(
    folder: str,
    argument: str,
    pattern: re.Pattern[str] | None,
    asked: bool,
    problems: list[str],
    classes: Collection[str] = (),
) -> MaskFolder | None:
    """List the masks of a folder by case and class; None where each case has a file of its own.

    Parameters
    ----------
    folder, argument, problems
        As in `list_folder`.
    pattern
        With a group ``class`` besides ``case``, or None.
    asked
        Whether somebody said that there are masks; else a layout has to say so.
    classes
        Names that tell folders of classes from those of cases, where they are known.
    """
    if pattern is not None and "class" not in pattern.groupindex:
        return None
    if pattern is None and not asked and not _has_segmentations(folder):
        return None
    volumes = [
        path for path, kind in walk(folder, argument, True, problems) if kind == "a volume" and split_suffix(path)[1]
    ]
    masks = _matched(volumes, pattern) if pattern is not None else _laid_out(volumes, asked, classes)
    if masks is None:
        return None
    by_case: dict[str, dict[str, _Mask]] = {}
    for mask in masks:
        case = case_ids.writable(mask.case)
        if not case or not mask.name:
            problems.append(
                f"{argument}: {shown(os.path.join(folder, mask.inside))}: expected names for the groups 'case' and 'class' "
                "of the pattern, found none"
            )
            continue
        other = by_case.setdefault(case, {}).setdefault(mask.name, mask)
        if other is not mask:
            problems.append(
                f"{argument}: {shown(folder)}: expected one file for each case and class, found for one: "
                f"{shown(other.inside)}, {shown(mask.inside)}"
            )
    found = MaskFolder(CaseFolder(), {})
    folded: dict[str, str] = {}
    for case, of_classes in by_case.items():
        if folded.setdefault(case_ids.folded(case), case) != case:
            problems.append(
                f"{argument}: {shown(folder)}: expected cases that differ in more than case and compatible characters, "
                f"found {shown(folded[case_ids.folded(case)])} and {shown(case)}"
            )
        whole = os.path.join(folder, next(iter(of_classes.values())).whole)
        found.listed.files[case_ids.composed(case)] = case, whole
        ordered = sorted(of_classes.values(), key=lambda mask: natural(mask.name))
        found.masks[whole] = {mask.name: os.path.join(folder, mask.inside) for mask in ordered}
    return found


def _has_segmentations(folder: str) -> bool:
    """Tell whether some subfolder has a folder of masks as TotalSegmentator lays them out; a glance, at few names."""
    try:
        with os.scandir(folder) as entries:
            glance = itertools.islice((entry.path for entry in entries if entry.is_dir()), _GLANCE)
            return any(os.path.isdir(os.path.join(path, _SEGMENTATIONS)) for path in glance)
    except OSError:  # who lists it says so
        return False


def has_several(folder: str) -> bool:
    """Tell whether some subfolder holds several volumes, as that of a case's masks does; a glance, at few files."""
    glance = itertools.islice(walk(folder, "", True, []), _GLANCE)
    inside = [path.rpartition("/")[0] for path, kind in glance if kind == "a volume" and split_suffix(path)[1]]
    return any(inside.count(each) > 1 for each in {*inside} - {""})


def is_of_masks(folder: str) -> bool:
    """Tell whether a folder has the name that TotalSegmentator gives to that of the masks of a case."""
    return os.path.basename(os.path.abspath(folder)) == _SEGMENTATIONS


def one_case(folder: str, reference: str) -> MaskFolder | None:
    """Return the masks of the only case of a folder, named as that of the references is; None where there are none.

    Files that hold several masks each are cases of their own.
    """
    try:
        masks = masks_in(folder)
    except VolumeError:
        return None
    if any(path.lower().endswith(_OF_SEVERAL) for path in masks.values()):
        return None
    place = os.path.abspath(reference)
    case = os.path.basename(os.path.dirname(place) if os.path.basename(place) == _SEGMENTATIONS else place)
    case = case_ids.writable(case) or "case"
    return MaskFolder(CaseFolder({case_ids.composed(case): (case, folder)}), {folder: masks})


def _matched(volumes: Sequence[str], pattern: re.Pattern[str]) -> list[_Mask]:
    matches = [(path, match) for path in volumes if (match := pattern.fullmatch(path)) is not None]
    return [_Mask(m["case"] or "", m["class"] or "", path, _starred(path, m)) for path, m in matches]


def _starred(path: str, match: re.Match[str]) -> str:
    """Return what the masks of a case are called: the folder that tells the case, or the path with a star for the class."""
    folder = path.rpartition("/")[0]
    if match.end("case") <= len(folder) < match.start("class"):
        return folder
    return f"{path[: match.start('class')]}*{path[match.end('class') :]}" if match["class"] else path


def _laid_out(volumes: Sequence[str], asked: bool, classes: Collection[str]) -> list[_Mask] | None:
    """Return the masks of a layout that is known: case/segmentations/class; if asked case/class and class/case too."""
    parts = [path.split("/") for path in volumes]
    sure = [each for each in parts if len(each) == 3 and each[1] == _SEGMENTATIONS]
    if sure:
        return [_mask(each[0], each) for each in sure]
    if not asked:
        return None
    deep = [each for each in parts if len(each) == 2]
    if not deep:
        middles = {each[1] for each in parts if len(each) == 3}
        return [_mask(each[0], each) for each in parts if len(each) == 3] if len(middles) == 1 else None
    folders, files = {each[0] for each in deep}, {_stem(each[-1]) for each in deep}
    known = len(folders.intersection(classes)), len(files.intersection(classes))
    if known[0] > known[1] or (known[0] == known[1] and _numbered(files) and not _numbered(folders)):
        return [_Mask(_stem(each[-1]), each[0], "/".join(each), f"*/{each[-1]}") for each in deep]
    return [_mask(each[0], each) for each in deep]


def _mask(case: str, parts: Sequence[str]) -> _Mask:
    return _Mask(case, _stem(parts[-1]), "/".join(parts), "/".join(parts[:-1]))


def _stem(name: str) -> str:
    return split_suffix(name)[0]


def _numbered(names: Iterable[str]) -> bool:
    """Tell whether all names have a number, as those of cases do."""
    return all(re.search("[0-9]", name) for name in names)


def lacking(case: str, argument: str, masks: Mapping[str, str] | None, classes: Sequence[str]) -> list[str]:
    """Return the problem that a case has no file for some classes, if it has not; masks are None of other kinds of files."""
    absent = [] if masks is None else [name for name in classes if name not in masks]
    if not absent:
        return []
    names = ", ".join(map(shown, absent[:_SHOWN])) + (f", … ({len(absent)} in all)" if len(absent) > _SHOWN else "")
    return [f"{shown(case)}: {argument}: no mask of {names}"]
