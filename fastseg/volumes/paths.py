"""Paths of volumes, also of those inside a file: ``file.npz::name``."""

from __future__ import annotations

import os

__all__ = ["Path", "split_inside"]

Path = str | os.PathLike[str]


def split_inside(path: str) -> tuple[str, str | None]:
    """Split ``file::inside`` into the file's path and the name of the array inside it, None where there is none.

    A file whose own name has ``::`` in it is itself.

    Examples
    --------
    >>> split_inside("masks.h5::/left/kidney")
    ('masks.h5', '/left/kidney')
    """
    outer, mark, inside = path.partition("::")
    return (outer, inside) if mark and not os.path.lexists(path) else (path, None)
