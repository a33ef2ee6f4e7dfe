"""The command that people run: score a pair of volumes, or a folder of cases."""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import Any

import click

import fastseg
from fastseg.cli.evaluate_options import InGroups
from fastseg.cli.inputs import needs_run
from fastseg.cli.instances import INSTANCE_OPTIONS, instance_options
from fastseg.cli.panoptic import are_panoptic, evaluate_panoptic
from fastseg.cli.screen import counting_progress, run_progress, say, show
from fastseg.cli.telling import tell, write_json
from fastseg.cli.usage import options_by_name, require_writable, spacings, tolerances
from fastseg.labels.names import shown

__all__ = ["evaluate"]

#: Options that only a run has; where one is given, two files are a run of one case.
_OF_RUNS = (
    "output", "pairs", "pattern", "missing", "convention", "background", "fail_under", "junit", "images", "shard", "cluster",
    "retries", *INSTANCE_OPTIONS,
)  # fmt: skip

#: Options of what two files hold.
_OF_FILES = (
    "regions", "unknown", "axes", "prediction_labels", "map_prediction", "roi", "reorient", "activation", "channel_axis",
    "geometry_tolerance", "missing_mask", "masks", "channels", "threshold", "tolerance", "spacing", "surface", "border",
)  # fmt: skip


@click.command(cls=InGroups)
@click.argument("reference", type=click.Path(), required=False)
@click.argument("prediction", type=click.Path(), required=False)
@instance_options
def evaluate(reference: str | None, prediction: str | None, **options: Any) -> None:
    """Score PREDICTION against REFERENCE: two volumes, or two folders of them.

    Volumes are NIfTI, MGH, NPY, NPZ, NRRD, MetaImage, TIFF, Zarr, HDF5, PNG and other pictures, and DICOM-SEG; the two need
    not be of one format. Files of a folder are paired by their names. A volume may be a URL that fsspec knows, such as
    s3://bucket/truth.zarr.

    PREDICTION may also hold the probabilities or logits of every class: a 4-D NIfTI file (x, y, z, class), or an .npy or
    .npz file, such as nnU-Net's. The most probable labels are scored then, and soft Dice, cross-entropy and the Brier score
    of the probabilities are printed below.

    With metrics of partitions (variation_of_information, adjusted_rand_error, rand_index, ...) labels are segments, of any
    number, that mean nothing but "the same".

    Prints Dice, IoU, precision and recall of each class, and their means: of two volumes over the classes, with label 0 and
    without it; of folders over the classes of their means over the cases, without label 0 unless --background or a
    --convention says otherwise. Two volumes with an option that only folders have (-o, --pairs, --pattern, --missing,
    --convention, --background, --fail-under, --junit, --images, --shard, --cluster, --instances) are a folder of one case.

    Panoptic JSON files of COCO or Cityscapes, with their PNG files in folders beside them, are scored by panoptic quality.

    A dataset.json of nnU-Net's in the folder of REFERENCE, or beside it, is the label table unless --labels names another.
    """
    if options["pairs"] is None and (reference is None or prediction is None):
        raise click.UsageError("expected REFERENCE and PREDICTION, or --pairs")
    if reference is not None and prediction is not None and are_panoptic(reference, prediction):
        with options_by_name():
            evaluate_panoptic(reference, prediction, options)
        return
    if options["retries"] is not None and options["cluster"] is None:
        raise click.UsageError("--retries: expected --cluster beside it, whose workers may die")
    given = [name for name in INSTANCE_OPTIONS if options[name] is not None]
    if given and options["instances"] is None:
        raise click.UsageError(
            f"--{given[0].replace('_', '-')}: expected --instances beside it, whose components it is about"
        )
    require_writable("--json", None if options["json_path"] == "-" else options["json_path"])
    require_writable("--junit", options["junit"])
    if options["output"] is not None and os.path.exists(options["output"]) and not os.path.isdir(options["output"]):
        raise click.UsageError(f"--output: {options['output']}: expected a folder, found a file")
    if options["labels"] == "none":
        options["labels"] = {}
    chosen = options["metrics"]
    if chosen is not None:
        names = tuple(name.strip().lower() for name in chosen.split(",") if name.strip())
        if not names:
            raise click.UsageError(f"--metrics: expected at least one name, found {chosen!r}")
        options["metrics"] = names
    of_run = any(options[name] not in (None, ()) for name in _OF_RUNS)
    of_run = of_run or needs_run(reference, prediction, options["metrics"])
    options["tolerance"], options["spacing"] = tolerances(options["tolerance"]), spacings(options["spacing"])
    with options_by_name():
        if of_run:
            code = _evaluate_run(reference, prediction, **options)
        else:
            assert reference is not None
            assert prediction is not None
            code = _evaluate_pair(
                reference, prediction, **{name: value for name, value in options.items() if name not in _OF_RUNS}
            )
    if code:
        raise click.exceptions.Exit(code)


