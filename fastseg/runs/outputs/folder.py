"""All the files of a run's folder: written together, and read back."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from fastseg.runs import atomic
from fastseg.runs.outputs.confusion_npz import confusion_npz, read_confusion
from fastseg.runs.outputs.csv_tables import cases_csv, classes_csv
from fastseg.runs.outputs.instances_csv import INSTANCES_FILE, instances_csv, with_instances
from fastseg.runs.outputs.run_json import (
    CONFUSION_FILE,
    RUN_FILE,
    SURFACES_FILE,
    read_bytes,
    read_json,
    run_json,
    run_of,
)
from fastseg.runs.outputs.summary_json import summary
from fastseg.runs.outputs.surfaces_npz import read_surfaces, surfaces_npz
from fastseg.runs.results.numbers import RunNumbers

__all__ = ["FILES", "read_run", "write_outputs"]

SUMMARY_FILE = "summary.json"
#: The files of a run of label maps, in the order in which they take their places; what only some have comes before the last.
FILES = (SUMMARY_FILE, "cases.csv", "classes.csv", CONFUSION_FILE, RUN_FILE)

#: Cases times classes from which on the text of their numbers takes longer than a fork, which takes some milliseconds.
_WORTH_A_FORK = 10_000


def write_outputs(run: RunNumbers, folder: str | os.PathLike[str]) -> None:
    """Write all files of a run into a folder, which is made if need be; all of them or, if one cannot be, none.

    Raises
    ------
    OSError
        If they cannot be written, with the path; those that were there are as they were.
    """
    masks = run.settings.masks is not None
    left_out = [CONFUSION_FILE] * masks + [SURFACES_FILE] * (run.settings.surfaces is None)
    left_out += [SUMMARY_FILE] * run.settings.partitions  # which is of classes
    left_out += [INSTANCES_FILE] * (run.instances is None or run.instances.rows is None)
    with _tables(run) as tables:
        archive = b"" if masks else confusion_npz(run)
        digest = None if masks else read_confusion(archive).sha256  # and nothing is written that could not be read
        distances = b"" if SURFACES_FILE in left_out else surfaces_npz(run)
        of_surfaces = read_surfaces(distances).sha256 if distances else None
        listed = b"" if run.instances is None else instances_csv(run.instances)
        of_instances = hashlib.sha256(listed).hexdigest() if listed else None
        told = run_json(run, digest, of_surfaces, of_instances)
        made = (*tables(), classes_csv(run), archive, distances, listed, told)
    os.makedirs(folder, exist_ok=True)
    found = zip((*FILES[:-1], SURFACES_FILE, INSTANCES_FILE, RUN_FILE), made, strict=True)
    atomic.write_all(folder, {name: data for name, data in found if name not in left_out})
    for name in left_out:  # of an earlier run that had it
        Path(folder, name).unlink(missing_ok=True)


def _tables(run: RunNumbers) -> AbstractContextManager[Callable[[], tuple[bytes, ...]]]:
    """Return what makes the files that have lines for each case and class; of many, a process begins with them."""

    def make() -> tuple[bytes, ...]:
        return summary(run), cases_csv(run)

    if len(run.counted) * len(run.classes) < _WORTH_A_FORK:
        return nullcontext(make)
    # Here, since multiprocessing takes time to import.
    from fastseg.runs.outputs.beside import beside

    for name in run.settings.metrics:
        run.values(name)  # once for both
    return beside(make)


def read_run(folder: str | os.PathLike[str]) -> RunNumbers:
    """Return the run whose files are in a folder, with all its records.

    Raises
    ------
    ValueError
        If there is none, or its files are damaged or not of one run; with what was expected and what was found.
    OSError
        If they cannot be read.
    """
    path = Path(folder, RUN_FILE)
    if not path.exists():
        raise ValueError(
            f"{folder}: expected a folder that fastseg evaluate -o has finished, found {_found_instead(folder)}"
        )
    plain = read_json(path)
    confusion = None
    if _has_confusion(plain):
        confusion = read_confusion(read_bytes(Path(folder, CONFUSION_FILE)), os.fspath(Path(folder, CONFUSION_FILE)))
    surfaces = None
    if plain.get("surfaces") is not None:
        beside = Path(folder, SURFACES_FILE)
        surfaces = read_surfaces(read_bytes(beside), os.fspath(beside))
    listed = Path(folder, INSTANCES_FILE)
    instances = listed.read_bytes() if plain.get("instances") is not None and listed.is_file() else None
    try:
        return with_instances(run_of(plain, confusion, surfaces), plain.get("instances"), instances)
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError, RecursionError) as error:
        what = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise ValueError(f"{path}: expected a run that fastseg wrote; found {what}") from None


def _has_confusion(plain: dict[str, Any]) -> bool:
    """Tell whether a run says that it has confusion matrices, as all but those of masks have."""
    said = plain.get("confusion")
    return not (isinstance(said, dict) and said.get("file", CONFUSION_FILE) is None)


def _found_instead(folder: str | os.PathLike[str]) -> str:
    """Return what is in the place of a finished run."""
    if os.path.isdir(folder):
        return f"no {RUN_FILE} in it (after an interruption, run the same command again)"
    return "a file" if os.path.exists(folder) else "nothing"
