"""The page in a run's folder, which an earlier run may have left there: it goes when it shows other results."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from fastseg.labels.names import shown

__all__ = ["PAGE", "remove_stale_report", "run_digest"]

#: What the page is called.
PAGE = "report.html"

#: What `run.json` says that the page's numbers hang on.
_SHOWN = ("fastseg", "settings", "cases", "confusion")
#: Bytes at the beginning of a page, which hold its head.
_HEAD = 1 << 16


def run_digest(folder: str | os.PathLike[str]) -> str:
    """Return what tells the results in a folder from others: the same for the same cases, settings, numbers and so on.

    Raises
    ------
    OSError, ValueError
        If there is no run.
    """
    plain = json.loads(Path(folder, "run.json").read_bytes())
    facts = {name: value for name, value in plain["facts"].items() if name != "working_folder"}
    more = [plain[name] for name in ("instances", "surfaces") if name in plain]
    told = [*(plain[name] for name in _SHOWN), facts, *more]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def remove_stale_report(folder: str | os.PathLike[str]) -> str | None:
    """Remove ``report.html`` from the folder of a run that was just written, where it shows other results.

    Returns
    -------
    note : str or None
        What was done, for people; None where there is no such page, it is of these results, or it is somebody else's.
    """
    page = Path(folder, PAGE)
    try:
        with page.open("rb") as file:
            head = file.read(_HEAD)
    except OSError:
        return None
    if b"fastseg report</title>" not in head or run_digest(folder).encode() in head:
        return None
    try:
        page.unlink()
    except OSError as error:
        return f"{shown(str(page))} shows earlier results, and cannot be removed: {error.strerror}"
    return f"{shown(str(page))} showed earlier results, and is removed: fastseg report {shown(str(folder))} writes it again"
