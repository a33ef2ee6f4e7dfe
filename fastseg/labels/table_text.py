"""The text of a small file that people wrote: read and decoded, or an error that says where it is wrong."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from fastseg.labels.names import shown

__all__ = ["LabelTableError", "decoded", "errors_name", "load_json", "quoted", "read_text", "separator"]

_MAX_BYTES = 16 << 20  # a table is text of a few kilobytes: a volume passed by mistake is not read to its end


class LabelTableError(ValueError):
    """A label table that cannot be read; the message names the path, the line, what was expected and what was found."""


def read_text(path: str | os.PathLike[str]) -> tuple[str, str]:
    """Return the path, as messages show it, and the file's text, without a byte order mark and with Unix line ends."""
    name = shown(os.fsdecode(path))
    try:
        with open(path, "rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except FileNotFoundError:
        raise LabelTableError(f"{name}: no such file") from None
    except IsADirectoryError:
        raise LabelTableError(f"{name}: expected a file, found that it is a folder") from None
    except OSError as error:
        raise LabelTableError(f"{name}: cannot be read: {error.strerror}") from error
    if len(content) > _MAX_BYTES:
        raise LabelTableError(f"{name}: expected a table of at most {_MAX_BYTES >> 20} MiB, found a larger file")
    try:
        text = decoded(content)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        found = f"the byte 0x{content[error.start]:02x}"
        raise LabelTableError(f"{name}, line {line}: expected text in UTF-8, found {found}") from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise LabelTableError(f"{name}, line {line}: expected text in UTF-8, found a zero byte")
    return name, text.replace("\r\n", "\n").replace("\r", "\n")


def decoded(content: bytes) -> str:
    """Return text in UTF-8, or in UTF-16 with a byte order mark, as Excel's "Unicode text" is; raise UnicodeDecodeError."""
    return content.decode("utf-16" if content.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig")


def separator(header: str, columns: Iterable[str] = ()) -> str:
    """Return what stands between the cells of a table: a comma, a semicolon or a tab.

    Parameters
    ----------
    header : str
        The line with the names of the columns.
    columns
        Names that are among them, in lower case; without, it is what there is most of.
    """
    wanted = set(columns)
    for mark in ",;\t":
        if wanted and wanted <= {cell.strip().strip('"').lower() for cell in header.split(mark)}:
            return mark
    return max(",;\t", key=header.count)


def load_json(name: str, text: str) -> dict[str, Any]:
    """Parse text that begins with a brace; raise LabelTableError, also where a key is given twice with different values."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in pairs:
            if found.setdefault(key, value) != value:
                raise LabelTableError(f"{name}: expected {key!r} once, found {quoted(found[key])} and {quoted(value)}")
        return found

    try:
        loaded = json.loads(text, object_pairs_hook=unique)
    except json.JSONDecodeError as error:
        raise LabelTableError(f"{name}, line {error.lineno}: expected JSON, found: {error.msg}") from None
    except LabelTableError:
        raise
    except (ValueError, RecursionError) as error:  # digits without end, brackets without end
        raise LabelTableError(f"{name}: expected JSON, found: {error}") from None
    assert isinstance(loaded, dict)  # it begins with a brace
    return loaded


def quoted(value: object) -> str:
    """Write what was found as Python does, cut short: a line of the wrong file may be megabytes long."""
    written = repr(value)
    return written if len(written) <= 80 else f"{written[:80]}…"


@contextmanager
def errors_name(argument: str) -> Iterator[None]:
    """Let errors of a file begin with the argument that named it."""
    try:
        yield
    except LabelTableError as error:
        raise LabelTableError(f"{argument}: {error}") from None
