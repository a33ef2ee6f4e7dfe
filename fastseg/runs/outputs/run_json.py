"""What a run leaves in its folder, and how it is read back.

`summary.json` (`fastseg.runs.outputs.summary_json`), `cases.csv` and `classes.csv` (`fastseg.runs.outputs.csv_tables`),
`confusion.npz` (the arrays of all confusion matrices: see `fastseg.runs.outputs.confusion_npz`), and `run.json`, which says
all the rest. They are written together, `run.json` last.

`run.json` is an object of

format, version : "fastseg.run", 1
fastseg : str
    The version that scored.
settings : object
    What was scored and how: `Settings.to_dict`.
convention : object
    ``name``, ``description``, ``verified`` (the metrics that were compared with the package that it is named for), ``source``.
counts : object
    Numbers of cases: ``expected``, ``scored``, ``failed``, ``missing``, ``counted`` (those in the means: scored, and missing
    if they are taken as the worst); and of numbers: ``undefined``, the values of the metrics, of a case and a class each,
    that are undefined.
voxels : object
    Over all counted cases: ``counted``, ``ignored``, ``outside_mask``, ``unknown``.
mean : object
    By metric the one number of the run: ``value``, null where it is undefined, and ``reason``, why it is.
cases : list of objects
    `CaseRecord` without ``pairs`` and ``unknown``, which are in `confusion.npz`.
facts : object
    What else the run says of itself: the paths as they were given and the ``working_folder`` that they are relative to, the
    ``tables`` that say what labels are, ``extra`` predictions, ``gates``.
machine, times : object
    Versions of what it ran on and how long it took. Everything but these two, and the ``working_folder`` among the facts, is
    a function of inputs and options.
confusion : object
    ``file``, and ``sha256`` of what it holds (`Confusion.sha256`): a run of which another has overwritten a part is not read.

In memory, `Run.facts` has ``fastseg``, ``machine`` and ``times`` beside the other facts. Whoever reads a run and writes it
again writes the same bytes.
"""

from __future__ import annotations

import json
import math
import os
import platform
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from fastseg import metrics as registry
from fastseg._version import __version__
from fastseg.metrics.conventions import CONVENTIONS
from fastseg.runs import atomic
from fastseg.runs.outputs import csv_tables as tables
from fastseg.runs.outputs.confusion_npz import Confusion, confusion_npz, read_confusion
from fastseg.runs.outputs.summary_json import summary
from fastseg.runs.results.numbers import Run
from fastseg.runs.results.statistics import summarise
from fastseg.runs.scoring.records import CaseRecord
from fastseg.runs.scoring.settings import Settings

__all__ = ["FILES", "read_run", "run_to_dict", "write_outputs"]

_FORMAT, _VERSION = "fastseg.run", 1
_RUN, _CONFUSION = "run.json", "confusion.npz"

#: The files of a run, in the order in which they take their places.
FILES = ("summary.json", "cases.csv", "classes.csv", _CONFUSION, _RUN)

_VOXELS = ("counted", "ignored", "outside_mask", "unknown")
_APART = ("fastseg", "machine", "times")

_TEXT, _TEXT_OR_NONE = (str,), (str, type(None))
#: What the fields of a case may be.
_KINDS: dict[str, tuple[type, ...]] = {
    "id": _TEXT,
    "status": _TEXT,
    "reference": _TEXT,
    "prediction": _TEXT_OR_NONE,
    "roi": _TEXT_OR_NONE,
    "key": _TEXT,
    "reason": _TEXT_OR_NONE,
    "voxels": (list,),
    "shape": (list,),
    "spacing_mm": (list,),
    "voxel_ml": (int, float, type(None)),
    "geometry": _TEXT,
    "scores": (dict,),
    "inputs": (dict,),
}


def write_outputs(run: Run, folder: str | os.PathLike[str]) -> None:
    """Write all files of a run into a folder, which is made if need be; all of them or, if one cannot be, none.

    Raises
    ------
    OSError
        If they cannot be written, with the path; those that were there are as they were.
    """
    archive = confusion_npz(run)
    digest = read_confusion(archive).sha256  # and nothing is written that could not be read
    made = (summary(run), tables.cases_csv(run), tables.classes_csv(run), archive, _run_json(run, digest))
    os.makedirs(folder, exist_ok=True)
    atomic.write_all(folder, dict(zip(FILES, made, strict=True)))


def read_run(folder: str | os.PathLike[str]) -> Run:
    """Return the run whose files are in a folder, with all its records.

    Raises
    ------
    ValueError
        If there is none, or its files are damaged or not of one run; with what was expected and what was found.
    OSError
        If they cannot be read.
    """
    path = Path(folder, _RUN)
    if not path.exists():
        raise ValueError(f"{folder}: expected a folder that fastseg evaluate -o has finished, found {_instead(folder)}")
    plain = _loaded(path)
    confusion = read_confusion(_bytes(Path(folder, _CONFUSION)), os.fspath(Path(folder, _CONFUSION)))
    try:
        return _run(plain, confusion)
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError, RecursionError) as error:
        what = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise ValueError(f"{path}: expected a run that fastseg wrote; found {what}") from None


def run_to_dict(run: Run) -> dict[str, Any]:
    """Return what ``run.json`` says of a run, and the rows of ``classes.csv`` as ``classes``; JSON can hold it."""
    return {**_run_plain(run), "classes": [_plain(each._asdict()) for each in summarise(run)]}


