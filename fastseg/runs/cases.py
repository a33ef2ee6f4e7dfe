"""Which files are a case: two folders, two files or a CSV file in, references with their predictions out."""

from __future__ import annotations

import csv
import io
import os
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from fastseg.volumes import split_inside, split_suffix

__all__ = ["Case", "Cases", "CasesError", "find_cases", "shown"]

Path = str | os.PathLike[str]

_MAX_BYTES = 256 << 20  # a table of a million cases; a volume passed by mistake is not read to its end
_CHANNEL = re.compile(r"(.+)_[0-9]{4}", re.DOTALL)
_COLUMNS = ("reference", "prediction", "case", "roi")


class Case(NamedTuple):
    """A reference and what belongs to it."""

    id: str
    """Unique; of any characters that UTF-8 can say (`shown` writes it for a terminal)."""
    reference: str
    """Path, as are the others."""
    prediction: str | None
    """None where there is none."""
    roi: str | None


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
    """

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__(problems)
        self.problems = list(problems)

    def __str__(self) -> str:
        count = len(self.problems)
        return "\n  ".join([f"the cases: {count} problem{'s' if count != 1 else ''}", *self.problems])


def find_cases(
    reference: Path | None,
    prediction: Path | None,
    *,
    pattern: str | Sequence[str] | None = None,
    pairs: Path | None = None,
    roi: Path | None = None,
    missing: Literal["error", "skip", "worst"] = "error",
) -> Cases:
    r"""Find the cases of two folders, of two files, or of a table.

    Parameters
    ----------
    reference, prediction : path or None
        Two folders, or two volumes, which are one case. None with `pairs`.
    pattern : str or sequence of str, optional
        Regular expression with a group ``case``, such as ``(?P<case>.*)/seg\.nii\.gz``, that the whole path of a file
        within its folder has to match (``/`` between folders, ``.`` matches any character); subfolders are listed too
        then. Of two, the first is for references and the second for predictions; a third is for `roi` (else: the first).
    pairs : path, optional
        A CSV file with the columns ``reference`` and ``prediction``, optionally ``case`` and ``roi``, in UTF-8; its relative
        paths are relative to its folder. An empty ``case`` is the reference's stem, an empty ``prediction`` is missing.
    roi : path, optional
        A folder of masks, of which each case has one (for two files: a file). Masks of no case are no error.
    missing
        What missing predictions and extra ones are: errors, or (both other policies) part of what is returned.

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

    With a pattern, the id is the group, and there is no rule for channels. Several files of one folder whose ids differ at
    most in case and compatible characters (NFKC) are an error. What lies beside a volume under the same name does not
    count: the .img of an .hdr, and an .npz (nnU-Net's probabilities).
    """
    if missing not in ("error", "skip", "worst"):
        raise ValueError(f"missing: expected 'error', 'skip' or 'worst', found {missing!r}")
    names = [None if path is None else os.fsdecode(path) for path in (reference, prediction, roi)]
    found = _Found()
    if pairs is not None:
        if any(given is not None for given in (reference, prediction, pattern)):
            raise CasesError(["pairs: expected either pairs or folders and a pattern, found both"])
        _read_table(os.fsdecode(pairs), found)
        patterns = _patterns(None)
    elif _is_volume(names[0]) and _is_volume(names[1]):
        if pattern is not None:
            raise CasesError(["pattern: expected two folders, found two files"])
        assert names[0] is not None
        found.cases.append(Case(_stem(names[0]), names[0], names[1], None))
        patterns = _patterns(None)
    else:
        patterns = _patterns(pattern)
        _pair_folders(names[0], names[1], patterns, found)
    if names[2] is not None and found.cases:
        _add_masks(names[2], patterns[2], pairs is None and _is_volume(names[0]), found)
    return found.finish(missing)


def shown(text: str) -> str:
    r"""Write a name for a terminal: as it is, or as Python writes it if a part of it would act there or not be seen.

    Examples
    --------
    >>> print(shown("case 1"), shown("case\t1"), sep=", ")
    case 1, 'case\t1'
    """
    return text if text and text.isprintable() and text == text.strip() else repr(text)


@dataclass
class _Found:
    """What was found so far, and what is wrong with it."""

    cases: list[Case] = field(default_factory=list)
    extra: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)
    """Problems under the policy that nothing may be missing."""

    def finish(self, missing: str) -> Cases:
        problems = list(self.problems)
        if missing == "error":
            problems += self.absent
            problems += [f"prediction: {shown(path)}: no reference belongs to it" for path in sorted(self.extra)]
        for case in self.cases:
            if case.prediction is not None and os.path.normpath(case.reference) == os.path.normpath(case.prediction):
                problems.append(f"{shown(case.id)}: {shown(case.reference)} is both reference and prediction")
        if missing == "skip" and not problems and all(case.prediction is None for case in self.cases):
            problems.append(f"prediction: none of the {len(self.cases)} cases has one; extra: {_first(self.extra)}")
        if problems:
            raise CasesError(problems)
        return Cases(tuple(sorted(self.cases, key=lambda case: case.id)), tuple(sorted(self.extra)))


@dataclass
class _Folder:
    """The files of a folder."""

    files: dict[str, tuple[str, str]] = field(default_factory=dict)
    """NFC of the id: id and path."""
    contested: set[str] = field(default_factory=set)
    """Folded ids that several files have."""
    ignored: list[str] = field(default_factory=list)


Patterns = tuple[re.Pattern[str] | None, re.Pattern[str] | None, re.Pattern[str] | None]


def _patterns(given: str | Sequence[str] | None) -> Patterns:
    if given is None:
        return None, None, None
    texts = [given] if isinstance(given, str) else list(given)
    if not 1 <= len(texts) <= 3:
        raise CasesError([f"pattern: expected one to three regular expressions, found {len(texts)}"])
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
            raise CasesError([f"pattern: expected {wanted}; found {text!r}: {reason}"])
    return compiled[0], compiled[min(1, len(compiled) - 1)], compiled[2] if len(compiled) == 3 else compiled[0]


def _pair_folders(reference: str | None, prediction: str | None, patterns: Patterns, found: _Found) -> None:
    for argument, path, other in (("reference", reference, prediction), ("prediction", prediction, reference)):
        if path is None or not os.path.exists(split_inside(path)[0]):
            where = "" if path is None else f"{shown(path)}: "
            found.problems.append(f"{argument}: {where}expected a folder or a file, found none")
        elif not os.path.isdir(path) and os.path.isdir(other or ""):
            found.problems.append(f"{argument}: {shown(path)}: expected a folder like {shown(other or '')}, found none")
    if found.problems or reference is None or prediction is None:
        return
    if os.path.samefile(reference, prediction) and patterns[0] == patterns[1]:
        wanted = "expected two folders, or a pattern for references and another for predictions"
        found.problems.append(f"prediction: {wanted}; found {shown(prediction)} twice")
        return
    truth = _list(reference, "reference", patterns[0], found.problems)
    if not truth.files and not truth.contested:
        if not found.problems:
            found.problems.append(_nothing("reference", reference, patterns[0], truth))
        return
    guesses = _list(prediction, "prediction", patterns[1], found.problems)
    if not guesses.files and not guesses.contested:
        found.absent.append(_nothing("prediction", prediction, patterns[1], guesses))
    ids = [case for case, _ in truth.files.values()]
    paths, extra = _belonging(ids, guesses, "prediction", patterns[1] is None, found.problems)
    found.cases += [Case(case, path, paths.get(case), None) for case, path in truth.files.values()]
    found.extra += [path for case, path in extra if _folded(case) not in truth.contested]
    alike = {_folded(case): path for case, path in extra}
    for case in sorted(set(ids) - paths.keys()):
        if (folded := _folded(case)) not in guesses.contested:
            hint = f" ({shown(alike[folded])} differs in case or in compatible characters)" if folded in alike else ""
            found.absent.append(f"{shown(case)}: no prediction{hint}")


def _nothing(argument: str, folder: str, pattern: re.Pattern[str] | None, listed: _Folder) -> str:
    wanted = "files with the suffix of a known format, such as .nii.gz"
    wanted += "" if pattern is None else f", whose paths match {pattern.pattern!r}"
    among = f" among {len(listed.ignored)} others: {_first(listed.ignored)}" if listed.ignored else ", it is empty"
    return f"{argument}: {shown(folder)}: expected {wanted}; found none{among}"


def _first(names: list[str]) -> str:
    return ", ".join([*map(shown, sorted(names)[:5]), *["…"][: len(names) > 5]]) or "none"


def _add_masks(roi: str, pattern: re.Pattern[str] | None, one_case: bool, found: _Found) -> None:
    if any(case.roi is not None for case in found.cases):
        found.problems.append("roi: expected either a folder of masks or a column of pairs, found both")
    elif one_case and _is_volume(roi):
        found.cases = [case._replace(roi=roi) for case in found.cases]
    elif not os.path.isdir(roi):
        found.problems.append(
            f"roi: {shown(roi)}: expected a folder of masks, found {'a file' if os.path.exists(roi) else 'none'}"
        )
    else:
        listed = _list(roi, "roi", pattern, found.problems)
        paths, _ = _belonging([case.id for case in found.cases], listed, "roi", pattern is None, found.problems)
        for case in found.cases:
            if case.id not in paths and _folded(case.id) not in listed.contested:
                found.problems.append(f"{shown(case.id)}: no mask in {shown(roi)}")
        found.cases = [case._replace(roi=paths.get(case.id)) for case in found.cases]


def _list(folder: str, argument: str, pattern: re.Pattern[str] | None, problems: list[str]) -> _Folder:
    """List the volumes of a folder by their ids."""
    listed = _Folder()
    by_id: dict[str, list[tuple[str, str]]] = {}
    for inside, kind in _walk(folder, argument, pattern is not None, problems):
        stem, suffix = split_suffix(inside)
        match = None if pattern is None else pattern.fullmatch(inside)
        if not suffix or (pattern is not None and match is None):
            lost = not suffix and pattern is not None and kind.startswith("a link")  # perhaps to a folder of cases
            wrong = f"expected a file or a folder, found {kind}" if lost else ""
            listed.ignored.append(inside)
        else:
            case = _printable(stem if match is None else match["case"] or "")
            wrong = "" if case else "expected a name for the group 'case' of the pattern, found none"
            wrong = wrong if kind == "a volume" else f"expected a file, found {kind}"
            if case:
                by_id.setdefault(_folded(case), []).append((case, inside))
        if wrong:
            problems.append(f"{argument}: {shown(os.path.join(folder, inside))}: {wrong}")
    for folded, several in by_id.items():
        several = _without_companions(several)
        if len(several) == 1:
            case, inside = several[0]
            listed.files[_composed(case)] = (case, os.path.join(folder, inside))
        else:
            listed.contested |= {folded, _before_channel(folded) or folded}
            files = ", ".join(sorted(shown(inside) for _, inside in several))
            problems.append(f"{argument}: {shown(folder)}: expected one file for each case, found for one: {files}")
    return listed


def _walk(folder: str, argument: str, deep: bool, problems: list[str]) -> Iterator[tuple[str, str]]:
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


def _belonging(
    ids: Sequence[str], folder: _Folder, argument: str, channels: bool, problems: list[str]
) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """Return the path of each id that has a file, and id and path of the files that no id belongs to."""
    rest = dict(folder.files)
    found = {case: rest.pop(key)[1] for case in ids if (key := _composed(case)) in rest}
    if not channels:
        return found, list(rest.values())
    wanted = {_composed(case): case for case in ids if case not in found}
    numbered: dict[str, list[str]] = {}
    for key in rest:
        if (stem := _before_channel(key)) in wanted:
            numbered.setdefault(wanted[stem], []).append(key)
    for case, keys in numbered.items():
        paths = [rest.pop(key)[1] for key in keys]
        if len(paths) == 1:
            found[case] = paths[0]
        else:
            folder.contested.add(_folded(case))
            problems.append(f"{argument}: expected one file for {shown(case)}, found {', '.join(map(shown, paths))}")
    return found, list(rest.values())


def _before_channel(case: str) -> str | None:
    """Return what stands before nnU-Net's number of a channel, None where there is no such number."""
    match = _CHANNEL.fullmatch(case)
    return None if match is None else match[1]


def _without_companions(files: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Leave out what lies beside a volume of the same name: the voxels of an .hdr, nnU-Net's probabilities."""
    if len(files) == 1 or len({split_suffix(inside)[0] for _, inside in files}) > 1:
        return files
    files = [entry for entry in files if not entry[1].lower().endswith(".npz")] or files
    if any(inside.lower().endswith((".hdr", ".hdr.gz")) for _, inside in files):
        files = [entry for entry in files if not entry[1].lower().endswith((".img", ".img.gz"))]
    return files


def _composed(case: str) -> str:
    """Return what is equal of ids that differ in how their characters are composed, as macOS and Linux write them."""
    return unicodedata.normalize("NFC", case)


def _folded(case: str) -> str:
    """Return what is equal of ids that a person, or another file system, may take for the same."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", case).casefold())


def _printable(case: str) -> str:
    """Write the bytes of a name that are not UTF-8 so that every file and terminal can take it."""
    return case.encode("utf-8", "backslashreplace").decode("utf-8")


def _is_volume(path: str | None) -> bool:
    outer = "" if path is None else split_inside(path)[0]
    return os.path.isfile(outer) or (outer.rstrip("/").lower().endswith(".zarr") and os.path.isdir(outer))


def _stem(path: str) -> str:
    return _printable(split_suffix(os.path.basename(os.path.normpath(split_inside(path)[0])))[0])


def _read_table(path: str, found: _Found) -> None:
    """Read the cases of a CSV file."""
    name, base = shown(path), os.path.dirname(path)
    first_lines: dict[str, int] = {}
    rows = _rows(path, found.problems)
    line, header = next(rows, (1, []))
    columns = [cell.strip() for cell in header]
    if not {"reference", "prediction"} <= set(columns) <= set(_COLUMNS) or len(set(columns)) < len(columns):
        if not found.problems:
            wanted = "the columns reference and prediction, and none but case and roi besides"
            found.problems.append(f"pairs: {name}, line {line}: expected {wanted}; found {columns}")
        return
    for line, row in rows:
        where = f"pairs: {name}, line {line}"
        if len(row) != len(columns):
            found.problems.append(f"{where}: expected {len(columns)} columns as in the header, found {len(row)}")
            continue
        cells = dict(zip(columns, row, strict=True))
        paths = {key: cells[key] and os.path.join(base, cells[key]) for key in columns if key != "case"}
        for key, given in paths.items():
            outer = split_inside(given)[0]
            if os.path.exists(outer):
                continue
            if key == "prediction" and not os.path.lexists(outer):
                found.absent.append(f"{where}: no prediction{given and f': {shown(given)}: no such file'}")
            else:
                reason = "a link that leads nowhere" if os.path.lexists(outer) else "no such file"
                found.problems.append(f"{where}: {key}: {shown(given)}: {reason}")
            paths[key] = ""
        case = _printable(cells.get("case") or _stem(cells["reference"]))
        if cells["reference"] and first_lines.setdefault(_folded(case), line) != line:
            hint = "" if "case" in columns else " (a column 'case' would tell them apart)"
            before = first_lines[_folded(case)]
            found.problems.append(f"{where}: expected each case once, found {shown(case)} on line {before} too{hint}")
        found.cases.append(Case(case, paths["reference"], paths["prediction"] or None, paths.get("roi")))
    if not found.cases and not found.problems:
        found.problems.append(f"pairs: {name}: expected at least one case below the header, found none")


def _rows(path: str, problems: list[str]) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows of a CSV file that are not blank, each with the number of its first line."""
    line = 1
    try:
        with open(path, "rb") as file:
            content = file.read(_MAX_BYTES + 1)
        if len(content) > _MAX_BYTES:
            problems.append(f"pairs: {shown(path)}: expected at most {_MAX_BYTES >> 20} MiB, found a larger file")
            return
        reader = csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True)
        for row in reader:
            if row:
                yield line, row
            line = reader.line_num + 1
    except UnicodeDecodeError as error:
        where = f"line {content.count(bytes([10]), 0, error.start) + 1}"
        problems.append(
            f"pairs: {shown(path)}, {where}: expected UTF-8, found the byte 0x{error.object[error.start]:02x}"
        )
    except csv.Error as error:
        problems.append(f"pairs: {shown(path)}, line {line}: expected fields between commas, found: {error}")
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the path
        problems.append(f"pairs: {shown(path)}: cannot be read: {getattr(error, 'strerror', None) or error}")
