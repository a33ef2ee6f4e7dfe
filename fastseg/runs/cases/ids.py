"""Ids of cases: which one a path gives, and which ones are the same, or may be taken for it."""

from __future__ import annotations

import os
import re
import unicodedata

from fastseg.volumes import split_inside, split_suffix
from fastseg.volumes.paths import Url

__all__ = ["ONE_OF_THEM", "before_channel", "composed", "folded", "of_path", "writable"]

#: What to do where several files may be one case, for messages.
ONE_OF_THEM = "a pattern (--pattern) that only one of them matches tells which it is"

_CHANNEL = re.compile(r"(.+)_[0-9]{4}", re.DOTALL)


def of_path(path: str) -> str:
    """Return the id that the path of a volume gives: its name without the suffix."""
    outer = split_inside(path)[0]
    name = outer.file_name if isinstance(outer, Url) else os.path.basename(os.path.normpath(outer))
    return writable(split_suffix(name)[0])


def writable(name: str) -> str:
    """Write the bytes of a name that are not UTF-8 so that every file and terminal can take it."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def composed(case: str) -> str:
    """Return what is equal of ids that differ in how their characters are composed, as macOS and Linux write them."""
    return unicodedata.normalize("NFC", case)


def folded(case: str) -> str:
    """Return what is equal of ids that a person, or another file system, may take for the same."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", case).casefold())


def before_channel(case: str) -> str | None:
    """Return what stands before nnU-Net's number of a channel, None where there is no such number."""
    match = _CHANNEL.fullmatch(case)
    return None if match is None else match[1]
