"""Puts a finished run into its folder, and keeps off the folders of others."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection

from fastseg.labels.names import shown
from fastseg.runs.outputs.folder import write_outputs
from fastseg.runs.outputs.stale_report import remove_stale_report
from fastseg.runs.results.numbers import RunNumbers
from fastseg.runs.scoring.journal import Journal

__all__ = ["keep_run", "require_own"]


def keep_run(run: RunNumbers, journal: Journal, folder: str | os.PathLike[str], say: Callable[[str], None]) -> None:
    """Write all files of a run into the folder of its journal."""
    write_outputs(run, folder)
    if (removed := remove_stale_report(folder)) is not None:
        say(removed)
    journal.complete(record for record in run.records if record.counted)


def require_own(journal: Journal, places: Collection[str]) -> None:
    """Raise ValueError where a folder holds results, and none of them is of these files: those of another model.

    Parameters
    ----------
    places
        Of the cases, as in `fastseg.runs.scoring.keys.place_of`.
    """
    others = [record for record in journal.records.values() if record.key.partition("-")[0] not in places]
    if others and len(others) == len(journal.records):
        found = others[0].prediction or others[0].reference
        raise ValueError(
            f"output: {shown(str(journal.path.parent))}: expected another folder, found the results of other predictions in "
            f"it, {shown(found)} for {shown(others[0].id)} (resume=False, --no-resume, gives them up)"
        )
