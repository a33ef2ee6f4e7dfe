"""Names of axes that formats store as words, as the letters that axes are matched by."""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence

__all__ = ["letters", "spell"]

_KNOWN = {
    "x": ("x", "lon", "longitude", "easting", "col", "cols", "column", "columns", "width", "xspace",
          "projection_x_coordinate"),
    "y": ("y", "lat", "latitude", "northing", "row", "rows", "height", "yspace", "projection_y_coordinate"),
    "z": ("z", "depth", "slice", "slices", "plane", "planes", "level", "altitude", "zspace"),
    "t": ("t", "time", "frame", "frames"),
    "c": ("c", "channel", "channels", "band", "bands"),
}  # fmt: skip
_LETTERS = {word: letter for letter, words in _KNOWN.items() for word in words}
#: What libraries call axes of which nobody has said anything.
_NOTHING = re.compile(r"(dim|axis|phony_dim)?_?\d*")
_others: dict[str, str] = {}
_lock = threading.Lock()


def letters(names: Sequence[object]) -> str:
    """Return a letter for each name, the same for the same name in every file; "" unless all are names, and different.

    Examples
    --------
    >>> letters(["time", "lat", "lon"]), letters(["z", "y", "x"]), letters(["dim_0", "dim_1"])
    ('tyx', 'zyx', '')
    """
    words = [name.strip().lower() if isinstance(name, str) else "" for name in names]
    if any(_NOTHING.fullmatch(word) for word in words):
        return ""
    found = "".join(map(spell, words))
    return found if len(set(found)) == len(names) else ""


def spell(word: str) -> str:
    """Return the letter of one name, in lower case; an unknown one gets a letter that no other has."""
    if word in _LETTERS or len(word) == 1:
        return _LETTERS.get(word, word)
    with _lock:  # beyond what keyboards have: nobody names an axis so
        return _others.setdefault(word, chr(0xE000 + len(_others) % 6400))
