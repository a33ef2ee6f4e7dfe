"""The CSV file of pairs: whose columns say which reference, prediction, id and mask belong together."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Iterator

from fastseg.labels.names import shown
from fastseg.labels.table_text import decoded, separator
from fastseg.runs.cases import ids as case_ids
from fastseg.volumes import is_url, named, split_inside

__all__ = ["read_pairs"]

_MAX_BYTES = 256 << 20  # a table of a million cases; a volume passed by mistake is not read to its end
_COLUMNS = ("reference", "prediction", "case", "roi")

Pair = tuple[str, str, str | None, str | None]


def read_pairs(path: str, problems: list[str], absent: list[str]) -> list[Pair]:
    """Read the cases of a table: cells between commas, semicolons or tabs, in UTF-8 or UTF-16.

    Parameters
    ----------
    path : str
        Of the file; relative paths in it are relative to its folder. URLs stay as they are: whether there is anything is
        seen when they are opened.
    problems : list of str
        What is wrong is appended.
    absent : list of str
        Which predictions are missing is appended.

    Returns
    -------
    pairs : list of tuple
        Id, reference, prediction (None: missing) and mask (None: no such column) of each, where nothing is wrong.
    """
    found: list[Pair] = []
    name, base = shown(path), os.path.dirname(path)
    first_lines: dict[str, int] = {}
    rows = _rows(path, problems)
    line, header = next(rows, (1, []))
    columns = [cell.strip() for cell in header]
    if not {"reference", "prediction"} <= set(columns) <= set(_COLUMNS) or len(set(columns)) < len(columns):
        if not problems:
            wanted = "the columns reference and prediction, and none but case and roi besides"
            problems.append(f"pairs: {name}, line {line}: expected {wanted}; found {columns}")
        return found
    for line, row in rows:
        where = f"pairs: {name}, line {line}"
        if len(row) != len(columns):
            problems.append(f"{where}: expected {len(columns)} columns as in the header, found {len(row)}")
            continue
        cells = dict(zip(columns, row, strict=True))
        paths = {key: _place(base, cells[key]) for key in columns if key != "case"}
        for key, given in paths.items():
            outer = split_inside(given)[0]
            if is_url(outer) or os.path.exists(outer):
                continue
            if key == "prediction" and not os.path.lexists(outer):
                absent.append(f"{where}: no prediction{given and f': {shown(given)}: no such file'}")
            else:
                reason = "a link that leads nowhere" if os.path.lexists(outer) else "no such file"
                wrong = f"{shown(given)}: {reason}" if given else "expected a path, found an empty cell"
                problems.append(f"{where}: {key}: {wrong}")
            paths[key] = ""
        case = case_ids.writable(cells.get("case") or case_ids.of_path(cells["reference"]))
        if cells["reference"] and first_lines.setdefault(case_ids.folded(case), line) != line:
            hint = "" if "case" in columns else " (a column 'case' would tell them apart)"
            before = first_lines[case_ids.folded(case)]
            problems.append(f"{where}: expected each case once, found {shown(case)} on line {before} too{hint}")
        found.append((case, paths["reference"], paths["prediction"] or None, paths.get("roi")))
    if not found and not problems:
        problems.append(f"pairs: {name}: expected at least one case below the header, found none")
    return found


def _place(base: str, cell: str) -> str:
    return named(cell) if is_url(cell) else cell and os.path.join(base, cell)


def _rows(path: str, problems: list[str]) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows of a CSV file that are not blank, each with the number of its first line."""
    line, mark = 1, ","
    try:
        with open(path, "rb") as file:
            content = file.read(_MAX_BYTES + 1)
        if len(content) > _MAX_BYTES:
            problems.append(f"pairs: {shown(path)}: expected at most {_MAX_BYTES >> 20} MiB, found a larger file")
            return
        text = decoded(content)
        said = re.match(r"sep=([,;\t])\r?\n", text)  # Excel's own line, above the header
        mark = said[1] if said else separator(text.strip().split("\n", 1)[0], ("reference", "prediction"))
        reader = csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=mark)
        if said:
            next(reader)
            line = 2
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
        between = {",": "commas", ";": "semicolons", "\t": "tabs"}[mark]
        problems.append(f"pairs: {shown(path)}, line {line}: expected fields between {between}, found: {error}")
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the path
        problems.append(f"pairs: {shown(path)}: cannot be read: {getattr(error, 'strerror', None) or error}")
