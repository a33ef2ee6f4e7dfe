"""The command that people run: score a pair of volumes, or a folder of cases."""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import Any

import click

import fastseg
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


@click.command()
@click.argument("reference", type=click.Path(), required=False)
@click.argument("prediction", type=click.Path(), required=False)
@click.option(
    "-o",
    "--output",
    metavar="FOLDER",
    help="Write summary.json (nnU-Net's), cases.csv, classes.csv, confusion.npz and run.json to FOLDER, of surfaces also "
    "surfaces.npz. Cases that are there already are not scored again.",
)
@click.option(
    "--json", "json_path", metavar="FILE", help="Write the scores as JSON to FILE; - for stdout, and no table."
)
@click.option(
    "--labels",
    metavar="FILE",
    help="Names of labels: ITK-SNAP, FreeSurfer, BIDS dseg.tsv, nnU-Net dataset.json, or lines 'index name'; none: no table, "
    "also where a dataset.json lies beside REFERENCE.",
)
@click.option(
    "--prediction-labels",
    metavar="FILE",
    help="Names of the prediction's labels, where its codes differ; equal names are one class.",
)
@click.option(
    "--map-prediction",
    metavar="PAIRS",
    help="Codes of the prediction and what they stand for: '255=1,7=3', or a file of lines 'from to'.",
)
@click.option(
    "--regions",
    metavar="REGIONS",
    help="Score unions of labels: 'tumour=1,2,3;core=1,3', with names of labels too, or a JSON file {name: [labels]}.",
)
@click.option(
    "--ignore",
    type=int,
    multiple=True,
    metavar="LABEL",
    help="True label that is not scored; may be given several times.",
)
@click.option(
    "--unknown",
    type=click.Choice(["raise", "count"]),
    help="A predicted label that is not declared is an error of its case, or a miss of the true class.",
)
@click.option(
    "--metrics", metavar="NAMES", help="Metrics, separated by commas, or all (default: dice,iou,precision,recall)."
)
@click.option(
    "--tolerance",
    multiple=True,
    metavar="MM",
    help="For nsd and surface_overlap: a distance in mm, or that of one class, such as liver=2; may be given several times.",
)
@click.option(
    "--spacing",
    metavar="MM",
    help="For metrics of surfaces: the distance of neighbouring voxels, a number or one for each axis of REFERENCE such as "
    "0.8,0.8,3, instead of what its file says (files of PNG and NPY say none).",
)
@click.option(
    "--surface",
    type=click.Choice(["voxel", "surfel", "object"]),
    help="What surfaces are made of: voxels at the border of a class (default), surfels with their area, or all voxels.",
)
@click.option(
    "--border",
    type=click.Choice(["background", "extend"]),
    help="What lies outside of the image: no class (default), or each goes on.",
)
@click.option(
    "--convention",
    type=click.Choice(
        [
            "fastseg",
            "monai",
            "torchmetrics",
            "nnunet",
            "sklearn",
            "totalsegmentator",
            "medpy",
            "surface-distance",
            "metrics-reloaded",
            "simpleitk",
            "panoptica",
            "brats",
            "mikan",
            "exacta",
            "skimage",
            "cremi",
            "funlib",
        ]
    ),
    help="Whose rules for empty classes and for means (default: fastseg). Of counts: up to totalsegmentator. Of surfaces: "
    "monai, and from medpy to exacta. Of partitions: sklearn, and the last three.",
)
@click.option("--background/--no-background", default=None, help="Whether means over classes include label 0.")
@click.option(
    "--pattern",
    metavar="REGEX",
    multiple=True,
    help="How a file's path in its folder names its case: a regular expression with a group (?P<case>...), and perhaps "
    "(?P<class>...) where each class has a file. Given twice, the second is for predictions.",
)
@click.option(
    "--masks",
    is_flag=True,
    default=None,
    help="Each class of a case has a file of its own, in folders whose layout does not say so by itself (case/liver.nii.gz), "
    "or an array of its own in a file of several.",
)
@click.option(
    "--channels",
    metavar="NAMES",
    help="What the channels of 4-D files of masks are called, in order: 'WT,TC,ET'.",
)
@click.option(
    "--threshold",
    type=float,
    metavar="NUMBER",
    help="From which value on a voxel of soft masks is inside (of fractional DICOM segments: a share from 0 to 1).",
)
@click.option(
    "--missing-mask",
    type=click.Choice(["error", "empty", "skip"]),
    help="What to do where only one side of a case has a mask of a class: refuse it (default), take the missing mask for an "
    "empty one, or leave the class out of that case.",
)
@click.option(
    "--pairs", metavar="FILE", help="A CSV file with the columns reference and prediction (case, roi) for folders."
)
@click.option(
    "--roi",
    metavar="FOLDER",
    help="Masks of the cases (for two files: a file): voxels where they are 0 are not counted.",
)
@click.option(
    "--missing",
    type=click.Choice(["error", "skip", "worst"]),
    help="What a missing prediction does: nothing is scored; it is left out; all its voxels are misses.",
)
@click.option(
    "--geometry",
    type=click.Choice(["error", "warn", "ignore"]),
    default="error",
    show_default=True,
    help="What a difference in position does.",
)
@click.option(
    "--geometry-tolerance",
    type=click.FloatRange(min=0),
    metavar="VOXELS",
    help="How many voxels the corners of the volumes may be apart and pass for the same place, with a note (default: 0.1).",
)
@click.option(
    "--reorient",
    is_flag=True,
    default=None,
    help="Flip and permute predictions to lie as their references do, where that is all that differs.",
)
@click.option(
    "--axes",
    metavar="LETTERS",
    help="The axes of files that do not name theirs, such as zyx (of scores: without that of the classes).",
)
@click.option(
    "--activation",
    type=click.Choice(["none", "softmax", "sigmoid"]),
    help="What turns the scores of PREDICTION into probabilities (default: none, they are). Naming one says that it holds "
    "scores, also where it has the shape of REFERENCE: those of a single class.",
)
@click.option(
    "--channel-axis",
    type=int,
    metavar="N",
    help="The axis of the classes of scores (default: the last of a NIfTI file, of an array what the shapes tell).",
)
@click.option(
    "--fail-under",
    multiple=True,
    metavar="GATE",
    help="Exit with code 1 unless this is reached: dice=0.8, or liver:dice=0.9 (at most, where lower is better); of "
    "probabilities also soft_dice, cross_entropy and brier_score, of instances detection_f1, pq and others, "
    "tumour:missed=2; may be given several times.",
)
@click.option(
    "--images",
    metavar="FOLDER",
    help="What was segmented, named after the cases (nnU-Net's _0000 is understood): fastseg report draws it under the "
    "classes.",
)
@click.option("--junit", metavar="FILE", help="Write one test for each gate, as JUnit XML.")
@click.option(
    "--resume/--no-resume",
    default=True,
    help="Whether cases that are in FOLDER already are kept; --no-resume gives up all that is there.",
)
@click.option(
    "--hash",
    "hashing",
    type=click.Choice(["auto", "always", "never"]),
    default="auto",
    show_default=True,
    help="Whether run.json has the SHA-256 of the files: auto, of those up to 64 MiB.",
)
@click.option(
    "--threads",
    "threads",
    type=click.IntRange(min=1),
    metavar="N",
    help="Threads to use (default: all processors allowed).",
)
@click.option(
    "--shard",
    metavar="K/N",
    help="Score share K of N of the cases, every N-th, into a FOLDER of its own; fastseg merge makes one run of all.",
)
@click.option(
    "--cluster",
    metavar="WHERE",
    help="Score the cases on a Dask cluster: tcp://host:8786, the file of a scheduler, or local:4, four processes here.",
)
@click.option(
    "--retries",
    type=click.IntRange(min=0),
    metavar="N",
    help="How often a case whose workers died is tried again (default: 2).",
)
@instance_options
@click.option("--quiet", is_flag=True, help="No table, no progress, no warnings; errors only.")
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

    Prints Dice, IoU, precision and recall of each class, and their means over classes and cases. Two volumes with an option
    that only folders have (-o, --pairs, --pattern, --missing, --convention, --background, --fail-under, --junit, --images,
    --shard, --cluster, --instances) are a folder of one case.

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
    if chosen not in (None, "all"):
        names = tuple(name.strip().lower() for name in chosen.split(",") if name.strip())
        if not names:
            raise click.UsageError(f"--metrics: expected at least one name, found {chosen!r}")
        options["metrics"] = "all" if "all" in names else names
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
        if (text := only_predicted(true, pred, scores.names)) is not None:
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
