"""Paths of volumes: files, arrays inside a file (``file.npz::name``), and URLs, shown without credentials."""

from __future__ import annotations

import os
import re
from typing import Self, overload

__all__ = ["Path", "Url", "absolute", "concealed", "is_url", "named", "split_inside"]

Path = str | os.PathLike[str]

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]+://")  # of two letters at least: C:// is a drive
_HOST = re.compile(r"[^/?#]*@|\[[0-9A-Fa-f:.]*\]")  # where a :: may be, which is none of ours
_USER = re.compile(r"(?<=://)[^/?#\s]*@")
_QUERY = re.compile(r"(\bhttps?://[^\s?#'\"]*)\?[^\s'\"]*", re.IGNORECASE)


def concealed(text: str) -> str:
    """Return a text without what may be credentials in its URLs: ``user:password@``, and what follows a web address's ``?``.

    Examples
    --------
    >>> concealed("https://me:secret@host/a.nii?Signature=secret")
    'https://host/a.nii?…'
    """
    return _QUERY.sub(r"\1?…", _USER.sub("", text))


class Url(str):
    """A URL. As text it is what may be shown and stored; only who opens it takes ``full``."""

    full: str

    def __new__(cls, url: str) -> Self:
        """Keep a URL whole, and be the text that may be shown."""
        new = super().__new__(cls, concealed(url))
        new.full = url.full if isinstance(url, Url) else url
        return new

    @property
    def file_name(self) -> str:
        """The last part of its path."""
        rest = self.full.partition("://")[2]
        if self.full.lower().startswith("http"):
            rest = re.split(r"[?#]", rest, maxsplit=1)[0]
        return rest.rstrip("/").rpartition("/")[2]


def is_url(path: object) -> bool:
    """Tell whether a path is a URL: ``s3://…``, and neither a drive (``C:/…``) nor ``file.h5::/a``."""
    return isinstance(path, str) and _SCHEME.match(path) is not None


@overload
def named(path: str) -> str: ...
@overload
def named(path: Path) -> Path: ...
def named(path: Path) -> Path:
    """Return a URL as one that hides its credentials, and any other path as it is."""
    return Url(path) if isinstance(path, str) and is_url(path) else path


def absolute(path: str) -> str:
    """Return the absolute path of a file, and a URL as it is."""
    return path if is_url(path) else os.path.abspath(path)


def split_inside(path: str) -> tuple[str, str | None]:
    """Split ``file::inside`` into the file's path and the name of the array inside it, None where there is none.

    A file whose own name has ``::`` in it is itself. A URL comes back as a `Url`.

    Examples
    --------
    >>> split_inside("masks.h5::/left/kidney")
    ('masks.h5', '/left/kidney')
    """
    if is_url(path):
        full = Url(path).full
        start = full.index("://") + 3
        host = _HOST.match(full, start)
        while host is not None:
            start = host.end()
            host = _HOST.match(full, start)
        at = full.find("::", start)
        return (Url(full), None) if at < 0 else (Url(full[:at]), full[at + 2 :])
    outer, mark, inside = path.partition("::")
    return (outer, inside) if mark and not os.path.lexists(path) else (path, None)
