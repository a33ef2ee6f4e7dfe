"""What stands for which label: mappings of codes, and labels matched by name."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Mapping
from typing import Any

from fastseg.arrays.arguments import integers
from fastseg.labels.names import MOVED
from fastseg.labels.table_text import LabelTableError, errors_name, load_json, quoted, read_text
from fastseg.labels.tables import PAIR, LabelTable, Row, content_lines, label_value

__all__ = ["choose_mapping", "match_names", "parse_label_mapping", "read_label_mapping", "read_mapping"]


def read_mapping(given: Any) -> dict[int, int]:
    """Return what `map_prediction` says: a dict, a file of pairs or text such as ``255=1,7=3``; nothing where it is None.

    Raises
    ------
    TypeError, ValueError
        If it is none of these; LabelTableError, a kind of ValueError, if a file or text cannot be read.
    """
    if given is None:
        return {}
    if isinstance(given, str | os.PathLike):
        typed = isinstance(given, str) and "=" in given and not os.path.exists(given)
        with errors_name("map_prediction"):
            return parse_label_mapping(os.fsdecode(given)) if typed else read_label_mapping(given)
    if not isinstance(given, Mapping):
        raise TypeError(f"map_prediction: expected a mapping of labels to labels or a path, found {given!r}")
    old, new = (integers(list(values), "map_prediction").tolist() for values in (given, given.values()))
    return dict(zip(old, new, strict=True))


def match_names(reference: Mapping[int, str], prediction: Mapping[int, str]) -> dict[int, int]:
    """Return the mapping of the prediction's codes to the reference's codes of the same name.

    Codes of a name that the reference lacks move to numbers that no file holds, and so does a code without a name whose number
    the reference has for a name that the prediction has elsewhere: unlike regions are never taken for one, also where a file
    has labels that no table names. Equal names are one class. Code 0 is background, whatever its name.

    Examples
    --------
    >>> match_names({1: "liver", 2: "spleen"}, {1: "spleen", 3: "kidney"})
    {1: 2, 3: 9000000000000000001, 2: 9000000000000000002}
    """
    codes = {name: code for code, name in reference.items()}
    free = (code for code in itertools.count(MOVED) if code not in reference and code not in prediction)
    mapping = {}
    for code, name in prediction.items():
        if name not in codes and code != 0:
            codes[name] = next(free)
        if name in codes:
            mapping[code] = codes[name]
    elsewhere = set(prediction.values())
    moved = [code for code, name in reference.items() if code not in prediction and name in elsewhere and code != 0]
    return mapping | {code: next(free) for code in moved}


def choose_mapping(
    given: Any, theirs: LabelTable | None, names: dict[int, str], declared: tuple[int, ...] | None
) -> tuple[dict[int, int], dict[int, str]]:
    """Return which labels of the prediction stand for others, and the names of all labels."""
    if given is not None and theirs is not None:
        raise ValueError("map_prediction: expected either map_prediction or prediction_labels, found both")
    mapping = read_mapping(given)
    if theirs is not None:
        if not names:
            raise ValueError("prediction_labels: expected names of the reference's labels too (labels), found none")
        # A declared label without a name is taken, too: no code of the prediction may come to stand for it.
        taken = {label: f"\0{label}" for label in declared or ()}
        mapping = match_names({**taken, **names}, theirs.names)
        names = {**{mapping.get(code, code): name for code, name in theirs.names.items()}, **names}
    return {old: new for old, new in mapping.items() if old != new}, names


def read_label_mapping(path: str | os.PathLike[str]) -> dict[int, int]:
    """Read which label values to replace by which.

    Parameters
    ----------
    path : str or path-like
        Lines of ``from to``, with white space, a comma, ``:`` or ``->`` between and comments after ``#``, or a JSON
        object ``{"from": to}``.

    Raises
    ------
    LabelTableError
        If the file is missing, not UTF-8, malformed, without an entry, or gives one label two targets.
    """
    name, text = read_text(path)
    mapping: dict[int, int] = {}
    for where, old, new in _mapping_rows(name, text):
        source, target = label_value(name, where, old), label_value(name, where, new)
        if mapping.setdefault(source, target) != target:
            raise LabelTableError(
                f"{name}, {where}: expected one target for {source}, found {mapping[source]} and {target}"
            )
    if not mapping:
        raise LabelTableError(f"{name}: expected at least one label to replace, found none")
    return mapping


def parse_label_mapping(text: str) -> dict[int, int]:
    """Read a mapping as people type it, ``255=1,7=3``; raise LabelTableError if it is something else."""
    mapping: dict[int, int] = {}
    for part in filter(None, map(str.strip, text.split(","))):
        old, _, new = part.partition("=")
        source, target = (label_value(repr(part), "pairs", each) for each in (old, new))
        if mapping.setdefault(source, target) != target:
            raise LabelTableError(f"expected one target for {source}, found {mapping[source]} and {target} in {text!r}")
    return mapping


def _mapping_rows(name: str, text: str) -> Iterator[Row]:
    if text.lstrip().startswith("{"):
        for old, new in load_json(name, text).items():
            if type(new) is not int:
                raise LabelTableError(f"{name}, entry {old!r}: expected an integer, found {quoted(new)}")
            yield f"entry {old!r}", old, str(new)
        return
    for number, line in content_lines(name, text):
        match = PAIR.fullmatch(line.partition("#")[0].strip())
        if match is None:
            raise LabelTableError(f"{name}, line {number}: expected two integers, 'from to', found {quoted(line)}")
        yield f"line {number}", match[1], match[2]
