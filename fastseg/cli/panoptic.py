"""Panoptic segmentations on the command line: COCO's and Cityscapes' JSON files, whose pictures are PNG files beside them."""

from __future__ import annotations

import math
import os
from typing import Any

import click
from click.core import ParameterSource

from fastseg.cli.screen import show
from fastseg.cli.telling import write_json

__all__ = ["are_panoptic", "evaluate_panoptic"]

#: Options that are of such files too.
_OPTIONS = ("convention", "json_path", "match", "quiet")
#: What is told of a category.
_SHOWN = {"panoptic_quality": "PQ", "segmentation_quality": "SQ", "recognition_quality": "RQ"}


def are_panoptic(*paths: str | None) -> bool:
    """Tell whether all paths lead to JSON files that list segments of pictures."""
    for path in paths:
        if path is None or not path.lower().endswith(".json") or not os.path.isfile(path):
            return False
        with open(path, "rb") as file:
            if b'"segments_info"' not in file.read():
                return False
    return True


def evaluate_panoptic(reference: str, prediction: str, options: dict[str, Any]) -> None:
    """Print or write the panoptic quality of each category, and the means over all, over things and over stuff."""
    from fastseg.api.panoptic_files import match_panoptic_files
    from fastseg.api.text_table import table_in_blocks
    from fastseg.labels.names import shown
    from fastseg.labels.panoptic import read_panoptic_json
    from fastseg.metrics.instances import parse_match

    context = click.get_current_context()
    for parameter in context.command.params:
        name = str(parameter.name)
        given = context.get_parameter_source(name) is ParameterSource.COMMANDLINE
        if given and isinstance(parameter, click.Option) and name not in _OPTIONS:
            raise click.UsageError(
                f"{parameter.opts[-1]}: expected none but --match, --convention, --json and --quiet beside panoptic JSON files"
            )
    match = {} if options["match"] is None else parse_match(options["match"])
    if options["convention"] is not None:
        match = {"convention": options["convention"], **match}
    found = match_panoptic_files(reference, prediction, **match)
    table = read_panoptic_json(reference)
    tally, classes = found.tally, found.classes.tolist()
    values = {name: found.of_classes(name) for name in _SHOWN}
    categories: list[dict[str, Any]] = [
        {
            "category": label, "name": table.names.get(label, str(label)), "thing": label in table.things,
            "found": int(tally.tp[k]), "missed": int(tally.fn[k]), "invented": int(tally.fp[k]),
            **{name: _number(values[name][k]) for name in _SHOWN},
        }
        for k, label in enumerate(classes)
    ]  # fmt: skip
    groups = {"all": classes}
    if table.things:
        groups |= {
            "things": [label for label in classes if label in table.things],
            "stuff": [label for label in classes if label not in table.things],
        }
    means: dict[str, dict[str, Any]] = {
        name: {each: _number(found.mean(each, members)) for each in _SHOWN}
        | {"categories": int(tally.any[[classes.index(label) for label in members]].sum())}
        for name, members in groups.items()
    }
    if options["json_path"] is not None:
        pictures = len(table.images)
        write_json({"pictures": pictures, "means": means, "categories": categories}, options["json_path"])
    if options["json_path"] != "-" and not options["quiet"]:
        header = ["category", "name", "found", "missed", "invented", *_SHOWN.values()]
        rows = [
            [str(each["category"]), shown(each["name"]), *(str(each[key]) for key in header[2:5]), *_cells(each)]
            for each in categories
        ]
        rows += [[name, f"{mean['categories']} categories", "", "", "", *_cells(mean)] for name, mean in means.items()]
        show(table_in_blocks(header, rows, left=2))


def _number(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def _cells(of: dict[str, Any]) -> list[str]:
    return ["-" if of[name] is None else f"{of[name]:.4f}" for name in _SHOWN]
