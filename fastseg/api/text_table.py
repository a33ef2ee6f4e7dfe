"""Tables of text, as terminals show them."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["format_table", "table_in_blocks"]

#: Characters of a line that are still read at one glance; wider tables are cut.
_WIDEST = 160


def format_table(header: Sequence[str], rows: Sequence[Sequence[str]], *, left: int) -> str:
    """Return rows as aligned text, the first `left` columns to the left and the others to the right."""
    widths = [max(len(line[k]) for line in (header, *rows)) for k in range(len(header))]

    def line(cells: Sequence[str]) -> str:
        padded = [c.ljust(w) if k < left else c.rjust(w) for k, (c, w) in enumerate(zip(cells, widths, strict=True))]
        return "  ".join(padded).rstrip()

    return "\n".join([line(header), "  ".join("-" * w for w in widths), *(line(row) for row in rows)])


def table_in_blocks(header: Sequence[str], rows: Sequence[Sequence[str]], *, left: int, widest: int = _WIDEST) -> str:
    """Return a table as text; one that is too wide as several below each other, each with the `left` first columns."""
    widths = [max(len(line[k]) for line in (header, *rows)) + 2 for k in range(len(header))]
    blocks: list[list[int]] = [[]]
    for k in range(left, len(header)):
        if blocks[-1] and sum(widths[:left]) + sum(widths[j] for j in [*blocks[-1], k]) - 2 > widest:
            blocks.append([])
        blocks[-1].append(k)
    columns = [[*range(left), *block] for block in blocks]
    tables = [[[line[k] for k in own] for line in (header, *rows)] for own in columns]
    return "\n\n".join(format_table(table[0], table[1:], left=left) for table in tables)
