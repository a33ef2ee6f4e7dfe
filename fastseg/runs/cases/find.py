"""Which files are a case: paired by their ids, out of two folders, two files or a table; and what is wrong with them."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from fastseg.labels.names import shown
from fastseg.runs.cases import ids as case_ids
from fastseg.runs.cases.folders import CaseFolder, first_deep, is_volume, list_folder
from fastseg.runs.cases.masks import MaskFolder, has_several, is_of_masks, lacking, list_masks, one_case
from fastseg.runs.cases.pictures import holds_cases, list_pictures, match_numbers, match_results
from fastseg.runs.cases.tables import read_pairs
from fastseg.volumes import is_url, named, split_inside, split_suffix
from fastseg.volumes.masks.files import natural

__all__ = ["Case", "Cases", "CasesError", "find_cases", "mask_classes"]

Path = str | os.PathLike[str]


class Case(NamedTuple):
    """A reference and what belongs to it."""

    id: str
    """Unique; of any characters that UTF-8 can say (`shown` writes it for a terminal)."""
    reference: str
    """Path, as are the others."""
    prediction: str | None
    """None where there is none."""
    roi: str | None
    true_masks: Mapping[str, str] | None = None
    """Where each class has a file of its own: their paths by class, and `reference` is what they are called together."""
    pred_masks: Mapping[str, str] | None = None


class Cases(NamedTuple):
    """The cases of a run."""

    cases: tuple[Case, ...]
    """Sorted by id."""
    extra: tuple[str, ...]
    """Paths of predictions that no reference belongs to, sorted; only where `missing` lets them pass."""


class CasesError(ValueError):
    """Files that cannot be paired.

    Attributes
    ----------
    problems : list of str
        Everything that is wrong, a line each, fit for a terminal whatever the files' names.
    hint : str
        What may help; empty where nothing does.
    what : str
        What they are problems of.
    """

    def __init__(self, problems: Sequence[str], hint: str = "", what: str = "the cases") -> None:
        super().__init__(problems, hint, what)
        self.problems, self.hint, self.what = list(problems), hint, what

    def __str__(self) -> str:
        count = len(self.problems)
        lines = [f"{self.what}: {count} problem{'s' if count != 1 else ''}", *self.problems]
        return "\n  ".join([*lines, f"({self.hint})"] if self.hint else lines)


def find_cases(
    reference: Path | None,
    prediction: Path | None,
    *,
    pattern: str | Sequence[str] | None = None,
    pairs: Path | None = None,
    roi: Path | None = None,
    missing: Literal["error", "skip", "worst"] = "error",
    masks: bool = False,
    missing_mask: Literal["error", "empty", "skip"] = "error",
    classes: Sequence[str] = (),
) -> Cases:
    r"""Find the cases of two folders, of two files, or of a table.

    Parameters
    ----------
    reference, prediction : path or None
        Two folders, or two volumes, which are one case. None with `pairs`.
    pattern : str or sequence of str, optional
        Regular expression with a group ``case``, such as ``(?P<case>.*)/seg\.nii\.gz``, that the whole path of a file
        within its folder has to match (``/`` between folders, ``.`` matches any character); subfolders are listed too
        then. With a group ``class`` besides, each class of a case has a file of its own. Of two, the first is for
        references and the second for predictions; a third is for `roi` (else: the first).
    pairs : path, optional
        A CSV file with the columns ``reference`` and ``prediction``, optionally ``case`` and ``roi``, in UTF-8; its relative
        paths are relative to its folder. An empty ``case`` is the reference's stem, an empty ``prediction`` is missing; an
        empty ``roi`` is an error, as is a mask that is missing in a folder of them.
    roi : path, optional
        A folder of masks, of which each case has one (for two files: a file). Masks of no case are no error.
    missing
        What missing predictions and extra ones are: errors, or (both other policies) part of what is returned.
    masks
        Whether each class of a case has a file of its own, in folders whose layout does not say so by itself.
    missing_mask
        Under "error", a class that a case has no file of is a problem.
    classes
        Those that are scored; none: all that there are.

    Returns
    -------
    cases : Cases

    Raises
    ------
    CasesError
        If files are missing, several are of one case, links are broken, or there is no case: it lists all of that.

    Notes
    -----
    Of a folder, files (and folders that end in .zarr) with the suffix of a known format are listed, links followed. Hidden
    ones, which begin with a dot, and others are ignored. Without a pattern:

    - The id of a reference is its name without the suffix. Bytes in it that are not UTF-8 are written ``\udcXX``.
    - A prediction (or mask) belongs to the reference of the same id, which may be composed otherwise (NFC, NFD).
    - One that belongs to none, and whose name ends in ``_`` and four digits (nnU-Net's number of a channel), belongs to
      the reference with the id before that, if nothing else does; two that would are an error. References keep theirs.

    Masks are found by themselves in ``case/segmentations/class.nii.gz``, as TotalSegmentator writes them. With `masks` they
    are found in ``case/class.nii.gz`` too, and in ``class/case.nii.gz`` where `classes` are names of folders, or all names of
    files have a number and not all of folders; two folders of nothing but files are one case. Where one of the two folders is
    so, the other may have one file for each case.

    Of COCO's JSON on a side, a case is a picture, by the name of its file. A list of results beside annotations belongs to
    them by the pictures' ids; one that it says nothing of has an empty prediction.

    With a pattern, the id is the group, and there is no rule for channels. Several files of one folder whose ids differ at
    most in case and compatible characters (NFKC) are an error. What lies beside a volume under the same name does not
    count: the .img of an .hdr, and an .npz (nnU-Net's probabilities).
    """
    if missing not in ("error", "skip", "worst"):
        raise ValueError(f"missing: expected 'error', 'skip' or 'worst', found {missing!r}")
    names = [None if path is None else named(os.fsdecode(path)) for path in (reference, prediction, roi)]
    found = _Found()
    if pairs is not None:
        if any(given is not None for given in (reference, prediction, pattern)):
            raise ValueError("pairs: expected either pairs or two folders, perhaps with a pattern; found both")
        found.cases += [Case(*pair) for pair in read_pairs(os.fsdecode(pairs), found.problems, found.absent)]
        patterns = _patterns(None)
    elif is_volume(names[0]) and is_volume(names[1]) and not (holds_cases(names[0]) and holds_cases(names[1])):
        if pattern is not None:
            raise ValueError("pattern: expected two folders, found two files")
        assert names[0] is not None
        found.cases.append(Case(case_ids.of_path(names[0]), names[0], names[1], None))
        patterns = _patterns(None)
    else:
        patterns = _patterns(pattern)
        _pair_folders(names[0], names[1], patterns, masks, classes, found)
        if found.masks and missing_mask == "error":
            known = tuple(classes) or mask_classes(found.cases)
            for case in sorted(found.cases, key=lambda case: case.id):
                found.lacking += lacking(case.id, "reference", case.true_masks, known)
                found.lacking += lacking(case.id, "prediction", case.pred_masks, known)
    if names[2] is not None and found.cases:
        _add_masks(names[2], patterns[2], pairs is None and is_volume(names[0]), found)
    return found.finish(missing)


def mask_classes(cases: Sequence[Case]) -> tuple[str, ...]:
    """Return the classes that have files of their own in some case, in the order in which people number them."""
    sides = [side for case in cases for side in (case.true_masks, case.pred_masks) if side is not None]
    return tuple(sorted({name for side in sides for name in side}, key=natural))


#: What may help where references and predictions do not pair.
_UNPAIRED = "missing='skip', --missing skip, leaves such files out; a pattern, --pattern, says how names are paired"


#: What may help where masks are missing.
_NO_MASK = "missing_mask='empty', --missing-mask empty, takes missing masks for empty ones; 'skip' leaves them out"


@dataclass
class _Found:
    """What was found so far, and what is wrong with it."""

    cases: list[Case] = field(default_factory=list)
    extra: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)
    """Problems under the policy that nothing may be missing."""
    masks: list[MaskFolder] = field(default_factory=list)
    """The folders of masks."""
    lacking: list[str] = field(default_factory=list)
    """Problems under the policy that no mask may be missing."""
    hints: dict[str, str] = field(default_factory=dict)
    """What may be the matter with an extra prediction, by its path."""

    def finish(self, missing: str) -> Cases:
        problems = [*self.problems, *self.lacking]
        if missing == "error":
            problems += self.absent
            wrong = "no reference belongs to it"
            problems += [f"prediction: {shown(path)}: {wrong}{self.hints.get(path, '')}" for path in sorted(self.extra)]
        if missing == "skip" and not problems and all(case.prediction is None for case in self.cases):
            problems.append(f"prediction: none of the {len(self.cases)} cases has one; extra: {_first(self.extra)}")
        if problems:
            unpaired = missing == "error" and bool(self.absent or self.extra)
            hints = [*[_UNPAIRED][:unpaired], *[_NO_MASK][: bool(self.lacking)]]
            raise CasesError(problems, "; ".join(hints))
        return Cases(tuple(sorted(self.cases, key=lambda case: case.id)), tuple(sorted(self.extra)))


Patterns = tuple[re.Pattern[str] | None, re.Pattern[str] | None, re.Pattern[str] | None]


def _patterns(given: str | Sequence[str] | None) -> Patterns:
    if given is None:
        return None, None, None
    texts = [given] if isinstance(given, str) else list(given)
    if not 1 <= len(texts) <= 3:
        raise ValueError(f"pattern: expected one to three regular expressions, found {len(texts)}")
    compiled = []
    for text in texts:
        if not isinstance(text, str):
            raise TypeError(f"pattern: expected one to three regular expressions as str, found {text!r}")
        try:
            compiled.append(re.compile(text, re.DOTALL))
            reason = "" if "case" in compiled[-1].groupindex else "there is no such group"
        except (re.error, RecursionError, OverflowError) as error:
            reason = str(error)
        if reason:
            wanted = r"a regular expression with a group 'case', such as (?P<case>.*)/seg\.nii\.gz"
            raise ValueError(f"pattern: expected {wanted}; found {text!r}: {reason}")
    return compiled[0], compiled[min(1, len(compiled) - 1)], compiled[2] if len(compiled) == 3 else compiled[0]


def _pair_folders(
    reference: str | None,
    prediction: str | None,
    patterns: Patterns,
    masks: bool,
    classes: Sequence[str],
    found: _Found,
) -> None:
    for argument, path, other in (("reference", reference, prediction), ("prediction", prediction, reference)):
        if path is None:
            found.problems.append(f"{argument}: expected a folder or a file, found none")
        elif is_url(path):
            found.problems.append(f"{argument}: {path}: expected a folder or a file, as the other is none, found a URL")
        elif not os.path.exists(split_inside(path)[0]):
            found.problems.append(f"{argument}: {shown(path)}: there is no such folder or file")
        elif not (os.path.isdir(path) or holds_cases(path)) and os.path.isdir(other or ""):
            found.problems.append(
                f"{argument}: {shown(path)}: expected a folder, as {shown(other or '')} is one; found a file"
            )
    if found.problems or reference is None or prediction is None:
        return
    sides = _mask_folders(reference, prediction, patterns, masks, classes, found)
    truth = sides[0].listed if sides[0] else _listed(reference, "reference", patterns[0], found.problems)
    if not truth.files and not truth.contested:
        if not found.problems:
            found.problems.append(_nothing("reference", reference, patterns[0], truth))
        return
    guesses = sides[1].listed if sides[1] else _listed(prediction, "prediction", patterns[1], found.problems)
    match_numbers(truth, reference, guesses, prediction)
    if holds_cases(prediction):
        match_results(truth, reference, guesses, prediction)
    none = not guesses.files and not guesses.contested
    if none:
        found.absent.append(_nothing("prediction", prediction, patterns[1], guesses))
    references = dict(truth.files.values())
    ids = list(references)
    paths, extra = _belonging(ids, guesses, "prediction", patterns[1] is None, found.problems)
    files = [side.masks if side else {} for side in sides]
    found.cases += [
        Case(case, path, paths.get(case), None, files[0].get(path), files[1].get(paths.get(case, "")))
        for case, path in references.items()
    ]
    found.extra += [path for case, path in extra if case_ids.folded(case) not in truth.contested]
    alike = {case_ids.folded(case): path for case, path in extra}
    numbered = {case_ids.before_channel(case): path for case, path in references.items()}
    for case in [] if none else sorted(set(ids) - paths.keys()):
        if (folded := case_ids.folded(case)) not in guesses.contested:
            hint = f" ({shown(alike[folded])} differs in case or in compatible characters)" if folded in alike else ""
            other = numbered.get(case) or references.get(case_ids.before_channel(case) or "")
            hint = hint or _two_files(other, references[case], "references")
            found.absent.append(f"{shown(case)}: no prediction{hint}")
    for case, path in extra:
        found.hints[path] = _two_files(paths.get(case_ids.before_channel(case) or ""), path, "predictions")


def _mask_folders(
    reference: str, prediction: str, patterns: Patterns, masks: bool, classes: Sequence[str], found: _Found
) -> tuple[MaskFolder | None, MaskFolder | None]:
    """Return what the two folders have of masks; where one has some, the other may have them in any layout."""
    listed: list[MaskFolder | None] = [None, None]
    masks = masks or is_of_masks(reference)
    both = (("reference", reference, patterns[0]), ("prediction", prediction, patterns[1]))
    unsaid = all(pattern is None for _, _, pattern in both)
    for asked in (False, True) if unsaid else (masks,):
        if asked and not (masks or any(listed)):
            break
        for side, (argument, folder, pattern) in enumerate(both):
            if listed[side] is None and not holds_cases(folder):
                listed[side] = list_masks(folder, argument, pattern, asked, found.problems, classes)
    if masks and unsaid and not any(listed):
        listed = [one_case(folder, reference) for _, folder, _ in both]
        listed = listed if all(listed) else [None, None]
    found.masks += [side for side in listed if side is not None]
    return listed[0], listed[1]


def _listed(path: str, argument: str, pattern: re.Pattern[str] | None, problems: list[str]) -> CaseFolder:
    listing = list_pictures if holds_cases(path) else list_folder
    return listing(path, argument, pattern, problems)


def _two_files(one: str | None, other: str, argument: str) -> str:
    """Return a hint to two files of one folder that may be of one case."""
    return "" if one is None else f": {shown(one)} and {shown(other)} are both {argument}; {case_ids.ONE_OF_THEM}"


def _nothing(argument: str, folder: str, pattern: re.Pattern[str] | None, listed: CaseFolder) -> str:
    wanted = "files with the suffix of a known format, such as .nii.gz"
    wanted += "" if pattern is None else f", whose paths match {pattern.pattern!r}"
    among = f" among {len(listed.ignored)} others: {_first(listed.ignored)}" if listed.ignored else ", it is empty"
    deep = first_deep(folder) if pattern is None else None
    if deep is not None:
        fitting = rf"'(?P<case>.+){re.escape(split_suffix(deep)[1])}'"
        among += f"; a pattern (--pattern) finds those in subfolders, such as {fitting} for {shown(deep)}"
        if has_several(folder):
            among += "; masks=True (--masks) says that each class of a case has a file of its own"
    return f"{argument}: {shown(folder)}: expected {wanted}; found none{among}"


def _first(names: list[str]) -> str:
    return ", ".join([*map(shown, sorted(names)[:5]), *["…"][: len(names) > 5]]) or "none"


def _add_masks(roi: str, pattern: re.Pattern[str] | None, one_case: bool, found: _Found) -> None:
    if any(case.roi is not None for case in found.cases):
        found.problems.append("roi: expected either a folder of masks or a column of pairs, found both")
    elif one_case and is_volume(roi):
        found.cases = [case._replace(roi=roi) for case in found.cases]
    elif not os.path.isdir(roi):
        found.problems.append(
            f"roi: {shown(roi)}: expected a folder of masks, found {'a file' if os.path.exists(roi) else 'none'}"
        )
    else:
        listed = list_folder(roi, "roi", pattern, found.problems)
        paths, _ = _belonging([case.id for case in found.cases], listed, "roi", pattern is None, found.problems)
        for case in found.cases:
            if case.id not in paths and case_ids.folded(case.id) not in listed.contested:
                found.problems.append(f"{shown(case.id)}: no mask in {shown(roi)}")
        found.cases = [case._replace(roi=paths.get(case.id)) for case in found.cases]


def _belonging(
    ids: Sequence[str], folder: CaseFolder, argument: str, channels: bool, problems: list[str]
) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """Return the path of each id that has a file, and id and path of the files that no id belongs to."""
    rest = dict(folder.files)
    found = {case: rest.pop(key)[1] for case in ids if (key := case_ids.composed(case)) in rest}
    if not channels:
        return found, list(rest.values())
    wanted = {case_ids.composed(case): case for case in ids if case not in found}
    numbered: dict[str, list[str]] = {}
    for key in rest:
        if (stem := case_ids.before_channel(key)) in wanted:
            numbered.setdefault(wanted[stem], []).append(key)
    for case, keys in numbered.items():
        paths = [rest.pop(key)[1] for key in keys]
        if len(paths) == 1:
            found[case] = paths[0]
        else:
            folder.contested.add(case_ids.folded(case))
            files = ", ".join(map(shown, paths))
            problems.append(f"{argument}: expected one file for {shown(case)}, found {files}; {case_ids.ONE_OF_THEM}")
    return found, list(rest.values())
