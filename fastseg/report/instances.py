"""What a report says of instances: how many were found, which were missed and invented, and whether size matters."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from fastseg.report import pictures, plots
from fastseg.report.worst_cases import swatch
from fastseg.runs import Run
from fastseg.runs.outputs.csv_tables import text_cell

__all__ = ["instances_section"]

#: How many instances are listed one by one, and of how many regions there are plots.
_LISTED, _PLOTS = 200, 12

_COUNTS = {"matched": "Found", "missed": "Missed", "invented": "Invented"}
_SCORES = {
    "recall": "Recall", "precision": "Precision", "f1": "F1", "segmentation_quality": "SQ", "panoptic_quality": "PQ",
    "instance_dice": "Mean Dice",
}  # fmt: skip
_CRITERIA = {"iou": "IoU", "dice": "Dice", "overlap": "voxels in common"}
_COLOURS = {"matched": "#4a8fd0", "missed": pictures.ERRORS["missed"], "invented": pictures.ERRORS["extra"]}


class Instance(NamedTuple):
    """A line of instances.csv."""

    case: str
    region: str
    kind: str
    voxels: float
    ml: float | None
    dice: float
    """0 of what was missed or invented."""
    place: str


def instances_section(run: Run, table: bytes | None) -> dict[str, Any] | None:
    """Return what is on the page of instances; None where none were asked for.

    Parameters
    ----------
    table
        instances.csv, of which the run has the digest; None where there is no such file.
    """
    told = run.facts.get("instances")
    if told is None:
        return None
    found, apology = _read(told, table)
    in_ml = bool(found) and all(each.ml is not None for each in found)
    sizes = [float(each.ml) if in_ml and each.ml is not None else each.voxels for each in found]
    unmatched = [k for k, each in enumerate(found) if each.kind != "matched"]
    unmatched.sort(key=lambda k: -sizes[k])
    listed = [
        {**found[k]._asdict(), "size": f"{sizes[k]:.4g}" if in_ml else f"{sizes[k]:,.0f}"} for k in unmatched[:_LISTED]
    ]
    unit = "ml" if in_ml else "voxels"
    return {
        "rule": _in_words(told["rule"]),
        "header": ["Instances of", *_COUNTS.values(), *_SCORES.values()],
        "scores": [
            (name, [scores.get(each) or 0 for each in _COUNTS], [scores.get(each) for each in _SCORES])
            for name, scores in told["scores"].items()
        ],
        "failed": [*told["failed"].items()],
        "apology": apology,
        "plots": _plots(list(told["scores"])[:_PLOTS], found, sizes, unit),
        "legend": [(swatch(_COLOURS[kind]), name.lower()) for kind, name in _COUNTS.items()],
        "unmatched": listed,
        "more": len(unmatched) - len(listed),
        "unit": unit,
    }


def _read(told: Mapping[str, Any], table: bytes | None) -> tuple[list[Instance], str]:
    """Return the instances of a table, or why they are not known."""
    if table is None:
        return [], "instances.csv is not beside the run"
    if hashlib.sha256(table).hexdigest() != told["sha256"]:
        return [], "instances.csv beside the run is of another run, or was changed"
    return [_instance(row) for row in csv.DictReader(io.StringIO(table.decode("utf-8"), newline=""))], ""


def _instance(row: Mapping[str, str]) -> Instance:
    side = "pred" if row["kind"] == "invented" else "true"
    ml = row[f"{side}_ml"]
    place = [float(value) for name, value in row.items() if name.startswith("centroid_") and value]
    return Instance(
        _text(row["case"]),
        _text(row["region"]),
        row["kind"],
        float(row[f"{side}_voxels"]),
        float(ml) if ml else None,
        float(row["dice"] or 0),
        ", ".join(f"{value:.1f}".replace("-", "−") for value in place),
    )


def _text(cell: str) -> str:
    """Return the text that a cell stands for, without what keeps spreadsheets from reading formulas in it."""
    return cell[1:] if cell[:1] == "'" and text_cell(cell[1:]) == cell else cell


def _in_words(rule: Mapping[str, Any]) -> str:
    criterion = str(rule["criterion"])
    if criterion == "centre":
        score = "the centre of the prediction, which lies in the true one"
    else:
        name = _CRITERIA.get(criterion, criterion.replace("_", " "))
        score = f"{name} {'>' if rule['strict'] else '≥'} {rule['threshold']:g}"
    more = [f"matching {rule['matching']}".replace("_", " "), f"convention {rule['convention']}"]
    if rule["connectivity"] is not None:
        more.append(f"{rule['connectivity']} neighbours")
    if rule["min_voxels"]:
        more.append(f"at least {rule['min_voxels']:,} voxels")
    return f"{score} ({', '.join(more)})"


def _plots(
    regions: Sequence[str], found: Sequence[Instance], sizes: Sequence[float], unit: str
) -> list[tuple[str, Any]]:
    """Return a drawing for each region that has an instance."""
    drawn = []
    for number, region in enumerate(regions):
        own = [k for k, each in enumerate(found) if each.region == region]
        points = {}
        for kind, colour in _COLOURS.items():
            of_kind = [k for k in own if found[k].kind == kind]
            points[colour] = np.array([sizes[k] for k in of_kind]), np.array([found[k].dice for k in of_kind])
        if own:
            title = f"Size and Dice of {len(own)} instances"
            drawn.append((region, plots.size_plot(f"instances-{number}", title, points, unit)))
    return drawn
