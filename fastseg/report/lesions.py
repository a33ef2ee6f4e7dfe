"""Instances on pictures of a case: boxes around those that were missed and invented, where a plane crosses them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fastseg.report import pictures
from fastseg.report.overlays import Plane
from fastseg.runs import CaseRecord

__all__ = ["COLOURS", "frames", "unmatched_of"]

#: The colour of each kind of instance.
COLOURS = {"matched": "#4a8fd0", "missed": pictures.ERRORS["missed"], "invented": pictures.ERRORS["extra"]}

#: Pixels between an instance and its frame.
_MARGIN = 2.0


def unmatched_of(record: CaseRecord) -> list[Mapping[str, Any]]:
    """Return the instances of a case that were missed or invented and of which it is known where they lie."""
    rows = (row for own in record.instances.values() for row in own.rows or ())
    return [row for row in rows if row["kind"] != "matched" and row["box"]]


def frames(plane: Plane, rows: Sequence[Mapping[str, Any]], wide: float, high: float) -> list[str]:
    """Return an SVG element for each instance that a plane crosses, on a picture of that width and height."""
    height, width = plane.size
    found = []
    for row in rows:
        place = plane.place_of(row["box"])
        if place is not None:
            x, y, across, down = (
                value * scale for value, scale in zip(place, (wide / width, high / height) * 2, strict=True)
            )
            found.append(
                f'<rect x="{x - _MARGIN:.1f}" y="{y - _MARGIN:.1f}" width="{across + 2 * _MARGIN:.1f}" '
                f'height="{down + 2 * _MARGIN:.1f}" fill="none" stroke="{COLOURS[row["kind"]]}" stroke-width="1.5" '
                f'stroke-dasharray="4 2" data-instance="{row["kind"]}"/>'
            )
    return found
