"""`instances.csv`: each instance of a run, matched, missed or invented, with its size and where it lies, as a row.

Columns ``case``, ``region``, ``kind``, what `fastseg.InstanceMatching.rows` says of an instance, where surfaces
were measured ``hd95_mm`` and ``nsd`` of what was found, ``centroid_0`` and so on,
in mm where files say where they lie, else indices, and ``box_start_0``, ``box_stop_0`` and so on: along each axis of the
reference's voxels the first index of the box that holds it, and the index after the last.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from fastseg.runs.outputs.csv_tables import csv_table, number_cell, plain_text, text_cell
from fastseg.runs.results.instances import InstanceNumbers
from fastseg.runs.results.numbers import RunNumbers
from fastseg.runs.scoring.case_instances import ROW
from fastseg.runs.scoring.instance_metrics import SURFACES_OF_INSTANCES

__all__ = ["INSTANCES_FILE", "instances_csv", "with_instances"]

INSTANCES_FILE = "instances.csv"

_NUMBERS = tuple(name for name in ROW if name not in ("kind", "centroid", "box"))
_SURFACES = tuple(entry.column for entry in SURFACES_OF_INSTANCES.values())
_FLOATS = ("true_ml", "pred_ml", "iou", "dice", *_SURFACES)


def instances_csv(found: InstanceNumbers) -> bytes:
    """Return the instances of all cases as a table; nothing where only their numbers are known."""
    rows = found.rows
    if rows is None:
        return b""
    numbers = (*_NUMBERS, *(entry.column for entry in found.metrics.values() if entry.column))
    longest = max((len(row["centroid"] or ()) for row in rows), default=3)
    axes = [f"centroid_{k}" for k in range(longest)]
    ends = [f"box_{end}_{k}" for k in range(longest) for end in ("start", "stop")]
    table = []
    for row in rows:
        cells = [number_cell(row[name]) for name in numbers]
        place = [number_cell(value) for value in row["centroid"] or ()]
        box = [number_cell(value) for side in row["box"] or () for value in side]
        lead = [text_cell(row["case"]), text_cell(row["region"]), row["kind"]]
        table.append([*lead, *cells, *_filled(place, longest), *_filled(box, 2 * longest)])
    return csv_table(["case", "region", "kind", *numbers, *axes, *ends], table)


def _filled(cells: list[str], number: int) -> list[str]:
    return [*cells, *[""] * (number - len(cells))]


def with_instances(run: RunNumbers, said: Any, table: bytes | None) -> RunNumbers:
    """Return a run whose records have their instances one by one, where its instances.csv is the one that it was written with.

    Where that is gone or was changed, as people do with tables, only the numbers are known.

    Parameters
    ----------
    said
        What ``run.json`` says of instances; None where it says nothing.
    table
        What the file holds; None where there is none.

    Raises
    ------
    ValueError
        If the run and what it says are not of one kind, or the file is damaged.
    """
    if (run.settings.instances is None) != (said is None):
        raise ValueError(f"a run {'of no' if said is not None else 'without what is said of its'} instances")
    _check_surfaces(run)
    if said is None or table is None or hashlib.sha256(table).hexdigest() != said["sha256"]:
        return run
    rows: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for cells in csv.DictReader(io.StringIO(table.decode("utf-8"), newline="")):
        rows.setdefault((plain_text(cells["case"]), plain_text(cells["region"])), []).append(_row(cells))
    records = []
    for record in run.records:
        of = {
            name: replace(
                own, rows=tuple(rows.get((plain_text(text_cell(record.id)), plain_text(text_cell(name))), ()))
            )
            for name, own in record.instances.items()
        }
        records.append(replace(record, instances=of) if of else record)
    return replace(run, records=tuple(records))


def _check_surfaces(run: RunNumbers) -> None:
    """Raise ValueError where a case lacks what its run has measured."""
    how = run.settings.instances
    wanted = (
        {SURFACES_OF_INSTANCES[name].column for name in how.surfaces.metrics}
        if how is not None and how.surfaces
        else set()
    )
    for record in run.records:
        for name, own in record.instances.items():
            if set(own.surfaces) != wanted:
                raise ValueError(
                    f"surfaces {sorted(own.surfaces)} of {name!r} in case {record.id!r}, of {sorted(wanted)}"
                )


def _row(cells: Mapping[str, str]) -> dict[str, Any]:
    row: dict[str, Any] = {"kind": cells["kind"]}
    for name in (*_NUMBERS, *(each for each in _SURFACES if each in cells)):
        row[name] = None if not cells[name] else float(cells[name]) if name in _FLOATS else int(cells[name])
    place = [float(cells[name]) for name in cells if name.startswith("centroid_") and cells[name]]
    starts = [int(cells[name]) for name in cells if name.startswith("box_start_") and cells[name]]
    stops = [int(cells[name]) for name in cells if name.startswith("box_stop_") and cells[name]]
    return row | {"centroid": place or None, "box": [list(side) for side in zip(starts, stops, strict=True)] or None}