def _evaluate_pair(
    reference: str, prediction: str, *, json_path: str | None, labels: Any, metrics: Any, ignore: tuple[int, ...],
    geometry: str, threads: int | None, quiet: bool, **others: Any,
) -> int:  # fmt: skip
    from fastseg.counts import LabelCounts
    from fastseg.labels.choices import find_dataset_json, only_predicted

    if labels is None and (labels := find_dataset_json(reference)) is not None and not quiet:
        say(f"labels from {shown(labels)}")
    options: dict[str, Any] = {
        "labels": labels,
        "metrics": metrics,
        "ignore_index": ignore or None,
        "geometry": geometry,
        "threads": threads,
        "warn": (lambda _: None) if quiet else (lambda note: say(f"warning: {note}")),
    }
    options.update({name: others[name] for name in _OF_FILES if others[name] is not None})
    with counting_progress(quiet) as progress:
        scores = fastseg.evaluate_files(reference, prediction, progress=progress, **options)
    counts = scores.counts
    if isinstance(counts, LabelCounts) and not counts.closed and not options.get("regions") and not quiet:
        true, pred = (
            counts.labels[found > 0] for found in (counts.matrix[0].sum(1) + counts.unknown[0], counts.matrix[0].sum(0))
        )
        if (text := only_predicted(true, pred, scores.names, counts.ignored.tolist())) is not None:
            say(f"warning: {text}")
    if json_path is not None:
        write_json(scores.to_dict(), json_path)
    if json_path != "-" and not quiet:
        show(str(scores))
    return 0


def _evaluate_run(
    reference: str | None, prediction: str | None, *, json_path: str | None, fail_under: tuple[str, ...],
    junit: str | None, quiet: bool, pattern: tuple[str, ...], ignore: tuple[int, ...], shard: str | None,
    cluster: str | None, **options: Any,
) -> int:  # fmt: skip
    from fastseg.runs.cases.shard import parse_shard
    from fastseg.runs.evaluate import evaluate_folder
    from fastseg.runs.results.gates import check_gates, parse_gate

    if len(pattern) > 2:
        raise click.UsageError(f"--pattern: expected at most two, found {len(pattern)}")
    try:
        gates = [parse_gate(text) for text in fail_under]
    except ValueError as error:
        raise click.UsageError(f"--fail-under: {error}") from None
    share = None if shard is None else parse_shard(shard)
    if share is not None and (options["output"] is None or junit is not None):
        raise click.UsageError("--shard: expected a folder of its own (-o), and --junit of fastseg merge alone")
    given = {name: value for name, value in options.items() if value is not None}
    if "connectivity" in given:
        given["connectivity"] = int(given["connectivity"])
    with ExitStack() as stack:
        client = None
        if cluster is not None:
            from fastseg.runs.scoring.clients import open_cluster

            client = stack.enter_context(open_cluster(cluster))
        progress = stack.enter_context(run_progress(quiet))
        run = evaluate_folder(
            reference, prediction, given.pop("output", None), gates=gates, progress=progress, shard=share, client=client,
            note=None if quiet else say, ignore=ignore or None,
            pattern=pattern[0] if len(pattern) == 1 else pattern or None, **given,
        )  # fmt: skip
    if share is not None and not quiet:
        say(
            f"shard {share}: {len(run.records)} of {run.facts['shard']['cases']} cases; fastseg merge puts all shards together"
        )
    return tell(run, [] if share is not None else check_gates(run, gates), json_path, junit, quiet, share is not None)
