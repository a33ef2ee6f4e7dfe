"""Instances of a folder of cases: which lesions were found, missed and invented, one by one and together."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from fastseg.api.instance_files import match_label_maps
from fastseg.api.text_table import table_in_blocks
from fastseg.counting.whole_maps import LabelMaps, read_label_maps
from fastseg.labels.choices import LabelChoices, choose_labels, find_dataset_json
from fastseg.labels.names import shown
from fastseg.metrics.instances import COLUMNS, METRICS, InstanceMatching, Tally, convention_of, parse_match, rule_of
from fastseg.runs.atomic import write_all
from fastseg.runs.cases.find import Case, find_cases
from fastseg.runs.outputs.csv_tables import csv_table, number_cell, text_cell
from fastseg.runs.outputs.folder import add_to_run
from fastseg.runs.outputs.run_json import RUN_FILE
from fastseg.runs.outputs.stale_report import remove_stale_report
from fastseg.volumes.geometry import TOLERANCE

__all__ = ["InstanceRun", "evaluate_instances"]

Path = str | os.PathLike[str]
#: The file that lists instances.
TABLE = "instances.csv"
#: What is told of each region, and its title.
_SHOWN = {
    "recall": "recall",
    "precision": "precision",
    "f1": "F1",
    "segmentation_quality": "SQ",
    "panoptic_quality": "PQ",
    "instance_dice": "lesion Dice",
}


@dataclass(frozen=True, eq=False)
class InstanceRun:
    """The instances of some cases; prints as a table.

    Attributes
    ----------
    rows : list of dict
        A row for each instance that was matched, missed or invented: ``case``, ``region``, and what
        `InstanceMatching.rows` says of it.
    tallies : dict
        Of each region and case: what was counted.
    failed : dict
        Of each case that could not be matched: why.
    """

    regions: Mapping[str, tuple[int, ...]]
    rows: list[dict[str, Any]]
    tallies: Mapping[tuple[str, str], Tally]
    failed: Mapping[str, str]
    options: Mapping[str, Any]

    def scores(self, region: str) -> dict[str, Any]:
        """Return the metrics of a region, of the instances of all cases together."""
        found = [tally for (name, _), tally in self.tallies.items() if name == region]
        nothing = convention_of(self.options.get("convention", "fastseg")).nothing
        tp, fp, fn, iou, dice = (
            np.array([sum(getattr(tally, name).sum() for tally in found)]) for name in ("tp", "fp", "fn", "iou", "dice")
        )
        total = Tally(tp, fp, fn, iou.astype(np.float64), dice.astype(np.float64))
        known = bool(total.any[0])
        values = {name: float(of(total)[0]) if known else nothing for name, of in METRICS.items()}
        return {"cases": len(found), "tp": int(total.tp[0]), "fp": int(total.fp[0]), "fn": int(total.fn[0]), **values}

    def __str__(self) -> str:
        header = ["instances", "found", "missed", "invented", *_SHOWN.values()]
        lines = []
        for region in self.regions:
            scores = self.scores(region)
            numbers = ["-" if math.isnan(scores[name]) else f"{scores[name]:.4f}" for name in _SHOWN]
            lines.append([shown(region), *(str(scores[name]) for name in ("tp", "fn", "fp")), *numbers])
        return table_in_blocks(header, lines, left=1)

    def to_csv(self) -> bytes:
        """Return the rows as CSV; places are in mm where files say where they lie, else indices."""
        names = [name for name in COLUMNS if name not in ("case", "class", "kind", "centroid")]
        longest = max((len(row["centroid"] or ()) for row in self.rows), default=3)
        axes = [f"centroid_{k}" for k in range(longest)]
        table = []
        for row in self.rows:
            cells = [number_cell(row[name]) for name in names]
            place = [number_cell(value) for value in row["centroid"] or ()]
            lead = [text_cell(row["case"]), text_cell(row["region"]), row["kind"]]
            table.append([*lead, *cells, *place, *[""] * (longest - len(place))])
        return csv_table(["case", "region", "kind", *names, *axes], table)

    def to_dict(self) -> dict[str, Any]:
        """Return the scores of regions, what they are of, and what failed, as JSON can hold it."""
        scores = {region: self.scores(region) for region in self.regions}
        plain = {
            name: {key: None if isinstance(v, float) and math.isnan(v) else v for key, v in values.items()}
            for name, values in scores.items()
        }
        regions = {name: list(labels) for name, labels in self.regions.items()}
        return {"options": dict(self.options), "regions": regions, "scores": plain, "failed": dict(self.failed)}

    def summary(self, table: bytes) -> dict[str, Any]:
        """Return what ``run.json`` says of the instances that `table`, instances.csv, lists."""
        convention = convention_of(self.options.get("convention", "fastseg"))
        given = (self.options.get(name) for name in ("threshold", "criterion", "matching", "strict", "objective"))
        rule = asdict(rule_of(convention, *given))
        rule |= {"convention": convention.name, "connectivity": self.options.get("connectivity")}
        scores = {}
        for region in self.regions:
            found = self.scores(region)
            counts = {"cases": found["cases"], "matched": found["tp"], "missed": found["fn"], "invented": found["fp"]}
            scores[region] = counts | {name: found[name] for name in _SHOWN}
        return {
            "rule": rule | {"min_voxels": self.options.get("min_voxels", 0)},
            "regions": {name: list(labels) for name, labels in self.regions.items()},
            "scores": scores,
            "failed": dict(self.failed),
            "file": TABLE,
            "sha256": hashlib.sha256(table).hexdigest(),
        }

    def save(self, folder: Path, *, note: Callable[[str], None] | None = None) -> None:
        """Write instances.csv and instances.json into a folder, which is made if need be.

        Where the folder has a run, its run.json gets a summary, which `fastseg report` shows; a page of before is removed,
        which `note` is told.
        """
        os.makedirs(folder, exist_ok=True)
        text = json.dumps(self.to_dict(), indent=1, allow_nan=False) + "\n"
        table = self.to_csv()
        write_all(folder, {TABLE: table, "instances.json": text.encode()})
        if os.path.exists(os.path.join(folder, RUN_FILE)):
            add_to_run(folder, instances=self.summary(table))
            if (removed := remove_stale_report(folder)) is not None and note is not None:
                note(removed)


def evaluate_instances(
    reference: Path | None,
    prediction: Path | None,
    instances: str | Sequence[str],
    *,
    connectivity: int | None = None,
    match: str | None = None,
    min_voxels: int = 0,
    labels: Any = None,
    prediction_labels: Any = None,
    regions: Any = None,
    map_prediction: Any = None,
    pairs: Path | None = None,
    pattern: str | Sequence[str] | None = None,
    roi: Path | None = None,
    missing: Literal["error", "skip", "worst"] = "error",
    geometry: Literal["error", "warn", "ignore"] = "error",
    geometry_tolerance: float = TOLERANCE,
    reorient: bool = False,
    axes: str | None = None,
    note: Callable[[str], None] | None = None,
) -> InstanceRun:
    """Match the instances of each case of a folder, or of two files.

    Parameters
    ----------
    reference, prediction, pairs, pattern, roi, missing, geometry, geometry_tolerance, reorient, axes, note
        As in `fastseg.evaluate_folder`. A prediction that is missing and scored as the worst finds nothing.
    instances
        Labels, their names, or names of regions, in a sequence or separated by commas: the components of each are its
        instances.
    connectivity, min_voxels
        As in `fastseg.match_instances`.
    match
        "iou>0.5", "dice>=0.1", "overlap>0", "centre", or the name of a convention such as "brats".
    labels, prediction_labels, regions, map_prediction
        As in `fastseg.evaluate_folder`: what names mean.

    Returns
    -------
    run : InstanceRun

    Raises
    ------
    CasesError, ValueError, TypeError
        If files cannot be paired, or an option is not what it should be. What is wrong with a case is in ``run.failed``.
    """
    if labels is None:
        labels = find_dataset_json(pairs if reference is None else reference)
    chosen = choose_labels(
        labels=labels, prediction_labels=prediction_labels, regions=regions, map_prediction=map_prediction
    )
    wanted = _regions(instances, chosen)
    options: dict[str, Any] = {} if match is None else parse_match(match)
    if connectivity is not None:
        options["connectivity"] = connectivity
    if min_voxels:
        options["min_voxels"] = min_voxels
    found = find_cases(reference, prediction, pattern=pattern, pairs=pairs, roi=roi, missing=missing)
    rows: list[dict[str, Any]] = []
    tallies: dict[tuple[str, str], Tally] = {}
    failed: dict[str, str] = {}
    say = note or (lambda _: None)
    for case in found.cases:
        if case.prediction is None and missing != "worst":
            continue
        try:
            options_of_files = {"geometry": geometry, "geometry_tolerance": geometry_tolerance}
            maps = _read(case, chosen, **options_of_files, reorient=reorient, axes=axes)
            own = {name: _match(maps, case, members, options) for name, members in wanted.items()}
        except (ValueError, TypeError, OSError, MemoryError) as error:
            failed[case.id] = str(error) or type(error).__name__
            continue
        if maps.note is not None:
            say(f"warning: {shown(case.id)}: {maps.note}")
        for name, matching in own.items():
            tallies[name, case.id] = matching.tally
            rows += [{**row, "case": case.id, "region": name} for row in matching.rows()]
    return InstanceRun(wanted, rows, tallies, failed, {**options, "match": match})


def _read(case: Case, chosen: LabelChoices, **options: Any) -> LabelMaps:
    mapping = chosen.map_prediction or None
    return read_label_maps(
        case.reference, case.prediction or case.reference, roi=case.roi, map_prediction=mapping, **options
    )


def _match(maps: LabelMaps, case: Case, members: tuple[int, ...], options: dict[str, Any]) -> InstanceMatching:
    if case.prediction is None:
        maps = maps._replace(pred=np.zeros_like(maps.pred))
    return match_label_maps(maps, region=members, **options)


def _regions(instances: str | Sequence[str], chosen: LabelChoices) -> dict[str, tuple[int, ...]]:
    """Return the labels of each region whose components are asked for."""
    given = instances.split(",") if isinstance(instances, str) else instances
    labels = {name: (label,) for label, name in chosen.names.items() if label != 0}
    found: dict[str, tuple[int, ...]] = {}
    for name in (text.strip() for text in given):
        members = chosen.regions.get(name) or labels.get(name)
        if members is None and name.lstrip("-").isdecimal() and int(name) != 0:
            members = (int(name),)
        if members is None:
            known = ", ".join(map(shown, [*chosen.regions, *labels])) or "a label"
            raise ValueError(f"instances: expected labels or names of labels or regions ({known}), found {name!r}")
        found[name] = members
    return found
