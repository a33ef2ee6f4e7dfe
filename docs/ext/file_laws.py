"""The tables of what files state, and what is done with it: of the tuples beside the formats, in the guide.

``python docs/ext/file_laws.py`` puts them into the page; a test compares it.
"""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

from fastseg.volumes import formats
from fastseg.volumes.statements import Statement
from fastseg.volumes.volume import Format

__all__ = ["PAGE", "page_with_tables", "statements", "tables"]

PAGE = Path(__file__).parents[1] / "guide" / "files.md"
_BEGIN, _END = "<!-- what files say -->\n", "<!-- said -->\n"


def statements() -> dict[str, tuple[str, tuple[Statement, ...]]]:
    """Return the name and the statements of each format, by its module."""
    found = {}
    for module in pkgutil.iter_modules(formats.__path__):
        entry = getattr(importlib.import_module(f"{formats.__name__}.{module.name}"), "FORMAT", None)
        if isinstance(entry, Format):
            states = importlib.import_module(f"{formats.__name__}.states.{module.name}")
            found[module.name] = entry.name, states.STATES
    return found


def tables() -> str:
    """Return a table for each format, as Markdown."""
    lines: list[str] = []
    for name, rows in statements().values():
        lines += [f"#### {name}", "", "| the file says | it is | |", "| --- | --- | --- |"]
        lines += [f"| {_cell(row.says)} | {row.done} | {_cell(row.how)} |" for row in rows]
        lines.append("")
    return "\n".join(lines)


def page_with_tables(text: str) -> str:
    """Return the page with the tables between their marks."""
    before, _, rest = text.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    return f"{before}{_BEGIN}\n{tables()}\n{_END}{after}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("*", "\\*")


if __name__ == "__main__":
    PAGE.write_text(page_with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
