"""Names from outside (of cases, classes, files), written so that a terminal or a table can show them."""

from __future__ import annotations

__all__ = ["MOVED", "shown", "shown_label"]

#: Numbers from here on are labels of nothing but what had to move: near the end of int64, and to be known by sight.
MOVED = 9_000_000_000_000_000_001


def shown(text: str) -> str:
    r"""Write a name for people: as it is, or as Python writes it if a part of it would act on a terminal or not be seen.

    What it returns is printable, of one line, and stays as it is if written so once more.

    Examples
    --------
    >>> print(shown("case 1"), shown("case\t1"), sep=", ")
    case 1, 'case\t1'
    """
    return text if text and text.isprintable() and text == text.strip() else repr(text)


def shown_label(label: object) -> str:
    """Return a label as tables show it: one that a prediction's label was moved to for its name is known by the name alone."""
    return "-" if isinstance(label, int) and label >= MOVED else str(label)
