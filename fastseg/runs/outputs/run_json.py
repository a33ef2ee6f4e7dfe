"""What a run leaves in its folder, and how it is read back.

`summary.json` (`fastseg.runs.outputs.summary_json`), `cases.csv` and `classes.csv` (`fastseg.runs.outputs.csv_tables`),
`confusion.npz` (the arrays of all confusion matrices: see `fastseg.runs.outputs.confusion_npz`), where surfaces were measured
`surfaces.npz` (`fastseg.runs.outputs.surfaces_npz`), where instances were matched `instances.csv`
(`fastseg.runs.outputs.instances_csv`), and `run.json`, which says
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
    `CaseRecord` without ``pairs`` and ``unknown``, which are in `confusion.npz`; ``masks`` only where masks were scored.
facts : object
    What else the run says of itself: the paths as they were given and the ``working_folder`` that they are relative to, the
    ``tables`` that say what labels are, ``extra`` predictions, ``gates``.
machine, times : object
    Versions of what it ran on and how long it took. Everything but these two, and the ``working_folder`` among the facts, is
    a function of inputs and options.
instances : object
    Only where instances were matched (``evaluate --instances``): the ``rule``, the ``regions`` and by region its ``scores``,
    of all cases together; the ``file`` that lists all instances, and ``sha256`` of it. Each case has ``instances``, too: by
    region how many were found (``tp``), invented and missed, and the sums of the IoU and the Dice of what was found; where
    their surfaces were measured also ``surfaces``, the sums of "hd95_mm" and "nsd".
confusion : object
    ``file``, and ``sha256`` of what it holds (`Confusion.sha256`): a run of which another has overwritten a part is not read.
    Of masks, which have no confusion, both are null, and ``reason`` says so.

units, better, infinite : object
    Only where metrics of surfaces are among the metrics: of each of these its unit ("mm", or nothing), whether "higher" or
    "lower" is better, and how many of the values of the classes in means are infinite, so that no mean is over them.
surfaces : object
    Only then: ``file`` and ``sha256`` of `surfaces.npz`, as of confusion.

In memory, `Run.facts` has ``fastseg``, ``machine`` and ``times`` beside the other facts. Whoever reads a run
and writes it again writes the same bytes.
"""

from __future__ import annotations

import json
import math
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from fastseg._version import __version__
from fastseg.metrics.choice import known_metric, of_surfaces
from fastseg.metrics.conventions import CONVENTIONS
from fastseg.metrics.pair_conventions import PAIR_CONVENTIONS
from fastseg.metrics.surface_conventions import SURFACE_CONVENTIONS
from fastseg.runs.outputs.confusion_npz import Confusion
from fastseg.runs.outputs.instances_csv import INSTANCES_FILE
from fastseg.runs.outputs.surfaces_npz import Surfaces, with_surfaces
from fastseg.runs.results.instance_statistics import instance_summaries
from fastseg.runs.results.numbers import NO_CONFUSION, RunNumbers
from fastseg.runs.results.reasons import why_no_mean
from fastseg.runs.results.statistics import summarise
from fastseg.runs.scoring.records import CaseRecord
from fastseg.runs.scoring.settings import Settings

__all__ = [
    "CONFUSION_FILE",
    "RUN_FILE",
    "SURFACES_FILE",
    "read_bytes",
    "read_json",
    "run_json",
    "run_of",
    "run_to_dict",
]

_FORMAT, _VERSION = "fastseg.run", 1
RUN_FILE, CONFUSION_FILE, SURFACES_FILE = "run.json", "confusion.npz", "surfaces.npz"

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
    "masks": (dict,),
    "voxels": (list,),
    "shape": (list,),
    "spacing_mm": (list,),
    "voxel_ml": (int, float, type(None)),
    "geometry": _TEXT,
    "scores": (dict,),
    "notes": (list,),
    "inputs": (dict,),
    "instances": (dict,),
}

