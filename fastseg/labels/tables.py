"""Label tables: which name belongs to which label value, in the formats that people have."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fastseg.labels.table_text import LabelTableError, load_json, quoted, read_text, separator

__all__ = [
    "PAIR",
    "LabelTable",
    "LabelTableError",
    "Row",
    "content_lines",
    "label_value",
    "parse_regions",
    "read_label_table",
    "read_regions",
    "regions_of",
]

_INTEGER = re.compile(r"[+-]?[0-9]{1,19}")
_ITKSNAP = re.compile(r'([+-]?[0-9]+)(?:\s+[0-9]{1,3}){3}\s+[0-9.eE+-]+\s+[01]\s+[01]\s+"(.*)"')
# The seventh column, a tissue type, came with FreeSurfer 8.
_FREESURFER = re.compile(r"([+-]?[0-9]+)\s+(\S+)(?:\s+[0-9]{1,3}){4}(?:\s+[+-]?[0-9]+)?")
_TEXT = re.compile(r"([+-]?[0-9]+)(\s*[,;]\s*|\s+)(.*)")
_CVAT = re.compile(r"([^:]+):(?:\d{1,3},\d{1,3},\d{1,3})?:[^:]*:[^:]*")
#: What columns of labels and of names are called: by BIDS, and by 3D Slicer.
_INDEX, _NAME = ("index", "labelvalue", "label value", "value", "id"), ("name", "label")
PAIR = re.compile(r"([+-]?[0-9]+)(?:\s*(?:->|[,:])\s*|\s+)([+-]?[0-9]+)")

Row = tuple[str, str, str]  # where it stands ("line 3"), the label and its name, both as written


@dataclass(frozen=True)
class LabelTable:
    """Hold what a label table says.

    Attributes
    ----------
    names : dict of int to str
        Label value to name, in the order of the file.
    regions : dict of str to tuple of int
        Region name to the labels it unites (nnU-Net's region-based training); else empty.
    ignore : int or None
        The label of voxels that do not count (nnU-Net's ``ignore``), which `names` then lacks.
    format : str
        "ITK-SNAP", "FreeSurfer", "BIDS" (of any table with such columns), "nnU-Net", "CVAT", "JSON" or "text".
    """

    names: dict[int, str]
    regions: dict[str, tuple[int, ...]]
    ignore: int | None
    format: str


def read_label_table(path: str | os.PathLike[str]) -> LabelTable:
    """Read a label table, recognising its format by its content.

    Parameters
    ----------
    path : str or path-like
        An ITK-SNAP label description, a FreeSurfer colour table, a BIDS ``dseg.tsv`` (columns ``index`` and ``name``,
        tabs, commas or semicolons), 3D Slicer's CSV (``LabelValue``, ``Name``), an nnU-Net ``dataset.json``, JSON of
        ``{"1": "liver"}`` or ``{"liver": 1}``, CVAT's ``labelmap.txt``, or lines of ``index name``, ``index,name``, a
        semicolon or a tab between. In UTF-8, or UTF-16 with a byte order mark.

    Raises
    ------
    LabelTableError
        If the file is missing, not UTF-8, malformed, without a label, or gives one label two names.
    """
    name, text = read_text(path)
    if text.lstrip().startswith("{"):
        loaded = load_json(name, text)
        plain = None if "labels" in loaded else _from_plain_json(name, loaded)
        return _from_dataset_json(name, loaded) if plain is None else plain
    lines = content_lines(name, text)
    number, first = lines[0]
    if _named_columns(first) is not None:
        rows, kind = _column_rows(name, text.split("\n")[number - 1 :], number), "BIDS"
    elif _ITKSNAP.fullmatch(first):
        rows, kind = _matched_rows(name, lines, _ITKSNAP, 'IDX R G B A VIS MSH "LABEL"'), "ITK-SNAP"
    elif _CVAT.fullmatch(first):
        rows, kind = _cvat_rows(name, lines), "CVAT"
    elif _FREESURFER.fullmatch(first):
        rows, kind = _matched_rows(name, lines, _FREESURFER, "No. Name R G B A"), "FreeSurfer"
    else:
        rows, kind = iter(_without_repeated_index(list(_text_rows(name, lines)))), "text"
    return LabelTable(_collect(name, rows), {}, None, kind)


def read_regions(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read which labels each region unites.

    Parameters
    ----------
    path : str or path-like
        A JSON object ``{"name": [1, 3]}``, or an nnU-Net ``dataset.json`` with regions.

    Returns
    -------
    regions : dict
        Of a plain object what it holds, whatever that is: who takes labels checks them. Else as of `regions_of`.

    Raises
    ------
    LabelTableError
        If the file is missing, not UTF-8, no JSON object, or without a region.
    """
    name, text = read_text(path)
    if not text.lstrip().startswith("{"):
        raise LabelTableError(
            f'{name}: expected JSON such as {{"core": [1, 3]}}, found the first characters {text[:20]!r}'
        )
    loaded = load_json(name, text)
    if isinstance(loaded.get("labels"), dict):
        loaded = dict(regions_of(_from_dataset_json(name, loaded)))
    if not loaded:
        raise LabelTableError(f"{name}: expected at least one region, a name with a list of labels; found none")
    return loaded


def parse_regions(text: str, labels: Mapping[str, int] | None = None) -> dict[str, list[int]]:
    """Read regions as people type them, ``core=1,3;edema=2``; raise LabelTableError if it is something else.

    `labels` are names that may stand for labels: ``kidneys=left kidney,right kidney``.
    """
    labels = labels or {}
    regions: dict[str, list[int]] = {}
    for part in filter(None, map(str.strip, text.split(";"))):
        name, _, members = (each.strip() for each in part.rpartition("="))
        if not name or name in regions:
            wanted = "name=1,2,3;name=1,3 with each name once"
            raise LabelTableError(f"expected {wanted}, found {part!r} in {text!r}")
        written = [each.strip() for each in members.split(",")]
        regions[name] = [
            labels[each] if each in labels else label_value(repr(part), "members", each) for each in written
        ]
    return regions


def regions_of(table: LabelTable) -> dict[str, tuple[int, ...]]:
    """Return what nnU-Net scores of a table with regions: these and its single labels, without the background; else {}."""
    if not table.regions:
        return {}
    regions = {name: tuple(dict.fromkeys(members)) for name, members in table.regions.items() if set(members) != {0}}
    return regions | {name: (label,) for label, name in table.names.items() if label != 0}


def content_lines(name: str, text: str) -> list[tuple[int, str]]:
    """Return the lines that say something, with their numbers from 1; raise LabelTableError if there are none."""
    stripped = ((number, line.strip()) for number, line in enumerate(text.split("\n"), 1))
    lines = [(number, line) for number, line in stripped if line and not line.startswith("#")]
    if not lines:
        raise LabelTableError(f"{name}: expected at least one label, found only blank lines and comments")
    return lines


def label_value(name: str, where: str, text: str) -> int:
    """Return a label value; raise LabelTableError if it is no 64-bit integer."""
    text = text.strip()
    if _INTEGER.fullmatch(text) and -(2**63) <= int(text) < 2**63:
        return int(text)
    raise LabelTableError(f"{name}, {where}: expected a label that is a 64-bit integer, found {quoted(text)}")


def _collect(name: str, rows: Iterable[Row]) -> dict[int, str]:
    """Turn rows into label -> name; raise LabelTableError at an empty name or a second name of a label."""
    names: dict[int, str] = {}
    for where, written, text in rows:
        label, text = label_value(name, where, written), text.strip()
        if not text:
            raise LabelTableError(f"{name}, {where}: expected a name for the label {label}, found none")
        if names.setdefault(label, text) != text:
            raise LabelTableError(
                f"{name}, {where}: expected one name for the label {label}, "
                f"found {quoted(names[label])} and {quoted(text)}"
            )
    if not names:
        raise LabelTableError(f"{name}: expected at least one label, found none")
    return names


def _matched_rows(name: str, lines: list[tuple[int, str]], pattern: re.Pattern[str], form: str) -> Iterator[Row]:
    for number, line in lines:
        match = pattern.fullmatch(line)
        if match is None:
            raise LabelTableError(f"{name}, line {number}: expected {form}, as in the first line, found {quoted(line)}")
        yield f"line {number}", match[1], match[2]


def _text_rows(name: str, lines: list[tuple[int, str]]) -> Iterator[Row]:
    for number, line in lines:
        match = _TEXT.fullmatch(line)
        if match is None:
            raise LabelTableError(f"{name}, line {number}: expected 'index name', found {quoted(line)}")
        label, between, text = match.groups()
        mark = next((mark for mark in ",;\t" if mark in between), None)
        if mark is not None:
            (fields,) = [row for _, row in _csv_rows(name, [line], number, mark)]
            if len(fields) != 2:
                raise LabelTableError(
                    f"{name}, line {number}: expected two columns, index and name, "
                    f"found {len(fields)} in {quoted(line)}"
                )
            text = fields[1]
        yield f"line {number}", label, text


def _without_repeated_index(rows: list[Row]) -> list[Row]:
    """Drop an index that stands behind the name once more, as AAL3's table has it, unless the names need it."""
    shorter = [(where, label, re.sub(rf"\s+{re.escape(label)}$", "", text)) for where, label, text in rows]
    return shorter if len({text for _, _, text in shorter}) == len({text for _, _, text in rows}) else rows


def _columns(header: str) -> dict[str, int]:
    """Return the column names of a header line, in lower case, with their places."""
    cells = header.split(separator(header))
    return {cell.strip().strip('"').lower(): place for place, cell in enumerate(cells)}


def _named_columns(header: str) -> tuple[int, int] | None:
    """Return which columns are those of labels and of names, None where a line names no such columns."""
    columns = _columns(header)
    index = next((columns[each] for each in _INDEX if each in columns), None)
    name = next((columns[each] for each in _NAME if each in columns), None)
    return None if index is None or name is None else (index, name)


def _cvat_rows(name: str, lines: list[tuple[int, str]]) -> Iterator[Row]:
    """Read lines of ``label:colour:parts:actions``, whose labels are counted from 0."""
    for label, (number, line) in enumerate(lines):
        match = _CVAT.fullmatch(line)
        if match is None:
            raise LabelTableError(f"{name}, line {number}: expected label:r,g,b:parts:actions, found {quoted(line)}")
        yield f"line {number}", str(label), match[1]


def _from_plain_json(name: str, loaded: dict[str, Any]) -> LabelTable | None:
    """Read an object of names by label, or labels by name; None where it is neither."""
    if loaded and all(isinstance(value, str) and _INTEGER.fullmatch(key) for key, value in loaded.items()):
        rows = [(repr(key), key, value) for key, value in loaded.items()]
    elif loaded and all(type(value) is int for value in loaded.values()):
        rows = [(repr(key), str(value), key) for key, value in loaded.items()]
    else:
        return None
    return LabelTable(_collect(name, rows), {}, None, "JSON")


def _column_rows(name: str, lines: list[str], number: int) -> Iterator[Row]:
    """Read the columns of labels and of names under the header that stands on line `number`."""
    columns, found = _columns(lines[0]), _named_columns(lines[0])
    assert found is not None
    index, title = found
    for where, row in _csv_rows(name, lines[1:], number + 1, separator(lines[0])):
        if not any(cell.strip() for cell in row):
            continue
        if len(row) <= max(index, title):
            raise LabelTableError(
                f"{name}, {where}: expected {len(columns)} columns as in the header, found {len(row)}"
            )
        yield where, row[index], row[title]


def _csv_rows(name: str, lines: list[str], number: int, separator: str) -> Iterator[tuple[str, list[str]]]:
    reader = csv.reader(lines, delimiter=separator, skipinitialspace=True, strict=True)
    while True:
        where = f"line {number + reader.line_num}"  # a quoted field may hold line ends: where its row begins
        try:
            row = next(reader, None)
        except csv.Error as error:
            raise LabelTableError(f"{name}, {where}: expected fields between {separator!r}, found: {error}") from None
        if row is None:
            return
        yield where, row


def _from_dataset_json(name: str, loaded: dict[str, Any]) -> LabelTable:
    """Read the ``labels`` of an nnU-Net dataset, {name: label or labels} or, before version 2, {"label": name}."""
    labels = loaded.get("labels")
    if not isinstance(labels, dict) or not labels:
        raise LabelTableError(
            f"{name}: expected an nnU-Net dataset.json whose 'labels' are {{name: integer or list of integers}}, "
            f"found {'no labels' if not labels else quoted(labels)}"
        )
    rows: list[Row] = []
    regions: dict[str, tuple[int, ...]] = {}
    ignore: int | None = None
    for key, value in labels.items():
        where = f"labels[{key!r}]"
        if isinstance(value, str):
            rows.append((where, key, value))
        elif isinstance(value, list) and value and key != "ignore":
            regions[key] = tuple(_json_label(name, where, each) for each in value)
        elif key == "ignore":
            ignore = _json_label(name, where, value)
        else:
            rows.append((where, str(_json_label(name, where, value)), key))
    return LabelTable(_collect(name, rows) if rows or not regions else {}, regions, ignore, "nnU-Net")


def _json_label(name: str, where: str, value: object) -> int:
    if type(value) is not int:  # True is an int too
        raise LabelTableError(f"{name}, {where}: expected an integer or a list of integers, found {quoted(value)}")
    return label_value(name, where, str(value))
