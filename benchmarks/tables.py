"""Where tables of figures go: between their markers on the site's pages, and some of their rows into the README."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
#: The page of each table, in the folder of the site's benchmarks.
PAGES = {"benchmarks": "figures.md", "shapes": "shapes.md"}


def page_of(where: Path, name: str) -> Path:
    """Return the file that a table goes to: of a folder the page that is its own."""
    return where / PAGES[name] if where.is_dir() else where


def write_table(file: Path, name: str, table: str) -> None:
    """Write a table between its markers in a file, or at the end of a file without them."""
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    if f"<!-- {name}:start -->" not in text:
        text = f"{text}<!-- {name}:start -->\n<!-- {name}:end -->\n"
    file.write_text(_between(text, name, table), encoding="utf-8")


def excerpt(readme: str, figures: str) -> str:
    """Return the README with the figures of each row of its table as they stand on the page of all figures."""
    cells = [re.split(r" *\| *", line)[1:4] for line in figures.splitlines() if line.startswith("| ")]
    found = {name: f"| {name} | {ratio.partition(' (')[0]} | {time} |" for name, ratio, time in cells}
    shown = re.search(r"<!-- excerpt:start -->\n(.*?)\n<!-- excerpt:end -->", readme, re.DOTALL)
    if shown is None:
        raise ValueError("README: expected the markers of an excerpt")
    head, rule, *rows = shown[1].split("\n")
    rows = [found[re.split(r" *\| *", row)[1]] for row in rows]
    return _between(readme, "excerpt", "\n".join([head, rule, *rows]))


def _between(text: str, name: str, table: str) -> str:
    head, rest = text.split(f"<!-- {name}:start -->", 1)
    return f"{head}<!-- {name}:start -->\n{table}\n<!-- {name}:end -->{rest.split(f'<!-- {name}:end -->', 1)[1]}"
