"""Instances beside the scores of voxels: what `--instances` adds to `fastseg evaluate`."""

from __future__ import annotations

from typing import Any

import click

from fastseg.cli.screen import say, show
from fastseg.labels.names import shown

__all__ = ["INSTANCE_OPTIONS", "instance_options", "show_instances"]

#: Arguments of `evaluate_instances` that the command has for other reasons too.
_SHARED = (
    "labels", "prediction_labels", "regions", "map_prediction", "pairs", "roi", "missing", "geometry", "reorient", "axes",
    "geometry_tolerance",
)  # fmt: skip
INSTANCE_OPTIONS = ("instances", "connectivity", "match", "min_voxels")


def instance_options(command: Any) -> Any:
    """Give a command the options of instances."""
    for option in (
        click.option(
            "--min-voxels", type=click.IntRange(min=0), metavar="N", help="Smaller components are no instances."
        ),
        click.option(
            "--match",
            metavar="RULE",
            help="When a true and a predicted instance match: 'iou>0.5' (default), 'dice>=0.1', 'overlap>0', centre, or a "
            "convention: panoptica, brats, autopet, isles, stardist and others.",
        ),
        click.option(
            "--connectivity",
            type=click.Choice(["4", "6", "8", "18", "26"]),
            help="The neighbours of a voxel (default: all, or those of the convention).",
        ),
        click.option(
            "--instances",
            metavar="NAMES",
            help="Also count the connected components of these labels or regions, such as lesions, as found, missed and "
            "invented; with -o each of them is a line of instances.csv.",
        ),
    ):
        command = option(command)
    return command


def show_instances(
    reference: str | None, prediction: str | None, own: dict[str, Any], options: dict[str, Any], table: bool
) -> bool:
    """Match the instances, print their table and write their files; return whether all cases could be matched."""
    from fastseg.runs.instances import evaluate_instances

    shared = {name: options[name] for name in _SHARED if options[name] is not None}
    pattern, quiet = options["pattern"], options["quiet"]
    run = evaluate_instances(
        reference,
        prediction,
        own["instances"],
        connectivity=None if own["connectivity"] is None else int(own["connectivity"]),
        match=own["match"],
        min_voxels=own["min_voxels"] or 0,
        pattern=pattern[0] if len(pattern) == 1 else pattern or None,
        note=None if quiet else say,
        **shared,
    )
    if options["output"] is not None:
        run.save(options["output"], note=None if quiet else say)
    if table:
        show(f"\n{run}")
    for case, reason in run.failed.items():
        say(f"error: instances of {shown(case)}: {reason}")
    return not run.failed
