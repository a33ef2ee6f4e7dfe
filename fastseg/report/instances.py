"""What a report says of instances: how many were found, which were missed and invented, and whether size matters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from fastseg.report import plots
from fastseg.report.lesions import COLOURS
from fastseg.report.worst_cases import swatch
from fastseg.runs import Run

__all__ = ["instances_section"]

#: How many instances are listed one by one, and of how many regions there are plots.
_LISTED, _PLOTS = 200, 12

_COUNTS = {"matched": "Found", "missed": "Missed", "invented": "Invented"}
_SCORES = {
    "recall": "Recall", "precision": "Precision", "f1": "F1", "segmentation_quality": "SQ", "panoptic_quality": "PQ",
    "instance_dice": "Mean Dice", "instance_hd95": "Mean HD95 (mm)", "instance_nsd": "Mean NSD",
}  # fmt: skip
_CRITERIA = {"iou": "IoU", "dice": "Dice", "overlap": "voxels in common"}


class Instance(NamedTuple):
    """An instance, as the page tells of it."""

    case: str
    region: str
    kind: str
    voxels: float
    ml: float | None
    dice: float
    """0 of what was missed or invented."""
    place: str


def instances_section(run: Run) -> dict[str, Any] | None:
    """Return what is on the page of instances; None where none were asked for."""
    if run.instances is None:
        return None
    told, rows = run.instances.to_dict(), run.instances.rows
    found = [_instance(row) for row in rows or ()]
    apology = "instances.csv beside the run is gone, or was changed" if rows is None else ""
    in_ml = bool(found) and all(each.ml is not None for each in found)
    sizes = [float(each.ml) if in_ml and each.ml is not None else each.voxels for each in found]
    unmatched = [k for k, each in enumerate(found) if each.kind != "matched"]
    unmatched.sort(key=lambda k: -sizes[k])
    listed = [
        {**found[k]._asdict(), "size": f"{sizes[k]:.4g}" if in_ml else f"{sizes[k]:,.0f}"} for k in unmatched[:_LISTED]
    ]
    unit = "ml" if in_ml else "voxels"
    titles = {name: title for name, title in _SCORES.items() if all(name in of for of in told["scores"].values())}
    return {
        "rule": _in_words(told["rule"]),
        "header": ["Instances of", *_COUNTS.values(), *titles.values()],
        "scores": [
            (name, [scores[each] for each in _COUNTS], [scores[each] for each in titles])
            for name, scores in told["scores"].items()
        ],
        "apology": apology,
        "plots": _plots(list(told["scores"])[:_PLOTS], found, sizes, unit),
        "legend": [(swatch(COLOURS[kind]), name.lower()) for kind, name in _COUNTS.items()],
        "unmatched": listed,
        "more": len(unmatched) - len(listed),
        "unit": unit,
    }


def _instance(row: Mapping[str, Any]) -> Instance:
    side = "pred" if row["kind"] == "invented" else "true"
    return Instance(
        row["case"],
        row["region"],
        row["kind"],
        float(row[f"{side}_voxels"]),
        row[f"{side}_ml"],
        row["dice"] or 0.0,
        ", ".join(f"{value:.1f}".replace("-", "−") for value in row["centroid"] or ()),
    )


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
    if rule["dilation"]:
        more.append(f"grown by {rule['dilation']}")
    if rule["min_voxels"]:
        more.append(f"at least {rule['min_voxels']:,} voxels")
    if rule["min_ml"]:
        more.append(f"at least {rule['min_ml']:g} ml")
    return f"{score} ({', '.join(more)})"


def _plots(
    regions: Sequence[str], found: Sequence[Instance], sizes: Sequence[float], unit: str
) -> list[tuple[str, Any]]:
    """Return a drawing for each region that has an instance."""
    drawn = []
    for number, region in enumerate(regions):
        own = [k for k, each in enumerate(found) if each.region == region]
        points = {}
        for kind, colour in COLOURS.items():
            of_kind = [k for k in own if found[k].kind == kind]
            points[colour] = np.array([sizes[k] for k in of_kind]), np.array([found[k].dice for k in of_kind])
        if own:
            title = f"Size and Dice of {len(own)} instances"
            drawn.append((region, plots.size_plot(f"instances-{number}", title, points, unit)))
    return drawn