def _run_plain(run: Run) -> dict[str, Any]:
    values = [run.values(name) for name in dict.fromkeys(run.settings.metrics)]
    voxels = np.array([record.voxels for record in run.counted], np.int64).reshape(-1, 4).sum(0).tolist()
    machine = {"python": platform.python_version(), "numpy": np.__version__, "system": platform.system()}
    result: dict[str, Any] = {
        "format": _FORMAT,
        "version": _VERSION,
        "fastseg": run.facts.get("fastseg", __version__),
        "settings": run.settings.to_dict(),
        "convention": {name: getattr(run.convention, name) for name in ("name", "description", "verified", "source")},
        "counts": {**_counts(run), "undefined": sum(int(np.isnan(each).sum()) for each in values)},
        "voxels": dict(zip(_VOXELS, voxels, strict=True)),
        "mean": {name: _mean(run, name) for name in run.settings.metrics},
        "cases": [_case(record) for record in run.records],
        "facts": {name: value for name, value in run.facts.items() if name not in _APART},
        "machine": run.facts.get("machine", machine),
        "times": run.facts.get("times", {}),
    }
    plain: dict[str, Any] = _plain(result)
    return plain


def _run_json(run: Run, digest: str) -> bytes:
    result = {**_run_plain(run), "confusion": {"file": _CONFUSION, "sha256": digest}}
    lines = []
    for name, value in result.items():  # a line for each case: Python's encoder is slow where it indents
        if name == "cases" and value:
            text = "[\n  " + ",\n  ".join(json.dumps(case, allow_nan=False) for case in value) + "\n ]"
        else:
            text = json.dumps(value, indent=1, allow_nan=False).replace("\n", "\n ")
        lines.append(f" {json.dumps(name)}: {text}")
    return ("{\n" + ",\n".join(lines) + "\n}\n").encode("ascii")


def _counts(run: Run) -> dict[str, int]:
    scored = sum(record.status == "scored" for record in run.records)
    others = {"failed": len(run.failed), "missing": len(run.missing), "counted": len(run.counted)}
    return {"expected": len(run.records), "scored": scored, **others}


def _mean(run: Run, metric: str) -> dict[str, Any]:
    value = run.mean(metric)
    return {"value": value, "reason": tables.why_no_mean(run) if math.isnan(value) else None}


def _case(record: CaseRecord) -> dict[str, Any]:
    return {entry.name: getattr(record, entry.name) for entry in fields(record) if entry.name in _KINDS}


def _plain(value: Any) -> Any:
    """Return what JSON can hold: None for what is no finite number, text for paths and the like."""
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, str | int) else str(value)


def _instead(folder: str | os.PathLike[str]) -> str:
    """Return what is in the place of a finished run."""
    if os.path.isdir(folder):
        return f"no {_RUN} in it (after an interruption, run the same command again)"
    return "a file" if os.path.exists(folder) else "nothing"


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise ValueError(f"{path}: expected a file of a run; there is none") from None


def _loaded(path: Path) -> dict[str, Any]:
    """Return the object in a file, having checked that it is a run of this version."""
    data = _bytes(path)
    try:
        plain = json.loads(data.decode("ascii"), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: expected JSON that fastseg wrote; found {error}") from None
    found = (plain.get("format"), plain.get("version")) if isinstance(plain, dict) else type(plain).__name__
    if found != (_FORMAT, _VERSION):
        raise ValueError(f"{path}: expected format {_FORMAT!r}, version {_VERSION}; found {found}")
    assert isinstance(plain, dict)
    return plain


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name}, which JSON does not have")


def _run(plain: dict[str, Any], confusion: Confusion) -> Run:
    if plain["confusion"]["sha256"] != confusion.sha256:
        raise ValueError(f"{_CONFUSION} beside it is of another run, or of another time")
    settings = _settings(plain["settings"])
    where = {name: n for n, name in enumerate(confusion.ids)}
    records = []
    for case in plain["cases"]:
        found = {
            name: type(case.get(name)).__name__ for name, kind in _KINDS.items() if not isinstance(case[name], kind)
        }
        if found or case["status"] not in ("scored", "failed", "missing"):
            raise ValueError(
                f"a case {case['id']!r} of status {case['status']!r} with {found or 'fields as they should be'}"
            )
        record = CaseRecord.from_json(json.dumps({**case, "pairs": [], "unknown": []}))
        n = where.get(record.id)
        if n is not None:
            record = replace(record, pairs=confusion.pairs[n], unknown=confusion.unknown[n])
            if list(record.voxels) != confusion.voxels[n].tolist():
                raise ValueError(f"other voxels for case {record.id!r} than in {_CONFUSION}")
        records.append(record)
    if not all(isinstance(plain[name], dict) for name in ("facts", "machine", "times")):
        raise ValueError("facts that are no object")
    run = Run(settings, tuple(records), {**plain["facts"], **{name: plain[name] for name in _APART}})
    if tuple(record.id for record in run.counted) != confusion.ids:
        raise ValueError(f"other cases than in {_CONFUSION}")
    counts = {name: plain["counts"][name] for name in _counts(run)}
    if counts != _counts(run):
        raise ValueError(f"counts {counts} of {_counts(run)} cases")
    if confusion.closed != (settings.labels is not None) or confusion.labels.tolist() != run.labels.tolist():
        raise ValueError(f"other labels than in {_CONFUSION}")
    return run


def _settings(plain: dict[str, Any]) -> Settings:
    settings = Settings.from_dict(plain)
    if json.loads(json.dumps(settings.to_dict())) != plain:
        raise ValueError(f"settings that this version does not have, among {sorted(plain)}")
    if settings.convention not in CONVENTIONS:
        raise ValueError(f"convention {settings.convention!r}, of {', '.join(CONVENTIONS)}")
    for name in settings.metrics:
        registry.get(name)
    labels = [*(settings.labels or ()), *settings.ignore, *(each for of in settings.regions.values() for each in of)]
    if not all(isinstance(label, int) for label in labels):
        raise ValueError(f"labels that are no integers, {labels[:20]}")
    return settings
