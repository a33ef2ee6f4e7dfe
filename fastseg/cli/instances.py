"""Instances beside the scores of voxels: what `--instances` adds to `fastseg evaluate`."""

from __future__ import annotations

from typing import Any

import click

__all__ = ["INSTANCE_OPTIONS", "instance_options"]

INSTANCE_OPTIONS = ("instances", "connectivity", "match", "dilation", "min_voxels", "min_ml", "penalty")


def instance_options(command: Any) -> Any:
    """Give a command the options of instances."""
    for option in (
        click.option(
            "--penalty",
            type=click.FloatRange(min=0),
            metavar="MM",
            help="The instance_hd95 of what was missed or invented, such as 373 (default: 374, as in BraTS).",
        ),
        click.option(
            "--min-ml",
            type=click.FloatRange(min=0),
            metavar="ML",
            help="The same by volume in millilitres, such as 0.1 (default: 0).",
        ),
        click.option(
            "--min-voxels",
            type=click.IntRange(min=0),
            metavar="N",
            help="Components of fewer voxels, such as 3, are no instances (default: 0).",
        ),
        click.option(
            "--dilation",
            type=click.IntRange(min=0),
            metavar="N",
            help="By how many voxels, such as 1, true components are grown before they are told apart (default: 0, "
            "or that of the convention).",
        ),
        click.option(
            "--match",
            metavar="RULE",
            help="When a true and a predicted instance match: 'iou>0.5' (default), 'dice>=0.1', 'overlap>0', centre, "
            "or a convention: panoptica, brats, autopet, isles, stardist and others, also with a rule of yours behind it: "
            "'autopet iou>0.1'.",
        ),
        click.option(
            "--connectivity",
            type=click.Choice(["4", "6", "8", "18", "26"]),
            help="The neighbours of a voxel (default: all, or those of the convention).",
        ),
        click.option(
            "--instances",
            metavar="NAMES",
            help="Also count the connected components of these labels or regions, such as lesion or 1,2, as found, "
            "missed and invented; with -o each of them is a line of instances.csv. ids: labels are ids of instances, such as "
            "cells, and no classes. Metrics instance_hd95 and instance_nsd measure their surfaces (default: none).",
        ),
    ):
        command = option(command)
    return command