_encode = json.JSONEncoder(allow_nan=False).encode


def run_to_dict(run: RunNumbers) -> dict[str, Any]:
    """Return what ``run.json`` says of a run, and the rows of ``classes.csv`` as ``classes``; JSON can hold it."""
    cases = [_plain(_case(record)) for record in run.records]
    summaries = [*summarise(run), *instance_summaries(run)]
    return {**_run_plain(run), "cases": cases, "classes": [_plain(each._asdict()) for each in summaries]}


def _run_plain(run: RunNumbers) -> dict[str, Any]:
    """Return all of ``run.json`` but the cases, in whose place is an empty list, and `confusion`."""
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
        "cases": [],
        "facts": {name: value for name, value in run.facts.items() if name not in _APART},
        "machine": run.facts.get("machine", machine),
        "times": run.facts.get("times", {}),
        **({} if run.instances is None else {"instances": run.instances.to_dict()}),
        **_of_surfaces(run),
    }
    plain: dict[str, Any] = _plain(result)
    return plain


def _of_surfaces(run: RunNumbers) -> dict[str, Any]:
    """Return what is said of metrics of surfaces, where there are any."""
    names = of_surfaces(run.settings.metrics)
    if not names:
        return {}
    return {
        "units": {name: run.units.get(name, "") for name in names},
        "better": {name: known_metric(name).better for name in names},
        "infinite": {name: run.infinite(name) for name in names},
    }


def run_json(run: RunNumbers, digest: str | None, distances: str | None = None, instances: str | None = None) -> bytes:
    """Return ``run.json`` of a run; digests are of its confusion matrices, distances and instances, if it has them."""
    confusion = {"file": None if digest is None else CONFUSION_FILE, "sha256": digest}
    confusion |= {"reason": NO_CONFUSION} if digest is None else {}
    result = {**_run_plain(run), "confusion": confusion}
    if run.instances is not None:
        result["instances"] |= {"file": None if instances is None else INSTANCES_FILE, "sha256": instances}
    if distances is not None:
        result["surfaces"] = {"file": SURFACES_FILE, "sha256": distances}
    lines = []
    for name, value in result.items():  # a line for each case: Python's encoder is slow where it indents
        if name == "cases" and run.records:
            text = "[\n  " + ",\n  ".join(_line(_case(record)) for record in run.records) + "\n ]"
        else:
            text = json.dumps(value, indent=1, allow_nan=False).replace("\n", "\n ")
        lines.append(f" {json.dumps(name)}: {text}")
    return ("{\n" + ",\n".join(lines) + "\n}\n").encode("ascii")


def _counts(run: RunNumbers) -> dict[str, int]:
    scored = sum(record.status == "scored" for record in run.records)
    others = {"failed": len(run.failed), "missing": len(run.missing), "counted": len(run.counted)}
    return {"expected": len(run.records), "scored": scored, **others}


def _mean(run: RunNumbers, metric: str) -> dict[str, Any]:
    value = run.mean(metric)
    return {"value": value, "reason": why_no_mean(run, metric) if math.isnan(value) else None}


def _case(record: CaseRecord) -> dict[str, Any]:
    left_out = [name for name in ("masks", "instances") if not getattr(record, name)]
    found = {name: value for name, value in vars(record).items() if name in _KINDS and name not in left_out}
    if record.instances:
        found["instances"] = {name: own.to_dict(rows=False) for name, own in record.instances.items()}
    return found


def _line(case: dict[str, Any]) -> str:
    """Return a case as JSON. Nearly all hold nothing else than JSON can, and are not searched for it."""
    try:
        return _encode(case)
    except (TypeError, ValueError):
        return _encode(_plain(case))


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


