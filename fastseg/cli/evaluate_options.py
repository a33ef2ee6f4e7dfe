"""The options of `fastseg evaluate`, by what they are about; its help shows them so."""

from __future__ import annotations

from typing import Any

import click

from fastseg.cli.instances import INSTANCE_OPTIONS

__all__ = ["GROUPS", "InGroups"]

_CONVENTIONS = (
    "fastseg", "monai", "torchmetrics", "nnunet", "sklearn", "totalsegmentator", "medpy", "surface-distance",
    "metrics-reloaded", "simpleitk", "panoptica", "brats", "mikan", "exacta", "skimage", "cremi", "funlib", "brats-met",
    "coco-panoptic", "cityscapes", "stardist", "cellpose", "autopet", "isles",
)  # fmt: skip

#: The options that are not of instances. Each says what happens without it, and those that take text show some.
GROUPS: dict[str, tuple[click.Option, ...]] = {
    "Results": (
        click.Option(
            ["-o", "--output"],
            metavar="FOLDER",
            help="Write summary.json (nnU-Net's), cases.csv, classes.csv, confusion.npz and run.json to FOLDER, of "
            "surfaces also surfaces.npz. Cases that are there already are not scored again (default: nothing is "
            "written).",
        ),
        click.Option(
            ["--json", "json_path"],
            metavar="FILE",
            help="Write the scores as JSON to FILE, such as scores.json; - for stdout, and no table (default: a "
            "table).",
        ),
        click.Option(
            ["--fail-under"],
            multiple=True,
            metavar="GATE",
            help="Exit with code 1 unless this is reached: dice=0.8, or liver:dice=0.9 (at most, where lower is "
            "better); of probabilities also soft_dice, cross_entropy and brier_score, of instances "
            "detection_f1, pq and others, tumour:missed=2; may be given several times (default: no gate).",
        ),
        click.Option(
            ["--junit"],
            metavar="FILE",
            help="Write one test for each gate, as JUnit XML, to FILE, such as gates.xml (default: none).",
        ),
        click.Option(
            ["--images"],
            metavar="FOLDER",
            help="What was segmented, such as imagesTs, named after the cases (nnU-Net's _0000 is understood): "
            "fastseg report draws it under the classes (default: classes alone).",
        ),
        click.Option(["--quiet"], is_flag=True, help="No table, no progress, no warnings; errors only (default: all)."),
    ),
    "Labels": (
        click.Option(
            ["--labels"],
            metavar="FILE",
            help="Names of labels, such as labels.txt: ITK-SNAP, FreeSurfer, BIDS dseg.tsv, nnU-Net dataset.json, or "
            "lines 'index name' (default: a dataset.json in the folder of REFERENCE or beside it, if there is "
            "one; none: no table, and not that one).",
        ),
        click.Option(
            ["--prediction-labels"],
            metavar="FILE",
            help="Names of the prediction's labels, such as theirs.txt, where its codes differ; equal names are one "
            "class (default: the codes are the same).",
        ),
        click.Option(
            ["--map-prediction"],
            metavar="PAIRS",
            help="Codes of the prediction and what they stand for: '255=1,7=3', or a file of lines 'from to' "
            "(default: each for itself).",
        ),
        click.Option(
            ["--regions"],
            metavar="REGIONS",
            help="Score unions of labels: 'tumour=1,2,3;core=1,3', with names of labels too, or a JSON file {name: "
            "[labels]} (default: those of --labels, else single labels).",
        ),
        click.Option(
            ["--ignore"],
            type=int,
            multiple=True,
            metavar="LABEL",
            help="True label that is not scored, such as 255; may be given several times (default: the ignore label "
            "of nnU-Net's table, else none).",
        ),
        click.Option(
            ["--unknown"],
            type=click.Choice(["raise", "count"]),
            help="A predicted label that is not declared is an error of its case (raise, the default), or a miss of "
            "the true class (count).",
        ),
    ),
    "Metrics": (
        click.Option(
            ["--metrics"],
            metavar="NAMES",
            help="Metrics, separated by commas, such as dice,hd95, or all, which is all of counts (default: "
            "dice,iou,precision,recall).",
        ),
        click.Option(
            ["--convention"],
            type=click.Choice(_CONVENTIONS),
            help="Whose rules for empty classes and for means (default: fastseg). Of counts: up to totalsegmentator. "
            "Of surfaces: monai, and from medpy to exacta. Of partitions: sklearn, and from skimage to funlib. Of when "
            "--instances match: metrics-reloaded, panoptica, brats, exacta, and from brats-met on.",
        ),
        click.Option(
            ["--background/--no-background"],
            default=None,
            help="Whether means over classes include label 0 (default: what the convention does; fastseg's: no).",
        ),
        click.Option(
            ["--tolerance"],
            multiple=True,
            metavar="MM",
            help="For nsd and surface_overlap, which have no default: a distance in mm such as 2, or that of one "
            "class such as liver=2; may be given several times.",
        ),
        click.Option(
            ["--spacing"],
            metavar="MM",
            help="For metrics of surfaces: the distance of neighbouring voxels, a number or one for each axis of "
            "REFERENCE such as 0.8,0.8,3 (default: what its file says; files of PNG and NPY say none).",
        ),
        click.Option(
            ["--surface"],
            type=click.Choice(["voxel", "surfel", "object"]),
            help="What surfaces are made of: voxels at the border of a class (default), surfels with their area, or "
            "all voxels.",
        ),
        click.Option(
            ["--border"],
            type=click.Choice(["background", "extend"]),
            help="What lies outside of the image: no class (background, the default), or each goes on (extend).",
        ),
    ),
    "Cases and their files": (
        click.Option(
            ["--pairs"],
            metavar="FILE",
            help="A CSV file such as pairs.csv, with the columns reference and prediction (case, roi), instead of "
            "REFERENCE and PREDICTION (default: files of two folders are paired by their names).",
        ),
        click.Option(
            ["--pattern"],
            metavar="REGEX",
            multiple=True,
            help="How a file's path in its folder names its case: a regular expression with a group, such as "
            "'(?P<case>.*)/seg.nii.gz', and perhaps (?P<class>...) where each class has a file. Given twice, "
            "the second is for predictions (default: the name without its suffix).",
        ),
        click.Option(
            ["--missing"],
            type=click.Choice(["error", "skip", "worst"]),
            help="What a missing prediction does: nothing is scored (error, the default); it is left out (skip); all "
            "its voxels are misses (worst).",
        ),
        click.Option(
            ["--roi"],
            metavar="FOLDER",
            help="Masks of the cases, such as brains (for two files: a file): voxels where they are 0 are not "
            "counted (default: all are).",
        ),
        click.Option(
            ["--masks"],
            is_flag=True,
            default=None,
            help="Each class of a case has a file of its own, in folders whose layout does not say so by itself "
            "(case/liver.nii.gz), or an array of its own in a file of several (default: what the layout says).",
        ),
        click.Option(
            ["--channels"],
            metavar="NAMES",
            help="What the channels of 4-D files of masks are called, in order: 'WT,TC,ET' (default: the regions of "
            "a dataset.json).",
        ),
        click.Option(
            ["--threshold"],
            type=float,
            metavar="NUMBER",
            help="From which value on, such as 0.5, a voxel of soft masks is inside; of fractional DICOM segments a "
            "share from 0 to 1 (default: masks are 0 and 1, and soft ones an error).",
        ),
        click.Option(
            ["--missing-mask"],
            type=click.Choice(["error", "empty", "skip"]),
            help="What to do where only one side of a case has a mask of a class: refuse it (error, the default), "
            "take the missing mask for an empty one, or leave the class out of that case.",
        ),
        click.Option(
            ["--activation"],
            type=click.Choice(["none", "softmax", "sigmoid"]),
            help="What turns the scores of PREDICTION into probabilities (default: none, they are). Naming one says "
            "that it holds scores, also where it has the shape of REFERENCE: those of a single class.",
        ),
        click.Option(
            ["--channel-axis"],
            type=int,
            metavar="N",
            help="The axis of the classes of scores, such as 0 (default: the last of a NIfTI file, of an array what "
            "the shapes tell).",
        ),
        click.Option(
            ["--axes"],
            metavar="LETTERS",
            help="The axes of files that do not name theirs, such as zyx; of scores without that of the classes "
            "(default: what the shapes tell).",
        ),
        click.Option(
            ["--geometry"],
            type=click.Choice(["error", "warn", "ignore"]),
            default="error",
            show_default=True,
            help="What a difference in position does.",
        ),
        click.Option(
            ["--geometry-tolerance"],
            type=click.FloatRange(min=0),
            metavar="VOXELS",
            help="How many voxels, such as 0.5, the corners of the volumes may be apart and pass for the same place, "
            "with a note (default: 0.1).",
        ),
        click.Option(
            ["--reorient"],
            is_flag=True,
            default=None,
            help="Flip and permute predictions to lie as their references do, where that is all that differs "
            "(default: such a difference is one in position).",
        ),
    ),
    "How the work is done": (
        click.Option(
            ["--threads"],
            type=click.IntRange(min=1),
            metavar="N",
            help="Threads to use, such as 4 (default: all processors allowed).",
        ),
        click.Option(
            ["--resume/--no-resume"],
            default=True,
            show_default=True,
            help="Whether cases that are in FOLDER already are kept; --no-resume gives up all that is there.",
        ),
        click.Option(
            ["--hash", "hashing"],
            type=click.Choice(["auto", "always", "never"]),
            default="auto",
            show_default=True,
            help="Whether run.json has the SHA-256 of the files: auto, of those up to 64 MiB.",
        ),
        click.Option(
            ["--shard"],
            metavar="K/N",
            help="Score share K of N of the cases, such as 3/16, into a FOLDER of its own; fastseg merge makes one "
            "run of all (default: all cases).",
        ),
        click.Option(
            ["--cluster"],
            metavar="WHERE",
            help="Score the cases on a Dask cluster: tcp://host:8786, the file of a scheduler, or local:4, four "
            "processes here (default: threads of this process).",
        ),
        click.Option(
            ["--retries"],
            type=click.IntRange(min=0),
            metavar="N",
            help="With --cluster: how often a case whose workers died is tried again, such as 5 (default: 2).",
        ),
    ),
}  # fmt: skip


class InGroups(click.Command):
    """A command with the options of `GROUPS`, shown under their headings."""

    def __init__(self, name: str | None, *, params: list[click.Parameter], **attributes: Any) -> None:
        options = [option for group in GROUPS.values() for option in group]
        super().__init__(name, params=[*params, *options], **attributes)

    def by_heading(self, ctx: click.Context) -> dict[str, list[tuple[str, str]]]:
        """Return the options below each heading, and what is said of each."""
        titles = {str(option.name): title for title, group in GROUPS.items() for option in group}
        titles |= dict.fromkeys(INSTANCE_OPTIONS, "Instances")
        rows: dict[str, list[tuple[str, str]]] = {title: [] for title in (*GROUPS, "Instances", "Help")}
        for parameter in self.get_params(ctx):
            if isinstance(parameter, click.Option) and (record := parameter.get_help_record(ctx)) is not None:
                rows[titles.get(str(parameter.name), "Help")].append(record)
        return rows

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options below their headings."""
        for title, records in self.by_heading(ctx).items():
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)