def read_bytes(path: Path) -> bytes:
    """Return what a file of a run holds; ValueError if there is none."""
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise ValueError(f"{path}: expected a file of a run; there is none") from None


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a file, having checked that it is a run of this version."""
    data = read_bytes(path)
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


def run_of(plain: dict[str, Any], confusion: Confusion | None, surfaces: Surfaces | None = None) -> RunNumbers:
    """Return the run that ``run.json``, its confusion matrices and its distances tell of.

    It raises any of many errors where they cannot be of one.
    """
    settings = _settings(plain["settings"])
    if (confusion is None) != (settings.masks is not None):
        raise ValueError(f"a run of {'label maps without' if confusion is None else 'masks with'} confusion matrices")
    if confusion is not None and plain["confusion"]["sha256"] != confusion.sha256:
        raise ValueError(f"{CONFUSION_FILE} beside it is of another run, or of another time")
    where, voxels = {}, []
    if confusion is not None:
        where, voxels = {name: n for n, name in enumerate(confusion.ids)}, confusion.voxels.tolist()
    records = []
    for case in ({"notes": [], "masks": {}, "instances": {}, **each} for each in plain["cases"]):
        found = {
            name: type(case.get(name)).__name__ for name, kind in _KINDS.items() if not isinstance(case[name], kind)
        }
        if found or case["status"] not in ("scored", "failed", "missing"):
            raise ValueError(
                f"a case {case['id']!r} of status {case['status']!r} with {found or 'fields as they should be'}"
            )
        n = where.get(case["id"])
        pairs, unknown = ((), ()) if n is None or confusion is None else (confusion.pairs[n], confusion.unknown[n])
        record = CaseRecord.from_plain({**case, "pairs": pairs, "unknown": unknown})
        if n is not None and list(record.voxels) != voxels[n]:
            raise ValueError(f"other voxels for case {record.id!r} than in {CONFUSION_FILE}")
        records.append(record)
    if not all(isinstance(plain[name], dict) for name in ("facts", "machine", "times")):
        raise ValueError("facts that are no object")
    run = RunNumbers(settings, tuple(records), {**plain["facts"], **{name: plain[name] for name in _APART}})
    if confusion is not None and tuple(record.id for record in run.counted) != confusion.ids:
        raise ValueError(f"other cases than in {CONFUSION_FILE}")
    if confusion is None:
        _check_masks(run)
    counts = {name: plain["counts"][name] for name in _counts(run)}
    if counts != _counts(run):
        raise ValueError(f"counts {counts} of {_counts(run)} cases")
    run = with_surfaces(run, plain.get("surfaces"), surfaces)
    if confusion is None:
        return run
    if confusion.closed != (settings.labels is not None) or confusion.labels.tolist() != run.labels.tolist():
        raise ValueError(f"other labels than in {CONFUSION_FILE}")
    return run


def _check_masks(run: RunNumbers) -> None:
    """Raise ValueError where the counts of a mask cannot be those of so many voxels."""
    for record in run.counted:
        for name, numbers in record.masks.items():
            if min(numbers) < 0 or sum(numbers) > record.voxels[0]:
                raise ValueError(
                    f"counts {list(numbers)} of mask {name!r} of case {record.id!r}, of {record.voxels[0]} voxels"
                )


def _settings(plain: dict[str, Any]) -> Settings:
    settings = Settings.from_dict(plain)
    if json.loads(json.dumps(settings.to_dict())) != plain:
        raise ValueError(f"settings that this version does not have, among {sorted(plain)}")
    if settings.convention not in (conventions := [*CONVENTIONS, *SURFACE_CONVENTIONS, *PAIR_CONVENTIONS]):
        raise ValueError(f"convention {settings.convention!r}, of {', '.join(conventions)}")
    for name in settings.metrics:
        known_metric(name)
    labels = [*(settings.labels or ()), *settings.ignore, *(each for of in settings.regions.values() for each in of)]
    if not all(isinstance(label, int) for label in labels):
        raise ValueError(f"labels that are no integers, {labels[:20]}")
    return settings
